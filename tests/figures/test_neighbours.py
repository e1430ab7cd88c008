"""Every check of the figures after neighbouring papers holds, and fails on arrays that are wrong in its respect."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction as F

import numpy as np
import pytest

from figures.forces_of_losses import border
from figures.group_size import factor
from figures.registry import Arrays
from figures.squeezing import log_changes
from figures.unembeddings import drive
from tests.figures.controls import AXES, add_controls, updated
from theory.decision.weighted import WeightedWorld
from theory.razin2024.one_token import tokens_at
from theory.worlds import World
from theory.wu2025.group_size import multiple

Change = Callable[[Arrays], Arrays]

AXES["new-rejected-longer"] = frozenset({"length", "cosine", "border"})
AXES["new-squeezing"] = frozenset({"size", "p"})
AXES["new-dpop-vanishes"] = frozenset({"penalty", "margin", "length"})
AXES["new-force-border"] = frozenset({"share", "ratio"})
AXES["new-group-size"] = frozenset({"p"})


def mirrored(a: Arrays) -> Arrays:
    """The drive if the shorter unembedding were the one that displaces."""
    inverse = np.maximum(a["length"], 1e-3)
    return {"drive": np.stack([drive(1 / inverse, float(c), 1 / 3, 1 / 3) for c in a["cosine"]])}


CONTROLS: list[tuple[str, str, Change]] = [
    ("new-rejected-longer", "falls_only_if_longer", mirrored),
    ("new-rejected-longer", "falls_only_if_longer", lambda a: {"drive": np.abs(a["drive"])}),
    ("new-rejected-longer", "parallel_falls_between_one_and_the_border", lambda a: {"border": a["border"] * 1.1}),
    ("new-rejected-longer", "parallel_falls_between_one_and_the_border", lambda a: {"drive": a["drive"] + 0.01}),
    ("new-rejected-longer", "a_small_angle_saves_it", lambda a: {"drive": a["drive"][::-1]}),
    ("new-rejected-longer", "a_small_angle_saves_it", lambda a: {"drive": a["drive"] - 0.1}),
    ("new-rejected-longer", "ches_is_a_coin", lambda a: {"ches": -a["drives"]}),
    ("new-rejected-longer", "ches_is_a_coin", lambda a: {"ches": a["ches"][::2], "drives": a["drives"][::2]}),
    ("new-squeezing", "threshold_decides_the_first_step", lambda a: {"p": a["p"][::-1]}),
    ("new-squeezing", "threshold_decides_the_first_step", lambda a: {"negative": a["pair"]}),
    ("new-squeezing", "greedy_always_rises_in_a_negative_step", lambda a: {"negative": a["pair"]}),
    ("new-squeezing", "greedy_always_rises_in_a_negative_step", lambda a: {"negative": a["negative"] + 0.01}),
    ("new-squeezing", "others_move_together_in_dpo", lambda a: {"pair": a["negative"]}),
    ("new-squeezing", "chosen_rises_and_rejected_falls", lambda a: {"pair": a["negative"]}),
    ("new-squeezing", "chosen_rises_and_rejected_falls", lambda a: {"pair": -a["pair"]}),
    ("new-dpop-vanishes", "loss_falls_to_zero", lambda a: {"loss": a["loss"] + 0.01}),
    ("new-dpop-vanishes", "loss_falls_to_zero", lambda a: {"loss": a["loss"][:, ::-1]}),
    ("new-dpop-vanishes", "loss_is_one_curve", lambda a: {"loss": a["loss"] * a["penalty"][:, None]}),
    ("new-dpop-vanishes", "loss_is_one_curve", lambda a: {"penalty": np.ones(3)}),
    ("new-dpop-vanishes", "chosen_vanishes", lambda a: {"chosen": np.sqrt(a["chosen"])}),
    ("new-dpop-vanishes", "chosen_vanishes", lambda a: {"chosen": a["rejected"], "rejected": a["chosen"]}),
    ("new-dpop-vanishes", "larger_penalties_ask_for_longer_scores", lambda a: {"cosine": a["cosine"][::-1]}),
    ("new-dpop-vanishes", "larger_penalties_ask_for_longer_scores", lambda a: {"cosine": a["cosine"] * 1.1}),
    ("new-force-border", "border_is_above_two", lambda a: {"border": a["border"] - 0.1}),
    ("new-force-border", "border_is_above_two", lambda a: {"border": a["border"][::-1]}),
    ("new-force-border", "three_displaces_one_eleventh", lambda a: {"eleventh": a["eleventh"] + 0.1}),
    ("new-force-border", "dpo_has_equal_forces", lambda a: {"force": a["force"][[1, 0, 2, 3, 4]]}),
    ("new-force-border", "dpo_has_equal_forces", lambda a: {"force": a["force"][[0, 1, 3, 2, 4]]}),
    ("new-force-border", "squaredpo_turns_at_e", lambda a: {"force": a["force"][[0, 1, 2, 3, 1]]}),
    ("new-force-border", "squaredpo_turns_at_e", lambda a: {"ratio": a["ratio"] / 3}),
    ("new-group-size", "two_and_three_are_accuracy", lambda a: {"factor": a["factor"] / np.sqrt(2)}),
    ("new-group-size", "two_and_three_are_accuracy", lambda a: {"factor": a["factor"][[0, 2, 1, 3, 4]]}),
    ("new-group-size", "four_is_the_closed_form", lambda a: {"factor": a["factor"][[0, 1, 1, 3, 4]]}),
    ("new-group-size", "four_is_the_closed_form", lambda a: {"factor": a["factor"] * np.sqrt(3 / 4)}),
    ("new-group-size", "grows_to_the_limit", lambda a: {"factor": a["factor"][::-1]}),
    ("new-group-size", "grows_to_the_limit", lambda a: {"limit": a["limit"] * 0.9}),
    ("new-group-size", "extremes_count_more_in_large_groups", lambda a: {"factor": 5 - a["factor"]}),
    ("new-group-size", "extremes_count_more_in_large_groups", lambda a: {"factor": a["factor"][[0, 1, 1, 1, 1]]}),
]
for figure_key, check, made in CONTROLS:
    add_controls(figure_key, check, [updated(made)])


@pytest.mark.parametrize("length", [0.5, 1.0, 1.5])
def test_the_drive_is_that_of_a_world_of_tokens(length: float) -> None:
    world = tokens_at([[1], [F(length)], [0]], [0], [F(1, 3)] * 3)
    assert float(world.drive("+")) == pytest.approx(float(drive(np.array(length), 1.0, 1 / 3, 1 / 3)), abs=1e-12)


def test_steps_are_those_of_a_softmax() -> None:
    p = np.array([0.5, 0.3, 0.2])
    moved = p * np.exp(2.0 * np.array([1.0, -1.0, 0.3]))
    expected = np.log(moved / moved.sum()) - np.log(p)
    assert log_changes(p, np.array([1.0, -1.0, 0.3]), np.array([2.0]))[0] == pytest.approx(expected)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.18])
def test_the_border_is_where_a_tabular_drive_is_zero(share: float) -> None:
    world = World.tabular([F(f"{share}"), F(f"{share}"), 1 - 2 * F(f"{share}")])
    ratio = float(border(np.array([share]))[0])
    below, above = (float(WeightedWorld(world, F(1), F(ratio * by)).A_w) for by in (0.999, 1.001))
    assert above < 0 < below


@pytest.mark.parametrize("size", [2, 3, 4, 6])
def test_the_factor_is_that_of_all_outcomes(size: int) -> None:
    for p in (0.05, 0.3, 0.5):
        assert float(factor(np.array([p]), size)[0]) == pytest.approx(float(multiple(p, size)), abs=1e-12)
