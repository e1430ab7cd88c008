"""Equation (2), Definition 1 and Corollary 1: is DPO's gradient imbalanced? It depends on the coordinates.

The probabilities of a pair are taken as free coordinates there. In the logits, and in the implicit rewards
h = beta log(pi / ref), the same loss at the same policy is balanced exactly.
"""

from __future__ import annotations

from fractions import Fraction as F

import sympy as sp

from theory.claim import CONDITIONALLY, FALSE, PROVED
from theory.evidence import CONDITIONAL, FAILS
from theory.ma2025.bandits import Bandit, bandit
from theory.ma2025.covariance import claim
from theory.ma2025.figure_1 import ROWS, imbalance as figure_1_ratio
from theory.proof import Named, checked, over_responses, same, setting, sums_of

BALANCED, POSITIVE, NEGATIVE = "balanced", "positively imbalanced", "negatively imbalanced"
UNLIKELY_WINNER = Bandit.of([1, 3], q=[1, 1])  # with the pair (0, 1): the chosen response is the less probable one
LIKELY_WINNER = Bandit.of([3, 1], q=[1, 1])
EVEN_PAIR = Bandit.of([1, 1], q=[1, 1])
COIN_TOSSES = Bandit.of([1, 3], q=[1, 1], ref=[1, 3])  # labels are coin tosses, and training has not begun
RANGES = "2 to 8 responses, whole numbers up to 12, beta from 1 to 3"


def kind(chosen, rejected):
    """Return which case of Definition 1 a pair with these partial derivatives falls in.

    Example:
        >>> kind(F(-1), F(1)), kind(F(-2), F(1)), kind(F(-1), F(2))
        ('balanced', 'positively imbalanced', 'negatively imbalanced')
    """
    if chosen + rejected == 0:
        return BALANCED
    return POSITIVE if abs(chosen) > abs(rejected) else NEGATIVE


def signed_sum(world: Bandit) -> F:
    """Return E[dL/dpi_w + dL/dpi_l], the left side of Eq. (8), over all pairs and labels."""
    pairs = world.ordered_pairs
    return sum((world.rate(i, j) * world.label(i, j) * sum(world.free_partials(i, j)) for i, j in pairs), F(0))


def loss(w, r, beta, ref=1):
    """Return DPO's loss of a pair in the two probabilities; ref is ref_w / ref_l."""
    return sp.log(1 + (ref * r / w) ** beta)


BY_LOGITS = (-1, 1, 0)
"""The derivatives of DPO's loss by the logits of w, l and any other response, in units of beta (1 - kappa)."""


def urgency(w, r, beta, ref):
    """Return 1 - kappa."""
    return 1 - w**beta / (w**beta + (ref * r) ** beta)


def of_the_pair(w, r, push):
    """Return the derivatives of DPO's loss by the two probabilities of a pair, with push = beta (1 - kappa)."""
    return -push / w, push / r


def partials(w, r, beta, ref, times=1):
    value, (of_w, of_l) = loss(w, r, beta, ref), of_the_pair(w, r, beta * urgency(w, r, beta, ref))
    return same(sp.diff(value, w), times * of_w) & same(sp.diff(value, r), of_l)


@setting("p_w, p_l > 0; push = beta (1 - kappa) > 0, in one pair")
def in_one_pair(numbers):
    """A pair, with the derivatives of DPO's loss."""
    w, r, push = (numbers.positive(name) for name in ("w", "r", "push"))
    of_w, of_l = checked(of_the_pair, partials)(w, r, push)
    return Named(w=w, r=r, of_w=of_w, of_l=of_l)


@claim("eq-2", "Eq. (2)", CONDITIONALLY)
def eq_2(case, sign=-1):
    r"""\frac{\partial L_{dpo}}{\partial\pi_w}\Big/\frac{\partial L_{dpo}}{\partial\pi_l}=-\frac{\pi_l}{\pi_w}

    Assumes: the probabilities as free coordinates; every response stands in one pair with one label
    Because: The loss of Eq. (1) is an expectation: a response that stands in several pairs collects their derivatives,
    and the ratio is another one.
    Proof: For one pair the partial derivatives are $-(1-\kappa)\beta/\pi_w$ and $(1-\kappa)\beta/\pi_l$.
    """
    return case.of_w / case.of_l == sign * case.r / case.w


