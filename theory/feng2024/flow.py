"""Limitation 1 in continuous time: the flow runs along circles, and when it reaches x2 = 0."""

from __future__ import annotations

import math
import random
from fractions import Fraction as F

import numpy as np
import sympy as sp
from scipy.integrate import solve_ivp
from scipy.special import beta as euler_beta, betainc

from dynamics import ratio_field, ratio_flow, ratio_hitting_time
from dynamics.errors import check_positive
from theory.claim import PROVED, claim
from theory.evidence import ALSO, Evidence
from theory.feng2024.ratios import BETA, D1, D2, X1, X2, Point, anywhere
from theory.worlds import World

S, T, R2 = sp.symbols("s t R2", positive=True)  # s = x2^2 / (x1^2 + x2^2), time, squared radius


def hitting_time(x1: float, x2: float, beta: float) -> float:
    """Return when the gradient flow in ratio coordinates reaches x2 = 0, in closed form; infinite for beta >= 2.

    With R^2 = x1^2 + x2^2, which is conserved, and s = x2^2 / R^2 it is

        R^2 / (2 beta) [s + B(s; 1 - beta / 2, 1 + beta / 2)],   B the incomplete beta function.

    Args:
        x1: start pi(y_w) / ref(y_w), > 0.
        x2: start pi(y_l) / ref(y_l), > 0.
        beta: > 0.

    Returns:
        Time in units of learning rate times steps.

    Raises:
        InvalidArgument: an argument that is no finite number > 0.

    Example:
        >>> [round(hitting_time(1.0, 1.0, beta), 4) for beta in (0.1, 0.5, 1.0, 1.5, 2.0)]
        [10.3683, 2.4875, 1.7854, 2.4006, inf]
    """
    for name, value in (("x1", x1), ("x2", x2), ("beta", beta)):
        check_positive(name, value)
    if beta >= 2:
        return float("inf")
    squared_radius = x1**2 + x2**2
    s = x2**2 / squared_radius
    a, b = 1 - beta / 2, 1 + beta / 2
    return squared_radius / (2 * beta) * (s + float(betainc(a, b, s)) * float(euler_beta(a, b)))


def integrate(x1: float, x2: float, beta: float, times: np.ndarray) -> np.ndarray:
    """Return x1 and x2 along the field, by Runge-Kutta on Eq. 2 alone: no invariant is used."""

    def velocity(_: float, x: np.ndarray) -> np.ndarray:
        return np.array(ratio_field(x[0], x[1], beta))

    return solve_ivp(velocity, (0.0, times[-1]), [x1, x2], t_eval=times, rtol=1e-10, atol=1e-12).y


def any_start(source: random.Random) -> dict[str, float]:
    """Draw a start and a beta < 2."""
    x1, x2 = (10 ** source.uniform(-1.5, 1.5) for _ in range(2))
    return {"x1": x1, "x2": x2, "beta": source.uniform(0.05, 1.9)}


def rate_of(quantity: sp.Expr) -> sp.Expr:
    """Return d(quantity)/dt along the gradient flow x' = -grad L."""
    return -D1 * sp.diff(quantity, X1) - D2 * sp.diff(quantity, X2)


def slope_in_share(beta: sp.Expr, power: sp.Expr | None = None) -> sp.Expr:
    """Return dt/ds as feng2024.hitting-time has it, with the sign of a falling s."""
    exponent = beta / 2 if power is None else power
    return -R2 / (2 * beta) * (1 + ((1 - S) / S) ** exponent)


