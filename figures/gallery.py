"""An HTML page of every figure with its caption, the results of its checks, and the claims that it belongs to."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import matplotlib as mpl
from PIL import Image

from dynamics.errors import InvalidArgument
from dynamics.files import write_atomically
from figures.not_regenerated import NOT_REGENERATED
from figures.registry import Figure
from figures.style import COLUMN_WIDTH, paper_style
from figures.topics import topic_of
from figures.typeset import math, plain, prose, typeset
from theory.claim import VERDICTS, Claim
from theory.report import PAPERS, TITLES

BEYOND = "new"
"""The group of the figures that are in no paper."""

FIRST = "jian2025-1a"
"""The figure with which the page opens: one pair, three responses, one curve for each."""

THUMBNAIL_WIDTH = 240  # pixels
ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"


@dataclass(frozen=True)
class Entry:
    """One figure of the page.

    Attributes:
        figure: the figure.
        manifest: the manifest of its run.
        picture: the PNG as a data URI, so that the page needs no other file.
        thumbnail: a small picture as a data URI.
        size: width and height of the PNG in pixels.
        claims: the claims of the ledger that it belongs to.
        notebook: name of the notebook that is about the same claims; empty if there is none.
    """

    figure: Figure
    manifest: dict[str, Any]
    picture: str = field(repr=False)
    thumbnail: str = field(repr=False)
    size: tuple[int, int]
    claims: tuple[Claim, ...]
    notebook: str = ""

    @property
    def group(self) -> str:
        """Return the paper's key, or "new"."""
        return self.figure.key.split("-", 1)[0]

    @property
    def topic(self) -> str:
        """Return what it is about."""
        return topic_of(self.figure)

    @property
    def wide(self) -> bool:
        """Return whether the figure spans the page rather than a column."""
        with paper_style():
            return self.size[0] > 1.5 * COLUMN_WIDTH * mpl.rcParams["savefig.dpi"]

    @property
    def panels(self) -> list[list[float]]:
        """Return the boxes of its panels, as ``panels.panel_boxes`` does; empty if there is one, or none is known."""
        return self.manifest.get("panels", [])

    @property
    def checks(self) -> list[tuple[str, str, bool]]:
        """Return the name of each check, what it demands, in words, and whether it holds."""
        said = self.manifest["must be seen"]
        return [(name, said[name], bool(seen)) for name, seen in self.manifest["checks"].items()]

    @property
    def passed(self) -> bool:
        """Return whether all checks hold."""
        return all(seen for _, _, seen in self.checks)

    @property
    def words(self) -> str:
        """Return the text that the page's search field searches, in lower case."""
        parts = [self.figure.key, self.figure.title, self.figure.source, self.figure.caption, self.figure.differs]
        parts += [text for _, text, _ in self.checks] + [f"{claim.key} {claim.verdict}" for claim in self.claims]
        return plain(" ".join([*parts, self.topic])).lower()

    @property
    def citation(self) -> str:
        """Return how to cite the figure."""
        commit = self.manifest["environment"]["commit"].rstrip("+")[:12]
        return f"{plain(self.figure.title)}. Figure {self.figure.key} of Preference Dynamics, commit {commit}; cf. " + (
            f"{self.figure.source}."
        )

    @property
    def settings(self) -> str:
        """Return the settings of its run, and the command that repeats it."""
        kept = {name: self.manifest[name] for name in ("key", "settings", "environment")}
        return json.dumps(kept | {"repeat": f"python -m figures {self.figure.key}"}, indent=1)


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
    with Image.open(io.BytesIO(picture)) as image:
        size = image.size
    own = tuple(claims[key] for key in figure.claims)
    return Entry(figure, manifest, uri, shrink(picture), size, own, notebook_about(figure.claims))


def shrink(picture: bytes) -> str:
    """Return a small copy of a PNG as a data URI."""
    with Image.open(io.BytesIO(picture)) as image:
        small = image.convert("RGB")
        small.thumbnail((THUMBNAIL_WIDTH, THUMBNAIL_WIDTH))
        written = io.BytesIO()
        small.save(written, "WEBP", quality=70)
    return "data:image/webp;base64," + base64.b64encode(written.getvalue()).decode()


