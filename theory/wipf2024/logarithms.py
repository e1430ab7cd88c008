"""Sums of logarithms in exact arithmetic: rational coefficients, rational arguments, and a sign that is decided.

Both losses of the paper are such sums at every policy with rational probabilities, so that two policies can be compared
without rounding. The logarithms of the primes are linearly independent over the rationals: a sum is zero if and only if
the coefficient of every prime is.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import mpmath
from sympy import factorint

from dynamics.errors import InvalidArgument

Rational = int | Fraction

ROUNDING = 4e-16  # a bound, per term, on the relative error of a float64 sum of c * log(a); about four times generous


@dataclass(frozen=True, eq=False)
class Logs:
    """A sum of c_i ln(a_i), in nats, with rational c_i and positive rational a_i. Build it from ``log``.

    Attributes:
        terms: pairs (c_i, a_i).

    Example:
        >>> log(8) == 3 * log(2)
        True
        >>> log(3) / 2 < log(2) < log(5) / 2  # sqrt(3) < 2 < sqrt(5)
        True
        >>> float(log(2) - log(2) / 2).__round__(4)
        0.3466
    """

    terms: tuple[tuple[Fraction, Fraction], ...] = ()

    def __add__(self, other: Logs) -> Logs:
        return Logs(self.terms + other.terms)

    def __neg__(self) -> Logs:
        return self * -1

    def __sub__(self, other: Logs) -> Logs:
        return self + -other

    def __mul__(self, factor: Rational) -> Logs:
        return Logs(tuple((c * factor, a) for c, a in self.terms))

    __rmul__ = __mul__

    def __truediv__(self, divisor: Rational) -> Logs:
        return self * (Fraction(1) / divisor)

    def __float__(self) -> float:
        return float(sum(float(c) * (math.log(a.numerator) - math.log(a.denominator)) for c, a in self._merged()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Logs) and (self - other).sign() == 0

    __hash__ = None  # type: ignore[assignment]  # equal sums can have different terms

    def __lt__(self, other: Logs) -> bool:
        return (self - other).sign() < 0

    def __le__(self, other: Logs) -> bool:
        return (self - other).sign() <= 0

    def __gt__(self, other: Logs) -> bool:
        return (self - other).sign() > 0

    def __ge__(self, other: Logs) -> bool:
        return (self - other).sign() >= 0

    def sign(self) -> int:
        """Return -1, 0 or 1, without any error of rounding."""
        total = scale = 0.0
        merged = self._merged()
        for c, a in merged:
            numerator, denominator = math.log(a.numerator), math.log(a.denominator)
            total += float(c) * (numerator - denominator)
            scale += abs(float(c)) * (numerator + denominator)
        if abs(total) > ROUNDING * (len(merged) + 4) * scale:
            return 1 if total > 0 else -1
        return _sign_over_primes(_over_primes(merged))

    def _merged(self) -> list[tuple[Fraction, Fraction]]:
        coefficients: dict[Fraction, Fraction] = defaultdict(Fraction)
        for c, a in self.terms:
            coefficients[a] += c
        return [(c, a) for a, c in coefficients.items() if c != 0 and a != 1]


ZERO = Logs()
"""The empty sum."""


def log(argument: Rational) -> Logs:
    """Return the natural logarithm of a positive rational.

    Raises:
        InvalidArgument: a number <= 0.
    """
    if argument <= 0:
        raise InvalidArgument("argument", str(argument), "a rational number > 0")
    return Logs(((Fraction(1), Fraction(argument)),))


def power(base: Rational, exponent: Rational) -> Fraction:
    """Return ``base ** exponent`` where it is rational: a positive base, and a whole or half exponent.

    Raises:
        InvalidArgument: the power is irrational, or the exponent is neither whole nor half.

    Example:
        >>> power(Fraction(4, 9), Fraction(-1, 2))
        Fraction(3, 2)
    """
    base, exponent = Fraction(base), Fraction(exponent)
    if base <= 0 or exponent.denominator > 2:
        raise InvalidArgument("base, exponent", f"{base}, {exponent}", "a base > 0 and an exponent n or n/2")
    if exponent.denominator == 1:
        return base ** int(exponent)
    root = Fraction(math.isqrt(base.numerator), math.isqrt(base.denominator))
    if root * root != base:
        raise InvalidArgument("base", str(base), "the square of a rational, for a half exponent")
    return root**exponent.numerator


@lru_cache(maxsize=65536)
def _factors(number: int) -> tuple[tuple[int, int], ...]:
    return tuple(factorint(number).items())


def _over_primes(terms: list[tuple[Fraction, Fraction]]) -> Mapping[int, Fraction]:
    coefficients: dict[int, Fraction] = defaultdict(Fraction)
    for c, a in terms:
        for prime, times in _factors(a.numerator):
            coefficients[prime] += c * times
        for prime, times in _factors(a.denominator):
            coefficients[prime] -= c * times
    return {prime: c for prime, c in coefficients.items() if c != 0}


def _sign_over_primes(coefficients: Mapping[int, Fraction]) -> int:
    if not coefficients:
        return 0
    context, digits = mpmath.mp.clone(), 30
    while True:  # ends, because the sum is not zero
        context.dps = digits
        parts = [context.mpf(c.numerator) / c.denominator * context.log(prime) for prime, c in coefficients.items()]
        total, scale = context.fsum(parts), context.fsum(abs(part) for part in parts)
        if abs(total) > scale * context.mpf(10) ** (5 - digits):
            return 1 if total > 0 else -1
        digits *= 2
