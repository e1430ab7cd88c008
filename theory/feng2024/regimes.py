"""Section 3.2 and 3.3.2: how strong the field is in the corners of the figure, and for which beta."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction as F

import numpy as np
import sympy as sp

from dynamics import ratio_field
from theory.claim import CONDITIONALLY, FALSE, PROVED, claim
from theory.evidence import ALSO, FAILS, Evidence
from theory.feng2024.ratios import BETA, D1, D2, X1, X2, Point, anywhere, lower_edge

BETAS = (sp.Rational(1, 10), sp.Rational(1, 2), sp.Integer(1), sp.Integer(2))
LARGE = 10**6
TINY = F(1, 10**12)


def limits(slope: sp.Expr, variable: sp.Symbol, factor: sp.Expr | int = 1) -> list[sp.Expr]:
    """Return the limit of |factor slope| at variable = 0 for beta = 1/10, 1/2, 1, 2 (SymPy has none for symbolic beta).

    Example:
        >>> limits(D1, X1, X1)
        [1/10, 1/2, 1, 2]
    """
    return [sp.limit(sp.Abs((factor * slope).subs(BETA, beta)), variable, 0, "+") for beta in BETAS]


@claim(
    "feng2024.vanishes-at-low-x1",
    source="Section 3.2, before the three regimes",
    says=r"\lim_{x_1\to 0}\nabla L=0",
    verdict=FALSE,
    because=r"$x_1\,\partial L/\partial x_1\to-\beta$, so the field grows like $\beta/x_1$: the edge is a source.",
    instead="feng2024.regime-1",
)
def vanishes_at_low_x1(evidence: Evidence) -> None:
    """The first component explodes for every beta."""

    def weak(p: Point) -> bool:
        return abs(p.d1) < LARGE

    evidence.fails(weak, at=Point(TINY, F(1), 1, 2), control=Point(F(1), F(1), 1, 2))
    evidence.proves(
        lambda: limits(D1, X1) == [sp.oo] * 4,
        control=lambda: limits(D2, X1) == [sp.oo] * 4,
        by="SymPy: |dL/dx1| -> oo as x1 -> 0, for beta = 1/10, 1/2, 1, 2",
        role=FAILS,
    )
    evidence.proves(
        lambda: limits(D1, X1, X1) == list(BETAS),
        control=lambda: limits(D1, X1, X1**2) == list(BETAS),
        by="SymPy: x1 |dL/dx1| -> beta",
        role=ALSO,
    )


def weak_at_low_x2(p: Point) -> bool:
    """Return whether both components are small (``p`` lies on the lower edge)."""
    return p.d2 < F(1, LARGE) and -p.d1 < F(1, LARGE)


@claim(
    "feng2024.vanishes-at-low-x2",
    source="Section 3.2, before the three regimes",
    says=r"\lim_{x_2\to 0}\nabla L=0",
    assumes=r"$\beta>1$, outside the paper's own range $[0.1,0.5]$",
    verdict=CONDITIONALLY,
    because=r"The second component behaves like $\beta x_2^{\beta-1}/x_1^\beta$: it explodes for $\beta<1$ and tends "
    r"to $1/x_1$ for $\beta=1$.",
    proof=r"$\beta x_2^{\beta-1}/(x_1^\beta+x_2^\beta)\to 0$ if and only if $\beta>1$; the other one always does.",
    instead="feng2024.edge-speed",
)
def vanishes_at_low_x2(evidence: Evidence) -> None:
    """The field ends there only for a beta that nobody uses."""
    large_beta = Point(F(1), TINY, 2, 1)
    for base, root in ((F(1, 10), 10), (F(1, 10**6), 2), (TINY, 1)):  # beta = 1/10, 1/2, 1
        evidence.fails(weak_at_low_x2, at=Point(F(1), base, 1, root), control=large_beta)
    evidence.holds(
        weak_at_low_x2,
        lower_edge,
        given=lambda p: p.beta > 1,
        control=lambda p: weak_at_low_x2(p) and p.d2 < p.x2,
    )
    evidence.proves(
        lambda: limits(D2, X2) == [sp.oo, sp.oo, 1 / X1, 0],
        control=lambda: limits(D1, X2) == [sp.oo, sp.oo, 1 / X1, 0],
        by="SymPy: the limits of dL/dx2 for beta = 1/10, 1/2, 1, 2",
        role=ALSO,
    )


@claim(
    "feng2024.edge-speed",
    source="not in the paper; the field along both edges",
    says=r"x_2\le x_1\implies\frac{\beta x_2^{\beta-1}}{2x_1^\beta}\le\frac{\partial L}{\partial x_2}\le"
    r"\frac{\beta x_2^{\beta-1}}{x_1^\beta}",
    verdict=PROVED,
    proof=r"$x_1^\beta\le x_1^\beta+x_2^\beta\le 2x_1^\beta$ below the diagonal.",
)
def edge_speed(evidence: Evidence) -> None:
    """How the speed of x2 depends on beta near the lower edge."""

    def bounds(p: Point, half: int = 2) -> bool:
        bound = p.beta * p.second ** (p.power - p.root) / p.first**p.power
        return p.x2 > p.x1 or bound / half <= p.d2 <= bound

    evidence.holds(bounds, anywhere, control=lambda p: bounds(p, 1))


@claim(
    "feng2024.regime-1",
    source="Section 3.2, first regime (top left corner)",
    says=r"x_1\le x_2\implies\frac{\beta}{2x_1}\le\left|\frac{\partial L}{\partial x_1}\right|\le\frac{\beta}{x_1},"
    r"\qquad\left|\frac{\partial L}{\partial x_2}\right|\le\frac{\beta}{x_2}",
    verdict=PROVED,
    proof=r"$\frac12\le x_2^\beta/(x_1^\beta+x_2^\beta)<1$ above the diagonal. So x1 rises rapidly and x2 hardly moves "
    r"as $x_1/x_2\to 0$.",
)
def regime_1(evidence: Evidence) -> None:
    """True for every beta; the formulas are ours."""

    def bounds(p: Point, half: int = 2) -> bool:
        inside = p.beta / (half * p.x1) <= -p.d1 <= p.beta / p.x1 and p.d2 <= p.beta / p.x2
        return p.x1 > p.x2 or inside

    evidence.holds(bounds, anywhere, control=lambda p: bounds(p, 1))


@claim(
    "feng2024.regime-2",
    source="Section 3.2, second regime (top right corner)",
    says=r"\nabla L(cx_1,cx_2)=\frac1c\nabla L(x_1,x_2),\qquad\nabla L(1,1)=\Bigl(-\frac\beta2,\frac\beta2\Bigr)",
    verdict=PROVED,
    because="Both components shrink together as both ratios grow. In a figure with ref = 1 the corner (1, 1) belongs "
    "to no policy: feng2024.footnote-2.",
    proof="The gradient of a function of degree 0 is homogeneous of degree -1.",
)
def regime_2(evidence: Evidence) -> None:
    """The change is minor where both are large."""

    def homogeneous(p: Point, power: int = 1) -> bool:
        far = p.scaled(3, 3)
        c = F(3) ** (p.root * power)
        return far.d1 * c == p.d1 and far.d2 * c == p.d2

    evidence.holds(homogeneous, anywhere, control=lambda p: homogeneous(p, 2))
    evidence.holds(
        lambda p: Point(F(1), F(1), p.power, p.root).squared_speed == p.beta**2 / 2,
        anywhere,
        control=lambda p: Point(F(1), F(1), p.power, p.root).squared_speed == p.beta / 2,
    )


def any_inset(source: random.Random) -> Point:
    """Draw an inset 0 < x2 < x1 = 1 of the square and a beta: the point (1, inset), a corner of the square."""
    return Point(F(1), F(source.randint(1, 12), source.randint(13, 60)), source.randint(1, 8), source.randint(1, 4))


def corner_is_weakest(p: Point) -> bool:
    """Return whether the field at (1, 1) is weaker than at the three other corners of the square [x2, 1]^2."""
    corners = [p, Point(p.second, F(1), p.power, p.root), Point(p.second, p.second, p.power, p.root)]
    return all(Point(F(1), F(1), p.power, p.root).squared_speed < corner.squared_speed for corner in corners)


@claim(
    "feng2024.regime-2-weakest",
    source="Sections 3.2 and 3.3.2, the gradients of the upper right corner",
    says=r"\|\nabla L(1,1)\|<\min\bigl\{\|\nabla L(\epsilon,\epsilon)\|,\|\nabla L(1,\epsilon)\|,"
    r"\|\nabla L(\epsilon,1)\|\bigr\}",
    assumes=r"$\beta\le 1$",
    verdict=CONDITIONALLY,
    because=r"For $\beta>1$ the lower right corner is weaker: there the field vanishes with $\epsilon$.",
    proof=r"$\|\nabla L(1,\epsilon)\|=\beta\sqrt{1+\epsilon^2}/(\epsilon^{1-\beta}+\epsilon)$; for $\beta\le 1$ the "
    r"denominator is at most $1+\epsilon$, and $2(1+\epsilon^2)>(1+\epsilon)^2$. The other two corners have a "
    r"component of at least $\beta/(2\epsilon)$.",
)
def regime_2_weakest(evidence: Evidence) -> None:
    """The four corners of the drawn square."""
    inset = F(1, 20)
    evidence.fails(corner_is_weakest, at=Point(F(1), inset, 2), control=Point(F(1), inset, 1))
    evidence.holds(
        corner_is_weakest,
        any_inset,
        given=lambda p: p.beta <= 1,
        control=lambda p: 2 * Point(F(1), F(1), p.power, p.root).squared_speed < p.squared_speed,
    )


def at_larger_beta(statement: Callable[[Point], bool]) -> Callable[[Point], bool]:
    """Return the statement about the same x1 and x2 with beta + 1 in the place of beta."""
    return lambda p: statement(Point(p.first, p.second, p.power + p.root, p.root))


def x2_falls_rapidly(p: Point) -> bool:
    """Return whether x2 moves fast in absolute terms, and x1 hardly beside it (``p`` has a tiny x2)."""
    return p.d2 > LARGE and -p.d1 * LARGE < p.d2


@claim(
    "feng2024.regime-3",
    source="Section 3.2, third regime (lower part)",
    says=r"x_2\to 0\implies\left|\frac{\partial L}{\partial x_2}\right|\to\infty,\quad"
    r"\left|\frac{\partial L}{\partial x_1}\right|\ll\left|\frac{\partial L}{\partial x_2}\right|",
    assumes=r"$\beta<1$ and $x_2/x_1\to 0$",
    verdict=CONDITIONALLY,
    because=r"For $\beta=1$ the speed of x2 tends to $1/x_1$, for $\beta>1$ to 0. And where both are small, as the "
    "lower left corner has it, the slope $x_2/x_1$ of the field can be anything.",
    proof="feng2024.edge-speed and Corollary 1.",
    instead=("feng2024.edge-speed", "feng2024.corollary-1"),
)
def regime_3(evidence: Evidence) -> None:
    """The regime is one of beta, and of the ratio x2 / x1."""
    paper = Point(F(1), TINY, 1, 2)
    evidence.fails(x2_falls_rapidly, at=Point(F(1), TINY, 1), control=paper)
    evidence.fails(x2_falls_rapidly, at=Point(F(1), TINY, 2), control=paper)
    evidence.fails(lambda p: p.d2 > -p.d1, at=Point(F(1, 4), F(1, 2), 1, 10), control=paper)
    evidence.holds(
        x2_falls_rapidly,
        lower_edge,
        given=lambda p: p.beta < 1,
        control=at_larger_beta(x2_falls_rapidly),
    )

    def slow_decay(beta: float = 0.1) -> bool:  # x1 = 1/2 and x2 = 1e-1, 1e-3, 1e-6, 1e-12
        seen = ratio_field(0.5, np.array([1e-1, 1e-3, 1e-6, 1e-12]), beta)[0]
        return bool(np.abs(seen - [0.092, 0.070, 0.042, 0.013]).max() < 5e-4)

    evidence.measures(
        slow_decay,
        control=lambda: slow_decay(0.15),
        by="at beta = 0.1 the speed of x1 decays slowly: 0.092, 0.070, 0.042, 0.013 down to x2 = 1e-12, to 5e-4",
        role=ALSO,
    )


@claim(
    "feng2024.limitation-2-lower-right",
    source="Section 3.3.2, first item (start in the lower right corner)",
    says=r"x_2\ll x_1:\quad\left|\frac{\partial L}{\partial x_2}\right|\text{ is large}",
    assumes=r"$\beta<1$",
    verdict=CONDITIONALLY,
    because=r"At $\beta=1$ the speed is bounded by $1/x_1$, and for $\beta>1$ it vanishes. (Measured by the logarithm "
    r"of x2 the limit is $\beta<2$: feng2024.hitting-time.)",
    proof="feng2024.edge-speed.",
    instead="feng2024.edge-speed",
)
def limitation_2_lower_right(evidence: Evidence) -> None:
    """The same limit as that of the third regime."""

    def large(p: Point) -> bool:
        return p.d2 > LARGE

    evidence.fails(large, at=Point(F(1), TINY, 1), control=Point(F(1), TINY, 1, 2))
    evidence.fails(large, at=Point(F(1), TINY, 3, 2), control=Point(F(1), TINY, 1, 2))
    evidence.holds(large, lower_edge, given=lambda p: p.beta < 1, control=at_larger_beta(large))


@claim(
    "feng2024.limitation-2-left",
    source="Section 3.3.2, second item (start on the left side)",
    says=r"x_1\to 0:\quad\left|\frac{\partial L}{\partial x_2}\right|>\left|\frac{\partial L}{\partial x_1}\right|",
    verdict=FALSE,
    because="It contradicts the first regime: on the left side x1 moves faster by the factor $x_2/x_1$, except below "
    "the diagonal.",
    instead=("feng2024.regime-1", "feng2024.corollary-1"),
)
def limitation_2_left(evidence: Evidence) -> None:
    """At (1/10, 1/2) x1 moves five times as fast as x2, at every beta."""

    def favours_x2(p: Point) -> bool:
        return p.d2 > -p.d1

    below = Point(F(1, 10), F(1, 20))
    evidence.fails(favours_x2, at=Point(F(1, 10), F(1, 2)), control=below)
    evidence.fails(favours_x2, at=Point(F(1, 3), F(2, 3), 1, 2), control=below)
    evidence.finds(
        favours_x2,
        anywhere,
        control=lambda p: favours_x2(p.scaled(1, F(1, 200))),  # far below the diagonal
    )
