"""Equation (2), Definition 1 and Corollary 1: is DPO's gradient imbalanced? It depends on the coordinates.

The probabilities of a pair are taken as free coordinates there. In the logits, and in the implicit rewards
h = beta log(pi / ref), the same loss at the same policy is balanced exactly.
"""

from __future__ import annotations

import random
from fractions import Fraction as F

import numpy as np

from theory.claim import CONDITIONALLY, FALSE, PROVED, claim
from theory.evidence import CONDITIONAL, FAILS, Evidence
from theory.ma2025.bandits import Bandit, bandit, beats
from theory.ma2025.duals import exponentials, softmax
from theory.worlds import Vector, dot

BALANCED, POSITIVE, NEGATIVE = "balanced", "positively imbalanced", "negatively imbalanced"
UNLIKELY_WINNER = Bandit.of([1, 3], q=[1, 1])  # with the pair (0, 1): the chosen response is the less probable one
LIKELY_WINNER = Bandit.of([3, 1], q=[1, 1])
COIN_TOSSES = Bandit.of([1, 3], q=[1, 1], ref=[1, 3])  # labels are coin tosses, and training has not begun


def kind(chosen: F, rejected: F) -> str:
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


def sizes(world: Bandit) -> tuple[F, F]:
    """Return (E|dL/dpi_w|, E|dL/dpi_l|) over all pairs and labels."""
    chosen = rejected = F(0)
    for i, j in world.ordered_pairs:
        weight = world.rate(i, j) * world.label(i, j)
        of_chosen, of_rejected = world.free_partials(i, j)
        chosen += weight * abs(of_chosen)
        rejected += weight * abs(of_rejected)
    return chosen, rejected


@claim(
    "ma2025.eq-2",
    source="Eq. (2)",
    says=r"\frac{\partial L_{dpo}}{\partial\pi_w}\Big/\frac{\partial L_{dpo}}{\partial\pi_l}=-\frac{\pi_l}{\pi_w}",
    assumes="the probabilities as free coordinates; every response stands in one pair with one label",
    verdict=CONDITIONALLY,
    because="The loss of Eq. (1) is an expectation: a response that stands in several pairs collects their "
    "derivatives, and the ratio is another one.",
    proof=r"For one pair the partial derivatives are $-(1-\kappa)\beta/\pi_w$ and $(1-\kappa)\beta/\pi_l$.",
)
def eq_2(evidence: Evidence) -> None:
    """Exact for one pair; false for the expected loss over several."""

    def one_pair(world: Bandit, power: int = 1) -> bool:
        chosen, rejected = world.free_partials(0, 1)
        return chosen / rejected == -((world.p[1] / world.p[0]) ** power)

    def printed(case: tuple[Bandit, tuple[tuple[int, int], ...]]) -> bool:
        world, pairs = case
        total = dict.fromkeys(world.responses, F(0))
        for i, j in pairs:
            for y, partial in zip((i, j), world.free_partials(i, j), strict=True):
                total[y] += partial
        w, l = pairs[0]  # noqa: E741 - the paper's letter
        return total[w] / total[l] == -world.p[l] / world.p[w]

    three = Bandit.of([1, 2, 3], q=[1, 1, 1])
    evidence.fails(printed, at=(three, ((0, 1), (0, 2))), control=(three, ((0, 1),)))
    evidence.holds(one_pair, bandit, role=CONDITIONAL, control=lambda world: one_pair(world, power=-1))


@claim(
    "ma2025.definition-1",
    source="Definition 1, Eq. (8), read as a property of the loss",
    says=r"L\ \text{balanced in}\ \pi\iff L\ \text{balanced in the logits}\ s,\quad p=\mathrm{softmax}(s)",
    verdict=FALSE,
    because="Definition 1 speaks of partial derivatives, and these belong to coordinates. For DPO the two derivatives "
    "differ in free probabilities and are opposite in logits, at the same policy.",
    instead=("ma2025.logit-gradient", "ma2025.dpo-in-implicit-rewards", "ma2025.balance-of-dpo"),
)
def definition_1(evidence: Evidence) -> None:
    """One loss, one policy, two verdicts."""

    def printed(world: Bandit) -> bool:
        gradient = world.pair_logit_gradient(0, 1)
        return (kind(*world.free_partials(0, 1)) == BALANCED) == (kind(gradient[0], gradient[1]) == BALANCED)

    def only_logits(world: Bandit) -> bool:
        gradient = world.pair_logit_gradient(0, 1)
        return kind(gradient[0], gradient[1]) == BALANCED

    evidence.fails(printed, at=UNLIKELY_WINNER, control=Bandit.of([1, 1], q=[1, 1]))
    evidence.finds(printed, bandit, control=only_logits)


