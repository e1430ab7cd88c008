"""Theorem 7: a response that no pair contains grows under DPO and under a balanced loss; which is faster?"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction as F

from theory.claim import CONDITIONALLY, FALSE, PROVED, claim
from theory.evidence import ALSO, Evidence
from theory.ma2025.bandits import Bandit
from theory.ma2025.concentration import alpha, any_utility, beta
from theory.ma2025.covariance import covariance, mean, times
from theory.worlds import dot


def are_independent(x: Sequence[F], y: Sequence[F]) -> bool:
    """Return whether two functions of a uniformly drawn response are independent.

    Example:
        >>> are_independent([1, 1, 2, 2], [3, 4, 3, 4]), are_independent([1, 1, 2, 2], [3, 4, 4, 4])
        (True, False)
    """
    both, first, second = Counter(zip(x, y, strict=True)), Counter(x), Counter(y)
    return all(both[a, b] * len(x) == first[a] * second[b] for a in first for b in second)


def independent_pair(source: random.Random) -> Bandit:
    """Draw a bandit in which alpha and beta are independent: every value of p meets every value of q equally often."""
    columns = source.choice(([2, 1], [2, 2], [3, 1], [2, 2], [1, 2], [3, 2]))
    values = [[source.randint(1, 5) for _ in range(count)] for count in columns]
    grid = [(a, b) for a in values[0] for b in values[1]]
    return Bandit.of([a for a, _ in grid], [b for _, b in grid])


def distinct_probabilities(source: random.Random) -> Bandit:
    """Draw a bandit whose probabilities all differ; in a third of the cases without preferences."""
    n = source.randint(2, 5)
    q = [1] * n if source.random() < 1 / 3 else [source.randint(1, 3) for _ in range(n)]
    return Bandit.of(source.sample(range(1, 13), n), q)


def eq_24(world: Bandit, factor: int = 1) -> bool:
    """Return whether sum_j w_j p_j^2 < factor (sum_j w_j p_j) E[p]."""
    w, p = world.fitness, world.p
    return dot(w, times(p, p)) < factor * dot(w, p) * mean(p)


TEN = Bandit.of([3, 2], q=[9, 1])
GRID = Bandit.of([4, 4, 1, 1], q=[3, 2, 3, 2])


@claim(
    "ma2025.theorem-7",
    source="Theorem 7, Eq. (24); proof, Eqs. (84)-(86)",
    says=r"\sum_jw_jp_j^2<\Bigl(\sum_jw_jp_j\Bigr)\,\mathbb E_k[p_k]",
    assumes=r"$\alpha$ and $\beta$ independent over a uniformly drawn response, and $p$ not uniform; uniform "
    r"reference, DPO's $\beta=1$",
    verdict=CONDITIONALLY,
    because=r"For a uniform $p$ both sides are 0. Without independence it is false: $p=(3/5,2/5)$, $q=(9/10,1/10)$.",
    instead=("ma2025.theorem-7-assumption", "ma2025.theorem-7-no-preferences"),
    proof=r"$n^{-1}$ times the difference is $\mathrm{Cov}[wp,p]=\mathrm{Cov}[\beta "
    r"p,p]-\mathrm{Cov}[\alpha p,p]<\mathbb E[\beta]\mathrm{Var}[p]-\mathbb "
    r"E[\alpha]\mathrm{Var}[p]=0$, by independence and Lemma 4, which is strict here because $\alpha$ is.",
)
def theorem_7(evidence: Evidence) -> None:
    """A grid of values of p and q has alpha and beta independent."""
    evidence.fails(eq_24, at=Bandit.of([1, 1], q=[2, 1]), control=GRID)
    evidence.fails(eq_24, at=TEN, control=GRID)
    evidence.holds(
        eq_24,
        independent_pair,
        given=lambda world: len(set(world.p)) > 1 and are_independent(alpha(world), beta(world)),
        control=lambda world: eq_24(world, factor=2),
    )


@claim(
    "ma2025.theorem-7-no-preferences",
    source="not in the paper; what the assumption of Theorem 7 allows",
    says=r"p_i\ \text{all different}:\quad\alpha,\beta\ \text{independent}\iff q\ \text{constant (no preferences)}",
    verdict=PROVED,
    proof=r"$\alpha_i$ increases strictly with $p_i$, so that $\alpha_i$ determines $i$ and with it $\beta_i$: "
    "independent of that can only be a constant.",
)
def no_preferences(evidence: Evidence) -> None:
    """For a policy without ties the theorem is about data without preferences."""

    def statement(world: Bandit, kinds: int = 1) -> bool:
        return are_independent(alpha(world), beta(world)) == (len(set(world.q)) <= kinds)

    evidence.holds(statement, distinct_probabilities, control=lambda world: statement(world, kinds=2))
    evidence.fails(statement, at=GRID, control=Bandit.of([4, 1], q=[3, 2]), role=ALSO)


@claim(
    "ma2025.theorem-7-assumption",
    source="not in the paper; what the proof of Theorem 7 uses",
    says=r"\mathrm{Cov}[\beta p,p]\le\mathbb E[\beta]\mathrm{Var}[p],\ p\ \text{not uniform}\implies"
    r"\text{Eq. (24)}",
    verdict=PROVED,
    proof=r"As the proof of Theorem 7; independence is used only for this inequality.",
)
def weaker_assumption(evidence: Evidence) -> None:
    """The premise is met by many bandits in which alpha and beta depend on each other."""

    def premise(world: Bandit, slack: F = F(0)) -> bool:
        b, p = beta(world), world.p
        return covariance(times(b, p), p) <= (1 + slack) * mean(b) * covariance(p, p)

    def statement(world: Bandit, slack: F = F(0)) -> bool:
        return len(set(world.p)) == 1 or not premise(world, slack) or eq_24(world)

    evidence.holds(statement, any_utility, control=lambda world: statement(world, slack=F(1)))
    evidence.finds(
        lambda world: not premise(world) or are_independent(alpha(world), beta(world)),
        any_utility,
        control=statement,
        role=ALSO,
    )


@claim(
    "ma2025.theorem-7-means",
    source="Theorem 7, proof, Eq. (86)",
    says=r"\mathbb E[\alpha]=\mathbb E[\beta]=\tfrac{n-1}{2}",
    verdict=PROVED,
    proof=r"Each of the $n(n-1)/2$ pairs adds $P_{ij}+P_{ji}=1$ to either sum.",
)
def means(evidence: Evidence) -> None:
    """The step that the proof ascribes to Lemma 2."""

    def statement(world: Bandit, pairs: int = 1) -> bool:
        return mean(alpha(world)) == mean(beta(world)) == F(len(world.p) - pairs, 2)

    evidence.holds(statement, any_utility, control=lambda world: statement(world, pairs=0))


def ood_rate(world: Bandit, balanced: bool) -> F:
    """Return d log pi_y of a response y outside all pairs with pi_y = 0+, in units of gamma.

    The logits move by w under DPO, and by p (w - sum w p) under the balanced loss F(pi_w - pi_l); w is DPO's for
    both, as the paper takes it. The balanced one is divided by E[p], the scale of p, as in Eq. (24).

    Example:
        >>> str(ood_rate(UNPREFERRED, balanced=False)), str(ood_rate(UNPREFERRED, balanced=True))
        ('1/8', '3/32')
    """
    average = world.mean_fitness
    logits = [p * (w - average) for p, w in zip(world.p, world.fitness, strict=True)] if balanced else world.fitness
    moved = -dot(world.p, logits)  # the logit of y stays: only the normalisation moves it
    return moved / mean(world.p) if balanced else moved


UNPREFERRED = Bandit.of([3, 1], q=[1, 1])


def unpreferred(source: random.Random) -> Bandit:
    """Draw a bandit without preferences and with distinct probabilities: Theorem 7 applies to it."""
    n = source.randint(2, 5)
    return Bandit.of(source.sample(range(1, 13), n), [1] * n)


@claim(
    "ma2025.theorem-7-interpretation",
    source="Section 4.3.3, after Theorem 7: DPO raises a response outside the data less than a balanced loss",
    says=r"-\sum_jw_jp_j<\frac{-\sum_jp_j^2(w_j-\bar w)}{\mathbb E[p]},\qquad\bar w=\sum_jw_jp_j",
    assumes="the assumptions of Theorem 7; the exact update of the balanced loss instead of Eq. (14)",
    verdict=FALSE,
    because=r"Eq. (24) compares DPO with Eq. (14), which has lost $\bar w$. With the exact update of the balanced "
    "loss, and the same normalisation, two responses without preferences refute it.",
    instead="ma2025.theorem-7-exact",
)
def interpretation(evidence: Evidence) -> None:
    """P = (3/4, 1/4), no preferences: 1/8 under DPO, 3/32 under the balanced loss."""

    def statement(world: Bandit) -> bool:
        return ood_rate(world, balanced=False) < ood_rate(world, balanced=True)

    evidence.fails(statement, at=UNPREFERRED, control=Bandit.of([2, 1, 1], q=[1, 1, 1]))
    evidence.finds(statement, unpreferred, control=eq_24)


@claim(
    "ma2025.theorem-7-exact",
    source="not in the paper; when a balanced loss raises a response outside the data more than DPO",
    says=r"-\bar w<\frac{-\sum_jp_j^2(w_j-\bar w)}{\mathbb E[p]}\iff\sum_jw_jp_j^2<\bar w\Bigl(\mathbb "
    r"E[p]+\sum_jp_j^2\Bigr)",
    assumes="the exact update of the balanced loss, w that of DPO for both, scale of p removed by dividing by E[p]",
    verdict=PROVED,
    proof=r"Expand; Eq. (24) is the same without $\sum_jp_j^2$. Under its assumptions $\bar w<0$, so that the exact "
    "criterion asks for more.",
)
def exact_criterion(evidence: Evidence) -> None:
    """The exact criterion against rates taken through the softmax."""

    def statement(world: Bandit, lost: int = 1) -> bool:
        w, p = world.fitness, world.p
        squares = dot(p, p)
        criterion = dot(w, times(p, p)) < world.mean_fitness * (mean(p) + lost * squares)
        return criterion == (ood_rate(world, balanced=False) < ood_rate(world, balanced=True))

    evidence.holds(statement, any_utility, control=lambda world: statement(world, lost=0))
    evidence.holds(lambda world: world.mean_fitness < 0, unpreferred, control=lambda world: world.fitness[0] < 0)
