"""Theorem 4: which is more concentrated, w or w p? Its lower bound, and the exact criterion that decides.

w is the push of DPO on the logits, w p stands for that of a balanced loss. All variances are over a response drawn
uniformly; the reference is uniform and beta = 1, where the paper's Lemma 2, w = beta - alpha, holds.
"""

from __future__ import annotations

import random
from fractions import Fraction as F

from theory.claim import CONDITIONALLY, FALSE, PROVED
from theory.evidence import CONDITIONAL
from theory.ma2025.bandits import Bandit
from theory.ma2025.covariance import claim, covariance, lemma_3, lemma_3_polarised, mean, times
from theory.proof import Named, over_responses, same, setting, sums_of
from theory.worlds import Vector


def alpha(world: Bandit) -> Vector:
    """Return alpha_i, the sum over j of p_i / (p_i + p_j): increasing in p_i."""
    return tuple(sum((world.kappa(i, j) for j in world.responses if j != i), F(0)) for i in world.responses)


def beta(world: Bandit) -> Vector:
    """Return beta_i, the sum over j of P(i beats j): increasing in the reward of i."""
    return tuple(sum((world.label(i, j) for j in world.responses if j != i), F(0)) for i in world.responses)


def any_utility(source: random.Random) -> Bandit:
    """Draw a uniform reference, beta = 1, 2 to 8 responses, any policy and any utility."""
    n = source.choice((2, 2, 3, 3, 4, 5, 8))
    p, q = ([source.randint(1, 12) for _ in range(n)] for _ in range(2))
    return Bandit.of(p, q)


def aligned(source: random.Random) -> Bandit:
    """Draw a bandit whose utility increases with the policy's probability: Theorem 4's assumption."""
    n = source.choice((2, 2, 3, 3, 4, 5, 8))
    p, q = (sorted(source.randint(1, 12) for _ in range(n)) for _ in range(2))
    return Bandit.of(p, q)


RANGES = "2 to 8 responses, p and q from whole numbers up to 12"


def variance_excess(w, p):
    """Return Var[w p] - Var[w] E[p^2] over responses: how much more dispersed w p is than w at equal scale.

    Example:
        >>> variance_excess(SMALLEST.fitness, SMALLEST.p)
        Fraction(-1, 2304)
    """
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
"""Three responses, aligned, for which w p is the more dispersed one."""


# --- alpha increases strictly with p, and beta with q --------------------------------------------------------------


def two_strengths(numbers):
    """Return two positive numbers, one larger."""
    low = numbers.positive("low")
    return Named(low=low, high=low + numbers.positive("more"))


@setting("0 < a_k < a_i; no other response")
def only_two(numbers):
    """Two responses."""
    pair = two_strengths(numbers)
    return Named(gain=(pair.high - pair.low) / (pair.high + pair.low), fixed=pair)


@sums_of("0 < a_k < a_i, a_j > 0", fixed=two_strengths)
def and_others(numbers, pair):
    """Any number of other responses."""
    a = numbers.positive("a_j")
    return Named(gain=pair.high / (pair.high + a) - pair.low / (pair.low + a))


@claim("alpha-increases", "not in the paper; what Theorems 4 and 7 use of alpha and beta", PROVED)
def alpha_increases(s, least=0):
    r"""a_i>a_k\implies\sum_{j\ne i}\frac{a_i}{a_i+a_j}>\sum_{j\ne k}\frac{a_k}{a_k+a_j};\qquad
    a=p\ \text{gives}\ \alpha,\ a=q\ \text{gives}\ \beta

    Proof: The pair of i and k itself, then one other response after another: each term increases with $a_i$.
    """
    return s.gain > least


alpha_increases.by_induction(**{**and_others, "base": only_two}, wrong={"least": F(1, 100)})


# --- the claims ----------------------------------------------------------------------------------------------------


def var(y, x, z=None):
    """Return the covariance of two quantities, or the variance of one, over all responses."""
    n = y.sum(1 + 0 * y.p)
    z = x if z is None else z
    return y.sum(x * z) / n - y.sum(x) * y.sum(z) / n**2


@claim(
    "theorem-4",
    "Theorem 4, Eqs. (18), (20); proof, Eqs. (64)-(66)",
    PROVED,
    "theorem-4-right-side",
    "theorem-4-criterion",
)
def theorem_4(world: Bandit, sign: int = 1) -> bool:
    r"""\mathrm{Var}[wp]-\mathrm{Var}[w]\,\mathbb E[p^2]
    \ge 2\bigl(\mathrm{Cov}[\alpha,\beta]\,\mathbb E[p^2]-\mathrm{Cov}[\alpha p,\beta p]\bigr)

    Assumes: $\beta_i$ increases with $p_i$; uniform reference, $\beta=1$
    Because: The inequality is true, but its right side is never positive under the theorem's own assumption, and the
    section needs an upper bound on its left side: $w$ is to have the larger variance.
    Proof: $w=\beta-\alpha$, so that the left side less the right one is
    $(\mathrm{Var}[\alpha p]-\mathrm{Var}[\alpha]\mathbb E[p^2])+(\mathrm{Var}[\beta p]-\mathrm{Var}[\beta]\mathbb
    E[p^2])$; Lemma 3 twice, with $g=p$ and $f=\alpha$, $f=\beta$. $\alpha_i$ increases with $p_i$.
    """
    return variance_excess(world.fitness, world.p) >= sign * right_side_of_20(world)


def lemma_3_twice(y, second=1):
    w, square = y.b - y.a, y.sum(y.p**2) / y.sum(1 + 0 * y.p)
    right = 2 * (var(y, y.a, y.b) * square - var(y, y.a * y.p, y.b * y.p))
    gap = var(y, y.a * y.p) - var(y, y.a) * square + second * (var(y, y.b * y.p) - var(y, y.b) * square)
    return same(var(y, w * y.p) - var(y, w) * square - right, gap)


