import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dynamics import InvalidArgument, ratio_hitting_time
from theory.feng2024.flow import hitting_time, integrate

starts = st.floats(0.05, 20.0)
SETTINGS = settings(derandomize=True, deadline=None, max_examples=50)


@given(starts, starts, st.floats(0.05, 1.95))
@SETTINGS
def test_closed_form_agrees_with_quadrature(x1: float, x2: float, beta: float) -> None:
    assert hitting_time(x1, x2, beta) == pytest.approx(ratio_hitting_time(x1, x2, beta), rel=1e-9)


@pytest.mark.parametrize("beta", [0.1, 0.5, 1.0, 1.5])
def test_remaining_time_falls_as_time_passes(beta: float) -> None:
    # a plain integration of Eq. 2, which knows nothing of circles or hitting times
    total = hitting_time(0.4, 1.1, beta)
    times = np.linspace(0.0, 0.95 * total, 6)
    for time, (x1, x2) in zip(times, integrate(0.4, 1.1, beta, times).T, strict=True):
        assert hitting_time(float(x1), float(x2), beta) == pytest.approx(total - time, rel=1e-6)


def test_exact_value_at_beta_one() -> None:
    assert hitting_time(1.0, 1.0, 1.0) == pytest.approx(1 + math.pi / 4, rel=1e-14)


def test_no_end_from_beta_two_on() -> None:
    assert math.isinf(hitting_time(1.0, 1.0, 2.0))
    assert hitting_time(1.0, 1.0, 1.999) > 100


@given(starts, starts, st.floats(0.05, 1.95), st.floats(0.1, 10.0))
@SETTINGS
def test_time_scales_with_the_squared_radius(x1: float, x2: float, beta: float, factor: float) -> None:
    expected = factor**2 * hitting_time(x1, x2, beta)
    assert hitting_time(factor * x1, factor * x2, beta) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("name", ["x1", "x2", "beta"])
def test_rejects_what_is_no_point(name: str, bad: float) -> None:
    with pytest.raises(InvalidArgument, match=name):
        hitting_time(**{"x1": 1.0, "x2": 1.0, "beta": 1.0, name: bad})
