"""Theorem 5: does noise in the labels disturb w p less than w?

The theorem adds a noise of its own to every response. No preference can carry such a noise; with one that it can carry,
antisymmetric in the pair, the conclusion turns round.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, EMPTY, FALSE, MISPRINT, PROVED, claim
from theory.evidence import ALSO, CORRECTED, VACUOUS, Evidence
from theory.ma2025.bandits import Bandit, beats
from theory.ma2025.concentration import any_utility
from theory.ma2025.covariance import covariance, mean, times
from theory.worlds import Vector

Noise = tuple[tuple[F, F], ...]  # (value, probability) of every outcome


# --- what is perturbed ---------------------------------------------------------------------------------------------


def rewards(source: random.Random) -> tuple[int, int]:
    """Draw two rewards, in units of log 2."""
    return source.randint(-6, 6), source.randint(-6, 6)


def as_printed(a: int, b: int) -> F | None:
    """Return r_i / (r_i + r_j), the probability as printed; None where it has no value."""
    return F(a, a + b) if a + b else None


def bradley_terry(a: int, b: int) -> F:
    """Return e^{r_i} / (e^{r_i} + e^{r_j}) for rewards in units of log 2."""
    return beats(F(2) ** a, F(2) ** b)


@claim(
    "ma2025.theorem-5-preference",
    source="Theorem 5, its first formula",
    says=r"P(y_i\succ y_j)=\frac{r_i^*}{r_i^*+r_j^*}",
    verdict=MISPRINT,
    because=r"Rewards may be negative, and only their differences matter: the formula leaves $[0,1]$ and changes "
    r"under $r\mapsto r+c$. Everywhere else the paper has $e^{r^*}$.",
    proof=r"$e^{r_i}/(e^{r_i}+e^{r_j})=\sigma(r_i-r_j)$.",
)
def preference(evidence: Evidence) -> None:
    """Rewards 1 and -2 have "probability" -1."""

    def statement(pair: tuple[int, int], exponential: bool = False) -> bool:
        link = bradley_terry if exponential else as_printed
        a, b = pair
        p, shifted = link(a, b), link(a + 1, b + 1)
        return p is not None and 0 <= p <= 1 and p == shifted

    evidence.fails(statement, at=(1, -2), control=(3, 3))
    evidence.holds(lambda pair: statement(pair, exponential=True), rewards, control=statement, role=CORRECTED)


@claim(
    "ma2025.theorem-5-noise",
    source="Theorem 5, the noise that it assumes",
    says=r"P(y_i\succ y_j)=P^*(y_i\succ y_j)+\epsilon_i\quad\text{for every sample}",
    assumes="a set of three or more responses, all pairs of which are compared",
    verdict=EMPTY,
    because=r"$P(y_i\succ y_j)+P(y_j\succ y_i)=1$ asks for $\epsilon_i+\epsilon_j=0$ for every pair; with three "
    r"responses that leaves $\epsilon=0$ only. A noise that labels can carry has two indices, "
    r"$\epsilon_{ij}=-\epsilon_{ji}$.",
    instead="ma2025.theorem-5-antisymmetric",
)
def noise_of_one_index(evidence: Evidence) -> None:
    """The conditions on eps have the full rank n for n = 3, ..., 7, and rank 1 for n = 2."""

    def only_zero(n: int) -> bool:
        rows = [[int(k in pair) for k in range(n)] for pair in itertools.combinations(range(n), 2)]
        return not sp.Matrix(rows).nullspace()

    evidence.proves(
        lambda: all(only_zero(n) for n in range(3, 8)),
        control=lambda: only_zero(2),
        by="null space of the conditions eps_i + eps_j = 0, exact, 3 to 7 responses",
        role=VACUOUS,
    )


# --- Eq. (22) ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NoisyData:
    """A bandit, a noise added to each w_i, and the subset A_0 over which variances are taken.

    Attributes:
        world: gives w* and p.
        noise: distribution of the noise of each response; a single outcome is a noise that has been drawn already.
        subset: indices of A_0.
    """

    world: Bandit
    noise: tuple[Noise, ...]
    subset: tuple[int, ...]

    def excess(self, power: int) -> F:
        """Return Var[w p^power] - Var[w* p^power], over responses of A_0 and their noise."""
        w, p = self.world.fitness, self.world.p
        outcomes = [(i, e, chance) for i in self.subset for e, chance in self.noise[i]]
        chances = [chance for _, _, chance in outcomes]
        noisy = [(w[i] + e) * p[i] ** power for i, e, _ in outcomes]
        clean = [w[i] * p[i] ** power for i, _, _ in outcomes]
        return covariance(noisy, noisy, chances) - covariance(clean, clean, chances)

    def mean_square(self, indices: tuple[int, ...]) -> F:
        """Return E[p^2] over these responses."""
        return mean([self.world.p[i] ** 2 for i in indices])

    @property
    def everything(self) -> tuple[int, ...]:
        """Return the indices of A."""
        return tuple(self.world.responses)

    @property
    def is_even(self) -> bool:
        """Return whether the noise has mean 0 and the same variance at every response."""
        means = {sum(e * chance for e, chance in noise) for noise in self.noise}
        variances = {sum(e * e * chance for e, chance in noise) for noise in self.noise}
        return means == {0} and len(variances) == 1


def noisy_data(source: random.Random) -> NoisyData:
    """Draw a noise with two outcomes for each response, half the time of one variance, and a subset with (21)."""
    world = any_utility(source)
    n = len(world.p)
    common = F(source.randint(1, 4), 100) if source.random() < 0.5 else None
    noise = []
    for _ in range(n):
        up = F(source.randint(1, 9), 30)
        down = (common or F(source.randint(1, 4), 100)) / up  # the variance is up x down
        noise.append(((up, down / (up + down)), (-down, up / (up + down))))
    chosen = tuple(i for i in range(n) if source.random() < 0.5)
    rest = tuple(i for i in range(n) if i not in chosen)
    data = NoisyData(world, tuple(noise), chosen or rest)
    if data.mean_square(data.subset) < data.mean_square(data.everything):
        data = NoisyData(world, data.noise, rest)  # the complement of a subset below the mean is above it
    return data if source.random() < 0.75 else NoisyData(world, data.noise, data.everything)


def eq_22(data: NoisyData) -> bool:
    """Return whether (Var[w] - Var[w*]) E_A[p^2] <= Var[w p] - Var[w* p]."""
    return data.excess(0) * data.mean_square(data.everything) <= data.excess(1)


QUARTERS = Bandit.of([3, 1], q=[1, 1])
FLIP: Noise = ((F(1, 8), F(1, 2)), (F(-1, 8), F(1, 2)))
EVEN = NoisyData(QUARTERS, (FLIP, FLIP), (0, 1))
DRAWN = NoisyData(QUARTERS, (((F(-1, 8), F(1)),), ((F(1, 8), F(1)),)), (0, 1))
UNEVEN = NoisyData(QUARTERS, (((F(0), F(1)),), ((F(1), F(1, 2)), (F(-1), F(1, 2)))), (0, 1))
OUTSIDE_21 = NoisyData(QUARTERS, (FLIP, FLIP), (1,))


@claim(
    "ma2025.theorem-5",
    source="Theorem 5, Eq. (22); proof, Eqs. (67)-(71)",
    says=r"(\mathrm{Var}[w]-\mathrm{Var}[w^*])\,\mathbb E_{\mathcal A}[p^2]"
    r"\le\mathrm{Var}[wp]-\mathrm{Var}[w^*p]",
    assumes="Eq. (21); moreover, the variances are also over the noise, which has mean 0 and the same variance at "
    "every response",
    verdict=CONDITIONALLY,
    because=r"The theorem takes variances over $y_i\sim\mathcal A_0$ alone: with $\epsilon=(-1/8,1/8)$ the left side "
    "is 25/1024, the right one 20/1024. Noise of unequal variance breaks it too. What is left, Eq. (21) times the "
    r"variance of the noise, is an equality for $\mathcal A_0=\mathcal A$.",
    instead=("ma2025.theorem-5-equality", "ma2025.theorem-5-antisymmetric"),
    proof=r"Then the left side is $\mathbb E[\epsilon^2]\,\mathbb E_{\mathcal A}[p^2]$ and the right one $\mathbb "
    r"E[\epsilon^2]\,\mathbb E_{\mathcal A_0}[p^2]$.",
)
def theorem_5(evidence: Evidence) -> None:
    """False for a noise already drawn and for uneven noise; true, given (21), for an even one."""
    evidence.fails(eq_22, at=DRAWN, control=EVEN)
    evidence.fails(eq_22, at=UNEVEN, control=EVEN)
    evidence.fails(eq_22, at=OUTSIDE_21, control=EVEN, role=ALSO)
    evidence.holds(
        eq_22,
        noisy_data,
        given=lambda data: data.is_even,
        control=lambda data: data.excess(0) * data.mean_square(data.everything) < data.excess(1),
    )


@claim(
    "ma2025.theorem-5-equality",
    source=r"Theorem 5 with the whole response set, which the text after it recalls",
    says=r"\mathcal A_0=\mathcal A\implies(\mathrm{Var}[w]-\mathrm{Var}[w^*])\,\mathbb E[p^2]"
    r"=\mathrm{Var}[wp]-\mathrm{Var}[w^*p]",
    assumes="as the proof of Theorem 5 has it: variances also over the noise, of mean 0 and even variance",
    verdict=PROVED,
    proof=r"Both sides are $\mathbb E[\epsilon^2]\,\mathbb E_{\mathcal A}[p^2]$: after normalisation the noise "
    r"disturbs $w$ and $wp$ alike.",
)
def equality(evidence: Evidence) -> None:
    """On the whole set neither method has the advantage."""

    def equal(data: NoisyData) -> bool:
        return data.excess(0) * data.mean_square(data.everything) == data.excess(1)

    def on_the_whole_set(data: NoisyData) -> bool:
        return equal(NoisyData(data.world, data.noise, data.everything))

    evidence.holds(lambda data: not data.is_even or on_the_whole_set(data), noisy_data, control=on_the_whole_set)
    evidence.holds(
        lambda data: data.subset != data.everything or not data.is_even or equal(data),
        noisy_data,
        control=lambda data: not data.is_even or equal(data),
    )


# --- noise that labels can carry -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class FlippedLabels:
    """Antisymmetric noise: every P(i beats j) is moved by +size or -size, P(j beats i) the other way, independently.

    Attributes:
        world: gives w* and p.
        size: how far a preference is moved.
    """

    world: Bandit
    size: F

    def __str__(self) -> str:
        """Return the bandit and the size."""
        return f"{self.world}, noise +-{self.size}"

    def mean_excess(self, power: int) -> F:
        """Return the mean over the noise of Var_i[w p^power] - Var_i[w* p^power], by going through all signs."""
        n = len(self.world.p)
        pairs = list(itertools.combinations(range(n), 2))
        scale = [p**power for p in self.world.p]
        clean = times(self.world.fitness, scale)
        total = F(0)
        for signs in itertools.product((-1, 1), repeat=len(pairs)):
            sums = [0] * n
            for (i, j), sign in zip(pairs, signs, strict=True):
                sums[i] += sign
                sums[j] -= sign
            noisy = [c + self.size * k * a for c, k, a in zip(clean, sums, scale, strict=True)]
            total += covariance(noisy, noisy)
        return total / 2 ** len(pairs) - covariance(clean, clean)

    @property
    def advantage(self) -> F:
        """Return the right side of Eq. (22) minus its left side, in the mean over the noise; A_0 = A.

        Example:
            >>> FlippedLabels(QUARTERS, F(1, 8)).advantage
            Fraction(-1, 1024)
        """
        p: Vector = self.world.p
        return self.mean_excess(1) - self.mean_excess(0) * mean(times(p, p))


def flipped_labels(source: random.Random) -> FlippedLabels:
    """Draw antisymmetric noise over 2 or 3 responses."""
    n = source.randint(2, 3)
    p, q = ([source.randint(1, 9) for _ in range(n)] for _ in range(2))
    return FlippedLabels(Bandit.of(p, q), F(1, source.randint(8, 99)))


FOUR = FlippedLabels(Bandit.of([4, 3, 2, 1], q=[1, 2, 1, 3]), F(1, 16))


@claim(
    "ma2025.theorem-5-antisymmetric",
    source="not in the paper; Eq. (22) with noise that labels can carry",
    says=r"\mathbb E_\epsilon\bigl[\mathrm{Var}[wp]-\mathrm{Var}[w^*p]"
    r"-(\mathrm{Var}[w]-\mathrm{Var}[w^*])\,\mathbb E[p^2]\bigr]=-v\,\mathrm{Var}[p]\le 0",
    assumes=r"$\epsilon_{ij}=-\epsilon_{ji}$ of mean 0 and variance $v$, independent between pairs; $\mathcal "
    r"A_0=\mathcal A$; variances over $y_i$ as printed",
    verdict=PROVED,
    proof=r"$e_i=\sum_j\epsilon_{ij}$ has variance $(n-1)v$, and $\mathbb E[e_ie_j]=-v$. Hence $\mathbb "
    r"E\mathrm{Var}_i[e]=(n-1)v$, as $\sum_ie_i=0$, while $\mathbb "
    r"E[(\sum_ie_ip_i)^2]/n^2=v\mathrm{Var}[p]$.",
)
def antisymmetric(evidence: Evidence) -> None:
    """All sign patterns of the noise, summed exactly, for 2, 3 and 4 responses."""

    def statement(data: FlippedLabels, centred: bool = True) -> bool:
        p = data.world.p
        spread = covariance(p, p) if centred else mean(times(p, p))
        return data.advantage == -(data.size**2) * spread

    evidence.holds(statement, flipped_labels, control=lambda data: statement(data, centred=False), worlds=200)
    evidence.proves(
        lambda: statement(FOUR), control=lambda: statement(FOUR, centred=False), by="64 sign patterns of 4 responses"
    )


@claim(
    "ma2025.theorem-5-data-quality",
    source="Section 4.3.2, after Theorem 5: the concentration is better kept by the balanced loss",
    says=r"\mathbb E_\epsilon\bigl[(\mathrm{Var}[w]-\mathrm{Var}[w^*])\,\mathbb E[p^2]\bigr]"
    r"\le\mathbb E_\epsilon\bigl[\mathrm{Var}[wp]-\mathrm{Var}[w^*p]\bigr]",
    assumes=r"$\epsilon_{ij}=-\epsilon_{ji}$, $\mathcal A_0=\mathcal A$",
    verdict=FALSE,
    because=r"With noise that labels can carry, the difference is $-v\mathrm{Var}[p]$: the opposite "
    "inequality, for every policy that is not uniform.",
    instead="ma2025.theorem-5-antisymmetric",
)
def data_quality(evidence: Evidence) -> None:
    """P = (3/4, 1/4), labels moved by 1/8 either way: 5/1024 against 4/1024."""
    evidence.fails(
        lambda data: data.advantage >= 0,
        at=FlippedLabels(QUARTERS, F(1, 8)),
        control=FlippedLabels(Bandit.of([1, 1], q=[1, 2]), F(1, 8)),
    )
