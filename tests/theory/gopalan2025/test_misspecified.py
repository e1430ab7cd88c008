"""The minimiser of the population loss of a one-parameter policy has the sign that the counts say."""

import math
import random

import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import minimize_scalar

RATIO = math.tanh(1) / math.tanh(0.5)


def population_loss(theta: float, counts: tuple[float, float, float], beta: float) -> float:
    total = 0.0
    for n, true_gap, gap in zip(counts, (-1, 1, 2), (2 * theta, theta, -theta), strict=True):
        p = 1 / (1 + math.exp(-true_gap))
        total += n * (p * math.log1p(math.exp(-beta * gap)) + (1 - p) * math.log1p(math.exp(beta * gap)))
    return total


@settings(max_examples=30)
@given(st.integers(0, 10**6).map(random.Random))
def test_the_sign_of_the_minimiser_is_that_of_the_counts(source: random.Random) -> None:
    counts = (source.uniform(0.1, 5), source.uniform(0.1, 20), source.uniform(0.1, 5))
    beta = source.choice((0.1, 1.0, 10.0))
    border = counts[1] - 2 * counts[0] - RATIO * counts[2]
    found = minimize_scalar(population_loss, bracket=(-1 / beta, 1 / beta), args=(counts, beta)).x
    if abs(border) > 0.05:
        assert (found > 0) == (border > 0)


@pytest.mark.parametrize(("counts", "reversed_"), [((0, 2, 1), True), ((1, 1, 1), False), ((0, 1, 1), False)])
def test_the_smallest_data_that_reverse(counts: tuple[float, float, float], reversed_: bool) -> None:
    found = minimize_scalar(population_loss, bracket=(-1, 1), args=(counts, 1.0)).x
    assert (found > 0) == reversed_
