"""The page "What is known about likelihood displacement" says what the ledger says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from theory.ledger import load_claims
from theory.neighbours import NEIGHBOURS
from theory.order import is_ours
from theory.report import PAPERS, anchor

CLAIMS = load_claims()
PAGE = Path(__file__).parents[2] / "theory" / "DISPLACEMENT.md"
ROW = re.compile(
    r"^\| (?P<says>[A-Z].+) \| (?P<assumes>.+) \| (?P<verdict>.+) "
    r"\| \[(?P<key>.+)\]\((?P<link>.+)\)(?P<ours>, ours)? \|$"
)


def rows(text: str) -> list[dict[str, str | None]]:
    """Return the rows of all tables of the page; each line of a table but its head must be one."""
    lines = [line for line in text.split("\n") if line.startswith("|") and not line.startswith(("| statement", "|---"))]
    found = [ROW.match(line) for line in lines]
    assert all(found), lines[found.index(None)]
    return [match.groupdict() for match in found if match]


def disagreements(text: str) -> list[str]:
    """Return the keys whose row does not say what the ledger says."""
    bad = []
    for row in rows(text):
        made = CLAIMS.get(row["key"])
        if made is None:
            bad.append(row["key"])
            continue
        ours = ", ours" if is_ours(made.source) else None
        link = f"{made.paper}/LEDGER.md#{anchor(made.key)}"
        if (row["verdict"], row["ours"], row["link"]) != (made.verdict, ours, link):
            bad.append(row["key"])
    return bad


def test_every_row_names_a_claim_with_its_verdict_and_its_author() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert disagreements(text) == []
    keys = [row["key"] for row in rows(text)]
    assert len(keys) == len(set(keys)) > 40
    papers = {key.partition(".")[0] for key in keys}
    assert papers & set(PAPERS)
    assert len(papers & set(NEIGHBOURS)) > 5


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("| holds | [jian2025.log", "| false | [jian2025.log"),
        (", ours |", " |"),
        ("#jian2025log-margin", "#jian2025log-margins"),
        ("[jian2025.log-margin]", "[jian2025.no-such-claim]"),
    ],
)
def test_a_row_that_says_otherwise_is_noticed(old: str, new: str) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert old in text
    assert len(disagreements(text.replace(old, new, 1))) == 1


def test_the_readme_counts_the_second_part() -> None:
    text = (PAGE.parents[1] / "README.md").read_text(encoding="utf-8")
    count = sum(key.partition(".")[0] in NEIGHBOURS for key in CLAIMS)
    assert f"{count} statements of {len(NEIGHBOURS)} neighbouring papers" in text
