"""Probabilities and scores of a few responses: coordinates from which every possible matrix of inner products comes.

Each function gets its numbers from a ``Numbers``, so that the same scores can be random fractions for a search, symbols
for a proof, or the values of a counterexample.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from theory.proof.settings import Numbers


def shares(numbers: Numbers, prompts: Sequence[int], alone: Sequence[bool] = ()) -> list[Any]:
    """Return probabilities of named responses, in the order of their prompts.

    Args:
        numbers: where they come from.
        prompts: the prompt of each response, from 1.
        alone: for each prompt, whether the named responses are all of its responses; if not, some probability is left
            for others.
    """
    left: dict[int, Any] = {}
    found = []
    for k, prompt in enumerate(prompts):
        rest = left.get(prompt, 1)
        last = prompt not in prompts[k + 1 :]
        p = rest if last and prompt <= len(alone) and alone[prompt - 1] else numbers.between(f"p_{k}", 0, rest)
        left[prompt] = rest - p
        found.append(p)
    return found


def scores_by_prompt(numbers: Numbers, p: Sequence[Any], alone: Sequence[bool]) -> list[list[Any]]:
    """Return any scores of pairs of prompts of their own; where a pair is alone they are (1 - p) d and -p d."""
    vectors = iter(free_scores(numbers, sum(1 if one else 2 for one in alone)))
    rows = []
    for k, one in enumerate(alone):
        first = next(vectors)
        if one:
            rows += [[p[2 * k + 1] * a for a in first], [-p[2 * k] * a for a in first]]
        else:
            rows += [first, next(vectors)]
    return rows


def free_scores(numbers: Numbers, count: int, letter: str = "g") -> list[list[Any]]:
    """Return any scores: a triangle of coordinates, which gives every matrix of inner products."""
    return [[numbers.real(f"{letter}_{i}{j}") if j <= i else Fraction(0) for j in range(count)] for i in range(count)]


def all_scores(numbers: Numbers, p: Sequence[Any], letter: str = "g") -> list[list[Any]]:
    """Return any scores of all responses, with sum p g = 0: features less their mean."""
    zero = [Fraction(0)] * (len(p) - 1)
    return _centred(p, [*free_scores(numbers, len(p) - 1, letter), zero])


def all_responses_of(numbers: Numbers, count: int, tabular: bool) -> tuple[list[Any], list[list[Any]]]:
    """Return the probabilities of all responses and their scores."""
    p = shares(numbers, [1] * (count - 1))
    p.append(1 - total(p))
    if not tabular:
        return p, all_scores(numbers, p)
    return p, _centred(p, [[Fraction(int(i == j)) for j in range(count)] for i in range(count)])


def _centred(p: Sequence[Any], features: Sequence[Sequence[Any]]) -> list[list[Any]]:
    mean = [total([q * row[k] for q, row in zip(p, features, strict=True)]) for k in range(len(features[0]))]
    return [[a - m for a, m in zip(row, mean, strict=True)] for row in features]


def tabular_scores(p: Sequence[Any], prompts: Sequence[int]) -> list[list[Any]]:
    """Return the scores of a tabular softmax over the named responses and one more of each prompt."""
    kinds = sorted(set(prompts))
    rest = {k: 1 - total([q for q, prompt in zip(p, prompts, strict=True) if prompt == k]) for k in kinds}
    rows = []
    for i, prompt in enumerate(prompts):
        own = [int(i == j) - p[j] if prompts[j] == prompt else Fraction(0) for j in range(len(p))]
        rows.append([*own, *(-rest[k] if k == prompt else Fraction(0) for k in kinds)])
    return rows


def total(terms: Sequence[Any]) -> Any:
    """Return the sum of one or more numbers."""
    result = terms[0]
    for term in terms[1:]:
        result = result + term
    return result
