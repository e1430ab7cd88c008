"""The playground in a browser, opened from disk: its presets, its sentences, its controls, its address."""

from __future__ import annotations

import math
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from dynamics import DPO, LogLinear, step
from tests.browser import accessibility_problems, open_page
from theory.ledger import load
from toy_models.displacement import LADDER, run_pair

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FOLDER = Path(__file__).parents[2] / "notebooks" / "playground"
FILE = FOLDER / "index.html"
PRESETS = (
    "jian2025-ladder",
    "jian2025-displaced",
    "jian2025-corollary-2",
    "jian2025-tabular",
    "wipf2024-tied",
    "feng2024-speeds",
    "sun2025-floor",
    "ma2025-replicator",
    "ma2025-cycle",
    "ma2025-balanced",
)


@pytest.fixture(scope="module")
def view(browser: Browser) -> Iterator[Page]:
    """Yield the playground, which no test below may leave in another state than it says."""
    page, complaints = open_page(browser, FILE, viewport={"width": 1280, "height": 900})
    yield page
    assert not complaints
    page.close()


def at(view: Page, address: str) -> None:
    """Open an address of the page and wait until it is shown."""
    view.evaluate("address => { location.hash = ''; location.hash = address; }", address)
    view.wait_for_function("address => Worlds.fromAddress(location.hash) && document.readyState", arg=address)
    settle(view)


def settle(view: Page) -> None:
    """Wait for the next picture."""
    view.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def film(view: Page, preset: str, **changes: Any) -> np.ndarray:
    """Return log pi of every step of a preset's film, ``(steps + 1, responses)``."""
    code = """([preset, changes]) => {
      const state = { ...Worlds.preset(preset), ...changes };
      return PreferenceDynamics.walk(Worlds.world(state), state.steps).logProbs;
    }"""
    return np.array(view.evaluate(code, [preset, changes]))


def first_step(view: Page, preset: str, **changes: Any) -> dict[str, Any]:
    """Return the account of a preset's first step."""
    code = "([preset, changes]) => PreferenceDynamics.step(Worlds.world({ ...Worlds.preset(preset), ...changes }))"
    return view.evaluate(code, [preset, changes])


# ---------------------------------------------------------------- one file


def test_the_page_is_made_of_its_sources() -> None:
    assert FILE.read_text(encoding="utf-8") == runpy.run_path(str(FOLDER / "assemble.py"))["assemble"]()


def test_it_needs_nothing_from_elsewhere() -> None:
    html = FILE.read_text(encoding="utf-8")
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#|data:)""", html)
    assert not re.search(r"\b(?:fetch|XMLHttpRequest|import|require)\s*\(|@import|url\(", html)
    assert "https://" not in html


# ---------------------------------------------------------------- each preset shows what its text says


def test_every_paper_has_a_preset(view: Page) -> None:
    assert tuple(view.evaluate("Object.keys(Worlds.PRESETS)")) == PRESETS
    papers = {key.split(".")[0] for key in load()}
    assert {preset.split("-")[0] for preset in PRESETS} == papers


def test_the_ladder_is_figure_1(view: Page) -> None:
    wanted = run_pair(LADDER, beta=0.5, learning_rate=0.5, steps=180)
    found = film(view, "jian2025-ladder")
    np.testing.assert_allclose(found, wanted.log_probs, rtol=0, atol=1e-10)
    peak = int(found[:, 0].argmax())
    assert 0 < peak < 180
    assert abs(math.exp(found[peak, 0]) - 1 / 3) < 1e-3
    at(view, f"preset=jian2025-ladder&at={peak - 2}")
    assert view.text_content("#why-title") == "Why did it rise?"
    at(view, f"preset=jian2025-ladder&at={peak + 2}")
    assert view.text_content("#why-title") == "Why did it fall?"
    assert "highest" in (view.get_attribute("#curves", "aria-label") or "")


def test_displaced_from_the_first_step(view: Page) -> None:
    policy = LogLinear([[2.0], [3.0], [0.0]])
    wanted = step(policy, [0.0], 0, 1, loss=DPO(beta=0.5), learning_rate=0.1)
    found = first_step(view, "jian2025-displaced")
    np.testing.assert_allclose(found["actual"], wanted.actual, rtol=1e-12)
    np.testing.assert_allclose(found["drive"][0], wanted.drive, rtol=1e-12)
    assert (np.diff(film(view, "jian2025-displaced")[:, :2], axis=0) < 0).all()
    below = first_step(view, "jian2025-displaced", features=[[2, 0], [1.5, 0], [0, 0]])
    assert below["drive"][0][0] > 0  # what the text proposes to try


def test_corollary_2_fails(view: Page) -> None:
    found = first_step(view, "jian2025-corollary-2")
    np.testing.assert_allclose(found["predicted"], np.array([21, 24, -45]) / 169, rtol=1e-12)
    at(view, "preset=jian2025-corollary-2")
    assert "It is false here: +0.124 against +0.142" in view.inner_text("#why")
    at(view, "preset=jian2025-tabular")
    assert "Corollary 2" not in view.inner_text("#why")


def test_tabular_others_gain_while_the_rejected_leads(view: Page) -> None:
    for preset in ("jian2025-tabular", "ma2025-replicator"):
        logs = film(view, preset, rate=0.01)
        gains, leads = np.sign(np.diff(logs[:, 2])), np.sign(logs[:-1, 1] - logs[:-1, 0])
        away = np.abs(logs[:-1, 1] - logs[:-1, 0]) > 0.05
        assert away.sum() > 10
        assert (gains[away] == leads[away]).all()


