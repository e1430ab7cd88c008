"""Saddle points and local minima: there are none, although the curvature is that of a saddle everywhere."""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp

from theory.claim import FALSE, PROVED, claim
from theory.evidence import ALSO, FAILS, Evidence
from theory.feng2024.ratios import D1, D2, X1, X2, Point, anywhere


def critical(p: Point) -> bool:
    """Return whether the gradient vanishes."""
    return p.d1 == 0 and p.d2 == 0


@claim(
    "feng2024.no-critical-point",
    source="not in the paper; replaces its saddle points and local minima",
    says=r"\frac{\partial L}{\partial x_1}<0<\frac{\partial L}{\partial x_2}\qquad\text{for all }x_1,x_2>0",
    verdict=PROVED,
    proof="Every factor in Eq. 2 is positive.",
)
def no_critical_point(evidence: Evidence) -> None:
    """The gradient never vanishes."""
    evidence.proves(
        lambda: bool(D1.is_negative and D2.is_positive),
        control=lambda: bool((D1 + D2).is_negative),
        by="SymPy: signs of Eq. 2 in positive symbols",
    )
    evidence.holds(lambda p: p.d1 < 0 < p.d2, anywhere, control=lambda p: p.d1 + p.d2 > 0)


@claim(
    "feng2024.saddle-points",
    source="Section 3.2, second regime",
    says=r"\exists\,x_1,x_2>0:\ \nabla L(x_1,x_2)=0",
    verdict=FALSE,
    because="The gradient has no zero, so there is no saddle to escape from; what is saddle-like is the curvature.",
    instead=("feng2024.no-critical-point", "feng2024.hessian-determinant"),
)
def saddle_points(evidence: Evidence) -> None:
    """The corner of the second regime is no critical point (beta = 0 would make it one), and nothing else is."""
    evidence.fails(critical, at=Point(F(1), F(1)), control=Point(F(1), F(1), power=0))
    evidence.proves(
        lambda: bool(D1.is_nonzero and D2.is_nonzero),
        control=lambda: bool((X1 * D1 + X2 * D2).simplify().is_nonzero),
        by="SymPy: neither component has a zero",
        role=FAILS,
    )


@claim(
    "feng2024.local-minima",
    source="Section 3.3.2, on the upper right corner",
    says=r"\exists\,x_1,x_2>0\ \exists\,\epsilon>0:\ L\ge L(x_1,x_2)\ \text{within }\epsilon\text{ of }(x_1,x_2)",
    verdict=FALSE,
    because="Raising x1 alone, by however little, lowers the loss at every point. Its infimum 0 belongs to the edge "
    "$x_2=0$ alone.",
    instead="feng2024.no-critical-point",
)
def local_minima(evidence: Evidence) -> None:
    """Every neighbourhood of every point holds a lower loss (a larger e^-L)."""

    def minimum(p: Point) -> bool:  # among the neighbours that a factor of 1 +- 2^-50 reaches
        return all(p.scaled(near, 1).preference <= p.preference for near in (1 - F(1, 2**50), 1 + F(1, 2**50)))

    def can_improve(p: Point, direction: int = 1) -> bool:
        return p.scaled(1 + direction * F(1, 2**50), 1).preference > p.preference

    evidence.fails(minimum, at=Point(F(1), F(1), 1, 2), control=Point(F(1), F(0), 1, 2))
    evidence.holds(can_improve, anywhere, role=FAILS, control=lambda p: can_improve(p, -1))


@claim(
    "feng2024.hessian-determinant",
    source="not in the paper; replaces its saddle points",
    says=r"\det\nabla^2L=-\Bigl(\frac1{x_1}\frac{\partial L}{\partial x_2}\Bigr)^2<0,\qquad x^\top\nabla^2L\,x=0,"
    r"\qquad\nabla^2L\,x=-\nabla L",
    verdict=PROVED,
    proof=r"The gradient is homogeneous of degree -1 (Euler), and $x\cdot\nabla L=0$.",
)
def hessian_determinant(evidence: Evidence) -> None:
    """One curvature is positive and one negative at every point."""
    # from Eq. 2, which SymPy simplifies five times as fast as second derivatives of Eq. 1
    x, gradient = sp.Matrix([X1, X2]), sp.Matrix([D1, D2])
    hessian = gradient.jacobian(x)

    def determinant(coordinate: sp.Symbol = X1) -> bool:
        return bool(sp.simplify(hessian.det() + (D2 / coordinate) ** 2) == 0)

    def euler(sign: int = 1) -> bool:
        return bool(sp.simplify(hessian * x + sign * gradient) == sp.zeros(2, 1))

    evidence.proves(determinant, control=lambda: determinant(X2), by="SymPy: det H + (D2 / x1)^2 simplifies to 0")
    evidence.proves(euler, control=lambda: euler(-1), by="SymPy: H x + grad L simplifies to 0")
    evidence.proves(
        lambda: bool(sp.simplify((x.T * hessian * x)[0]) == 0),
        control=lambda: bool(sp.simplify((gradient.T * hessian * x)[0]) == 0),
        by="SymPy: x' H x simplifies to 0",
        role=ALSO,
    )
