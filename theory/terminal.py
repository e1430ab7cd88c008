"""Mathematics and text for a terminal: LaTeX in Unicode, lines of its width."""

from __future__ import annotations

import re
import textwrap
from functools import cache
from typing import Any

NARROWEST = 40
OWN = {r"\|": "‖", r"\arg": "arg ", r"\det": "det ", r"\,": " ", r"\;": " ", r"\quad": "  ", r"\qquad": "    "}
OWN |= {r"\implies": " ⇒ ", r"\iff": " ⇔ ", r"\ne": "≠"}  # commands that the library does not know, and would leave out
SUM = re.compile(r".[-+=<>≤≥≠]")
RAISED = re.compile(r"(?<!\\)[\^_]\{")
SIMPLE = re.compile(
    r"[\s']*(\d+|[A-Za-z]+|\*|'+|\+|-|\\(?!frac|sqrt)[A-Za-z]+|\\(text|math\w+|hat|bar|tilde)\{\s*[\w.-]+\s*\}|\(.*\))\s*"
)
ONE = re.compile(r"∂?(\d+|[^\W\d_](_\w{1,3})?)")  # a number, or a letter with its index


@cache
def _converter() -> Any:
    from pylatexenc.latex2text import LatexNodes2Text, MacroTextSpec, get_default_latex_context_db  # noqa: PLC0415

    database = get_default_latex_context_db()
    own = [MacroTextSpec(name[1:], simplify_repl=text) for name, text in OWN.items()]
    own.append(MacroTextSpec("frac", simplify_repl=_fraction))
    database.add_context_category("own", macros=own, prepend=True)
    return LatexNodes2Text(latex_context=database, math_mode="text")


def _fraction(node: Any, l2tobj: Any) -> str:
    above, below = (str(l2tobj.nodelist_to_text([part])).strip() for part in node.nodeargs)
    above = f"({above})" if SUM.search(above) else above
    return f"{above}/{below}" if ONE.fullmatch(below) else f"{above}/({below})"


def readable(latex: str) -> str:
    r"""Return LaTeX mathematics in Unicode, in one line.

    Example:
        >>> readable(r"A_w-A_l=\|g_w-g_l\|^2\ge 0")
        'A_w-A_l=‖g_w-g_l‖^2≥0'
        >>> readable(r"P\ne\tfrac12\implies\frac{a+b}{1+c}>\frac{\partial L}{2}")
        'P≠1/2 ⇒ (a+b)/(1+c)>∂L/2'
    """
    plain = re.sub(r"\\[td]frac", r"\\frac", latex)
    return " ".join(str(_converter().latex_to_text(_bracketed(plain))).split())


def _bracketed(latex: str) -> str:
    r"""Put an exponent or an index in brackets if it is more than a number, a letter or a word.

    Example:
        >>> _bracketed(r"e^{-x}+y_{ref}+z^{\beta}")
        'e^{(-x)}+y_{ref}+z^{\\beta}'
    """
    found = ""
    while (at := RAISED.search(latex)) is not None:
        end = _closing(latex, at.end())
        inside = _bracketed(latex[at.end() : end])
        simple = SIMPLE.fullmatch(inside) is not None
        found += latex[: at.end()] + (inside if simple else f"({inside})") + "}"
        latex = latex[end + 1 :]
    return found + latex


def _closing(latex: str, at: int) -> int:
    """Return where the brace is closed that was opened before a place."""
    depth = 1
    for place in range(at, len(latex)):
        depth += (latex[place] == "{") - (latex[place] == "}") if latex[place - 1] != "\\" else 0
        if depth == 0:
            return place
    return len(latex)


def readable_text(text: str) -> str:
    r"""Return text with the mathematics between dollar signs in Unicode.

    Example:
        >>> readable_text(r"Multiply by $\pi_w\le 1$, which costs 5 %.")
        'Multiply by π_w≤1, which costs 5 %.'
    """
    return re.sub(r"\$([^$]+)\$", lambda found: readable(found[1]), text)


def wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """Return a text in lines of at most this width, each after the indent.

    Example:
        >>> wrapped("one two three four five six seven eight nine", 40, "  ")
        ['  one two three four five six seven', '  eight nine']
    """
    room = max(width, NARROWEST)
    return textwrap.wrap(text, room, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
