"""How a figure leaves the project: formats, width and typeface of pictures, tables as CSV and LaTeX, and captions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynamics.errors import InvalidArgument, check_flag, check_positive
from dynamics.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.figure import Figure as Drawing
    from pandas import DataFrame

    from figures.registry import Figure

PICTURES = ("png", "pdf", "svg")
TABLES = ("csv", "tex")
ANIMATIONS = ("gif",)
FRAMES_PER_SECOND = 12
NARROWER = 0.9
"""Text keeps its size, so that the labels of a figure begin to touch below this share of the width it is made for."""


@dataclass(frozen=True)
class Look:
    """How pictures are written.

    Attributes:
        formats: of png, pdf and svg; for figures that are tables also csv and tex, for those that move also gif.
        width: of the pictures in inches; None for the width that each figure is made for, 3.4 (a column) or 7 (a page).
            The height changes in proportion. The size of the text does not change.
        serif: whether text has serifs, in the Times-like fonts that come with matplotlib.
    """

    formats: tuple[str, ...] = ("png", "pdf")
    width: float | None = None
    serif: bool = False

    def __post_init__(self) -> None:
        """Check the arguments.

        Raises:
            InvalidArgument: an unknown format, none at all, or a width that is no length.
        """
        known = (*PICTURES, *TABLES, *ANIMATIONS)
        if not isinstance(self.formats, tuple) or not self.formats or not set(self.formats) <= set(known):
            raise InvalidArgument("formats", self.formats, f"some of {', '.join(known)}")
        if self.width is not None:
            check_positive("width", self.width)
        check_flag("serif", self.serif)

    def suffixes(self, spec: Figure) -> tuple[str, ...]:
        """Return the suffixes of the files of a figure: of these formats, those that it can be written in."""
        possible = (*PICTURES, *(TABLES if spec.tables else ()), *(ANIMATIONS if spec.animators else ()))
        return (".npz", *(f".{name}" for name in self.formats if name in possible))

    def apply(self, drawing: Drawing) -> str:
        """Give a drawing its width and return a remark if it is narrower than what it was made for, else nothing."""
        own, height = drawing.get_size_inches()
        if self.width is None or self.width == own:
            return ""
        drawing.set_size_inches(self.width, height * self.width / own)
        if self.width < NARROWER * own:
            return f"it is made for {own:g} in; at {self.width:g} in its labels may touch"
        return ""


def parse_formats(words: str) -> tuple[str, ...]:
    """Return formats from a list with commas.

    Example:
        >>> parse_formats("svg, pdf")
        ('svg', 'pdf')
    """
    return tuple(dict.fromkeys(word.strip().lower().lstrip(".") for word in words.split(",") if word.strip()))


def still_at_the_end(records: int, shown: int = 60, still: int = 15) -> list[int]:
    """Return which records an animation shows: about so many evenly spaced ones, and the last for some time.

    Example:
        >>> still_at_the_end(7, shown=3, still=2)
        [0, 3, 6, 6, 6]
    """
    places = [round(i * (records - 1) / max(1, shown - 1)) for i in range(shown)]
    return [*dict.fromkeys(places), *[records - 1] * still]


def write_gif(animation: FuncAnimation, path: Path) -> None:
    """Write an animation as a GIF that begins again at its end."""
    import matplotlib.pyplot as plt  # noqa: PLC0415 - only animations need them
    from matplotlib.animation import PillowWriter  # noqa: PLC0415

    drawing = animation._fig  # type: ignore[attr-defined]  # matplotlib gives no other way to it
    try:
        drawing.draw_without_rendering()
        drawing.set_layout_engine("none")  # panels stand still, and are not placed anew for every frame
        animation.save(path, writer=PillowWriter(fps=FRAMES_PER_SECOND), dpi=110)
    finally:
        plt.close(drawing)


def to_csv(table: DataFrame) -> str:
    r"""Return a table as CSV, numbers in full.

    Example:
        >>> import pandas
        >>> to_csv(pandas.DataFrame({"loss": ["DPO"], "$\\beta$": [0.1]}))
        'loss,$\\beta$\nDPO,0.1\n'
    """
    return str(table.to_csv(index=False, lineterminator="\n"))


def to_latex(table: DataFrame) -> str:
    r"""Return a table for LaTeX with the package booktabs; what stands between dollars is mathematics, the rest text.

    Example:
        >>> import pandas
        >>> print(to_latex(pandas.DataFrame({"loss": ["DPO & SFT"], "$\\beta$": [0.1], "pairs": [None]})))
        \begin{tabular}{lrl}
        \toprule
        loss & $\beta$ & pairs \\
        \midrule
        DPO \& SFT & 0.1 & -- \\
        \bottomrule
        \end{tabular}
        <BLANKLINE>
    """
    floats = [name for name in table.columns if table[name].dtype.kind == "f"]
    words = [name for name in table.columns if name not in floats]
    style = table.style.hide(axis="index").format("{:g}".format, na_rep="--", subset=floats)
    style = style.format(escape="latex-math", na_rep="--", subset=words).format_index(escape="latex-math", axis=1)
    return str(style.to_latex(hrules=True))


def captions(manifests: Iterable[dict[str, Any]]) -> str:
    """Return the captions of some figures as Markdown: title, caption, what differs from print, and the source."""
    parts = ["# Captions\n"]
    for found in manifests:
        parts.append(f"## {found['key']}\n\n**{found['title']}.** {found['caption']}\n")
        if found["differs"]:
            parts.append(f"*Difference from print.* {found['differs']}\n")
        parts.append(f"Source: {found['source']}.\n")
    return "\n".join(parts)


def write_captions(keys: Iterable[str], folder: Path) -> Path:
    """Write ``captions.md`` from the manifests in a folder, as far as there are any, and return its path."""
    paths = [folder / f"{key}.json" for key in keys]
    found = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]
    target = folder / "captions.md"
    write_atomically(target, lambda temporary: temporary.write_text(captions(found), encoding="utf-8"))
    return target
