"""Every check of the figures of feng2024 holds on the true loss and field, and fails on wrong ones."""

import numpy as np
import pytest

from dynamics import ratio_field, ratio_flow, ratio_hitting_time, ratio_loss
from figures import feng2024
from tests.figures.computed import computed
from tests.figures.controls import AXES, add_controls, recomputed


def straight(x1: float, x2: float, beta: float, times: np.ndarray) -> np.ndarray:
    return np.stack([x1 + 0 * times, x2 * (1 - times / times[-1])], axis=-1)


def backwards(x1: float, x2: float, beta: float, times: np.ndarray) -> np.ndarray:
    return ratio_flow(x1, x2, beta, times)[::-1]


def stopped_early(x1: float, x2: float, beta: float, times: np.ndarray) -> np.ndarray:
    return ratio_flow(x1, x2, beta, times * 0.9)


def ascent(x1: np.ndarray, x2: np.ndarray, beta: float) -> tuple[np.ndarray, np.ndarray]:
    d1, d2 = ratio_field(x1, x2, beta)
    return -d1, -d2


def steeper(x1: np.ndarray, x2: np.ndarray, beta: float) -> tuple[np.ndarray, np.ndarray]:
    d1, d2 = ratio_field(x1, x2, beta)
    return d1, 1.01 * d2


# figure, check, name in the module, and the wrong function that stands in for it
CONTROLS = [
    ("feng2024-1a", "diagonal_is_ln_2", "ratio_loss", lambda x1, x2, b: ratio_loss(x1, x2, b) + 1e-9),
    ("feng2024-1a", "monotone", "ratio_loss", lambda x1, x2, b: ratio_loss(x2, x1, b)),
    ("feng2024-1a", "constant_on_rays", "ratio_loss", lambda x1, x2, b: np.logaddexp(0, b * (x2 - x1))),
    ("feng2024-1a", "limits_at_the_edges", "ratio_loss", lambda x1, x2, b: np.logaddexp(0, b * (x2 - x1))),
    ("feng2024-1a", "limits_at_the_edges", "ratio_loss", lambda x1, x2, b: ratio_loss(x1, x2, 1.01 * b)),
    ("feng2024-1b", "right_and_down", "ratio_field", ascent),
    ("feng2024-1b", "tangential", "ratio_field", steeper),
    ("feng2024-1b", "circular_arcs", "ratio_flow", straight),
    ("feng2024-1b", "circular_arcs", "ratio_flow", backwards),
    ("feng2024-1b", "corner_strength", "ratio_field", steeper),
    ("feng2024-1b", "third_regime", "ratio_field", lambda x1, x2, b: ratio_field(x1, x2, 0.5)),
    ("feng2024-1b", "third_regime", "ratio_field", lambda x1, x2, b: ratio_field(x1, x2, max(b, 1.0))),
    ("feng2024-1b", "ends_in_time_below_two", "ratio_hitting_time", lambda x1, x2, b: 3.0),
    ("feng2024-1b", "ends_in_time_below_two", "ratio_hitting_time", lambda x1, x2, b: np.inf),
    ("feng2024-1b", "ends_in_time_below_two", "ratio_flow", stopped_early),
]
AXES["feng2024-1a"] = AXES["feng2024-1b"] = frozenset({"beta", "x", "angle", "edge_x2", "starts"})
for key, check, name, wrong in CONTROLS:
    add_controls(key, check, [recomputed(key, feng2024, name, wrong)])


def test_the_arcs_bend_without_kinks() -> None:
    arcs = computed("feng2024-1b")["arcs"]
    angle = np.arctan2(arcs[..., 1], arcs[..., 0])
    # a chord over 0.2 rad departs from its arc by 1/200 of the radius, less than the width of the line
    assert np.abs(np.diff(angle, axis=-1)).max() < 0.2


def test_a_trajectory_leaves_the_feasible_triangle_and_another_does_not() -> None:
    arrays = computed("feng2024-1b")
    total = arrays["arcs"].sum(axis=-1).max(axis=(0, 2))
    assert (arrays["starts"].sum(axis=1) <= 1).all()
    assert total[0] < 1 < total[2]


def test_hitting_times_are_those_of_the_flow() -> None:
    arrays = computed("feng2024-1b")
    assert arrays["hitting_time"][0, 0] == ratio_hitting_time(0.45, 0.45, 0.1)
    # 1 + pi / 4 from (1, 1) at beta = 1, and time scales like the square of the radius
    assert arrays["hitting_time"][2, 0] == pytest.approx(0.45**2 * (1 + np.pi / 4), rel=1e-10)
