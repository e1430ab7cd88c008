"""Theorem 5: does noise in the labels disturb w p less than w?

The theorem adds a noise of its own to every response. No preference can carry such a noise; with one that it can carry,
antisymmetric in the pair, the conclusion turns round.
"""

from __future__ import annotations

import itertools
from fractions import Fraction as F
from typing import NamedTuple

from theory.claim import CONDITIONALLY, EMPTY, FALSE, MISPRINT, PROVED
from theory.evidence import CONDITIONAL, CORRECTED, VACUOUS
from theory.ma2025.bandits import Bandit
from theory.ma2025.concentration import var
from theory.ma2025.covariance import claim, covariance, mean, times
from theory.proof import Named, over_responses, same, setting, world_of

Noise = tuple[tuple[F, F], ...]  # (value, probability) of every outcome


# --- what is perturbed ---------------------------------------------------------------------------------------------


@claim("theorem-5-preference", "Theorem 5, its first formula", MISPRINT)
def preference(case):
    r"""P(y_i\succ y_j)=\frac{r_i^*}{r_i^*+r_j^*}

    Because: Rewards may be negative, and only their differences matter: the formula leaves $[0,1]$ and changes under
    $r\mapsto r+c$. Everywhere else the paper has $e^{r^*}$.
    Proof: $e^{r_i}/(e^{r_i}+e^{r_j})=\sigma(r_i-r_j)$.
    """
    p = case.a / (case.a + case.b)
    return 0 <= p <= 1 and p == (case.a + case.c) / (case.a + case.b + 2 * case.c)


def of_exponentials(case, power=1):
    """With a, b, c the exponentials of the rewards and of the constant."""
    p = case.a / (case.a + case.b)
    return 0 <= p <= 1 and p == case.c * case.a / (case.c * case.a + case.c**power * case.b)


exponentials = world_of("e^r and e^c > 0", a="positive", b="positive", c="positive")
preference.false(at=Named(a=F(1), b=F(-2), c=F(1)), true_at=Named(a=F(3), b=F(3), c=F(1)))
preference.proved(of=of_exponentials, over=exponentials, role=CORRECTED, wrong={"power": 2})


@claim("theorem-5-noise", "Theorem 5, the noise that it assumes", EMPTY, "theorem-5-antisymmetric")
def noise_of_one_index(e, pairs=3):
    r"""P(y_i\succ y_j)=P^*(y_i\succ y_j)+\epsilon_i\quad\text{for every sample}

    Assumes: a set of three or more responses, all pairs of which are compared
    Because: $P(y_i\succ y_j)+P(y_j\succ y_i)=1$ asks for $\epsilon_i+\epsilon_j=0$ for every pair; any three responses
    then have $\epsilon=0$. A noise that labels can carry has two indices, $\epsilon_{ij}=-\epsilon_{ji}$.
    """
    conditions = (e.i + e.j == 0, e.i + e.k == 0, e.j + e.k == 0)
    return not all(conditions[:pairs]) or e.i == e.j == e.k == 0


noise_of_one_index.proved(
    over=world_of("the noise of any three responses", i="real", j="real", k="real"), role=VACUOUS, wrong={"pairs": 2}
)


# --- Eq. (22) ------------------------------------------------------------------------------------------------------


class NoisyData(NamedTuple):
    """A bandit, the noise added to each w_i (one outcome: already drawn), and the indices of A_0."""

    world: Bandit
    noise: tuple[Noise, ...]
    subset: tuple[int, ...]

    @property
    def square(self) -> F:
        """Return E[p^2] over all responses."""
        return mean(times(self.world.p, self.world.p))

    def excess(self, power: int) -> F:
        """Return Var[w p^power] - Var[w* p^power], over responses of A_0 and their noise."""
        w, p = self.world.fitness, self.world.p
        outcomes = [(i, e, chance) for i in self.subset for e, chance in self.noise[i]]
        chances = [chance for _, _, chance in outcomes]
        noisy, clean = ([(w[i] + c * e) * p[i] ** power for i, e, _ in outcomes] for c in (1, 0))
        return covariance(noisy, noisy, chances) - covariance(clean, clean, chances)


QUARTERS = Bandit.of([3, 1], q=[1, 1])
FLIP: Noise = ((F(1, 8), F(1, 2)), (F(-1, 8), F(1, 2)))
EVEN = NoisyData(QUARTERS, (FLIP, FLIP), (0, 1))
DRAWN = NoisyData(QUARTERS, (((F(-1, 8), F(1)),), ((F(1, 8), F(1)),)), (0, 1))
UNEVEN = NoisyData(QUARTERS, (((F(0), F(1)),), ((F(1), F(1, 2)), (F(-1), F(1, 2)))), (0, 1))


def with_noise(x, d, variance):
    """Return the mean of (x + d e)^2."""
    return x**2 + d**2 * variance


