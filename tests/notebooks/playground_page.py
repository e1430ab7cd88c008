"""The location of the playground, and how a test operates it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

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
    "razin2024-rejected-longer",
    "razin2024-identical",
    "razin2024-alignment",
    "ren2024-squeeze",
    "ren2024-negative",
    "pal2024-dpop",
    "yuan2024-tabular",
    "yuan2024-margin",
    "rafailov2024-mean",
    "azar2023-order",
    "chen2024-ipo",
    "pipano2026-border",
    "yan2024-faster",
    "chen2026-band",
)


def at(view: Page, address: str) -> None:
    """Open an address of the page and wait until it is shown."""
    view.evaluate("address => { location.hash = ''; location.hash = address; }", address)
    view.wait_for_function("address => Worlds.fromAddress(location.hash) && document.readyState", arg=address)
    settle(view)


def settle(view: Page) -> None:
    """Wait for the next picture."""
    view.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
