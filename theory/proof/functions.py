"""Roots, exponentials, logarithms and powers of whatever a predicate computes with.

For exact numbers a root is exact and the others are balls; of SymPy's expressions e^t and log are SymPy's own. For the
symbols of the solver each is a new variable of which the solver is
told what is true of the function everywhere: its sign, that it is monotone, every tangent between the points at which
the predicate asks for it, and e^(s + t) = e^s e^t wherever one of these points is the sum of two others. That is enough
for many proofs. It leaves more values than the function takes, so that a counterexample counts only once it is found
again in balls.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations_with_replacement
from typing import Any

from theory.proof import balls
from theory.proof.balls import Ball
from theory.proof.exact import Surd
from theory.proof.symbols import NoValue, Number
from theory.proof.terms import identity


def sqrt(x: Any) -> Any:
    """Return the square root of a symbol, a rational number, a sum of roots or a ball.

    Raises:
        NoValue: the number is negative.

    Example:
        >>> from fractions import Fraction
        >>> sqrt(Fraction(9, 4)), sqrt(8) == 2 * sqrt(2)
        (Fraction(3, 2), True)
    """
    if isinstance(x, Number):
        return x.run.root(x)
    if hasattr(x, "applied"):  # a number that remembers its formula
        return x.applied("sqrt")
    if isinstance(x, Ball):
        return balls.root(x)
    if isinstance(x, Surd):
        return balls.root(x) if set(x.parts) - {1} else Surd.sqrt(x.parts.get(1, 0))
    return Surd.sqrt(x)


def exp(x: Any) -> Any:
    """Return e^x."""
    if type(x) is Ball:
        return balls.exp(x)
    if not isinstance(x, Number):
        if hasattr(x, "applied"):
            return x.applied("exp")
        if hasattr(x, "free_symbols"):
            return _sympy("exp", x)
        return Fraction(1) if _is(x, 0) else balls.exp(x)
    number = identity(x.term)
    for _, argument, value in x.run.functions:
        if identity(argument.term) == number:
            return value
    value = x.run.fresh("exp")
    x.run.assume(value > 0)
    _tell(x, value)
    return value


def log(x: Any) -> Any:
    """Return the natural logarithm.

    Raises:
        NoValue: the number is not positive.
    """
    if type(x) is Ball:
        return balls.log(x)
    if not isinstance(x, Number):
        if hasattr(x, "applied"):
            return x.applied("log")
        if hasattr(x, "free_symbols"):
            return _sympy("log", x)
        return Fraction(0) if _is(x, 1) else balls.log(x)
    if x <= 0:
        raise NoValue("logarithm of a number that is not positive")
    run, number = x.run, identity(x.term)
    for _, argument, value in run.functions:
        if identity(value.term) == number:
            return argument
    exponent = run.fresh("log")
    _tell(exponent, x)
    return exponent


def power(x: Any, exponent: Any) -> Any:
    """Return x to a real power, for x > 0: e^(exponent log x)."""
    return exp(exponent * log(x))


def omega(x: Any) -> Any:
    """Return the number w with w + log w = x: Wright's omega function, W(e^x) with Lambert's W.

    Example:
        >>> omega(-1)  # W(1/e)
        [0.278464542761 +/- ...]
    """
    if not isinstance(x, Number):
        return balls.omega(x)
    value = x.run.fresh("omega")
    x.run.assume(value > 0)
    x.run.assume(exp(x - value) == value)
    return value


def touch(*points: Any) -> None:
    """Tell the solver of e^t at further points: its tangents there, and its sums with the points of the statement.

    This adds no assumption, since all of it is true of e^t. A proof needs it where the two sides of an inequality
    touch.

    Example:
        >>> from theory.proof import prove, world_of
        >>> def tangent_at_2(c, hint=True):  # e^x >= e^2 (x - 1)
        ...     one = 1 + 0 * c.x
        ...     if hint:
        ...         touch(2 * one)
        ...     return exp(c.x) >= exp(one) ** 2 * (c.x - 1)
        >>> [prove(tangent_at_2, world_of("any x", x="real"), hint=hint).verdict for hint in (True, False)]
        ['proved', 'undecided']
    """
    for point in points:
        if isinstance(point, Number):
            exp(point)


def _sympy(name: str, x: Any) -> Any:
    import sympy  # noqa: PLC0415 - whoever has such an expression has loaded it

    return getattr(sympy, name)(x)


def _tell(t: Number, value: Number) -> None:
    """Tell the solver that value = e^t, by the tangents between this point, 0 and every earlier one."""
    run = t.run
    run.incomplete = True
    parts = [t, value, *(number for _, *pair in run.functions for number in pair)]
    if any(part.square is not None for part in parts):  # compared by squares, which another path may define otherwise
        run.trail += _facts(t, value)
    else:
        key = tuple(identity(part.term) for part in parts)
        if key not in run.told:
            run.told[key] = _facts(t, value), [part.term for part in parts]  # a term that is kept keeps its identity
        run.trail += run.told[key][0]
    run.functions.append(("exp", t, value))


def _facts(t: Number, value: Number) -> list[Any]:
    """Return what is true of value = e^t and of the exponentials that were asked for before."""
    run, facts = t.run, []
    one, zero = Number(run, run.constant(1)), Number(run, run.constant(0))
    z3 = run.z3
    for s, other in [(zero, one), *((a, v) for _, a, v in run.functions)]:
        # convex: e^t lies above its tangent at s, and e^s above the one at t; equality at s = t only
        here, there = other * (1 + t - s), value * (1 + s - t)
        facts += [(value >= here).term, (other >= there).term]
        same = (t == s).term
        facts.append(z3.Or(same, (value > here).term))
        facts.append(z3.Or(same, (other > there).term))
        facts.append((t < s).term == (value < other).term)
        facts.append((t > s).term == (value > other).term)
        facts.append(z3.Implies((t + s == 0).term, (value * other == 1).term))
    earlier, new = [(a, v) for _, a, v in run.functions], (t, value)
    sums = [(new, b, c) for b in [*earlier, new] for c in earlier]  # t + b = c
    sums += [(a, b, new) for a, b in combinations_with_replacement(earlier, 2)]  # a + b = t
    for (a, x), (b, y), (c, z) in sums:
        if _vanishes(z3, a + b - c):
            facts.append((x * y == z).term)
    return facts


def _vanishes(z3: Any, number: Number) -> bool:
    """Return whether the solver's normal form of a number is 0."""
    return bool(z3.simplify(number.term, som=True).eq(number.run.constant(0)))


def _is(x: Any, constant: int) -> bool:
    return not isinstance(x, Ball) and bool(x == constant)
