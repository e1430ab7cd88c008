"""The page of the figures: what it says, and how it behaves in a browser."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import pytest

from dynamics import InvalidArgument
from figures.gallery import NOTEBOOKS, claims_of_notebooks, count, page, read_entry, write_gallery
from figures.not_regenerated import NOT_REGENERATED
from figures.registry import Figure, select_figures
from figures.store import save
from figures.style import paper_style
from figures.topics import OTHER, TOPICS, topic_of
from figures.typeset import math, plain, prose, typeset
from tests.browser import accessibility_problems, open_page
from tests.figures.full_page import write_full_page
from theory.ledger import load_claims

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ["feng2024-1b", "sun2025-4", "wipf2024-2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with three figures and the page of them, one with a check that does not hold."""
    import figures.catalog  # noqa: F401

    made = tmp_path_factory.mktemp("gallery")
    for spec in select_figures(NAMES):
        arrays = spec.compute()
        with paper_style():
            drawing = spec.drawers[0](arrays)
            save(spec, arrays, drawing, made)
            plt.close(drawing)
    path = made / "sun2025-4.json"
    manifest = json.loads(path.read_text())
    manifest["checks"][next(iter(manifest["checks"]))] = False
    path.write_text(json.dumps(manifest))
    write_gallery(select_figures(NAMES), made, load_claims())
    return made


def test_every_figure_is_there_with_its_checks_and_claims(folder: Path) -> None:
    html = (folder / "index.html").read_text()
    for spec in select_figures(NAMES):
        assert f'<article id="{spec.key}"' in html
        assert all(f"<code>{key}</code>" in html for key in spec.claims)
        for suffix in (".pdf", ".png", ".npz", ".json"):
            assert f'href="{spec.key}{suffix}"' in html
            assert (folder / (spec.key + suffix)).exists()
    assert all(item.source in html for item in NOT_REGENERATED)
    assert html.count('aria-label="not seen"') == 1
    words = " ".join(re.sub("<[^>]*>", "", html).split())
    assert "1 figure with a check that does not hold: sun2025-4." in words
    assert "1 figures" not in html
    assert f'href="#sun2025-4-{select_figures(["sun2025-4"])[0].checks[0].name}"' in html
    needed = r'src="https?:|<(link|script)[^>]*https?:|url\(.?https?:'
    assert not re.search(needed, html), "the page must need nothing from elsewhere"


def test_a_text_cannot_become_markup(folder: Path) -> None:
    spec = dataclasses.replace(select_figures(["sun2025-4"])[0], caption="a < b <script>alert(1)</script>")
    html = page([read_entry(spec, folder, load_claims())])
    assert "<script>alert" not in html
    assert "a &lt; b" in html
    assert prose("<b> $x_1$") == "&lt;b&gt; " + math("x_1", "inline")


def test_the_page_opens_with_the_simplest_figure_and_explains_its_words(full: Path) -> None:
    html = (full / "index.html").read_text()
    opening = html[: html.index("</header>")]
    assert 'href="#jian2025-1a"' in opening
    assert re.findall(r"<dt>(\w+)</dt>", opening) == ["DPO", "kernel", "drive", "verdict", "check"]
    assert opening.count("<dt>") == 6  # the two of the pair are mathematics


def test_mathematics_is_typeset_in_titles_captions_and_checks(full: Path) -> None:
    html = (full / "index.html").read_text()
    body = html[html.index("<article") : html.index("In print and not here")]
    shown = re.sub(r"<details>.*?</details>|<code>.*?</code>|<math.*?</math>|<[^>]*>", "", body, flags=re.S)
    assert "$" not in shown
    left = re.findall(r"\b(?:pi|theta|beta|gamma|lambda|sigma)\b|\b[A-Za-z]_[a-z0-9]+\b", shown)
    assert not left, f"these stand in a title, a caption or a check as they are: {set(left)}"
    assert "<mi>&#x003B3;</mi>" in body
    for attribute in re.findall(r'(?:alt|title|aria-label|data-words)="([^"]*)"', html):
        assert "$" not in attribute
        assert "\\gamma" not in attribute


