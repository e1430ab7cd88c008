"""Compare the sides of an identity at points: fractions for its symbols, as what is assumed of these allows.

A point can refute an identity, and shows whether its sides have a value anywhere. The points prove nothing.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from theory.proof.intervals import Formula

POINTS = 6
DIGITS, MORE_DIGITS = 60, 90
AGREE, DIFFER = "1e-40", "1e-15"


def problem_at_points(difference: Any) -> tuple[str, str] | None:
    """Return "refuted" or "undecided" and why, if an identity fails at some of the points; None if nothing is wrong.

    Example:
        >>> import sympy as sp
        >>> x = sp.Symbol("x", positive=True)
        >>> problem_at_points(sp.log(x**2) - 2 * sp.log(x) + sp.Rational(1, 4))
        ('refuted', 'the sides differ by 0.25 at x = 5/4')
        >>> nothing = sp.sin(x) ** 2 + sp.cos(x) ** 2 - 1
        >>> problem_at_points((1 + x) / nothing - 1 / nothing - x / nothing)
        ('undecided', 'the sides have no value at any point that was tried')
    """
    import sympy as sp  # noqa: PLC0415 - loaded for a proof only

    concrete, formula = difference, formula_of(difference)
    if formula is None:
        concrete = _concrete(difference).doit()
        formula = formula_of(concrete)
    filled = _filled(concrete) if formula is None else concrete
    has_value = False
    for point in range(POINTS):
        values = values_at(difference, point)
        if values is None:
            return "undecided", "no fraction that was tried meets what is assumed of the symbols"
        size = size_at(concrete, values, formula)
        has_value = has_value or size is not None or (filled != concrete and size_at(filled, values) is not None)
        if size is not None and size > sp.Float(DIFFER):
            shown = ", ".join(f"{name} = {value}" for name, value in values.items())
            return "refuted", f"the sides differ by {float(size):.3g} at {shown}"
        if size is not None and size > sp.Float(AGREE):
            return "undecided", "the sides agree to a few digits only"
    return None if has_value else ("undecided", "the sides have no value at any point that was tried")


def values_at(expression: Any, point: int) -> dict[Any, Any] | None:
    """Return a fraction for each symbol, as what is assumed of it allows; None if none of a few is allowed.

    Example:
        >>> import sympy as sp
        >>> [values_at(sp.Symbol("n", **{kind: True}), 0) for kind in ("negative", "even", "odd", "imaginary")]
        [{n: -5/4}, {n: -2}, {n: -1}, None]
    """
    import sympy as sp  # noqa: PLC0415

    source = random.Random(point)
    values = {}
    for symbol in sorted(expression.free_symbols, key=str):
        value = sp.Rational(source.randint(1, 40), source.randint(7, 23))
        if symbol.is_integer:
            value = sp.Integer(source.randint(1, 6))
        if symbol.is_negative or (not symbol.is_positive and source.random() < 0.4):
            value = -value
        candidates = (sign * one for one in (value, 2 * value, 2 * value + 1, sp.Integer(0)) for sign in (1, -1))
        values[symbol] = next((one for one in candidates if _is_allowed(symbol, one)), None)
    return None if None in values.values() else values


def _is_allowed(symbol: Any, value: Any) -> bool:
    return all(getattr(value, f"is_{word}", None) is truth for word, truth in symbol.assumptions0.items())


def formula_of(expression: Any) -> Formula | None:
    """Return an expression as a formula for intervals; None if it contains what has none."""
    try:
        return Formula(expression)
    except NotImplementedError:
        return None


def size_at(expression: Any, values: Mapping[Any, Any], formula: Formula | None = None) -> Any:
    """Return |expression| at these values, or 0 if it is at most ``AGREE``; None where no number is certain.

    The intervals of its ``formula`` are asked first; where they cannot tell, SymPy is.
    """
    import sympy as sp  # noqa: PLC0415

    ball = None if formula is None else formula.at(values)
    if ball is not None and abs(ball) <= type(ball)(AGREE):
        return sp.Integer(0)
    if ball is not None and abs(ball) > type(ball)(DIFFER):
        return sp.Float(float(ball.abs_lower()))
    at = expression.subs(values)
    if at.has(*_open_parts()) or not _is_certain(expression, values):
        return None
    number = sp.Abs(sp.N(at, DIGITS))
    return number if number.is_Float or number.is_Rational else None


def _is_certain(expression: Any, values: Mapping[Any, Any]) -> bool:
    """Return whether all parts of an expression are the same numbers when they are computed with more digits.

    SymPy's number of 1/0 is very large, where it does not see that a sum of roots or logarithms is exactly 0; it
    changes with the digits. So do those of other functions at a pole. The sum of such numbers may be 0.
    """
    import sympy as sp  # noqa: PLC0415

    for part in set(sp.preorder_traversal(expression)):
        is_sum = part.is_Atom or part.is_Add or part.is_Mul or not isinstance(part, sp.Expr)
        if is_sum or not part.free_symbols <= values.keys():
            continue
        try:
            number, again = (sp.N(part.subs(values), digits) for digits in (DIGITS, MORE_DIGITS))
            same = bool(sp.Abs(number - again) <= sp.Float(AGREE) * (1 + sp.Abs(number)))
        except (TypeError, ValueError, ArithmeticError):  # no number, a pole
            return False
        if not same:
            return False
    return True


def _open_parts() -> tuple[Any, ...]:
    """Return what has no number before it is worked out."""
    import sympy as sp  # noqa: PLC0415

    return sp.core.function.AppliedUndef, sp.Derivative, sp.Subs, sp.Integral


def _filled(expression: Any) -> Any:
    """Return an expression with numbers in the place of what has none: it shows whether the rest has a value."""
    import sympy as sp  # noqa: PLC0415

    parts = sp.preorder_traversal(expression)
    numbers = {}
    for part in parts:
        if isinstance(part, _open_parts()):
            numbers[part] = sp.Rational(random.Random(str(part)).randint(1, 40), 7)
            parts.skip()
    return expression.xreplace(numbers)


def _concrete(expression: Any) -> Any:
    """Replace undefined functions by polynomials: what is true for all functions is true for these."""
    import sympy as sp  # noqa: PLC0415

    def polynomial(applied: Any) -> Any:
        source = random.Random(str(applied.func))
        total = sp.Rational(source.randint(1, 9), source.randint(2, 5))
        for argument in applied.args:
            total += sum(sp.Rational(source.randint(1, 9), source.randint(2, 5)) * argument**k for k in (1, 2, 3))
        return total + sp.prod(applied.args) ** 2

    if not expression.has(sp.core.function.AppliedUndef):
        return expression
    return expression.replace(lambda e: isinstance(e, sp.core.function.AppliedUndef), polynomial)
