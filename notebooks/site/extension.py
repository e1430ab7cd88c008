"""What the site adds to Sphinx: formulas that need no script, links to claims, docstrings as they are written."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

from figures.typeset import math

ROOT = Path(__file__).resolve().parents[2]
LONGEST_VALUE = 70  # characters
BULLET = re.compile(r"\s*\* ")
MARKUP = re.compile(r"([|*]|(?<=\w)_(?!\w))")
LITERAL = re.compile(r"(``.+?``|:\w+:`[^`]+`)")


class UnknownFormula(ValueError):
    """A formula with a command that the converter does not know."""


def mathml(latex: str, display: bool) -> str:
    """Return a formula as MathML, which browsers draw without a script.

    Raises:
        UnknownFormula: the converter leaves a command as it is.
    """
    if display and r"\\" in latex and r"\begin" not in latex:
        latex = rf"\begin{{aligned}}{latex}\end{{aligned}}"
    made = math(latex.strip(), "block" if display else "inline")
    if "\\" in made:
        raise UnknownFormula(f"{made[made.index(chr(92)) :][:20]} in {latex}")
    return made


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(mathml(node.astext(), display=False))
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="formula">{mathml(node.astext(), display=True)}</div>')
    raise nodes.SkipNode


def escaped(line: str) -> str:
    r"""Return a line of a docstring in which the signs of formulas are no markup.

    Example:
        >>> escaped("|g_w|^2 <= 2 * ``a*b``")
        '\\|g_w\\|^2 <= 2 \\* ``a*b``'
    """
    bullet = BULLET.match(line)
    start = bullet.end() if bullet else 0
    parts = LITERAL.split(line[start:])
    return line[:start] + "".join(part if odd % 2 else MARKUP.sub(r"\\\1", part) for odd, part in enumerate(parts))


def escape_docstring(lines: list[str]) -> None:
    """Escape the lines of a docstring in place, without its examples and the names of its arguments."""
    example = False
    for place, line in enumerate(lines):
        example = (example and bool(line.strip())) or line.lstrip().startswith(">>>")
        if not example and not re.match(r"\s*\*+\w+:", line):
            lines[place] = escaped(line)


def _before_napoleon(app: Sphinx, *event: Any) -> None:
    escape_docstring(event[-1])
    app.env.temp_data["docstring"] = list(event[-1])


def _after_napoleon(app: Sphinx, what: str, *event: Any) -> None:
    """Undo what Napoleon does to the text of a constant: it takes what stands before a colon for a type."""
    if what in {"data", "attribute"}:
        event[-1][:] = app.env.temp_data["docstring"]


@cache
def claims() -> frozenset[str]:
    """Return the keys of all claims that have an entry in the ledger's pages."""
    found = (path.read_text(encoding="utf-8") for path in (ROOT / "theory").glob("*20??/LEDGER.md"))
    return frozenset(key for text in found for key in re.findall(r"^#### (\S+)$", text, re.M))


def slug(key: str) -> str:
    """Return the anchor that GitHub gives to the heading of a claim."""
    return re.sub(r"[^a-z0-9-]", "", key)


def _link_claims_and_anchors(app: Sphinx, tree: nodes.document) -> None:
    """Make the key of a claim a link to its entry; give headings the anchors that they have on GitHub."""
    for section in tree.findall(nodes.section):
        if section.get("slug") and section["slug"] not in section["ids"]:
            section["ids"].append(section["slug"])
    here = app.env.docname
    for literal in list(tree.findall(nodes.literal)):
        key = literal.astext().removeprefix("python -m theory --explain ")
        if key in claims() and not isinstance(literal.parent, nodes.reference | nodes.title):
            place = f"theory/{key.split('.')[0]}/LEDGER"
            uri = app.builder.get_relative_uri(here, place) + f"#{slug(key)}"
            link = nodes.reference("", "", refuri=uri, internal=True)
            literal.replace_self(link)
            link += literal


def _without_long_values(_: Sphinx, tree: nodes.document) -> None:
    """Leave out the value of a constant that does not fit on a line: tables would fill pages."""
    for value in list(tree.findall(addnodes.desc_annotation)):
        if value.astext().lstrip().startswith("=") and len(value.astext()) > LONGEST_VALUE:
            value.parent.remove(value)


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the above to Sphinx."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect("autodoc-process-docstring", _before_napoleon, priority=100)
    app.connect("autodoc-process-docstring", _after_napoleon, priority=900)
    app.connect("doctree-read", _link_claims_and_anchors)
    app.connect("doctree-read", _without_long_values)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
