"""The plane of the paper: x1 = pi(y_w) / ref(y_w), x2 = pi(y_l) / ref(y_l); symbols for it, and exact points in it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sympy as sp

X1, X2, BETA = sp.symbols("x1 x2 beta", positive=True)

LOSS = -sp.log(X1**BETA / (X1**BETA + X2**BETA))
"""Eq. 1, last line."""

D1 = -BETA * X2**BETA / (X1 * (X1**BETA + X2**BETA))
D2 = BETA * X2 ** (BETA - 1) / (X1**BETA + X2**BETA)
"""Eq. 2, as printed."""


@dataclass(frozen=True)
class Point:
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

    @property
    def x1(self) -> Fraction:
        """Return pi(y_w) / ref(y_w)."""
        return self.first**self.root

    @property
    def x2(self) -> Fraction:
        """Return pi(y_l) / ref(y_l)."""
        return self.second**self.root

    @property
    def beta(self) -> Fraction:
        """Return beta."""
        return Fraction(self.power, self.root)

    @property
    def preference(self) -> Fraction:
        """Return e^-L = x1^beta / (x1^beta + x2^beta)."""
        return self.first**self.power / (self.first**self.power + self.second**self.power)

    @property
    def d1(self) -> Fraction:
        """Return dL/dx1, Eq. 2 as printed."""
        return -self.beta * self.second**self.power / (self.x1 * (self.first**self.power + self.second**self.power))

    @property
    def d2(self) -> Fraction:
        """Return dL/dx2, Eq. 2 as printed."""
        numerator = self.beta * self.second ** (self.power - self.root)
        return numerator / (self.first**self.power + self.second**self.power)

    @property
    def squared_speed(self) -> Fraction:
        """Return |grad L|^2."""
        return self.d1**2 + self.d2**2

    def scaled(self, first: Fraction | int, second: Fraction | int) -> Point:
        """Return the point whose bases are multiplied by ``first`` and ``second``."""
        return Point(self.first * first, self.second * second, self.power, self.root)

    def __str__(self) -> str:
        """Return the point in numbers that can be checked by hand."""
        where = f"x1 = {_short(self.x1)}, x2 = {_short(self.x2)}, beta = {self.beta}"
        return f"{where}: dL/dx1 = {_short(self.d1)}, dL/dx2 = {_short(self.d2)}"


def anywhere(source: random.Random) -> Point:
    """Draw a point on either side of the diagonal, with beta from 1/4 to 8."""
    first, second = (Fraction(source.randint(1, 12), source.randint(1, 12)) for _ in range(2))
    return Point(first, second, source.randint(1, 8), source.randint(1, 4))


def lower_edge(source: random.Random) -> Point:
    """Draw a point with a tiny x2 = 2^(-300 root) below an x1 of ordinary size: what is small there has a limit 0."""
    first = Fraction(source.randint(1, 12), source.randint(1, 12))
    return Point(first, Fraction(1, 2**300), source.randint(1, 8), source.randint(1, 4))


def _short(value: Fraction) -> str:
    exact = str(value)
    return exact if len(exact) <= 20 else f"about {float(value):.6g}"


def equal(left: Any, right: Any) -> bool:
    """Return whether two expressions in positive symbols are the same.

    Example:
        >>> equal(sp.log(X1**BETA), BETA * sp.log(X1)), equal(sp.log(X1**BETA), sp.log(X1))
        (True, False)
    """
    return bool(sp.simplify(sp.expand_log(sp.powsimp(left - right), force=True)) == 0)
