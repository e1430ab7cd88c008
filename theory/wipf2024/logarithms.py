"""Sums of logarithms in exact arithmetic: rational coefficients, rational arguments, and a sign that is decided.

Both losses of the paper are such sums at every policy with rational probabilities, so that two policies can be compared
without rounding. The logarithms of the primes are linearly independent over the rationals, and no such combination of
them is rational (Baker): a sum is zero if and only if the coefficient of every prime is, and the constant.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache

import mpmath
from sympy import factorint

from dynamics.errors import InvalidArgument

Rational = int | Fraction

ROUNDING = 4e-16  # a bound, per term, on the relative error of a float64 sum of c * log(a), with room to spare


@dataclass(frozen=True, eq=False)
class Logs:
    """A rational number and a sum of c_i ln(a_i), in nats, with rational c_i and positive rational a_i.

    Attributes:
        terms: pairs (c_i, a_i).
        constant: the rational number.

    Example:
        >>> log(8) == 3 * log(2)
        True
        >>> log(3) / 2 < log(2) < log(5) / 2 < 1  # sqrt(3) < 2 < sqrt(5) < e
        True
        >>> float(1 - log(2) / 2).__round__(4)
        0.6534
    """

    terms: tuple[tuple[Fraction, Fraction], ...] = ()
    constant: Fraction = Fraction(0)

    def __add__(self, other: Logs | Rational) -> Logs:
        right = _lift(other)
        return Logs(self.terms + right.terms, self.constant + right.constant)

    __radd__ = __add__

    def __neg__(self) -> Logs:
        return self * -1

    def __sub__(self, other: Logs | Rational) -> Logs:
        return self + -1 * _lift(other)

    def __rsub__(self, other: Rational) -> Logs:
        return -self + other

    def __mul__(self, factor: Rational) -> Logs:
        return Logs(tuple((c * factor, a) for c, a in self.terms), self.constant * factor)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Rational) -> Logs:
        return self * (Fraction(1) / divisor)

    def __float__(self) -> float:
        return self._approximation[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (Logs, int, Fraction)) and self._compare(other) == 0

    __hash__ = None  # type: ignore[assignment]  # equal sums can have different terms

    def __lt__(self, other: Logs | Rational) -> bool:
        return self._compare(other) < 0

    def __le__(self, other: Logs | Rational) -> bool:
        return self._compare(other) <= 0

    def __gt__(self, other: Logs | Rational) -> bool:
        return self._compare(other) > 0

    def __ge__(self, other: Logs | Rational) -> bool:
        return self._compare(other) >= 0

    def sign(self) -> int:
        """Return -1, 0 or 1, without any error of rounding."""
        return self._compare(0)

    def _compare(self, other: Logs | Rational) -> int:
        right = _lift(other)
        (value, error), (other_value, other_error) = self._approximation, right._approximation
        difference = value - other_value
        if abs(difference) > 2 * (error + other_error):
            return 1 if difference > 0 else -1
        exact = self - right
        return _exact_sign(_over_primes(exact.terms), exact.constant)

    @cached_property
    def _approximation(self) -> tuple[float, float]:
        total, scale = float(self.constant), abs(float(self.constant))
        for c, a in self.terms:
            numerator, denominator, factor = math.log(a.numerator), math.log(a.denominator), float(c)
            total += factor * (numerator - denominator)
            scale += abs(factor) * (numerator + denominator)
        return total, ROUNDING * (len(self.terms) + 4) * scale


ZERO = Logs()
"""The empty sum."""


def _lift(value: Logs | Rational) -> Logs:
    return value if isinstance(value, Logs) else Logs((), Fraction(value))


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
        raise InvalidArgument("base, exponent", (base, exponent), "a base > 0 and an exponent n or n/2")
    if exponent.denominator == 1:
        return base ** int(exponent)
    root = Fraction(math.isqrt(base.numerator), math.isqrt(base.denominator))
    if root * root != base:
        raise InvalidArgument("base", str(base), "the square of a rational, for a half exponent")
    return root**exponent.numerator


@lru_cache(maxsize=65536)
def _factors(number: int) -> tuple[tuple[int, int], ...]:
    return tuple((int(prime), int(times)) for prime, times in factorint(number).items())


def _over_primes(terms: Iterable[tuple[Fraction, Fraction]]) -> Mapping[int, Fraction]:
    coefficients: dict[int, Fraction] = defaultdict(Fraction)
    for c, a in terms:
        for prime, times in _factors(a.numerator):
            coefficients[prime] += c * times
        for prime, times in _factors(a.denominator):
            coefficients[prime] -= c * times
    return {prime: c for prime, c in coefficients.items() if c != 0}


def _exact_sign(coefficients: Mapping[int, Fraction], constant: Fraction) -> int:
    if not coefficients:
        return (constant > 0) - (constant < 0)
    context, digits = mpmath.mp.clone(), 30
    while True:  # ends: such a sum of logarithms is transcendental, so that no rational number makes it 0
        context.dps = digits
        parts = [context.mpf(c.numerator) / c.denominator * context.log(prime) for prime, c in coefficients.items()]
        parts.append(context.mpf(constant.numerator) / constant.denominator)
        total, scale = context.fsum(parts), context.fsum(abs(part) for part in parts)
        if abs(total) > scale * context.mpf(10) ** (5 - digits):
            return 1 if total > 0 else -1
        digits *= 2
