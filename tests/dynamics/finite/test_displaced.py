"""Displaced is about the loss of the step: the sign of what a small step really does, for losses of every kind."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from dynamics import BDPO, DPO, IPO, SFT, Hinge, LogLinear, NaiveBDPO, SelfPO, SimPO, StepAccount, step
from dynamics.losses import PreferenceLoss
from tests.dynamics.strategies import World, worlds

OF_ONE_RATIO = [DPO(beta=1.0), IPO(beta=0.5), SelfPO(beta=1.0), NaiveBDPO(beta=0.5), BDPO(beta=0.5)]
OF_TWO_WEIGHTS = [SFT(), SimPO(beta=1.0), DPO(beta=0.5) + 0.3 * SFT()]  # their two partials differ in size


def take(world: World, loss: PreferenceLoss, learning_rate: float) -> StepAccount:
    pair = {"chosen": world.chosen, "rejected": world.rejected, "prompt": world.prompt}
    return step(world.policy, world.theta, **pair, loss=loss, learning_rate=learning_rate)


def first_order_move_of_chosen(world: World, loss: PreferenceLoss) -> float:
    """Return how log pi(chosen) moves for each unit of a small learning rate, by two steps and no kernel."""
    at = lambda rate: float(log_pi_of_chosen(take(world, loss, rate), world))  # noqa: E731
    rate = 1e-6
    here = at(0.0)
    return (4 * (at(rate / 2) - here) - (at(rate) - here)) / rate  # the second order cancels


def log_pi_of_chosen(account: StepAccount, world: World) -> torch.Tensor:
    return account.new_log_probs.reshape(-1, world.policy.shape[-1])[world.prompt, world.chosen]


@given(worlds(kinds=("tabular", "log_linear", "log_linear_prompts")), st.sampled_from([*OF_ONE_RATIO, *OF_TWO_WEIGHTS]))
def test_displaced_is_about_the_loss_of_the_step(world: World, loss) -> None:
    account = take(world, loss, 0.0)
    moves = first_order_move_of_chosen(world, loss)
    push = float(account.chosen_slope)
    assert moves == pytest.approx(push, rel=1e-3, abs=1e-7 * (1 + abs(push)))
    assert bool(account.displaced) == (push < 0)


def test_the_drive_alone_has_the_wrong_word_for_other_losses() -> None:
    """SFT raises the chosen response that DPO pushes down; a loss that does not push displaces nothing."""
    ladder = LogLinear([[2.0], [3.0], [0.0]])
    account = step(ladder, [0.0], 0, 1, loss=SFT(), learning_rate=0.1)
    assert float(account.drive[0]) < 0
    assert float(account.actual[0]) > 0
    assert not bool(account.displaced)
    satisfied = step(ladder, [0.0], 0, 1, loss=Hinge(beta=1.0), reference=np.log([0.05, 0.9, 0.05]), learning_rate=0.1)
    assert float(satisfied.urgency) == 0
    assert not bool(satisfied.displaced)
