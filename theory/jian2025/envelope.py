"""The gradient of the lower level's value, Eqs. (10), (11), (74), (75): the envelope theorem and K inner steps."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy as sp
from scipy.optimize import brentq
from scipy.special import expit, logit

from theory.claim import CONDITIONALLY, FIRST_ORDER, PROVED, claim
from theory.evidence import CONDITIONAL, FAILS, Evidence

Numbers = tuple[float, ...]


@dataclass(frozen=True)
class LowerLevel:
    """An SFT loss of a softmax with logits a theta + b phi + c theta phi, theta and phi numbers, in float64.

    Attributes:
        shares: of the responses in the SFT data, positive, sum to 1, so that there is one minimiser in phi.
        a: features of theta.
        b: features of phi.
        c: features of theta phi.

    Example:
        >>> level = LowerLevel(shares=(0.5, 0.5), a=(1.0, 0.0), b=(2.0, 0.0), c=(0.0, 0.0))
        >>> round(level.best_phi(theta=1.0), 9)
        -0.5
    """

    shares: Numbers
    a: Numbers
    b: Numbers
    c: Numbers

    def loss(self, theta: float, phi: float) -> float:
        """Return -sum q log pi in nats."""
        logits = self._logits(theta, phi)
        top = max(logits)
        log_total = top + math.log(math.fsum(math.exp(v - top) for v in logits))
        return log_total - math.fsum(q * v for q, v in zip(self.shares, logits, strict=True))

    def slope_theta(self, theta: float, phi: float) -> float:
        """Return the derivative of the loss with respect to theta, phi held fixed."""
        return self._mean_excess(theta, phi, self._slopes(self.a, phi))

    def slope_phi(self, theta: float, phi: float) -> float:
        """Return the derivative of the loss with respect to phi."""
        return self._mean_excess(theta, phi, self._slopes(self.b, theta))

    def mixed(self, theta: float, phi: float) -> float:
        """Return the mixed second derivative of the loss."""
        p = self._probabilities(theta, phi)
        u, v = self._slopes(self.a, phi), self._slopes(self.b, theta)
        covariance = _mean(p, [x * y for x, y in zip(u, v, strict=True)]) - _mean(p, u) * _mean(p, v)
        return covariance + self._mean_excess(theta, phi, self.c)

    def best_phi(self, theta: float) -> float:
        """Return phi*(theta)."""
        reach = 1.0
        while self.slope_phi(theta, reach) < 0 or self.slope_phi(theta, -reach) > 0:
            reach *= 2
        return float(brentq(lambda phi: self.slope_phi(theta, phi), -reach, reach, xtol=1e-15, rtol=8.9e-16))

    def after(self, theta: float, phi: float, steps: int, rate: float) -> float:
        """Return phi'^(K) of Eq. (11)."""
        for _ in range(steps):
            phi -= rate * self.slope_phi(theta, phi)
        return phi

    def _logits(self, theta: float, phi: float) -> list[float]:
        rows = zip(self.a, self.b, self.c, strict=True)
        return [a * theta + b * phi + c * theta * phi for a, b, c in rows]

    def _probabilities(self, theta: float, phi: float) -> list[float]:
        logits = self._logits(theta, phi)
        weights = [math.exp(v - max(logits)) for v in logits]
        return [w / math.fsum(weights) for w in weights]

    def _slopes(self, features: Numbers, other: float) -> Numbers:
        return tuple(f + c * other for f, c in zip(features, self.c, strict=True))

    def _mean_excess(self, theta: float, phi: float, values: Numbers) -> float:
        return _mean(self._probabilities(theta, phi), values) - _mean(self.shares, values)


def _mean(weights: Any, values: Any) -> float:
    return math.fsum(w * v for w, v in zip(weights, values, strict=True))


def lower_level(source: random.Random) -> LowerLevel:
    """Draw a lower level of 3 or 4 responses."""
    n = source.randint(3, 4)
    raw = [source.uniform(1, 4) for _ in range(n)]
    shares = tuple(r / math.fsum(raw) for r in raw)
    a, b, c = (tuple(source.uniform(-top, top) for _ in range(n)) for top in (2, 2, 0.5))
    return LowerLevel(shares, a, b, c)


def without_product(source: random.Random) -> tuple[LowerLevel, int]:
    """Draw a lower level with c = 0, and a number of inner steps."""
    level = lower_level(source)
    return LowerLevel(level.shares, level.a, level.b, (0.0,) * len(level.a)), source.randint(0, 6)


THETA, PHI = sp.symbols("theta phi", real=True)


