"""The derivatives of the gradient-norm regularizer L_reg, Eqs. (77)-(80) and (84).

L_reg = max(0, |g_l| - |g_w|), with scores g taken with respect to theta.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction as F
from typing import Any

import sympy as sp

from theory.claim import CONDITIONALLY, FALSE, PROVED, claim
from theory.evidence import CONDITIONAL, Evidence
from theory.worlds import World

THETA = sp.symbols("theta_1 theta_2", real=True)
PHI = sp.symbols("phi", real=True)


def norm_gradients(variable: sp.Symbol) -> tuple[sp.Expr, sp.Expr]:
    """Return the derivative of |grad_theta f|, and (Hessian column) . g / |g|, for an arbitrary smooth f.

    Args:
        variable: with respect to which: a component of theta, or phi; f depends on all of them.

    Example:
        >>> direct, formula = norm_gradients(PHI)
        >>> sp.simplify(direct - formula)
        0
    """
    f = sp.Function("f")(*THETA, PHI)
    g = [sp.diff(f, t) for t in THETA]
    norm = sp.sqrt(sum(c**2 for c in g))
    return sp.diff(norm, variable), sum(sp.diff(c, variable) * c for c in g) / norm


@claim(
    "jian2025.eq-79",
    source="Eq. (79), used in Eq. (80)",
    says=r"\nabla_\theta\|g_y\|=\frac{(\nabla^2_\theta\log\pi_y)\,g_y}{\|g_y\|}",
    assumes=r"$g_y\ne 0$; then Eq. (80) is an equality, although printed with $\approx$",
    verdict=CONDITIONALLY,
    because=r"At $g_y=0$ the right side is 0/0 and the norm has a kink: on the line of features $0,1,-1$ at "
    r"$\theta=0$ its slopes are $\mp 2/3$.",
    proof="Chain rule. It costs one Hessian-vector product; no Hessian is needed.",
)
def eq_79(evidence: Evidence) -> None:
    """Proved for an arbitrary smooth log pi; a score of zero is the exception."""
    direct, formula = norm_gradients(THETA[0])
    evidence.proves(
        lambda: sp.simplify(direct - formula) == 0,
        control=lambda: sp.simplify(direct - 2 * formula) == 0,
        by="SymPy, arbitrary function of two components of theta and of phi",
        role=CONDITIONAL,
    )

    def one_slope(features: tuple[int, ...]) -> bool:  # is |g_w| differentiable at theta = 0?
        t = THETA[0]
        weights = [sp.exp(phi * t) for phi in features]
        g = features[0] - sum(phi * w for phi, w in zip(features, weights, strict=True)) / sum(weights)
        slope, start = sp.diff(g, t).subs(t, 0), g.subs(t, 0)
        right, left = (slope, slope) if start > 0 else (-slope, -slope) if start < 0 else (abs(slope), -abs(slope))
        return bool(right == left)

    evidence.fails(one_slope, at=(0, 1, -1), control=(2, 1, -1))


@claim(
    "jian2025.eq-78",
    source=r"Eq. (78): the value 0 at $\delta=0$",
    says=r"\delta=0\implies 0\in\partial\max(0,\delta)",
    verdict=PROVED,
    assumes=r"$\partial$ is Clarke's subdifferential",
    proof=r"$\max(0,\delta)$ is nowhere less than 0, so that every point with $\delta=0$ is a minimiser, and 0 "
    r"belongs to the subdifferential at a minimiser, whether or not $\delta$ is differentiable there.",
)
def eq_78(evidence: Evidence) -> None:
    """On a line of features with |g_w| = |g_l|: the interval between the one-sided slopes holds 0."""

    def statement(w: World, *, cut: bool = True) -> bool:
        (g_w,), (g_l,) = w.scores[w.chosen], w.scores[w.rejected]
        variance = sum((p * g**2 for p, (g,) in zip(w.p, w.scores, strict=True)), F(0))
        slope = variance * (sign(g_w) - sign(g_l))  # of delta: every score has the derivative -variance
        left, right = (min(F(0), slope), max(F(0), slope)) if cut else (slope, slope)
        return abs(g_w) == abs(g_l) and left <= 0 <= right

    evidence.holds(statement, equal_norms, control=lambda w: statement(w, cut=False))


def equal_norms(source: random.Random) -> World:
    """Draw a world with one feature in which g_w = -g_l.

    Example:
        >>> w = equal_norms(random.Random(0))
        >>> w.scores[0][0] == -w.scores[1][0]
        True
    """
    raw = [source.randint(1, 9) for _ in range(source.randint(3, 6))]
    others = [F(source.randint(-4, 4)) for _ in raw[2:]]
    mean = sum((q * phi for q, phi in zip(raw[2:], others, strict=True)), F(0))
    # solve for the phi_l that puts the mean of all features halfway between phi_w and phi_l
    chosen = F(source.randint(-4, 4))
    weight = F(sum(raw), 2)
    if raw[1] == weight:
        raw[1], weight = raw[1] + 2, weight + 1
    rejected = ((weight - raw[0]) * chosen - mean) / (raw[1] - weight)
    return World.with_base(raw, [[chosen], [rejected], *([phi] for phi in others)])


def sign(value: F) -> int:
    """Return -1, 0 or 1."""
    return (value > 0) - (value < 0)


@dataclass(frozen=True)
class Logit:
    """Two responses, pi_w = sigma(logit(theta, phi)), at a point."""

    logit: Any
    at: dict[Any, Any]

    def __str__(self) -> str:
        """Return the logit and the point."""
        return f"log-odds {self.logit} at " + ", ".join(f"{name} = {value}" for name, value in self.at.items())

    def regularizer_slopes(self) -> tuple[Any, Any]:
        """Return the derivative of |g_l| - |g_w| with respect to phi, and the right side of Eq. (84).

        Example:
            >>> Logit(THETA[0] + 2 * PHI, {THETA[0]: sp.log(2), PHI: 0}).regularizer_slopes()
            (8/9, 16/9)
        """
        theta = THETA[0]
        log_chosen = -sp.log(1 + sp.exp(-self.logit))
        log_rejected = -sp.log(1 + sp.exp(self.logit))

        def value(expression: Any) -> Any:
            return sp.nsimplify(sp.simplify(expression.subs(self.at)))

        def slope(log_prob: Any, by: Any) -> Any:  # d/dphi |d log pi / d by|
            g = sp.diff(log_prob, by)
            return value(sp.diff(g, PHI)) * sp.sign(value(g))

        true, printed = (slope(log_rejected, by) - slope(log_chosen, by) for by in (theta, PHI))
        return sp.simplify(true), sp.simplify(printed)


@claim(
    "jian2025.eq-84",
    source="Eq. (84)",
    says=r"\nabla_\phi L_{\mathrm{reg}}=\frac{\nabla^2_\phi\log\pi_l\,\nabla_\phi\log\pi_l}{\|\nabla_\phi\log\pi_l\|}"
    r"-\frac{\nabla^2_\phi\log\pi_w\,\nabla_\phi\log\pi_w}{\|\nabla_\phi\log\pi_w\|}\quad(\delta>0)",
    verdict=FALSE,
    because=r"$L_{\mathrm{reg}}$ is made of norms of gradients in $\theta$; their derivative in $\phi$ needs the mixed "
    r"Hessian. The two agree if the logits depend on $\theta+\phi$ only.",
    instead="jian2025.eq-84-mixed-hessian",
)
def eq_84(evidence: Evidence) -> None:
    """pi_w = sigma(theta + 2 phi) at 2/3: 8/9, printed 16/9; theta phi: 1/3 + 4 ln 2 / 9, printed 4/9."""
    theta = THETA[0]

    def statement(case: Logit) -> bool:
        true, printed = case.regularizer_slopes()
        return bool(sp.simplify(true - printed) == 0)

    symmetric = Logit(theta + PHI, {theta: sp.log(2), PHI: 0})
    evidence.fails(statement, at=Logit(theta + 2 * PHI, {theta: sp.log(2), PHI: 0}), control=symmetric)
    evidence.fails(statement, at=Logit(theta * PHI, {theta: 1, PHI: sp.log(2)}), control=symmetric)


@claim(
    "jian2025.eq-84-mixed-hessian",
    source="not in the paper; replaces Eq. (84)",
    says=r"\nabla_\phi\|\nabla_\theta\log\pi_y\|=\frac{(\nabla^2_{\phi\theta}\log\pi_y)\,\nabla_\theta\log\pi_y}"
    r"{\|\nabla_\theta\log\pi_y\|}",
    assumes=r"$\nabla_\theta\log\pi_y\ne 0$",
    verdict=PROVED,
    proof=r"Chain rule.",
)
def eq_84_mixed_hessian(evidence: Evidence) -> None:
    """Proved for an arbitrary smooth log pi."""
    direct, formula = norm_gradients(PHI)
    f = sp.Function("f")(*THETA, PHI)
    g = sp.diff(f, PHI)
    printed = sp.diff(g, PHI) * g / sp.sqrt(g**2)
    evidence.proves(
        lambda: sp.simplify(direct - formula) == 0,
        control=lambda: sp.simplify(direct - printed) == 0,
        by="SymPy, arbitrary function of two components of theta and of phi",
    )
