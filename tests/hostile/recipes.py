"""A recipe of valid arguments for every public name of ``dynamics``."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

import dynamics
from dynamics import (
    MLP,
    SGD,
    AdamW,
    LogLinear,
    PrefixTree,
    Table,
    Tabular,
    bradley_terry,
    get_loss,
    kernel,
    pairs,
    preference_matrix,
    simulate,
    step,
)
from dynamics.finite import bilevel
from tests.dynamics.strategies import KINDS, make_policy
from tests.hostile.judge import Recipe

LOSS_NAMES = tuple(dynamics.LOSSES)
TIMES = ([0.0, 1.0], [0.5], [0.1, 0.2, 3.0])


def distribution(source: random.Random, size: int) -> list[float]:
    weights = [source.uniform(0.1, 1.0) for _ in range(size)]
    return [w / sum(weights) for w in weights]


def world(source: random.Random) -> dict[str, Any]:
    policy, theta = make_policy(source.choice(KINDS), seed=source.randrange(100), responses=source.randint(2, 4))
    return {"policy": policy, "theta": theta}


def pairs_of(policy: Any, source: random.Random) -> Any:
    n = policy.shape[-1]
    chosen, rejected = source.sample(range(n), 2)
    return pairs([chosen, rejected], [rejected, chosen], shape=policy.shape, weight=[1.0, 0.25])


def world_and_pairs(source: random.Random) -> dict[str, Any]:
    found = world(source)
    return found | {"preferences": pairs_of(found["policy"], source)}


def a_loss(source: random.Random) -> Any:
    return get_loss(source.choice(LOSS_NAMES))


def an_optimizer(source: random.Random) -> Any:
    return source.choice([None, SGD(), AdamW()])


def reference_of(policy: Any, theta: Any, source: random.Random) -> Any:
    return source.choice([None, policy.log_probs(theta)])


def loss_arguments(source: random.Random) -> dict[str, Any]:
    size = source.choice([(), (2,), (3, 2)])
    rng = np.random.default_rng(source.randrange(1000))
    chosen, rejected, ref_chosen, ref_rejected = (-rng.exponential(5.0, size) - 1e-3 for _ in range(4))
    lengths = {"chosen_length": source.randint(1, 9), "rejected_length": source.randint(1, 9)}
    return {
        "chosen": chosen,
        "rejected": torch.as_tensor(rejected),
        "reference_chosen": ref_chosen,
        "reference_rejected": ref_rejected.tolist(),
        **lengths,
    }


def beta(source: random.Random) -> dict[str, Any]:
    return {"beta": source.choice([0.1, 1, np.float32(2.5), torch.tensor([0.1, 1.0])])}


def beta_and(**more: tuple[Any, ...]) -> Any:
    return lambda source: beta(source) | {name: source.choice(values) for name, values in more.items()}


def call_step(**arguments: Any) -> Any:
    return step(**arguments)


def for_step(source: random.Random) -> dict[str, Any]:
    found = world(source)
    policy, theta = found["policy"], found["theta"]
    if source.random() < 0.4:
        found["preferences"] = pairs_of(policy, source)
    else:
        found["chosen"], found["rejected"] = source.sample(range(policy.shape[-1]), 2)
        found["prompt"], found["weight"] = 0, 1.0
    rest = {"loss": a_loss(source), "learning_rate": source.choice([0.0, 0.1, 3.0])}
    rest |= {"optimizer": an_optimizer(source), "moments": None, "reference": reference_of(policy, theta, source)}
    return found | rest


def for_init(source: random.Random) -> dict[str, Any]:
    found = world(source)
    return found | {"reference": reference_of(**found, source=source), "optimizer": an_optimizer(source)}


def for_update(source: random.Random) -> dict[str, Any]:
    found = world(source)
    state = dynamics.init(**found, optimizer=an_optimizer(source))
    rest = {"loss": source.choice([None, a_loss(source)]), "learning_rate": source.choice([0.1, torch.ones(1)])}
    return {"state": state, "batch": pairs_of(found["policy"], source)} | rest


def for_simulate(source: random.Random) -> dict[str, Any]:
    found = world_and_pairs(source)
    minibatch = source.choice([None, 2])
    return found | {
        "loss": source.choice([a_loss(source), [a_loss(source), a_loss(source)]]),
        "learning_rate": source.choice([0.1, [0.0, 1.0], np.array([0.1, 0.2])]),
        "steps": source.randint(0, 3),
        "seeds": source.randint(1, 2),
        "minibatch": minibatch,
        "generator": torch.Generator().manual_seed(0),
        "reference": reference_of(found["policy"], found["theta"], source),
        "optimizer": an_optimizer(source),
        "record_every": source.randint(1, 2),
    }


def for_stable_po(source: random.Random) -> dict[str, Any]:
    found = for_simulate(source)
    del found["loss"], found["learning_rate"]
    lower = source.choice([[0], torch.tensor([1])])
    rates = {
        "learning_rate": source.choice([0.1, (0.1, 0.0)]),
        "inner_learning_rate": 0.1,
        "inner_steps": source.randint(0, 2),
    }
    weights = {"penalty": source.choice([1.0, [0.0, 1.0]]), "gamma": source.choice([0.0, [0.1]])}
    hinge = source.choice([bilevel.longer_rejected, bilevel.longer_chosen, bilevel.negative_drive])
    sft = source.choice([None, np.ones(found["policy"].shape)])
    return found | rates | weights | {"lower": lower, "loss": get_loss("dpo"), "regularizer": hinge, "sft": sft}


def for_gradient_flow(source: random.Random) -> dict[str, Any]:
    found = world_and_pairs(source)
    rest = {"times": source.choice(TIMES), "loss": get_loss(source.choice(["dpo", "self_po", "bdpo", "ipo"]))}
    rest |= {"reference": reference_of(found["policy"], found["theta"], source)}
    return found | rest | {"until": source.choice([None, lambda log_probs: float(log_probs.flat[0]) + 0.1])}


def for_fitness(source: random.Random) -> dict[str, Any]:
    found = world_and_pairs(source)
    log_probs = found["policy"].log_probs(found["theta"]).numpy()
    rest = {"loss": a_loss(source), "reference": source.choice([None, log_probs])}
    return {"log_probs": log_probs, "preferences": found["preferences"]} | rest


def for_replicator(source: random.Random) -> dict[str, Any]:
    n = source.randint(2, 4)
    fitness = source.choice([[source.gauss(0, 1) for _ in range(n)], lambda log_p: -np.exp(log_p)])
    until = source.choice([None, lambda log_p: float(log_p[0]) + 0.1])
    return {"probabilities": distribution(source, n), "fitness": fitness, "times": [0.0, 1.0], "until": until}


def ratio(source: random.Random) -> dict[str, Any]:
    return {"x1": source.uniform(0.1, 3), "x2": source.uniform(0.1, 3), "beta": source.choice([0.1, 1.0, 2.0, 3])}


def for_pairs(source: random.Random) -> dict[str, Any]:
    shape = source.choice([(4,), (2, 4)])
    found: dict[str, Any] = {"chosen": [0, 1], "rejected": source.choice([3, [3, 2]]), "shape": shape}
    return found | {"prompt": 0, "weight": source.choice([1.0, [0.5, 0.0]]), "device": None}


def a_matrix(source: random.Random) -> dict[str, Any]:
    table = bradley_terry([source.gauss(0, 1) for _ in range(3)]).numpy()
    return {"probabilities": table, "sampling": source.choice([1.0, np.ones((3, 3))]), "device": None}


def by_hand(source: random.Random) -> dict[str, Any]:
    made = preference_matrix(a_matrix(source)["probabilities"])
    return {"chosen": made.chosen, "rejected": made.rejected, "weight": made.weight, "shape": made.shape}


def for_sample(source: random.Random) -> dict[str, Any]:
    runs = source.choice([(), (2,)])
    return {"size": source.randint(1, 4), "generator": torch.Generator().manual_seed(1), "runs": runs}


def square(batch: dict[str, Any]) -> dict[str, Any]:
    return {"square": np.asarray(batch["seed"], dtype=float) ** 2}


def for_sweep(source: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {"function": square, "grid": {"x": [1.0, 2.0], "name": ["a", "é"]}, "seeds": [0, 3]}
    return found | {"static": (), "batch_size": 256, "jobs": 1, "path": None, "progress": False}


def a_table(source: random.Random) -> dict[str, Any]:
    columns = {"beta": np.array([1, 1, 2]), "y": np.array([0.0, 1.0, source.random()])}
    return {"columns": columns, "settings": ("beta",)}


def policy_size(source: random.Random) -> dict[str, Any]:
    prompts = source.choice([None, 2])
    return {"responses": source.randint(2, 5), "prompts": prompts, "dtype": torch.float64, "device": "cpu"}


def for_log_linear(source: random.Random) -> dict[str, Any]:
    rng = np.random.default_rng(source.randrange(100))
    base = source.choice([None, rng.uniform(0, 1, 3)])
    return {"features": rng.normal(size=(3, 2)), "base_measure": base, "dtype": torch.float32, "device": "cpu"}


def for_tree(source: random.Random) -> dict[str, Any]:
    responses = source.choice([["aa", "ab", "b"], [(1, 2), (3,)], ["é", "ü"]])
    return {"responses": responses, "dtype": torch.float64, "device": None}


def for_mlp(source: random.Random) -> dict[str, Any]:
    prompts = source.choice([2, [[0.5, 1.0], [1.0, 0.0]]])
    rest = {"hidden": 3, "activation": source.choice(["relu", "tanh"]), "dtype": torch.float64, "device": "cpu"}
    return {"prompts": prompts, "responses": 3} | rest


def for_drives(source: random.Random) -> dict[str, Any]:
    found = world_and_pairs(source)
    return {"kernel": kernel(found["policy"], found["theta"]), "preferences": found["preferences"]}


def run_of_two_steps() -> Any:
    return simulate(Tabular(3), [0.0, 0.0, 0.0], pairs(0, 1, shape=(3,)), steps=2)


def adamw(source: random.Random) -> dict[str, Any]:
    return {"betas": source.choice([(0.9, 0.99), [0.5, 0.0]]), "eps": 1e-8, "weight_decay": source.choice([0.0, 0.1])}


def margin(source: random.Random) -> dict[str, Any]:
    start = source.uniform(-3, 1)
    return {"margin": start + source.choice([0.0, 2.0]), "rate": source.uniform(0.1, 3), "start": start}


def log_probs_of(**arguments: Any) -> Any:
    return arguments["policy"].log_probs(arguments["theta"])


BETA_AND_CLIP = beta_and(clip=(0.0, 0.5), symmetric=(True, False))
AVERAGED = beta_and(gamma=(0.5, -1), activation=("silu", "gelu"), length_normalized=(True, False))

RECIPES: dict[str, Recipe] = {
    "BDPO": Recipe(dynamics.BDPO, beta_and(detach=(True, False))),
    "CPO": Recipe(dynamics.CPO, beta_and(sft_weight=(0.0, 1.0))),
    "DPO": Recipe(dynamics.DPO, beta),
    "IPO": Recipe(dynamics.IPO, beta),
    "MLP": Recipe(MLP, for_mlp),
    "SFT": Recipe(dynamics.SFT, lambda _: {}),
    "SGD": Recipe(SGD, lambda _: {}),
    "AdamW": Recipe(AdamW, adamw),
    "Hinge": Recipe(dynamics.Hinge, beta),
    "LogLinear": Recipe(LogLinear, for_log_linear),
    "NaiveBDPO": Recipe(dynamics.NaiveBDPO, BETA_AND_CLIP),
    "NaiveBDPOv2": Recipe(dynamics.NaiveBDPOv2, BETA_AND_CLIP),
    "Preferences": Recipe(dynamics.Preferences, by_hand),
    "PrefixTree": Recipe(PrefixTree, for_tree),
    "ProbabilityMargin": Recipe(dynamics.ProbabilityMargin, lambda source: {"scale": beta(source)["beta"]}),
    "SLiC": Recipe(dynamics.SLiC, lambda source: {"delta": beta(source)["beta"]}),
    "SelfPO": Recipe(dynamics.SelfPO, AVERAGED),
    "SimPO": Recipe(dynamics.SimPO, beta_and(gamma=(0.5, -1))),
    "Table": Recipe(Table, a_table),
    "Tabular": Recipe(Tabular, policy_size),
    "bradley_terry": Recipe(bradley_terry, lambda source: {"rewards": [0.0, source.gauss(0, 1)], "device": None}),
    "drives": Recipe(dynamics.drives, for_drives),
    "get_loss": Recipe(get_loss, lambda source: {"name": source.choice(LOSS_NAMES)}),
    "gradient_flow": Recipe(dynamics.gradient_flow, for_gradient_flow),
    "init": Recipe(dynamics.init, for_init),
    "kernel": Recipe(kernel, world),
    "logistic_hitting_time": Recipe(dynamics.logistic_hitting_time, margin),
    "logistic_margin": Recipe(
        dynamics.logistic_margin,
        lambda source: {"times": source.choice([1.0, [0.0, 5.0]]), "rate": 2.0, "start": source.uniform(-3, 3)},
    ),
    "pairs": Recipe(pairs, for_pairs),
    "preference_matrix": Recipe(preference_matrix, a_matrix),
    "ratio_field": Recipe(dynamics.ratio_field, ratio),
    "ratio_flow": Recipe(dynamics.ratio_flow, lambda source: ratio(source) | {"times": source.choice(TIMES)}),
    "ratio_hitting_time": Recipe(dynamics.ratio_hitting_time, ratio),
    "ratio_loss": Recipe(dynamics.ratio_loss, ratio),
    "replicator_fitness": Recipe(dynamics.replicator_fitness, for_fitness),
    "replicator_flow": Recipe(dynamics.replicator_flow, for_replicator),
    "score": Recipe(dynamics.score, world),
    # a learning rate of 1e308 takes a run out of the range of floats: see Trajectory
    "simulate": Recipe(simulate, for_simulate, nan_means=("log_probs", "theta")),
    "stable_po": Recipe(dynamics.stable_po, for_stable_po, nan_means=("log_probs", "theta", "excess")),
    "step": Recipe(step, for_step),
    "sweep": Recipe(dynamics.sweep, for_sweep),
    # a learning rate of 1e308 may leave the range of floats, as in simulate
    "update": Recipe(dynamics.update, for_update, nan_means=("theta", "log_probs", "first", "second")),
    "tabular_theta": Recipe(dynamics.tabular_theta, lambda source: {"probabilities": distribution(source, 3)}),
}
"""How to call every public name that can be called."""

METHODS: dict[str, Recipe] = {
    **{f"loss {name}": Recipe(get_loss(name), loss_arguments) for name in LOSS_NAMES},
    "Preferences.sample": Recipe(pairs([0, 1], 2, shape=(3,)).sample, for_sample),
    "Trajectory.log_ratio": Recipe(
        run_of_two_steps().log_ratio, lambda source: {"chosen": source.randrange(3), "rejected": 1, "prompt": 0}
    ),
    "MLP.initial": Recipe(
        MLP(2, 3).initial, lambda source: {"generator": torch.Generator(), "runs": source.choice([(), (2, 1)])}
    ),
    "Table[]": Recipe(Table(**a_table(random.Random(0))).__getitem__, lambda source: {"name": "y"}),
    "Policy.log_probs": Recipe(log_probs_of, world, kept=("policy",)),
}
"""The same for the methods that take arguments of their own."""

NOT_CALLED = {
    "InvalidArgument": "the error itself",
    "LOSSES": "a dictionary",
    "Policy": "a protocol",
    "PreferenceLoss": "an abstract class",
    "BilevelTrajectory": "a record that functions return",
    "Flow": "a record that functions return",
    "State": "a record that functions return",
    "StepAccount": "a record that functions return",
    "Trajectory": "a record that functions return",
}
"""Public names that nobody calls, and why."""
