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
@given(
    st.sampled_from([c.ALIKE, c.THREE, c.ANY_SIGN]),
    st.lists(st.tuples(*[st.integers(0, 5)] * 3, st.integers(1, 9)), max_size=6),
)
def test_the_sums_of_the_induction_are_those_of_their_definitions(
    lemma: c.Lemma, steps: list[tuple[int, int, int, int]]
) -> None:
    parts, source = c.in_order(lemma), random.Random(3)
    state = parts["base"].draw(source)
    values, p = [state.top], [state.A]
    for *growth, weight in steps:
        new = Named(**{name: F(size) for name, size in zip(lemma.functions, growth, strict=False)})
        state = parts["after"](Named(**vars(state), p=F(0), new=new))
        still = Named(**dict.fromkeys(lemma.functions, F(0)))
        values, p = [*values, state.top], [*p, F(weight)]
        state = parts["after"](Named(**vars(state), p=F(weight), new=still))
    at, total = [lemma.at(top) for top in values], sum(p)
    x, y, u, v, gamma = ([getattr(each, name) for each in at] for name in c.LINEAR)
    pairs = [(i, j) for j in range(len(p)) for i in range(j)]
    weighted = sum((p[i] * p[j] * (x[j] - x[i]) * (y[j] - y[i]) * gamma[j] for i, j in pairs), F(0))
    assert state.pairs == weighted
    assert state.gamma == total * c.mean(gamma, p)
    assert state.A * state.xy - state.x * state.y == total**2 * c.covariance(x, y, p)
    assert state.A * state.uv - state.u * state.v == total**2 * c.covariance(u, v, p)
    assert c.holds(lemma, state, 1)
    assert all(vars(state)[name] == vars(state)[other] for name, other in lemma.alike.items())


def test_the_sampler_draws_what_the_lemmas_assume() -> None:
    source = random.Random(5)
    drawn = [c.increasing(source) for _ in range(200)]
    for x in drawn:
        assert all(min(f) >= 0 and list(f) == sorted(f) for f in x)
    assert any(len(set(x.g)) == 1 < len(set(x.f)) for x in drawn)  # where Lemma 3 is an equality
