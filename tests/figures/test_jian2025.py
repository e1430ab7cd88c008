"""Every check of jian2025's figures holds on the true arrays, and fails on arrays that are wrong in its own respect."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pytest

from figures import jian2025
from figures.registry import Arrays, Figure
from figures.style import COLUMN_WIDTH, paper_style
from tests.figures.computed import computed
from tests.figures.controls import add_controls, in_place
from toy_models.displacement import WORLDS, ladder_change, ladder_probabilities, run_pair

FIGURES: dict[str, Figure] = {
    "jian2025-1a": jian2025.log_probabilities,
    "jian2025-1b": jian2025.gradient_terms,
    "jian2025-1c": jian2025.log_delta_ratio,
}
Change = Callable[[Arrays], None]


def true_arrays(key: str) -> Arrays:
    return computed(key)


def with_x(x: np.ndarray) -> np.ndarray:
    return np.log(np.stack(ladder_probabilities(x), axis=1))


def cut(arrays: Arrays, steps: int) -> None:
    """Stop the run early."""
    states = len(arrays["step"])
    for name, values in arrays.items():
        arrays[name] = values[: steps + 1] if len(values) == states else values[:steps]


def tabular(arrays: Arrays) -> None:
    """Put the run of a tabular policy, which knows no displacement, in the place of the ladder's."""
    run = run_pair(WORLDS["tabular"], steps=len(arrays["step"]) - 1)
    arrays["log_probs"], arrays["drive"], arrays["actual"] = run.log_probs, run.drive, run.actual
    arrays["predicted"] = run.predicted


def bump(name: str, where: object, by: float) -> Change:
    def change(arrays: Arrays) -> None:
        arrays[name][where] += by

    return change


def reverse(name: str) -> Change:
    def change(arrays: Arrays) -> None:
        arrays[name] = arrays[name][::-1].copy()

    return change


def set_to(name: str, where: object, value: float) -> Change:
    def change(arrays: Arrays) -> None:
        arrays[name][where] = value

    return change


def unlike_signs(arrays: Arrays) -> None:
    """Draw what the paper draws: a value from the first step on."""
    arrays["literal"] = arrays["absolute"].copy()


def swap_changes(arrays: Arrays) -> None:
    """Let the changes agree with Corollary 2 where the literal curve is positive."""
    arrays["actual"][:, [0, 1]] = arrays["actual"][:, [1, 0]]


def shift_run(arrays: Arrays) -> None:
    """Label the states by an x that is off by half: the peak is no longer at x = 1."""
    arrays["x"] = arrays["x"] * 1.5


def other_peak(arrays: Arrays) -> None:
    """Let the chosen response peak above one third."""
    arrays["log_probs"][39, 0] += 0.01


def late_first_order(arrays: Arrays) -> None:
    """Let the first-order changes lag three steps behind."""
    arrays["predicted"] = np.roll(arrays["predicted"], 3, axis=0)


def no_third_phase(arrays: Arrays) -> None:
    """Stop where the rejected response still falls more."""
    cut(arrays, 60)