@claim(
    "feng2024.conserved-radius",
    source="not in the paper; the trajectories of Figure 1 (b)",
    says=r"\frac{d}{dt}\bigl(x_1^2+x_2^2\bigr)=0",
    assumes="gradient flow in the ratios, moved as free coordinates",
    verdict=PROVED,
    proof=r"$x\cdot\nabla L=0$ (feng2024.tangential): every trajectory is an arc of a circle.",
)
def conserved_radius(evidence: Evidence) -> None:
    """Exactly for the field; and a plain integration of it stays on the circle."""

    def on_the_circle(power: int = 2) -> bool:
        times = np.linspace(0.0, 1.5, 7)
        x = integrate(1.0, 1.0, 1.0, times)
        radius = (x**power).sum(axis=0)
        arc = ratio_flow(1.0, 1.0, 1.0, times)
        return bool(np.abs(radius - 2).max() < 1e-7 and np.abs(arc.T - x).max() < 1e-7)

    evidence.holds(
        lambda p: p.x1 * p.d1 + p.x2 * p.d2 == 0, anywhere, control=lambda p: p.x1**2 * p.d1 + p.x2**2 * p.d2 == 0
    )
    evidence.proves(
        lambda: sp.simplify(rate_of(X1**2 + X2**2)) == 0,
        control=lambda: sp.simplify(rate_of(X1 + X2)) == 0,
        by="SymPy: the rate of x1^2 + x2^2 simplifies to 0",
    )
    evidence.measures(
        on_the_circle,
        control=lambda: on_the_circle(1),
        by="Runge-Kutta on the field from (1, 1), beta = 1, up to t = 1.5: radius and dynamics.ratio_flow to 1e-7",
        role=ALSO,
    )


@claim(
    "feng2024.limitation-1",
    source="Section 3.3.1, Limitation 1",
    says=r"\frac{x_2}{x_1}\to 0,\quad x_2\to 0,\qquad\frac{|\dot x_1|}{|\dot x_2|}\to 0",
    assumes="gradient flow in the ratios, moved as free coordinates",
    verdict=PROVED,
    because="A statement about one choice of coordinates: in log-probabilities both rates are equal for ever "
    "(feng2024.log-rates).",
    proof=r"$\frac{d}{dt}\frac{x_2}{x_1}=-\frac{1}{x_1}\frac{\partial L}{\partial x_2}\frac{R^2}{x_1^2}<0$, on the arc "
    r"of radius $R$ it is bounded away from 0 wherever $x_2/x_1$ is; then Corollary 1.",
)
def limitation_1(evidence: Evidence) -> None:
    """The ratio falls at an exactly known rate and cannot stop; long runs end at the edge."""

    def falls(p: Point, sign: int = 1) -> bool:
        rate = (-p.d2 * p.x1 + p.d1 * p.x2) / p.x1**2
        return rate == -p.d2 * (p.x1**2 + sign * p.x2**2) / p.x1**3 < 0

    def ends_at_the_edge(time: float = 300.0) -> bool:
        ends = [ratio_flow(1.0, 1.0, beta, [0.0, time])[-1] for beta in (0.1, 0.5, 1.0, 2.0, 3.0)]
        return all(x2 / x1 < 1e-2 and abs(x1 - np.sqrt(2)) < 1e-3 for x1, x2 in ends)

    evidence.holds(falls, anywhere, control=lambda p: falls(p, -1))
    evidence.measures(
        ends_at_the_edge,
        control=lambda: ends_at_the_edge(1.0),
        by="dynamics.ratio_flow from (1, 1) to t = 300 for beta = 0.1 ... 3: x2 / x1 < 0.01, x1 = sqrt(2) to 1e-3",
        role=ALSO,
    )


