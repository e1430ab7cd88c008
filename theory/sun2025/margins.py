"""Does SiLU prevent over-optimisation? The margins under gradient flow and gradient descent, alone and coupled."""

from __future__ import annotations

import math
import random
from fractions import Fraction as F

import numpy as np
import sympy as sp
from mpmath import mp
from scipy.integrate import quad, solve_ivp
from scipy.optimize import brentq
from scipy.special import expit

from dynamics import SelfPO, Tabular, gradient_flow, logistic_margin, pairs
from dynamics.errors import InvalidArgument, check_positive
from theory.claim import CONDITIONALLY, PROVED, claim
from theory.evidence import ALSO, Evidence
from theory.sun2025.curves import M, X, any_number, exact, logistic_loss, mp_silu_slope, precise, same, silu
from theory.sun2025.floor import FLOOR_CURVATURE, FLOOR_MARGIN, W, silu_slope, target_log_ratio
from theory.sun2025.minimum import LAMBERT, at_the_minimum

LIMIT_OF_STEPS = 2 / FLOOR_CURVATURE
"""2 (1 + W) / W = 9.1822: the largest learning_rate |grad m|^2 at which gradient descent settles at the floor."""


def push(margin: np.ndarray | float) -> np.ndarray:
    """Return -dL/dm = sigma(-m) (1 - m sigma(m)): the speed of a margin under gradient flow with |grad m| = 1."""
    return silu_slope(-np.asarray(margin, dtype=float))


def shared_floor(ordinary: float, scale: float) -> float:
    """Return where one parameter settles that is the margin of many pairs, and times ``scale`` that of one more.

    Gradient flow from theta = 0 with N pairs of margin theta and one of margin c theta stops at the first root of
    N push(theta) + c push(c theta).

    Args:
        ordinary: N, > 0.
        scale: c, > 0.

    Returns:
        theta; the margin of the last pair is c theta.

    Raises:
        InvalidArgument: an argument that is no finite number > 0.

    Example:
        >>> round(shared_floor(100, 10), 4), round(shared_floor(1, 1), 4)
        (1.2784, 1.2785)
    """
    check_positive("ordinary", ordinary)
    check_positive("scale", scale)

    def total(theta: np.ndarray | float) -> np.ndarray:
        return ordinary * push(theta) + scale * push(scale * np.asarray(theta))

    grid = np.linspace(0.0, max(1.0, 1 / scale) * FLOOR_MARGIN + 1e-6, 4001)
    first = int(np.argmax(total(grid) < 0))
    return float(brentq(lambda theta: float(total(theta)), grid[first - 1], grid[first], xtol=1e-14))


