"""The form of a notebook: the idea before the code, short cells, pictures with words, and no number by hand."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from tests.notebooks.test_notebooks import NOTEBOOKS, WIDGET

MOST_LINES = 8
NUMBER = re.compile(r"(?<![\w.])\d+(?:\\?[, ]\d{3})*\.\d+(?:\(\d+\))?")
SYMBOLS = re.compile(r"`[^`]*`|(?:Section|Proposition|Figure|Lemma|Remark)s? \d+\.\d+(?: and \d+\.\d+)?")
"""Code to run and references to a paper: their numbers are no results."""


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


def too_long(notebook: Any) -> list[str]:
    """Return the code cells with more than eight lines that are not blank."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return [source for source in code if len([line for line in source.splitlines() if line.strip()]) > MOST_LINES]


def test_short_cells(notebook: Any) -> None:
    assert not too_long(notebook)


def test_a_long_cell_would_be_seen() -> None:
    """Negative control."""
    assert too_long(new(("code", "x = 1\n" * 9)))
    assert not too_long(new(("code", "x = 1\n\n" * 8)))


def without_words(notebook: Any) -> list[str]:
    """Return the code cells that do not follow a text."""
    kinds = ["", *(cell.cell_type for cell in notebook.cells)]
    pairs = zip(kinds, notebook.cells, strict=False)
    return [cell.source for before, cell in pairs if cell.cell_type == "code" and before != "markdown"]


def test_text_before_code(notebook: Any) -> None:
    assert not without_words(notebook)


def test_code_without_words_would_be_seen() -> None:
    """Negative control."""
    assert without_words(new(("markdown", "Look:"), ("code", "1"), ("code", "2"))) == ["2"]
    assert without_words(new(("code", "1"), ("markdown", "There.")))


def answered_at_once(notebook: Any) -> list[str]:
    """Return the texts outside of the exercises that ask for a prediction and do not end there."""
    asking = re.compile(r"\*\*Predict|^## Predict first", flags=re.M)
    found = []
    for cell, after in zip(notebook.cells, [*notebook.cells[1:], None], strict=True):
        if cell.cell_type == "markdown" and asking.search(cell.source):
            rest = cell.source[list(asking.finditer(cell.source))[-1].end() :]
            if after is None or after.cell_type != "code" or "\n## " in rest:
                found.append(cell.source)
    return found


def test_no_answer_in_the_cell_that_asks_for_a_prediction(notebook: Any) -> None:
    assert not answered_at_once(notebook)


def test_an_answer_beside_its_question_would_be_seen() -> None:
    """Negative control."""
    assert answered_at_once(new(("markdown", "**Predict:** up or down?\n\n## The answer\n\nDown."), ("code", "1")))
    assert answered_at_once(new(("markdown", "**Predict:** up or down?"), ("markdown", "Down.")))
    assert not answered_at_once(new(("markdown", "**Predict:** up or down?"), ("code", "1")))


# --- without a kernel ----------------------------------------------------------------------------------------------


def mute_pictures(notebook: Any) -> list[str]:
    """Return the code cells whose picture has no alternative text, or with sliders in the place of what they show.

    What is shown is a picture or a page; words alone are what a notebook says of sliders that it cannot show.
    """
    found = []
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        pictures = [output for output in outputs if "image/png" in output.get("data", {})]
        mute = [p for p in pictures if len(p.metadata.get("image/png", {}).get("alt", "")) < 20]
        dead = [output for output in outputs if WIDGET in output.get("data", {})]
        shown = pictures or [output for output in outputs if "text/html" in output.get("data", {})]
        if mute or dead or (re.search(r"^(explore|interact)\(", cell.source, flags=re.M) and not shown):
            found.append(cell.source)
    return found


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
    assert mute_pictures(shown({"image/png": "aGk=", WIDGET: {}}, alt=words))


class Page(HTMLParser):
    """What a browser shows of a page while its folds are closed."""

    def __init__(self, html: str) -> None:
        """Read a page."""
        super().__init__()
        self.inside: list[str] = []
        self.folds, self.open_text = 0, ""
        self.alts: list[str | None] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Enter an element; count folds and collect alternative texts."""
        self.folds += tag == "details"
        if tag == "img":
            self.alts.append(dict(attrs).get("alt"))
        elif tag not in {"meta", "link", "br", "hr", "input", "source", "wbr"}:
            self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Leave an element and, as a browser does, all that were opened in it: a list item closes its folds."""
        while tag in self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        """Collect the text outside of folds."""
        if "details" not in self.inside:
            self.open_text += data


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


# --- numbers -------------------------------------------------------------------------------------------------------


def numbers(words: str) -> list[str]:
    """Return the decimal numbers in a text, without those of code and of references."""
    return NUMBER.findall(SYMBOLS.sub("", words))


def by_hand(notebook: Any) -> list[str]:
    """Return the decimal numbers of the text that stand neither in the code nor in what it shows."""
    computed: set[str] = set()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            shown = [cell.source, *(output.get("text", "") for output in cell.outputs)]
            for output in cell.outputs:
                data = output.get("data", {})
                shown += [data.get("text/plain", ""), "" if "image/png" in data else data.get("text/html", "")]
            computed.update(NUMBER.findall("\n".join(shown)))
    values = {float(number) for number in computed if "(" not in number}
    words = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return [n for n in numbers(words) if n not in computed and ("(" in n or float(n) not in values)]


def test_numbers_in_the_text_are_computed(notebook: Any) -> None:
    assert not by_hand(notebook)


def test_a_number_by_hand_would_be_seen() -> None:
    """Negative control."""
    words = ("markdown", "It ends at 0.39, from 0.30, by `f(0.5)` of Sections 2.3 and 2.4; the lead is 4.34(2).")
    assert by_hand(new(words, ("code", "run(0.3)"), shown="0.39  4.34(2)")) == []
    assert by_hand(new(words, ("code", "run(0.3)"), shown="0.40  4.34(2)")) == ["0.39"]
    assert by_hand(new(words, ("code", "run(0.3)"), shown="0.39  4.34(3)")) == ["4.34(2)"]
