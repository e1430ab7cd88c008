"""One style for all figures: the same colour for the same thing everywhere, and no colour for two things.

The readings of the masked grid alone have colours of their own. There are three palettes: of responses, of methods, and
of statements (a paper's formula beside the exact one). Colours of different things differ clearly to normal colour
vision. Sixteen colours cannot all differ to the colour-blind; the responses do, the methods that share a drawing do,
and so do any two lines of a drawing without a label beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING

import matplotlib as mpl
import matplotlib.style
from matplotlib.colors import to_hex, to_rgb

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SERIF = ["STIXGeneral", "DejaVu Serif", "DejaVu Sans"]

COLUMN_WIDTH = 3.4  # inches, one column of a two-column page
PAGE_WIDTH = 7.0  # inches, both columns

# Responses: what happens to whom. Okabe and Ito's blue, vermilion and green, and a grey.
CHOSEN = "#0072B2"
REJECTED = "#D55E00"
GREEDY = "#009E73"  # y*, the most probable response outside the pair
OTHERS = "#6B6B6B"

# Methods: who does it. None of these colours is the colour of a response.
DPO_COLOR = "#4A1486"  # and the logistic loss, softplus
SELF_PO_COLOR = "#F0508F"  # and SiLU
HINGE_COLOR = "#7A4A00"  # and ReLU
IPO_COLOR = "#3F9FB8"  # and the square
IDENTITY_COLOR = "#9560DC"
GELU_COLOR = "#C99700"
NLL_COLOR = "#A0558C"  # DPO with a likelihood term
STABLE_PO_COLOR = "#3F7A35"
RLHF_COLOR = "#7A0A1E"
BALANCED_COLOR = "#8A8A00"  # ma2025's balanced or "PPO-like" update

# Statements: what is true beside what is in print.
EXACT_COLOR = "#0A4A52"
PRINTED_COLOR = "#D0203A"

# Signs of a change, for areas and numbers: ends of the diverging map that heat maps of signed quantities have.
RISES, FALLS, SIGNED = "#35978F", "#BF812D", "BrBG"

REFERENCE = "#000000"  # axes, the reference policy, and a quantity that belongs to no response or method

RESPONSES = {"chosen": CHOSEN, "rejected": REJECTED, "greedy": GREEDY, "others": OTHERS}
METHODS = {
    "dpo": DPO_COLOR,
    "self_po": SELF_PO_COLOR,
    "slic": HINGE_COLOR,
    "ipo": IPO_COLOR,
    "identity": IDENTITY_COLOR,
    "gelu": GELU_COLOR,
    "dpo_nll": NLL_COLOR,
    "stable_po": STABLE_PO_COLOR,
    "rlhf": RLHF_COLOR,
    "balanced": BALANCED_COLOR,
}
STATEMENTS = {"exact": EXACT_COLOR, "printed": PRINTED_COLOR}


@contextmanager
def paper_style(serif: bool = False) -> Iterator[None]:
    """Apply the project's style sheet inside a ``with`` block, whatever the user's own defaults are.

    Args:
        serif: whether text and mathematics are set in Times-like fonts, which come with matplotlib.

    Example:
        >>> with paper_style():
        ...     mpl.rcParams["font.size"]
        8.0
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.style.use(str(files("figures") / "paper.mplstyle"))
        if serif:
            mpl.rcParams.update({"font.family": "serif", "font.serif": SERIF, "mathtext.fontset": "stix"})
        yield


def tint(color: str, share: float) -> str:
    """Return a colour mixed with white, for areas and for things related to the one that has the colour.

    Args:
        color: any colour that matplotlib knows.
        share: of the colour, 0 to 1.

    Example:
        >>> tint("#000000", 0.2)
        '#cccccc'
    """
    red, green, blue = (1 - share * (1 - part) for part in to_rgb(color))
    return to_hex((red, green, blue))


def label_panel(axes: Axes, letter: str) -> None:
    """Put a bold panel letter left of the title of ``axes``."""
    axes.set_title(f"{letter}  {axes.get_title(loc='left')}", loc="left", fontweight="bold")


def label_line(axes: Axes, x: float, y: float, text: str, color: str, **keywords: object) -> None:
    """Write a label beside a line, in the colour of the line, with a white halo so that it reads on a grid."""
    from matplotlib import patheffects  # noqa: PLC0415 - pyplot-free, but slow to import when only styles are wanted

    halo = [patheffects.withStroke(linewidth=2, foreground="white")]
    axes.annotate(text, (x, y), color=color, path_effects=halo, **{"fontsize": 7, **keywords})  # type: ignore[arg-type]
