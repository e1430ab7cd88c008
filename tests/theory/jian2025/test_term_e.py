from fractions import Fraction as F

import pytest
import torch
from hypothesis import assume, given, settings, strategies as st

from dynamics.scores import score
from theory.jian2025.term_e import Stall, covariance_form, longer_rejected, regularizer_step_sign
from theory.worlds import World, world_strategy

QUICK = settings(derandomize=True, deadline=None, max_examples=60)


def regularizer(policy, theta):
    scores = torch.autograd.functional.jacobian(policy.log_probs, theta, create_graph=True)
    return torch.clamp(scores[1].norm() - scores[0].norm(), min=0)


@given(world=world_strategy())
@QUICK
def test_sign_is_that_of_a_step_by_autograd(world):
    assume(longer_rejected(world) and world.squared_norm(0) > 0)
    policy = world.policy()
    theta = torch.zeros(policy.parameters, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(regularizer(policy, theta), theta)
    drives = -score(policy, theta.detach()) @ gradient
    for y in world.responses:
        if abs(drives[y]) > 1e-9:
            assert regularizer_step_sign(world, y) == int(torch.sign(drives[y]))


@given(world=world_strategy())
@QUICK
def test_nothing_happens_where_the_regularizer_is_zero(world):
    assume(not longer_rejected(world))
    assert all(regularizer_step_sign(world, y) == 0 for y in world.responses)


def test_covariance_of_one_hot_vectors():
    w = World.tabular([F(1, 2), F(1, 3), F(1, 6)])
    g, p = w.scores, w.p
    direct = sum(p[i] * g[0][i] * g[1][i] for i in range(3)) - sum(p[i] * g[0][i] for i in range(3)) * sum(
        p[i] * g[1][i] for i in range(3)
    )
    assert covariance_form(w, 0, 1) == direct


@given(beta=st.fractions(F(1, 5), 2), gamma=st.fractions(F(1, 20), 2))
@settings(derandomize=True, deadline=None, max_examples=25)
def test_stall_against_the_loss_itself(beta, gamma):
    assume(abs(float(gamma) / float(beta) - 0.5**0.5) > 0.02)
    m = torch.tensor([-1e-3, 0.0, 1e-3], dtype=torch.float64)
    p = torch.sigmoid(m)
    chosen, rejected = ((2 * (1 - q) ** 2).sqrt() for q in (p, 1 - p))
    loss = -torch.nn.functional.logsigmoid(float(beta) * m) + float(gamma) * torch.clamp(rejected - chosen, min=0)
    assert Stall(beta, gamma).is_minimum() == bool(loss[1] < loss[0] and loss[1] < loss[2])


def test_paper_threshold():
    assert Stall(F(1, 2), F(354, 1000)).is_minimum()
    assert not Stall(F(1, 2), F(353, 1000)).is_minimum()
    assert float(F(1, 2)) / 2**0.5 == pytest.approx(0.3535, abs=1e-4)