@cache
def claims_of_notebooks() -> dict[str, frozenset[str]]:
    """Return the keys of claims that each notebook of a source checkout names; empty for an installed copy."""
    key = re.compile(rf"\b(?:{'|'.join(TITLES)})\.[a-z0-9.-]+[a-z0-9]")
    paths = sorted(NOTEBOOKS.glob("*.ipynb"))
    return {path.name: frozenset(key.findall(path.read_text(encoding="utf-8"))) for path in paths}


def notebook_about(claims: Iterable[str]) -> str:
    """Return the notebook that names most of the claims; empty if none names any."""
    shared = {name: len(named & set(claims)) for name, named in claims_of_notebooks().items()}
    best = max(shared, key=lambda name: shared[name], default="")
    return best if shared.get(best) else ""


def source_url() -> str:
    """Return the address of the project's source: from pyproject.toml in a checkout, else from the installed metadata.

    It is empty where neither names one; then the page has no links to notebooks and to the ledger.
    """
    project = ROOT / "pyproject.toml"
    if project.exists():
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"].get("urls", {}).get("Source", ""))
    try:
        pairs = [url.split(", ", 1) for url in metadata("preference-dynamics").get_all("Project-URL") or []]
    except PackageNotFoundError:
        return ""
    return dict(pairs).get("Source", "")


def ledger_anchor(key: str) -> str:
    """Return the file and anchor of a claim in the ledger.

    Example:
        >>> ledger_anchor("sun2025.section-4.3-ratio")
        'theory/sun2025/LEDGER.md#sun2025section-43-ratio'
    """
    return f"theory/{key.split('.', 1)[0]}/LEDGER.md#{re.sub(r'[^a-z0-9-]', '', key)}"


def count(number: int, noun: str) -> str:
    """Return a number with its noun in the right form.

    Example:
        >>> count(1, "figure"), count(2, "figure"), count(0, "check")
        ('1 figure', '2 figures', 'no checks')
    """
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def inline(latex: str) -> str:
    """Return LaTeX as MathML within a line."""
    return math(latex, "inline")


def links_to(folder: Path) -> str:
    """Return where the project's files are for a page in a folder.

    That is the way back to the checkout if the folder is in it, so that the links work from disk, and otherwise the
    address of the source; empty where there is neither.

    Example:
        >>> links_to(ROOT / "out")
        '..'
    """
    place = folder.resolve()
    if (ROOT / "pyproject.toml").exists() and place.is_relative_to(ROOT):
        return Path(os.path.relpath(ROOT, place)).as_posix()
    source = source_url()
    return f"{source}/blob/main" if source else ""


def page(entries: list[Entry], files_at: str = "") -> str:
    """Return the page as HTML; its links lead to the project's files at a place, if it is given."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(math=math, prose=prose, typeset=typeset, plain=plain, count=count, inline=inline)
    environment.globals.update(ledger_anchor=ledger_anchor)
    template = environment.from_string((files("figures") / "gallery.html.jinja").read_text(encoding="utf-8"))
    present = {entry.group for entry in entries}
    groups = {key: title for key, title in {**PAPERS, BEYOND: "Not in the papers"}.items() if key in present}
    commit = entries[0].manifest["environment"]["commit"] if entries else ""
    first = next((entry for entry in entries if entry.figure.key == FIRST), entries[0] if entries else None)
    return template.render(
        entries=entries,
        first=first,
        groups=groups,
        topics=list(dict.fromkeys(entry.topic for entry in entries)),
        verdicts=VERDICTS,
        missing=NOT_REGENERATED,
        commit=commit.rstrip("+")[:12],
        source=files_at,
    )


def write_gallery(figures: list[Figure], folder: Path, claims: dict[str, Claim]) -> Path:
    """Write ``index.html`` beside the files of the figures and return its path.

    Raises:
        InvalidArgument: from ``read_entry``.
    """
    html = page([read_entry(figure, folder, claims) for figure in figures], links_to(folder))
    path = folder / "index.html"
    write_atomically(path, lambda temporary: temporary.write_text(html, encoding="utf-8"))
    return path
