"""The site, opened from disk: every link leads somewhere, nothing comes from a network, and it can be read on a phone.

A whole build takes three quarters of a minute, so here most long pages are left out: one notebook, the ledger of one
paper and the reference of one package stand for the others. The docstrings and the formulas of all pages are
looked at without Sphinx. ``make site`` builds everything, as strictly.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from notebooks.site.links import problems
from notebooks.site.sources import pages
from tests.browser import accessibility_problems, open_page
from tests.notebooks.site_part import NOTEBOOK, built
from tests.optional import needs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

needs("sphinx", "furo", "myst_nb", "ziamath")
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 900}
KINDS = {
    "first": "index.html",
    "notebook": f"notebooks/{NOTEBOOK}.html",
    "guide": "dynamics/losses/HOWTO.html",
    "ledger": "theory/feng2024/LEDGER.html",
    "reference": "api/dynamics.policies.html",
    "table": "dynamics/losses/README.html",
    "citations": "citations.html",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory)


@pytest.fixture(scope="module")
def phone(browser: Browser, site: Path) -> Iterator[Page]:
    """Yield a page of a phone's width; no page that it has opened may have complained or asked for a network."""
    view, complaints = open_page(browser, site / "index.html", viewport=PHONE)
    asked: list[str] = []
    view.on("request", lambda request: asked.append(request.url))
    yield view
    assert not complaints
    assert asked
    assert not [url for url in asked if not url.startswith(("file:", "data:"))]
    view.close()


def go(view: Page, site: Path, address: str) -> None:
    page, _, query = address.partition("?")
    view.goto((site / page).as_uri() + (f"?{query}" if query else ""))


# ---------------------------------------------------------------- whole


def test_every_link_leads_somewhere(site: Path) -> None:
    assert len(list(site.rglob("*.html"))) > len(pages())
    assert problems(site) == []


def test_every_page_of_the_project_is_in_the_site(site: Path) -> None:
    missing = [page for page in pages() if not (site / page).with_suffix(".html").exists()]
    assert missing == []
    assert (site / "notebooks" / "playground" / "index.html").exists()
    assert (site / "gallery" / "index.html").exists()


def test_links_of_the_gallery_stay_in_the_site(site: Path) -> None:
    page = (site / "gallery" / "index.html").read_text(encoding="utf-8")
    assert '"../theory/feng2024/LEDGER.html#feng2024theorem-1"' in page
    assert '"../notebooks/01_one_dpo_step.html"' in page
    assert not re.findall(r'href="[^"]*\.(?:md|ipynb)["#]', page)


# ---------------------------------------------------------------- in a browser


@pytest.mark.parametrize("kind", KINDS)
def test_a_phone_need_not_scroll_sideways(phone: Page, site: Path, kind: str) -> None:
    go(phone, site, KINDS[kind])
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    phone.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_formulas_are_drawn_with_the_font_that_comes_along(phone: Page, site: Path) -> None:
    go(phone, site, KINDS["notebook"])
    phone.evaluate("document.fonts.ready")
    loaded = (
        "[...document.fonts].filter(font => font.status === 'loaded').map(font => font.family.replaceAll('\"', ''))"
    )
    assert phone.evaluate(loaded) == ["STIX Two Math"]
    drawn = "[...document.querySelectorAll('.formula math')].map(formula => formula.getBoundingClientRect().height)"
    heights = phone.evaluate(drawn)
    assert len(heights) >= 2
    assert min(heights) > 12
    assert "$" not in phone.locator("article").inner_text().replace("$\\", "")


def test_solutions_and_answers_are_folded_until_they_are_asked_for(phone: Page, site: Path) -> None:
    go(phone, site, KINDS["notebook"])
    solution = phone.locator("details", has_text="Solution").first
    words = solution.locator("p").first
    assert not words.is_visible()
    solution.locator("summary").click()
    assert words.is_visible()
    heading = phone.locator("section#predict-first")
    assert heading.locator("img").count() >= 1
    assert not heading.locator("img").first.is_visible()
    answer = heading.locator("details", has_text="Read on when you have an answer").first
    assert not answer.locator("p").first.is_visible()


def test_the_search_works_from_disk(phone: Page, site: Path) -> None:
    go(phone, site, "search.html?q=likelihood+displacement")
    phone.wait_for_selector("#search-results li a")
    titles = phone.locator("#search-results li a").all_inner_texts()
    assert any("Likelihood displacement" in title for title in titles)
    go(phone, site, "search.html?q=LogLinear")
    phone.wait_for_selector("#search-results li a")
    assert any("LogLinear" in title for title in phone.locator("#search-results li a").all_inner_texts())
    go(phone, site, "search.html?q=zzyzx")
    phone.wait_for_selector(".search-summary")
    phone.wait_for_function("!document.querySelector('.search-summary').innerText.includes('Searching')")
    assert phone.locator("#search-results li a").count() == 0


def test_the_key_of_a_claim_leads_to_its_entry(phone: Page, site: Path) -> None:
    go(phone, site, KINDS["notebook"])
    phone.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
    phone.locator("article a", has_text="jian2025.log-margin").first.click()
    assert phone.url.endswith("theory/jian2025/LEDGER.html#jian2025log-margin")
    assert phone.locator("section:has(> #jian2025log-margin) > h4").is_visible()


@pytest.mark.parametrize("kind", ["first", "notebook"])
def test_axe_finds_nothing(browser: Browser, site: Path, kind: str) -> None:
    view, complaints = open_page(browser, site / KINDS[kind], viewport=DESK)
    assert complaints == []
    assert accessibility_problems(view) == []
    view.close()
