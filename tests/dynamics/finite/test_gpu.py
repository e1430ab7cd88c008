"""Finite policies on a GPU take the steps that they take on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dynamics import (
    DPO,
    IPO,
    SGD,
    AdamW,
    LogLinear,
    SelfPO,
    Tabular,
    gradient_flow,
    pairs,
    simulate,
    step,
)
from tests.gpu import device

pytestmark = pytest.mark.gpu
__all__ = ["device"]

FEATURES = np.random.default_rng(0).normal(size=(5, 3))
LOSSES = [DPO(beta=0.5), IPO(beta=0.5), SelfPO(beta=1.0), DPO(beta=0.1)]


def starting_at(size: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(3, size))


@pytest.mark.parametrize("optimizer", [SGD(), AdamW(eps=1e-4)])
@pytest.mark.parametrize("policy", ["tabular", "log-linear"])
def test_runs_and_their_draws_are_the_same(policy: str, optimizer: SGD | AdamW, device: str) -> None:
    found = []
    for place in ("cpu", device):
        made = Tabular(5, device=place) if policy == "tabular" else LogLinear(FEATURES, device=place)
        theta = torch.tensor(starting_at(made.parameters), device=place)
        asked = pairs([0, 2, 1], [1, 0, 3], shape=(5,), device=place)
        runs = simulate(
            *(made, theta, asked), loss=LOSSES, learning_rate=[0.1, 0.5], seeds=3, steps=20, optimizer=optimizer
        )
        found.append(runs.log_probs.cpu())
    torch.testing.assert_close(found[1], found[0], rtol=1e-10, atol=1e-11)


def test_a_step_and_its_account_are_the_same(device: str) -> None:
    theta = starting_at(5)[0]
    here, there = (
        step(Tabular(5, device=place), torch.tensor(theta, device=place), 0, 1, loss=DPO(beta=0.5), learning_rate=0.3)
        for place in ("cpu", device)
    )
    for name in ("log_probs", "new_log_probs", "drive", "kernel", "predicted"):
        torch.testing.assert_close(getattr(there, name).cpu(), getattr(here, name), rtol=1e-11, atol=1e-13)


def test_flows_are_the_same(device: str) -> None:
    found = [
        gradient_flow(Tabular(3, device=place), [0.1, 0.0, -0.2], pairs(0, 1, shape=(3,), device=place), [0.0, 5.0])
        for place in ("cpu", device)
    ]
    np.testing.assert_allclose(found[1].log_probs, found[0].log_probs, rtol=1e-9)
