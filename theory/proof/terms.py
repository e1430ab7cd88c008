"""The identity of a term of the solver, by which equal terms in one context are recognised."""

from __future__ import annotations

from typing import Any


def identity(term: Any) -> int:
    """Return the number of a term: equal terms in one context have the same number, as long as one of them is kept.

    A term that nobody keeps loses its number to the next one, so that whatever remembers a number must keep the term.
    The Python object does, and is asked once.

    Example:
        >>> import z3
        >>> x = z3.Real("x")
        >>> one, another, other = x + 1, x + 1, 1 + x
        >>> identity(one) == identity(another), identity(one) == identity(other)
        (True, False)
    """
    try:
        return term.identity
    except AttributeError:
        term.identity = term.get_id()
        return term.identity


def is_constant(term: Any) -> bool:
    """Return whether a term is a number that is written down: a whole number or a fraction."""
    import z3  # noqa: PLC0415

    return kind_of(term) == z3.Z3_OP_ANUM


def is_product(term: Any) -> bool:
    """Return whether a term is a product."""
    import z3  # noqa: PLC0415

    return kind_of(term) == z3.Z3_OP_MUL


def is_sum(term: Any) -> bool:
    """Return whether a term is a sum."""
    import z3  # noqa: PLC0415

    return kind_of(term) == z3.Z3_OP_ADD


def kind_of(term: Any) -> int:
    """Return the kind of an application, as the solver numbers them; ``z3.is_mul`` takes five times as long.

    Example:
        >>> import z3
        >>> x = z3.Real("x")
        >>> [is_product(2 * x), is_sum(x + 1), is_constant(z3.RealVal("1/2")), is_constant(x), is_sum(x - 1)]
        [True, True, True, False, False]
    """
    import z3  # noqa: PLC0415

    context = term.ctx.ref()
    return int(z3.Z3_get_decl_kind(context, z3.Z3_get_app_decl(context, term.as_ast())))
