"""Worlds and decisions as text, and with typeset fractions: as HTML that needs no script, and as LaTeX."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from fractions import Fraction
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from theory.proof.checks import show

if TYPE_CHECKING:
    from theory.decision.result import Decision
    from theory.decision.sides import Side

GRAM = {"dd": r"\|g_w-g_l\|^2"} | {
    a + b: rf"\|g_{a}\|^2" if a == b else rf"g_{a}\cdot g_{b}" for a in "wly" for b in "wly"
}
RELATIONS = {">=": r"\ge", "<=": r"\le", "==": "=", "!=": r"\ne", ">": ">", "<": "<"}
SIGNS = {">=": "&ge;", "<=": "&le;", "==": "=", "!=": "&ne;", ">": "&gt;", "<": "&lt;"}
OPPOSITE = {">=": "<", ">": "<=", "<=": ">", "<": ">=", "==": "!=", "!=": "=="}
COLUMNS = (r"\pi_y", r"\phi_y", "g_y", "A_y", r"\pi_y A_y")


def fraction_html(value: Any) -> str:
    """Return a number as HTML; a fraction with its bar.

    Example:
        >>> fraction_html(Fraction(-3, 7)), fraction_html(Fraction(2))
        ('&minus;<sup>3</sup>&frasl;<sub>7</sub>', '2')
    """
    if isinstance(value, tuple):
        return f"({', '.join(map(fraction_html, value))})"
    if isinstance(value, Fraction) and value.denominator != 1:
        sign = "&minus;" if value < 0 else ""
        return f"{sign}<sup>{abs(value.numerator)}</sup>&frasl;<sub>{value.denominator}</sub>"
    return html.escape(str(value)).replace("-", "&minus;")


def fraction_latex(value: Any) -> str:
    r"""Return a number as LaTeX.

    Example:
        >>> fraction_latex(Fraction(-3, 7))
        '-\\tfrac{3}{7}'
    """
    if isinstance(value, tuple):
        return f"({', '.join(map(fraction_latex, value))})"
    if isinstance(value, Fraction) and value.denominator != 1:
        return rf"{'-' if value < 0 else ''}\tfrac{{{abs(value.numerator)}}}{{{value.denominator}}}"
    return re.sub(r"sqrt\((\d+)\)", r"\\sqrt{\1}", str(value))


def formula_html(text: str) -> str:
    """Return a formula in the names of a world as HTML.

    Example:
        >>> formula_html("D_w - 2 wl")
        '<i>D</i><sub>w</sub> &minus; 2 <i>g</i><sub>w</sub>&middot;<i>g</i><sub>l</sub>'
    """

    def word(found: re.Match[str]) -> str:
        name = found[0]
        if name in GRAM:
            g = [f"<i>g</i><sub>{letter}</sub>" for letter in (name if name != "dd" else "wl")]
            if name == "dd":
                return f"|{g[0]}&minus;{g[1]}|<sup>2</sup>"
            return f"|{g[0]}|<sup>2</sup>" if name[0] == name[1] else f"{g[0]}&middot;{g[1]}"
        letter, _, index = name.partition("_")
        return f"<i>{letter}</i><sub>{index}</sub>" if index and len(letter) == 1 else name

    text = html.escape(text).replace("-", "&minus;").replace(" * ", "&middot;")
    return re.sub(r"(?<![&\w])[A-Za-z]\w*(?![\w;])", word, text)


def formula_latex(text: str) -> str:
    r"""Return a formula in the names of a world as LaTeX.

    Example:
        >>> formula_latex("D_w - 2 wl * 3/4")
        'D_w - 2 g_w\\cdot g_l \\cdot \\tfrac{3}{4}'
    """

    def word(found: re.Match[str]) -> str:
        name = found[0]
        if name in GRAM:
            return GRAM[name]
        letter, _, index = name.partition("_")
        if len(letter) == 1:
            return rf"\pi_{{{index}}}" if letter == "p" and len(index) > 1 else name.replace("p_", r"\pi_")
        return rf"\mathrm{{{name.replace('_', ' ')}}}"

    text = re.sub(r"sqrt\(([^()]*)\)", r"\\sqrt{\1}", text).replace(" * ", r" \cdot ")
    text = re.sub(r"(?<![\w)])(\d+)/(\d+)", r"\\tfrac{\1}{\2}", text)
    return re.sub(r"(?<![\\\w])[A-Za-z]\w*", word, text)


def case_html(case: Any) -> str:
    """Return an exact case as HTML: all of a world, or the numbers of a setting."""
    if hasattr(case, "_repr_html_"):
        return str(case._repr_html_())
    if isinstance(case, (Fraction, int)):
        return fraction_html(case)
    if isinstance(case, (tuple, list)):
        return "".join(f"<div>{case_html(item)}</div>" for item in case)
    if isinstance(case, SimpleNamespace):
        return _table([[formula_html(name), case_html(value)] for name, value in vars(case).items()])
    return f"<pre>{html.escape(show(case))}</pre>"


def world_text(world: Any) -> str:
    """Return a world in a form that can be checked by hand."""
    rows = [["", "probability", "features", "score g", "drive A", "change p A"]]
    rows += [[name, *map(plain, numbers)] for name, numbers in _rows(world)]
    return "\n".join(
        [
            world.caption,
            *aligned(rows, (14, 12, 14, 18, 10, 12)),
            f"|g_w|^2 = {world.ww}, |g_l|^2 = {world.ll}, g_w . g_l = {world.wl}",
        ]
    )


def aligned(rows: Sequence[Sequence[str]], least: Sequence[int]) -> list[str]:
    """Return the lines of a table whose first column is flush left and all others flush right.

    Args:
        rows: the cells.
        least: the least width of each column.
    """
    columns = zip(*rows, strict=True)
    widths = [max(w, *map(len, column)) for w, column in zip(least, columns, strict=True)]
    return [
        " ".join((row[0].ljust(widths[0] - 1), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))))
        for row in rows
    ]


def world_html(world: Any) -> str:
    """Return a world as a table."""
    head = ["", "probability", "features", "score <i>g</i>", "drive <i>A</i>", "change <i>p A</i>"]
    rows = [[html.escape(name), *map(fraction_html, numbers)] for name, numbers in _rows(world)]
    inner = (("ww", "ww"), ("ll", "ll"), ("wl", "wl"))
    norms = ", ".join(f"{formula_html(name)} = {fraction_html(getattr(world, key))}" for name, key in inner)
    return f"<div>{html.escape(world.caption).replace(' x ', ' &times; ')}</div>{_table(rows, head)}<div>{norms}</div>"


def table_html(caption: str, head: Sequence[str], rows: Sequence[tuple[str, Sequence[Any]]]) -> str:
    """Return named rows of numbers as a table below a caption."""
    body = [[html.escape(name), *map(fraction_html, numbers)] for name, numbers in rows]
    return f"<div>{html.escape(caption)}</div>{_table(body, head)}"


def world_latex(world: Any) -> str:
    r"""Return a world as an array in LaTeX."""
    return table_latex("", COLUMNS, _rows(world))


def table_latex(caption: str, head: Sequence[str], rows: Sequence[tuple[str, Sequence[Any]]]) -> str:
    r"""Return named rows of numbers as an array in LaTeX below a caption.

    Args:
        caption: in words; "" for none.
        head: of each column but the first, as LaTeX.
        rows: the name and the numbers of each.

    Example:
        >>> table_latex("", ["p"], [("y_1", [Fraction(1, 2)])])
        '$\\displaystyle\\begin{array}{lr}  & p \\\\ \\text{y\\_1} & \\tfrac{1}{2} \\end{array}$'
    """
    lines = [" & ".join(["", *head])]
    lines += [" & ".join([text_latex(name), *map(fraction_latex, numbers)]) for name, numbers in rows]
    body = r" \\ ".join(lines)
    above = f"{text_latex(caption)[6:-1]}\n\n" if caption else ""
    return rf"{above}$\displaystyle\begin{{array}}{{l{'r' * len(head)}}} {body} \end{{array}}$"


def text_latex(words: str) -> str:
    r"""Return words as text within a formula of LaTeX."""
    return rf"\text{{{re.sub(r'([_%&#$])', lambda sign: chr(92) + sign[1], words)}}}"


def case_latex(case: Any) -> str:
    """Return an exact case as LaTeX: all of a world, or the numbers of a setting."""
    if hasattr(case, "_repr_latex_"):
        return str(case._repr_latex_())
    if isinstance(case, (Fraction, int)):
        return f"${fraction_latex(case)}$"
    if isinstance(case, (tuple, list)):
        return "\n\n".join(map(case_latex, case))
    if isinstance(case, SimpleNamespace):
        numbers = ",\\quad ".join(f"{formula_latex(name)} = {fraction_latex(v)}" for name, v in vars(case).items())
        return f"${numbers}$"
    return show(case)


def side_html(side: Side) -> str:
    """Return a comparison with its numbers as HTML."""
    true = side.relation if side.true else OPPOSITE[side.relation]
    formula = f"{formula_html(side.left)} {SIGNS[side.relation]} {formula_html(side.right)}"
    numbers = f"{fraction_html(side.left_value)} {SIGNS[true]} {fraction_html(side.right_value)}"
    why = side.why and f" ({side.why})"
    return f"<div>{'' if side.true else 'not '}{formula}: {numbers}{why}</div>"


def side_latex(side: Side) -> str:
    r"""Return a comparison with its numbers as LaTeX, without the dollars."""
    true = side.relation if side.true else OPPOSITE[side.relation]
    formula = f"{formula_latex(side.left)} {RELATIONS[side.relation]} {formula_latex(side.right)}"
    numbers = f"{fraction_latex(side.left_value)} {RELATIONS[true]} {fraction_latex(side.right_value)}"
    why = side.why and rf"\text{{ ({side.why})}}"
    return rf"{'' if side.true else chr(92) + 'text{not }'}{formula}:\quad {numbers}{why}"


def decision_html(decision: Decision) -> str:
    """Return a decision as HTML."""
    parts = [f"<div><b>{html.escape(decision.heading)}</b></div>"]
    if decision.case is not None:
        parts += [case_html(decision.case), *map(side_html, decision.sides)]
    parts += [f"<div>{formula_html(name)} = {html.escape(value)}</div>" for name, value in decision.algebraic]
    parts += [f"<div><small>{html.escape(line)}</small></div>" for line in decision.footnotes]
    return "".join(parts)


def decision_latex(decision: Decision) -> str:
    """Return a decision as LaTeX: the verdict, the world and both sides of what it compares."""
    parts = [decision.heading]
    if decision.case is not None:
        parts.append(case_latex(decision.case))
    parts += [f"${side_latex(side)}$" for side in decision.sides]
    parts += [f"${formula_latex(name)}$ = {value}" for name, value in decision.algebraic]
    return "\n\n".join([*parts, *decision.footnotes])


def _rows(world: Any) -> list[tuple[str, list[Any]]]:
    return [
        (name, [world.p[y], world.features[y], world.scores[y], world.drive(y), world.change(y)])
        for y, name in zip(world.responses, world.names(), strict=True)
    ]


def plain(value: Any) -> str:
    """Return a number or a vector as text."""
    return f"({', '.join(map(str, value))})" if isinstance(value, tuple) else str(value)


def _table(rows: Sequence[Sequence[Any]], head: Sequence[str] = ()) -> str:
    above = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>{f'<tr>{above}</tr>' if head else ''}{body}</table>"