@claim(
    "sun2025.settles",
    source="Abstract and Section 3.2, for one pair",
    says=r"\dot m=\|\nabla m\|^2\,\sigma(-m)(1-m\sigma(m)):\quad m(t)\to 1+W\ \text{monotonically from every }m(0),"
    r"\qquad\log\frac{\pi_w}{\pi_l}\to\frac{\gamma+1+W}{\beta}",
    assumes="one pair, gradient flow, gradient of the margin bounded away from 0",
    verdict=PROVED,
    because=r"The approach is exponential with the rate $\|\nabla m\|^2W/(1+W)$; for a tabular softmax "
    r"$\|\nabla m\|^2=2\beta^2$. No absolute probability is held: sun2025.levels-unconstrained.",
    proof=r"The speed has the sign of $1+W-m$ (sun2025.figure-7); its slope at the fixed point is $-\mathrm{SiLU}''$.",
)
def settles(evidence: Evidence) -> None:
    """The sign of the speed, the rate, and a flow of a tabular policy through ``dynamics``."""

    @precise
    def attracted(m: F, shift: int = 0) -> bool:
        fixed = 1 + mp.lambertw(mp.exp(-1)).real + shift
        return mp.sign(mp_silu_slope(-exact(m))) == mp.sign(fixed - exact(m))

    def rate(order: int = 2) -> bool:
        speed = sp.diff(silu(X), X)  # as a function of x = -m, so that d speed / dm = -SiLU''
        return bool(sp.simplify(at_the_minimum(sp.diff(speed, X, order - 1)) - LAMBERT / (1 + LAMBERT)) == 0)

    beta, late = 1.5, (7.0, 8.0)
    loss = SelfPO(beta=beta, gamma=0.5, length_normalized=False)
    run = gradient_flow(Tabular(2), [0.0, 0.0], pairs(0, 1, shape=(2,)), [0.0, *late, 22.0], loss=loss)
    ratio = run.log_probs[:, 0] - run.log_probs[:, 1]

    def flow(gamma: float = 0.5) -> bool:
        left = target_log_ratio(beta, gamma) - ratio
        measured = math.log(left[1] / left[2]) / (late[1] - late[0]) / (2 * beta**2) if left[2] > 0 else math.nan
        return bool(abs(left[3]) < 1e-8 and (np.diff(ratio) > 0).all() and abs(measured - FLOOR_CURVATURE) < 2e-3)

    evidence.holds(attracted, any_number, control=lambda m: attracted(m, 1))
    evidence.proves(
        rate, control=lambda: rate(3), by="SymPy: the slope of the speed at the fixed point is -W / (1 + W)"
    )
    evidence.measures(
        flow, control=lambda: flow(0.49), by="dynamics.gradient_flow: end to 1e-8, rate to 2e-3", role=ALSO
    )


@claim(
    "sun2025.logistic-never-settles",
    source="Section 1, on logsigmoid; the closed form is ours",
    says=r"\dot m=\sigma(-m)\implies m+e^m=m(0)+e^{m(0)}+t,\qquad m\sim\ln t\to\infty",
    assumes="one pair, gradient flow, unit gradient of the margin",
    verdict=PROVED,
    proof=r"$\frac{d}{dt}(m+e^m)=(1+e^m)\,\sigma(-m)=1$.",
)
def logistic_never_settles(evidence: Evidence) -> None:
    """The invariant in symbols, its growth, and the solution in ``dynamics``."""
    large = sp.Symbol("m", positive=True)

    def invariant(factor: int = 1) -> bool:
        speed = -sp.diff(logistic_loss(M), M)
        return same(sp.diff(factor * M + sp.exp(M), M) * speed, sp.Integer(1))

    def in_dynamics(shift: float = 0.0) -> bool:
        times = np.array([0.5, 5.0, 500.0])
        margin = logistic_margin(times, rate=1.0, start=-0.7)
        return bool(np.abs(margin + np.exp(margin) + 0.7 - math.exp(-0.7) - times - shift).max() < 1e-9)

    evidence.proves(invariant, control=lambda: invariant(2), by="SymPy: the rate of m + e^m is 1")
    evidence.proves(
        lambda: sp.limit(sp.log(large + sp.exp(large)) / large, large, sp.oo) == 1,
        control=lambda: sp.limit(sp.log(large + sp.exp(2 * large)) / large, large, sp.oo) == 1,
        by="SymPy: ln t / m tends to 1",
    )
    evidence.measures(in_dynamics, control=lambda: in_dynamics(1e-6), by="dynamics.logistic_margin, 1e-9", role=ALSO)


Rows = tuple[tuple[int, int], tuple[int, int]]


def any_rows(source: random.Random) -> Rows:
    """Draw the gradients of two margins in two parameters."""

    def row() -> tuple[int, int]:
        return source.randint(-2, 2), source.randint(-2, 2)

    return row(), row()


def independent(rows: Rows) -> bool:
    """Return whether the two margins can be moved independently."""
    (a, b), (c, d) = rows
    return a * d != b * c


def both_settle(rows: Rows, floor: float = FLOOR_MARGIN) -> bool:
    """Return whether gradient flow of the sum of two SPO losses brings both margins from 0 to the floor."""
    gradients = np.array(rows, dtype=float)
    kernel = gradients @ gradients.T
    run = solve_ivp(
        lambda _, m: kernel @ push(m), (0, 2000), [0.0, 0.0], method="LSODA", rtol=1e-9, atol=1e-11, t_eval=[2000]
    )
    return bool(np.abs(run.y[:, -1] - floor).max() < 1e-5)