theorem_4.derived(of=lemma_3_twice, sums=over_responses(p="any", a="any", b="any"), wrong={"second": F(9, 10)})
theorem_4.rests_on(lemma_3, alpha_increases)
theorem_4.unrefuted(aligned, wrong={"sign": -1}, ranges=RANGES, also=True)
theorem_4.false(at=Bandit.of([2, 1], q=[1, 4]), true_at=SMALLEST, also=True)  # the assumption is used


@claim("theorem-4-right-side", "not in the paper; what Theorem 4's lower bound can show", PROVED)
def right_side(world: Bandit) -> bool:
    r"""\mathrm{Cov}[\alpha,\beta]\,\mathbb E[p^2]-\mathrm{Cov}[\alpha p,\beta p]\le 0

    Assumes: $\beta_i$ increases with $p_i$, as in Theorem 4
    Proof: The polarised Lemma 3 with $f=\alpha$, $h=\beta$, $g=p$: all three increase with $p$.
    """
    return right_side_of_20(world) <= 0


right_side.rests_on(lemma_3_polarised, alpha_increases)
right_side.unrefuted(
    aligned, wrong=lambda world: variance_excess(world.fitness, world.p) <= 0, ranges=RANGES, also=True
)
right_side.false(at=Bandit.of([2, 3], q=[3, 1]), true_at=SMALLEST, also=True)


@setting("w_1 = -w_2; p_1, p_2 > 0")
def two_responses(numbers):
    """Two responses, any policy and utility."""
    w = numbers.real("w")
    return Named(fitness=(w, -w), p=(numbers.positive("p_1"), numbers.positive("p_2")))


@claim(
    "theorem-4-concentration",
    "Section 4.3.2, before Lemma 2: w is less concentrated than wp, with the larger variance",
    CONDITIONALLY,
    "theorem-4-criterion",
    "theorem-4-right-side",
)
def concentration(world, most=0):
    r"""\mathrm{Var}[w]\,\mathbb E[p^2]\ge\mathrm{Var}[wp]

    Assumes: two responses
    Because: With more responses $wp$ can be the more dispersed one, also where $\beta_i$ increases with $p_i$: at
    $p=(2,1,1)/4$, $q=(3,1,1)$. Theorem 4 bounds the difference from the other side and cannot show it.
    Proof: $\mathrm{Var}[wp]-\mathrm{Var}[w]\mathbb E[p^2]=-\tfrac14w_1^2(p_1-p_2)^2$.
    """
    return variance_excess(world.fitness, world.p) <= most


concentration.false(at=DISPERSED, true_at=SMALLEST)
concentration.proved(over=two_responses, role=CONDITIONAL, wrong={"most": F(-1, 10**6)})


@claim(
    "theorem-4-direction",
    "Theorem 4, Eq. (20): what a lower bound of 0 would mean; the opposite of what Section 4.3.2 says",
    FALSE,
    "theorem-4-criterion",
    "theorem-4-right-side",
)
def direction(world: Bandit) -> bool:
    r"""\mathrm{Var}[wp]\ge\mathrm{Var}[w]\,\mathbb E[p^2]

    Assumes: $\beta_i$ increases with $p_i$
    Because: Eq. (20) is a lower bound of the difference, so that it could at best show $wp$ to be the more dispersed
    one, against the sentence that it is to support. With two responses that is never so; with more, either occurs.
    """
    return variance_excess(world.fitness, world.p) >= 0


direction.false(at=SMALLEST, true_at=DISPERSED)


@claim("theorem-4-criterion", "not in the paper; when w p has the larger variance", PROVED)
def criterion(y, mean_square=1):
    r"""\mathrm{Var}[wp]-\mathrm{Var}[w]\,\mathbb E[p^2]=
    \mathrm{Cov}[w^2,p^2]-(\mathbb E[wp])^2;\qquad
    n=2:\ \mathrm{Var}[wp]-\mathrm{Var}[w]\,\mathbb E[p^2]=-\tfrac14 w_1^2(p_1-p_2)^2

    Assumes: $\sum_iw_i=0$, as for pairs asked at any rates
    Proof: A pair adds opposite numbers to $w_i$ and $w_j$, so $\mathrm{Var}[w]=\mathbb E[w^2]$; expand. With two
    responses $w_1^2=w_2^2$ and $\mathbb E[wp]=w_1(p_1-p_2)/2$.
    """
    n = y.sum(1 + 0 * y.p)
    w = y.v - y.sum(y.v) / n
    excess = var(y, w * y.p) - var(y, w) * y.sum(y.p**2) / n
    return same(excess, var(y, w**2, y.p**2) - mean_square * (y.sum(w * y.p) / n) ** 2)


def closed_form(case, share=F(1, 4)):
    return variance_excess(case.fitness, case.p) == -share * case.fitness[0] ** 2 * (case.p[0] - case.p[1]) ** 2


def of_a_pair(p_i, p_j, q_i, q_j, sign=-1):
    push = q_i / (q_i + q_j) - p_i / (p_i + p_j)
    return same(q_j / (q_i + q_j) - p_j / (p_i + p_j), sign * push)


criterion.derived(sums=over_responses(p="any", v="any"), wrong={"mean_square": F(9, 10)})
criterion.proved(
    over=two_responses,
    of=closed_form,
    wrong={"share": F(1, 2)},
    part=r"n=2:\ \mathrm{Var}[wp]-\mathrm{Var}[w]\,\mathbb E[p^2]=-\tfrac14 w_1^2(p_1-p_2)^2",
)
criterion.derived(of=of_a_pair, wrong={"sign": F(-9, 10)}, also=True)
