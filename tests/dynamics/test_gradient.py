"""The gradient of an objective, from closed-form partials and one pullback, against autograd all the way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from dynamics import BDPO, CPO, DPO, IPO, SFT, Hinge, NaiveBDPO, NaiveBDPOv2, PreferenceLoss, ProbabilityMargin, SimPO
from dynamics.gradient import objective_gradient, pair_quantities, response_lengths
from dynamics.preferences import Preferences, pairs
from tests.dynamics.strategies import KINDS, World, close, make_policy, tensor, worlds

LOSS_LIST = [
    DPO(beta=0.5),
    IPO(beta=0.5),
    Hinge(beta=0.5),
    CPO(),
    SimPO(),
    NaiveBDPO(beta=0.5),
    NaiveBDPOv2(beta=0.5),
    BDPO(beta=0.5),
    ProbabilityMargin(),
    DPO() + 0.3 * SFT(),
]


def autograd_gradient(world: World, asked: Preferences, loss: PreferenceLoss, reference: torch.Tensor) -> torch.Tensor:
    theta = world.theta.clone().requires_grad_()
    log_p = world.policy.log_probs(theta).flatten()
    values = loss.value(pair_quantities(log_p, reference, asked, response_lengths(world.policy)))
    return torch.autograd.grad((asked.weight * values).sum() / asked.weight.sum(), theta)[0]


@given(worlds(), st.sampled_from(LOSS_LIST), st.integers(0, 100))
def test_gradient_of_weighted_pairs_is_that_of_autograd(world: World, loss: PreferenceLoss, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = world.policy.shape
    asked = pairs(
        [world.chosen, world.rejected, world.chosen],
        [world.rejected, world.chosen, world.rejected],
        shape=shape,
        prompt=[world.prompt, 0, world.prompt],
        weight=rng.uniform(size=3),
    )
    reference = torch.log_softmax(tensor(rng.normal(size=shape)), -1).flatten()
    got = objective_gradient(world.policy, world.theta, asked, loss, reference)
    close(got, autograd_gradient(world, asked, loss, reference), 1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_equals_its_members(kind: str) -> None:
    policy, _ = make_policy(kind)
    thetas = tensor(np.random.default_rng(0).normal(size=(3, policy.parameters)))
    reference = policy.log_probs(thetas[0]).flatten()
    asked = pairs([0, 1], [1, 2], shape=policy.shape, weight=[1.0, 0.5])
    together = objective_gradient(policy, thetas, asked, DPO(), reference)
    for i in range(3):
        close(together[i], objective_gradient(policy, thetas[i], asked, DPO(), reference))


def test_lengths_reach_the_loss() -> None:
    policy, theta = make_policy("prefix_tree")
    assert response_lengths(policy).tolist() == [2, 2, 2, 2, 1]
    quantities = pair_quantities(
        policy.log_probs(theta), policy.log_probs(theta), pairs(0, 4, shape=(5,)), response_lengths(policy)
    )
    assert (float(quantities.chosen_length), float(quantities.rejected_length)) == (2, 1)


def test_lengths_may_differ_from_run_to_run() -> None:
    log_probs = tensor([[-1.0, -2.0, -3.0], [-1.0, -2.0, -3.0]])
    lengths = tensor([[1.0, 2.0, 4.0], [2.0, 1.0, 1.0]])
    both = pair_quantities(log_probs, log_probs, pairs([0, 2], [1, 0], shape=(3,)), lengths)
    assert both.chosen_length.tolist() == [[1, 4], [2, 1]]
    assert both.rejected_length.tolist() == [[2, 1], [1, 2]]
    for run in range(2):
        alone = pair_quantities(log_probs[run], log_probs[run], pairs([0, 2], [1, 0], shape=(3,)), lengths[run])
        close(SimPO().value(both)[run], SimPO().value(alone))


def test_only_ratios_of_weights_matter_and_a_pair_alone_counts_once() -> None:
    policy, theta = make_policy("log_linear", seed=3)
    reference = policy.log_probs(torch.zeros_like(theta)).flatten()

    def gradient(weight: list[float]) -> torch.Tensor:
        asked = pairs([0, 1], [1, 2], shape=policy.shape, weight=weight)
        return objective_gradient(policy, theta, asked, DPO(), reference)

    alone = objective_gradient(policy, theta, pairs(0, 1, shape=policy.shape), DPO(), reference)
    assert torch.equal(gradient([1.0, 0.0]), alone)
    close(gradient([3.0, 1.5]), gradient([2.0, 1.0]))
    close(gradient([1.0, 1.0]), (gradient([1.0, 0.0]) + gradient([0.0, 1.0])) / 2)
    assert (gradient([2.0, 1.0]) - gradient([1.0, 1.0])).abs().max() > 1e-3