@claim(
    "ma2025.definition-1-samples",
    source="Definition 1: its first case is about an expectation, the other two about a sample",
    says=r"\mathbb{E}\Bigl[\frac{\partial L}{\partial\pi_w}+\frac{\partial L}{\partial\pi_l}\Bigr]=0\implies"
    r"\Bigl|\frac{\partial L}{\partial\pi_w}\Bigr|=\Bigl|\frac{\partial L}{\partial\pi_l}\Bigr|",
    verdict=FALSE,
    because=r"In the expectation opposite signs cancel. With labels that are coin tosses and $\pi=\pi_{ref}$ the "
    r"expectation is zero for every policy, and every sample with $\pi_w\ne\pi_l$ is imbalanced.",
    instead="ma2025.balance-of-dpo",
)
def definition_1_samples(evidence: Evidence) -> None:
    """Balanced by Eq. (8), imbalanced in every sample."""

    def printed(world: Bandit) -> bool:
        samples = [kind(*world.free_partials(i, j)) for i, j in world.ordered_pairs]
        return signed_sum(world) != 0 or set(samples) == {BALANCED}

    evidence.fails(printed, at=COIN_TOSSES, control=Bandit.of([1, 1], q=[1, 1]))


@claim(
    "ma2025.logit-gradient",
    source="not in the paper; Definition 1 in the logits of Eq. (6)",
    says=r"\frac{\partial L_{dpo}}{\partial s_w}=-\frac{\partial L_{dpo}}{\partial s_l}=-\beta(1-\kappa),\quad"
    r"\frac{\partial L_{dpo}}{\partial s_k}=0\ (k\ne w,l);\qquad\sum_k\frac{\partial F}{\partial s_k}=0",
    assumes=r"$p=\mathrm{softmax}(s)$; the last equation for every differentiable $F(p)$",
    verdict=PROVED,
    proof=r"$\log\pi_w-\log\pi_l=s_w-s_l$; and $F(\mathrm{softmax}(s))$ does not change if a constant is added to $s$.",
)
def logit_gradient(evidence: Evidence) -> None:
    """DPO moves two logits by opposite amounts; the logit gradient of anything sums to zero."""

    def of_dpo(world: Bandit, others: int = 0) -> bool:
        push = world.beta * (1 - world.kappa(0, 1))
        expected = [-push, push] + [others * push * p for p in world.p[2:]]
        return world.pair_logit_gradient(0, 1) == tuple(expected)

    def of_anything(world: Bandit, weights: tuple[int, ...] = (1, 1)) -> bool:
        s = softmax(world.p)
        function = (s[0] ** 2 * 3 - s[1] / (s[0] + s[-1])) * s[1]  # any function without symmetry
        gradient = function.slope
        return dot(gradient, [F(weights[min(k, 1)]) for k in world.responses]) == 0

    evidence.holds(of_dpo, bandit, control=lambda world: of_dpo(world, others=1))
    evidence.holds(of_anything, bandit, control=lambda world: of_anything(world, weights=(1, 2)))


