"""Compute a SymPy expression with the numbers of a statement, so that what SymPy derives is what the solver decides."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache, reduce
from typing import Any

from theory.proof import functions
from theory.proof.symbols import NotAStatement


def value_of(expression: Any, **numbers: Any) -> Any:
    """Return the value of an expression whose symbols are the given numbers: symbols of the solver, fractions, balls.

    Raises:
        NotAStatement: the expression has a symbol of another name, a float, or a function other than exp and log.

    Example:
        >>> import sympy as sp
        >>> x = sp.Symbol("x")
        >>> value_of(sp.diff(x**3 - sp.Rational(1, 2) / x, x), x=Fraction(2))
        Fraction(97, 8)
        >>> from theory.proof import prove, world_of
        >>> slope = sp.diff(x + sp.exp(-x), x)
        >>> rises = lambda c, least=0: value_of(slope, x=c.x) > least
        >>> [prove(rises, world_of("x > 0", x="positive"), least=least).verdict for least in (0, 1)]
        ['proved', 'refuted']
    """
    if expression.is_Symbol and expression.name in numbers:
        return numbers[expression.name]
    if expression.is_Rational:
        return Fraction(int(expression.p), int(expression.q))
    parts = [value_of(part, **numbers) for part in expression.args]
    if expression.is_Pow:
        return _raised(parts[0], expression.args[1], parts[1])
    name = type(expression).__name__
    if name not in COMPUTE:
        raise NotAStatement(f"{expression} has no value in the numbers {', '.join(numbers)}")
    return COMPUTE[name](*parts)


def by_sympy(derived: Any, written: Any) -> Any:
    """Return an expression as it is written, once SymPy has proved that it is equal to what was derived.

    Raises:
        NotAStatement: SymPy does not prove it.

    Example:
        >>> import sympy as sp
        >>> x = sp.Symbol("x")
        >>> by_sympy(sp.diff(x * sp.exp(x), x), (1 + x) * sp.exp(x))
        (x + 1)*exp(x)
        >>> by_sympy(sp.diff(x * sp.exp(x), x), x * sp.exp(x))
        Traceback (most recent call last):
        theory.proof.symbols.NotAStatement: SymPy does not prove that x*exp(x) + exp(x) is x*exp(x)
    """
    if not _equal(derived, written):
        raise NotAStatement(f"SymPy does not prove that {derived} is {written}")
    return written


@lru_cache(maxsize=256)
def derivative(function: Callable[[Any], Any], written: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function as it is written, once SymPy has proved that it is the derivative of another.

    Both are of one number of any kind, made of arithmetic and of exp and log of ``theory.proof``.

    Raises:
        NotAStatement: SymPy does not prove it.

    Example:
        >>> derivative(lambda x: x * functions.exp(x), lambda x: (1 + x) * functions.exp(x))(Fraction(0))
        Fraction(1, 1)
    """
    import sympy as sp  # noqa: PLC0415 - loaded for a proof only

    x = sp.Symbol("x", real=True)
    by_sympy(sp.diff(function(x), x), written(x))
    return written


@lru_cache(maxsize=256)
def _equal(derived: Any, written: Any) -> bool:
    from theory.proof.calculus import prove_identity, same  # noqa: PLC0415

    return prove_identity(lambda: same(derived, written)).verdict == "proved"


def _raised(base: Any, exponent: Any, value: Any) -> Any:
    """Return a power: of a whole number by multiplication, of one half by a root, else e^(exponent log base)."""
    if exponent.is_Integer:
        return base ** int(exponent) if exponent >= 0 else 1 / base ** int(-exponent)
    if exponent.is_Rational and exponent.q == 2:
        root = functions.sqrt(base)
        return root ** int(exponent.p) if exponent >= 0 else 1 / root ** int(-exponent.p)
    return functions.power(base, value)


COMPUTE: dict[str, Callable[..., Any]] = {
    "Add": lambda *parts: reduce(lambda a, b: a + b, parts),
    "Mul": lambda *parts: reduce(lambda a, b: a * b, parts),
    "exp": functions.exp,
    "log": functions.log,
}
