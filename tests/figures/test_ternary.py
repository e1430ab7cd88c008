"""The triangle: corners where they belong, velocities that stay in it, a grid that covers it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st
from matplotlib.figure import Figure

from figures.ternary import CORNERS, draw_frame, simplex_grid, to_plane


def test_a_sure_policy_lies_in_its_corner() -> None:
    assert np.array_equal(to_plane(np.eye(3)), CORNERS)


def test_the_sides_have_length_one() -> None:
    sides = np.linalg.norm(CORNERS - np.roll(CORNERS, 1, axis=0), axis=1)
    assert np.abs(sides - 1).max() < 1e-15


@given(st.lists(st.floats(0.01, 1), min_size=3, max_size=3))
def test_a_probability_is_the_distance_from_the_opposite_side(weights: list[float]) -> None:
    p = np.array(weights) / sum(weights)
    for k in range(3):
        start, end = np.delete(CORNERS, k, axis=0)
        (a, b), (c, d) = end - start, to_plane(p) - start
        assert abs(a * d - b * c) / (np.sqrt(3) / 2) == np.float64(p[k]).round(14) or np.isclose(
            abs(a * d - b * c) / (np.sqrt(3) / 2), p[k], atol=1e-14
        )


@given(st.integers(3, 40))
def test_the_grid_lies_inside_and_is_whole(steps: int) -> None:
    grid = simplex_grid(steps)
    assert len(grid) == (steps - 1) * (steps - 2) // 2 == len(np.unique(grid, axis=0))
    assert (grid > 0).all()
    assert np.abs(grid.sum(1) - 1).max() < 1e-12


def test_the_frame_names_its_corners() -> None:
    axes = Figure().add_subplot()
    draw_frame(axes, ("a", "b", "c"), ("red", "green", "blue"))
    assert [text.get_text() for text in axes.texts] == ["a", "b", "c"]
    assert not axes.axison
