"""The playground, opened in a browser once for each module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser import open_page
from tests.notebooks.playground_page import FILE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def view(browser: Browser) -> Iterator[Page]:
    """Yield the playground, which no test below may leave in another state than it says."""
    page, complaints = open_page(browser, FILE, viewport={"width": 1280, "height": 900})
    yield page
    assert not complaints
    page.close()
