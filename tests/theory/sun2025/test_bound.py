import math
from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from dynamics import InvalidArgument
from theory.sun2025.bound import long_and_short, pointwise_constant, slack
from theory.sun2025.floor import W

deltas = st.floats(0.0, 50.0)
SETTINGS = settings(derandomize=True, deadline=None, max_examples=100)


def excess(x: np.ndarray, delta: float) -> np.ndarray:
    return np.logaddexp(0, x + delta) - x / (1 + np.exp(-x))


@given(deltas, st.floats(-40.0, 40.0))
@SETTINGS
def test_nothing_exceeds_the_pointwise_constant(delta: float, x: float) -> None:
    assert excess(np.array(x), delta) <= pointwise_constant(delta) + 1e-13


@given(deltas)
@SETTINGS
def test_it_is_attained_between_zero_and_the_floor(delta: float) -> None:
    grid = np.linspace(0.0, 1.3, 26001)
    assert excess(grid, delta).max() == pytest.approx(pointwise_constant(delta), abs=1e-8)


@given(deltas, st.floats(0.01, 5.0))
@SETTINGS
def test_what_it_adds_to_delta_falls_from_ln_2_to_w(delta: float, step: float) -> None:
    here, there = pointwise_constant(delta) - delta, pointwise_constant(delta + step) - delta - step
    assert W - 1e-13 <= there <= here + 1e-13
    assert here <= math.log(2) + 1e-15


def test_dropping_the_sign_of_delta_breaks_ln_2_plus_delta() -> None:
    # the twin: for Delta = -5 the constant ln 2 + Delta is too small already at x = 0
    assert excess(np.array(0.0), -5.0) > math.log(2) - 5


@pytest.mark.parametrize("bad", [-0.1, math.nan, math.inf])
def test_rejects_what_no_reference_gives(bad: float) -> None:
    with pytest.raises(InvalidArgument, match="delta"):
        pointwise_constant(bad)


@given(st.fractions(-20, 20, max_denominator=60), st.fractions(-20, 20, max_denominator=60))
@SETTINGS
def test_slack_in_forty_digits_agrees_with_floats(x: F, delta: F) -> None:
    case = {"x": x, "Delta": delta}
    plain = -float(excess(np.array(float(x)), float(delta)))
    assert float(slack(case)) == pytest.approx(plain, abs=1e-12)
    assert float(slack(case, "ln 2", 1)) == pytest.approx(plain + math.log(2) + float(delta), abs=1e-12)
    positive = max(float(delta), 0.0)
    assert float(slack(case, "W", 1, positive_part=True)) == pytest.approx(plain + W + positive, abs=1e-12)


def test_length_normalisation_separates_the_two_losses() -> None:
    dpo, spo = long_and_short(40.0)
    assert dpo == pytest.approx(10.0 + math.log1p(math.exp(-10.0)))
    assert spo == pytest.approx(-10.0 / (1 + math.exp(10.0)))