@claim(
    "ma2025.dpo-in-implicit-rewards",
    source="not in the paper; Corollaries 1 and 2 in the same coordinates",
    says=r"h_y=\beta\log\frac{\pi(y)}{\pi_{ref}(y)}:\qquad L_{dpo}=-\log\sigma(h_w-h_l),\quad"
    r"\frac{\partial L_{dpo}}{\partial h_w}=-\frac{\partial L_{dpo}}{\partial h_l}",
    verdict=PROVED,
    proof="This is the loss of the reward model with h in the place of r: in these coordinates DPO is as balanced as "
    "Corollary 2 says the reward loss is.",
)
def dpo_in_implicit_rewards(evidence: Evidence) -> None:
    """In implicit rewards DPO is the loss of the reward model, value and derivatives."""

    def statement(world: Bandit, kept: int = 1) -> bool:
        # e^h as the weights: kappa of the reward model at r = h against kappa of DPO
        rewards = [(p / r) ** world.beta for p, r in zip(world.p, world.ref, strict=True)]
        h_w, h_l = exponentials(rewards[:2])
        kappa = beats(h_w, h_l)
        chosen, rejected = (-a for a in kappa.log_slope)
        return kappa.value == world.kappa(0, 1) and chosen == -kept * rejected

    evidence.holds(statement, bandit, control=lambda world: statement(world, kept=2))


@claim(
    "ma2025.balance-of-dpo",
    source="not in the paper; Eq. (8) for DPO",
    says=r"\mathbb{E}\Bigl[\frac{\partial L_{dpo}}{\partial\pi_w}+\frac{\partial L_{dpo}}{\partial\pi_l}\Bigr]="
    r"-\beta\sum_i\frac{w_i}{\pi_i}\ ;\quad=0\ \text{at DPO's optimum}",
    assumes="the probabilities as free coordinates; any sampling of pairs",
    verdict=PROVED,
    proof=r"A pair contributes $\beta(P_{ij}-\kappa_{ij})(1/\pi_j-1/\pi_i)$; sum over pairs and collect "
    r"$w_i=\sum_j(P_{ij}-\kappa_{ij})$. At the optimum $P=\kappa$.",
)
def balance_of_dpo(evidence: Evidence) -> None:
    """Whether DPO is balanced by Eq. (8) is decided by its fitness; it is, where training ends."""

    def identity(world: Bandit, sign: int = -1) -> bool:
        return signed_sum(world) == sign * world.beta * sum(w / p for w, p in zip(world.fitness, world.p, strict=True))

    def at_the_optimum(world: Bandit) -> bool:
        trained = Bandit(world.p, _optimal_utility(world), world.ref, world.beta, world.asked)
        return signed_sum(trained) == 0

    evidence.holds(identity, bandit, control=lambda world: identity(world, sign=1), worlds=150)
    evidence.holds(at_the_optimum, bandit, control=lambda world: signed_sum(world) == 0, worlds=150)


@claim(
    "ma2025.corollary-1",
    source="Corollary 1",
    says=r"\frac{\partial L_{dpo}}{\partial\pi_w}+\frac{\partial L_{dpo}}{\partial\pi_l}\ne 0\quad\text{and}\quad"
    r"\Bigl|\frac{\partial L_{dpo}}{\partial\pi_w}\Bigr|<\Bigl|\frac{\partial L_{dpo}}{\partial\pi_l}\Bigr|",
    verdict=FALSE,
    because=r"By Eq. (2) the sizes are as $1/\pi_w$ to $1/\pi_l$: the chosen side is the larger one whenever the "
    "chosen response is the less probable one.",
    instead=("ma2025.corollary-1-per-pair", "ma2025.balance-of-dpo"),
)
def corollary_1(evidence: Evidence) -> None:
    """Two responses are enough."""

    def printed(world: Bandit) -> bool:
        return kind(*world.free_partials(0, 1)) == NEGATIVE

    evidence.fails(printed, at=UNLIKELY_WINNER, control=LIKELY_WINNER)
    evidence.finds(printed, bandit, control=_matches_order)


@claim(
    "ma2025.corollary-1-per-pair",
    source="not in the paper; what is true of Corollary 1",
    says=r"\text{a pair is negatively imbalanced under DPO}\iff\pi_w>\pi_l;\quad\text{balanced}\iff\pi_w=\pi_l;\quad"
    r"\text{positively}\iff\pi_w<\pi_l",
    assumes="the probabilities as free coordinates, one pair",
    verdict=PROVED,
    proof=r"Eq. (2): the ratio of the sizes is $\pi_l/\pi_w$.",
)
def corollary_1_per_pair(evidence: Evidence) -> None:
    """The more probable response has the smaller derivative."""
    evidence.holds(_matches_order, bandit, control=lambda world: kind(*world.free_partials(0, 1)) == NEGATIVE)
    evidence.holds(_matches_order, _even_pair, control=lambda world: kind(*world.free_partials(0, 1)) != BALANCED)