def moments_of_noise(y, scale=1):
    """A noise e of mean 0 adds its variance, whatever it is added to; q is the probability of an outcome."""
    x, d = y.one("x").e, y.one("d").e
    square = same(y.sum(y.q * (x + d * y.e) ** 2), with_noise(x, d, scale * y.sum(y.q * y.e**2)))
    return square & same(y.sum(y.q * (x + d * y.e)), x)


OUTCOMES = over_responses(q="probability", e="centred")
RESPONSES = over_responses(p="any", w="any")


@claim("theorem-5-equality", "Theorem 5 with the whole response set, which the text after it recalls", PROVED)
def equality(y, kept=1):
    r"""\mathbb E_\epsilon[(x+d\epsilon)^2]=x^2+d^2v,\quad\mathbb E_\epsilon[x+d\epsilon]=x;\qquad
    \mathcal A_0=\mathcal A\implies(\mathrm{Var}[w]-\mathrm{Var}[w^*])\,\mathbb E[p^2]
    =\mathrm{Var}[wp]-\mathrm{Var}[w^*p]

    Assumes: as the proof of Theorem 5 has it: variances also over the noise, of mean 0 and even variance
    Proof: With $\mathbb E[\epsilon]=0$ and $\mathbb E[\epsilon^2]=v$ at every response of a set the two differences are
    $v$ and $v\,\mathbb E[p^2]$: after normalisation the noise disturbs $w$ and $wp$ alike.
    """
    n, v = y.sum(1 + 0 * y.p), y.one("v").w ** 2
    for_w = y.sum(with_noise(y.w, 1, v)) / n - (y.sum(y.w) / n) ** 2 - var(y, y.w)
    for_wp = y.sum(with_noise(y.w * y.p, y.p, v)) / n - (y.sum(y.w * y.p) / n) ** 2 - var(y, y.w * y.p)
    return same(for_w, v) & same(for_wp, kept * v * y.sum(y.p**2) / n)


equality.derived(sums=RESPONSES, wrong={"kept": F(11, 10)})
equality.derived(
    of=moments_of_noise,
    sums=OUTCOMES,
    wrong={"scale": F(11, 10)},
    part=r"\mathbb E_\epsilon[(x+d\epsilon)^2]=x^2+d^2v,\quad\mathbb E_\epsilon[x+d\epsilon]=x",
)


@claim(
    "theorem-5",
    "Theorem 5, Eqs. (21), (22); proof, Eqs. (67)-(71)",
    CONDITIONALLY,
    "theorem-5-equality",
    "theorem-5-antisymmetric",
)
def theorem_5(data, times=1):
    r"""(\mathrm{Var}[w]-\mathrm{Var}[w^*])\,\mathbb E_{\mathcal A}[p^2]
    \le\mathrm{Var}[wp]-\mathrm{Var}[w^*p]

    Assumes: Eq. (21); moreover, the variances are also over the noise, which has mean 0 and the same variance at every
    response
    Because: The theorem takes variances over $y_i\sim\mathcal A_0$ alone: with $\epsilon=(-1/8,1/8)$ the left side is
    25/1024, the right one 20/1024. Noise of unequal variance breaks it too. What is left, Eq. (21) times the variance
    of the noise, is an equality for $\mathcal A_0=\mathcal A$.
    Proof: Then the left side is $\mathbb E[\epsilon^2]\,\mathbb E_{\mathcal A}[p^2]$ and the right one $\mathbb
    E[\epsilon^2]\,\mathbb E_{\mathcal A_0}[p^2]$.
    """
    return times * data.excess(0) * data.square <= data.excess(1)


@setting("even noise of variance v > 0: the excesses are v and v E_{A_0}[p^2]; E_{A_0}[p^2] >= E_A[p^2] > 0")
def even_noise(numbers):
    """Even noise and a subset with Eq. (21)."""
    v, square = numbers.positive("v"), numbers.positive("square")
    in_subset = numbers.at_least("in_subset", square)
    return Named(excess=lambda power: v * in_subset**power, square=square)


theorem_5.false(at=DRAWN, true_at=EVEN).false(at=UNEVEN, true_at=EVEN)
theorem_5.rests_on(equality, role=CONDITIONAL)
theorem_5.proved(over=even_noise, role=CONDITIONAL, wrong={"times": F(11, 10)})
theorem_5.false(at=EVEN._replace(subset=(1,)), true_at=EVEN, also=True)  # Eq. (21) is used


# --- noise that labels can carry -----------------------------------------------------------------------------------


