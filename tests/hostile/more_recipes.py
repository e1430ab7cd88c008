"""Recipes for the public names of ``theory``, ``toy_models``, ``figures.plots`` and ``figures.registry``."""

from __future__ import annotations

import random
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

import theory
from dynamics import StepAccount, Tabular, step
from dynamics.language_model import TokenSequence, tiny_model
from figures import plots
from figures.registry import FIGURES, Figure, figure, select_figures
from tests.hostile.judge import Recipe
from tests.hostile.recipes import distribution
from theory.claim import CLAIMS
from theory.ledger import run_ledger, select_claims
from toy_models import displacement, gaussian_preferences, violation
from toy_models.constrained import (
    dpo,
    forward_kl,
    moments,
    rlhf,
    tied_prompts,
    tied_responses,
    trust_region,
    two_modes,
    two_responses,
)

WORLD = theory.World.log_linear([[1], [0], [2]], at=[3])


def fractions(source: random.Random, size: int = 3) -> tuple[Fraction, ...]:
    weights = [source.randint(1, 9) for _ in range(size)]
    return tuple(Fraction(w, sum(weights)) for w in weights)


def for_world(source: random.Random) -> dict[str, Any]:
    features = tuple((Fraction(source.randint(-3, 3)),) for _ in range(3))
    rest = {"chosen": source.randint(0, 1), "rejected": 2, "kind": theory.KINDS[2]}
    return {"p": fractions(source), "features": features} | rest


def for_tabular(source: random.Random) -> dict[str, Any]:
    return {"p": fractions(source), "chosen": 0, "rejected": source.randint(1, 2)}


def for_log_linear(source: random.Random) -> dict[str, Any]:
    return {"features": [[1], [0], [-2]], "at": [source.choice([3, Fraction(1, 2)])], "chosen": 0, "rejected": 1}


def for_base(source: random.Random) -> dict[str, Any]:
    return {"p": [1, 2, source.randint(1, 5)], "features": [[1], [0], [2]], "chosen": 0, "rejected": 1}


@cache
def shared_axes() -> Axes:
    """Return axes on which all of them draw, since new ones cost more than a plot."""
    return Drawing().add_subplot()


def an_account() -> StepAccount:
    return step(Tabular(3), [0.0, 0.5, 1.0], chosen=0, rejected=1)


def true_claim(evidence: theory.Evidence) -> None:
    evidence.findings.append(theory.Finding("the statement holds", "search", True, True, ""))


def run_claim(worlds: int, seed: int, jobs: int | None) -> list[theory.Outcome]:
    made = theory.Claim("a.b", "a test", "1=1", "holds", true_claim)
    return list(run_ledger([made], worlds, seed, jobs))


def make_claim(**arguments: Any) -> Any:
    before = set(CLAIMS)
    try:
        return theory.claim(**arguments)(true_claim)
    finally:
        for key in set(CLAIMS) - before:
            del CLAIMS[key]


def for_claim(source: random.Random) -> dict[str, Any]:
    words = {"source": "p. 1", "says": "é", "assumes": "", "because": "", "instead": (), "proof": ""}
    return {"key": "a.b", "verdict": source.choice(list(theory.VERDICTS))} | words


def both(source: random.Random) -> dict[str, Any]:
    log_p = np.log(distribution(source, 3))
    return {"log_policy": log_p, "log_utility": [0.0, 1.0, source.gauss(0, 1)], "sampling": "uniform"}


def with_fitness(source: random.Random) -> dict[str, Any]:
    return {"log_policy": np.log(distribution(source, 3)), "fitness_": [0.0, 1.0, source.gauss(0, 1)]}


def bells(source: random.Random) -> dict[str, Any]:
    return {"policy_mean": 5, "preference_mean": source.uniform(0, 9), "variance": 4.0, "responses": 10}


def x(source: random.Random) -> dict[str, Any]:
    return {"x": source.choice([Fraction(3), 2.5, np.array([0.5, 2.0])])}


def for_path(source: random.Random) -> dict[str, Any]:
    features = [[1.0, 0.0], [0.0, source.uniform(0.1, 1)], [2.0, 1.0]]
    rest = {"gain": [0.0, 1.0], "chosen": 0, "rejected": 1}
    return {"features": features, "log_probs": np.log(distribution(source, 3))} | rest


def a_world(source: random.Random) -> dict[str, Any]:
    return {"features": ((1.0,), (0.0,), (2.0,)), "theta": (0.0,), "shows": "a ladder", "chosen": 0, "rejected": 1}


