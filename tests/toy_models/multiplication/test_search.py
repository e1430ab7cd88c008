"""The search against counting all responses of a tiny model; samples against the scores."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from tests.optional import needs

needs("transformers")

from dynamics import InvalidArgument
from tests.toy_models.multiplication.conftest import response_log_probs, tiny_model
from toy_models.multiplication.search import most_probable, sample

PROMPT, END, LONGEST = (2, 3, 2), 1, 5


def all_responses(longest: int = LONGEST, vocabulary: int = 5) -> list[tuple[int, ...]]:
    letters = [token for token in range(vocabulary) if token != END]
    return [(*word, END) for length in range(longest) for word in product(letters, repeat=length)]


def count_all(model: object, longest: int = LONGEST) -> tuple[list[tuple[int, ...]], np.ndarray]:
    responses = all_responses(longest)
    with torch.no_grad():
        scores = response_log_probs(model, PROMPT, responses).numpy()
    order = np.argsort(-scores)
    return [responses[i] for i in order], scores[order]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("breadth", "children"), [(4, 64), (16, 64), (5, 2)])
def test_the_top_is_that_of_counting_all(seed: int, breadth: int, children: int) -> None:
    model = tiny_model(seed)
    responses, scores = count_all(model)
    found = most_probable(
        model, PROMPT, END, top=12, max_tokens=LONGEST, max_calls=2000, breadth=breadth, children=children
    )
    np.testing.assert_allclose(found.log_probs[: found.exact], scores[: found.exact], atol=2e-5)
    assert set(found.responses[: found.exact]) == set(responses[: found.exact])
    if children > 4:
        # what is too long stays open and is the only thing that can cast doubt on the order
        longest_open = max_open(model)
        certain = int((scores[:12] >= longest_open).sum())
        assert found.exact == certain
    assert np.exp(found.log_probs).sum() + found.remainder == pytest.approx(1, abs=1e-5)


def max_open(model: object) -> float:
    """Return the most probable prefix that has reached the greatest length without an end."""
    letters = [token for token in range(5) if token != END]
    with torch.no_grad():
        return float(response_log_probs(model, PROMPT, list(product(letters, repeat=LONGEST))).max())  # type: ignore[arg-type]


def test_some_of_these_searches_are_certain_of_something() -> None:
    certain = [most_probable(tiny_model(seed), PROMPT, END, top=3, max_tokens=LONGEST).exact for seed in range(6)]
    assert sum(certain) >= 6


def test_searching_to_the_end_leaves_only_what_is_too_long() -> None:
    model = tiny_model(2)
    responses, scores = count_all(model)
    found = most_probable(model, PROMPT, END, top=10_000, max_tokens=LONGEST, max_calls=10_000)
    assert set(found.responses) == set(responses)
    np.testing.assert_allclose(found.log_probs, scores, atol=2e-5)
    letters = [token for token in range(5) if token != END]
    with torch.no_grad():
        too_long = float(response_log_probs(model, PROMPT, list(product(letters, repeat=LONGEST))).exp().sum())
    assert found.remainder == pytest.approx(too_long, abs=1e-5)
    assert found.remainder > 0.01


def test_a_search_that_gives_up_says_so() -> None:
    doubtful = 0
    for seed in range(6):
        model = tiny_model(seed)
        found = most_probable(model, PROMPT, END, top=50, max_tokens=LONGEST, max_calls=8, breadth=1)
        responses, _ = count_all(model)
        assert found.calls == len(found.responses) == 8
        assert found.responses[: found.exact] == tuple(responses[: found.exact])
        assert np.exp(found.log_probs).sum() + found.remainder == pytest.approx(1, abs=1e-5)
        doubtful += found.responses != tuple(responses[:8])
        assert found.exact < 8 or found.responses == tuple(responses[:8])
    assert doubtful >= 2  # giving up did cost something, and none of that was called certain


def test_samples_follow_the_scores() -> None:
    model = tiny_model(2)
    drawn = sample(model, PROMPT, END, count=4000, max_tokens=LONGEST, generator=torch.Generator().manual_seed(0))
    responses, scores = count_all(model)
    assert set(drawn.distinct) <= set(responses)
    assert len(set(drawn.distinct)) == len(drawn.distinct)
    assert len(drawn.responses) + drawn.truncated == 4000
    p = np.exp(scores)
    deviations = []
    for response, probability in zip(responses[:15], p[:15], strict=True):
        count = drawn.responses.count(response)
        deviations.append((count - 4000 * probability) / np.sqrt(4000 * probability * (1 - probability)))
    assert np.abs(deviations).max() < 4
    too_long = 1 - p.sum()
    assert abs(drawn.truncated - 4000 * too_long) < 4 * np.sqrt(4000 * too_long * (1 - too_long))


def test_samples_at_another_temperature_do_not_follow_them() -> None:
    """The twin of the test above: the comparison tells one distribution from another."""
    model = tiny_model(2)
    generator = torch.Generator().manual_seed(0)
    drawn = sample(model, PROMPT, END, count=4000, max_tokens=LONGEST, temperature=0.5, generator=generator)
    responses, scores = count_all(model)
    p = np.exp(scores[:15])
    counts = np.array([drawn.responses.count(response) for response in responses[:15]])
    assert np.abs((counts - 4000 * p) / np.sqrt(4000 * p * (1 - p))).max() > 8


def test_a_generator_says_all() -> None:
    model = tiny_model(2)

    def draw(seed: int) -> tuple[tuple[int, ...], ...]:
        return sample(
            model, PROMPT, END, count=50, max_tokens=8, generator=torch.Generator().manual_seed(seed)
        ).responses

    assert draw(0) == draw(0) != draw(1)
    state = torch.get_rng_state()
    draw(2)
    assert torch.equal(torch.get_rng_state(), state)


def test_bad_arguments_are_named() -> None:
    model, generator = tiny_model(), torch.Generator()
    with pytest.raises(InvalidArgument, match="top"):
        most_probable(model, PROMPT, END, top=0)
    with pytest.raises(InvalidArgument, match="prompt"):
        most_probable(model, (), END)
    with pytest.raises(InvalidArgument, match="temperature"):
        sample(model, PROMPT, END, temperature=0.0, generator=generator)
    with pytest.raises(InvalidArgument, match="prompt"):
        sample(model, (), END, generator=generator)