def test_symbols_of_prose() -> None:
    assert typeset("pi_w") == math(r"\pi_{w}", "inline")
    followed = f'<span class="whole">{math("y^{*}", "inline")},</span>'
    assert typeset("y*, e^-m") == f"{followed} {math('e^{-m}', 'inline')}"
    assert typeset("pi_other^2") == math(r"\pi_{\text{other}}^{2}", "inline")
    assert typeset(r"$\gamma=2$ <= 3") == math(r"\gamma=2", "inline") + " \u2264 3"
    for word in ("learning_rate", "a*b", "log-linear", "beta-test", "a", "pie", "no_such_name"):
        assert typeset(word) == word
    assert typeset("<script>") == "&lt;script&gt;"
    assert plain(r"$\gamma=0.8$") == "\u03b3=0.8"


def test_every_figure_has_one_topic() -> None:
    keys = [key for topic in TOPICS.values() for key in topic]
    assert len(keys) == len(set(keys))
    assert {topic_of(spec) for spec in select_figures([])} == set(TOPICS)
    assert topic_of(dataclasses.replace(select_figures(["sun2025-4"])[0], key="my-own")) == OTHER


def test_links_lead_to_what_is_there(full: Path) -> None:
    """Every link to the project's source names a file of it, and an anchor that the ledger has."""
    html = (full / "index.html").read_text()
    root = NOTEBOOKS.parent
    links = re.findall(r'href="https://[^"]*?/blob/main/([^"#]*)(?:#([^"]*))?"', html)
    assert {Path(path).suffix for path, _ in links} == {".md", ".ipynb"}
    headings = {
        path: {re.sub("[^a-z0-9 -]", "", line.lstrip("# ").lower()).strip().replace(" ", "-") for line in lines}
        for path, lines in (
            (path, re.findall(r"^#+ .*$", (root / path).read_text(), re.M)) for path in {p for p, a in links if a}
        )
    }
    for path, anchor in set(links):
        assert (root / path).exists()
        assert not anchor or anchor in headings[path], f"{path} has no heading {anchor}"
    assert len(claims_of_notebooks()) == len(list(NOTEBOOKS.glob("*.ipynb")))
    own = set(re.findall(r'href="#([^"]*)"', html))
    assert own <= set(re.findall(r' id="([^"]*)"', html))


IN_PRINT = {
    "Jian et al. 2025": {"Figure": 6, "Table": 5},
    "Wipf 2024": {"Figure": 2},
    "Feng et al. 2024": {"Figure": 1},
    "Sun et al. 2025": {"Figure": 7, "Table": 6},
    "Ma et al. 2025": {"Figure": 2, "Table": 3},
}
"""How many figures and tables each paper has."""


def named_in(source: str) -> set[tuple[str, int]]:
    """Return the figures and tables that a source names: "Figure 2 and Tables 3, 4" are (Figure, 2), (Table, 3), ..."""
    found = set()
    for kind, numbers in re.findall(r"\b(Figure|Table)s?((?:,? (?:and )?\d+)+)", source):
        found |= {(kind, int(number)) for number in re.findall(r"\d+", numbers)}
    return found


def test_what_is_in_print_is_here_or_named() -> None:
    assert named_in("Figure 2 and Tables 3, 4, 6") == {("Figure", 2), ("Table", 3), ("Table", 4), ("Table", 6)}
    for paper, counts in IN_PRINT.items():
        everything = {(kind, number) for kind, most in counts.items() for number in range(1, most + 1)}
        here = set().union(*(named_in(spec.source) for spec in select_figures([]) if spec.source.startswith(paper)))
        away = set().union(*(named_in(item.source) for item in NOT_REGENERATED if item.source.startswith(paper)))
        assert here | away == everything, paper
        assert not here & away, paper


