import math

import pytest
import torch
from hypothesis import given, settings, strategies as st

from dynamics import DPO, step
from theory.jian2025.finite_step import residual, step_change
from theory.worlds import world_strategy


@given(world=world_strategy(), size=st.floats(1e-6, 3.0))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_same_change_as_the_policy_of_dynamics(world, size):
    policy = world.policy()
    # z = 0 at the reference, so that the urgency is 1/2
    account = step(
        policy, torch.zeros(policy.parameters), world.chosen, world.rejected, loss=DPO(beta=1.0), learning_rate=2 * size
    )
    assert step_change(world, size) == pytest.approx(account.actual.tolist(), rel=1e-6, abs=1e-12)


@given(world=world_strategy())
@settings(derandomize=True, deadline=None, max_examples=60)
def test_exact_at_log_2(world):
    exact = [float(world.exact_change(y, 2)) for y in world.responses]
    assert step_change(world, math.log(2)) == pytest.approx(exact, rel=1e-9, abs=1e-12)


@given(world=world_strategy())
@settings(derandomize=True, deadline=None, max_examples=60)
def test_first_order_in_any_direction(world):
    direction = world.scores[0]
    predicted = world.p[0] * world.squared_norm(0)
    long, short = (residual(world, (0,), predicted, direction)(size) for size in (1e-3, 1e-4))
    assert short <= long / 50 + 1e-13