def slopes_at_minimisers(log_odds: sp.Expr) -> set[sp.Expr]:
    """Return the derivatives in theta of log(1 + e^(-h)) at theta = 0, at every phi that minimises it there.

    Args:
        log_odds: h(theta, phi), a polynomial in phi.

    Example:
        >>> slopes_at_minimisers(-((PHI - 1) ** 2) - THETA * PHI)
        {1/2}
    """
    loss = sp.log(1 + sp.exp(-log_odds))
    start = log_odds.subs(THETA, 0)
    critical = sp.solve(sp.diff(start, PHI), PHI)
    best = max(start.subs(PHI, at) for at in critical)
    return {
        sp.simplify(sp.diff(loss, THETA).subs({THETA: 0, PHI: at})) for at in critical if start.subs(PHI, at) == best
    }


@claim(
    "jian2025.eq-10",
    source="Eqs. (10), (74), (75), first equality: the gradient can be evaluated at any optimal solution",
    says=r"\nabla_\theta L^*_{\mathrm{sft}}(\theta)=\nabla_\theta "
    r"L_{\mathrm{sft}}(\theta,\phi)\big|_{\phi=\phi^*},\quad\phi^*\in\arg\min_{\phi'}L_{\mathrm{sft}}(\theta,\phi')\ "
    r"\text{any}",
    assumes=r"$L_{\mathrm{sft}}$ is continuously differentiable and $\phi^*(\theta)$ is unique",
    verdict=CONDITIONALLY,
    because=r"With log-odds $-(\phi^2-1)^2-\theta\phi$ both $\phi=\pm 1$ are optimal at $\theta=0$, with gradients "
    r"$\pm 1/2$: $L^*_{\mathrm{sft}}$ has a kink there, and neither is its gradient.",
    proof=r"Danskin. In the smooth case: $\frac{d}{d\theta}L(\theta,\phi^*(\theta))=\partial_\theta L+\partial_\phi "
    r"L\cdot\frac{d\phi^*}{d\theta}$, and $\partial_\phi L=0$.",
)
def eq_10(evidence: Evidence) -> None:
    """Two minimisers contradict each other; with one, finite differences (step 1e-4) agree to 1e-6."""

    def unambiguous(log_odds: sp.Expr) -> bool:
        return len(slopes_at_minimisers(log_odds)) == 1

    def kink(turn: int) -> bool:  # L* <= the branch that theta favours: on both sides below its value at 0
        loss = sp.log(1 + sp.exp(-sp.Abs(THETA)))
        one_sided = {sp.limit((loss - sp.log(2)) / THETA, THETA, 0, side) for side in ("+", "-")}
        return one_sided == {-sp.Rational(1, 2), turn * sp.Rational(1, 2)}

    two_wells = -((PHI**2 - 1) ** 2) - THETA * PHI
    evidence.fails(unambiguous, at=two_wells, control=-((PHI - 1) ** 2) - THETA * PHI)
    evidence.proves(
        lambda: kink(1),
        control=lambda: kink(-1),
        by="SymPy: the value function lies below log(1 + exp(-|theta|)), with slopes -1/2 and +1/2 at 0",
        role=FAILS,
    )

    def statement(level: LowerLevel, *, solved: bool = True) -> bool:
        theta, h = 0.3, 1e-4
        ends = [level.loss(t, level.best_phi(t)) for t in (theta - h, theta + h)]
        phi = level.best_phi(theta) if solved else 0.0
        return abs((ends[1] - ends[0]) / (2 * h) - level.slope_theta(theta, phi)) < 1e-6

    evidence.holds(
        statement, lower_level, worlds=20, role=CONDITIONAL, control=lambda level: statement(level, solved=False)
    )


@claim(
    "jian2025.eq-10-error",
    source="Eqs. (10) and (75), the approximation; not in the paper: its error",
    says=r"\bigl|\nabla_\theta L_{\mathrm{sft}}(\theta,\phi'^{(K)})-\nabla_\theta L^*_{\mathrm{sft}}(\theta)\bigr|\le"
    r"\tfrac14 R_aR_b\,\bigl|\phi'^{(K)}-\phi^*(\theta)\bigr|",
    assumes=r"logits $a_y\theta+b_y\phi$; $R_a,R_b$ are the ranges of $a$ and $b$ over the responses",
    verdict=PROVED,
    proof=r"Mean value theorem; $\partial_\theta\partial_\phi L_{\mathrm{sft}}=\mathrm{Cov}_\pi(a,b)$, and a "
    "variable of range $R$ has a standard deviation of at most $R/2$. In general the constant is the largest mixed "
    "derivative.",
)
def eq_10_error(evidence: Evidence) -> None:
    """The error of K inner steps, K from 0 to 6."""

    def statement(case: tuple[LowerLevel, int], share: float = 0.25) -> bool:
        level, steps = case
        theta = 0.3
        phi, best = level.after(theta, -1.0, steps, rate=0.2), level.best_phi(theta)
        error = abs(level.slope_theta(theta, phi) - level.slope_theta(theta, best))
        ranges = (max(level.a) - min(level.a)) * (max(level.b) - min(level.b))
        return error <= share * ranges * abs(phi - best) + 1e-12

    evidence.holds(statement, without_product, worlds=200, control=lambda case: statement(case, share=0.125))