@claim(
    "feng2024.hitting-time",
    source="not in the paper; when Limitation 1 has come to its end",
    says=r"T=\frac{R^2}{2\beta}\Bigl[s+B\bigl(s;1-\tfrac\beta2,1+\tfrac\beta2\bigr)\Bigr],\quad s=\frac{x_2^2}{R^2},"
    r"\quad R^2=x_1^2+x_2^2;\qquad T<\infty\iff\beta<2",
    assumes="gradient flow in the ratios, moved as free coordinates",
    verdict=PROVED,
    because=r"From $(1,1)$: 10.368, 2.4875, $1+\pi/4$ and 2.4006 for $\beta=0.1,0.5,1,1.5$.",
    proof=r"$\dot s=-\frac{2\beta}{R^2}\big/\bigl[1+(\frac{1-s}{s})^{\beta/2}\bigr]$; integrate $dt/ds$ from $s$ to 0. "
    r"Near 0 the integrand is $s^{-\beta/2}$, integrable if and only if $\beta<2$.",
)
def hitting_time_formula(evidence: Evidence) -> None:
    """The rate of s in symbols, the integral at beta = 1 exactly, the closed form against quadrature."""
    on_circle = {S: X2**2 / (X1**2 + X2**2), R2: X1**2 + X2**2}

    def rate(power: sp.Expr = BETA / 2) -> bool:
        share = X2**2 / (X1**2 + X2**2)
        inverse = slope_in_share(BETA, power).subs(on_circle, simultaneous=True)
        return bool(sp.simplify(sp.powdenest(sp.simplify(rate_of(share) * inverse), force=True)) == 1)

    def exact(total: sp.Expr = 1 + sp.pi / 4) -> bool:  # beta = 1 from (1, 1): s = 1/2, R^2 = 2
        angle = sp.Symbol("phi", positive=True)  # s = sin^2, so that SymPy sees a polynomial in sines
        integrand = -slope_in_share(sp.Integer(1)).subs({R2: 2, S: sp.sin(angle) ** 2}) * sp.diff(sp.sin(angle) ** 2)
        smooth = sp.expand(integrand.subs(sp.sqrt(1 - sp.sin(angle) ** 2), sp.cos(angle)))
        return bool(sp.simplify(sp.integrate(smooth, (angle, 0, sp.pi / 4)) - total) == 0)

    def converges(betas: tuple[sp.Rational, ...], *, finite: bool) -> bool:
        tails = [sp.integrate(S ** (-beta / 2), (S, 0, sp.Rational(1, 2))) for beta in betas]
        return all((tail != sp.oo) == finite for tail in tails)

    def quadrature(start: dict[str, float], factor: float = 1.0) -> bool:
        return abs(hitting_time(**start) / ratio_hitting_time(**start) - factor) < 1e-9

    evidence.proves(rate, control=lambda: rate(BETA), by="SymPy: ds/dt times dt/ds is 1 on the circle")
    evidence.proves(exact, control=lambda: exact(1 + sp.pi / 2), by="SymPy: T = 1 + pi / 4 at beta = 1 from (1, 1)")
    small, large = (sp.Rational(1, 2), sp.Rational(19, 10)), (sp.Integer(2), sp.Integer(3))
    evidence.proves(
        lambda: converges(small, finite=True) and converges(large, finite=False),
        control=lambda: converges(large, finite=True),
        by="SymPy: the integral of s^(-beta/2) near 0, finite at 1/2 and 19/10, infinite at 2 and 3",
    )
    evidence.holds(quadrature, any_start, control=lambda start: quadrature(start, 1.001), worlds=60)


@claim(
    "feng2024.hitting-time-exponential",
    source="not in the paper; the border case of feng2024.hitting-time",
    says=r"\beta=2:\quad\dot x_2=-\frac{2x_2}{R^2},\qquad x_2(t)=x_2(0)\,e^{-2t/R^2}",
    assumes="gradient flow in the ratios, moved as free coordinates",
    verdict=PROVED,
    proof=r"$\partial L/\partial x_2=2x_2/(x_1^2+x_2^2)$ at $\beta=2$.",
)
def hitting_time_exponential(evidence: Evidence) -> None:
    """Exactly exponential."""

    def rate(factor: int = 2) -> bool:
        return bool(sp.simplify(D2.subs(BETA, 2) - factor * X2 / (X1**2 + X2**2)) == 0)

    def in_dynamics(factor: float = 2.0) -> bool:
        times = np.linspace(0.0, 20.0, 11)
        seen = ratio_flow(0.5, 2.0, 2.0, times)[:, 1]
        return bool(np.allclose(seen, 2.0 * np.exp(-factor * times / 4.25), rtol=1e-7, atol=0))

    evidence.proves(rate, control=lambda: rate(1), by="SymPy: Eq. 2 at beta = 2")
    evidence.measures(in_dynamics, control=lambda: in_dynamics(1.999), by="dynamics.ratio_flow to 1e-7", role=ALSO)


