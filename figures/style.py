"""One style for all figures: the same colour for the same thing everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING

import matplotlib as mpl
import matplotlib.style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMN_WIDTH = 3.4  # inches, one column of a two-column page
PAGE_WIDTH = 7.0  # inches, both columns

CHOSEN = "#0072B2"
REJECTED = "#D55E00"
GREEDY = "#009E73"  # y*, the most probable other response
OTHERS = "#7F7F7F"
REFERENCE = "#000000"

DPO_COLOR = "#0072B2"
SELF_PO_COLOR = "#D55E00"
HINGE_COLOR = "#009E73"
IPO_COLOR = "#CC79A7"
IDENTITY_COLOR = "#7F7F7F"
BALANCED_COLOR = "#D55E00"  # ma2025's balanced or "PPO-like" update
EXACT_COLOR = "#009E73"  # an exact quantity set beside a paper's approximation
RLHF_COLOR = "#CC79A7"


@contextmanager
def paper_style() -> Iterator[None]:
    """Apply the project's style sheet inside a ``with`` block, whatever the user's own defaults are.

    Example:
        >>> with paper_style():
        ...     mpl.rcParams["font.size"]
        8.0
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.style.use(str(files("figures") / "paper.mplstyle"))
        yield


def label_panel(axes: Axes, letter: str) -> None:
    """Put a bold panel letter left of the title of ``axes``."""
    axes.set_title(f"{letter}  {axes.get_title(loc='left')}", loc="left", fontweight="bold")


def label_line(axes: Axes, x: float, y: float, text: str, color: str, **keywords: object) -> None:
    """Write a label beside a line, in the colour of the line, with a white halo so that it reads on a grid."""
    from matplotlib import patheffects  # noqa: PLC0415 - pyplot-free, but slow to import when only styles are wanted

    halo = [patheffects.withStroke(linewidth=2, foreground="white")]
    axes.annotate(text, (x, y), color=color, path_effects=halo, **{"fontsize": 7, **keywords})  # type: ignore[arg-type]
