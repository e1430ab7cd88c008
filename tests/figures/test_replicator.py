"""Every check of the replicator figure holds, and fails on dynamics that are not DPO's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.special import log_softmax

from dynamics import DPO, Tabular, bradley_terry, pairs, preference_matrix, replicator_fitness, step
from figures import replicator
from figures.registry import FIGURES, Arrays
from figures.replicator import lemma_fitness
from tests.figures.computed import computed
from tests.figures.controls import add_controls, updated

FIGURE = FIGURES["new-replicator-simplex"]
Change = Callable[[Arrays], Arrays]


def true_arrays() -> Arrays:
    return computed(FIGURE.key)


def failed(arrays: Arrays) -> set[str]:
    return {check.name for check in FIGURE.failures(arrays)}


def put(**replaced: str) -> Change:
    return lambda a: {name: a[other] for name, other in replaced.items()}


def without_mean(a: Arrays) -> Arrays:
    """Forget the mean fitness, as Eq. 14 does."""
    return {"all_velocity": a["grid"] * a["all_simulated"]}


def freeze(name: str, response: int) -> Change:
    """Let one response stand still."""

    def change(a: Arrays) -> Arrays:
        velocity = a[name].copy()
        velocity[:, response] = 0.0
        return {name: velocity}

    return change


def turn(a: Arrays) -> Arrays:
    """Let the trajectories of the one pair cross those that keep the invariant."""
    logs = a["one_paths"].copy()
    logs[..., 2] += np.linspace(0.0, 0.1, logs.shape[1])
    return {"one_paths": logs}


def stop_early(a: Arrays) -> Arrays:
    times = np.minimum(np.arange(a["all_paths"].shape[1]), 30)
    return {"all_paths": a["all_paths"][:, times]}


def back_and_forth(a: Arrays) -> Arrays:
    """Let a trajectory be nearer at first than it is a while later."""
    order = np.arange(a["all_paths"].shape[1])
    order[[5, 20]] = order[[20, 5]]
    return {"all_paths": a["all_paths"][:, order]}


CONTROLS: list[tuple[str, Change]] = [
    ("velocities_are_those_of_dpo", without_mean),
    ("velocities_are_those_of_dpo", put(all_velocity="cycle_velocity")),
    ("velocities_are_those_of_dpo", lambda a: {"one_velocity": 1.01 * a["one_velocity"]}),
    ("descent_runs_along_the_trajectories", put(all_descended="one_descended")),
    ("descent_runs_along_the_trajectories", lambda a: {"cycle_descended": np.roll(a["cycle_descended"], 1, axis=0)}),
    ("all_pairs_lead_to_the_optimum", lambda a: {"optimum": a["reference"]}),
    ("all_pairs_lead_to_the_optimum", stop_early),
    ("all_pairs_lead_to_the_optimum", back_and_forth),
    ("one_rest_point_inside", put(all_velocity="one_velocity")),
    ("one_rest_point_inside", lambda a: {"all_velocity": -a["all_velocity"]}),
    ("one_rest_point_inside", put(one_velocity="cycle_velocity")),  # this one has a rest point
    ("one_pair_keeps_its_invariant", turn),
    ("one_pair_keeps_its_invariant", put(one_paths="all_paths")),
    ("third_grows_while_the_rejected_leads", freeze("one_velocity", 2)),
    ("third_grows_while_the_rejected_leads", lambda a: {"one_velocity": a["one_velocity"][:, [1, 0, 2]]}),
    ("third_grows_while_the_rejected_leads", put(one_velocity="all_velocity")),
    ("dpo_does_not_cycle", put(cycle_paths="all_paths")),
    ("dpo_does_not_cycle", lambda a: {"game_orbit": a["cycle_paths"][4]}),
    ("dpo_does_not_cycle", lambda a: {"game_orbit": a["game_orbit"][:50]}),  # not round yet
]
for name, made in CONTROLS:
    add_controls(FIGURE.key, name, [updated(made)])


@pytest.mark.parametrize("forget", ["reference", "beta"])
def test_a_fitness_that_forgets_a_part_is_seen(forget: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(log_pi: np.ndarray, log_ref: np.ndarray, labels: np.ndarray, beta: float) -> np.ndarray:
        base = np.zeros(3) if forget == "reference" else log_ref
        return lemma_fitness(log_pi, base, labels, 1.0 if forget == "beta" else beta)

    monkeypatch.setattr(replicator, "lemma_fitness", wrong)
    seen = failed(FIGURE.compute(times=20))
    assert {"velocities_are_those_of_dpo", "all_pairs_lead_to_the_optimum"} <= seen


def test_other_settings_show_the_same() -> None:
    assert failed(FIGURE.compute(rewards=(0.0, 0.5, -0.3), reference=(0.3, 0.3, 0.4), winning=0.85, times=40)) == set()


@given(st.integers(0, 10**6), st.floats(0.1, 2.0))
def test_the_lemma_is_the_gradient_of_the_loss(seed: int, beta: float) -> None:
    draw = np.random.default_rng(seed)
    log_pi, log_ref = (log_softmax(draw.normal(size=4)) for _ in range(2))
    table = bradley_terry(draw.normal(size=4)).numpy()
    np.fill_diagonal(table, 0.0)
    told = preference_matrix(table + 0.5 * np.eye(4))
    expected = float(told.weight.sum()) * replicator_fitness(log_pi, told, DPO(beta=beta), log_ref).numpy()
    assert np.abs(lemma_fitness(log_pi, log_ref, table, beta) - expected).max() < 1e-13


def test_a_small_real_step_goes_along_the_arrow() -> None:
    """The arrows are the first order of a step: the residual of a real step falls with its square."""
    arrays, rate = true_arrays(), (1e-2, 1e-3)
    p = arrays["grid"][20]
    residual = []
    for learning_rate in rate:
        account = step(
            Tabular(3),
            np.log(p),
            preferences=pairs(0, 1, shape=(3,)),
            loss=DPO(beta=0.5),
            learning_rate=learning_rate,
            reference=np.log(arrays["reference"]),
        )
        change = account.new_log_probs.exp().numpy() - p
        residual.append(np.abs(change - learning_rate * arrays["one_velocity"][20]).max())
    slope = np.log(residual[0] / residual[1]) / np.log(rate[0] / rate[1])
    assert slope == pytest.approx(2.0, abs=0.05)
