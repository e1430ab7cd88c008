"""Kinds of worlds in which one step pushes several responses: batches of pairs, preference matrices, sampled groups.

A step moves the parameters along sum_i c_i g_i. For a batch of weighted pairs c is the weight of a pair on its chosen
response and minus that on the rejected one; for a preference matrix c_i sums what response i wins over what it loses;
for a group of sampled responses it is their advantage. The drive of any response is A_y = sum_i c_i <g_y, g_i>.

Scores are vectors, so that their inner products are those of some policy whatever the numbers are, in fractions and in
symbols alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations, product
from types import SimpleNamespace
from typing import Any

from dynamics.errors import InvalidArgument, check_count
from theory.decision.pushed import Group, Matrix
from theory.decision.scores import (
    all_responses_of,
    all_scores,
    free_scores,
    scores_by_prompt,
    shares,
    tabular_scores,
    total,
)
from theory.proof.family import Family
from theory.proof.functions import sqrt
from theory.proof.settings import Numbers, either, setting

MOST = 5  # largest number of responses, pairs or group members; the size of a world grows with its square


def batch(pairs: int | Sequence[tuple[int, int]] = 2, *, one_prompt: bool = False, tabular: bool = False) -> Family:
    """Return every batch of weighted pairs of any policy; no two responses are the same, unless the pairs say so.

    ``b[0].A_w`` is the drive of the first pair's chosen response in the step on the whole batch, ``b.weight[0]`` the
    pair's weight, ``b.kernel(b[0].chosen, b[1].rejected)`` any inner product. A prompt may have other responses, any
    number of them, or none.

    Args:
        pairs: number of pairs, whose responses are all different; or for pairs of one prompt that share responses the
            numbers of the chosen and the rejected one of each, from 0: ``[(0, 1), (0, 2)]``.
        one_prompt: whether all pairs belong to one prompt; otherwise each has a prompt of its own.
        tabular: whether the policy is a tabular softmax, with at most one other response for each prompt; different
            prompts share no parameter then.

    Raises:
        InvalidArgument: a number of pairs that is none, or too large; pairs that are none, or leave a number out.

    Example:
        >>> from theory import decide
        >>> own = lambda b: b[0].A_w >= b[0].A_l
        >>> decide(own, batch(2)).verdict, decide(own, batch(2, tabular=True)).verdict
        ('refuted', 'proved')
        >>> decide(own, batch([(0, 1), (1, 2)], tabular=True)).verdict  # what one pair rejects, the other prefers
        'refuted'
    """
    if not isinstance(pairs, int):
        return _sharing(pairs, tabular)
    if check_count("pairs", pairs, minimum=1) > MOST:
        raise InvalidArgument("pairs", pairs, f"a whole number from 1 to {MOST}")
    where = "of one prompt, all responses different" if one_prompt else "of different prompts"
    kind = "tabular softmax" if tabular else "policy"

    def case(alone: tuple[bool, ...]) -> Family:
        def named(numbers: Numbers) -> Group:
            prompts = [1 if one_prompt else 1 + k for k in range(pairs) for _ in "wl"]
            p = shares(numbers, prompts, alone)
            if tabular:
                scores = tabular_scores(p, prompts)
            elif one_prompt:
                scores = all_scores(numbers, p) if alone[0] else free_scores(numbers, 2 * pairs)
            else:
                scores = scores_by_prompt(numbers, p, alone)
            return _batch(numbers, p, scores, prompts)

        return setting(words)(named)

    words = "p > 0, weights > 0, any scores; where a prompt has no other responses, sum p g = 0"
    kinds = [(False,), (True,)] if one_prompt else list(product((False, True), repeat=pairs))
    cases = {
        ", ".join(f"prompt {k + 1} {'without' if one else 'with'} others" for k, one in enumerate(alone)): case(alone)
        for alone in kinds
    }
    others = ", at most one response outside the pairs of a prompt" if tabular else ""
    return either(f"every {kind}, {pairs} pairs {where}{others}", words, cases)


def _sharing(pairs: Any, tabular: bool) -> Family:
    """Return every batch of given pairs of one prompt, which may share responses."""
    allowed = f"a number of pairs, or at most {MOST} pairs of numbers of responses such as [(0, 1), (0, 2)]"
    if not isinstance(pairs, (tuple, list)) or not 0 < len(pairs) <= MOST:
        raise InvalidArgument("pairs", pairs, allowed)
    for pair in pairs:
        whole = isinstance(pair, (tuple, list)) and len(pair) == 2 and all(type(y) is int for y in pair)
        if not whole or pair[0] == pair[1]:
            raise InvalidArgument("pairs", pairs, allowed)
    count = 1 + max(max(pair) for pair in pairs)
    if {y for pair in pairs for y in pair} != set(range(count)) or count > 2 * MOST:
        raise InvalidArgument("pairs", pairs, "responses numbered from 0, none left out")

    def case(alone: bool) -> Family:
        def named(numbers: Numbers) -> Group:
            prompts = [1] * count
            p = shares(numbers, prompts, (alone,))
            if tabular:
                scores = tabular_scores(p, prompts)
            else:
                scores = all_scores(numbers, p) if alone else free_scores(numbers, count)
            return _batch(numbers, p, scores, prompts, [(y, z) for y, z in pairs])

        return setting(words)(named)

    words = "p > 0, weights > 0, any scores; where the prompt has no other responses, sum p g = 0"
    kind, others = "policy", ""
    if tabular:
        kind, others = "tabular softmax", ", at most one response outside the pairs"
    shown = ", ".join(f"y_{y} over y_{z}" for y, z in pairs)
    cases = {"with others": case(alone=False), "without others": case(alone=True)}
    return either(f"every {kind}, pairs of one prompt: {shown}{others}", words, cases)


def _batch(
    numbers: Numbers, p: Sequence[Any], scores: Any, prompts: Sequence[int], pairs: Sequence[tuple[int, int]] = ()
) -> Group:
    pairs = pairs or [(2 * k, 2 * k + 1) for k in range(len(p) // 2)]
    weights = tuple(numbers.positive(f"weight_{k}") for k in range(len(pairs)))
    force: list[Any] = [Fraction(0)] * len(p)
    for (chosen, rejected), weight in zip(pairs, weights, strict=True):
        force[chosen], force[rejected] = force[chosen] + weight, force[rejected] - weight
    return Group(p, scores, force, prompts=prompts, pairs=pairs, numbers=SimpleNamespace(weight=weights))


def preference_matrix(responses: int = 3, *, tabular: bool = False) -> Family:
    """Return every policy with some responses, trained on all pairs with the labels of a Bradley-Terry model.

    ``b.utility[i]`` is e^(utility) > 0 of response i, ``b.prefers(i, j)`` the probability that i is preferred to j,
    and the force on i is sum_j p_i p_j (prefers(i, j) - prefers(j, i)): the expected DPO step of pairs drawn from the
    policy, at the reference.

    Args:
        responses: number of responses, all of them.
        tabular: whether the policy is a tabular softmax.

    Example:
        >>> from theory import decide
        >>> best = lambda b: b.drive(0) >= b.drive(1) or b.utility[0] < b.utility[1]
        >>> decide(best, preference_matrix(3)).verdict
        'refuted'
    """
    if not 2 <= check_count("responses", responses, minimum=2) <= MOST:
        raise InvalidArgument("responses", responses, f"a whole number from 2 to {MOST}")

    def all_responses(numbers: Numbers) -> Matrix:
        p, scores = all_responses_of(numbers, responses, tabular)
        utility = tuple(numbers.positive(f"t_{k}") for k in range(responses))
        pairs = list(combinations(range(responses), 2))
        flow = {(i, j): _flow(numbers, p[i] * p[j], utility[i], utility[j]) for i, j in pairs}
        flow |= {(j, i): -more for (i, j), more in flow.items()}
        others = [[j for j in range(responses) if j != i] for i in range(responses)]
        wins = [total([flow[i, j] for j in others[i]]) for i in range(responses)]
        return Matrix(p, scores, wins, numbers=SimpleNamespace(utility=utility))

    name = f"every {'tabular softmax' if tabular else 'policy'} with {responses} labelled responses"
    words = "p > 0 sum to 1, e^utility > 0, any scores with sum p g = 0"
    return either(name, words, {"": setting(words)(all_responses)})


def _flow(numbers: Numbers, often: Any, one: Any, other: Any) -> Any:
    """Return ``often`` (one - other) / (one + other); tell the solver its sign, and how large it may be."""
    flow = often * (one - other) / (one + other)
    numbers.assume((flow > 0) == (one > other), (flow < 0) == (one < other), flow < often, flow > -often)
    numbers.assume(flow * (one - other) >= 0)
    return flow


def sampled_group(responses: int = 3, members: int = 2, *, tabular: bool = False, normalised: bool = False) -> Family:
    """Return every policy with some responses and rewards, in the expected step of a group relative method.

    Groups of ``members`` responses are drawn from the policy. The advantage of a member is its reward less the mean
    reward of its group, with ``normalised`` divided by the standard deviation of the group's rewards as in GRPO; the
    step is the mean of A_i g_i over the group, and its expectation is the sum over all groups, enumerated.

    Args:
        responses: number of responses, all of them.
        members: size of a group, 2 or more.
        tabular: whether the policy is a tabular softmax.
        normalised: whether advantages are divided by the standard deviation sqrt(mean (r - mean r)^2) of the group;
            without the small number that code adds to it. In a group of equal rewards the advantages are 0.

    Example:
        >>> from theory import decide
        >>> decide(lambda b: sum(p * r for p, r in zip(b.c, b.reward)) >= 0, sampled_group(2)).verdict
        'proved'
    """
    for name, value in (("responses", responses), ("members", members)):
        if check_count(name, value, minimum=2) > MOST:
            raise InvalidArgument(name, value, f"a whole number from 2 to {MOST}")

    def expected(numbers: Numbers) -> Group:
        p, scores = all_responses_of(numbers, responses, tabular)
        reward = tuple(numbers.real(f"r_{k}") for k in range(responses))
        force = expected_force(p, reward, members, normalised=normalised)
        return Group(p, scores, force, numbers=SimpleNamespace(reward=reward))

    name = f"every {'tabular softmax' if tabular else 'policy'} with {responses} responses, groups of {members}"
    words = "p > 0 sum to 1, any rewards, any scores with sum p g = 0"
    if normalised:
        name += ", advantages divided by their standard deviation"
    return either(name, words, {"": setting(words)(expected)})


def expected_force(p: Sequence[Any], reward: Sequence[Any], members: int, *, normalised: bool = False) -> list[Any]:
    """Return the expected advantage on each response, summed over all groups of sampled responses.

    Args:
        p: probabilities of all responses.
        reward: of each.
        members: size of a group.
        normalised: whether advantages are divided by the standard deviation of the rewards of their group.

    Example:
        >>> one, zero = Fraction(1), Fraction(0)
        >>> [str(c) for c in expected_force((one / 3, one * 2 / 3), (one, zero), 2, normalised=True)]
        ['2/9', '-2/9']
        >>> half = Fraction(1, 2)
        >>> [str(c) for c in expected_force((half, half), (Fraction(1), Fraction(0)), 2)]
        ['1/8', '-1/8']
    """
    force = [Fraction(0)] * len(p)
    for group in product(range(len(p)), repeat=members):
        weight = p[group[0]]
        for i in group[1:]:
            weight = weight * p[i]
        mean = total([reward[i] for i in group]) / members
        above = {i: reward[i] - mean for i in group}
        if normalised:
            above = _over_deviation(above, group)
        for i in group:
            force[i] = force[i] + weight * above[i] / members
    return force


def _over_deviation(above: dict[int, Any], group: Sequence[int]) -> dict[int, Any]:
    """Return how far each reward of a group lies above the mean, in standard deviations; 0 where all are equal."""
    if len(set(group)) == 1:
        return above
    if len(group) == 2:  # the two lie one deviation above and below
        first, second = group
        ahead = above[first] - above[second]
        sign = 1 if ahead > 0 else -1 if ahead < 0 else 0
        return {first: Fraction(sign), second: Fraction(-sign)}
    variance = total([above[i] ** 2 for i in group]) / len(group)
    if variance == 0:
        return dict.fromkeys(above, Fraction(0))
    return {i: more / sqrt(variance) for i, more in above.items()}


__all__ = ["batch", "expected_force", "preference_matrix", "sampled_group"]