@claim(
    "ma2025.corollary-1-in-expectation",
    source="Corollary 1, in expectation over pairs and labels; the worlds of Figure 1",
    says=r"\mathbb{E}\Bigl|\frac{\partial L_{dpo}}{\partial\pi_w}\Bigr|<"
    r"\mathbb{E}\Bigl|\frac{\partial L_{dpo}}{\partial\pi_l}\Bigr|",
    verdict=FALSE,
    because="A chosen response that the policy holds for improbable has a huge derivative. All six panels of Figure "
    "1 are positively imbalanced: the ratios of the two sides are 10.97, 56.8, 2.70 (uniform pairs) and 1.51, 5.81, "
    "1.083 (pairs from the policy).",
    instead="ma2025.corollary-1-per-pair",
)
def corollary_1_in_expectation(evidence: Evidence) -> None:
    """An exact world of two responses, and the paper's own Figure 1."""

    def printed(world: Bandit) -> bool:
        chosen, rejected = sizes(world)
        return chosen < rejected

    audited = ((10.97, 56.8, 2.70), (1.51, 5.81, 1.083))

    def of_figure_1(swap: bool) -> bool:
        found = [
            [figure_1_ratio(*mu, shiftless=shiftless) for mu in ((45, 55), (30, 70), (48, 52))] for shiftless in (0, 1)
        ]
        ratios = 1 / np.array(found) if swap else np.array(found)
        return bool(np.allclose(ratios, audited, rtol=4e-3) and ratios.min() > 1)

    evidence.fails(printed, at=Bandit.of([1, 3], q=[3, 1]), control=Bandit.of([3, 1], q=[3, 1], ref=[3, 1]))
    evidence.measures(
        lambda: of_figure_1(swap=False),
        control=lambda: of_figure_1(swap=True),
        by="the six ratios of Figure 1, to 0.4%: the printed digits; all above 1",
        role=FAILS,
    )


def figure_1_ratio(policy_mean: float, utility_mean: float, *, shiftless: bool | int) -> float:
    """Return E|dL/dpi_w| / E|dL/dpi_l| of DPO in a panel of Figure 1: 100 responses, variance 100.

    Args:
        policy_mean: mu_P.
        utility_mean: mu_Q.
        shiftless: pairs are drawn from the policy; else uniformly.

    Example:
        >>> round(figure_1_ratio(48, 52, shiftless=False), 2)
        2.7
    """
    y = np.arange(100.0)
    log_p, log_q = (-((y - mu) ** 2) / 200 for mu in (policy_mean, utility_mean))
    log_p = log_p - np.logaddexp.reduce(log_p)
    label, urgency = (-np.logaddexp(0, x[None, :] - x[:, None]) for x in (log_q, -log_p))
    asked = log_p[:, None] + log_p[None, :] if shiftless else 0.0
    push = label + urgency + asked
    np.fill_diagonal(push, -np.inf)
    chosen, rejected = (np.logaddexp.reduce((push - of).ravel()) for of in (log_p[:, None], log_p[None, :]))
    return float(np.exp(chosen - rejected))


def _matches_order(world: Bandit) -> bool:
    p, r = world.p[0], world.p[1]
    expected = BALANCED if p == r else POSITIVE if p < r else NEGATIVE
    return kind(*world.free_partials(0, 1)) == expected


def _even_pair(source: random.Random) -> Bandit:
    drawn = bandit(source)
    p = list(drawn.p)
    p[0] = p[1] = (p[0] + p[1]) / 2
    return Bandit(tuple(p), drawn.q, drawn.ref, drawn.beta, drawn.asked)


def _optimal_utility(world: Bandit) -> Vector:
    return tuple((a / b) ** world.beta for a, b in zip(world.p, world.ref, strict=True))
