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
from figures.gallery import math, page, prose, read_entry, write_gallery
from figures.not_regenerated import NOT_REGENERATED
from figures.registry import Figure, select_figures
from figures.store import save
from figures.style import paper_style
from tests.browser import accessibility_problems, open_page
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
    assert "1 figures with a check that does not hold" in " ".join(html.split())
    assert not re.search(r'(src|href)="https?:', html), "the page must need nothing from elsewhere"


def test_a_text_cannot_become_markup(folder: Path) -> None:
    spec = dataclasses.replace(select_figures(["sun2025-4"])[0], caption="a < b <script>alert(1)</script>")
    html = page([read_entry(spec, folder, load_claims())])
    assert "<script>alert" not in html
    assert "a &lt; b" in html
    assert prose("<b> $x_1$") == "&lt;b&gt; " + math("x_1", "inline")


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
    widths = view.eval_on_selector_all(".picture img", "images => images.map(i => i.complete ? i.naturalWidth : 0)")
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
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_accessible_and_not_wider_than_the_screen(browser: Browser, folder: Path, scheme: Any, width: int) -> None:
    view, complaints = opened(browser, folder, color_scheme=scheme, viewport={"width": width, "height": 900})
    view.eval_on_selector_all("details", "items => items.forEach(item => { item.open = true })")
    assert not accessibility_problems(view)
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    assert not complaints
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
