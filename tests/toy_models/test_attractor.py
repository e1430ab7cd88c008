"""The margin of a pair under gradient flow and descent against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dynamics import InvalidArgument
from theory.sun2025 import margins
from theory.sun2025.floor import FLOOR_CURVATURE, FLOOR_MARGIN, W
from theory.sun2025.margins import LIMIT_OF_STEPS, push, shared_floor
from toy_models.overoptimization import descend_margins, flow_margins, shared_margins


def slope(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def test_where_and_how_fast_it_settles() -> None:
    """Audit S-26: 1 + W, and 0.21781 = W / (1 + W) for both sides."""
    late = np.array([0.0, 60.0, 70.0])
    distance = flow_margins([-3.0, 1.2, 2.0], late) - FLOOR_MARGIN
    rate = np.log(distance[1] / distance[2]) / 10
    np.testing.assert_allclose(rate, FLOOR_CURVATURE, rtol=2e-3)
    assert pytest.approx(0.217812, abs=1e-6) == FLOOR_CURVATURE
    assert np.abs(flow_margins([-3.0, 5.0], [0.0, 300.0])[-1] - 1.278464542761074).max() < 1e-8


def test_one_step_is_one_unit_of_the_flow() -> None:
    """First order: a step of size s moves the margin by s push(m), the flow by the same, to the order of s^2."""
    sizes = np.geomspace(1e-3, 1e-1, 5)
    for start in (-2.0, 0.5, 3.0):
        ends = descend_margins([start], sizes.tolist(), 1)[-1, :, 0]
        np.testing.assert_allclose(ends - start, sizes * push(start), rtol=1e-9)
        flow = np.array([flow_margins([start], [0.0, float(s)])[-1, 0] for s in sizes])
        assert slope(sizes, np.abs(flow - ends)) == pytest.approx(2.0, abs=0.05)


def test_near_the_floor_a_step_multiplies_the_distance() -> None:
    """By 1 - s W / (1 + W), to the second order in the distance."""
    off = np.geomspace(1e-4, 1e-2, 5)
    for size in (1.0, 5.0, 9.0):
        after = descend_margins((FLOOR_MARGIN + off).tolist(), [size], 1)[-1, 0] - FLOOR_MARGIN
        rest = np.abs(after - (1 - size * FLOOR_CURVATURE) * off)
        assert slope(off, rest) == pytest.approx(2.0, abs=0.1)


def test_descent_agrees_with_one_margin_at_a_time() -> None:
    starts, sizes = [-10.0, -2.0, 4.0], [0.5, 8.0, 20.0]
    seen = descend_margins(starts, sizes, 60)[-1]
    expected = [[margins.descend(start, size, 60) for start in starts] for size in sizes]
    np.testing.assert_allclose(seen, expected, rtol=1e-5)  # steps of size 20 magnify the last bit


@pytest.mark.parametrize(("share", "settles"), [(0.95, True), (1.1, False)])
def test_the_limit_of_the_step_size(share: float, settles: bool) -> None:
    end = descend_margins([FLOOR_MARGIN + 1e-3], [share * LIMIT_OF_STEPS], 1500)[-1, 0, 0]
    assert bool(abs(end - FLOOR_MARGIN) < 1e-9) is settles
    assert pytest.approx(9.1822, abs=1e-4) == LIMIT_OF_STEPS


def test_a_large_step_jumps_the_floor() -> None:
    """Audit S-26: from -10 with size 20 to 10 in one step; 5.4 after 1e4 (8.6 after 100)."""
    path = descend_margins([-10.0], [20.0], 101)[:, 0, 0]
    assert path[1] == pytest.approx(10.0, abs=0.05)
    assert path[101] == pytest.approx(8.6, abs=0.05)
    assert margins.descend(-10.0, 20.0, 10001) < 5.4


def test_the_way_back_is_slow_and_the_basin_is_everything() -> None:
    starts = [-30.0, -5.0, 6.0, 7.0]
    path = flow_margins(starts, [0.0, 50.0, 900.0])
    assert np.abs(path[-1] - FLOOR_MARGIN).max() < 1e-6
    assert path[1, 2] > 5
    assert path[1, 3] > 6.5


def test_shared_parameters_carry_a_pair() -> None:
    """Audit S-26: (N, c) = (100, 10) gives 12.78, (1e4, 20) gives 25.57; alone, the pair is held near the floor."""
    many, scales = [100, 10_000, 1, 3], [10.0, 20.0, 1.0, 4.0]
    theta, last = shared_margins(many, scales, time=400.0).T
    assert last[:2] == pytest.approx([12.784, 25.569], abs=1e-3)
    expected = [shared_floor(n, c) for n, c in zip(many, scales, strict=True)]
    np.testing.assert_allclose(theta, expected, rtol=1e-7)
    np.testing.assert_allclose(last, theta * scales, rtol=1e-12)
    assert last[2] == pytest.approx(1 + W, abs=1e-8)


def test_the_logistic_loss_never_settles() -> None:
    times = np.array([0.0, 10.0, 1000.0])
    margin = flow_margins([-0.7], times, "simpo")[:, 0]
    np.testing.assert_allclose(margin + np.exp(margin), -0.7 + math.exp(-0.7) + times, rtol=1e-8, atol=1e-9)


def test_impossible_pairs_are_refused() -> None:
    with pytest.raises(InvalidArgument):
        descend_margins([0.0], [-1.0], 3)
    with pytest.raises(InvalidArgument):
        flow_margins([math.nan], [0.0, 1.0])
    with pytest.raises(InvalidArgument):
        shared_margins([0], [1.0])
    with pytest.raises(InvalidArgument):
        shared_margins([1], [-1.0])
