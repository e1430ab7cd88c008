"""What is looked for in a notebook: long cells, code without words, mute pictures, numbers that nothing computes."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

WIDGET = "application/vnd.jupyter.widget-view+json"
MOST_LINES = 8
NUMBER = re.compile(r"(?<![\w.])\d+(?:\\?[, ]\d{3})*\.\d+(?:\(\d+\))?")
SYMBOLS = re.compile(r"`[^`]*`|(?:Section|Proposition|Figure|Lemma|Remark)s? \d+\.\d+(?: and \d+\.\d+)?")
"""Code to run and references to a paper: their numbers are no results."""


def too_long(notebook: Any) -> list[str]:
    """Return the code cells with more than eight lines that are not blank."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return [source for source in code if len([line for line in source.splitlines() if line.strip()]) > MOST_LINES]


def without_words(notebook: Any) -> list[str]:
    """Return the code cells that do not follow a text."""
    kinds = ["", *(cell.cell_type for cell in notebook.cells)]
    pairs = zip(kinds, notebook.cells, strict=False)
    return [cell.source for before, cell in pairs if cell.cell_type == "code" and before != "markdown"]


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


PAGES = {"text/html", "text/markdown"}


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
        shown = pictures or [output for output in outputs if PAGES & set(output.get("data", {}))]
        if mute or dead or (re.search(r"^(explore|interact)\(", cell.source, flags=re.M) and not shown):
            found.append(cell.source)
    return found


def without_sliders(executed: Any) -> list[str]:
    """Return the code cells of a notebook that has just run that ask for sliders and do not show them."""
    asking = [cell for cell in executed.cells if cell.cell_type == "code" and cell.source.startswith("explore(")]
    return [cell.source for cell in asking if not any(WIDGET in output.get("data", {}) for output in cell.outputs)]


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