@claim(
    "sun2025.prevents-over-optimisation",
    source="Abstract; Section 3.2; Appendix C",
    says=r"m_i(t)\to 1+W\qquad\text{for every pair }i",
    assumes="margins that can be moved independently: constant, linearly independent gradients; gradient flow",
    verdict=CONDITIONALLY,
    because="With shared parameters one pair is carried along by the others: 100 pairs of margin theta and one of "
    "margin 10 theta settle where the last one has the margin 12.78, ten times the floor.",
    proof=r"At a stationary point $\sum_i L'(m_i)\nabla m_i=0$; independence makes every $L'(m_i)$ zero, and $L'$ is "
    r"zero at the floor alone; the loss falls along the flow, and beyond the floor every margin is pulled back.",
    instead=("sun2025.settles", "sun2025.shared-parameters"),
)
def prevents_over_optimisation(evidence: Evidence) -> None:
    """Two margins in two parameters; and the pair that is carried along."""

    def at_the_floor(case: dict[str, int]) -> bool:
        return abs(case["c"] * shared_floor(case["N"], case["c"]) - FLOOR_MARGIN) < 1e-3

    evidence.fails(at_the_floor, at={"N": 100, "c": 10}, control={"N": 100, "c": 1})
    evidence.fails(both_settle, at=((1, 0), (2, 0)), control=((1, 0), (2, 1)))
    evidence.holds(
        both_settle, any_rows, given=independent, control=lambda rows: both_settle(rows, FLOOR_MARGIN + 1e-4), worlds=30
    )


@claim(
    "sun2025.shared-parameters",
    source="not in the paper; how far a pair can be carried",
    says=r"N\,L'(\theta)+c\,L'(c\theta)=0:\quad(N,c)=(100,10)\Rightarrow c\theta=12.78,\qquad"
    r"(10^4,20)\Rightarrow c\theta=25.57",
    verdict=PROVED,
    because="The restoring force of a margin far beyond the floor is exponentially small, that of the many is not.",
    proof=r"$c|L'(c\theta)|\to 0$, so $\theta\to 1+W$ and the last margin tends to $c(1+W)$.",
)
def shared_parameters(evidence: Evidence) -> None:
    """Two settings, and the limit c (1 + W) for many ordinary pairs."""

    def values(first: float = 12.784) -> bool:
        seen = 10 * shared_floor(100, 10), 20 * shared_floor(1e4, 20)
        return abs(seen[0] - first) < 5e-4 and abs(seen[1] - 25.569) < 5e-4

    def carried(case: tuple[float, float], share: float = 1.0) -> bool:
        many, scale = case
        pull = scale * abs(float(push(scale * FLOOR_MARGIN)))
        return abs(shared_floor(many, scale) - share * FLOOR_MARGIN) <= 2 * pull / (many * FLOOR_CURVATURE) + 1e-12

    evidence.measures(values, control=lambda: values(12.80), by="the two margins, to 5e-4")
    evidence.holds(carried, any_crowd, control=lambda case: carried(case, 0.9), worlds=50)


def any_crowd(source: random.Random) -> tuple[float, float]:
    """Draw a number of ordinary pairs and the scale of the one that is carried along."""
    return 10 ** source.uniform(2, 5), source.uniform(2, 25)


