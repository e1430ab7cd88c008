"""Section 5: the penalty ln(gamma + u), its curvature, and relative concavity (Definition 5.1)."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction as F
from typing import Any

import sympy as sp

from theory.claim import CONDITIONALLY, PROVED, claim
from theory.evidence import ALSO, Evidence
from theory.wipf2024.logarithms import Logs, log, power

Function = Callable[[F], Any]  # with values in the rationals or in Logs


def relatively_concave(g: Function, f: Function, slopes: F, u1: F, u2: F) -> bool:
    """Return whether inequality (13) holds at two points; ``slopes`` is g'(u1) / f'(u1)."""
    tangent = g(u1) + slopes * (f(u2) - f(u1))
    return bool(g(u2) <= tangent)


@dataclass(frozen=True)
class Penalties:
    """Two penalties ln(gamma + u), gamma1 < gamma2, and two points u1, u2 > 0."""

    gamma1: F
    gamma2: F
    u1: F
    u2: F

    def __str__(self) -> str:
        return f"gamma = {self.gamma1} and {self.gamma2}, u = {self.u1} and {self.u2}"


def penalties(source: random.Random) -> Penalties:
    """Draw two variances, the smaller one 0 at times, and two points."""
    low = F(source.randint(0, 20), source.randint(1, 9))
    u1, u2 = (F(source.randint(1, 60), source.randint(1, 12)) for _ in range(2))
    return Penalties(low, low + F(source.randint(1, 20), source.randint(1, 9)), u1, u2)


def penalty(gamma: F) -> Callable[[F], Logs]:
    """Return u -> ln(gamma + u)."""
    return lambda u: log(gamma + u)


def bend(c: Penalties, mean: F) -> int:
    """Return the sign of ln(gamma + mean) less the average of ln(gamma + u1) and ln(gamma + u2)."""
    f = penalty(c.gamma2)
    average = (f(c.u1) + f(c.u2)) * F(1, 2)
    return (f(mean) - average).sign()


@claim(
    "wipf2024.concave-penalty",
    source="Section 5, first observation",
    says=r"u\mapsto\log(\gamma+u)\ \text{is concave and non-decreasing on}\ [0,\infty)",
    assumes=r"$\gamma>0$",
    verdict=PROVED,
    because=r"Strictly so. The slope at 0 is $1/\gamma$: steep around zero only if $\gamma$ is small.",
    proof=r"$f'=\frac{1}{\gamma+u}>0$, $f''=-\frac{1}{(\gamma+u)^2}<0$.",
)
def concave_penalty(evidence: Evidence) -> None:
    """The value at the mean of two points is above the mean of the values."""

    def concave(c: Penalties, mean: F) -> bool:
        return bend(c, mean) > 0 or c.u1 == c.u2

    def rises_below_its_tangent(c: Penalties, end: int) -> bool:  # the tangent at the lower or the upper point
        low, high = sorted((c.u1, c.u2))
        rise = log(c.gamma2 + high) - log(c.gamma2 + low)
        return 0 < rise < (high - low) / (c.gamma2 + (low, high)[end]) or low == high

    evidence.holds(
        lambda c: concave(c, (c.u1 + c.u2) / 2),
        penalties,
        control=lambda c: concave(c, 2 * c.u1 * c.u2 / (c.u1 + c.u2)),  # at the harmonic mean
        worlds=200,
    )
    evidence.holds(
        lambda c: rises_below_its_tangent(c, end=0),
        penalties,
        control=lambda c: rises_below_its_tangent(c, end=1),
        worlds=200,
    )
    u, gamma = sp.symbols("u gamma", positive=True)
    slope = sp.diff(sp.log(gamma + u), u)

    def at_zero(claimed: sp.Expr) -> bool:
        return sp.simplify(slope.subs(u, 0) - claimed) == 0

    evidence.proves(
        lambda: at_zero(1 / gamma), control=lambda: at_zero(1 / (1 + gamma)), by="SymPy, the slope at 0", role=ALSO
    )


@claim(
    "wipf2024.convex-in-log-ratio",
    source="not in the paper; the penalty as a function of the log-ratio",
    says=r"t\mapsto\log(\gamma+e^{\lambda t}),\quad t=\log\frac{\pi_\theta(y_l)}{\pi_\theta(y_w)},\quad\text{is "
    r"convex}",
    assumes=r"$\gamma>0$, $\lambda>0$",
    verdict=PROVED,
    proof=r"The second derivative is $\gamma\lambda^2e^{\lambda t}/(\gamma+e^{\lambda t})^2>0$. So the same loss is "
    "concave in one coordinate and convex in another, the one in which a tabular softmax moves.",
)
def convex_in_log_ratio(evidence: Evidence) -> None:
    """At the geometric mean of two ratios the value is below the mean of the values."""

    def convex(c: Penalties, mean: Callable[[F, F], F]) -> bool:
        squares = Penalties(c.gamma1, c.gamma2, c.u1**2, c.u2**2)
        return bend(squares, mean(squares.u1, squares.u2)) < 0 or c.u1 == c.u2

    evidence.holds(
        lambda c: convex(c, lambda a, b: power(a * b, F(1, 2))),
        penalties,
        control=lambda c: convex(c, lambda a, b: (a + b) / 2),
        worlds=200,
    )
    t, gamma, lam = sp.symbols("t gamma lambda", positive=True)

    def second(claimed: sp.Expr) -> bool:
        return sp.simplify(sp.diff(sp.log(gamma + sp.exp(lam * t)), t, 2) - claimed) == 0

    exact = gamma * lam**2 * sp.exp(lam * t) / (gamma + sp.exp(lam * t)) ** 2
    evidence.proves(lambda: second(exact), control=lambda: second(exact / lam), by="SymPy, the second derivative")


# --- Definition 5.1 ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Polynomials:
    """Two polynomials by their coefficients of u, u^2, ..., and two points."""

    f: tuple[F, ...]
    g: tuple[F, ...]
    u1: F
    u2: F

    def slope(self, coefficients: tuple[F, ...], u: F) -> F:
        """Return the derivative of a polynomial."""
        return sum((k * a * u ** (k - 1) for k, a in enumerate(coefficients, 1)), F(0))

    def curve(self, coefficients: tuple[F, ...], u: F) -> F:
        """Return the second derivative of a polynomial."""
        return sum((k * (k - 1) * a * u ** (k - 2) for k, a in enumerate(coefficients, 1) if k > 1), F(0))

    @property
    def concave(self) -> bool:
        """Return whether (13) holds at the two points."""
        slopes = self.slope(self.g, self.u1) / self.slope(self.f, self.u1)
        return relatively_concave(lambda u: value(self.g, u), lambda u: value(self.f, u), slopes, self.u1, self.u2)

    def __str__(self) -> str:
        f, g = (" + ".join(f"{a} u^{k}" for k, a in enumerate(p, 1) if a) or "0" for p in (self.f, self.g))
        return f"f = {f}, g = {g}, u1 = {self.u1}, u2 = {self.u2}"


def value(coefficients: tuple[F, ...], u: F) -> F:
    """Return a polynomial without constant term."""
    return sum((a * u**k for k, a in enumerate(coefficients, 1)), F(0))


def quadratics(source: random.Random) -> Polynomials:
    """Draw two quadratics and two different points of [0, 1]."""
    f, g = ((F(source.randint(*first)), F(source.randint(-4, 4))) for first in ((-1, 8), (-8, 8)))
    u1, u2 = source.sample(range(11), 2)
    return Polynomials(f, g, F(u1, 10), F(u2, 10))


def increasing(c: Polynomials) -> bool:
    """Return whether the quadratic f has a positive derivative between the points."""
    return c.slope(c.f, c.u1) > 0 and c.slope(c.f, c.u2) > 0


@claim(
    "wipf2024.definition-5.1",
    source="Definition 5.1, Eq. (13)",
    says=r"f\ \text{strictly increasing, differentiable:}\quad g(u_2)\le "
    r"g(u_1)+\frac{g'(u_1)}{f'(u_1)}\bigl[f(u_2)-f(u_1)\bigr]"
    r"\ \forall u_1,u_2\iff g\circ f^{-1}\ \text{concave}",
    assumes=r"$f'>0$, and (13) for all $u_1,u_2\in[a,b]$",
    verdict=CONDITIONALLY,
    because="A strictly increasing $f$ can have $f'(u_1)=0$, as $u^3$ at 0, and (13) then divides by zero. The "
    "quantifier over $u_1,u_2$ is not printed.",
    proof=r"In $t=f(u)$, (13) says that $h=g\circ f^{-1}$ lies below its tangents, whose slopes are $h'=g'/f'$. $h'$ "
    r"falls if and only if $g''f'\le g'f''$.",
)
def definition_5_1(evidence: Evidence) -> None:
    """For quadratics the sign of g''f' - g'f'' is the same everywhere, and decides (13) at every pair of points."""

    def equivalent(c: Polynomials, normalised: bool = True) -> bool:
        slope_f, slope_g = c.slope(c.f, c.u1), c.slope(c.g, c.u1)
        if slope_f == 0:
            return False  # (13) is not defined
        curve_f, curve_g = c.curve(c.f, c.u1), c.curve(c.g, c.u1)
        decided = curve_g * slope_f <= slope_g * curve_f if normalised else curve_g <= curve_f
        return c.concave == decided

    cubic, mended = (F(0), F(0), F(1)), (F(1), F(0), F(1))
    at, control = (Polynomials(f, (F(1),), F(0), F(1)) for f in (cubic, mended))
    evidence.fails(equivalent, at=at, control=control)
    evidence.holds(equivalent, quadratics, given=increasing, control=lambda c: equivalent(c, normalised=False))


@claim(
    "wipf2024.affine-invariance",
    source="Section 5 after Definition 5.1; caption of Figure 2",
    says=r"g\ \text{is concave relative to}\ f\iff\alpha g+\beta\ \text{is concave relative to}\ \alpha'f+\beta'",
    assumes=r"$\alpha>0$ and $\alpha'>0$",
    verdict=CONDITIONALLY,
    because="An affine map of $g$ with a negative factor turns concave into convex; one of $f$ would make it decrease.",
    proof=r"(13) is multiplied by $\alpha$, and constants cancel.",
)
def affine_invariance(evidence: Evidence) -> None:
    """Scaling both functions leaves (13) as it was, unless the sign changes."""

    def invariant(c: Polynomials, factor: F, other: F = F(3)) -> bool:
        scaled = Polynomials(tuple(other * a for a in c.f), tuple(factor * a for a in c.g), c.u1, c.u2)
        return scaled.concave == c.concave

    concave = Polynomials((F(1),), (F(2), F(-1)), F(0), F(1))
    evidence.fails(lambda c: invariant(*c), at=(concave, F(-1)), control=(concave, F(1)))
    evidence.holds(
        lambda c: invariant(c, F(1, 2)), quadratics, given=increasing, control=lambda c: invariant(c, F(-1, 2))
    )


@claim(
    "wipf2024.relative-concavity",
    source="Section 5, second observation",
    says=r"\gamma_1<\gamma_2\implies\log(\gamma_1+u)\ \text{is concave relative to}\ \log(\gamma_2+u)",
    assumes=r"$\gamma_1\ge 0$, $u\ge 0$; $u>0$ if $\gamma_1=0$",
    verdict=PROVED,
    because="Strictly so, and never the other way round.",
    proof=r"$g'/f'=(\gamma_2+u)/(\gamma_1+u)$ has the derivative $-(\gamma_2-\gamma_1)/(\gamma_1+u)^2<0$.",
)
def relative_concavity(evidence: Evidence) -> None:
    """Inequality (13), exactly; the reverse holds only at equal points."""

    def concave(c: Penalties) -> bool:
        slopes = (c.gamma2 + c.u1) / (c.gamma1 + c.u1)
        return relatively_concave(penalty(c.gamma1), penalty(c.gamma2), slopes, c.u1, c.u2)

    def exchanged(c: Penalties) -> Penalties:
        return Penalties(c.gamma2, c.gamma1, c.u1, c.u2)

    evidence.holds(concave, penalties, control=lambda c: concave(exchanged(c)))
    evidence.holds(
        lambda c: not concave(exchanged(c)) or c.u1 == c.u2,
        penalties,
        role=ALSO,
        control=lambda c: not concave(c) or c.u1 == c.u2,
    )
    u, gamma, step = sp.symbols("u gamma_1 delta", positive=True)

    def falls(top: sp.Expr, bottom: sp.Expr) -> bool:
        return bool(sp.simplify(sp.diff(top / bottom, u)).is_negative)

    evidence.proves(
        lambda: falls(gamma + step + u, gamma + u),
        control=lambda: falls(gamma + u, gamma + step + u),
        by="SymPy, the ratio of slopes falls",
    )
