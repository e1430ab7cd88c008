"""The form of a notebook: the idea before the code, short cells, pictures with words, and no number by hand."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from tests.notebooks.form import (
    WIDGET,
    Page,
    answered_at_once,
    by_hand,
    mute_pictures,
    too_long,
    without_words,
)
from tests.notebooks.store import merged
from tests.notebooks.test_notebooks import NOTEBOOKS


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> Any:
    import nbformat

    return nbformat.read(request.param, as_version=4)


def new(*cells: tuple[str, str], shown: str = "") -> Any:
    """Return a notebook of cells, of kind and source; what is shown is the output of its code."""
    import nbformat

    made = nbformat.v4.new_notebook()
    for kind, source in cells:
        cell = getattr(nbformat.v4, f"new_{kind}_cell")(source)
        if kind == "code" and shown:
            cell.outputs = [nbformat.v4.new_output("stream", text=shown)]
        made.cells.append(cell)
    return made


# --- cells ---------------------------------------------------------------------------------------------------------


def test_short_cells(notebook: Any) -> None:
    assert not too_long(notebook)


def test_a_long_cell_would_be_seen() -> None:
    """Negative control."""
    assert too_long(new(("code", "x = 1\n" * 9)))
    assert not too_long(new(("code", "x = 1\n\n" * 8)))


def test_text_before_code(notebook: Any) -> None:
    assert not without_words(notebook)


def test_code_without_words_would_be_seen() -> None:
    """Negative control."""
    assert without_words(new(("markdown", "Look:"), ("code", "1"), ("code", "2"))) == ["2"]
    assert without_words(new(("code", "1"), ("markdown", "There.")))


def test_no_answer_in_the_cell_that_asks_for_a_prediction(notebook: Any) -> None:
    assert not answered_at_once(notebook)


def test_an_answer_beside_its_question_would_be_seen() -> None:
    """Negative control."""
    assert answered_at_once(new(("markdown", "**Predict:** up or down?\n\n## The answer\n\nDown."), ("code", "1")))
    assert answered_at_once(new(("markdown", "**Predict:** up or down?"), ("markdown", "Down.")))
    assert not answered_at_once(new(("markdown", "**Predict:** up or down?"), ("code", "1")))


# --- without a kernel ----------------------------------------------------------------------------------------------


def test_pictures_and_sliders_have_an_alternative_text(notebook: Any) -> None:
    assert not mute_pictures(notebook)


def test_a_mute_picture_would_be_seen() -> None:
    """Negative control."""
    import nbformat

    def shown(data: dict[str, Any], **about: str) -> Any:
        made = new(("code", "explore(show)"))
        made.cells[0].outputs = [nbformat.v4.new_output("display_data", data, metadata={"image/png": about})]
        return made

    words = "Three bars; the first is the highest."
    assert not mute_pictures(shown({"image/png": "aGk="}, alt=words))
    assert mute_pictures(shown({"image/png": "aGk="}))
    assert mute_pictures(shown({"text/plain": "interactive(...)"}))
    assert not mute_pictures(shown({"text/plain": "<a claim>", "text/markdown": "**Holds**"}))
    assert mute_pictures(shown({"image/png": "aGk=", WIDGET: {}}, alt=words))


def test_the_text_of_a_fold_that_a_list_item_closes_is_open() -> None:
    """Negative control: this is what the renderer makes of a fold that begins inside of a list item."""
    assert Page("<details>inside</details> outside").open_text == " outside"
    assert Page("<ol><li>1.<details>inside</li></ol><p>still inside?</p></details>").open_text == "1.still inside?"


def test_solutions_fold_and_pictures_speak_in_rendered_html(notebook: Any) -> None:
    from nbconvert import HTMLExporter

    page = Page(HTMLExporter(template_name="lab").from_notebook_node(notebook)[0])
    words = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    solutions = re.findall(r"</summary>\n\n(.*?)\n</details>", words, flags=re.S)
    assert page.folds == len(solutions) >= 3
    plain = re.sub(r"\s+", " ", page.open_text)
    for solution in solutions:
        longest = max(re.split(r"[`$*\n]", solution), key=len).strip()
        assert longest not in plain
    assert page.alts
    assert all(alt and alt != "No description has been provided for this image" for alt in page.alts)


def test_what_is_printed_in_one_go_is_one_output(notebook: Any) -> None:
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.source for cell in cells if len(merged(copy.deepcopy(cell.outputs))) < len(cell.outputs)] == []


def test_a_divided_output_would_be_seen() -> None:
    """Negative control."""
    divided = new(("code", "print(1); print(2)"), shown="1\n").cells[0].outputs * 2
    assert [output.text for output in merged(copy.deepcopy(divided))] == ["1\n1\n"]


# --- numbers -------------------------------------------------------------------------------------------------------


def test_numbers_in_the_text_are_computed(notebook: Any) -> None:
    assert not by_hand(notebook)


def test_a_number_by_hand_would_be_seen() -> None:
    """Negative control."""
    words = ("markdown", "It ends at 0.39, from 0.30, by `f(0.5)` of Sections 2.3 and 2.4; the lead is 4.34(2).")
    assert by_hand(new(words, ("code", "run(0.3)"), shown="0.39  4.34(2)")) == []
    assert by_hand(new(words, ("code", "run(0.3)"), shown="0.40  4.34(2)")) == ["0.39"]
    assert by_hand(new(words, ("code", "run(0.3)"), shown="0.39  4.34(3)")) == ["4.34(2)"]