def collected(world: Bandit, pairs: tuple[tuple[int, int], ...]) -> Named:
    """Return the probabilities of the first pair, and what both responses collect over all pairs."""
    total = dict.fromkeys(world.responses, F(0))
    for i, j in pairs:
        for y, partial in zip((i, j), world.free_partials(i, j), strict=True):
            total[y] += partial
    chosen, rejected = pairs[0]
    return Named(w=world.p[chosen], r=world.p[rejected], of_w=total[chosen], of_l=total[rejected])


THREE = Bandit.of([1, 2, 3], q=[1, 1, 1])
eq_2.false(at=collected(THREE, ((0, 1), (0, 2))), true_at=collected(THREE, ((0, 1),)))
eq_2.proved(over=in_one_pair, role=CONDITIONAL, wrong={"sign": F(-9, 10)})


@claim(
    "definition-1",
    "Definition 1, Eq. (8), read as a property of the loss",
    FALSE,
    "logit-gradient",
    "dpo-in-implicit-rewards",
    "balance-of-dpo",
)
def definition_1(world: Bandit) -> bool:
    r"""L\ \text{balanced in}\ \pi\iff L\ \text{balanced in the logits}\ s,\quad p=\mathrm{softmax}(s)

    Because: Definition 1 speaks of partial derivatives, and these belong to coordinates. For DPO the two derivatives
    differ in free probabilities and are opposite in logits, at the same policy.
    """
    gradient = world.pair_logit_gradient(0, 1)
    return (kind(*world.free_partials(0, 1)) == BALANCED) == (kind(gradient[0], gradient[1]) == BALANCED)


definition_1.false(at=UNLIKELY_WINNER, true_at=EVEN_PAIR)


@claim(
    "definition-1-samples",
    "Definition 1: its first case is about an expectation, the other two about a sample",
    FALSE,
    "balance-of-dpo",
)
def definition_1_samples(world: Bandit) -> bool:
    r"""\mathbb{E}\Bigl[\frac{\partial L}{\partial\pi_w}+\frac{\partial L}{\partial\pi_l}\Bigr]=0\implies
    \Bigl|\frac{\partial L}{\partial\pi_w}\Bigr|=\Bigl|\frac{\partial L}{\partial\pi_l}\Bigr|

    Because: In the expectation opposite signs cancel. With labels that are coin tosses and $\pi=\pi_{ref}$ the
    expectation is zero for every policy, and every sample with $\pi_w\ne\pi_l$ is imbalanced.
    """
    samples = [kind(*world.free_partials(i, j)) for i, j in world.ordered_pairs]
    return signed_sum(world) != 0 or set(samples) == {BALANCED}


definition_1_samples.false(at=COIN_TOSSES, true_at=EVEN_PAIR)


@claim("logit-gradient", "not in the paper; Definition 1 in the logits of Eq. (6)", PROVED)
def logit_gradient(s_w, s_l, s_k, rest, beta, ref, opposite=1):
    r"""\frac{\partial L_{dpo}}{\partial s_w}=-\frac{\partial L_{dpo}}{\partial s_l}=-\beta(1-\kappa),\quad
    \frac{\partial L_{dpo}}{\partial s_k}=0\ (k\ne w,l);\qquad\sum_k\frac{\partial F}{\partial s_k}=0

    Assumes: $p=\mathrm{softmax}(s)$; the last equation for every differentiable $F(p)$
    Proof: $\log\pi_w-\log\pi_l=s_w-s_l$; and $F(\mathrm{softmax}(s))$ does not change if a constant is added to $s$.
    """
    total = sp.exp(s_w) + sp.exp(s_l) + sp.exp(s_k) + rest
    w, r = sp.exp(s_w) / total, sp.exp(s_l) / total
    value, push = loss(w, r, beta, ref), beta * urgency(w, r, beta, ref)
    of_w, of_l, of_k = BY_LOGITS
    pair = same(sp.diff(value, s_w), of_w * push) & same(sp.diff(value, s_l), opposite * of_l * push)
    return pair & same(sp.diff(value, s_k), of_k)


def slope_in_logits(p_k, F_k, mean):
    """Return dF/ds_k of any function of the probabilities, with its slopes F_y in them and mean = sum p F."""
    return p_k * (F_k - mean)


def of_anything(y, kept=1):
    """The slopes of any function of the probabilities in the logits."""
    return same(y.sum(slope_in_logits(y.p, y.F, kept * y.sum(y.p * y.F))), 0)