@claim(
    "sun2025.slow-return",
    source="not in the paper; the way back from beyond the floor",
    says=r"t(12\to 2)=\int_2^{12}\frac{dm}{\sigma(-m)(m\sigma(m)-1)}=1.65\cdot 10^4",
    assumes="one pair, gradient flow, unit gradient of the margin",
    verdict=PROVED,
    because="Beyond m = 2.4 the pull weakens exponentially: a margin that got there stays for a time of order $e^m/m$.",
    proof="Separate the variables.",
)
def slow_return(evidence: Evidence) -> None:
    """By quadrature, and by integrating the flow backwards and forwards in time."""

    def quadrature(start: float = 12.0) -> bool:
        time = quad(lambda m: -1 / float(push(m)), 2.0, start, epsabs=0, epsrel=1e-10, limit=200)[0]
        return abs(time / 1.65e4 - 1) < 5e-3

    def integrated(time: float = 1.6e4) -> bool:  # not yet back at that time, but soon after
        run = solve_ivp(lambda _, m: push(m), (0, 1.7e4), [12.0], rtol=1e-10, atol=1e-12, t_eval=[time, 1.7e4])
        return bool(run.y[0, 0] > 2 > run.y[0, 1])

    evidence.measures(quadrature, control=lambda: quadrature(11.9), by="quadrature, to 0.5 percent")
    evidence.measures(integrated, control=lambda: integrated(1.69e4), by="Runge-Kutta: m = 2 between 1.6e4 and 1.7e4")


def descend(margin: float, size: float, steps: int) -> float:
    """Return a margin after gradient descent with learning_rate |grad m|^2 = ``size``."""
    for _ in range(steps):
        margin += size / (1 + math.exp(margin)) * (1 - margin / (1 + math.exp(-margin)))
    return margin


@claim(
    "sun2025.step-size",
    source="not in the paper; gradient descent instead of the flow",
    says=r"\text{locally stable at }1+W\iff\eta\|\nabla m\|^2<\frac{2(1+W)}{W}=9.1822",
    assumes="one pair, plain gradient descent, constant gradient of the margin",
    verdict=PROVED,
    because="A larger step can jump the floor: from m = -10 with size 20 to m = 10 at once, and 100 further steps "
    "bring it back to 8.6 only.",
    proof=r"The multiplier at the fixed point is $1-\eta\|\nabla m\|^2W/(1+W)$.",
)
def step_size(evidence: Evidence) -> None:
    """The bound, both sides of it, and the jump."""

    def stable(share: float) -> bool:
        return abs(descend(FLOOR_MARGIN + 1e-3, share * LIMIT_OF_STEPS, 2000) - FLOOR_MARGIN) < 1e-9

    def multiplier(size: float = LIMIT_OF_STEPS) -> bool:
        step = 1e-5
        slope = (descend(FLOOR_MARGIN + step, size, 1) - descend(FLOOR_MARGIN - step, size, 1)) / (2 * step)
        return abs(slope + 1) < 1e-8 and abs(LIMIT_OF_STEPS - 9.1822) < 5e-5

    def jump(later: float = 8.6) -> bool:
        return abs(descend(-10.0, 20.0, 1) - 10.0) < 0.05 and abs(descend(-10.0, 20.0, 101) - later) < 0.05

    evidence.measures(
        lambda: stable(0.95),
        control=lambda: stable(1.1),
        by="2000 steps from 0.001 beside the floor, at 0.95 of the limit",
    )
    evidence.measures(multiplier, control=lambda: multiplier(9.0), by="the multiplier at the limit is -1, to 1e-8")
    evidence.measures(jump, control=lambda: jump(1.3), by="the jump and 100 steps after it, to 0.05", role=ALSO)


