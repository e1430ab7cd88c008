"""The ledger as recorded in its pages: the outcome of each claim when it was last run.

Reading the pages takes milliseconds, while importing the claims takes seconds: a list of claims is read from here.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dynamics.errors import InvalidArgument
from theory.order import PLACES
from theory.places import speaks_of
from theory.strength import GRADES

FOLDER = Path(__file__).parent
VERDICT = re.compile(r"^\*\*([\w-]+)\*\*: .*? In print: (.*)\.$", re.MULTILINE)
STRENGTH = re.compile(r"^Strength: (.*)\.$", re.MULTILINE)
NAMES = re.compile(r"\bclaim\(\s*\"([a-z0-9.-]+)\"")


@dataclass(frozen=True)
class Row:
    """A claim in a list.

    Attributes:
        key: paper and name.
        source: where it is in the paper.
        verdict: what the evidence earned.
        strength: how strongly it is known; "" if that is not recorded.
    """

    key: str
    source: str
    verdict: str
    strength: str

    @property
    def paper(self) -> str:
        """Return the paper's key."""
        return self.key.partition(".")[0]

    @property
    def grade(self) -> str:
        """Return "proved", "unrefuted", "numerical" or ""."""
        return next((grade for grade in GRADES if self.strength.startswith(grade)), "")


def page_of(paper: str, folder: Path = FOLDER) -> Path:
    """Return the file of a paper's page."""
    return folder / paper / "LEDGER.md"


def sections_of(page: str) -> dict[str, str]:
    r"""Return the sections of claims on a page by key, as ``theory.report.section`` wrote them.

    Example:
        >>> sections_of("### a topic\n\n#### ma2025.one\n\nIt holds.\n\n## Another part\n")
        {'ma2025.one': '#### ma2025.one\n\nIt holds.\n'}
    """
    parts = re.split(r"^(?=#{2,4} )", page, flags=re.MULTILINE)
    own = (part.rstrip() + "\n" for part in parts if part.startswith("#### "))
    return {part.split("\n", 1)[0].removeprefix("#### "): part for part in own}


def recorded_sections(folder: Path = FOLDER) -> dict[str, str]:
    """Return the sections of all pages by key, in the order of the papers."""
    pages = (page_of(paper, folder) for paper in PLACES)
    return {key: text for page in pages if page.is_file() for key, text in sections_of(page.read_text("utf-8")).items()}


def row_of(key: str, section: str) -> Row:
    """Return what a section of a page records.

    Raises:
        InvalidArgument: the text is not a section that ``theory.report.section`` wrote.
    """
    verdict, strength = VERDICT.search(section), STRENGTH.search(section)
    if verdict is None or strength is None:
        raise InvalidArgument(
            "page", f"its section {key} lacks a verdict; write it again with python -m theory --update"
        )
    return Row(key, verdict[2], verdict[1].lower(), strength[1])


def rows(folder: Path = FOLDER) -> list[Row] | None:
    """Return all recorded claims in the order of the papers; None if a page is missing or lacks a claim of the code."""
    sections = recorded_sections(folder)
    written = {
        name if "." in name and name.partition(".")[0] in PLACES else f"{paper}.{name}"
        for paper in PLACES
        for file in (FOLDER / paper).glob("*.py")
        for name in NAMES.findall(file.read_text("utf-8"))
    }
    if not sections or written - set(sections):
        return None
    return [row_of(key, section) for key, section in sections.items()]


def matching(
    ledger: Iterable[Row],
    patterns: Sequence[str] = (),
    paper: str | None = None,
    place: str | None = None,
    verdict: str | None = None,
    strength: str | None = None,
) -> list[Row]:
    """Return the claims that match all of the given conditions.

    Args:
        ledger: all claims, in order.
        patterns: keys, patterns such as ``"jian2025.eq-*"``, or the key of a paper for all of its claims; all claims if
            empty.
        paper: key of a paper, such as ``ma2025``.
        place: number of an equation, or a label such as "Theorem 1": only claims whose source names it.
        verdict: "holds", "false" and so on.
        strength: "proved", "unrefuted" or "numerical", or any part of the words for a strength, such as "smt".

    Raises:
        InvalidArgument: a condition that matches no claim, or an argument of the wrong type.
    """
    chosen = list(ledger)
    if not isinstance(patterns, (tuple, list)) or not all(isinstance(pattern, str) for pattern in patterns):
        raise InvalidArgument("patterns", patterns, "a list of keys of claims, or patterns such as 'jian2025.eq-*'")
    papers = [name for name in PLACES if any(row.paper == name for row in chosen)]
    keys = [row.key for row in chosen]
    patterns = [f"{pattern}.*" if pattern in papers else pattern for pattern in patterns]
    for pattern in patterns:
        if not fnmatch.filter(keys, pattern):
            near = [key for key in keys if key.split(".")[-1].startswith(pattern.split(".")[-1][:4])][:5]
            hint = f"; near it: {', '.join(near)}" if near else ""
            raise InvalidArgument(
                "keys", pattern, f"a key of a claim, or a pattern that matches some (python -m theory --list){hint}"
            )
    if paper is not None and (not isinstance(paper, str) or paper not in papers):
        raise InvalidArgument("paper", paper, "one of " + ", ".join(papers))
    verdicts = sorted({row.verdict for row in chosen})
    if verdict is not None and verdict not in verdicts:
        raise InvalidArgument("verdict", verdict, "one of " + ", ".join(verdicts))
    wanted = [
        row
        for row in chosen
        if (not patterns or any(fnmatch.fnmatch(row.key, pattern) for pattern in patterns))
        and (paper is None or row.paper == paper)
        and (verdict is None or row.verdict == verdict)
    ]
    if place is not None:
        wanted = [row for row in wanted if speaks_of(row.source, place)]
        if not wanted:
            raise InvalidArgument("place", place, "an equation, theorem or section that some claim is about")
    if strength is not None:
        grades = [grade for grade in GRADES if any(row.grade == grade for row in wanted)]
        wanted = [row for row in wanted if (row.grade == strength if strength in GRADES else strength in row.strength)]
        if not wanted:
            raise InvalidArgument(
                "strength", strength, f"{', '.join(grades)}, or part of a recorded strength, such as smt"
            )
    return wanted
