"""The training paths of the protection world against the finite policies of ``dynamics``."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dynamics import LogLinear, kernel, pairs, simulate
from dynamics.losses import RPO, DPOPerToken
from tests.dynamics.strategies import close
from toy_models.protection import FEATURES, LENGTHS, LOSSES, START, features_and_start, first_step, pair_at, walk

WALK = walk(steps=60)
NAMES = list(LOSSES)


class LongResponses(LogLinear):
    """A log-linear policy whose responses have the lengths of the world."""

    lengths = torch.tensor([*LENGTHS, 1.0], dtype=torch.float64)


def policy_and_theta(name: str) -> tuple[LogLinear, torch.Tensor]:
    place = list(FEATURES).index(name)
    features, start = features_and_start()
    return LongResponses(features[place]), start[place]


@pytest.mark.parametrize("name", FEATURES)
def test_start_and_kernel_are_those_of_a_policy(name: str) -> None:
    policy, theta = policy_and_theta(name)
    place = list(FEATURES).index(name)
    close(policy.log_probs(theta).exp(), START[name])
    close(WALK.kernel[place], kernel(policy, theta)[:2, :2])


@pytest.mark.parametrize("name", FEATURES)
def test_the_first_step_is_that_of_gradient_descent(name: str) -> None:
    policy, theta = policy_and_theta(name)
    place, rate = list(FEATURES).index(name), 1e-7
    asked = pairs(0, 1, shape=(3,))
    run = simulate(policy, theta, asked, loss=list(LOSSES.values()), learning_rate=rate, steps=1)
    change = (run.log_probs[1] - run.log_probs[0])[:, 0, 0]  # (losses, responses)
    told = first_step(WALK.kernel, pair_at(WALK.reference, WALK.reference))
    scale = told.chosen[:, place].abs().clamp(min=0.1)
    assert float(((change[:, 0] / rate - told.chosen[:, place]) / scale).abs().max()) < 2e-3
    assert float(((change[:, 0] - change[:, 1]) / rate - told.margin[:, place]).abs().max() / scale.max()) < 2e-3


@pytest.mark.parametrize("loss", ["DPO", "SquaredPO", "RPO", "NCA", "DPO per token", "APO down"])
@pytest.mark.parametrize("name", FEATURES)
def test_the_path_is_that_of_small_steps(loss: str, name: str) -> None:
    """Where the margin is the same, the chosen response is: the pace of the walk does not matter."""
    policy, theta = policy_and_theta(name)
    i, place = NAMES.index(loss), list(FEATURES).index(name)
    margin, chosen = WALK.margin[:, i, place].numpy(), WALK.chosen[:, i, place].numpy()
    gram = WALK.kernel[place]
    rate = 0.4 / float(gram.diagonal().max())  # 0.02 nats a step for DPO
    run = simulate(policy, theta, pairs(0, 1, shape=(3,)), loss=LOSSES[loss], learning_rate=rate, steps=150)
    logs = (run.log_probs - run.log_probs[0])[:, 0, 0, 0].numpy()
    there = (logs[:, 0] - logs[:, 1]) < margin.max()
    at = np.interp(logs[there, 0] - logs[there, 1], margin, chosen)
    assert there.sum() > 20
    assert np.abs(at - logs[there, 0]).max() < 0.05


def test_a_step_moves_no_response_by_more_than_its_size() -> None:
    moved = torch.stack([WALK.chosen.diff(dim=0), (WALK.chosen - WALK.margin).diff(dim=0)])
    assert float(moved.abs().max()) < 0.12  # 0.1 to first order
    assert float(moved.abs().amax((0, 1)).min()) > 0.03


def test_the_losses_are_at_their_defaults() -> None:
    assert LOSSES["RPO"] == RPO()
    assert LOSSES["DPO per token"] == DPOPerToken()
