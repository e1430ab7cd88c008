"""Every check of the balanced update's figure holds, and fails on the update that it says is wrong."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.special import softmax

from dynamics import ProbabilityMargin, Tabular, bradley_terry, preference_matrix, step
from figures import balanced_update
from figures.balanced_update import fitness, updates
from figures.registry import FIGURES, Arrays
from tests.figures.controls import add_controls, updated
from theory.ma2025.balanced_update import exact_update, printed_update
from theory.ma2025.replicator import Selection

FIGURE = FIGURES["new-balanced-update"]
Change = Callable[[Arrays], Arrays]


def failed(arrays: Arrays) -> set[str]:
    return {check.name for check in FIGURE.failures(arrays)}


def put(**replaced: str) -> Change:
    return lambda a: {name: a[other] for name, other in replaced.items()}


def few_printed(a: Arrays) -> Arrays:
    return {"few_exact": updates(a["few"], fitness(a["few"], np.array([1.0, 0.0, -1.0])))[1]}


def exact_twice(a: Arrays) -> Arrays:
    """What Eq. 14 would be if it were right."""
    return {"bars": a["bars"][[0, 0]], "printed": a["exact"]}


CONTROLS: list[tuple[str, Change]] = [
    ("exact_is_the_step_of_the_loss", few_printed),
    ("exact_is_the_step_of_the_loss", lambda a: {"few_descent": 2 * a["few_descent"]}),
    ("printed_raises_what_falls", exact_twice),
    ("printed_raises_what_falls", lambda a: {"bars": a["bars"][::-1]}),
    ("splitting_changes_nothing", lambda a: {"split_bars": a["split_bars"][[0, 0]]}),
    ("splitting_changes_nothing", lambda a: {"split_largest": np.array(2 / 3)}),
    ("difference_is_the_mean_fitness", exact_twice),
    ("difference_is_the_mean_fitness", lambda a: {"mean_fitness": -a["mean_fitness"]}),
    ("signs_are_wrong_in_places", exact_twice),
    ("signs_are_wrong_in_places", lambda a: {"printed": -a["printed"]}),
    ("signs_are_wrong_in_places", lambda a: {"printed": 1.2 * a["exact"]}),  # too large, but along the exact one
    ("small_probabilities_do_not_help", lambda a: {"error": a["error"] * [[1.0], [1.0], [0.05]]}),
    ("small_probabilities_do_not_help", put(largest="error")),
    ("small_probabilities_do_not_help", lambda a: {"tilt": a["tilt"] + 0.1}),
    ("printed_is_too_large", lambda a: {"growth": np.ones_like(a["growth"])}),
    ("printed_is_too_large", lambda a: {"growth": 1 / a["growth"]}),
]
for name, made in CONTROLS:
    add_controls(FIGURE.key, name, [updated(made)])


def test_eq_14_taken_for_the_exact_update_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def printed_twice(p: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return (updates(p, w)[1],) * 2

    monkeypatch.setattr(balanced_update, "updates", printed_twice)
    seen = failed(FIGURE.compute(steps=30, responses=(50, 1000), tilts=7))
    assert {
        "exact_is_the_step_of_the_loss",
        "difference_is_the_mean_fitness",
        "small_probabilities_do_not_help",
    } <= seen


@given(st.lists(st.tuples(st.integers(1, 12), st.fractions(-3, 3, max_denominator=7)), min_size=2, max_size=6))
def test_both_updates_are_those_of_the_ledger(drawn: list[tuple[int, F]]) -> None:
    total = sum(weight for weight, _ in drawn)
    p, w = tuple(F(weight, total) for weight, _ in drawn), tuple(b for _, b in drawn)
    case = Selection(p, w)
    exact, printed = updates(np.array(p, dtype=float), np.array(w, dtype=float))
    assert np.abs(exact - np.array(exact_update(case), dtype=float)).max() < 1e-14
    assert np.abs(printed - np.array(printed_update(case), dtype=float)).max() < 1e-14


def test_a_real_step_follows_the_exact_update_and_not_the_printed_one() -> None:
    rewards = np.array([1.0, 0.0, -1.0])
    p = softmax([0.3, 1.5, -0.4])
    exact, printed = updates(p, fitness(p, rewards))
    asked = preference_matrix(bradley_terry(rewards))
    residual = []
    for learning_rate in (1e-2, 1e-3):
        account = step(
            Tabular(3),
            np.log(p),
            preferences=asked,
            loss=ProbabilityMargin(),
            learning_rate=float(asked.weight.sum()) * learning_rate,  # of the sum over pairs
        )
        change = (account.new_log_probs.exp().numpy() - p) / learning_rate
        residual.append([np.abs(change - claimed).max() for claimed in (exact, printed)])
    assert np.log10(residual[0][0] / residual[1][0]) == pytest.approx(1.0, abs=0.05)
    # what is left of the printed one does not fall with the step
    assert residual[1][1] == pytest.approx(residual[0][1], rel=0.1)
    assert residual[1][1] > 20 * residual[1][0]
