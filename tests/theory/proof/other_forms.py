"""Write a question in SMT-LIB in another form that has the same answer.

Whether a solver for polynomials finds an answer soon depends much on the order in which it meets the variables, and on
whether a sum that is a factor of several products is one thing to it. Neither changes what is asked: an order has no
meaning, and the name of a sum, defined by an equation, has exactly one value for all values of the variables. The text
is read and written here without z3, because the answer to the new form is to confirm a proof by z3.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

TOKEN = re.compile(r"\(|\)|\|[^|]*\||[^\s()|]+")
NUMBER = re.compile(r"\d+(\.\d+)?")
SAYS_NOTHING = {"set-info", "set-logic", "check-sat"}
UNIT = {"*": "1.0", "+": "0.0"}
PREFIX = "factor"

Expression = str | tuple


def other_form(text: str, order: int = 0) -> str:
    """Return a question with a name for every sum that is a factor, its variables and assumptions in another order.

    Args:
        text: a question about real numbers, without quantifiers.
        order: seed of the order; 0 keeps the order.

    Raises:
        ValueError: there is something else in the text than variables, assumptions and the question whether they can
            be true together.

    Example:
        >>> print(other_form("(declare-fun a () Real)(declare-fun b () Real)(assert (< (* a (- a b)) 0.0))(check-sat)"))
        (declare-fun a () Real)
        (declare-fun b () Real)
        (declare-fun factor.0 () Real)
        (assert (< (* a factor.0) 0.0))
        (assert (= factor.0 (- a b)))
        (check-sat)
    """
    variables, assumptions = read_question(text)
    sums: dict[Expression, str] = {}
    prefix = PREFIX
    while any(variable.startswith(prefix) for variable in variables):
        prefix += "."
    renamed = [_with_names(assumption, sums, prefix) for assumption in assumptions]
    variables += sums.values()
    renamed += [("=", name, total) for total, name in sums.items()]
    if order:
        shuffle = random.Random(order).shuffle
        shuffle(variables)
        shuffle(renamed)
    lines = [f"(declare-fun {variable} () Real)" for variable in variables]
    lines += [f"(assert {_written(assumption)})" for assumption in renamed]
    return "\n".join([*lines, "(check-sat)"])


def read_question(text: str) -> tuple[list[str], list[Expression]]:
    """Return the variables and the assumptions of a question, without ``let``, factors 1 and summands 0."""
    variables, assumptions = [], []
    for command in _read(text):
        match command:
            case ("declare-fun", str(name), (), "Real"):
                variables.append(name)
            case ("assert", assumption):
                assumptions.append(_simple(_without_let(assumption, {})))
            case (str(word), *_) if word in SAYS_NOTHING:
                pass
            case _:
                raise ValueError(f"neither a real variable nor an assumption: {_written(command)}")
    return variables, assumptions


def _read(text: str) -> list[Expression]:
    nested: list[list[Expression]] = [[]]
    for token in TOKEN.findall("\n".join(line for line in text.splitlines() if not line.startswith(";"))):
        if token == "(":
            nested.append([])
        elif token == ")":
            whole = tuple(nested.pop())
            nested[-1].append(whole)
        else:
            nested[-1].append(token)
    (commands,) = nested  # a ValueError here: brackets do not match
    return commands


def _without_let(term: Expression, meanings: Mapping[str, Expression]) -> Expression:
    match term:
        case str():
            return meanings.get(term, term)
        case ("let", bindings, body):
            new = {name: _without_let(meant, meanings) for name, meant in bindings}
            return _without_let(body, {**meanings, **new})
        case _:
            return tuple(_without_let(part, meanings) for part in term)


def _simple(term: Expression) -> Expression:
    """Return a term whose products and sums are flat, without factors 1 and summands 0."""
    if isinstance(term, str):
        return term
    sign, *parts = term
    parts = [_simple(part) for part in parts]
    if sign not in UNIT:
        return (sign, *parts)
    flat = [inner for part in parts for inner in (part[1:] if isinstance(part, tuple) and part[0] == sign else [part])]
    kept = [part for part in flat if part != UNIT[sign]] or [UNIT[sign]]
    return kept[0] if len(kept) == 1 else (sign, *kept)


def _with_names(term: Expression, sums: dict[Expression, str], prefix: str) -> Expression:
    """Return a term with names for the sums that are factors; new ones are added to ``sums``."""
    if isinstance(term, str):
        return term
    sign, *parts = (_with_names(part, sums, prefix) for part in term)
    if sign == "*" and sum(not _is_number(part) for part in parts) > 1:
        parts = [sums.setdefault(part, f"{prefix}.{len(sums)}") if _is_sum(part) else part for part in parts]
    return (sign, *parts)


def _is_sum(term: Expression) -> bool:
    return isinstance(term, tuple) and term[0] in ("+", "-") and not _is_number(term)


def _is_number(term: Expression) -> bool:
    if isinstance(term, str):
        return bool(NUMBER.fullmatch(term))
    return term[0] in ("+", "-", "*", "/") and all(_is_number(part) for part in term[1:])


def _written(term: Expression) -> str:
    return term if isinstance(term, str) else f"({' '.join(map(_written, term))})"