@claim(
    "sun2025.displacement-limited",
    source="not in the paper; what the finite minimum does for the chosen response",
    says=r"\phi=(1,0,3),\ \beta=1,\ \gamma=0:\quad\pi_w:\tfrac13\to 0.0705\ \text{with SPO},\qquad\pi_w\to 0\ "
    r"\text{with the logistic loss}",
    assumes="three responses, one parameter, from the uniform policy",
    verdict=PROVED,
    because="Displacement of the chosen response is limited, not prevented.",
    proof=r"The margin is $\theta$, and $\pi_w=e^\theta/(1+e^\theta+e^{3\theta})$; SPO stops at $\theta=1+W$.",
)
def displacement_limited(evidence: Evidence) -> None:
    """The two ends, in closed form, and the fall on the whole way."""
    theta = sp.Symbol("theta", real=True)
    chosen = sp.exp(theta) / (1 + sp.exp(theta) + sp.exp(3 * theta))

    def ends(value: float = 0.0705) -> bool:
        return chosen.subs(theta, 0) == sp.Rational(1, 3) and abs(chosen.subs(theta, 1 + W).evalf() - value) < 5e-5

    def falls(m: F, power: int = 3) -> bool:  # the derivative of 1 / pi_w = e^-theta + 1 + e^(2 theta), for theta > 0
        rate = -math.exp(-float(abs(m))) + (power - 1) * math.exp((power - 1) * float(abs(m)))
        return rate > 0

    evidence.measures(ends, control=lambda: ends(0.0715), by="closed form at theta = 0 and 1 + W, to 5e-5")
    evidence.proves(
        lambda: sp.limit(chosen, theta, sp.oo) == 0,
        control=lambda: sp.limit(sp.exp(2 * theta) * chosen, theta, sp.oo) == 0,
        by="SymPy: the limit for the logistic loss, whose margin grows for ever",
    )
    evidence.holds(falls, any_number, role=ALSO, control=lambda m: falls(m, 1))


def noisy_floor(eta: float) -> float:
    """Return the margin at which the expected SPO loss is least, if the label is right with probability eta.

    It is the root of SiLU'(m) = eta between -(1 + W) and 1 + W, where SiLU' rises from 0 to 1.

    Args:
        eta: 0 < eta < 1.

    Raises:
        InvalidArgument: eta out of that range.

    Example:
        >>> [round(noisy_floor(eta), 4) for eta in (0.3, 0.7, 0.9, 0.99)]
        [-0.4113, 0.4113, 0.9124, 1.2339]
    """
    if not 0 < eta < 1:
        raise InvalidArgument("eta", eta, "a number strictly between 0 and 1")
    return float(brentq(lambda m: float(silu_slope(m)) - eta, -FLOOR_MARGIN, FLOOR_MARGIN, xtol=1e-14))


@claim(
    "sun2025.noisy-labels",
    source="not in the paper; labels that are right with probability eta",
    says=r"m^*(\eta)=\arg\min_m m(\sigma(m)-\eta):\quad\mathrm{SiLU}'(m^*)=\eta,\quad m^*(1-\eta)=-m^*(\eta),\quad "
    r"|m^*|<1+W,\quad\text{increasing in }\eta",
    verdict=PROVED,
    because="0.4113, 0.9124, 1.2339 for eta = 0.7, 0.9, 0.99, where the log-odds are 0.847, 2.197, 4.595: the loss "
    "ranks rightly and recovers no rewards.",
    proof=r"$\mathrm{SiLU}'$ rises from 0 to 1 between $-(1+W)$ and $1+W$, and takes no value in $(0,1)$ elsewhere.",
)
def noisy_labels(evidence: Evidence) -> None:
    """Against the least value on a grid, with the symmetries."""
    grid = np.linspace(-8.0, 8.0, 1601)

    def least(eta: float, scale: float = 1.0) -> bool:
        m = scale * noisy_floor(eta)
        inside = abs(m) < FLOOR_MARGIN and noisy_floor(min(eta + 1e-3, 0.9999)) > m
        mirrored = abs(noisy_floor(1 - eta) + m) < 1e-9
        return bool(inside and mirrored and m * (expit(m) - eta) <= (grid * (expit(grid) - eta)).min() + 1e-12)

    def values(third: float = 1.2339) -> bool:
        seen = [noisy_floor(eta) for eta in (0.7, 0.9, 0.99)]
        return bool(np.abs(np.array(seen) - [0.4113, 0.9124, third]).max() < 5e-5)

    evidence.holds(least, any_rate, control=lambda eta: least(eta, 0.97), worlds=100)
    evidence.measures(values, control=lambda: values(1.2345), by="three values, to 5e-5", role=ALSO)


def any_rate(source: random.Random) -> float:
    """Draw a probability of a right label."""
    return source.uniform(0.01, 0.99)