LOGITS = dict.fromkeys(("s_w", "s_l", "s_k"), "real")
logit_gradient.derived(symbols=LOGITS, wrong={"opposite": F(9, 10)})
logit_gradient.derived(
    of=of_anything,
    sums=over_responses(p="probability", F="any"),
    wrong={"kept": F(11, 10)},
    part=r"\sum_k\frac{\partial F}{\partial s_k}=0",
)


@claim("dpo-in-implicit-rewards", "not in the paper; Corollaries 1 and 2 in the same coordinates", PROVED)
def dpo_in_implicit_rewards(h_w, h_l, w, r, beta, ref, kept=1):
    r"""h_y=\beta\log\frac{\pi(y)}{\pi_{ref}(y)}:\qquad L_{dpo}=-\log\sigma(h_w-h_l),\quad
    \frac{\partial L_{dpo}}{\partial h_w}=-\frac{\partial L_{dpo}}{\partial h_l}

    Proof: This is the loss of the reward model with h in the place of r: in these coordinates DPO is as balanced as
    Corollary 2 says the reward loss is.
    """
    reward_loss = sp.log(1 + sp.exp(-(h_w - h_l)))
    h = {h_w: beta * sp.log(w / ref), h_l: beta * sp.log(r)}
    balanced = same(sp.diff(reward_loss, h_w), -kept * sp.diff(reward_loss, h_l))
    return balanced & same(sp.exp(reward_loss.subs(h)), sp.exp(loss(w, r, beta, ref)))


dpo_in_implicit_rewards.derived(symbols={"h_w": "real", "h_l": "real"}, wrong={"kept": F(11, 10)})


@sums_of("p_i, p_j > 0; any rate; label and kappa between 0 and 1", fixed=lambda numbers: numbers.positive("beta"))
def pairs(numbers, beta):
    """Any number of pairs."""
    p_i, p_j, rate = (numbers.positive(name) for name in ("p_i", "p_j", "rate"))
    label, kappa = numbers.between("label", 0, 1), numbers.between("kappa", 0, 1)
    i_wins, j_wins = rate * label * (1 - kappa), rate * (1 - label) * kappa
    return Named(
        signed=sum(of_the_pair(p_i, p_j, beta * i_wins)) + sum(of_the_pair(p_j, p_i, beta * j_wins)),
        over_p=(i_wins - j_wins) / p_i + (j_wins - i_wins) / p_j,
        untrained=rate * (label - kappa) ** 2,
    )


@claim("balance-of-dpo", "not in the paper; Eq. (8) for DPO", PROVED)
def balance_of_dpo(s, sign=-1):
    r"""\mathbb{E}\Bigl[\frac{\partial L_{dpo}}{\partial\pi_w}+\frac{\partial L_{dpo}}{\partial\pi_l}\Bigr]=
    -\beta\sum_i\frac{w_i}{\pi_i};\qquad\mathbb{E}[\dots]=0\ \text{at DPO's optimum};\qquad
    \frac{\partial L_{dpo}}{\partial\pi_w}=-\frac{\beta(1-\kappa)}{\pi_w},\quad
    \frac{\partial L_{dpo}}{\partial\pi_l}=\frac{\beta(1-\kappa)}{\pi_l}

    Assumes: the probabilities as free coordinates; any sampling of pairs
    Proof: A pair contributes $\beta(P_{ij}-\kappa_{ij})(1/\pi_j-1/\pi_i)$, and $P_{ij}-\kappa_{ij}$ to $w_i$, the
    opposite to $w_j$; sum over pairs, by induction on their number. At the optimum $P=\kappa$.
    """
    return s.signed == sign * s.fixed * s.over_p


def in_a_bandit(world: Bandit, sign: int = -1) -> bool:
    return signed_sum(world) == sign * world.beta * sum(w / p for w, p in zip(world.fitness, world.p, strict=True))


def at_the_optimum(p_i, p_j, rate, kappa, excess=0):
    label = kappa + excess
    i_wins, j_wins = rate * label * (1 - kappa), rate * (1 - label) * kappa
    return same(sum(of_the_pair(p_i, p_j, i_wins)) + sum(of_the_pair(p_j, p_i, j_wins)), 0)