def test_numbers_with_their_nouns() -> None:
    assert [count(number, "figure") for number in (0, 1, 2)] == ["no figures", "1 figure", "2 figures"]


def test_every_claim_can_be_shown() -> None:
    for claim in load_claims().values():
        shown = [math(claim.says), prose(claim.because), prose(claim.assumes)]
        assert not any(re.search(r"\\[a-zA-Z]+", text) for text in shown), claim.key


def test_what_is_missing_is_named(folder: Path, tmp_path: Path) -> None:
    spec = select_figures(["sun2025-4"])[0]
    with pytest.raises(InvalidArgument, match="write them with: python -m figures "):
        write_gallery([spec], tmp_path, load_claims())
    assert not list(tmp_path.iterdir())
    with pytest.raises(InvalidArgument, match="the ledger has no claim"):
        read_entry(dataclasses.replace(spec, claims=("sun2025.no-such-claim",)), folder, load_claims())


def opened(browser: Browser, folder: Path, query: str = "", **settings: Any) -> tuple[Page, list[str]]:
    """Return the page and what the browser complains about."""
    return open_page(browser, folder / "index.html", query, **settings)


def visible(view: Page) -> list[str]:
    return view.eval_on_selector_all("article:not([hidden])", "cards => cards.map(card => card.id)")


@pytest.mark.slow
def test_images_load_and_filters_work(browser: Browser, folder: Path) -> None:
    view, complaints = opened(browser, folder)
    widths = view.eval_on_selector_all(
        "article .picture img", "images => images.map(i => i.complete ? i.naturalWidth : 0)"
    )
    assert len(widths) == len(NAMES)
    assert min(widths) > 500
    assert visible(view) == ["wipf2024-2", "feng2024-1b", "sun2025-4"]  # papers in the order of the ledger
    view.keyboard.press("/")
    view.keyboard.type("softplus SiLU")
    assert visible(view) == ["sun2025-4"]
    assert view.text_content("#count") == "1 figure"
    view.keyboard.type(" no-such-word")
    assert visible(view) == []
    assert view.is_visible("#none")
    view.keyboard.press("Escape")
    assert len(visible(view)) == len(NAMES)
    view.keyboard.press("Tab")  # on to the papers, which are one stop with arrow keys, as radio buttons are
    view.keyboard.press("ArrowRight")
    assert visible(view) == ["wipf2024-2"]
    assert "paper=wipf2024" in view.url
    assert not complaints
    view.close()
    view, complaints = opened(browser, folder, "?paper=feng2024")
    assert visible(view) == ["feng2024-1b"]
    assert not complaints
    view.close()


@pytest.mark.slow
def test_topics_and_failing_checks_are_filters(browser: Browser, folder: Path) -> None:
    view, complaints = opened(browser, folder)
    view.select_option("#topic", "losses")
    assert visible(view) == ["wipf2024-2", "sun2025-4"]
    assert "topic=losses" in view.url
    assert view.eval_on_selector_all(".thumbs li:not([hidden])", "items => items.length") == 2
    view.select_option("#topic", "")
    view.click("#show-failing")
    assert visible(view) == ["sun2025-4"]
    assert view.text_content("#count") == "1 figure"
    view.uncheck("#failing", force=True)
    assert len(visible(view)) == len(NAMES)
    assert not complaints
    view.close()
    view, _ = opened(browser, folder, "?state=failing&topic=nothing-of-this-name")
    assert visible(view) == ["sun2025-4"]
    view.close()


