"""An HTML page of every figure with its caption, the results of its checks, and the claims that it belongs to."""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import jinja2
import matplotlib as mpl
from latex2mathml.converter import convert
from markupsafe import escape

from dynamics.errors import InvalidArgument
from dynamics.files import write_atomically
from figures.not_regenerated import NOT_REGENERATED
from figures.registry import Figure
from figures.style import COLUMN_WIDTH, paper_style
from theory.claim import VERDICTS, Claim
from theory.report import PAPERS

BEYOND = "new"
"""The group of the figures that are in no paper."""


@dataclass(frozen=True)
class Entry:
    """One figure of the page.

    Attributes:
        figure: the figure.
        manifest: the manifest of its run.
        picture: the PNG as a data URI, so that the page needs no other file.
        size: its width and height in pixels.
        claims: the claims of the ledger that it belongs to.
    """

    figure: Figure
    manifest: dict[str, Any]
    picture: str
    size: tuple[int, int]
    claims: tuple[Claim, ...]

    @property
    def group(self) -> str:
        """Return the paper's key, or "new"."""
        return self.figure.key.split("-", 1)[0]

    @property
    def wide(self) -> bool:
        """Return whether the figure spans the page rather than a column."""
        with paper_style():
            return self.size[0] > 1.5 * COLUMN_WIDTH * mpl.rcParams["savefig.dpi"]

    @property
    def checks(self) -> list[tuple[str, bool]]:
        """Return what each check demands, in words, and whether it holds."""
        said = self.manifest["must be seen"]
        return [(said[name], bool(seen)) for name, seen in self.manifest["checks"].items()]

    @property
    def passed(self) -> bool:
        """Return whether all checks hold."""
        return all(seen for _, seen in self.checks)

    @property
    def words(self) -> str:
        """Return the text that the page's search field searches, in lower case."""
        parts = [self.figure.key, self.figure.title, self.figure.source, self.figure.caption, self.figure.differs]
        parts += [text for text, _ in self.checks] + [f"{claim.key} {claim.verdict}" for claim in self.claims]
        return " ".join(parts).lower()


def read_entry(figure: Figure, folder: Path, claims: dict[str, Claim]) -> Entry:
    """Return a figure with the files of its run in a folder.

    Raises:
        InvalidArgument: the folder does not hold the figure, or the ledger does not hold one of its claims.
    """
    try:
        manifest = json.loads((folder / f"{figure.key}.json").read_text(encoding="utf-8"))
        picture = (folder / f"{figure.key}.png").read_bytes()
    except (OSError, ValueError) as problem:
        remedy = f"write them with: python -m figures {figure.key} --out {folder}"
        raise InvalidArgument("folder", f"the files of {figure.key} cannot be read ({problem}); {remedy}") from problem
    missing = [key for key in figure.claims if key not in claims]
    if missing:
        raise InvalidArgument("claims", f"the ledger has no claim {', '.join(missing)}, which {figure.key} names")
    uri = "data:image/png;base64," + base64.b64encode(picture).decode()
    size = struct.unpack(">II", picture[16:24])  # the place of width and height in every PNG
    return Entry(figure, manifest, uri, size, tuple(claims[key] for key in figure.claims))


def math(latex: str, display: Literal["block", "inline"] = "block") -> str:
    r"""Return LaTeX as MathML, which browsers draw without a script.

    Example:
        >>> print(math(r"g_w", "inline"))  # doctest: +ELLIPSIS
        <math ... display="inline"><mrow><msub><mi>g</mi><mi>w</mi></msub></mrow></math>
    """
    known = latex.replace(r"\arg", r"\operatorname{arg}")  # the converter does not know the other command
    return str(convert(known, display=display))


def prose(text: str) -> str:
    r"""Return a text with $LaTeX$ in it as HTML.

    Example:
        >>> prose("a < b")
        'a &lt; b'
    """
    parts = text.split("$")
    return "".join(math(part, "inline") if odd % 2 else str(escape(part)) for odd, part in enumerate(parts))


def page(entries: list[Entry]) -> str:
    """Return the page as HTML."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters.update(math=math, prose=prose)
    template = environment.from_string((files("figures") / "gallery.html.jinja").read_text(encoding="utf-8"))
    present = {entry.group for entry in entries}
    groups = {key: title for key, title in {**PAPERS, BEYOND: "Not in the papers"}.items() if key in present}
    commit = entries[0].manifest["environment"]["commit"] if entries else ""
    return template.render(
        entries=entries, groups=groups, verdicts=VERDICTS, missing=NOT_REGENERATED, commit=commit.rstrip("+")[:12]
    )


def write_gallery(figures: list[Figure], folder: Path, claims: dict[str, Claim]) -> Path:
    """Write ``index.html`` beside the files of the figures and return its path.

    Raises:
        InvalidArgument: from ``read_entry``.
    """
    html = page([read_entry(figure, folder, claims) for figure in figures])
    path = folder / "index.html"
    write_atomically(path, lambda temporary: temporary.write_text(html, encoding="utf-8"))
    return path
