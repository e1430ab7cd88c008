"""Theorem 7: a response that no pair contains grows under DPO and under a balanced loss; which is faster?"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction as F
from typing import Any

from theory.claim import CONDITIONALLY, FALSE, PROVED
from theory.evidence import CONDITIONAL
from theory.ma2025.bandits import Bandit
from theory.ma2025.concentration import RANGES, alpha, alpha_increases, any_utility, beta, var
from theory.ma2025.covariance import claim, covariance, lemma_4, mean, times
from theory.proof import Named, over_responses, same, setting, sums_of, world_of
from theory.worlds import dot


def are_independent(x: Sequence[Any], y: Sequence[Any]) -> bool:
    """Return whether two functions of a uniformly drawn response are independent.

    Example:
        >>> are_independent([1, 1, 2, 2], [3, 4, 3, 4]), are_independent([1, 1, 2, 2], [3, 4, 4, 4])
        (True, False)
    """
    both, first, second = Counter(zip(x, y, strict=True)), Counter(x), Counter(y)
    return all(both[a, b] * len(x) == first[a] * second[b] for a in first for b in second)


def is_independent(world: Bandit) -> bool:
    return are_independent(alpha(world), beta(world))


def distinct_probabilities(source: random.Random) -> Bandit:
    """Draw a bandit whose probabilities all differ; in a third of the cases without preferences."""
    n = source.randint(2, 8)
    q = [1] * n if source.random() < 1 / 3 else [source.randint(1, 3) for _ in range(n)]
    return Bandit.of(source.sample(range(1, 13), n), q)


def eq_24(world: Bandit, factor: int = 1) -> bool:
    """Return whether sum_j w_j p_j^2 < factor (sum_j w_j p_j) E[p]."""
    w, p = world.fitness, world.p
    return dot(w, times(p, p)) < factor * dot(w, p) * mean(p)


TEN = Bandit.of([3, 2], q=[9, 1])
GRID = Bandit.of([4, 4, 1, 1], q=[3, 2, 3, 2])


# --- the proof: Cov[wp, p] = Cov[beta p, p] - Cov[alpha p, p] < E[beta] Var[p] - E[alpha] Var[p] = 0 ----------------


def top(numbers):
    """Return f, of any sign, and g at a value that is larger than those before."""
    return Named(f=numbers.real("F"), g=numbers.positive("G"))


@sums_of("p > 0; 0 <= g; neither f nor g larger than at the new value", fixed=top)
def smaller_values(numbers, new):
    """Any number of smaller values."""
    p, g, less = numbers.positive("p"), numbers.within("g", 0, new.g), numbers.real("less")
    numbers.assume(less >= 0)
    f = new.f - less
    return Named(products=p * (new.f * new.g - f * g) * (new.g - g), plain=p * (new.g - g) ** 2)


@setting("p > 0; f and 0 < g smaller than at the new value")
def the_smallest(numbers):
    """One smaller value."""
    new, p = top(numbers), numbers.positive("p")
    f, g = new.f - numbers.positive("less"), numbers.between("g", 0, new.g)
    added = p * (new.g - g)
    return Named(products=added * (new.f * new.g - f * g), plain=added * (new.g - g), fixed=new)


def adds_strictly_more(s, share=1):
    """Return whether a new value that is larger adds more to Cov[fg, g] than f times what it adds to Var[g]."""
    return s.products > share * s.fixed.f * s.plain


def covariance_is_negative(m, bound=0):
    with_beta, with_alpha = m.mean * m.variance - m.room, m.mean * m.variance + m.by_lemma_4
    return with_beta - with_alpha < bound


PREMISE = "Cov[beta p, p] = E[beta] Var[p] - room; Cov[alpha p, p] = E[alpha] Var[p] + by_lemma_4; E[alpha] = E[beta]"
moments = world_of(PREMISE, mean="positive", variance="positive", room="nonnegative", by_lemma_4="positive")


def as_covariance(y, kept=1):
    """Eq. (84): sum w p^2 - (sum w p) E[p] is n Cov[w p, p], and w = beta - alpha."""
    n, w = y.sum(1 + 0 * y.p), y.b - y.a
    covariances = var(y, y.b * y.p, y.p) - kept * var(y, y.a * y.p, y.p)
    return same(y.sum(w * y.p**2) - y.sum(w * y.p) * y.sum(y.p) / n, n * covariances)


@sums_of("a_i, a_j > 0; n >= 2", fixed=lambda numbers: numbers.natural("n", 2))
def pairs(numbers, _):
    """Any number of pairs of n responses."""
    a, b = numbers.positive("a_i"), numbers.positive("a_j")
    return Named(pairs=1, wins=a / (a + b) + b / (a + b))


# --- the claims ----------------------------------------------------------------------------------------------------


@claim("theorem-7-means", "Theorem 7, proof, Eq. (86)", PROVED)
def average(s, less=1):
    r"""\mathbb E[\alpha]=\mathbb E[\beta]=\tfrac{n-1}{2}

    Proof: Each of the $n(n-1)/2$ pairs adds $P_{ij}+P_{ji}=1$ to either sum, by induction on their number. This is the
    step that the proof ascribes to Lemma 2.
    """
    n, all_pairs = s.fixed, s.fixed * (s.fixed - 1) / 2
    return (s.wins == s.pairs) & ((s.pairs != all_pairs) | (s.wins / n == (n - less) / 2))


average.by_induction(**pairs, wrong={"less": F(9, 10)})


def premise(world: Bandit, slack: F = F(0)) -> bool:
    b, p = beta(world), world.p
    return covariance(times(b, p), p) <= (1 + slack) * mean(b) * covariance(p, p)


@claim("theorem-7-assumption", "not in the paper; what the proof of Theorem 7 uses", PROVED)
def weaker_assumption(world: Bandit, slack: F = F(0)) -> bool:
    r"""\mathrm{Cov}[\beta p,p]\le\mathbb E[\beta]\mathrm{Var}[p],\ p\ \text{not uniform}\implies
    \text{Eq. (24)}

    Proof: $n^{-1}$ times the difference of Eq. (24) is $\mathrm{Cov}[wp,p]=\mathrm{Cov}[\beta p,p]-\mathrm{Cov}[\alpha
    p,p]<\mathbb E[\beta]\mathrm{Var}[p]-\mathbb E[\alpha]\mathrm{Var}[p]=0$, by Lemma 4, which is strict here because
    $\alpha$ increases strictly with $p$; independence is used only for the premise, which many other bandits meet.
    """
    return len(set(world.p)) == 1 or not premise(world, slack) or eq_24(world)


QUANTITIES = over_responses(p="any", a="any", b="any")
weaker_assumption.derived(of=as_covariance, sums=QUANTITIES, wrong={"kept": F(9, 10)})
weaker_assumption.rests_on(average, lemma_4, alpha_increases)
STRICTLY = {**smaller_values, "base": the_smallest}
weaker_assumption.by_induction(of=adds_strictly_more, **STRICTLY, wrong={"share": F(11, 10)})
weaker_assumption.proved(of=covariance_is_negative, over=moments, wrong={"bound": F(-1, 100)})
weaker_assumption.unrefuted(any_utility, wrong={"slack": F(1)}, ranges=RANGES, also=True)
MET_WITHOUT_INDEPENDENCE = Bandit.of([3, 1], q=[1, 2])
weaker_assumption.evaluated(
    [MET_WITHOUT_INDEPENDENCE],
    of=lambda world: premise(world) and not is_independent(world),
    wrong=lambda world: premise(world) and is_independent(world),
    also=True,
)


@claim(
    "theorem-7",
    "Theorem 7, Eq. (24); proof, Eqs. (84)-(86)",
    CONDITIONALLY,
    "theorem-7-assumption",
    "theorem-7-no-preferences",
)
def theorem_7(world: Bandit, factor: int = 1) -> bool:
    r"""\sum_jw_jp_j^2<\Bigl(\sum_jw_jp_j\Bigr)\,\mathbb E_k[p_k]

    Assumes: $\alpha$ and $\beta$ independent over a uniformly drawn response, and $p$ not uniform; uniform reference,
    DPO's $\beta=1$
    Because: For a uniform $p$ both sides are 0. Without independence it is false: $p=(3/5,2/5)$, $q=(9/10,1/10)$.
    Proof: $\beta$ is then independent of $p$, which $\alpha$ determines, so that $\mathrm{Cov}[\beta p,p]=\mathbb
    E[\beta]\mathrm{Var}[p]$; the rest is ma2025.theorem-7-assumption.
    """
    return eq_24(world, factor)


def independent(case, first=1):
    with_p, with_square = case.b * case.p, case.b * case.square  # E[beta p] and E[beta p^2]
    return with_square - with_p * case.p == first * case.b * (case.square - case.p**2)


INDEPENDENT = "E[beta p^k] = E[beta] E[p^k] for k = 1 and 2, by independence; E[beta], E[p], E[p^2] > 0"
means_of_independent = world_of(INDEPENDENT, b="positive", p="positive", square="positive")
theorem_7.false(at=Bandit.of([1, 1], q=[2, 1]), true_at=GRID).false(at=TEN, true_at=GRID)
theorem_7.rests_on(weaker_assumption, role=CONDITIONAL)
theorem_7.proved(of=independent, over=means_of_independent, role=CONDITIONAL, wrong={"first": F(9, 10)})
theorem_7.evaluated([GRID], of=is_independent, wrong=lambda world: not is_independent(world), also=True)


@claim("theorem-7-no-preferences", "not in the paper; what the assumption of Theorem 7 allows", PROVED)
def no_preferences(world: Bandit, kinds: int = 1) -> bool:
    r"""p_i\ \text{all different}:\quad\alpha,\beta\ \text{independent}\iff q\ \text{constant (no preferences)}

    Proof: $\alpha_i$ increases strictly with $p_i$, so that $\alpha_i$ determines $i$ and with it $\beta_i$, and a
    response's own value of $\beta$ is that of all: independence counts $1\cdot n=1\cdot k$ for the $k$ responses that
    share it. $\beta$ increases strictly with $q$ and is constant only if $q$ is. A constant is independent of anything.
    """
    return is_independent(world) == (len(set(world.q)) <= kinds)


@setting("n >= 2 responses, k of them, 1 <= k <= n, with the beta of response i; alpha_i is shared by none")
def counts(numbers):
    """How often values occur."""
    n, k = numbers.natural("n", 2), numbers.natural("k", 1)
    numbers.assume(k <= n)
    return Named(n=n, k=k)


def shared_by_all(case, with_alpha=1):
    return (1 * case.n == with_alpha * case.k) == (case.k == case.n)


no_preferences.proved(of=shared_by_all, over=counts, wrong={"with_alpha": 2})
no_preferences.rests_on(alpha_increases)
no_preferences.unrefuted(
    distinct_probabilities, wrong={"kinds": 2}, ranges="2 to 8 responses, p up to 12, q up to 3", also=True, worlds=200
)
no_preferences.false(at=GRID, true_at=Bandit.of([4, 1], q=[3, 2]), also=True)  # with ties it is not so


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


@claim(
    "theorem-7-interpretation",
    "Section 4.3.3, after Theorem 7: DPO raises a response outside the data less than a balanced loss",
    FALSE,
    "theorem-7-exact",
)
def interpretation(world: Bandit) -> bool:
    r"""-\sum_jw_jp_j<\frac{-\sum_jp_j^2(w_j-\bar w)}{\mathbb E[p]},\qquad\bar w=\sum_jw_jp_j

    Assumes: the assumptions of Theorem 7; the exact update of the balanced loss instead of Eq. (14)
    Because: Eq. (24) compares DPO with Eq. (14), which has lost $\bar w$. With the exact update of the balanced loss,
    and the same normalisation, two responses without preferences refute it: 1/8 under DPO, 3/32 under the balanced
    loss.
    """
    return ood_rate(world, balanced=False) < ood_rate(world, balanced=True)


interpretation.false(at=UNPREFERRED, true_at=Bandit.of([2, 1, 1], q=[1, 1, 1]))
interpretation.evaluated([UNPREFERRED], of=eq_24, wrong=lambda world: eq_24(world, 3), also=True)  # Theorem 7 holds


@claim(
    "theorem-7-exact", "not in the paper; when a balanced loss raises a response outside the data more than DPO", PROVED
)
def exact_criterion(m, lost=1):
    r"""\sum_jp_j^2(w_j-\bar w)=\sum_jw_jp_j^2-\bar w\sum_jp_j^2;\qquad
    -\bar w<\frac{-\sum_jp_j^2(w_j-\bar w)}{\mathbb E[p]}\iff\sum_jw_jp_j^2<\bar w\Bigl(\mathbb
    E[p]+\sum_jp_j^2\Bigr)

    Assumes: the exact update of the balanced loss, w that of DPO for both, scale of p removed by dividing by E[p]
    Proof: Expand; Eq. (24) is the same without $\sum_jp_j^2$. Where $\bar w<0$, as without preferences, the exact
    criterion asks for more.
    """
    criterion = m.with_squares < m.average * (m.mean_p + lost * m.squares)
    return criterion == (-m.average < -of_the_logits(m.with_squares, m.average, m.squares) / m.mean_p)


def of_the_logits(with_squares, average, squares):
    """Return what the logits' moves p (w - sum w p) do to the normalisation."""
    return with_squares - average * squares


def rate(y, kept=1):
    average = y.sum(y.p * y.w)
    expanded = of_the_logits(y.sum(y.w * y.p**2), kept * average, y.sum(y.p**2))
    return same(y.sum(y.p * y.p * (y.w - average)), expanded)


SUMS = {"mean_p": "positive", "squares": "positive", "average": "real", "with_squares": "real"}
averages = world_of("E[p] > 0, sum p^2 > 0; any sums of w p and w p^2", **SUMS)
exact_criterion.proved(over=averages, wrong={"lost": 0})
exact_criterion.derived(
    of=rate,
    sums=over_responses(p="probability", w="any"),
    wrong={"kept": F(9, 10)},
    part=r"\sum_jp_j^2(w_j-\bar w)=\sum_jw_jp_j^2-\bar w\sum_jp_j^2",
)
