"""A loop of one's own: it is ``simulate`` where it does the same, and steps one by one where it does not."""

from __future__ import annotations

import copy
import math
import pickle
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from dynamics import (
    DPO,
    IPO,
    SFT,
    SGD,
    AdamW,
    InvalidArgument,
    Preferences,
    Tabular,
    init,
    pairs,
    simulate,
    step,
    tabular_theta,
    update,
)
from dynamics.finite.loss_stack import stack_losses
from tests.dynamics.strategies import KINDS, close, make_policy, tensor

TOLD = pairs([0, 2, 1], [1, 3, 2], shape=(4,), weight=[1.0, 0.5, 0.25])


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("optimizer", [SGD(), AdamW(eps=1e-4)])
def test_a_loop_over_updates_is_simulate_on_the_same_draws(kind: str, optimizer: Any) -> None:
    policy, theta = make_policy(kind)
    told = pairs([0, 2], [1, 3], shape=policy.shape, weight=[1.0, 0.5])
    run = simulate(
        policy, theta, told, loss=DPO(0.5), learning_rate=0.3, steps=6, minibatch=2, generator=generator(),
        optimizer=optimizer,
    )  # fmt: skip
    state, draws = init(policy, theta, optimizer=optimizer), generator()
    for t in range(6):
        close(state.log_probs, run.log_probs[t, 0, 0, 0])
        state = update(state, told.sample(2, draws), loss=DPO(0.5), learning_rate=0.3)
    close(state.theta, run.theta[0, 0, 0])
    assert state.updates == 6
    assert (state.theta - theta).abs().max() > 1e-3


def test_schedule_reference_and_batches_of_ones_own_are_steps_one_by_one() -> None:
    """A decaying rate, a reference that follows the policy every second update, and a batch chosen by hand."""
    policy, theta = make_policy("log_linear")
    state, now, reference = init(policy, theta), theta, policy.log_probs(theta)
    for t in range(6):
        if t % 2 == 0:
            state, reference = replace(state, reference=state.log_probs), policy.log_probs(now)
        batch = pairs(t % 4, (t + 1) % 4, shape=(4,))
        rate = 0.5 / (1 + t)
        state = update(state, batch, loss=IPO(0.5), learning_rate=rate)
        now = step(policy, now, preferences=batch, loss=IPO(0.5), learning_rate=rate, reference=reference).new_theta
        close(state.theta, now)
    frozen = init(policy, theta)
    for t in range(6):
        frozen = update(frozen, pairs(t % 4, (t + 1) % 4, shape=(4,)), loss=IPO(0.5), learning_rate=0.5 / (1 + t))
    assert (frozen.theta - now).abs().max() > 1e-3


@dataclass(frozen=True)
class HeavyBall:
    """An optimizer of one's own: descent with momentum, whose memory is whatever it likes."""

    momentum: float = 0.9

    def update(self, gradient: Any, theta: Any, learning_rate: Any, state: Any) -> tuple[Any, Any]:
        velocity = gradient if state is None else self.momentum * state + gradient
        return -learning_rate * velocity, velocity


def test_an_optimizer_of_ones_own_is_that_of_torch() -> None:
    policy, theta = make_policy("log_linear")
    state = init(policy, theta, optimizer=HeavyBall(0.9))
    for _ in range(5):
        state = update(state, TOLD, loss=DPO(0.5), learning_rate=0.2)
    leaf = theta.clone().requires_grad_()
    torch_sgd, share, base = torch.optim.SGD([leaf], lr=0.2, momentum=0.9), TOLD.share, policy.log_probs(theta)
    for _ in range(5):
        gain = policy.log_probs(leaf) - base
        loss = -(share * torch.nn.functional.logsigmoid(0.5 * (gain[TOLD.chosen] - gain[TOLD.rejected]))).sum()
        torch_sgd.zero_grad()
        loss.backward()
        torch_sgd.step()
    close(state.theta, leaf.detach())


def test_settings_and_seeds_are_axes_of_one_state() -> None:
    """Losses along the first axis, of two classes; a learning rate for each seed; each seed its own pairs."""
    policy, _ = make_policy("log_linear")
    losses = [DPO(0.1), DPO(1.0), IPO(0.5), DPO(0.5) + 0.2 * SFT()]
    starts = tensor(np.random.default_rng(0).normal(size=(4, 3, policy.parameters)))
    rates = tensor([0.1, 0.2, 0.3])[:, None]
    batch = TOLD.sample(5, generator(), runs=(3,))
    state = init(policy, starts)
    together = update(update(state, batch, loss=losses, learning_rate=rates), batch, loss=losses, learning_rate=rates)
    prepared = stack_losses(losses, policy, axes=2)
    again = update(update(state, batch, loss=prepared, learning_rate=rates), batch, loss=prepared, learning_rate=rates)
    assert torch.equal(together.theta, again.theta)
    for i, loss in enumerate(losses):
        for s in range(3):
            mine = Preferences(batch.chosen[s], batch.rejected[s], batch.weight[s], batch.shape)
            alone = init(policy, starts[i, s])
            for _ in range(2):
                alone = update(alone, mine, loss=loss, learning_rate=float(rates[s]))
            close(together.theta[i, s], alone.theta)
    wrong = update(state, batch, loss=losses[::-1], learning_rate=rates)
    assert (wrong.theta - update(state, batch, loss=losses, learning_rate=rates).theta).abs().max() > 1e-3


