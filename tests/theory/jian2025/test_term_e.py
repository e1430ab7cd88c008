from fractions import Fraction as F

import pytest
import torch
from hypothesis import assume, given, settings, strategies as st

from dynamics.scores import score
from theory.jian2025.term_e import covariances, pushes, term_e_stall
from theory.proof import Ball, Named, holds_at
from theory.worlds import TABULAR_KIND, dot, world_strategy


def regularizer(policy, theta):
    scores = torch.autograd.functional.jacobian(policy.log_probs, theta, create_graph=True)
    return torch.clamp(scores[1].norm() - scores[0].norm(), min=0)


@given(world=world_strategy(TABULAR_KIND))
@settings(derandomize=True, deadline=None, max_examples=20)
def test_pushes_are_those_of_a_step_by_autograd(world):
    assume(world.ll > world.ww)
    policy = world.policy()
    theta = torch.zeros(policy.parameters, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(regularizer(policy, theta), theta)
    changes = -score(policy, theta.detach()) @ gradient
    size = float(world.ww) ** 0.5 * float(world.ll) ** 0.5
    found = [float(Ball.of(push).arb) for push in pushes(world)]
    assert found == pytest.approx([size * float(change) for change in changes[:2]], abs=1e-12)


@given(world=world_strategy(TABULAR_KIND))
@settings(derandomize=True, deadline=None, max_examples=20)
def test_covariances_from_the_scores(world):
    g = world.scores
    pairs = ((0, 0), (0, 1), (1, 1))
    direct = [sum(p * dot(h, g[a]) * dot(h, g[b]) for p, h in zip(world.p, g, strict=True)) for a, b in pairs]
    assert list(covariances(world)) == direct


@given(beta=st.fractions(F(1, 5), 2), gamma=st.fractions(F(1, 20), 2))
@settings(derandomize=True, deadline=None, max_examples=25)
def test_stall_against_the_loss_itself(beta, gamma):
    assume(abs(float(gamma) / float(beta) - 0.5**0.5) > 0.02)
    m = torch.tensor([-1e-3, 0.0, 1e-3], dtype=torch.float64)
    p = torch.sigmoid(m)
    chosen, rejected = ((2 * (1 - q) ** 2).sqrt() for q in (p, 1 - p))
    loss = -torch.nn.functional.logsigmoid(float(beta) * m) + float(gamma) * torch.clamp(rejected - chosen, min=0)
    assert holds_at(term_e_stall.predicate, Named(beta=beta, gamma=gamma))
    assert (2 * gamma**2 >= beta**2) == bool(loss[1] < loss[0] and loss[1] < loss[2])


def test_paper_threshold():
    assert 2 * F(354, 1000) ** 2 >= F(1, 4) > 2 * F(353, 1000) ** 2
