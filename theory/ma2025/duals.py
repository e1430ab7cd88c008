"""Exact derivatives: rational numbers that carry their gradient, so that a loss is differentiated, not copied.

Forward-mode differentiation over fractions. Everything that DPO's loss is made of is rational in e^s (s the logits):
the loss is -log kappa with kappa rational, and the gradient of a logarithm is gradient / value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from theory.worlds import Rational, Vector


@dataclass(frozen=True)
class Dual:
    """A rational number with its gradient.

    Attributes:
        value: the number.
        slope: its partial derivatives.

    Example:
        >>> x, y = variables([2, 3])
        >>> [str(d) for d in (x / (x + y)).slope]
        ['3/25', '-2/25']
    """

    value: Fraction
    slope: Vector

    def __add__(self, other: Dual | Rational) -> Dual:
        if isinstance(other, Dual):
            return Dual(self.value + other.value, tuple(a + b for a, b in zip(self.slope, other.slope, strict=True)))
        return Dual(self.value + other, self.slope)

    __radd__ = __add__

    def __neg__(self) -> Dual:
        return self * -1

    def __sub__(self, other: Dual | Rational) -> Dual:
        return self + -other

    def __rsub__(self, other: Rational) -> Dual:
        return -self + other

    def __mul__(self, other: Dual | Rational) -> Dual:
        if isinstance(other, Dual):
            both = zip(self.slope, other.slope, strict=True)
            return Dual(self.value * other.value, tuple(a * other.value + self.value * b for a, b in both))
        return Dual(self.value * other, tuple(a * other for a in self.slope))

    __rmul__ = __mul__

    def __truediv__(self, other: Dual | Rational) -> Dual:
        return self * (other**-1 if isinstance(other, Dual) else 1 / Fraction(other))

    def __rtruediv__(self, other: Rational) -> Dual:
        return self**-1 * other

    def __pow__(self, exponent: int) -> Dual:
        factor = exponent * self.value ** (exponent - 1)
        return Dual(self.value**exponent, tuple(factor * a for a in self.slope))

    @property
    def log_slope(self) -> Vector:
        """Return the gradient of the number's logarithm."""
        return tuple(a / self.value for a in self.slope)

    def detached(self) -> Dual:
        """Return the number as a constant: no gradient flows through it."""
        return Dual(self.value, tuple(Fraction(0) for _ in self.slope))


def variables(values: Sequence[Rational]) -> tuple[Dual, ...]:
    """Return independent variables at these values.

    Example:
        >>> [str(d) for d in variables([5, 7])[1].slope]
        ['0', '1']
    """
    rows = range(len(values))
    return tuple(Dual(Fraction(x), tuple(Fraction(int(i == k)) for k in rows)) for i, x in enumerate(values))


def exponentials(values: Sequence[Rational]) -> tuple[Dual, ...]:
    """Return e^s for independent variables s, given the values of e^s; slopes are with respect to s.

    Example:
        >>> [str(d) for d in exponentials([5, 7])[1].slope]
        ['0', '7']
    """
    return tuple(Dual(x.value, tuple(x.value * a for a in x.slope)) for x in variables(values))


def softmax(weights: Sequence[Rational]) -> tuple[Dual, ...]:
    """Return probabilities proportional to ``weights`` = e^s; slopes are with respect to the logits s.

    Example:
        >>> [str(d) for d in softmax([1, 3])[0].slope]
        ['3/16', '-3/16']
    """
    x = exponentials(weights)
    total = sum(x[1:], x[0])
    return tuple(a / total for a in x)