def test_each_run_of_the_first_axis_may_have_its_own_pairs_and_its_own_loss() -> None:
    policy, starts = Tabular(4), tensor(np.random.default_rng(1).normal(size=(3, 4)))
    batch = TOLD.sample(4, generator(), runs=(3,))
    losses = [DPO(0.3), IPO(0.5), IPO(0.1)]
    together = update(init(policy, starts), batch, loss=losses)
    for i, loss in enumerate(losses):
        mine = Preferences(batch.chosen[i], batch.rejected[i], batch.weight[i], batch.shape)
        close(together.theta[i], update(init(policy, starts[i]), mine, loss=loss).theta)


def test_a_learning_rate_of_each_parameter() -> None:
    policy, theta = make_policy("log_linear")
    rates = torch.linspace(0.0, 1.0, policy.parameters, dtype=torch.float64)
    moved = update(init(policy, theta), TOLD, learning_rate=rates).theta - theta
    close(moved, rates * (update(init(policy, theta), TOLD, learning_rate=1.0).theta - theta))


def test_an_update_leaves_its_state_alone_and_may_be_made_again() -> None:
    policy, theta = make_policy("mlp")
    given = theta.clone()
    told = pairs([0, 2], [1, 3], shape=policy.shape)
    state = init(policy, theta)
    before = state.log_probs.clone()
    one, two = update(state, told), update(state, pairs(0, 1, shape=policy.shape))
    assert torch.equal(update(state, told).theta, one.theta)
    assert not torch.equal(one.theta, two.theta)
    assert torch.equal(state.log_probs, before)
    assert torch.equal(theta, given)
    assert not state.log_probs.requires_grad
    assert not one.theta.requires_grad


def test_a_state_can_be_copied_and_sent_to_another_process() -> None:
    policy, theta = make_policy("prefix_tree")
    state = update(init(policy, theta, optimizer=AdamW()), TOLD_OF_TREE)
    assert state.log_probs.sum() < 0  # evaluated, so that there is a graph to leave out
    for twin in (copy.deepcopy(state), pickle.loads(pickle.dumps(state))):
        assert torch.equal(update(twin, TOLD_OF_TREE).theta, update(state, TOLD_OF_TREE).theta)


TOLD_OF_TREE = pairs(0, 4, shape=(5,))
STATE = init(Tabular(4), torch.zeros(2, 4))


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"state": None}, "state"),
        ({"batch": None}, "preferences"),
        ({"batch": pairs(0, 1, shape=(3,))}, "preferences"),
        ({"batch": TOLD.sample(2, torch.Generator(), runs=(3,))}, "batch"),
        ({"batch": TOLD.sample(2, torch.Generator(), runs=(2, 2))}, "batch"),
        ({"loss": "dpo"}, "loss"),
        ({"loss": [DPO(), DPO(), DPO()]}, "loss"),
        ({"loss": stack_losses([DPO()], Tabular(4), axes=1)}, "loss"),
        ({"loss": DPO(beta=torch.ones(3, 1))}, "loss"),
        ({"learning_rate": -0.1}, "learning_rate"),
        ({"learning_rate": torch.ones(3, 1)}, "learning_rate"),
        ({"learning_rate": torch.tensor([math.nan])}, "learning_rate"),
    ],
    ids=lambda v: str(v)[:40],
)
def test_bad_input_of_update_is_named(changes: dict[str, Any], argument: str) -> None:
    good: dict[str, Any] = {"state": STATE, "batch": TOLD}
    update(**good)
    with pytest.raises(InvalidArgument) as caught:
        update(**(good | changes))
    assert caught.value.argument == argument


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"policy": 3}, "policy"),
        ({"theta": [0.0]}, "theta"),
        ({"optimizer": "adam"}, "optimizer"),
        ({"reference": [0.0] * 4}, "exp(reference)"),
        ({"reference": np.log(np.full((3, 4), 0.25))}, "reference"),
    ],
)
def test_bad_input_of_init_is_named(changes: dict[str, Any], argument: str) -> None:
    good: dict[str, Any] = {"policy": Tabular(4), "theta": torch.zeros(2, 4)}
    with pytest.raises(InvalidArgument) as caught:
        init(**(good | changes))
    assert caught.value.argument == argument


def test_a_pair_that_names_an_impossible_response_is_refused() -> None:
    state = init(Tabular(3), tabular_theta([0.5, 0.5, 0.0]))
    assert update(state, pairs(0, 1, shape=(3,))).log_probs[2] == -math.inf
    with pytest.raises(InvalidArgument, match="the policy gives one of these responses the probability 0"):
        update(state, pairs(0, 2, shape=(3,)))
