"""The derivative of the entropy against a difference quotient."""

import math
import random

import pytest
from hypothesis import given, settings, strategies as st


def entropy(p: list[float]) -> float:
    return -math.fsum(x * math.log(x) for x in p)


def moved(p: list[float], velocity: list[float], size: float) -> list[float]:
    weights = [x * math.exp(size * v) for x, v in zip(p, velocity, strict=True)]
    return [weight / math.fsum(weights) for weight in weights]


def slope(p: list[float], velocity: list[float]) -> float:
    mean = math.fsum(x * v for x, v in zip(p, velocity, strict=True))
    return -math.fsum(x * (v - mean) * math.log(x) for x, v in zip(p, velocity, strict=True))


@settings(max_examples=40)
@given(st.integers(0, 10**6).map(random.Random))
def test_the_covariance_is_the_derivative_and_the_perplexity_the_border(source: random.Random) -> None:
    weights = [source.uniform(0.05, 1) for _ in range(source.randint(2, 6))]
    p = [weight / math.fsum(weights) for weight in weights]
    velocity = [source.gauss(0, 1) for _ in p]
    step = 1e-5
    quotient = (entropy(moved(p, velocity, step)) - entropy(moved(p, velocity, -step))) / (2 * step)
    assert slope(p, velocity) == pytest.approx(quotient, abs=1e-7)
    for k, own in enumerate(p):
        change = slope(p, [float(j == k) for j in range(len(p))])
        border = own - math.exp(-entropy(p))
        if abs(border) > 1e-6:
            assert (change < 0) == (border > 0)


@pytest.mark.parametrize(
    ("p", "advantage", "natural", "rises"),
    [((0.1, 0.4, 0.5), (2, -3, 2), True, True), ((1 / 6, 2 / 6, 3 / 6), (2, -3, 4 / 3), False, False)],
)
def test_the_examples(p: tuple, advantage: tuple, natural: bool, rises: bool) -> None:
    velocity = [a if natural else x * a for x, a in zip(p, advantage, strict=True)]
    assert math.fsum(x * a for x, a in zip(p, advantage, strict=True)) == pytest.approx(0, abs=1e-12)
    assert (entropy(moved(list(p), velocity, 1e-3)) > entropy(list(p))) == rises
