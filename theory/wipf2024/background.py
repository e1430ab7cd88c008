"""Section 2.1, Eqs. (1) to (3): the model of preferences, the reward learned from them, and the objective of RLHF."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction as F

import sympy as sp
import torch

from theory.claim import CONDITIONALLY, FALSE, PROVED, claim
from theory.evidence import FAILS, Evidence
from theory.wipf2024.logarithms import ZERO, Logs, log
from theory.wipf2024.objectives import Pairs, Setting, Vector, show


@claim(
    "wipf2024.eq-1",
    source="Eq. (1)",
    says=r"\frac{e^{r^*(y_1)}}{e^{r^*(y_1)}+e^{r^*(y_2)}}=\sigma\bigl[r^*(y_1)-r^*(y_2)\bigr]",
    verdict=PROVED,
    proof="Divide numerator and denominator by $e^{r^*(y_1)}$.",
)
def bradley_terry(evidence: Evidence) -> None:
    """The model of Bradley and Terry is a logistic function of the difference of rewards."""
    a, b = sp.symbols("a b", real=True)

    def identity(difference: sp.Expr) -> bool:
        return sp.simplify(sp.exp(a) / (sp.exp(a) + sp.exp(b)) - 1 / (1 + sp.exp(-difference))) == 0

    evidence.proves(lambda: identity(a - b), control=lambda: identity(b - a), by="SymPy, symbolic rewards")


# --- the reward that maximises the likelihood ----------------------------------------------------------------------


@dataclass(frozen=True)
class Comparisons:
    """Population labels of Bradley and Terry on some pairs, and another reward to compare with the true one.

    Attributes:
        true: e^r* of every response.
        other: e^r of every response.
        pairs: which pairs are asked.
    """

    true: Vector
    other: Vector
    pairs: Pairs

    def loss(self, weights: Vector) -> Logs:
        """Return l_BT (Eq. 2) at the reward r = ln(weights), summed over the pairs."""
        total = ZERO
        for i, j in self.pairs:
            chosen = self.true[i] / (self.true[i] + self.true[j])
            both = weights[i] + weights[j]
            total += chosen * log(both / weights[i]) + (1 - chosen) * log(both / weights[j])
        return total

    @property
    def same_differences(self) -> bool:
        """Return whether the two rewards differ by a constant."""
        return len({a / b for a, b in zip(self.true, self.other, strict=True)}) == 1

    def __str__(self) -> str:
        return f"e^r* = {show(self.true)}, e^r = {show(self.other)}, pairs {self.pairs}"


def connects(pairs: Pairs, responses: int) -> bool:
    """Return whether any two responses are linked by a chain of pairs.

    Example:
        >>> connects(((0, 1), (2, 3)), 4), connects(((0, 1), (1, 3), (2, 3)), 4)
        (False, True)
    """
    reached = {0}
    for _ in range(responses):
        reached |= {y for pair in pairs if reached & set(pair) for y in pair}
    return len(reached) == responses


def comparisons(source: random.Random) -> Comparisons:
    """Draw 2 to 5 responses, some of their pairs, and two rewards, which at times differ by a constant."""
    n = source.randint(2, 5)
    true, other = (tuple(F(source.randint(1, 9)) for _ in range(n)) for _ in range(2))
    if source.random() < 0.25:
        other = tuple(3 * a for a in true)
    every = Setting.plain(true).pairs
    pairs = tuple(pair for pair in every if source.random() < 0.6) or every
    return Comparisons(true, other, pairs)


FOUR = tuple(F(a) for a in (1, 2, 3, 4))
SHIFTED = (F(1), F(2), F(15), F(20))  # the reward of the last two raised by ln 5


@claim(
    "wipf2024.eq-2",
    source="Eq. (2) and the sentence after it",
    says=r"\hat r_\phi:=\arg\min_{r_\phi}\ell_{\mathrm{BT}}(r_\phi)\approx r^*",
    assumes="expected loss under Bradley-Terry labels, any reward allowed, and the pairs asked connect all responses "
    "of a prompt",
    verdict=CONDITIONALLY,
    because="Even then only differences are found: never $r^*$ alone, but a family with one free constant for each "
    "prompt. If the pairs asked fall into components, each component shifts freely.",
    proof="The loss is a sum of convex functions of $r_i-r_j$, each least at $r^*_i-r^*_j$ alone; along a chain of "
    "pairs all differences follow.",
)
def reward_is_recovered(evidence: Evidence) -> None:
    """Another reward is as good as r* exactly if it differs by a constant, given a connected graph."""

    def recovers(c: Comparisons) -> bool:
        worse = c.loss(c.other) > c.loss(c.true)
        return c.loss(c.other) == c.loss(c.true) if c.same_differences else worse

    apart = Comparisons(FOUR, SHIFTED, ((0, 1), (2, 3)))
    evidence.fails(recovers, at=apart, control=Comparisons(FOUR, SHIFTED, ((0, 1), (1, 2), (2, 3))))
    evidence.holds(
        recovers,
        comparisons,
        given=lambda c: connects(c.pairs, len(c.true)),
        control=lambda c: c.loss(c.other) > c.loss(c.true),
    )


# --- the RLHF objective --------------------------------------------------------------------------------------------


def _rlhf(theta: torch.Tensor, reward: torch.Tensor, log_reference: torch.Tensor, beta: float) -> torch.Tensor:
    log_pi = torch.log_softmax(theta, dim=-1)
    return (log_pi.exp() * (beta * (log_pi - log_reference) - reward)).sum()


def _random_rlhf(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    theta, reward, logits = torch.randn(3, 5, generator=generator, dtype=torch.float64)
    return theta, reward, torch.log_softmax(logits, dim=-1)


def _score_formula(
    theta: torch.Tensor, reward: torch.Tensor, log_reference: torch.Tensor, beta: float, *, centred: bool = True
) -> torch.Tensor:
    log_pi = torch.log_softmax(theta, dim=-1)
    pi, cost = log_pi.exp(), beta * (log_pi - log_reference) - reward
    return pi * (cost - (pi @ cost if centred else 0.0))


@claim(
    "wipf2024.eq-3-gradient",
    source="not in the paper; the gradient of Eq. (3)",
    says=r"\frac{\partial\ell_{\mathrm{RLHF}}}{\partial\theta_y}=\pi_y\bigl(c_y-\mathbb{E}_\pi c\bigr),"
    r"\qquad c_y=\lambda\ln\frac{\pi_y}{\pi_{\mathrm{ref},y}}-r_y",
    assumes="tabular softmax, finitely many responses",
    verdict=PROVED,
    proof=r"$\ell=\sum_y\pi_yc_y$ is a smooth function of $\theta$, and $\sum_y\pi_y\,\partial "
    r"c_y=\lambda\sum_y\partial\pi_y=0$.",
)
def rlhf_gradient(evidence: Evidence) -> None:
    """Automatic differentiation of the exact loss agrees with the score-function formula."""

    def agrees(centred: bool) -> bool:
        for seed in range(20):
            theta, reward, log_reference = _random_rlhf(seed)
            theta.requires_grad_()
            (exact,) = torch.autograd.grad(_rlhf(theta, reward, log_reference, 0.3), theta)
            formula = _score_formula(theta.detach(), reward, log_reference, 0.3, centred=centred)
            if not torch.allclose(exact, formula, rtol=1e-12, atol=1e-13):
                return False
        return True

    evidence.measures(
        lambda: agrees(True),
        control=lambda: agrees(False),
        by="autograd against the formula at 20 policies with 5 responses, tolerance 1e-12; "
        "control: without the baseline",
    )
    theta, phi, r_1, r_2, lam = sp.symbols("theta phi r_1 r_2 lambda", real=True)
    pi, reference = (1 / (1 + sp.exp(-logit)) for logit in (theta, phi))
    first, second = lam * sp.log(pi / reference) - r_1, lam * sp.log((1 - pi) / (1 - reference)) - r_2
    slope = sp.diff(pi * first + (1 - pi) * second, theta)

    def identity(sign: int) -> bool:  # with two responses, c_1 - E c = (1 - pi) (c_1 - c_2)
        return sp.simplify(slope - pi * (1 - pi) * (first + sign * second)) == 0

    evidence.proves(lambda: identity(-1), control=lambda: identity(1), by="SymPy, two responses, symbolic rewards")


@claim(
    "wipf2024.eq-3-not-differentiable",
    source="Section 2.1, the sentence after Eq. (3)",
    says=r"\theta\mapsto\ell_{\mathrm{RLHF}}(\pi_\theta,\pi_{\mathrm{ref}},\hat r,\lambda)\ \text{is not "
    r"differentiable}",
    verdict=FALSE,
    because="The loss is a finite sum of smooth functions of the probabilities. What does not exist is a derivative "
    "along the path of a sampled discrete response.",
    instead="wipf2024.eq-3-gradient",
)
def rlhf_is_differentiable(evidence: Evidence) -> None:
    """The loss leaves its linear prediction with slope 2: that is differentiability."""
    theta, reward, log_reference = _random_rlhf(0)
    direction = torch.tensor([1.0, -0.5, 0.25, 0.75, -1.0], dtype=torch.float64)
    start = float(_rlhf(theta, reward, log_reference, 0.3))

    def residual(size: float, gradient: torch.Tensor) -> float:
        moved = float(_rlhf(theta + size * direction, reward, log_reference, 0.3))
        return abs(moved - start - size * float(gradient @ direction))

    derivative = _score_formula(theta, reward, log_reference, 0.3)
    without_penalty = _score_formula(theta, reward, log_reference, 0.0)
    evidence.slope(lambda h: residual(h, derivative), 2, control=lambda h: residual(h, without_penalty), role=FAILS)
