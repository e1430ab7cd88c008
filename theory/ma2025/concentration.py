"""Theorem 4: is w p more concentrated than w? Its lower bound, and the exact criterion that decides.

w is the push of DPO on the logits, w p stands for that of a balanced loss. All variances are over a response drawn
uniformly; the reference is uniform and beta = 1, where the paper's Lemma 2, w = beta - alpha, holds.
"""

from __future__ import annotations

import random
from fractions import Fraction as F

import numpy as np
from scipy.special import expit

from theory.claim import FALSE, PROVED, claim
from theory.evidence import ALSO, Evidence
from theory.ma2025.bandits import Bandit
from theory.ma2025.covariance import covariance, mean, times
from theory.worlds import Vector


def alpha(world: Bandit) -> Vector:
    """Return alpha_i, the sum over j of p_i / (p_i + p_j): increasing in p_i."""
    return tuple(sum((world.kappa(i, j) for j in world.responses if j != i), F(0)) for i in world.responses)


def beta(world: Bandit) -> Vector:
    """Return beta_i, the sum over j of P(i beats j): increasing in the reward of i."""
    return tuple(sum((world.label(i, j) for j in world.responses if j != i), F(0)) for i in world.responses)


def any_utility(source: random.Random) -> Bandit:
    """Draw a uniform reference, beta = 1, 2 to 5 responses, any policy and any utility."""
    n = source.choice((2, 2, 3, 3, 4, 5))
    p, q = ([source.randint(1, 12) for _ in range(n)] for _ in range(2))
    return Bandit.of(p, q)


def aligned(source: random.Random) -> Bandit:
    """Draw a bandit whose utility increases with the policy's probability: Theorem 4's assumption."""
    n = source.choice((2, 2, 3, 3, 4, 5))
    p, q = (sorted(source.randint(1, 12) for _ in range(n)) for _ in range(2))
    return Bandit.of(p, q)


def is_aligned(world: Bandit) -> bool:
    """Return whether a more probable response never has the lower utility."""
    pairs = ((i, j) for i in world.responses for j in world.responses)
    return all((world.p[i] - world.p[j]) * (world.q[i] - world.q[j]) >= 0 for i, j in pairs)


def variance_excess(world: Bandit) -> F:
    """Return Var[w p] - Var[w] E[p^2] over responses: how much more dispersed w p is than w at equal scale.

    Example:
        >>> variance_excess(SMALLEST)
        Fraction(-1, 2304)
    """
    w, p = world.fitness, world.p
    wp = times(w, p)
    return covariance(wp, wp) - covariance(w, w) * mean(times(p, p))


def right_side_of_20(world: Bandit) -> F:
    """Return 2 (Cov[alpha, beta] E[p^2] - Cov[alpha p, beta p]).

    Example:
        >>> right_side_of_20(SMALLEST)
        Fraction(-5, 64)
    """
    a, b, p = alpha(world), beta(world), world.p
    return 2 * (covariance(a, b) * mean(times(p, p)) - covariance(times(a, p), times(b, p)))


SMALLEST = Bandit.of([3, 1], q=[2, 1])
"""Two responses, policy and utility aligned: Var[w p] = 4/2304, Var[w] E[p^2] = 5/2304."""

DISPERSED = Bandit.of([2, 1, 1], q=[3, 1, 1])
"""Three responses for which w p is the more dispersed one."""


@claim(
    "ma2025.theorem-4",
    source="Theorem 4, Eq. (20); proof, Eqs. (64)-(66)",
    says=r"\mathrm{Var}[wp]-\mathrm{Var}[w]\,\mathbb E[p^2]"
    r"\ge 2\bigl(\mathrm{Cov}[\alpha,\beta]\,\mathbb E[p^2]-\mathrm{Cov}[\alpha p,\beta p]\bigr)",
    assumes=r"$\beta_i$ increases with $p_i$; uniform reference, $\beta=1$",
    verdict=PROVED,
    because="The inequality is true, but its right side is never positive under the theorem's own assumption: it "
    r"cannot show that $wp$ has the larger variance, which is what it is used for.",
    instead=("ma2025.theorem-4-right-side", "ma2025.theorem-4-criterion"),
    proof=r"$w=\beta-\alpha$; Lemma 3 twice, with $g=p$ and $f=\alpha$, $f=\beta$.",
)
def theorem_4(evidence: Evidence) -> None:
    """True for aligned bandits; the assumption is used."""

    def statement(world: Bandit, sign: int = 1) -> bool:
        return variance_excess(world) >= sign * right_side_of_20(world)

    # the control has the two covariances exchanged, as the conclusion of the paper would need them
    evidence.holds(statement, aligned, control=lambda world: statement(world, sign=-1))
    evidence.fails(statement, at=Bandit.of([2, 1], q=[1, 4]), control=SMALLEST, role=ALSO)


