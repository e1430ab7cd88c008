"""The identity of a term of the solver, by which equal terms in one context are recognised."""

from __future__ import annotations

from typing import Any


class Told(dict[tuple[int, ...], tuple[list[Any], list[Any]]]):
    """What runs in one context told the solver of exponentials, and whether any of them defined a root or a quotient.

    Facts stand by the identities of the terms that they are about, together with these terms, which must be kept.
    """

    defines = False


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


# Numbers of one context, combined as ``z3`` does with operators. That takes three times as long, since it also converts
# what is no number and looks for the context, and most of a proof is spent on making terms.


def plus(a: Any, b: Any) -> Any:
    """Return a + b.

    Example:
        >>> import z3
        >>> a, b = z3.Reals("a b")
        >>> plus(a, minus(a, times(a, b)))
        a + a - a*b
    """
    import z3  # noqa: PLC0415

    return z3.ArithRef(z3.Z3_mk_add(a.ctx.ref(), 2, (z3.Ast * 2)(a.ast, b.ast)), a.ctx)


def minus(a: Any, b: Any) -> Any:
    """Return a - b."""
    import z3  # noqa: PLC0415

    return z3.ArithRef(z3.Z3_mk_sub(a.ctx.ref(), 2, (z3.Ast * 2)(a.ast, b.ast)), a.ctx)


def times(a: Any, b: Any) -> Any:
    """Return a b."""
    import z3  # noqa: PLC0415

    return z3.ArithRef(z3.Z3_mk_mul(a.ctx.ref(), 2, (z3.Ast * 2)(a.ast, b.ast)), a.ctx)


def at_most(a: Any, b: Any) -> Any:
    """Return a <= b; a constant stands on the left, as it does in what Python makes of an operator.

    Example:
        >>> import z3
        >>> a, b = z3.Reals("a b")
        >>> at_most(a, b), less(a, b), at_least(a, b), greater(a, b), equal(a, b), unequal(a, b)
        (a <= b, a < b, a >= b, a > b, a == b, a != b)
        >>> one = z3.RealVal(1)
        >>> at_most(a, one).arg(0), at_most(one, a).arg(0)
        (1, 1)
    """
    return _compared(a, b, "Z3_mk_le", "Z3_mk_ge")


def less(a: Any, b: Any) -> Any:
    """Return a < b."""
    return _compared(a, b, "Z3_mk_lt", "Z3_mk_gt")


def at_least(a: Any, b: Any) -> Any:
    """Return a >= b."""
    return _compared(a, b, "Z3_mk_ge", "Z3_mk_le")


def greater(a: Any, b: Any) -> Any:
    """Return a > b."""
    return _compared(a, b, "Z3_mk_gt", "Z3_mk_lt")


def equal(a: Any, b: Any) -> Any:
    """Return a = b."""
    import z3  # noqa: PLC0415

    first, second = (b, a) if _stands_left(b, a, z3) else (a, b)
    return z3.BoolRef(z3.Z3_mk_eq(a.ctx.ref(), first.ast, second.ast), a.ctx)


def unequal(a: Any, b: Any) -> Any:
    """Return a != b."""
    import z3  # noqa: PLC0415

    first, second = (b, a) if _stands_left(b, a, z3) else (a, b)
    return z3.BoolRef(z3.Z3_mk_distinct(a.ctx.ref(), 2, (z3.Ast * 2)(first.ast, second.ast)), a.ctx)


def _compared(a: Any, b: Any, plain: str, turned: str) -> Any:
    """Return the relation of a and b that z3 makes by ``plain``, or of b and a by ``turned`` if b is a constant."""
    import z3  # noqa: PLC0415

    if _stands_left(b, a, z3):
        return z3.BoolRef(getattr(z3, turned)(a.ctx.ref(), b.ast, a.ast), a.ctx)
    return z3.BoolRef(getattr(z3, plain)(a.ctx.ref(), a.ast, b.ast), a.ctx)


def _stands_left(constant: Any, other: Any, z3: Any) -> bool:
    return type(constant) is z3.RatNumRef and type(other) is not z3.RatNumRef
