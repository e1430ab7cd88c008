import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.integrate import solve_ivp

from dynamics import InvalidArgument
from theory.sun2025.floor import FLOOR_MARGIN
from theory.sun2025.margins import LIMIT_OF_STEPS, descend, push, shared_floor

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


def settled(gradients: list[list[int]]) -> np.ndarray:
    """Return both margins after a long gradient flow of the sum of two losses from margin 0."""
    rows = np.array(gradients, dtype=float)
    kernel = rows @ rows.T
    run = solve_ivp(lambda _, m: kernel @ push(m), (0, 2000), [0.0, 0.0], method="LSODA", rtol=1e-9, atol=1e-11)
    return run.y[:, -1]


@pytest.mark.parametrize("gradients", [[[1, 0], [1, 1]], [[1, 0], [2, 1]], [[-2, 1], [1, 2]]])
def test_independent_margins_settle(gradients: list[list[int]]) -> None:
    np.testing.assert_allclose(settled(gradients), FLOOR_MARGIN, atol=1e-5)


@pytest.mark.parametrize("gradients", [[[1, 0], [2, 0]], [[1, 2], [2, 4]]])
def test_dependent_margins_do_not(gradients: list[list[int]]) -> None:
    low, high = settled(gradients)
    assert low < FLOOR_MARGIN - 0.1
    assert high > FLOOR_MARGIN + 0.1


def test_descent_settles_below_the_limit_and_not_above() -> None:
    start = FLOOR_MARGIN + 1e-3
    assert descend(start, 0.9 * LIMIT_OF_STEPS, 1000) == pytest.approx(FLOOR_MARGIN, abs=1e-9)
    assert abs(descend(start, 1.2 * LIMIT_OF_STEPS, 1000) - FLOOR_MARGIN) > 1e-2
    assert descend(0.3, 1e-3, 1) - 0.3 == pytest.approx(1e-3 * float(push(0.3)), rel=1e-9)