@claim(
    "feng2024.hitting-time-algebraic",
    source="not in the paper; feng2024.hitting-time beyond its border",
    says=r"\beta>2:\quad x_2(t)^{\beta-2}\sim\frac{R^\beta}{\beta(\beta-2)\,t}\qquad(t\to\infty)",
    assumes="gradient flow in the ratios, moved as free coordinates",
    verdict=PROVED,
    proof=r"$dt/ds\sim-\frac{R^2}{2\beta}s^{-\beta/2}$ as $s\to 0$; integrate.",
)
def hitting_time_algebraic(evidence: Evidence) -> None:
    """The exact t(s) at beta = 4 and 6, and its product with x2^(beta - 2) in the limit."""

    def limit(beta: int, shift: int = 0) -> bool:
        elapsed = sp.integrate(sp.expand(slope_in_share(sp.Integer(beta))), S)
        product = elapsed * (R2 * S) ** sp.Rational(beta - 2, 2)
        goal = R2 ** sp.Rational(beta, 2) / (beta * (beta - 2 + shift))
        return bool(sp.simplify(sp.limit(sp.expand(product), S, 0, "+") - goal) == 0)

    def in_dynamics(beta: float = 3.0) -> bool:
        late = ratio_flow(1.0, 1.0, 3.0, [0.0, 1e6])[-1, 1]
        return abs(late ** (beta - 2) * beta * (beta - 2) * 1e6 / 2 ** (beta / 2) - 1) < 1e-3

    evidence.proves(
        lambda: limit(4) and limit(6), control=lambda: limit(4, 1), by="SymPy: t(s) in closed form, and its limit"
    )
    evidence.measures(
        in_dynamics,
        control=lambda: in_dynamics(3.01),
        by="dynamics.ratio_flow, beta = 3 at t = 1e6, to 1e-3",
        role=ALSO,
    )


@claim(
    "feng2024.winner-ceiling",
    source="not in the paper; what Limitation 1 amounts to from the reference",
    says=r"x(0)=(1,1)\implies 1\le x_1(t)=\frac{\pi_w(t)}{\mathrm{ref}_w}\le\sqrt2",
    assumes="gradient flow in the ratios, moved as free coordinates",
    verdict=PROVED,
    because="Peculiar to these coordinates: in a tabular softmax the same pair can take all of the mass.",
    proof=r"feng2024.conserved-radius with $R^2=2$ and $x_2\ge 0$.",
)
def winner_ceiling(evidence: Evidence) -> None:
    """A plain integration of the field stays below; a step of a tabular softmax does not."""

    def below(start: dict[str, float], ceiling: float = math.sqrt(2)) -> bool:
        end = 0.9 * hitting_time(1.0, 1.0, start["beta"])
        first = integrate(1.0, 1.0, start["beta"], np.linspace(0.0, end, 9))[0]
        return bool((first >= 1).all() and (first <= ceiling + 1e-9).all())

    def passes(factor: int = 1000) -> bool:
        w = World.tabular([F(1, 10), F(1, 2), F(2, 5)])
        return w.after(factor).p[0] / w.p[0] > 2

    evidence.holds(below, any_start, control=lambda start: below(start, 1.3), worlds=20)
    evidence.proves(passes, control=lambda: passes(1), by="exact step of a tabular softmax: x1 > 2", role=ALSO)