@claim(
    "ma2025.theorem-4-right-side",
    source="not in the paper; what Theorem 4's lower bound can show",
    says=r"\mathrm{Cov}[\alpha,\beta]\,\mathbb E[p^2]-\mathrm{Cov}[\alpha p,\beta p]\le 0",
    assumes=r"$\beta_i$ increases with $p_i$, as in Theorem 4",
    verdict=PROVED,
    proof=r"The polarised Lemma 3 with $f=\alpha$, $h=\beta$, $g=p$: all three increase with $p$.",
)
def right_side(evidence: Evidence) -> None:
    """The bound of Eq. (20) is nonpositive on aligned bandits, of either sign on others."""

    def statement(world: Bandit) -> bool:
        return right_side_of_20(world) <= 0

    evidence.holds(statement, aligned, control=lambda world: variance_excess(world) <= 0)
    evidence.finds(statement, any_utility, control=lambda world: statement(world) or not is_aligned(world), role=ALSO)


@claim(
    "ma2025.theorem-4-concentration",
    source="Section 4.3.2, before Lemma 2 and after Theorem 4: what Eq. (20) is used for",
    says=r"\mathrm{Var}[wp]\ge\mathrm{Var}[w]\,\mathbb E[p^2]",
    assumes=r"$\beta_i$ increases with $p_i$",
    verdict=FALSE,
    because=r"With two responses the difference is $-w_1^2(p_1-p_2)^2/4$, never positive; with more, either sign "
    "occurs in aligned bandits.",
    instead=("ma2025.theorem-4-criterion", "ma2025.theorem-4-right-side"),
)
def concentration(evidence: Evidence) -> None:
    """P = (3/4, 1/4), q = (2/3, 1/3): 4/2304 < 5/2304."""

    def statement(world: Bandit) -> bool:
        return variance_excess(world) >= 0

    evidence.fails(statement, at=SMALLEST, control=DISPERSED)
    evidence.finds(statement, aligned, control=lambda world: variance_excess(world) >= right_side_of_20(world))


@claim(
    "ma2025.theorem-4-criterion",
    source="not in the paper; when w p has the larger variance",
    says=r"\mathrm{Var}[wp]-\mathrm{Var}[w]\,\mathbb E[p^2]="
    r"\mathrm{Cov}[w^2,p^2]-(\mathbb E[wp])^2;\qquad n=2:\ =-\tfrac14 w_1^2(p_1-p_2)^2",
    verdict=PROVED,
    proof=r"$\sum_i w_i=0$, so $\mathrm{Var}[w]=\mathbb E[w^2]$; expand. With two responses $w_1^2=w_2^2$ and "
    r"$\mathbb E[wp]=w_1(p_1-p_2)/2$.",
)
def criterion(evidence: Evidence) -> None:
    """An identity for all bandits with a uniform reference, whatever the utility."""

    def statement(world: Bandit, share: F = F(1, 4)) -> bool:
        w, p = world.fitness, world.p
        identity = covariance(times(w, w), times(p, p)) - mean(times(w, p)) ** 2
        closed_form = -share * w[0] ** 2 * (p[0] - p[1]) ** 2
        return variance_excess(world) == identity and (len(p) > 2 or identity == closed_form)

    evidence.holds(statement, any_utility, control=lambda world: statement(world, share=F(1, 2)))


FIGURE_1_ROWS = ((45, 55), (30, 70), (48, 52))


def dispersion(row: tuple[int, int], shiftless: bool) -> float:
    """Return Var[w p] / (Var[w] E[p^2]) in a panel of Figure 1: above 1 if w p is the more dispersed one.

    Args:
        row: (mu_P, mu_Q) of the policy and the utility, normal with variance 100 on {0, ..., 99}.
        shiftless: pairs drawn from the policy, otherwise uniformly.

    Example:
        >>> round(dispersion((45, 55), shiftless=False), 3), round(dispersion((45, 55), shiftless=True), 2)
        (0.261, 2.32)
    """
    y = np.arange(100.0)
    log_p, log_q = (-((y - mu) ** 2) / 200 for mu in row)
    p = np.exp(log_p) / np.exp(log_p).sum()
    pull = expit(log_q[:, None] - log_q) - expit(log_p[:, None] - log_p)
    w = p * (pull @ p) if shiftless else pull.sum(1)
    return float((w * p).var() / (w.var() * (p**2).mean()))


@claim(
    "ma2025.theorem-4-figure-1",
    source="Section 4.3.2 applied to the left column of Figure 1",
    says=r"\mathrm{Var}[wp]\ge\mathrm{Var}[w]\,\mathbb E[p^2]\ \text{in the panels with uniform sampling}",
    verdict=FALSE,
    because="The ratio of the two sides is 0.261, 0.802 and 0.195: w is the more dispersed one in the paper's own "
    "figure. With pairs from the policy it is 2.32, 2.46 and 2.23.",
    instead="ma2025.theorem-4-criterion",
)
def figure_1(evidence: Evidence) -> None:
    """All three panels of the left column refute it; those of the right column do not."""
    for row in FIGURE_1_ROWS:
        evidence.fails(lambda panel: dispersion(*panel) >= 1, at=(row, False), control=(row, True))
