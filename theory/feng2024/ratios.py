"""The plane of the paper: x1 = pi(y_w) / ref(y_w), x2 = pi(y_l) / ref(y_l), and the gradient field of Eq. 2 in it.

``PLANE`` is every point with every beta > 0, for the solver; ``Point`` is one at which all powers are rational, for
exact evaluation; ``X1``, ``X2``, ``BETA``, ``LOSS``, ``D1``, ``D2`` are the same for SymPy.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import sympy as sp

from theory.proof import Named, Numbers, power, setting
from theory.statement import claims_of

claim = claims_of("feng2024")

X1, X2, BETA = sp.symbols("x1 x2 beta", positive=True)
LOSS = -sp.log(X1**BETA / (X1**BETA + X2**BETA))
"""Eq. 1, last line."""

D1 = -BETA * X2**BETA / (X1 * (X1**BETA + X2**BETA))
D2 = BETA * X2 ** (BETA - 1) / (X1**BETA + X2**BETA)
"""Eq. 2, as printed."""


class Field:
    """The gradient of Eq. 2 in x1, x2, beta, a = x1^beta and b = x2^beta."""

    x1: Any
    x2: Any
    beta: Any
    a: Any
    b: Any

    @property
    def preference(self) -> Any:
        """Return e^-L = x1^beta / (x1^beta + x2^beta)."""
        return self.a / (self.a + self.b)

    @property
    def share(self) -> Any:
        """Return x2^beta / (x1^beta + x2^beta)."""
        return self.b / (self.a + self.b)

    @property
    def d1(self) -> Any:
        """Return dL/dx1."""
        return -self.beta * self.share / self.x1

    @property
    def d2(self) -> Any:
        """Return dL/dx2."""
        return self.beta * self.share / self.x2

    @property
    def squared_speed(self) -> Any:
        """Return |grad L|^2."""
        return self.d1**2 + self.d2**2


@dataclass(frozen=True)
class Point(Field):
    """A point (x1, x2) and a beta at which every power that Eq. 2 needs is rational.

    beta = power / root and x = base^root, so that x^beta = base^power.

    Attributes:
        first: the base of x1, > 0.
        second: the base of x2, > 0.
        power: numerator of beta, >= 1.
        root: denominator of beta, >= 1.

    Example:
        >>> point = Point(Fraction(1, 2), Fraction(1), power=1, root=2)
        >>> print(point)
        x1 = 1/4, x2 = 1, beta = 1/2: dL/dx1 = -4/3, dL/dx2 = 1/3
    """

    first: Fraction
    second: Fraction
    power: int = 1
    root: int = 1

    def __post_init__(self) -> None:
        values = {
            "x1": self.first**self.root,
            "x2": self.second**self.root,
            "beta": Fraction(self.power, self.root),
            "a": self.first**self.power,
            "b": self.second**self.power,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __str__(self) -> str:
        """Return the point in numbers that can be checked by hand."""
        where = f"x1 = {_short(self.x1)}, x2 = {_short(self.x2)}, beta = {self.beta}"
        return f"{where}: dL/dx1 = {_short(self.d1)}, dL/dx2 = {_short(self.d2)}"


class Place(Named, Field):
    """A point of the plane in symbols or in balls."""


def anywhere(source: random.Random) -> Point:
    """Draw a point on either side of the diagonal, with beta from 1/4 to 8."""
    first, second = (Fraction(source.randint(1, 12), source.randint(1, 12)) for _ in range(2))
    return Point(first, second, source.randint(1, 8), source.randint(1, 4))


@setting("x1, x2, beta > 0")
def in_symbols(numbers: Numbers) -> Place:
    """Every point of the plane and every beta > 0."""
    x1, x2, beta = (numbers.positive(name) for name in ("x1", "x2", "beta"))
    return Place(x1=x1, x2=x2, beta=beta, a=power(x1, beta), b=power(x2, beta))


PLANE = replace(in_symbols, draw=anywhere)
"""Every point with every beta > 0; a search draws those at which all powers are rational."""


def _short(value: Fraction) -> str:
    exact = str(value)
    return exact if len(exact) <= 20 else f"about {float(value):.6g}"
