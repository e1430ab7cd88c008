"""Several responses, of one prompt or of many, all pushed by one step: batches of pairs, preference matrices, groups.

A step moves the parameters along sum_i c_i g_i. For a batch of weighted pairs c is the weight of a pair on its chosen
response and minus that on the rejected one; for a preference matrix c_i sums what response i wins over what it loses;
for a group of sampled responses it is their advantage. The drive of any response is A_y = sum_i c_i <g_y, g_i>.

Scores are vectors, so that their inner products are those of some policy whatever the numbers are, in fractions and in
symbols alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from types import SimpleNamespace
from typing import Any

from dynamics.errors import InvalidArgument, check_count
from theory.names import ShortNames
from theory.proof.family import Family
from theory.proof.settings import Numbers, setting
from theory.proof.symbols import NoSuchResponse

MOST = 5  # responses, pairs or members: the numbers of a world grow with their square


class Group:
    """Responses with their scores, and the force c_i with which a step pushes each.

    Args:
        p: probability of each response that is named.
        scores: g of each.
        force: c of each.
        prompts: number of the prompt of each, from 1.
        pairs: (chosen, rejected) of each pair, if it is a batch of pairs.
        numbers: further numbers, by name, which are attributes of the group as well: ``weight``, ``utility``,
            ``reward``.

    Example:
        >>> one, two = Fraction(1), Fraction(2)
        >>> batch = Group((one / 2, one / 4), ((one,), (-two,)), (one, -one), pairs=((0, 1),))
        >>> batch.drive(0) == batch.kernel(0, 0) - batch.kernel(0, 1) == batch[0].A_w
        True
    """

    __slots__ = ("_force", "_numbers", "_pairs", "_prompts", "_scores", "p")

    def __init__(
        self,
        p: Sequence[Any],
        scores: Sequence[Sequence[Any]],
        force: Sequence[Any],
        *,
        prompts: Sequence[int] | None = None,
        pairs: Sequence[tuple[int, int]] = (),
        numbers: SimpleNamespace | None = None,
    ) -> None:
        self.p, self._scores, self._force = tuple(p), tuple(map(tuple, scores)), tuple(force)
        self._prompts = tuple(prompts or (1,) * len(self.p))
        self._pairs, self._numbers = tuple(pairs), numbers or SimpleNamespace()

    def __len__(self) -> int:
        return len(self.p)

    def __getitem__(self, number: int) -> Pair:
        """Return a pair of the batch, from 0."""
        return Pair(self, *self._pairs[number])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._numbers, name)

    @property
    def c(self) -> tuple[Any, ...]:
        """Return the force on each response."""
        return self._force

    def kernel(self, y: int, z: int) -> Any:
        """Return <g_y, g_z>."""
        return _sum([a * b for a, b in zip(self._scores[y], self._scores[z], strict=True)])

    def squared_norm(self, y: int) -> Any:
        """Return |g_y|^2."""
        return self.kernel(y, y)

    def drive(self, y: int) -> Any:
        """Return A_y = sum_i c_i <g_y, g_i>, the first-order change of log pi(y)."""
        return _sum([c * self.kernel(y, i) for i, c in enumerate(self._force)])

    def log_change(self, y: int) -> Any:
        """Return the drive."""
        return self.drive(y)

    def change(self, y: int) -> Any:
        """Return p_y A_y."""
        return self.p[y] * self.drive(y)

    @property
    def caption(self) -> str:
        """Return the further numbers in words."""
        numbers = [f"{name} = {_text(value)}" for name, value in vars(self._numbers).items()]
        return ", ".join(
            [f"{len(self.p)} responses of {len(set(self._prompts))} prompts", *numbers, "learning rate = 1"]
        )

    def _roles(self) -> list[str]:
        """Return what a table calls each response: the pairs in which it is chosen or rejected."""
        names = [f"y_{y}" for y in range(len(self.p))]
        for number, (chosen, rejected) in enumerate(self._pairs):
            names[chosen] += f" w of pair {number}"
            names[rejected] += f" l of pair {number}"
        return names

    def _table(self) -> list[tuple[str, list[Any]]]:
        return [
            (
                name,
                [Fraction(self._prompts[y]), self.p[y], self._scores[y], self._force[y], self.drive(y), self.change(y)],
            )
            for y, name in enumerate(self._roles())
        ]

    def __str__(self) -> str:
        """Return every response and every pair as a table, and all inner products of scores."""
        from theory.decision.typeset import aligned, plain  # noqa: PLC0415

        rows = [["", "prompt", "probability", "score g", "force c", "drive A", "change p A"]]
        rows += [[name, *map(plain, numbers)] for name, numbers in self._table()]
        inner = [f"g_{y} . g_{z} = {self.kernel(y, z)}" for y in range(len(self.p)) for z in range(y, len(self.p))]
        return "\n".join([self.caption, *aligned(rows, (10, 7, 12, 12, 8, 8, 10)), ", ".join(inner)])

    def _repr_html_(self) -> str:
        from theory.decision.typeset import table_html  # noqa: PLC0415

        head = ["", "prompt", "probability", "score <i>g</i>", "force <i>c</i>", "drive <i>A</i>", "change <i>p A</i>"]
        return table_html(self.caption, head, self._table())


class Pair(ShortNames):
    """One pair of a batch in the short names; drives and changes are those of the step on the whole batch.

    Args:
        group: the batch.
        chosen: number of y_w among its responses.
        rejected: number of y_l.
    """

    __slots__ = ("_group", "chosen", "rejected")

    def __init__(self, group: Group, chosen: int, rejected: int) -> None:
        self._group, self.chosen, self.rejected = group, chosen, rejected

    @property
    def p(self) -> Any:
        """Return the probabilities of all responses of the batch."""
        return self._group.p

    @property
    def y(self) -> Any:
        """Refuse: the other responses of a batch have numbers."""
        raise NoSuchResponse("in a batch the other responses are those of the other pairs, b[1].chosen")

    def kernel(self, y: Any, z: Any) -> Any:
        """Return <g_y, g_z>."""
        return self._group.kernel(y, z)

    def drive(self, y: Any) -> Any:
        """Return the drive of the step on the whole batch."""
        return self._group.drive(y)

    def change(self, y: Any) -> Any:
        """Return p_y times the drive."""
        return self._group.change(y)

    @property
    def dd(self) -> Any:
        """Return |g_w - g_l|^2, which is A_w - A_l only for a batch of this pair alone with weight 1."""
        return self.ww - 2 * self.wl + self.ll

    @property
    def alone(self) -> Any:
        """Return the drive of the chosen response in a step on this pair alone, ww - wl."""
        return self.ww - self.wl


def batch(pairs: int = 2, *, one_prompt: bool = False, tabular: bool = False) -> Family:
    """Return every batch of weighted pairs of different responses, of any policy.

    ``b[0].A_w`` is the drive of the first pair's chosen response in the step on the whole batch, ``b.weight[0]`` the
    pair's weight, ``b.kernel(b[0].chosen, b[1].rejected)`` any inner product. Each prompt has further responses, any
    number of them, that are not named.

    Args:
        pairs: number of pairs, 2 or more.
        one_prompt: whether all pairs belong to one prompt; otherwise each has a prompt of its own.
        tabular: whether the policy is a tabular softmax over the named responses and one more for each prompt; of
            different prompts no parameter is shared then.

    Raises:
        InvalidArgument: a number of pairs that is none, or too large.

    Example:
        >>> from theory import decide
        >>> own = lambda b: b[0].A_w >= b[0].A_l
        >>> decide(own, batch(2)).verdict, decide(own, batch(2, tabular=True)).verdict
        ('refuted', 'proved')
    """
    if check_count("pairs", pairs, minimum=1) > MOST:
        raise InvalidArgument("pairs", pairs, f"a whole number from 1 to {MOST}")
    where = "of one prompt" if one_prompt else "of different prompts"
    kind = "tabular softmax" if tabular else "policy"

    def named_and_more(numbers: Numbers) -> Group:
        prompts = [1 if one_prompt else 1 + k for k in range(pairs) for _ in "wl"]
        p = shares(numbers, prompts)
        scores = _tabular_scores(p, prompts) if tabular else free_scores(numbers, 2 * pairs)
        return _batch(numbers, p, scores, prompts)

    named_and_more.__doc__ = f"every {kind}, {pairs} pairs {where}, and a response outside the pairs for each prompt"
    return setting("named responses and others; p > 0, weights > 0, any scores")(named_and_more)


def _batch(numbers: Numbers, p: Sequence[Any], scores: Any, prompts: Sequence[int]) -> Group:
    pairs = [(2 * k, 2 * k + 1) for k in range(len(p) // 2)]
    weights = tuple(numbers.positive(f"weight_{k}") for k in range(len(pairs)))
    force = [sign * weight for weight in weights for sign in (1, -1)]
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
        p, scores = _all_of_them(numbers, responses, tabular)
        utility = tuple(numbers.positive(f"t_{k}") for k in range(responses))
        wins = [
            _sum(
                [
                    p[i] * p[j] * (utility[i] - utility[j]) / (utility[i] + utility[j])
                    for j in range(responses)
                    if j != i
                ]
            )
            for i in range(responses)
        ]
        return Matrix(p, scores, wins, numbers=SimpleNamespace(utility=utility))

    all_responses.__doc__ = f"every {'tabular softmax' if tabular else 'policy'} with {responses} labelled responses"
    return setting("p > 0 sum to 1, e^utility > 0, any scores with sum p g = 0")(all_responses)


class Matrix(Group):
    """Responses with a preference matrix between them."""

    __slots__ = ()

    def prefers(self, i: int, j: int) -> Any:
        """Return the probability that response i is preferred to response j."""
        return self.utility[i] / (self.utility[i] + self.utility[j])


def sampled_group(responses: int = 3, members: int = 2, *, tabular: bool = False) -> Family:
    """Return every policy with some responses and rewards, in the expected step of a group relative method.

    Groups of ``members`` responses are drawn from the policy. The advantage of a member is its reward less the mean
    reward of its group (GRPO without the division by the standard deviation), the step is the mean of A_i g_i over the
    group, and its expectation is the sum over all groups, enumerated.

    Args:
        responses: number of responses, all of them.
        members: size of a group, 2 or more.
        tabular: whether the policy is a tabular softmax.

    Example:
        >>> from theory import decide
        >>> decide(lambda b: sum(p * r for p, r in zip(b.c, b.reward)) >= 0, sampled_group(2)).verdict
        'proved'
    """
    for name, value in (("responses", responses), ("members", members)):
        if check_count(name, value, minimum=2) > MOST:
            raise InvalidArgument(name, value, f"a whole number from 2 to {MOST}")

    def expected(numbers: Numbers) -> Group:
        p, scores = _all_of_them(numbers, responses, tabular)
        reward = tuple(numbers.real(f"r_{k}") for k in range(responses))
        return Group(p, scores, expected_force(p, reward, members), numbers=SimpleNamespace(reward=reward))

    expected.__doc__ = (
        f"every {'tabular softmax' if tabular else 'policy'} with {responses} responses, groups of {members}"
    )
    return setting("p > 0 sum to 1, any rewards, any scores with sum p g = 0")(expected)


def expected_force(p: Sequence[Any], reward: Sequence[Any], members: int) -> list[Any]:
    """Return the expected advantage on each response, summed over all groups of sampled responses.

    Example:
        >>> half = Fraction(1, 2)
        >>> [str(c) for c in expected_force((half, half), (Fraction(1), Fraction(0)), 2)]
        ['1/8', '-1/8']
    """
    force = [Fraction(0)] * len(p)
    for group in product(range(len(p)), repeat=members):
        weight = p[group[0]]
        for i in group[1:]:
            weight = weight * p[i]
        mean = _sum([reward[i] for i in group]) / members
        for i in group:
            force[i] = force[i] + weight * (reward[i] - mean) / members
    return force


def shares(numbers: Numbers, prompts: Sequence[int]) -> list[Any]:
    """Return probabilities of named responses; those of a prompt leave some mass for others."""
    left: dict[int, Any] = {}
    found = []
    for k, prompt in enumerate(prompts):
        p = numbers.between(f"p_{k}", 0, left.get(prompt, 1))
        left[prompt] = left.get(prompt, 1) - p
        found.append(p)
    return found


def free_scores(numbers: Numbers, count: int, letter: str = "g") -> list[list[Any]]:
    """Return any scores: a triangle of coordinates, which gives every matrix of inner products."""
    return [[numbers.real(f"{letter}_{i}{j}") if j <= i else Fraction(0) for j in range(count)] for i in range(count)]


def all_scores(numbers: Numbers, p: Sequence[Any], letter: str = "g") -> list[list[Any]]:
    """Return any scores of all responses, with sum p g = 0: features less their mean."""
    zero = [Fraction(0)] * (len(p) - 1)
    return _centred(p, [*free_scores(numbers, len(p) - 1, letter), zero])


def _all_of_them(numbers: Numbers, count: int, tabular: bool) -> tuple[list[Any], list[list[Any]]]:
    """Return the probabilities of all responses and their scores."""
    p = shares(numbers, [1] * (count - 1))
    p.append(1 - _sum(p))
    if not tabular:
        return p, all_scores(numbers, p)
    return p, _centred(p, [[Fraction(int(i == j)) for j in range(count)] for i in range(count)])


def _centred(p: Sequence[Any], features: Sequence[Sequence[Any]]) -> list[list[Any]]:
    mean = [_sum([q * row[k] for q, row in zip(p, features, strict=True)]) for k in range(len(features[0]))]
    return [[a - m for a, m in zip(row, mean, strict=True)] for row in features]


def _tabular_scores(p: Sequence[Any], prompts: Sequence[int]) -> list[list[Any]]:
    """Return the scores of a tabular softmax over the named responses and one more of each prompt."""
    kinds = sorted(set(prompts))
    rest = {k: 1 - _sum([q for q, prompt in zip(p, prompts, strict=True) if prompt == k]) for k in kinds}
    rows = []
    for i, prompt in enumerate(prompts):
        own = [int(i == j) - p[j] if prompts[j] == prompt else Fraction(0) for j in range(len(p))]
        rows.append([*own, *(-rest[k] if k == prompt else Fraction(0) for k in kinds)])
    return rows


def _sum(terms: Sequence[Any]) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _text(value: Any) -> str:
    return f"({', '.join(map(str, value))})" if isinstance(value, tuple) else str(value)


__all__ = ["Group", "Matrix", "Pair", "batch", "expected_force", "preference_matrix", "sampled_group"]