def test_replicator_keeps_its_invariant(view: Page) -> None:
    code = "PreferenceDynamics.flow(Worlds.world(Worlds.preset('ma2025-replicator')), [1, 10, 100]).logProbs"
    logs = np.array(view.evaluate(code))
    kept = logs[:, 0] + logs[:, 1] - 2 * logs[:, 2]
    np.testing.assert_allclose(kept, math.log(0.1 * 0.8 / 0.1**2), rtol=1e-6)
    assert logs[-1, 0] > math.log(0.9)


def test_the_cycle_rests_at_the_reference(view: Page) -> None:
    np.testing.assert_allclose(np.exp(film(view, "ma2025-cycle"))[-1], [0.2, 0.3, 0.5], atol=1e-3)


def test_tied_responses_stop_between(view: Page) -> None:
    ends = np.exp(film(view, "wipf2024-tied"))[-1]
    np.testing.assert_allclose(ends, [7 / 17, 7 / 17, 3 / 17], atol=1e-6)
    free = np.exp(film(view, "wipf2024-tied", kind="tabular", steps=400))[-1]
    np.testing.assert_allclose(free, np.array([1, 9, 1]) / 11, atol=1e-4)
    at(view, "preset=wipf2024-tied&at=60")
    assert view.text_content("#why-title") == "Why does nothing move?"
    assert "no direction" in view.inner_text("#why")


def test_speeds_of_a_softmax(view: Page) -> None:
    found = first_step(view, "feng2024-speeds")
    unit = found["urgency"][0] * 0.2
    np.testing.assert_allclose(np.array(found["predicted"]) / unit, [7 / 20, -13 / 50, -9 / 100], rtol=1e-12)


def test_self_po_has_a_floor_and_simpo_has_none(view: Page) -> None:
    ends = film(view, "sun2025-floor")[-1]
    assert abs(ends[0] - ends[1] - 1.2785) < 1e-4
    assert abs(math.exp(ends[0]) - 0.0705) < 1e-4
    logs = film(view, "sun2025-floor", loss="simpo", steps=1000)
    assert math.exp(logs[-1, 0]) < 1e-3
    assert (np.diff(logs[:, 0] - logs[:, 1]) > 0).all()


def test_the_balanced_loss_turns_the_fall(view: Page) -> None:
    assert first_step(view, "ma2025-balanced")["predicted"][0] > 0
    assert first_step(view, "ma2025-balanced", loss="dpo")["predicted"][0] < 0


# ---------------------------------------------------------------- the sentence


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    features=st.lists(st.lists(st.integers(-3, 3), min_size=2, max_size=2), min_size=3, max_size=3),
    weights=st.lists(st.integers(1, 9), min_size=3, max_size=3),
)
def test_the_sentence_is_the_theorem(view: Page, features: list[list[int]], weights: list[int]) -> None:
    """The chosen response falls iff <g_w, g_l> > |g_w|^2, and the sentence says so with these numbers."""
    code = """changes => {
      const state = { ...Worlds.START, ...changes };
      return Words.explain(PreferenceDynamics.step(Worlds.world(state)), state);
    }"""
    said = view.evaluate(code, {"features": features, "p": weights})
    p = np.array(weights) / sum(weights)
    g = np.array(features) - p @ np.array(features)
    product, square = g[0] @ g[1], g[0] @ g[0]
    near = abs(product - square) < 1e-9
    verb, relation = ("falls", "greater") if product > square else ("rises", "less")
    if near:
        verb, relation = "stands still to first order", "equals"
    sentence = said["sentences"][0]
    assert f"The chosen response {verb}, because" in sentence
    assert relation in sentence
    numbers = [float(x) for x in re.findall(r"= (-?\d+(?:\.\d+)?)", sentence.replace("\u2212", "-"))]
    if " × 10" not in sentence:
        np.testing.assert_allclose(numbers, [product, square], rtol=6e-3, atol=1e-9)
    assert said["question"] == {"falls": "Why did it fall?", "rises": "Why did it rise?"}.get(
        verb, "Why does it stand still?"
    )


def test_a_loss_beyond_its_target_says_so(view: Page) -> None:
    at(view, "p=0.8,0.1,0.1&ref=0.1,0.8,0.1&loss=ipo&beta=1")
    assert "passed its target" in view.inner_text("#why")
    at(view, "p=0.8,0.1,0.1&ref=0.1,0.8,0.1&loss=hinge&beta=1")
    assert view.text_content("#why-title") == "Why does nothing move?"


def test_a_long_step_is_called_long(view: Page) -> None:
    at(view, "kind=line&p=0.5,0.6,0.01&features=1,0;0,0;3,0&beta=1&rate=10")
    account = view.evaluate("PreferenceDynamics.step(Worlds.world(Worlds.fromAddress(location.hash).state))")
    turned = [a * b < 0 for a, b in zip(account["actual"], account["predicted"], strict=True)]
    assert any(turned) == ("A step this long" in view.inner_text("#why"))
    assert any(turned)


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
    for control, value in (("#told", "cycle"), ("#told", "rewards"), ("#field", "ratios"), ("#field", "none")):
        view.select_option(control, value)
        settle(view)
        assert "NaN" not in view.content().split("<script>")[0]
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


def test_a_finger_drags_the_marks_and_not_the_page(view: Page) -> None:
    actions = view.eval_on_selector_all(".handle", "all => all.map(mark => getComputedStyle(mark).touchAction)")
    assert actions == ["none"] * 5
    sizes = view.eval_on_selector_all(".handle .hit", "all => all.map(hit => hit.getBoundingClientRect().width)")
    assert min(sizes) >= 24


def test_prints_the_picture_without_the_controls(view: Page) -> None:
    view.emulate_media(media="print")
    assert view.is_visible("#simplex")
    assert view.is_visible("#why")
    assert not view.is_visible("#play")
    assert not view.is_visible("#loss")
    view.emulate_media(media="screen")