balance_of_dpo.by_induction(**pairs, wrong={"sign": F(-9, 10)})
balance_of_dpo.derived(
    of=partials,
    wrong={"times": F(9, 10)},
    part=r"\frac{\partial L_{dpo}}{\partial\pi_w}=-\frac{\beta(1-\kappa)}{\pi_w},\quad"
    r"\frac{\partial L_{dpo}}{\partial\pi_l}=\frac{\beta(1-\kappa)}{\pi_l}",
)
balance_of_dpo.derived(
    of=at_the_optimum, wrong={"excess": F(1, 10)}, part=r"\mathbb{E}[\dots]=0\ \text{at DPO's optimum}"
)
balance_of_dpo.unrefuted(bandit, of=in_a_bandit, wrong={"sign": F(-9, 10)}, ranges=RANGES, worlds=100, also=True)


@claim("corollary-1", "Corollary 1", FALSE, "corollary-1-per-pair", "balance-of-dpo")
def corollary_1(world: Bandit) -> bool:
    r"""\frac{\partial L_{dpo}}{\partial\pi_w}+\frac{\partial L_{dpo}}{\partial\pi_l}\ne 0\quad\text{and}\quad
    \Bigl|\frac{\partial L_{dpo}}{\partial\pi_w}\Bigr|<\Bigl|\frac{\partial L_{dpo}}{\partial\pi_l}\Bigr|

    Because: By Eq. (2) the sizes are as $1/\pi_w$ to $1/\pi_l$: the chosen side is the larger one whenever the chosen
    response is the less probable one.
    """
    return kind(*world.free_partials(0, 1)) == NEGATIVE


corollary_1.false(at=UNLIKELY_WINNER, true_at=LIKELY_WINNER).false(at=EVEN_PAIR, true_at=LIKELY_WINNER)


@claim("corollary-1-per-pair", "not in the paper; what is true of Corollary 1", PROVED)
def corollary_1_per_pair(case, times=1):
    r"""\text{a pair is negatively imbalanced under DPO}\iff\pi_w>\pi_l;\quad\text{balanced}\iff\pi_w=\pi_l;\quad
    \text{positively}\iff\pi_w<\pi_l

    Assumes: the probabilities as free coordinates, one pair
    Proof: Eq. (2): the ratio of the sizes is $\pi_l/\pi_w$.
    """
    expected = BALANCED if case.w == times * case.r else POSITIVE if case.w < times * case.r else NEGATIVE
    return kind(case.of_w, case.of_l) == expected


corollary_1_per_pair.proved(over=in_one_pair, wrong={"times": F(11, 10)})


@claim(
    "corollary-1-in-expectation",
    "Corollary 1, in expectation over pairs and labels; the worlds of Figure 1",
    FALSE,
    "corollary-1-per-pair",
)
def corollary_1_in_expectation(world: Bandit) -> bool:
    r"""\mathbb{E}\Bigl|\frac{\partial L_{dpo}}{\partial\pi_w}\Bigr|<
    \mathbb{E}\Bigl|\frac{\partial L_{dpo}}{\partial\pi_l}\Bigr|

    Because: A chosen response that the policy holds for improbable has a huge derivative. All six panels of Figure 1
    are positively imbalanced: the ratios of the two sides are 10.97, 56.8, 2.70 (uniform pairs) and 1.51, 5.81, 1.083
    (pairs from the policy).
    """
    chosen = rejected = F(0)
    for i, j in world.ordered_pairs:
        weight = world.rate(i, j) * world.label(i, j)
        of_chosen, of_rejected = world.free_partials(i, j)
        chosen, rejected = chosen + weight * abs(of_chosen), rejected + weight * abs(of_rejected)
    return chosen < rejected


RATIOS = ((F("10.97"), F("56.8"), F("2.70")), (F("1.51"), F("5.81"), F("1.083")))


def in_figure_1(least: F = F(1), within: F = F(4, 1000)) -> bool:
    panels = [(row, column) for column in (False, True) for row in ROWS]
    found = [figure_1_ratio(row, shiftless=column) for row, column in panels]
    told = [ratio for column in RATIOS for ratio in column]
    return all(x > least and abs(x / ratio - 1) < within for x, ratio in zip(found, told, strict=True))


corollary_1_in_expectation.false(at=Bandit.of([1, 3], q=[3, 1]), true_at=Bandit.of([3, 1], q=[3, 1], ref=[3, 1]))
corollary_1_in_expectation.enclosed(of=in_figure_1, role=FAILS, wrong={"least": F(11, 10)})
