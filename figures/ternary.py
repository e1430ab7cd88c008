"""The 2-simplex as a triangle: maps three probabilities to a point of the plane, and draws the frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from figures.style import label_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
"""Where the three responses lie: left, right, top; the sides have length 1."""


def to_plane(probabilities: np.ndarray) -> np.ndarray:
    """Return the points of the triangle for distributions over three responses; velocities map the same way.

    Args:
        probabilities: ``(..., 3)``.

    Returns:
        ``(..., 2)``.

    Example:
        >>> to_plane(np.array([1 / 3, 1 / 3, 1 / 3])).round(4)
        array([0.5   , 0.2887])
    """
    return np.asarray(probabilities) @ CORNERS


def simplex_grid(steps: int) -> np.ndarray:
    """Return an even grid inside the simplex, no probability 0.

    Args:
        steps: the probabilities are multiples of 1 / steps, >= 3.

    Returns:
        ``(points, 3)``.

    Example:
        >>> simplex_grid(4)
        array([[0.25, 0.25, 0.5 ],
               [0.25, 0.5 , 0.25],
               [0.5 , 0.25, 0.25]])
    """
    points = [(i, j, steps - i - j) for i in range(1, steps - 1) for j in range(1, steps - i)]
    return np.array(points) / steps


def draw_frame(axes: Axes, names: tuple[str, str, str], colors: tuple[str, str, str]) -> None:
    """Draw the triangle with lines of equal probability at 1/4, 1/2 and 3/4, and name the corners."""
    for share in (0.25, 0.5, 0.75):
        for k in range(3):
            ends = np.full((2, 3), 0.0)
            ends[:, k] = share
            ends[0, (k + 1) % 3] = ends[1, (k + 2) % 3] = 1 - share
            axes.plot(*to_plane(ends).T, color="#E4E4E4", linewidth=0.5, zorder=0)
    axes.plot(*CORNERS[[0, 1, 2, 0]].T, color="black", linewidth=0.8, zorder=1)
    places = ((-0.02, -0.03, "center", "top"), (1.02, -0.03, "center", "top"), (0.5, 0.885, "center", "bottom"))
    for name, color, (x, y, ha, va) in zip(names, colors, places, strict=True):
        label_line(axes, x, y, name, color, ha=ha, va=va)
    axes.set(xlim=(-0.08, 1.08), ylim=(-0.1, 0.98), aspect="equal")
    axes.set_axis_off()
