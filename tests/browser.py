"""A headless Chromium for the tests of pages: where it is missing they are skipped, but they fail in CI."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.optional import do_without

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
# without these, Chromium asks its maker for updates
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def need(module: str) -> Any:
    """Return a module that drives the browser, or do without it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        do_without(module)


def find_chromium() -> str:
    """Return the path of the system's Chromium, or do without it."""
    return next(filter(None, map(shutil.which, NAMES)), None) or do_without("Chromium")


@contextmanager
def launch() -> Iterator[Browser]:
    """Yield a headless Chromium."""
    driver, found = need("playwright.sync_api"), find_chromium()
    with driver.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=QUIET)
        yield started
        started.close()


def open_page(browser: Browser, file: Path, query: str = "", **settings: Any) -> tuple[Page, list[str]]:
    """Return a page opened from disk and the list to which the browser's complaints about it are added."""
    complaints: list[str] = []
    view = browser.new_page(**settings)
    view.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    view.on("pageerror", lambda problem: complaints.append(str(problem)))
    view.on("requestfailed", lambda request: complaints.append(f"failed: {request.url[:80]}"))
    view.goto(file.as_uri() + query)
    return view, complaints


def accessibility_problems(view: Page) -> list[tuple[str, list[Any]]]:
    """Return what axe finds wrong with a page: the rule, and the elements that break it."""
    axe = need("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(view).response["violations"]
    return [(item["id"], [node["target"] for node in item["nodes"]][:3]) for item in found]