def contraction(case: dict[str, float], factor: float = 1.0) -> bool:
    """Return whether |phi^(K) - phi*| <= (1 - factor rate mu)^K |phi^(0) - phi*|, two responses, pi = sigma(phi).

    mu is the least curvature sigma (1 - sigma) between phi^(0) and phi*, found at one of the two ends.
    """
    best, phi = float(logit(case["share"])), case["phi"]
    curvature = min(float(expit(at) * expit(-at)) for at in (best, phi))
    for _ in range(int(case["K"])):
        phi -= case["rate"] * float(expit(phi) - case["share"])
    bound = (1 - factor * case["rate"] * curvature) ** case["K"] * abs(case["phi"] - best)
    return abs(phi - best) <= bound + 1e-12


def inner_loop(source: random.Random) -> dict[str, float]:
    """Draw labels, a start, up to 20 inner steps and a learning rate of at most 4, one over the smoothness."""
    share, phi = source.uniform(0.05, 0.95), source.uniform(-4, 4)
    return {"share": share, "phi": phi, "rate": source.uniform(0.1, 4), "K": source.randint(0, 20)}


@claim(
    "jian2025.eq-11",
    source=r"Eq. (11) and the text after it: after K iterations the inner solution is approximated",
    says=r"\|\phi'^{(K)}-\phi^*\|\le(1-\eta_{\phi'}\mu)^K\,\|\phi'^{(0)}-\phi^*\|",
    assumes=r"$\eta_{\phi'}\le 1/\ell$; $L_{\mathrm{sft}}$ is $\ell$-smooth and $\mu$-strongly convex between the "
    "two points",
    verdict=CONDITIONALLY,
    because=r"A rate of $4/\ell$ moves away from $\phi^*$. At the rates of Table 2, $10^{-5}$ with $K=1$, the bound "
    "leaves the start where it is.",
    proof=r"$\phi^{(k+1)}-\phi^*=(1-\eta h_k)(\phi^{(k)}-\phi^*)$ with a mean curvature $\mu\le h_k\le\ell$.",
)
def eq_11(evidence: Evidence) -> None:
    """Two responses, smoothness 1/4; a rate of 16 fails."""

    def closer(case: dict[str, float]) -> bool:
        return contraction(case, factor=0.0)

    start = {"share": 0.5, "phi": math.log(2), "K": 1}
    evidence.fails(closer, at={**start, "rate": 16}, control={**start, "rate": 4})
    evidence.holds(contraction, inner_loop, role=CONDITIONAL, control=lambda case: contraction(case, factor=1.5))


@claim(
    "jian2025.eq-10-one-step",
    source="not in the paper; term (b) with K = 1, as in Table 2",
    says=r"\nabla_\theta L_{\mathrm{sft}}(\theta,\phi)-\nabla_\theta L_{\mathrm{sft}}(\theta,\phi'^{(1)})="
    r"\eta_{\phi'}\nabla_\theta\tfrac12\|\nabla_\phi L_{\mathrm{sft}}(\theta,\phi)\|^2+O(\eta_{\phi'}^2)",
    verdict=FIRST_ORDER,
    because=r"With one inner step term (b) is $\lambda\eta_{\phi'}$ times the gradient of a squared norm: at the "
    r"rates in use ($10^{-5}$) hardly more than nothing, so that the $\theta$-block is DPO with the regularizer.",
    proof=r"$\phi'^{(1)}=\phi-\eta\nabla_\phi L$; expand $\nabla_\theta L$ in its second argument.",
)
def eq_10_one_step(evidence: Evidence) -> None:
    """Slope 2 in the inner learning rate, also of a term-(b) with half the prediction: slope 1."""
    level = LowerLevel((0.5, 0.3, 0.2), (1.0, -0.4, 0.3), (0.2, 1.1, -0.7), (0.3, -0.2, 0.5))
    theta, phi = 0.4, -0.6
    slope = level.slope_phi(theta, phi) * level.mixed(theta, phi)

    def residual(share: float) -> Callable[[float], float]:
        def distance(rate: float) -> float:
            moved = level.slope_theta(theta, level.after(theta, phi, 1, rate))
            return abs(level.slope_theta(theta, phi) - moved - share * rate * slope)

        return distance

    evidence.slope(residual(1.0), 2, control=residual(0.5))

    def exactly(rate: float) -> bool:
        return residual(1.0)(rate) < 1e-15

    evidence.fails(exactly, at=0.1, control=0.0)