def two_logs(source: random.Random) -> dict[str, Any]:
    return {"log_pi": np.log(distribution(source, 3)), "log_target": np.log(distribution(source, 3))}


def make_figure(**arguments: Any) -> Figure:
    before = set(FIGURES)
    try:
        return figure(**arguments)(lambda size=1: {"y": np.zeros(size)})
    finally:
        for key in set(FIGURES) - before:
            del FIGURES[key]


def for_figure(source: random.Random) -> dict[str, Any]:
    return {"key": "zz-é", "title": "a", "source": "b", "caption": "c", "differs": "", "claims": ("a.b",)}


def with_settings(size: int) -> Figure:
    return make_figure(**for_figure(random.Random())).with_settings(size=size)


MORE: dict[str, Recipe] = {
    "World": Recipe(theory.World, for_world),
    "World.tabular": Recipe(theory.World.tabular, for_tabular),
    "World.log_linear": Recipe(theory.World.log_linear, for_log_linear),
    "World.with_base": Recipe(theory.World.with_base, for_base),
    "World.change": Recipe(WORLD.change, lambda source: {"y": source.randrange(3)}),
    "World.drive": Recipe(WORLD.drive, lambda source: {"y": source.randrange(3)}),
    "World.log_change": Recipe(WORLD.log_change, lambda source: {"y": source.randrange(3)}),
    "World.squared_norm": Recipe(WORLD.squared_norm, lambda source: {"y": source.randrange(3)}),
    "World.kernel": Recipe(WORLD.kernel, lambda source: {"y": source.randrange(3), "z": 0}),
    "World.after": Recipe(WORLD.after, lambda source: {"factor": source.choice([2, Fraction(1, 2)])}),
    "World.exact_change": Recipe(WORLD.exact_change, lambda source: {"y": 1, "factor": 2}),
    "falsify": Recipe(
        theory.falsify,
        lambda source: {
            "conjecture": lambda w: True,
            "given": None,
            "kinds": theory.KINDS[:1],
            "max_examples": 2,
            "within": theory.Bounds(responses=3),
            "seed": source.randrange(5),
        },
    ),
    "decide": Recipe(
        theory.decide,
        lambda source: {
            "conjecture": lambda w: w.p_w > 0,
            "over": theory.TABULAR,
            "given": None,
            "exists": False,
            "within": theory.Bounds(responses=3),
            "worlds": 2,
            "seed": source.randrange(5),
            "work": 1000,
        },
    ),
    "measure": Recipe(
        theory.measure,
        lambda source: {
            "conjecture": lambda w: w.A_w >= w.A_l,
            "model": tiny_model(),
            "pairs": [(TokenSequence((1, 2, 3), 2), TokenSequence((1, 2, source.randrange(4, 9)), 2))],
            "given": None,
        },
        kept=("model",),
    ),
    "Bounds": Recipe(
        theory.Bounds, lambda source: {"responses": 4, "weight": 9, "features": 2, "feature": 2, "power": 3}
    ),
    "world_strategy": Recipe(theory.world_strategy, lambda source: {"kind": None, "max_responses": 3}),
    "claim": Recipe(make_claim, for_claim),
    "Evidence": Recipe(theory.Evidence, lambda source: {"worlds": 5, "seed": 0}),
    "explain": Recipe(
        theory.explain, lambda source: {"key": "razin2024.ches-one-token", "worlds": 5, "seed": source.randrange(9)}
    ),
    "run_ledger": Recipe(run_claim, lambda source: {"worlds": 5, "seed": 0, "jobs": 1}),
    "select claims": Recipe(select_claims, lambda source: {"patterns": ["jian2025.*"], "paper": "jian2025"}),
    "GaussianWorld": Recipe(gaussian_preferences.GaussianWorld, bells),
    "pair_log_weights": Recipe(
        gaussian_preferences.pair_log_weights,
        lambda source: {"log_policy": np.log(distribution(source, 3)), "sampling": "shiftless"},
    ),
    "fitness": Recipe(gaussian_preferences.fitness, both),
    "printed_update": Recipe(gaussian_preferences.printed_update, with_fitness),
    "balanced_update": Recipe(gaussian_preferences.balanced_update, with_fitness),
    "imbalance": Recipe(gaussian_preferences.imbalance, both),
    "gaussian preferences": Recipe(gaussian_preferences.preferences, both),
    "ladder_probabilities": Recipe(displacement.ladder_probabilities, x),
    "ladder_drives": Recipe(displacement.ladder_drives, x),
    "ladder_first_order": Recipe(displacement.ladder_first_order, x),
    "ladder_change": Recipe(displacement.ladder_change, lambda source: x(source) | {"factor": 2}),
    "DisplacementWorld": Recipe(displacement.DisplacementWorld, a_world),
    "run_pair": Recipe(
        displacement.run_pair,
        lambda source: {"world": displacement.LADDER, "beta": 0.5, "learning_rate": source.uniform(0, 1), "steps": 2},
    ),
    "log_ratio_of_changes": Recipe(
        displacement.log_ratio_of_changes,
        lambda source: {"chosen": np.array([-0.2, 0.1]), "rejected": np.array([-0.1, 0.1])},
        nan_means=("result",),
    ),
    "largest_safe_cosine": Recipe(violation.largest_safe_cosine, lambda source: {"log_ratio": source.gauss(0, 3)}),
    "tabular_kernel": Recipe(violation.tabular_kernel, lambda source: {"p_w": 0.25, "p_l": [0.5, 0.1], "others": 2}),
    "pair_path": Recipe(violation.pair_path, for_path),
    "violated_from": Recipe(violation.violated_from, lambda source: {"difference": np.array([[0.1, -0.1]])}),
    "rlhf": Recipe(rlhf, two_logs),
    "forward_kl": Recipe(forward_kl, two_logs),
    "constrained dpo": Recipe(dpo, two_logs),
    "moments": Recipe(moments, lambda source: {"responses": np.arange(3.0), "log_pi": np.log(distribution(source, 3))}),
    "tied_prompts": Recipe(
        tied_prompts, lambda source: {"first": 0.5, "second": source.uniform(0.1, 0.9), "weight": 0.5, "points": 9}
    ),
    "tied_responses": Recipe(tied_responses, lambda source: {"first": 0.1, "second": source.uniform(0.1, 0.8)}),
    "trust_region": Recipe(
        trust_region, lambda source: {"first": 0.6, "second": 0.3, "radius": source.uniform(0.01, 0.3), "points": 5}
    ),
    "two_modes": Recipe(two_modes, lambda source: {"weight": 0.65, "distance": 1.6, "deviation": 0.5}),
    "two_responses": Recipe(
        two_responses,
        lambda source: {
            "reward_gap": source.gauss(0, 2),
            "reference": 0.4,
            "beta": 0.5,
            "low": 0.1,
            "high": 0.7,
            "points": 9,
        },
    ),
    "plot_step": Recipe(
        plots.plot_step, lambda source: {"axes": shared_axes(), "account": an_account(), "names": None}
    ),
    "plot_changes": Recipe(
        plots.plot_changes,
        lambda source: {
            "axes": shared_axes(),
            "predicted": [source.gauss(0, 1), -0.1],
            "actual": [0.1, -0.1],
            "names": ("a", "b"),
            "colors": ("#000000", "red"),
        },
    ),
    "plot_trajectory": Recipe(
        plots.plot_trajectory,
        lambda source: {
            "axes": shared_axes(),
            "steps": [0, 1],
            "log_probs": np.log([distribution(source, 3)] * 2),
            "chosen": 0,
            "rejected": 1,
            "names": None,
        },
    ),
    "plot_simplex": Recipe(
        plots.plot_simplex,
        lambda source: {
            "axes": shared_axes(),
            "log_probs": np.log([distribution(source, 3)] * 2),
            "names": ("a", "b", "c"),
            "color": "black",
            "linewidth": 1.0,
        },
    ),
    "plot_field": Recipe(
        plots.plot_field,
        lambda source: {
            "axes": shared_axes(),
            "places": [[0.0, 0.0], [1.0, 1.0]],
            "velocities": [[source.gauss(0, 1), 1.0], [0.0, 0.0]],
            "unit": 0.1,
            "colors": "black",
        },
    ),
    "plot_kernel": Recipe(
        plots.plot_kernel,
        lambda source: {"axes": shared_axes(), "kernel": [[1.0, 0.2], [0.2, 2.0]], "names": ("a", "b")},
    ),
    "figure": Recipe(make_figure, for_figure),
    "Figure.with_settings": Recipe(with_settings, lambda source: {"size": 3}),
    "select figures": Recipe(select_figures, lambda source: {"names": []}),
}
"""Recipes by name."""
