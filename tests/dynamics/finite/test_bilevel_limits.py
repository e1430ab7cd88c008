"""The limits of Stable PO: DPO, DPO with SFT, a frozen backbone, a gamma at which learning stops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dynamics import DPO, SFT, AdamW, LogLinear, pairs, simulate
from dynamics.finite.bilevel import longer_chosen, longer_rejected, stable_po
from tests.dynamics.finite.test_bilevel import LOSS, some_pairs
from tests.dynamics.strategies import KINDS, make_policy


def distance_to_dpo(kind: str, optimizer: Any, minibatch: int | None, **how: Any) -> float:
    """Return how far Stable PO with these weights is from simulate."""
    policy, theta = make_policy(kind, 5)
    common: dict[str, Any] = {"loss": LOSS, "steps": 6, "seeds": 2, "minibatch": minibatch, "optimizer": optimizer}

    def source() -> torch.Generator:
        return torch.Generator().manual_seed(3)

    runs = stable_po(policy, theta, some_pairs(policy), lower=[0, 1], generator=source(), **how, **common)
    plain = simulate(policy, theta, some_pairs(policy), learning_rate=0.1, generator=source(), **common)
    return float((runs.log_probs[:, 0, 0] - plain.log_probs[:, 0, 0]).abs().max())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("optimizer", "minibatch"), [(None, None), (AdamW(), 2)])
def test_without_penalty_and_regularizer_it_is_dpo(kind: str, optimizer: Any, minibatch: int | None) -> None:
    assert distance_to_dpo(kind, optimizer, minibatch, penalty=0.0, gamma=0.0, inner_steps=2) < 1e-13


def test_with_a_penalty_or_a_regularizer_it_is_not_dpo() -> None:
    assert distance_to_dpo("log_linear", None, None, penalty=0.1) > 1e-3
    for regularizer in (longer_rejected, longer_chosen):
        gaps = [distance_to_dpo(kind, None, None, penalty=0.0, gamma=0.1, regularizer=regularizer) for kind in KINDS]
        assert max(gaps) > 1e-3


def test_a_frozen_backbone_leaves_dpo_on_the_adapter() -> None:
    policy, theta = make_policy("log_linear", 2)
    runs = stable_po(
        policy, theta, some_pairs(policy), lower=[1, 2], penalty=0.0, loss=LOSS, learning_rate=(0.1, 0.0), steps=5
    )
    adapter = LogLinear(policy.features[:, :1], policy.base_measure * (policy.features[:, 1:] @ theta[1:]).exp())
    plain = simulate(adapter, theta[:1], some_pairs(policy), loss=LOSS, learning_rate=0.1, steps=5)
    torch.testing.assert_close(runs.log_probs[:, 0, 0], plain.log_probs[:, 0, 0], rtol=0, atol=1e-13)
    assert torch.equal(runs.theta[0, 0, 0, 1:], theta[1:])


def test_the_penalty_reaches_the_upper_block_through_the_inner_steps_only() -> None:
    policy, theta = make_policy("mlp", 1)
    lower = list(range(policy.parameters // 2))

    def upper_after_one_step(inner_steps: int) -> Tensor:
        runs = stable_po(
            policy, theta, some_pairs(policy), lower=lower, penalty=[0.0, 5.0], inner_steps=inner_steps, steps=1
        )
        return runs.theta[:, 0, 0, len(lower) :]

    without, with_one = upper_after_one_step(0), upper_after_one_step(1)
    torch.testing.assert_close(without[0], without[1], rtol=0, atol=1e-14)
    assert float((with_one[0] - with_one[1]).abs().max()) > 1e-4


def test_with_an_adapter_and_an_exact_lower_level_it_is_dpo_plus_sft() -> None:
    """Logits that depend on theta + phi (a merged adapter): the best SFT loss does not depend on theta."""
    features = torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, -1.0], [-1.0, -1.0, 0.0]])
    policy = LogLinear(torch.cat([features, features], dim=1))
    both_ways = pairs([0, 1], [1, 0], shape=(4,), weight=[0.7, 0.3])  # mixed labels: the lower level has a minimiser
    sft = torch.tensor([0.5, 0.3, 0.1, 0.1], dtype=torch.float64)
    start = torch.zeros(6, dtype=torch.float64)

    def gap(inner_steps: int) -> float:
        runs = stable_po(
            policy,
            start,
            both_ways,
            lower=[3, 4, 5],
            penalty=2.0,
            loss=LOSS,
            inner_steps=inner_steps,
            inner_rate=0.5,
            sft=sft,
            steps=3,
        )
        theta = start
        base = policy.log_probs(start)
        for _ in range(3):
            at = theta.clone().requires_grad_()
            log_probs = policy.log_probs(at)
            z = 0.5 * ((log_probs - base)[0] - (log_probs - base)[1])
            loss = -0.7 * torch.nn.functional.logsigmoid(z) - 0.3 * torch.nn.functional.logsigmoid(-z)
            (loss - 2.0 * (sft * log_probs).sum()).backward()
            theta = theta - 0.1 * at.grad
        return float((runs.theta[0, 0, 0] - theta).abs().max())

    assert gap(400) < 1e-10
    assert gap(1) > 1e-2


def test_with_one_short_inner_step_it_is_nearly_dpo_plus_sft_on_the_lower_block() -> None:
    """K = 1, as in all experiments of the paper: term (b) is proportional to the inner learning rate."""
    policy, theta = make_policy("mlp", 4)
    lower = list(range(policy.parameters // 2))

    def moved(inner_rate: float) -> Tensor:
        runs = stable_po(
            policy, theta, some_pairs(policy), lower=lower, penalty=1.0, loss=LOSS, inner_rate=inner_rate, steps=1
        )
        return runs.theta[0, 0, 0]

    sizes = np.array([1e-3, 1e-4, 1e-5])
    gaps = [float((moved(size) - moved(0.0)).norm()) for size in sizes]
    slopes = np.diff(np.log(gaps)) / np.diff(np.log(sizes))
    np.testing.assert_allclose(slopes, 1, atol=0.01)
    joint = simulate(policy, theta, some_pairs(policy), loss=LOSS + 1.0 * SFT(), learning_rate=0.1, steps=1)
    plain = simulate(policy, theta, some_pairs(policy), loss=LOSS, learning_rate=0.1, steps=1)
    torch.testing.assert_close(moved(0.0)[: len(lower)], joint.theta[0, 0, 0, : len(lower)], rtol=0, atol=1e-14)
    torch.testing.assert_close(moved(0.0)[len(lower) :], plain.theta[0, 0, 0, len(lower) :], rtol=0, atol=1e-14)


@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_a_large_gamma_stalls_two_tabular_responses(beta: float) -> None:
    """The ledger's jian2025.term-e-stall: from gamma = beta / sqrt(2) on, pi = 1/2 is a minimum."""
    policy = LogLinear([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])  # phi has a feature that is 0 everywhere
    threshold = beta / math.sqrt(2)
    runs = stable_po(
        policy,
        [0.0, 0.0, 0.0],
        pairs(0, 1, shape=(2,)),
        lower=[2],
        penalty=0.0,
        gamma=[0.0, 0.9 * threshold, 1.1 * threshold],
        loss=DPO(beta=beta),
        learning_rate=0.02,
        steps=600,
    )
    free, below, above = runs.log_probs[-1, 0, :, 0, 0].exp().tolist()
    assert free > below > 0.52
    assert 0.49 < above < 0.51


def test_the_excess_is_what_the_inner_steps_gain() -> None:
    policy, theta = make_policy("log_linear", 6)
    sft = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)  # on every response: the minimum is attained
    found = []
    for inner_steps in (0, 1, 4, 300):
        runs = stable_po(
            policy,
            theta,
            some_pairs(policy),
            lower=[0, 1],
            inner_steps=inner_steps,
            inner_rate=0.4,
            sft=sft,
            steps=1,
        )
        found.append(runs.excess[0, 0, 0, 0])
        assert runs.excess.shape == (2, 1, 1, 1)
    assert found[0] == 0
    assert 0 < found[1] < found[2] < found[3]

    def nll(lower: Tensor) -> Tensor:
        return -(sft * policy.log_probs(torch.cat([lower, theta[2:]]))).sum()

    phi = torch.zeros(2, dtype=torch.float64)  # the same minimum by Newton's method
    for _ in range(20):
        slope = torch.func.grad(nll)(phi)
        phi = phi - torch.linalg.solve(torch.func.hessian(nll)(phi), slope)
    assert float(found[3]) == pytest.approx(float(nll(theta[:2]) - nll(phi)), abs=1e-9)
