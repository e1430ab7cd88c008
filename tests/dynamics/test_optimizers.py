"""Optimizers against torch's own, and the step at which they differ."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dynamics import DPO, SGD, AdamW, InvalidArgument, LogLinear, step
from tests.dynamics.strategies import close, tensor


def gradient_at(theta: torch.Tensor) -> torch.Tensor:
    """A smooth field whose components change sign and size on the way."""
    return torch.sin(3 * theta) + 0.1 * theta.flip(-1) ** 2


START = tensor(np.random.default_rng(0).normal(size=6))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (SGD(), lambda p: torch.optim.SGD(p, lr=0.05)),
        (AdamW(), lambda p: torch.optim.AdamW(p, lr=0.05)),
        (
            AdamW(betas=(0.5, 0.8), eps=1e-3, weight_decay=0.3),
            lambda p: torch.optim.AdamW(p, lr=0.05, betas=(0.5, 0.8), eps=1e-3, weight_decay=0.3),
        ),
        (
            AdamW(betas=(0.0, 0.0), weight_decay=0.0),
            lambda p: torch.optim.AdamW(p, lr=0.05, betas=(0.0, 0.0), weight_decay=0.0),
        ),
    ],
)
def test_twenty_updates_equal_torch_optim(ours, theirs) -> None:
    parameter = START.clone().requires_grad_()
    reference = theirs([parameter])
    theta, state = START.clone(), None
    for _ in range(20):
        parameter.grad = gradient_at(parameter.detach())
        reference.step()
        change, state = ours.update(gradient_at(theta), theta, 0.05, state)
        theta = theta + change
        close(theta, parameter.detach())
    assert (theta - START).abs().min() > 1e-3


def test_a_batch_of_runs_and_of_learning_rates_equals_its_members() -> None:
    thetas, rates = torch.stack([START, 2 * START]), tensor([[0.1], [0.3]])
    state, singles = None, [None, None]
    for _ in range(3):
        change, state = AdamW().update(gradient_at(thetas), thetas, rates, state)
        for i in range(2):
            one, singles[i] = AdamW().update(gradient_at(thetas[i]), thetas[i], float(rates[i, 0]), singles[i])
            close(change[i], one)
        thetas = thetas + change


def test_updates_leave_their_arguments_alone() -> None:
    theta, gradient = START.clone(), gradient_at(START)
    kept = gradient.clone()
    _, state = AdamW().update(gradient, theta, 0.1, None)
    first = state.first.clone()
    AdamW().update(gradient, theta, 0.1, state)
    assert torch.equal(theta, START)
    assert torch.equal(gradient, kept)
    assert torch.equal(state.first, first)


def test_sgd_raises_the_chosen_response_where_adamw_lowers_it() -> None:
    # log-linear, uniform start; drive[chosen] = g_w . d = +1, but g_w . sign(d) = -1
    policy = LogLinear([[1.0, -2.0], [-2.0, -3.0], [1.0, 5.0]])
    account = step(policy, [0.0, 0.0], 0, 1, loss=DPO(beta=0.5), learning_rate=1e-3)
    adam = step(policy, [0.0, 0.0], 0, 1, loss=DPO(beta=0.5), learning_rate=1e-3, optimizer=AdamW())
    close(account.drive[0], 1.0)
    assert account.actual[0] > 0
    assert account.predicted[0] > 0
    assert adam.actual[0] < 0
    assert adam.predicted[0] < 0
    # the margin rises with both
    assert account.log_ratio_change > 0
    assert adam.log_ratio_change > 0
    # and torch's own AdamW does the same
    theta = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.AdamW([theta], lr=1e-3)
    log_p = policy.log_probs(theta)
    base = log_p.detach()
    DPO(beta=0.5)(log_p[0], log_p[1], base[0], base[1]).backward()
    optimizer.step()
    close(theta.detach(), adam.new_theta)


def test_a_masked_logit_has_no_weight_to_decay() -> None:
    change, _ = AdamW(weight_decay=0.1).update(tensor([0.0, 1.0]), tensor([-math.inf, 2.0]), 0.1, None)
    assert change[0] == 0


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: AdamW(betas=(0.9, 1.0)), "betas"),
        (lambda: AdamW(betas=(-0.1, 0.9)), "betas"),
        (lambda: AdamW(betas=(0.9,)), "betas"),
        (lambda: AdamW(eps=0.0), "eps"),
        (lambda: AdamW(weight_decay=-0.1), "weight_decay"),
    ],
)
def test_bad_input_is_named(make, argument: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        make()
    assert caught.value.argument == argument
