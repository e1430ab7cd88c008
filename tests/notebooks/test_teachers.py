"""The page for teachers: it names every part of every notebook, in order, and no number that a notebook lacks."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.notebooks.form import by_hand
from tests.notebooks.test_notebooks import NOTEBOOKS, ROOT

PAGE = (ROOT / "notebooks" / "TEACHERS.md").read_text()
ROW = re.compile(r"^\| (.+?) \| (\d+) \| (.+?) \|$", flags=re.M)


def section(page: str, number: str) -> str:
    """Return what the page says of the notebook with that number."""
    return re.split(r"^## ", page.partition(f"\n## {number} ")[2], flags=re.M)[0]


def parts_of(notebook: Any) -> list[str]:
    words = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return re.findall(r"^## (.*)$", words, flags=re.M)


def read(path: Any) -> Any:
    import nbformat

    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_names_every_part_with_its_minutes_and_its_key(path: Any) -> None:
    notebook = read(path)
    rows = ROW.findall(section(PAGE, path.stem[:2]))
    assert [part for part, _, _ in rows] == parts_of(notebook)
    assert 45 <= sum(int(minutes) for _, minutes, _ in rows) <= 90


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_numbers_of_the_key_are_those_of_the_notebook(path: Any) -> None:
    import nbformat

    notebook = read(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    key = nbformat.v4.new_markdown_cell(section(PAGE, path.stem[:2]))
    assert not by_hand(nbformat.v4.new_notebook(cells=[key, *code]))
    wrong = nbformat.v4.new_markdown_cell(key.source + " It ends at 0.123456.")
    assert by_hand(nbformat.v4.new_notebook(cells=[wrong, *code])) == ["0.123456"]


def test_a_part_that_is_missing_would_be_seen() -> None:
    """Negative control."""
    page = PAGE.replace("| Turn the knobs | 10 |", "| Turn | 10 |", 1)
    assert [row[0] for row in ROW.findall(section(page, "01"))] != parts_of(read(NOTEBOOKS[0]))


def test_no_badge_points_to_an_address_that_may_not_exist() -> None:
    words = PAGE + (ROOT / "notebooks" / "README.md").read_text()
    assert "badge.svg" not in words
    assert "mybinder.org/badge" not in words
