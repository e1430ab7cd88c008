"""Leave out of a question the definitions of roots and quotients that occur nowhere else in it.

A root r of X is defined by r >= 0 and r^2 = X, where X >= 0 is known from the fork before it; a quotient q of a by b by
q b = a, where b != 0 is known. If r or q occurs nowhere else in a question, such a number exists whatever the rest is;
without its definition the question has the same answer and is easier.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from theory.proof.terms import identity

TERMS = {"root": 2, "quotient": 1}  # in which a definition stands
DEFINED = re.compile(rf"(?<![\w.])(?:{'|'.join(TERMS)})\.\d+(?![\w.])")


def without_unused(terms: list[Any], known: dict[int, frozenset[str]] | None = None) -> list[Any]:
    """Return the terms without definitions of roots and quotients that occur nowhere else.

    Args:
        terms: a question, all of whose terms must hold together.
        known: names in the terms of earlier questions and in their parts by their identity, which is filled here; such
            terms must be kept alive, or their identity may be given to another.

    Example:
        >>> import z3
        >>> x, root, quotient = z3.Reals("x root.1 quotient.2")
        >>> without_unused([x >= 0, root >= 0, root * root == x, quotient * x == 1])
        [x >= 0]
        >>> len(without_unused([x >= 0, root >= 0, root * root == x, root < x]))
        4
    """
    known = {} if known is None else known
    while True:
        places = defaultdict(list)
        for number, term in enumerate(terms):
            for name in _names(term, known):
                places[name].append(number)
        unused = [found for name, found in places.items() if len(found) == TERMS[name.split(".")[0]]]
        if not unused:
            return terms
        left_out = {number for found in unused for number in found}
        terms = [term for number, term in enumerate(terms) if number not in left_out]


def without_equations(terms: list[Any]) -> list[Any]:
    """Return the terms without equations between numbers, but for those that define a root or a quotient.

    If what is left cannot be true together, all of the terms cannot; that it can be says nothing. Few responses tie
    their scores to one another by equations, and what is true of many responses needs none of these.

    Example:
        >>> import z3
        >>> x, y, quotient = z3.Reals("x y quotient.1")
        >>> without_equations([x > 0, x + y == 1, quotient * y == 1, x < 0])
        [x > 0, quotient.1*y == 1, x < 0]
    """
    import z3  # noqa: PLC0415

    def is_kept(term: Any) -> bool:
        between_numbers = z3.is_eq(term) and z3.is_arith(term.arg(0))
        return not between_numbers or bool(_names(term))

    return [term for term in terms if is_kept(term)]


def _names(term: Any, known: dict[int, frozenset[str]] | None = None) -> frozenset[str]:
    """Return the names of roots and quotients in a term; what is known of its parts is not looked for again."""
    import z3  # noqa: PLC0415

    known = {} if known is None else known
    context, todo = term.ctx.ref(), [term.as_ast()]
    while todo:
        part = todo[-1]
        number = z3.Z3_get_ast_id(context, part)
        if number in known:
            todo.pop()
            continue
        parts = [z3.Z3_get_app_arg(context, part, k) for k in range(z3.Z3_get_app_num_args(context, part))]
        ids = [z3.Z3_get_ast_id(context, one) for one in parts]
        waiting = [one for one, its in zip(parts, ids, strict=True) if its not in known]
        if waiting:
            todo += waiting
            continue
        todo.pop()
        own = [] if parts else DEFINED.findall(_name(context, part))
        known[number] = frozenset(own).union(*(known[its] for its in ids))
    return known[identity(term)]


def _name(context: Any, constant: Any) -> str:
    import z3  # noqa: PLC0415

    declared = z3.Z3_get_decl_name(context, z3.Z3_get_app_decl(context, constant))
    return str(z3.Z3_get_symbol_string(context, declared))
