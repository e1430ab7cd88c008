import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.integrate import solve_ivp

from dynamics import InvalidArgument
from theory.sun2025.floor import FLOOR_MARGIN
from theory.sun2025.margins import LIMIT_OF_STEPS, both_settle, descend, independent, noisy_floor, push, shared_floor

SETTINGS = settings(derandomize=True, deadline=None, max_examples=60)


@pytest.mark.parametrize(("many", "scale"), [(100, 10), (1e4, 20), (3, 0.5), (1, 1), (5, 4)])
def test_the_flow_from_zero_stops_at_the_shared_floor(many: float, scale: float) -> None:
    run = solve_ivp(
        lambda _, theta: (many * push(theta) + scale * push(scale * theta)) / (many + scale),
        (0, 3000),
        [0.0],
        method="LSODA",
        rtol=1e-10,
        atol=1e-12,
    )
    assert run.y[0, -1] == pytest.approx(shared_floor(many, scale), abs=1e-6)


@given(st.floats(1.0, 1e4), st.floats(0.1, 20.0))
@SETTINGS
def test_the_shared_floor_is_stationary(many: float, scale: float) -> None:
    theta = shared_floor(many, scale)
    assert theta > 0
    assert float(many * push(theta) + scale * push(scale * theta)) == pytest.approx(0.0, abs=1e-9 * (many + scale))


def test_a_single_pair_is_not_carried() -> None:
    assert shared_floor(7, 1) == pytest.approx(FLOOR_MARGIN, abs=1e-12)


@pytest.mark.parametrize(("name", "bad"), [("ordinary", 0.0), ("ordinary", math.inf), ("scale", -1.0), ("scale", 0.0)])
def test_rejects_impossible_crowds(name: str, bad: float) -> None:
    with pytest.raises(InvalidArgument, match=name):
        shared_floor(**{"ordinary": 1.0, "scale": 1.0, name: bad})


def test_independent_margins_settle_and_dependent_ones_do_not() -> None:
    assert independent(((1, 0), (1, 1)))
    assert both_settle(((1, 0), (1, 1)))
    assert not independent(((1, 2), (2, 4)))
    assert not both_settle(((1, 2), (2, 4)))


@given(st.floats(0.005, 0.995))
@SETTINGS
def test_noisy_floor_is_the_least_expected_loss(eta: float) -> None:
    m = noisy_floor(eta)
    grid = np.linspace(-6.0, 6.0, 2401)

    def expected(margin: np.ndarray | float) -> np.ndarray:
        return margin * (1 / (1 + np.exp(-np.asarray(margin))) - eta)

    assert expected(m) <= expected(grid).min() + 1e-12
    assert noisy_floor(1 - eta) == pytest.approx(-m, abs=1e-9)
    assert abs(m) < FLOOR_MARGIN


def test_descent_settles_below_the_limit_and_not_above() -> None:
    start = FLOOR_MARGIN + 1e-3
    assert descend(start, 0.9 * LIMIT_OF_STEPS, 1000) == pytest.approx(FLOOR_MARGIN, abs=1e-9)
    assert abs(descend(start, 1.2 * LIMIT_OF_STEPS, 1000) - FLOOR_MARGIN) > 1e-2
    assert descend(0.3, 1e-3, 1) - 0.3 == pytest.approx(1e-3 * float(push(0.3)), rel=1e-9)


@pytest.mark.parametrize("bad", [0.0, 1.0, math.nan])
def test_noisy_floor_needs_a_chance_of_both_labels(bad: float) -> None:
    with pytest.raises(InvalidArgument, match="eta"):
        noisy_floor(bad)
