import random
from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from theory.ma2025 import covariance as c

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


@pytest.mark.parametrize("gap", ["lemma 3", "lemma 4", "polarised"])
def test_every_lemma_needs_its_direction(gap: str) -> None:
    assert c.coefficients_are_nonnegative(gap, 3)
    assert not c.coefficients_are_nonnegative(gap, 3, turned=True)


def test_the_sampler_draws_what_the_lemmas_assume() -> None:
    source = random.Random(5)
    drawn = [c.increasing(source) for _ in range(200)]
    for m in drawn:
        assert all(min(f) >= 0 and list(f) == sorted(f) for f in (m.f, m.g, m.h))
    assert any(len(set(m.g)) == 1 < len(set(m.f)) for m in drawn)  # where Lemma 3 is an equality
