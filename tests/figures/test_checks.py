"""Every check of every figure: it holds, with room for another machine's digits; it can fail; NaN does not pass it."""

from __future__ import annotations

import fnmatch

import numpy as np
import pytest

from figures.accuracy import perturbed
from figures.catalog import FIGURES
from figures.registry import Arrays
from tests.figures import (  # noqa: F401 - these register their controls
    test_balanced_update,
    test_constrained,
    test_displacement,
    test_feng2024,
    test_gaussian,
    test_jian2025,
    test_jian2025_tables,
    test_language_model_kernel,
    test_language_model_pair,
    test_language_model_path,
    test_language_model_probe,
    test_language_model_stable_po,
    test_language_model_step,
    test_ma2025,
    test_masked_grid,
    test_neighbours,
    test_overoptimization,
    test_protection,
    test_replicator,
    test_self_po_entropy,
    test_sign_table,
    test_stable_po,
    test_sun2025,
    test_training_runs,
    test_wipf2024,
)
from tests.figures.computed import computed
from tests.figures.controls import AXES, CONTROLS

HEADROOM = 10
"""How many times the declared accuracy of an array a check must bear."""

SEEDS = range(8)
EVERY_FIGURE = pytest.mark.parametrize("key", list(FIGURES))
CASES = [(key, check, i) for (key, check), wrong in CONTROLS.items() for i in range(len(wrong))]


def failed(key: str, arrays: Arrays) -> set[str]:
    return {check.name for check in FIGURES[key].failures(arrays)}


def noisy(key: str, arrays: Arrays, times: float, seed: int) -> Arrays:
    return perturbed(arrays, FIGURES[key].accuracy, times, seed)


@EVERY_FIGURE
def test_every_check_holds_with_headroom(key: str) -> None:
    assert failed(key, computed(key)) == set()
    for seed in SEEDS:
        assert failed(key, noisy(key, computed(key), HEADROOM, seed)) == set()


@pytest.mark.parametrize(("key", "check", "i"), CASES)
def test_a_wrong_array_is_seen(key: str, check: str, i: int) -> None:
    wrong = CONTROLS[key, check][i](computed(key))
    (tried,) = (one for one in FIGURES[key].checks if one.name == check)
    assert not tried.passes(wrong)
    for seed in SEEDS[:2]:  # even with ten times the noise that the check must bear
        assert not tried.passes(noisy(key, wrong, 10 * HEADROOM, seed))


def test_every_check_has_a_control_and_every_control_a_check() -> None:
    assert set(CONTROLS) == {(key, check.name) for key, spec in FIGURES.items() for check in spec.checks}


@EVERY_FIGURE
def test_no_check_passes_on_nan(key: str) -> None:
    axes = AXES.get(key, frozenset())
    nan = {
        name: np.full_like(values, np.nan) if values.dtype.kind == "f" and name not in axes else values
        for name, values in computed(key).items()
    }
    assert failed(key, nan) == {check.name for check in FIGURES[key].checks}


@EVERY_FIGURE
def test_every_declared_accuracy_is_of_an_array_and_says_why(key: str) -> None:
    for pattern, accuracy in FIGURES[key].accuracy.items():
        assert accuracy.reason
        assert fnmatch.filter(computed(key), pattern), f"no array is called {pattern}"
