"""Theorem 2 for a balanced loss, Equations (13) and (14): the printed approximation, and the exact update.

For f = C (pi_w - pi_l) the step on the logits is the vanilla policy gradient with reward w, exactly. Eq. (14) has lost
the mean fitness: the many small pushes on the responses outside each pair add up to the same order as what it keeps.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction as F

import mpmath
import numpy as np
import torch

from dynamics import ProbabilityMargin, bradley_terry, preference_matrix, replicator_fitness
from theory.claim import FALSE, PROVED, claim
from theory.evidence import ALSO, Evidence
from theory.ma2025.bandits import Bandit, bandit, normalised
from theory.ma2025.duals import softmax
from theory.ma2025.replicator import Selection, selection
from theory.worlds import Vector, dot


def exact_push(case: Selection) -> Vector:
    """Return the change of the logits of a balanced loss: p_i (w_i - mean), for C gamma = 1.

    Example:
        >>> [str(a) for a in exact_push(WRONG_SIGN)]
        ['-1/4', '7/12', '-1/3']
    """
    return case.velocity


def exact_update(case: Selection) -> Vector:
    """Return the first-order change of the probabilities of a balanced loss: its push through Lemma 1; C gamma = 1."""
    push = exact_push(case)
    average = dot(case.p, push)
    return tuple(p * (a - average) for p, a in zip(case.p, push, strict=True))


def printed_update(case: Selection) -> Vector:
    """Return the right side of Eq. (14) for C gamma = 1: p_i (w_i p_i - sum_j w_j p_j^2)."""
    average = sum((w * p * p for p, w in zip(case.p, case.w, strict=True)), F(0))
    return tuple(p * (w * p - average) for p, w in zip(case.p, case.w, strict=True))


def copies(case: Selection, count: int) -> Selection:
    """Return the case with every response split into equal parts: the same world with small probabilities."""

    def split(values: Vector, parts: int) -> Vector:
        return tuple(v / parts for v in values for _ in range(count))

    return Selection(split(case.p, count), split(case.w, 1), split(case.other, count))


WRONG_SIGN = Selection((F(1, 6), F(1, 6), F(2, 3)), (F(-2), F(3), F(-1)), (F(1, 3),) * 3)
NO_MEAN = Selection((F(1, 4), F(1, 4), F(1, 2)), (F(-1), F(1), F(0)), (F(1, 3),) * 3)  # mean fitness 0
AUDITED = Selection((F(1, 2), F(1, 4), F(1, 4)), (F(-1), F(1), F(0)), (F(1, 3),) * 3)


@claim(
    "ma2025.eq-13",
    source="Eq. (13)",
    says=r"1-\pi_i+\pi_j\approx 1\quad\text{for small probabilities: the error is at most}\ \max_y\pi_y",
    verdict=PROVED,
    proof=r"$|\pi_j-\pi_i|\le\max(\pi_i,\pi_j)$. It is true and not enough for Eq. (14): see there.",
)
def eq_13(evidence: Evidence) -> None:
    """The error is of first order in the largest probability."""

    def statement(world: Bandit, share: F = F(1)) -> bool:
        largest = share * max(world.p)
        return all(abs((1 - world.p[i] + world.p[j]) - 1) <= largest for i, j in world.ordered_pairs)

    evidence.holds(statement, bandit, control=lambda world: statement(world, share=F(1, 2)))


@dataclass(frozen=True)
class Urgencies:
    """A policy and how hard every ordered pair (chosen, rejected) is pushed: rate x label x (1 - kappa), any >= 0."""

    p: Vector
    push: tuple[Vector, ...]

    @property
    def fitness(self) -> Vector:
        """Return w_i: what i gets as the chosen minus what it gets as the rejected response."""
        return tuple(
            sum(row) - sum(column) for row, column in zip(self.push, zip(*self.push, strict=True), strict=True)
        )


def urgencies(source: random.Random) -> Urgencies:
    """Draw a policy of 2 to 5 responses and pushes."""
    n = source.randint(2, 5)
    rows = tuple(tuple(F(source.randint(0, 9) * int(i != j)) for j in range(n)) for i in range(n))
    return Urgencies(normalised([source.randint(1, 12) for _ in range(n)]), rows)


@claim(
    "ma2025.balanced-update",
    source="not in the paper; Eq. (11) summed over an epoch, exactly",
    says=r"f=C(\pi_w-\pi_l):\quad\Delta s_k=C\gamma\,\pi_k(w_k-\bar w),\quad"
    r"\Delta\pi_k=C\gamma\,\pi_k\Bigl[\pi_k(w_k-\bar w)-\sum_j\pi_j^2(w_j-\bar w)\Bigr]+O(\gamma^2)",
    assumes=r"tabular logits, full batch; $w_i=\sum\tau(1-\kappa)$ with this loss's own $\kappa=\sigma(f)$; no "
    "probability need be small",
    verdict=PROVED,
    proof=r"A pair pushes along $\nabla_s(\pi_w-\pi_l)$, and all pushes together along "
    r"$\nabla_s\sum_i w_i\pi_i$ with w fixed. It is the vanilla policy gradient with reward w, as DPO's step is the "
    "natural one.",
)
def balanced_update(evidence: Evidence) -> None:
    """Pair by pair through the softmax, for any urgencies; and the gradient of the real loss."""

    def logits(case: Urgencies, averaged: int = 1) -> bool:
        s, n = softmax(case.p), range(len(case.p))
        pairs = [(i, j) for i in n for j in n if case.push[i][j]]
        change = [F(0) for _ in n]
        for i, j in pairs:
            change = [a + case.push[i][j] * b for a, b in zip(change, (s[i] - s[j]).slope, strict=True)]
        mean = averaged * dot(case.p, case.fitness)
        return change == [p * (w - mean) for p, w in zip(case.p, case.fitness, strict=True)]

    def probabilities(case: Selection, averaged: int = 1) -> bool:
        away = [w - averaged * case.mean for w in case.w]
        average = sum(p * p * a for p, a in zip(case.p, away, strict=True))
        formula = tuple(p * (p * a - average) for p, a in zip(case.p, away, strict=True))
        return exact_update(case) == tuple(dot(s.slope, exact_push(case)) for s in softmax(case.p)) == formula

    def real_loss(averaged: float = 1.0) -> bool:
        draw = torch.Generator().manual_seed(evidence.seed)
        log_p = torch.log_softmax(torch.randn(6, generator=draw, dtype=torch.float64), 0)
        label = bradley_terry(torch.randn(6, generator=draw, dtype=torch.float64))
        p = log_p.exp()
        w = (label - bradley_terry(2.0 * p)).sum(1)
        asked = preference_matrix(label)
        gradient = asked.weight.sum() * replicator_fitness(log_p, asked, ProbabilityMargin(scale=2.0))
        return bool((gradient - 2.0 * p * (w - averaged * (p @ w))).abs().max() < 1e-14)

    evidence.holds(logits, urgencies, control=lambda case: logits(case, averaged=0))
    evidence.holds(probabilities, selection, control=lambda case: probabilities(case, averaged=0))
    evidence.measures(
        real_loss, control=lambda: real_loss(averaged=0.0), by="the gradient of the loss with C = 2, to 1e-14"
    )


@claim(
    "ma2025.eq-14",
    source="Theorem 2, Eq. (14)",
    says=r"\Delta\pi_i\approx C\gamma\,\pi_i\Bigl(w_i\pi_i-\sum_j w_j\pi_j^2\Bigr)\quad\text{for small}\ \max_y\pi_y",
    verdict=FALSE,
    because=r"The pushes on responses outside a pair are dropped as small, of order $\pi^2$, but there are $n^2$ "
    r"pairs: together they are the push $-C\gamma\pi_i\bar w$ on each logit, as large as what is kept. Splitting "
    "every response into m equal parts makes all probabilities small and changes nothing: one push keeps the wrong "
    "sign.",
    instead=("ma2025.balanced-update", "ma2025.eq-14-equivalence"),
)
def eq_14(evidence: Evidence) -> None:
    """A sign that is wrong however small the probabilities; the audited numbers; large errors for n = 50 to 1000."""

    def right_signs(case: Selection) -> bool:
        return all(a * b > 0 for a, b in zip(exact_update(case), printed_update(case), strict=True) if a or b)

    def split(case: dict[str, Selection | int]) -> bool:
        whole, parts = case["world"], case["parts of each response"]
        return isinstance(whole, Selection) and isinstance(parts, int) and right_signs(copies(whole, parts))

    def audited(exact: bool) -> bool:
        update = exact_update(AUDITED) if exact else printed_update(AUDITED)
        return update == (F(-9, 64), F(13, 128), F(5, 128))

    def stays_large(with_mean: bool) -> bool:
        found = [relative_error(n, with_mean=with_mean) for n in (50, 200, 1000)]
        return min(error for error, _ in found) > 0.5 and found[-1][1] < 0.004

    evidence.fails(right_signs, at=WRONG_SIGN, control=NO_MEAN)
    # every response in 40 parts: no probability above 2%
    evidence.fails(
        split,
        at={"world": WRONG_SIGN, "parts of each response": 40},
        control={"world": NO_MEAN, "parts of each response": 40},
    )
    evidence.proves(
        lambda: audited(exact=True),
        control=lambda: audited(exact=False),
        by="at p = (1/2, 1/4, 1/4), w = (-1, 1, 0) exact (-9/64, 13/128, 5/128), printed (-5/32, 7/64, 3/64)",
        role=ALSO,
    )
    evidence.measures(
        lambda: stays_large(with_mean=False),
        control=lambda: stays_large(with_mean=True),
        by="policy against reward: relative error above 1/2 for n = 50, 200, 1000, while max pi falls to 0.003",
        role=ALSO,
    )


def relative_error(n: int, *, with_mean: bool) -> tuple[float, float]:
    """Return the L1 error of Eq. (14) over the size of the exact update, and max pi, for a policy against its reward.

    Args:
        n: number of responses; log-odds of the policy fall evenly by 3, rewards rise by 3 from first to last.
        with_mean: put the mean fitness back in.

    Example:
        >>> [round(a, 3) for a in relative_error(50, with_mean=False)]
        [0.622, 0.062]
    """
    grid = np.linspace(-1.5, 1.5, n)
    p = np.exp(-grid) / np.exp(-grid).sum()
    centres = np.linspace(-1.5, 1.5, n)
    w = np.array([np.tanh((a - centres) / 2).mean() / 2 for a in grid]) * n  # sum_j (P_ij - 1/2): kappa is about 1/2
    mean = p @ w

    def update(fitness: np.ndarray) -> np.ndarray:
        return p * (p * fitness - p**2 @ fitness)

    exact, printed = update(w - mean), update(w - mean if with_mean else w)
    return float(np.abs(printed - exact).sum() / np.abs(exact).sum()), float(p.max())


@claim(
    "ma2025.eq-14-equivalence",
    source="not in the paper; when Eq. (14) is right",
    says=r"\Delta\pi_i-\Delta\pi_i^{(14)}=-C\gamma\,\bar w\,\pi_i\Bigl(\pi_i-\sum_j\pi_j^2\Bigr);\quad"
    r"\text{Eq. (14) is exact}\iff\bar w=0\ \text{or}\ \pi\ \text{uniform}",
    assumes=r"to first order in $\gamma$; all probabilities positive",
    verdict=PROVED,
    proof=r"Subtract. The bracket is zero for all i iff $\pi$ is uniform; then $\bar w=\sum_i w_i/n=0$ as well.",
)
def eq_14_equivalence(evidence: Evidence) -> None:
    """The error term, and when it is none."""

    def identity(case: Selection, sign: int = -1) -> bool:
        squares = dot(case.p, case.p)
        error = tuple(sign * case.mean * p * (p - squares) for p in case.p)
        return tuple(a - b for a, b in zip(exact_update(case), printed_update(case), strict=True)) == error

    def equivalence(case: Selection, or_uniform: bool = True) -> bool:
        right = case.mean == 0 or (or_uniform and len(set(case.p)) == 1)
        return (exact_update(case) == printed_update(case)) == right

    evidence.holds(identity, selection, control=lambda case: identity(case, sign=1))
    evidence.holds(equivalence, perhaps_right, control=lambda case: equivalence(case, or_uniform=False))


def perhaps_right(source: random.Random) -> Selection:
    """Draw a case: any, one with mean fitness zero, or one with a uniform policy."""
    drawn, which = selection(source), source.randint(0, 2)
    if which == 1:
        return Selection(drawn.p, tuple(w - drawn.mean for w in drawn.w), drawn.other)
    n = len(drawn.p)
    return Selection((F(1, n),) * n, drawn.w, drawn.other) if which == 2 else drawn


@claim(
    "ma2025.eq-14-same-w",
    source="Theorem 2 and Section 4.2: one w for Eqs. (12) and (14); Figure 1",
    says=r"w_i\ \text{of a balanced loss}=w_i\ \text{of DPO}",
    verdict=FALSE,
    because=r"w contains the $\kappa$ of its loss. Where DPO has come to rest, $\pi\propto q$, its w is zero and that "
    r"of the loss in $\pi_w-\pi_l$ is not; for small probabilities the latter has $\kappa\approx 1/2$.",
    instead="ma2025.balanced-update",
)
def eq_14_same_w(evidence: Evidence) -> None:
    """Two responses, uniform reference, beta = C = 1, at DPO's optimum."""

    def printed(world: Bandit) -> bool:
        with mpmath.workdps(40):
            margin = mpmath.mpf(world.p[0].numerator) / world.p[0].denominator
            margin -= mpmath.mpf(world.p[1].numerator) / world.p[1].denominator
            balanced = mpmath.mpf(world.label(0, 1).numerator) / world.label(0, 1).denominator
            balanced -= 1 / (1 + mpmath.exp(-margin))
            of_dpo = mpmath.mpf(world.fitness[0].numerator) / world.fitness[0].denominator
            return bool(abs(balanced - of_dpo) < mpmath.mpf(10) ** -30)

    evidence.fails(printed, at=Bandit.of([3, 1], q=[3, 1]), control=Bandit.of([1, 1], q=[3, 1]))


@claim(
    "ma2025.updates-sum-to-zero",
    source="after Eq. (14)",
    says=r"\sum_i\Delta\pi_i=0\quad\text{for the right sides of Eqs. (12) and (14)}",
    verdict=PROVED,
    proof="The subtracted term is the average of the first one under the policy.",
)
def updates_sum_to_zero(evidence: Evidence) -> None:
    """Both right sides conserve the total probability."""

    def statement(case: Selection) -> bool:
        return sum(case.velocity) == 0 == sum(printed_update(case))

    def without_average(case: Selection) -> bool:  # what Figure 1 draws for "PPO"
        return sum(p * w * p for p, w in zip(case.p, case.w, strict=True)) == 0

    evidence.holds(statement, selection, control=without_average)
