"""Every check of ma2025's figure holds on the true arrays, and fails on arrays that are wrong in its own respect."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib as mpl
import numpy as np

from figures import ma2025
from figures.registry import Arrays
from figures.style import PAGE_WIDTH, paper_style
from tests.figures.computed import computed
from tests.figures.controls import add_controls, in_place

FIGURE = ma2025.update_distributions
Change = Callable[[Arrays], None]


def true_arrays() -> Arrays:
    return computed(FIGURE.key)


def tilt(name: str) -> Change:
    """Add a small push to one response of one panel."""

    def change(arrays: Arrays) -> None:
        arrays[name][2, 1, 50] += 1e-6

    return change


def replace(name: str, other: str, panel: object = ...) -> Change:
    """Put one curve in the place of another."""

    def change(arrays: Arrays) -> None:
        arrays[name][panel] = arrays[other][panel]

    return change


def trade_samplings(name: str) -> Change:
    def change(arrays: Arrays) -> None:
        arrays[name] = arrays[name][:, ::-1].copy()

    return change


def move(name: str, by: int, panel: object = ...) -> Change:
    """Move the curves to the right."""

    def change(arrays: Arrays) -> None:
        arrays[name][panel] = np.roll(arrays[name][panel], by, axis=-1)

    return change


def centre(arrays: Arrays) -> None:
    """Let the printed curve sum to zero."""
    arrays["printed"] -= arrays["printed"].mean(-1, keepdims=True)


def wider(arrays: Arrays) -> None:
    """Claim a bell three times as wide."""
    arrays["sigma"] = arrays["sigma"] * 3


def recompute(**settings: object) -> Change:
    """Compute the figure in other worlds, where what must be seen is not there."""

    def change(arrays: Arrays) -> None:
        arrays.update(FIGURE.compute(**settings))

    return change


def invert_imbalance(arrays: Arrays) -> None:
    """What Corollary 1 says."""
    arrays["imbalance"] = 1 / arrays["imbalance"]


WRONG: dict[str, tuple[Change, ...]] = {
    "fitness_is_the_gradient_of_dpo": (tilt("w"), tilt("simulated"), trade_samplings("w")),
    "pushes_sum_to_zero": (tilt("w"), tilt("exact"), centre, replace("exact", "printed")),
    "dpo_pushes_outside_both_modes": (
        replace("w", "printed"),
        replace("w", "exact"),
        trade_samplings("w"),
        move("w", 15),
        wider,
    ),
    "printed_pushes_near_the_policy": (replace("printed", "w"), move("printed", 15), move("printed", -15)),
    "dpo_spills_outside_both_bells": (replace("w", "exact"), replace("printed", "w"), wider),
    "shiftless_curves_lie_close": (trade_samplings("w"), replace("printed", "w"), move("printed", 5)),
    "printed_loses_the_push_up": (
        replace("printed", "exact", (1, 0)),
        replace("exact", "printed", (1, 0)),
        recompute(means=((45.0, 55.0), (48.0, 52.0), (30.0, 70.0))),
    ),
    "printed_is_good_without_a_shift": (replace("printed", "w"), trade_samplings("printed")),
    "imbalance_is_positive": (
        invert_imbalance,
        recompute(means=((45.0, 55.0), (30.0, 70.0), (49.5, 50.5))),
    ),
}
for name, changes in WRONG.items():
    add_controls(FIGURE.key, name, map(in_place, changes))


def test_caption_quotes_the_imbalance_that_is_computed() -> None:
    left, right = true_arrays()["imbalance"].T
    quoted = (
        f"{left[0]:.1f}, {left[1]:.1f}, {left[2]:.1f} on the left and {right[0]:.1f}, {right[1]:.1f}, {right[2]:.1f}"
    )
    assert quoted in FIGURE.caption


def test_drawing_fits_the_page() -> None:
    mpl.use("agg")
    with paper_style():
        drawing = FIGURE.drawers[0](true_arrays())
        drawing.canvas.draw()
        assert drawing.get_size_inches()[0] == PAGE_WIDTH
        assert len(drawing.axes) == 6
        page = drawing.bbox
        for axes in drawing.axes:
            assert len(axes.lines) == 7  # the zero line, three curves, their extremes
            boxes = [text.get_window_extent() for text in axes.texts]
            for i, box in enumerate(boxes):
                assert page.x0 <= box.x0 < box.x1 <= page.x1
                assert page.y0 <= box.y0 < box.y1 <= page.y1
                assert not any(box.overlaps(other) for other in boxes[i + 1 :])
        mpl.pyplot.close(drawing)