class FlippedLabels(NamedTuple):
    """Every P(i beats j) is moved by +size or -size, P(j beats i) the other way, independently of other pairs."""

    world: Bandit
    size: F

    @property
    def advantage(self) -> F:
        """Return the right side of Eq. (22) minus its left one, in the mean over all signs of the noise; A_0 = A.

        Example:
            >>> FlippedLabels(QUARTERS, F(1, 8)).advantage
            Fraction(-1, 1024)
        """
        w = self.world.fitness
        pairs = list(itertools.combinations(self.world.responses, 2))
        total = F(0)
        for signs in itertools.product((-1, 1), repeat=len(pairs)):
            moved = list(w)
            for (i, j), sign in zip(pairs, signs, strict=True):
                moved[i], moved[j] = moved[i] + sign * self.size, moved[j] - sign * self.size
            drawn = NoisyData(self.world, tuple(((a - b, F(1)),) for a, b in zip(moved, w, strict=True)), ())
            drawn = drawn._replace(subset=tuple(self.world.responses))
            total += drawn.excess(1) - drawn.excess(0) * drawn.square
        return total / 2 ** len(pairs)


@claim("theorem-5-antisymmetric", "not in the paper; Eq. (22) with noise that labels can carry", PROVED)
def antisymmetric(y, spread=1):
    r"""\mathbb E_\epsilon\bigl[\mathrm{Var}[wp]-\mathrm{Var}[w^*p]
    -(\mathrm{Var}[w]-\mathrm{Var}[w^*])\,\mathbb E[p^2]\bigr]=-v\,\mathrm{Var}[p]\le 0

    Assumes: $\epsilon_{ij}=-\epsilon_{ji}$ of mean 0 and variance $v$, independent between pairs; $\mathcal
    A_0=\mathcal A$; variances over $y_i$ as printed
    Proof: $e_i=\sum_j\epsilon_{ij}$ has variance $(n-1)v$, and $\sum_ie_i=0$, so that $\mathbb
    E\mathrm{Var}_i[e]=(n-1)v$. $\sum_ie_ip_i$ is the sum of $\epsilon_{ij}(p_i-p_j)$ over pairs, with the variance
    $v\sum(p_i-p_j)^2=v\,(n\sum p_i^2-(\sum p_i)^2)$, by induction on n; and $\mathbb E[e_i]=0$ removes all terms in w.
    """
    n, first, square = y.sum(1 + 0 * y.p), y.sum(y.p), y.sum(y.p**2)
    for_w, of_sum = (n - 1), n * square - first**2  # in units of v
    for_wp = (n - 1) * square / n - of_sum / n**2
    return same(for_wp - for_w * square / n, -spread * var(y, y.p))


def one_more_response(y, times=1):
    """A new response adds the squares of its distances to n sum p^2 - (sum p)^2."""
    new, n, first, square = y.one("new").p, y.sum(1 + 0 * y.p), y.sum(y.p), y.sum(y.p**2)
    after = (n + 1) * (square + new**2) - (first + new) ** 2
    return same(times * y.sum((new - y.p) ** 2), after - (n * square - first**2))


def at(data: FlippedLabels, centred: bool = True) -> bool:
    p = data.world.p
    return data.advantage == -(data.size**2) * (covariance(p, p) if centred else mean(times(p, p)))


FOUR = FlippedLabels(Bandit.of([4, 3, 2, 1], q=[1, 2, 1, 3]), F(1, 16))
antisymmetric.derived(sums=RESPONSES, wrong={"spread": F(11, 10)})
antisymmetric.derived(of=one_more_response, sums=RESPONSES, wrong={"times": F(11, 10)})
antisymmetric.derived(of=moments_of_noise, sums=OUTCOMES, wrong={"scale": F(11, 10)})
antisymmetric.evaluated([FOUR], of=at, wrong={"centred": False}, also=True)  # all 64 patterns of signs


@claim(
    "theorem-5-data-quality",
    "Section 4.3.2, after Theorem 5: the concentration is better kept by the balanced loss",
    FALSE,
    "theorem-5-antisymmetric",
)
def data_quality(data: FlippedLabels) -> bool:
    r"""\mathbb E_\epsilon\bigl[(\mathrm{Var}[w]-\mathrm{Var}[w^*])\,\mathbb E[p^2]\bigr]
    \le\mathbb E_\epsilon\bigl[\mathrm{Var}[wp]-\mathrm{Var}[w^*p]\bigr]

    Assumes: $\epsilon_{ij}=-\epsilon_{ji}$, $\mathcal A_0=\mathcal A$
    Because: With noise that labels can carry, the difference is $-v\mathrm{Var}[p]$: the opposite inequality, for every
    policy that is not uniform. With $p=(3/4,1/4)$ and labels moved by 1/8 either way, 5/1024 against 4/1024.
    """
    return data.advantage >= 0


UNIFORM = FlippedLabels(Bandit.of([1, 1], q=[1, 2]), F(1, 8))
data_quality.false(at=FlippedLabels(QUARTERS, F(1, 8)), true_at=UNIFORM)
