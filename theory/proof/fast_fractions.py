"""Fractions whose arithmetic takes a third of the time of Python's own, for the exact worlds of searches.

The ledger evaluates its statements in hundreds of thousands of exact worlds. Most of that time was spent by Python's
fractions on finding out what kind of number the other one is. The numbers and the rules are the same: what two of these
make, or one of them with a whole number or a fraction, is such a fraction again.
"""

from __future__ import annotations

import operator
from fractions import Fraction
from math import gcd
from typing import Any

_new = object.__new__


def _relation(name: str) -> Any:
    relation, slow = getattr(operator, name), getattr(Fraction, f"__{name}__")

    def compared(a: FastFraction, b: Any) -> Any:
        kind = type(b)
        if kind is int:
            return relation(a._numerator, b * a._denominator)
        if kind is FastFraction or kind is Fraction:
            return relation(a._numerator * b._denominator, b._numerator * a._denominator)
        return slow(a, b)

    return compared


class FastFraction(Fraction):
    """A fraction; equal to Python's of the same value, and shown as one.

    Example:
        >>> half = FastFraction(1, 2)
        >>> half + Fraction(1, 3), 1 - half, half == Fraction(1, 2), type(half * 3).__name__
        (Fraction(5, 6), Fraction(1, 2), True, 'FastFraction')
    """

    __slots__ = ()
    _numerator: int
    _denominator: int
    numerator, denominator = vars(Fraction)["_numerator"], vars(Fraction)["_denominator"]  # without a call

    def __repr__(self) -> str:
        return f"Fraction({self._numerator}, {self._denominator})"

    def __add__(a, b: Any) -> Any:
        kind = type(b)
        if kind is int:
            return _made(a._numerator + b * a._denominator, a._denominator)
        if kind is not FastFraction and kind is not Fraction:
            return Fraction.__add__(a, b)
        return _sum(a._numerator, a._denominator, b._numerator, b._denominator)

    __radd__ = __add__

    def __sub__(a, b: Any) -> Any:
        kind = type(b)
        if kind is int:
            return _made(a._numerator - b * a._denominator, a._denominator)
        if kind is not FastFraction and kind is not Fraction:
            return Fraction.__sub__(a, b)
        return _sum(a._numerator, a._denominator, -b._numerator, b._denominator)

    def __rsub__(b, a: Any) -> Any:
        kind = type(a)
        if kind is int:
            return _made(a * b._denominator - b._numerator, b._denominator)
        if kind is not Fraction:
            return Fraction.__rsub__(b, a)
        return _sum(a._numerator, a._denominator, -b._numerator, b._denominator)

    def __mul__(a, b: Any) -> Any:
        kind = type(b)
        if kind is int:
            common = gcd(b, a._denominator)
            return _made(a._numerator * (b // common), a._denominator // common)
        if kind is not FastFraction and kind is not Fraction:
            return Fraction.__mul__(a, b)
        return _product(a._numerator, a._denominator, b._numerator, b._denominator)

    __rmul__ = __mul__

    def __truediv__(a, b: Any) -> Any:
        kind = type(b)
        if kind is int:
            b = _made(b, 1)
        elif kind is not FastFraction and kind is not Fraction:
            return Fraction.__truediv__(a, b)
        return _quotient(a, b)

    def __rtruediv__(b, a: Any) -> Any:
        kind = type(a)
        if kind is int:
            a = _made(a, 1)
        elif kind is not Fraction:
            return Fraction.__rtruediv__(b, a)
        return _quotient(a, b)

    def __pow__(a, b: Any) -> Any:
        if type(b) is not int:
            return Fraction.__pow__(a, b)
        if b >= 0:
            return _made(a._numerator**b, a._denominator**b)
        return _quotient(ONE, _made(a._numerator**-b, a._denominator**-b))

    def __neg__(a) -> FastFraction:
        return _made(-a._numerator, a._denominator)

    def __pos__(a) -> FastFraction:
        return a

    def __abs__(a) -> FastFraction:
        return _made(abs(a._numerator), a._denominator)

    def __bool__(a) -> bool:
        return a._numerator != 0

    def __eq__(a, b: object) -> Any:
        kind = type(b)
        if kind is int:
            return a._denominator == 1 and a._numerator == b
        if kind is FastFraction or kind is Fraction:
            return a._numerator == b._numerator and a._denominator == b._denominator  # type: ignore[attr-defined]
        return Fraction.__eq__(a, b)

    __hash__ = Fraction.__hash__

    __lt__, __le__, __gt__, __ge__ = map(_relation, ("lt", "le", "gt", "ge"))


def fraction(numerator: int, denominator: int = 1) -> FastFraction:
    """Return a fraction of two whole numbers, in lowest terms.

    Raises:
        ZeroDivisionError: the denominator is 0.

    Example:
        >>> fraction(6, -4)
        Fraction(-3, 2)
    """
    if denominator == 0:
        raise ZeroDivisionError(f"Fraction({numerator}, 0)")
    common = gcd(numerator, denominator)
    if denominator < 0:
        common = -common
    return _made(numerator // common, denominator // common)


def fast(value: Fraction | int) -> FastFraction:
    """Return a whole number or a fraction as one of these.

    Example:
        >>> fast(Fraction(2, 3)) + 1
        Fraction(5, 3)
    """
    return value if type(value) is FastFraction else _made(value.numerator, value.denominator)


def _made(numerator: int, denominator: int) -> FastFraction:
    """Return a fraction that is in lowest terms."""
    made = _new(FastFraction)
    made._numerator, made._denominator = numerator, denominator
    return made


def _sum(above: int, below: int, other: int, its: int) -> FastFraction:
    """Return above / below + other / its, by the way that Python's fractions take (Knuth, volume 2, 4.5.1)."""
    common = gcd(below, its)
    if common == 1:
        return _made(above * its + other * below, below * its)
    left = below // common
    total = above * (its // common) + other * left
    again = gcd(total, common)
    return _made(total, left * its) if again == 1 else _made(total // again, left * (its // again))


def _product(above: int, below: int, other: int, its: int) -> FastFraction:
    first, second = gcd(above, its), gcd(other, below)
    if first > 1:
        above, its = above // first, its // first
    if second > 1:
        other, below = other // second, below // second
    return _made(above * other, below * its)


def _quotient(a: Fraction, b: Fraction) -> FastFraction:
    above, below = b._denominator, b._numerator  # type: ignore[attr-defined]
    if below == 0:
        return Fraction(a) / Fraction(b)  # type: ignore[return-value] # Python's own error
    if below < 0:
        above, below = -above, -below
    return _product(a._numerator, a._denominator, above, below)  # type: ignore[attr-defined]


ONE = _made(1, 1)
