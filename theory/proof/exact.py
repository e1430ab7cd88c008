"""Exact sums of square roots, for statements with roots that are searched in rationals."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache, wraps
from math import gcd, isqrt
from typing import Any

from theory.proof.symbols import NoValue

Rational = int | Fraction


def _meets(operation: Any) -> Any:
    """Convert the other operand to a sum of roots; if it cannot be (a ball), Python asks that operand instead."""

    @wraps(operation)
    def meets(self: Surd, other: object) -> Any:
        number = self._of(other)
        return NotImplemented if number is None else operation(self, number)

    return meets


class Surd:
    """A sum of square roots of whole numbers with rational coefficients, compared exactly.

    Roots of different square-free numbers are linearly independent over the rationals, so that a sum is zero only if
    every coefficient is; otherwise enough digits show its sign.

    Args:
        parts: coefficient of the root of each square-free whole number; 1 stands for the rational part.

    Example:
        >>> root = Surd.sqrt(Fraction(1, 2))
        >>> root * root == Fraction(1, 2), root > Fraction(7, 10), 1 / root == 2 * root
        (True, True, True)
    """

    __slots__ = ("parts",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, parts: Mapping[int, Fraction]) -> None:
        self.parts = {n: q for n, q in parts.items() if q}

    @staticmethod
    def sqrt(value: Rational) -> Surd | Fraction:
        """Return the root of a rational number.

        Raises:
            NoValue: the number is negative.
        """
        if value < 0:
            raise NoValue("root of a negative number")
        outside, inside = _square_free(value.numerator * value.denominator)
        root = Fraction(outside, value.denominator)
        return root if inside == 1 else Surd({inside: root})

    def _of(self, other: object) -> Any:
        if isinstance(other, Surd):
            return other
        if isinstance(other, (int, Fraction)) and not isinstance(other, bool):
            return Surd({1: Fraction(other)})
        return None

    @_meets
    def __add__(self, other: Any) -> Surd:
        zero = Fraction(0)
        return Surd({n: self.parts.get(n, zero) + other.parts.get(n, zero) for n in {*self.parts, *other.parts}})

    def __neg__(self) -> Surd:
        return Surd({n: -q for n, q in self.parts.items()})

    @_meets
    def __sub__(self, other: Any) -> Surd:
        return self + -other

    @_meets
    def __rsub__(self, other: Any) -> Surd:
        return other + -self

    @_meets
    def __mul__(self, other: Any) -> Surd:
        total: dict[int, Fraction] = {}
        zero = Fraction(0)
        for n, q in self.parts.items():
            for m, r in other.parts.items():
                outside = gcd(n, m)  # both are square-free, and so is what is left of them
                inside = (n // outside) * (m // outside)
                total[inside] = total.get(inside, zero) + q * r * outside
        return Surd(total)

    __radd__, __rmul__ = __add__, __mul__

    def __pow__(self, power: int) -> Surd:
        product = Surd({1: Fraction(1)})
        for _ in range(abs(power)):
            product = product * self
        return product if power >= 0 else product.inverse()

    def inverse(self) -> Surd:
        """Return 1 / self: the product with its conjugates is rational.

        Raises:
            NoValue: the number is zero.
        """
        if not self.parts:
            raise NoValue("division by zero")
        above, below = Surd({1: Fraction(1)}), self
        while any(n != 1 for n in below.parts):
            prime = _least_prime(max(below.parts))
            conjugate = Surd({n: -q if n % prime == 0 else q for n, q in below.parts.items()})
            above, below = above * conjugate, below * conjugate
        return above * (1 / below.parts[1])

    @_meets
    def __truediv__(self, other: Any) -> Surd:
        return self * other.inverse()

    @_meets
    def __rtruediv__(self, other: Any) -> Surd:
        return other * self.inverse()

    def sign(self) -> int:
        """Return -1, 0 or 1."""
        if not self.parts:
            return 0
        scale, bits = 1, 64
        for q in self.parts.values():
            scale *= q.denominator
        while True:  # sum of whole numbers times roots, each root to within 2^-bits
            low = high = 0
            for n, q in self.parts.items():
                k = int(q * scale)
                root = isqrt(n << (2 * bits))
                low += k * (root if k > 0 else root + 1)
                high += k * (root + 1 if k > 0 else root)
            if low > 0 or high < 0:
                return 1 if low > 0 else -1
            bits *= 2

    @_meets
    def __lt__(self, other: Any) -> bool:
        return (self - other).sign() < 0

    @_meets
    def __le__(self, other: Any) -> bool:
        return (self - other).sign() <= 0

    @_meets
    def __gt__(self, other: Any) -> bool:
        return (self - other).sign() > 0

    @_meets
    def __ge__(self, other: Any) -> bool:
        return (self - other).sign() >= 0

    @_meets
    def __eq__(self, other: Any) -> bool:
        return not (self - other).parts

    def __bool__(self) -> bool:
        return bool(self.parts)

    def __abs__(self) -> Surd:
        return self if self.sign() >= 0 else -self

    def __repr__(self) -> str:
        return " + ".join(f"{q}" if n == 1 else f"{q} sqrt({n})" for n, q in sorted(self.parts.items())) or "0"


@lru_cache(maxsize=4096)
def _square_free(n: int) -> tuple[int, int]:
    """Return (a, b) with n = a^2 b and b square-free."""
    root = isqrt(n)
    if root * root == n:
        return root, 1
    from flint import fmpz  # noqa: PLC0415 - loaded where a root is taken

    outside = inside = 1
    for prime, power in fmpz(n).factor():
        outside *= int(prime) ** (int(power) // 2)
        inside *= int(prime) ** (int(power) % 2)
    return outside, inside


def _least_prime(n: int) -> int:
    from flint import fmpz  # noqa: PLC0415

    return min(int(prime) for prime, _ in fmpz(n).factor())
