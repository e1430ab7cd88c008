"""Random worlds for the playground's mathematics, as `dynamics` and as its JavaScript take them."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st

from dynamics import LogLinear, Preferences
from dynamics.losses import LOSSES, PreferenceLoss, get_loss

KINKED = {"hinge", "slic", "self_po_relu", "naive_bdpo", "naive_bdpo_symmetric"}
"""Losses with a kink that a flow crosses; several pairs can hold it on the kink, where an integrator gets stuck."""

SLIDING = {"naive_bdpo_v2", "naive_bdpo_v2_symmetric", "dpop"}
"""Losses whose slope jumps, at the ends of the clip or at the reference, where the flow of one pair can be held."""


class World(NamedTuple):
    """Three responses, a policy and a reference over them, and the pairs a learner is told."""

    features: np.ndarray  # (3, 3), unused columns are 0
    base: np.ndarray  # base measure
    theta: np.ndarray
    reference: np.ndarray  # log ref
    pairs: tuple[tuple[int, int, float], ...]
    learning_rate: float


IN_THE_PLAYGROUND = (
    *("dpo", "dpop", "ipo", "hinge", "slic", "cpo", "simpo", "sft"),
    *("self_po", "self_po_gelu", "self_po_relu", "self_po_square", "self_po_identity"),
    *("naive_bdpo", "naive_bdpo_symmetric", "naive_bdpo_v2", "naive_bdpo_v2_symmetric", "bdpo", "probability_margin"),
)
"""The losses of the page: those of the five papers, and DPOP; `dynamics` has more."""
OFF_BY_DEFAULT = {"label_smoothing": 0.0}
"""Hyper-parameters that the page leaves out, at a default that changes nothing."""


def defaults(name: str) -> dict[str, float]:
    """Return the numeric hyper-parameters of a loss with their defaults, as `dynamics` has them."""
    made = LOSSES[name]
    fields = inspect.signature(made.func if isinstance(made, partial) else made).parameters
    numbers = {key: value.default for key, value in fields.items()}
    found = {key: float(v) for key, v in numbers.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    return {key: value for key, value in found.items() if OFF_BY_DEFAULT.get(key) != value}


@st.composite
def losses(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """Draw hyper-parameters of the loss of that name."""
    values = {"beta": [0.01, 0.1, 0.5, 1.0, 3.0], "gamma": [-1.0, 0.0, 0.8], "clip": [0.0, 0.5, 2.0]}
    chosen = {key: draw(st.sampled_from(values.get(key, [0.25, 1.0]))) for key in defaults(name)}
    return {"name": name, **chosen}


def python_loss(loss: dict[str, Any]) -> PreferenceLoss:
    """Return the loss of `dynamics` that a description in JavaScript stands for."""
    return get_loss(loss["name"], **{key: value for key, value in loss.items() if key != "name"})


@st.composite
def worlds(draw: st.DrawFn, extreme: bool) -> World:
    """Draw a world: features that share, that tie or that are free, and policies up to the ends of the range."""
    kind = draw(st.sampled_from(["plane", "line", "tied", "tabular"]))
    number = st.integers(-2, 2).map(float) if kind == "tied" else st.floats(-2, 2, width=32)
    features = np.zeros((3, 3))
    if kind == "tabular":
        features = np.eye(3)
    else:
        columns = 1 if kind == "line" else 2
        features[:, :columns] = np.reshape(draw(st.lists(number, min_size=3 * columns, max_size=3 * columns)), (3, -1))
    scale = draw(st.sampled_from([0.0, 1.0, 30.0, 700.0, 3000.0] if extreme else [0.0, 0.3, 1.0]))
    unit = st.floats(-1, 1, width=32)
    theta = scale * np.array(draw(st.tuples(unit, unit, unit)))
    base = np.array(draw(st.tuples(*[st.sampled_from([1.0, 0.5, 1e-3, 1e-300 if extreme else 0.1])] * 3)))
    logits = np.array(draw(st.tuples(unit, unit, unit))) * draw(st.sampled_from([0.0, 3.0, 1e4 if extreme else 1.0]))
    reference = logits - np.logaddexp.reduce(logits)
    pair = st.tuples(
        st.sampled_from([(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)]), st.sampled_from([1.0, 0.5, 0.1])
    )
    asked = tuple((*indices, weight) for indices, weight in draw(st.lists(pair, min_size=1, max_size=3)))
    rate = draw(st.sampled_from([1e-3, 0.1, 1.0, 10.0 if extreme else 0.5]))
    return World(features, base, theta, reference, asked, rate)


def as_javascript(world: World, loss: dict[str, Any]) -> dict[str, Any]:
    """Return the world as the playground's mathematics takes it."""
    return {
        "features": world.features.tolist(),
        "base": np.log(world.base).tolist(),
        "theta": world.theta.tolist(),
        "reference": world.reference.tolist(),
        "pairs": [{"chosen": chosen, "rejected": rejected, "weight": v} for chosen, rejected, v in world.pairs],
        "loss": loss,
        "learningRate": world.learning_rate,
    }


class Together(NamedTuple):
    """Many worlds as prompts of one policy that share no parameter, so that one call of `dynamics` serves them all."""

    policy: LogLinear
    theta: torch.Tensor
    reference: torch.Tensor
    preferences: Preferences
    learning_rate: float


def put_together(batch: list[World]) -> Together:
    """Return independent worlds as prompts of one log-linear policy, each with its own learning rate.

    The objective is the mean over the pairs of all worlds. A pair weighs its share of its own world's mean times that
    world's learning rate; the learning rate of all is the total of these weights, which the mean divides by.
    """
    count = len(batch)
    features = np.zeros((count, 3, 3 * count))
    for x, world in enumerate(batch):
        features[x, :, 3 * x : 3 * x + 3] = world.features
    chosen, rejected, weight = np.array(
        [
            (3 * x + w, 3 * x + r, v / sum(own for _, _, own in world.pairs) * world.learning_rate)
            for x, world in enumerate(batch)
            for w, r, v in world.pairs
        ]
    ).T
    return Together(
        LogLinear(features, base_measure=np.stack([world.base for world in batch])),
        torch.tensor(np.concatenate([world.theta for world in batch])),
        torch.tensor(np.stack([world.reference for world in batch])),
        Preferences(
            torch.tensor(chosen.astype(np.int64)),
            torch.tensor(rejected.astype(np.int64)),
            torch.tensor(weight),
            (count, 3),
        ),
        float(weight.sum()),
    )
