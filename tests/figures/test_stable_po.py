"""Every check of Figures 5 and 6 of jian2025 holds on the true arrays, and fails on wrong ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from figures import stable_po
from figures.registry import Arrays, Figure
from tests.figures.computed import computed
from tests.figures.controls import add_controls, in_place

FIGURES: dict[str, Figure] = {"jian2025-5": stable_po.log_probabilities, "jian2025-6": stable_po.by_weight}
Change = Callable[[Arrays], None]
STABLE, DPO, ONE_LEVEL = 0, 1, 2


def true_arrays(key: str) -> Arrays:
    return computed(key)


def swap(a: int, b: int) -> Change:
    """Let two methods change places."""

    def change(arrays: Arrays) -> None:
        arrays["pair"][[a, b]] = arrays["pair"][[b, a]]

    return change


def replace(a: int, by: int) -> Change:
    def change(arrays: Arrays) -> None:
        arrays["pair"][a] = arrays["pair"][by]

    return change


def as_the_paper_says(arrays: Arrays) -> None:
    """Give DPO the smaller margin: half of what its rejected answers lost."""
    rejected = arrays["pair"][DPO, :, :, 1]
    arrays["pair"][DPO, :, :, 1] = rejected[:, :1] + 0.1 * (rejected - rejected[:, :1])


def cut(steps: int) -> Change:
    def change(arrays: Arrays) -> None:
        arrays["pair"] = arrays["pair"][:, :, : steps + 1]
        arrays["step"] = arrays["step"][: steps + 1]

    return change


def flat(name: str) -> Change:
    """Let a setting have no effect."""

    def change(arrays: Arrays) -> None:
        arrays[name] = np.repeat(arrays[name][:, :1], arrays[name].shape[1], axis=1)

    return change


def add(name: str, where: object, by: float) -> Change:
    def change(arrays: Arrays) -> None:
        arrays[name][where] += by

    return change


def noisy(arrays: Arrays) -> None:
    """Keep the means and drown them: +1 in every other task, -1 in those between, at every lambda but 0."""
    arrays["by_penalty"][:, 1:] += np.where(np.arange(arrays["by_penalty"].shape[-1]) % 2, 1.0, -1.0)


def backwards(name: str) -> Change:
    def change(arrays: Arrays) -> None:
        arrays[name] = arrays[name][:, ::-1].copy() if arrays[name].ndim > 1 else arrays[name][::-1].copy()

    return change


WRONG: dict[tuple[str, str], tuple[Change, ...]] = {
    ("jian2025-5", "stable_po_lifts_the_chosen"): (
        swap(STABLE, DPO),
        add("pair", (STABLE, slice(0, 4), -1, 0), -1.0),
    ),
    ("jian2025-5", "dpo_lifts_then_sinks_the_chosen"): (swap(STABLE, DPO), cut(15)),
    ("jian2025-5", "dpo_is_less_steady"): (swap(STABLE, DPO), replace(DPO, STABLE)),
    ("jian2025-5", "both_push_the_rejected_down"): (swap(STABLE, DPO), add("pair", (STABLE, slice(None), -1, 1), 3.0)),
    ("jian2025-5", "margin_of_dpo_is_larger"): (as_the_paper_says, swap(STABLE, DPO), replace(DPO, STABLE)),
    ("jian2025-5", "one_level_is_enough"): (replace(ONE_LEVEL, DPO), add("pair", (ONE_LEVEL, ..., 0), 0.2)),
    ("jian2025-6", "small_lambda_is_dpo"): (
        backwards("by_penalty"),
        flat("by_penalty"),
        add("by_penalty", (slice(None), slice(1, 2)), 0.1),
    ),
    ("jian2025-6", "lambda_helps"): (
        flat("by_penalty"),
        add("by_penalty", (slice(None), 0), 0.1),
        noisy,
    ),
    ("jian2025-6", "slight_drop_on_training_prompts"): (
        backwards("by_penalty"),
        flat("by_penalty"),
        add("by_penalty", (0, -1), 0.02),
        add("by_penalty", (0, -1), -0.1),
    ),
    ("jian2025-6", "no_drop_on_held_out_prompts"): (add("by_penalty", (1, -1), -0.1), backwards("by_penalty")),
    ("jian2025-6", "flat_for_small_gamma"): (add("by_gamma", (0, 1), 0.02), add("by_gamma", (1, 2), -0.02)),
    ("jian2025-6", "large_gamma_does_harm"): (flat("by_gamma"), backwards("by_gamma")),
    ("jian2025-6", "two_tabular_responses_stall"): (
        backwards("tabular"),
        add("stall", ..., 1.0),
        add("stall", ..., -0.3),
    ),
}
for (key, name), changes in WRONG.items():
    add_controls(key, name, map(in_place, changes))


@pytest.mark.slow
def test_what_is_seen_in_figure_5_does_not_hang_on_the_seed() -> None:
    arrays = FIGURES["jian2025-5"].compute(seed=1, penalty=2.0, overlap=0.97)
    assert [check.name for check in FIGURES["jian2025-5"].failures(arrays)] == []


def test_shapes() -> None:
    assert true_arrays("jian2025-5")["pair"].shape == (3, 32, 301, 2)
    assert true_arrays("jian2025-6")["by_penalty"].shape == (2, 9, 32)
    assert true_arrays("jian2025-6")["by_gamma"].shape == (2, 7, 32)
    # lambda = 1 with gamma = 0 is in both panels, trained on the same minibatches
    in_both = [true_arrays("jian2025-6")[name][:, i] for name, i in (("by_penalty", 5), ("by_gamma", 0))]
    np.testing.assert_allclose(in_both[0], in_both[1], rtol=0, atol=1e-12)
