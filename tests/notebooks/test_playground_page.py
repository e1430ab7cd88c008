"""The playground in use: its marks, keys, controls, address and film, for everyone and on every screen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.browser import accessibility_problems, open_page
from tests.notebooks.playground_page import FILE, PRESETS, at, settle

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


# ---------------------------------------------------------------- the controls


def test_marks_are_dragged(view: Page) -> None:
    at(view, "")
    before = view.inner_text("#readout")
    for name, text in (("Policy", "#readout"), ("Feature of response 2", "#why")):
        before = view.inner_text(text)
        handle = view.locator(f'[role=slider][aria-label="{name}"]')
        handle.scroll_into_view_if_needed()
        box = handle.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        view.mouse.move(x, y)
        view.mouse.down()
        view.mouse.move(x + 30, y - 25, steps=4)
        view.mouse.up()
        settle(view)
        assert view.inner_text(text) != before, name
    view.wait_for_function("location.hash.includes('features=') && location.hash.includes('p=')")
    saved = view.url
    view.goto("about:blank")
    view.goto(saved)
    settle(view)
    assert view.evaluate("Worlds.toAddress(Worlds.fromAddress(location.hash).state)") == saved.split("#")[1]


def test_everything_can_be_done_with_keys(view: Page) -> None:
    at(view, "")
    mark = view.locator('[role=slider][aria-label="Policy"]')
    mark.focus()
    before = mark.get_attribute("aria-valuetext")
    view.keyboard.press("ArrowLeft")
    view.keyboard.press("Shift+ArrowUp")
    settle(view)
    after = mark.get_attribute("aria-valuetext") or ""
    assert after != before
    assert re.fullmatch(r"chosen [\d.]+ %, rejected [\d.]+ %, other [\d.]+ %", after)
    for name in ("Reference", "Feature of response 1", "Feature of response 3"):
        handle = view.locator(f'[role=slider][aria-label="{name}"]')
        handle.focus()
        before = handle.get_attribute("aria-valuetext")
        view.keyboard.press("Shift+ArrowRight")
        settle(view)
        assert handle.get_attribute("aria-valuetext") != before, name
    reached = set()
    view.evaluate("document.activeElement.blur()")
    for _ in range(60):
        view.keyboard.press("Tab")
        reached.add(view.evaluate("document.activeElement.id || document.activeElement.getAttribute('aria-label')"))
    wanted = {"preset", "field", "play", "rewind", "forward", "at", "loss", "beta", "rate", "told", "tied", "share"}
    assert wanted | {"Policy", "Reference", "Feature of response 2"} <= reached


def test_every_loss_and_control_works(view: Page) -> None:
    at(view, "p=0.5,0.3,0.2&ref=0.3,0.5,0.2")
    names = view.eval_on_selector_all("#loss option", "options => options.map(option => option.value)")
    assert sorted(names) == sorted(view.evaluate("Object.keys(PreferenceDynamics.LOSSES)"))
    for name in names:
        view.select_option("#loss", name)
        settle(view)
        text = view.inner_text("main")
        assert "NaN" not in text, name
        assert "undefined" not in text, name
        assert view.is_visible("#more-row") == bool(view.evaluate("name => Worlds.secondParameter(name)", name))
    for control, value in (("#field", "ratios"), ("#told", "cycle"), ("#told", "rewards"), ("#field", "replicator")):
        view.select_option(control, value)
        settle(view)
        assert "NaN" not in view.content().split("<script>")[0]
    at(view, "told=cycle&field=ratios")  # ratios belong to one pair
    assert view.input_value("#field") == "flow"
    for value in ("line", "tabular", "plane"):
        view.check(f"input[name=kind][value={value}]", force=True)
        settle(view)
        assert "NaN" not in view.content().split("<script>")[0]
    assert view.is_visible("#features")


def test_exact_numbers_are_taken_and_nonsense_is_not(view: Page) -> None:
    at(view, "")
    view.evaluate("document.getElementById('exact').open = true")
    field = view.locator('input[aria-label="Policy of response 1"]')
    field.fill("8")
    field.press("Tab")
    settle(view)
    assert "Chosen 92.3 %" in view.inner_text("#readout")  # 8 / (8 + 1/3 + 1/3)
    field.fill("a lot")
    field.press("Tab")
    settle(view)
    assert "above 0" in view.inner_text("#shared")
    assert "Chosen 92.3 %" in view.inner_text("#readout")


def test_a_link_that_cannot_be_read_says_so(view: Page) -> None:
    for part in ("p=1,2", "beta=-1", "loss=toString", "preset=constructor", "nonsense=1", "features=1,2;3", "p=0,1,1"):
        at(view, f"{part}&rate=0.25")
        assert part in view.inner_text("#unread"), part
        assert view.text_content("#rate-text") == "0.25"
    at(view, "rate=0.25")
    assert not view.is_visible("#unread")


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(
    st.fixed_dictionaries(
        {
            "preset": st.sampled_from(["", *PRESETS]),
            "p": st.lists(st.floats(1e-3, 1), min_size=3, max_size=3),
            "ref": st.one_of(st.none(), st.lists(st.floats(1e-3, 1), min_size=3, max_size=3)),
            "features": st.lists(st.lists(st.floats(-3, 3), min_size=2, max_size=2), min_size=3, max_size=3),
            "told": st.sampled_from(["one", "rewards", "cycle"]),
            "kind": st.sampled_from(["line", "plane", "tabular"]),
            "loss": st.sampled_from(["dpo", "ipo", "self_po", "bdpo"]),
            "beta": st.floats(0.01, 5),
            "rate": st.floats(0.001, 10),
            "more": st.one_of(st.none(), st.just(0.5)),
            "steps": st.integers(1, 1000),
        }
    )
)
def test_the_address_holds_the_state(view: Page, changes: dict[str, Any]) -> None:
    code = """changes => {
      const state = { ...Worlds.START, ...Worlds.PRESETS[changes.preset]?.state, ...changes };
      const { state: again, unread } = Worlds.fromAddress(Worlds.toAddress(state));
      return [state, again, unread];
    }"""
    if changes["loss"] in ("dpo", "ipo", "bdpo"):
        changes = {**changes, "more": None}
    state, again, unread = view.evaluate(code, changes)
    assert not unread
    assert again == state


# ---------------------------------------------------------------- the film


def test_the_film_runs_and_stops(view: Page) -> None:
    at(view, "preset=jian2025-ladder")
    view.click("#forward")
    settle(view)
    assert view.text_content("#at-text") == "Step 1 of 180"
    view.click("#play")
    view.wait_for_function("document.getElementById('at').value > 4")
    assert view.text_content("#play") == "Pause"
    view.click("#play")
    stopped = view.text_content("#at-text")
    view.wait_for_timeout(150)
    assert view.text_content("#at-text") == stopped
    view.click("#rewind")
    assert view.text_content("#at-text") == "Step 0 of 180"


def test_whoever_wants_less_motion_gets_none(browser: Browser) -> None:
    view, complaints = open_page(browser, FILE, "#preset=jian2025-ladder", reduced_motion="reduce")
    assert view.text_content("#play") == "To the end"
    view.click("#play")
    settle(view)
    assert view.text_content("#at-text") == "Step 180 of 180"
    assert not complaints
    view.close()


# ---------------------------------------------------------------- for everyone, on every screen


def too_wide(view: Page, width: int) -> list[str]:
    """Return what reaches beyond the screen or beyond its own card."""
    code = """width => [...document.querySelectorAll('body *')].filter(item => {
      const box = item.getBoundingClientRect(), card = item.closest('section')?.getBoundingClientRect();
      const shown = box.width > 1 && !item.closest('svg') && !item.closest('.skip');
      return shown && (box.right > width + 1 || box.left < -1 || (card && box.right > card.right + 1));
    }).map(item => item.tagName + '#' + item.id)"""
    return view.evaluate(code, width)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessible_and_not_wider_than_the_screen(browser: Browser, scheme: Any) -> None:
    view, complaints = open_page(browser, FILE, color_scheme=scheme, viewport={"width": 360, "height": 800})
    view.eval_on_selector_all("details", "items => items.forEach(item => { item.open = true })")
    for width in (360, 390, 768, 1280, 1600):
        view.set_viewport_size({"width": width, "height": 800})
        for address in ("preset=sun2025-floor&at=110", "told=cycle&ref=0.2,0.3,0.5"):
            at(view, address)
            assert not too_wide(view, width), (width, address)
            assert view.evaluate("document.documentElement.scrollWidth") <= width
        if width in (360, 1280):
            assert not accessibility_problems(view)
    # the checks themselves can fail
    view.add_style_tag(content="p { color: #ccc !important; background: #ddd !important } table { width: 1700px }")
    assert too_wide(view, 1600)
    assert "color-contrast" in dict(accessibility_problems(view))
    assert not complaints
    view.close()


def test_pictures_are_told_in_words(view: Page) -> None:
    at(view, "preset=jian2025-displaced")
    view.wait_for_function("document.getElementById('status').textContent.includes('chosen response falls')")
    for picture, words in (("#curves", "Rejected: from"), ("#mass", "chosen −0.0029")):
        assert words in (view.get_attribute(picture, "aria-label") or "")
    assert view.eval_on_selector_all("svg[role=img]", "all => all.every(svg => svg.getAttribute('aria-label'))")


def test_a_finger_drags_the_marks_and_not_the_page(browser: Browser) -> None:
    view, complaints = open_page(browser, FILE, viewport={"width": 390, "height": 800}, has_touch=True)
    handle = view.locator('[role=slider][aria-label="Policy"]')
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    before, scrolled = view.inner_text("#readout"), view.evaluate("scrollY")
    finger = view.context.new_cdp_session(view)
    for kind, shift in (("touchStart", 0), ("touchMove", 15), ("touchMove", 40), ("touchEnd", None)):
        points = [] if shift is None else [{"x": x, "y": y - shift}]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    settle(view)
    assert view.inner_text("#readout") != before
    assert view.evaluate("scrollY") == scrolled
    sizes = view.eval_on_selector_all(".handle .hit", "all => all.map(hit => hit.getBoundingClientRect().width)")
    assert min(sizes) >= 24  # CSS pixels, WCAG 2.2
    assert not complaints
    view.close()


def test_prints_the_picture_without_the_controls(view: Page) -> None:
    view.emulate_media(media="print")
    assert view.is_visible("#simplex")
    assert view.is_visible("#why")
    assert not view.is_visible("#play")
    assert not view.is_visible("#loss")
    view.emulate_media(media="screen")
