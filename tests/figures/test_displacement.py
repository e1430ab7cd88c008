"""Every check of the displacement map and of the violation region holds on the true arrays, and fails on wrong ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from figures import displacement
from figures.registry import Arrays, Figure
from tests.figures.computed import computed
from tests.figures.controls import add_controls, in_place
from toy_models.displacement_map import POLICIES

FIGURES: dict[str, Figure] = {
    "new-displacement-map": displacement.frequency_map,
    "new-violation-region": displacement.violation_region,
}
Change = Callable[[Arrays], None]
ROW = {name: i for i, name in enumerate(POLICIES)}


def true_arrays(key: str) -> Arrays:
    return computed(key)


def put(name: str, where: object, value: float) -> Change:
    def change(arrays: Arrays) -> None:
        arrays[name][where] = value

    return change


def add(name: str, where: object, by: float) -> Change:
    def change(arrays: Arrays) -> None:
        arrays[name][where] += by

    return change


def backwards(name: str, axis: int = -1) -> Change:
    def change(arrays: Arrays) -> None:
        arrays[name] = np.flip(arrays[name], axis=axis).copy()

    return change


def permute_policies(arrays: Arrays) -> None:
    """Label the tabular row log-linear."""
    for name, values in arrays.items():
        if values.ndim == 3:
            arrays[name] = values[[ROW["log-linear"], 1, 2, 0, 4]]


def as_corollary_2_says(arrays: Arrays) -> None:
    arrays["violated"][:] = 0


def other_curve(arrays: Arrays) -> None:
    """Lower the cosines of the worlds that violate to below the curve."""
    arrays["cosine"] = np.where(arrays["violated"] == 1, 0.05, arrays["cosine"])


def cut_short(arrays: Arrays) -> None:
    """Stop the runs at the start, where not all have made up their mind."""
    arrays["relative"] = arrays["relative"][:, :2]


WRONG: dict[tuple[str, str], tuple[Change, ...]] = {
    ("new-displacement-map", "never_without_sharing"): (
        permute_policies,
        put("displaced", (ROW["tabular"], 3, 3), 0.005),
        put("violated", (ROW["prefix-tree"], 0, 0), 0.005),
    ),
    ("new-displacement-map", "never_with_two_responses"): (backwards("sunk", 1), put("displaced", (4, 0, 4), 0.005)),
    ("new-displacement-map", "rare_with_a_row_of_output_weights_each"): (put("sunk", (ROW["output-mlp"], 2, 2), 0.05),),
    ("new-displacement-map", "grows_with_overlap"): (
        backwards("displaced"),
        backwards("sunk"),
        permute_policies,
        put("sunk", (ROW["log-linear"], 3, 2), 0.9),
    ),
    ("new-displacement-map", "sinks_more_often_than_it_starts"): (
        put("sunk", (ROW["log-linear"], 3, 3), 0.01),
        put("sunk", (ROW["feature-mlp"], 3, 4), 0.4),
    ),
    ("new-displacement-map", "what_is_lost_is_large"): (
        permute_policies,
        put("change", (ROW["feature-mlp"], 2, 4), 0.1),
        put("change", (ROW["tabular"], 2, 4), -0.1),
    ),
    ("new-displacement-map", "errors_are_binomial"): (
        add("displaced_error", (3, 3, 3), 1e-6),
        add("sunk", (3, 3, 3), 0.01),
    ),
    ("new-violation-region", "the_border_of_eq_49_is_exact"): (
        backwards("fails_49"),
        put("fails_49", slice(None), 0),
        add("grid", (slice(None), 0), 0.05),
    ),
    ("new-violation-region", "the_counterexample_is_inside"): (
        add("counterexample", 0, 0.3),
        put("fails_49", slice(None), 0),
    ),
    ("new-violation-region", "no_violation_below_the_cosine"): (
        as_corollary_2_says,
        other_curve,
        backwards("violated"),
    ),
    ("new-violation-region", "above_the_cosine_both_happen"): (
        as_corollary_2_says,
        put("violated", slice(None), 1),
        put("cosine", slice(None), 1.1),
    ),
    ("new-violation-region", "frozen_counterexamples_violate"): (
        put("frozen_gap", 0, 3 / 169),
        put("frozen_cosine", 1, 0.9),
        put("frozen_log_ratio", 1, 0.0),
    ),
    ("new-violation-region", "displaced_runs_end_in_violation"): (
        cut_short,
        put("chosen_wins", slice(None), 1),
        add("relative", (slice(None), -1), 2.0),
        put("relative", (0, 5), np.nan),
    ),
    ("new-violation-region", "the_ladder_crosses_where_it_should"): (
        add("ladder_crossing", ..., 0.2),
        put("ladder_step", ..., 66),
        backwards("ladder"),
    ),
}
for (key, name), changes in WRONG.items():
    add_controls(key, name, map(in_place, changes))


@pytest.mark.parametrize("seed", [1000, 2000])
def test_what_is_seen_does_not_hang_on_the_worlds(seed: int) -> None:
    figure = displacement.violation_region
    assert [check.name for check in figure.failures(figure.compute(worlds=200, seed=seed))] == []


@pytest.mark.slow
def test_the_map_is_alike_in_other_worlds() -> None:
    figure = displacement.frequency_map
    arrays = figure.compute(worlds=200, seed=5000)
    assert [check.name for check in figure.failures(arrays)] == []
    error = np.hypot(arrays["displaced_error"], true_arrays("new-displacement-map")["displaced_error"])
    gap = np.abs(arrays["displaced"] - true_arrays("new-displacement-map")["displaced"])
    assert (gap <= 4 * error + 0.02).all()
