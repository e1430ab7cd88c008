import random
from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from theory.ma2025 import covariance as c
from theory.proof import Named

quick = settings(derandomize=True, deadline=None, max_examples=60)
numbers = st.lists(st.tuples(*[st.integers(-9, 9)] * 2, st.integers(1, 9)), min_size=2, max_size=6)


@quick
@given(numbers)
def test_moments_agree_with_numpy(rows: list[tuple[int, int, int]]) -> None:
    x, y, weights = ([F(v) for v in column] for column in zip(*rows, strict=True))
    floats = [np.array([float(v) for v in column]) for column in (x, y, weights)]
    assert float(c.mean(x, weights)) == pytest.approx(np.average(floats[0], weights=floats[2]), abs=1e-12)
    expected = np.cov(floats[0], floats[1], bias=True, aweights=floats[2])[0, 1]
    assert float(c.covariance(x, y, weights)) == pytest.approx(expected, abs=1e-12)


@quick
@given(st.lists(st.tuples(st.integers(1, 9), *[st.integers(0, 5)] * 3), min_size=1, max_size=6))
def test_the_sums_of_the_induction_are_those_of_their_definitions(steps: list[tuple[int, int, int, int]]) -> None:
    p = [F(step[0]) for step in steps]
    x, y, gamma = ([F(sum(step[k] for step in steps[: i + 1])) for i in range(len(p))] for k in (1, 2, 3))
    state = _first(p[0], gamma[0])
    for k in range(1, len(p)):
        new = Named(p=p[k], dx=x[k] - x[k - 1], dy=y[k] - y[k - 1], dgamma=gamma[k] - gamma[k - 1], more=F(k))
        state = c.with_value(Named(**vars(state), new=new))
    total, pairs = sum(p), [(i, j) for j in range(len(p)) for i in range(j)]
    plain = sum((p[i] * p[j] * (x[j] - x[i]) * (y[j] - y[i]) for i, j in pairs), F(0))
    weighted = sum((p[i] * p[j] * (x[j] - x[i]) * (y[j] - y[i]) * gamma[j] for i, j in pairs), F(0))
    assert plain == total**2 * c.covariance(x, y, p)
    assert (state.weight, state.plain, state.gamma) == (total, plain, gamma[-1])
    assert state.room == total * (gamma[-1] - c.mean(gamma, p))
    assert state.short == gamma[-1] * plain - weighted
    assert state.products == sum((p[k] * k for k in range(1, len(p))), F(0))
    assert c.weighted_pairs(state)


def _first(p: F, gamma: F) -> Named:
    return Named(
        weight=p, gamma=gamma, **dict.fromkeys(("from_x", "from_y", "both", "room", "plain", "short", "products"), F(0))
    )


def test_the_sampler_draws_what_the_lemmas_assume() -> None:
    source = random.Random(5)
    drawn = [c.increasing(source) for _ in range(200)]
    for x in drawn:
        assert all(min(f) >= 0 and list(f) == sorted(f) for f in x)
    assert any(len(set(x.g)) == 1 < len(set(x.f)) for x in drawn)  # where Lemma 3 is an equality
