"""Random worlds for the tests: policies of every class, parameters, pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from dynamics import MLP, LogLinear, Policy, PrefixTree, Tabular

KINDS = ("tabular", "tabular_prompts", "log_linear", "log_linear_prompts", "prefix_tree", "mlp")
"""Every class of policy, with and without an axis of prompts."""

TREE = ["aa", "ab", "ba", "bb", "c"]


class World(NamedTuple):
    """A policy at a point, and a preference pair."""

    policy: Policy
    theta: Tensor
    chosen: int
    rejected: int
    prompt: int


def tensor(values: object) -> Tensor:
    """Return a float64 tensor."""
    return torch.as_tensor(np.array(values, dtype=float))


def make_policy(kind: str, seed: int = 0, responses: int = 4, scale: float = 1.0) -> tuple[Policy, Tensor]:
    """Return a random policy of that class and a random point; smooth everywhere (tanh, no relu)."""
    rng = np.random.default_rng(seed)
    policy: Policy
    if kind == "tabular":
        policy = Tabular(responses)
    elif kind == "tabular_prompts":
        policy = Tabular(responses, prompts=2)
    elif kind == "log_linear":
        policy = LogLinear(rng.normal(size=(responses, 3)), base_measure=rng.uniform(0.5, 2, responses))
    elif kind == "log_linear_prompts":
        policy = LogLinear(rng.normal(size=(2, responses, 3)))
    elif kind == "prefix_tree":
        policy = PrefixTree(TREE)
    elif kind == "mlp":
        policy = MLP(prompts=rng.normal(size=(2, 3)), responses=responses, hidden=4, activation="tanh")
    else:
        raise ValueError(kind)
    return policy, tensor(scale * rng.normal(size=policy.parameters))


@st.composite
def worlds(draw: st.DrawFn, kinds: tuple[str, ...] = KINDS) -> World:
    """Draw a policy of one of the classes, a point and a pair of different responses."""
    policy, theta = make_policy(
        draw(st.sampled_from(kinds)),
        seed=draw(st.integers(0, 10_000)),
        responses=draw(st.integers(2, 5)),
        scale=draw(st.sampled_from([0.0, 0.3, 1.0, 4.0])),
    )
    responses = policy.shape[-1]
    chosen = draw(st.integers(0, responses - 1))
    rejected = draw(st.integers(0, responses - 2))
    prompts = policy.shape[0] if len(policy.shape) == 2 else 1
    return World(policy, theta, chosen, rejected + (rejected >= chosen), draw(st.integers(0, prompts - 1)))


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """Return the slope of log y over log x by least squares: the order of an error."""
    return float(np.polyfit(np.log(np.asarray(x)), np.log(np.asarray(y)), 1)[0])


def close(got: object, want: object, tolerance: float = 1e-12) -> None:
    """Assert equality to ``tolerance``, absolute below 1 and relative above."""
    torch.testing.assert_close(
        torch.as_tensor(got, dtype=torch.float64),
        torch.as_tensor(want, dtype=torch.float64),
        rtol=tolerance,
        atol=tolerance,
    )