WRONG: dict[tuple[str, str], tuple[Change, ...]] = {
    ("jian2025-1a", "chosen_rises_then_falls"): (tabular, lambda a: cut(a, 39), bump("log_probs", (100, 0), 0.1)),
    ("jian2025-1a", "rejected_falls_throughout"): (bump("log_probs", (100, 1), 0.1), reverse("log_probs")),
    ("jian2025-1a", "both_end_below_their_start"): (tabular, lambda a: cut(a, 170)),
    ("jian2025-1a", "peaks_where_the_pair_is_even"): (shift_run, other_peak),
    ("jian2025-1a", "gap_widens"): (reverse("log_probs"), bump("log_probs", (100, 0), -0.1)),
    ("jian2025-1a", "mass_goes_to_the_third"): (tabular, lambda a: cut(a, 80), bump("log_probs", (5, 2), 1e-6)),
    ("jian2025-1b", "chosen_drive_crosses_zero_once"): (tabular, lambda a: cut(a, 39), bump("drive", (90, 0), 0.1)),
    ("jian2025-1b", "crosses_where_the_probability_peaks"): (
        bump("drive", (slice(None), 0), 0.1),
        bump("drive", (slice(None), 0), -0.1),
        bump("drive", (slice(None), 0), 2.0),
    ),
    ("jian2025-1b", "rejected_drive_is_negative"): (bump("drive", (0, 1), 0.1), set_to("drive", (50, 1), 1e-9)),
    ("jian2025-1b", "gap_is_squared_distance"): (bump("drive", (50, 1), 1e-9), bump("score_gap", 50, 1e-9)),
    ("jian2025-1b", "gap_is_the_speed_of_the_log_ratio"): (bump("speed", 50, 1e-9), bump("drive", (50, 0), 1e-9)),
    ("jian2025-1b", "closed_forms"): (bump("drive", (50, 2), 1e-9), bump("x", 50, 1e-9)),
    ("jian2025-1c", "three_phases_in_order"): (tabular, no_third_phase, swap_changes, reverse("actual")),
    ("jian2025-1c", "literal_is_undefined_while_signs_differ"): (unlike_signs, set_to("literal", 100, np.nan), tabular),
    ("jian2025-1c", "literal_is_negative_then_positive"): (
        no_third_phase,
        bump("literal", 80, -0.5),
        reverse("literal"),
    ),
    ("jian2025-1c", "positive_means_corollary_2_violated"): (
        swap_changes,
        no_third_phase,
        set_to("literal", 50, 0.1),
    ),
    ("jian2025-1c", "absolute_dives_at_the_peak"): (set_to("absolute", 60, -20.0), reverse("absolute")),
    ("jian2025-1c", "margin_is_positive_and_increasing"): (
        reverse("margin"),
        bump("margin", slice(None), 0.1),
        bump("margin", 50, 1.0),
    ),
    ("jian2025-1c", "first_order_has_the_same_phases"): (late_first_order, shift_run, tabular),
}
for (key, name), changes in WRONG.items():
    add_controls(key, name, map(in_place, changes))


@pytest.mark.parametrize(("beta", "learning_rate", "steps"), [(0.1, 1.0, 200), (1.0, 2.0, 260)])
def test_what_is_seen_does_not_hang_on_the_settings(beta: float, learning_rate: float, steps: int) -> None:
    for figure in FIGURES.values():
        arrays = figure.compute(beta=beta, learning_rate=learning_rate, steps=steps)
        assert [check.name for check in figure.failures(arrays)] == []


def test_arrays_are_those_of_the_closed_form() -> None:
    arrays = true_arrays("jian2025-1c")
    x = arrays["x"]
    np.testing.assert_allclose(arrays["log_probs"], with_x(x), rtol=0, atol=1e-12)
    np.testing.assert_allclose(arrays["actual"], np.stack(ladder_change(x[:-1], x[1:] / x[:-1]), axis=1), atol=1e-14)
    np.testing.assert_allclose(arrays["margin"], np.log(x) + 3, rtol=0, atol=1e-12)


@pytest.mark.parametrize("key", FIGURES)
def test_drawings_fit_a_column(key: str) -> None:
    mpl.use("agg")
    figure = FIGURES[key]
    with paper_style():
        drawing = figure.drawers[0](true_arrays(key))
        drawing.canvas.draw()
        width, height = drawing.get_size_inches()
        assert (width, height <= 3) == (COLUMN_WIDTH, True)
        (axes,) = drawing.axes
        assert axes.get_xlabel()
        assert "nats" in axes.get_ylabel()
        page = drawing.bbox
        boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
        assert len(boxes) >= 3
        for i, box in enumerate(boxes):
            assert page.x0 <= box.x0 < box.x1 <= page.x1
            assert page.y0 <= box.y0 < box.y1 <= page.y1
            assert not any(box.overlaps(other) for other in boxes[i + 1 :])
        mpl.pyplot.close(drawing)