@pytest.mark.slow
def test_a_tap_enlarges_and_a_button_copies(browser: Browser, folder: Path) -> None:
    view, complaints = opened(browser, folder, viewport={"width": 390, "height": 844}, has_touch=True)
    assert not view.is_visible("#zoom")
    view.tap("#feng2024-1b .picture a")
    assert view.is_visible("#zoom")
    assert view.evaluate("document.querySelector('#zoom img').offsetWidth") > 390
    view.tap("#zoom button")
    assert not view.is_visible("#zoom")
    view.evaluate("navigator.clipboard.writeText = text => { window.copied = text; return Promise.resolve(); }")
    view.click("#sun2025-4 button:has-text('copy citation')")
    assert "Figure sun2025-4 of Preference Dynamics" in view.evaluate("window.copied")
    view.click("#sun2025-4 button:has-text('copy settings')")
    assert json.loads(view.evaluate("window.copied"))["settings"] == {"end": 6.0, "points": 301}
    assert not complaints
    view.close()


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the page of every figure."""
    made = tmp_path_factory.mktemp("full")
    write_full_page(made, failing="wipf2024-2")
    return made


WIDTHS = (360, 390, 1280)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_full_page_fits_the_screen_and_shows_what_a_link_names(
    browser: Browser, full: Path, scheme: Any, width: int
) -> None:
    view, complaints = opened(browser, full, color_scheme=scheme, viewport={"width": width, "height": 844})
    assert view.eval_on_selector_all("article", "cards => cards.length") > 30
    view.eval_on_selector_all("details", "items => items.forEach(item => { item.open = true })")
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    assert view.evaluate("document.body.scrollWidth") <= width
    for key in ("jian2025-1c", "sun2025-5", "wipf2024-2", "new-self-po-attractor"):
        view.evaluate("key => { location.hash = key }", key)
        view.wait_for_function(
            "key => Math.abs(document.getElementById(key).getBoundingClientRect().top) < 400", arg=key
        )
        top, bar = view.evaluate(
            "key => [document.getElementById(key).getBoundingClientRect().top, "
            "Math.max(0, document.querySelector('form[role=search]').getBoundingClientRect().bottom)]",
            key,
        )
        assert bar <= top < bar + 60, f"{key} is not below the bar, or not near it"
    # on a phone every panel has a row of its own
    panels = view.evaluate(
        "[...document.querySelectorAll('#sun2025-5 .panel')].map(e => [e.offsetLeft, e.offsetTop, e.offsetWidth])"
    )
    rows = {top for _, top, wide in panels if wide}
    assert len(rows) == (2 if width < 700 else 0)
    assert not complaints
    # the check itself can fail
    view.add_style_tag(content="article { min-width: 1400px }")
    assert view.evaluate("document.documentElement.scrollWidth") > width
    view.close()


@pytest.mark.slow
def test_the_full_page_is_accessible_on_a_phone_in_the_dark(browser: Browser, full: Path) -> None:
    view, _ = opened(browser, full, color_scheme="dark", viewport={"width": 390, "height": 844})
    assert not accessibility_problems(view)
    view.close()


@pytest.mark.slow
def test_three_figures_are_accessible_in_the_light_with_all_claims_open(browser: Browser, folder: Path) -> None:
    view, _ = opened(browser, folder, viewport={"width": 1280, "height": 900})
    view.eval_on_selector_all("details", "items => items.forEach(item => { item.open = true })")
    assert not accessibility_problems(view)
    # the check itself can fail
    view.add_style_tag(content="p { color: #ccc !important; background: #ddd !important }")
    assert "color-contrast" in dict(accessibility_problems(view))
    view.close()


@pytest.mark.slow
def test_prints_without_the_search(browser: Browser, folder: Path) -> None:
    view, _ = opened(browser, folder)
    view.emulate_media(media="print")
    assert not view.is_visible("form")
    assert view.is_visible("article")
    view.close()


def test_a_figure_needs_no_claims(folder: Path) -> None:
    spec: Figure = dataclasses.replace(select_figures(["sun2025-4"])[0], claims=())
    assert "What is true of the claims" not in page([read_entry(spec, folder, {})])
