"""Scores, kernels and drives; directional derivatives against matrices of second derivatives."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings

from dynamics import InvalidArgument, LogLinear, Tabular, drives, kernel, pairs, score
from dynamics.evaluation import directional_derivatives, flat_log_probs
from tests.dynamics.strategies import World, close, tensor, worlds


@given(worlds())
def test_kernel_is_the_gram_matrix_of_the_scores(world: World) -> None:
    gram = kernel(world.policy, world.theta)
    n = math.prod(world.policy.shape)
    g = score(world.policy, world.theta).reshape(n, -1)
    assert gram.shape == (*world.policy.shape, *world.policy.shape)
    flat = gram.reshape(n, n)
    for i in range(n):
        for j in range(n):
            close(flat[i, j], torch.dot(g[i], g[j]))
    close(flat, flat.T, 1e-14)
    assert torch.linalg.eigvalsh(flat).min() > -1e-10


@given(worlds())
def test_drives_are_differences_of_kernel_rows(world: World) -> None:
    policy, w, loser, x = world.policy, world.chosen, world.rejected, world.prompt
    gram = kernel(policy, world.theta)
    found = drives(gram, pairs(w, loser, shape=policy.shape, prompt=x))
    g = score(policy, world.theta)
    rows = g if g.ndim == 2 else g[x]
    close(found[0], (g * (rows[w] - rows[loser])).sum(-1))


@settings(max_examples=40)
@given(worlds(kinds=("tabular",)))
def test_tabular_kernel_in_closed_form(world: World) -> None:
    p = world.policy.log_probs(world.theta).exp()
    want = torch.eye(len(p)) - p[:, None] - p[None, :] + (p**2).sum()
    close(kernel(world.policy, world.theta), want)


def test_drives_of_pairs_are_not_summed() -> None:
    # the sum of the drives of a response over pairs may have another sign than that of a pair
    policy = LogLinear([[2.0], [3.0], [0.0]])
    asked = pairs([0, 0], [1, 2], shape=(3,))
    found = drives(kernel(policy, [0.0]), asked)
    close(found[:, 0], [-1 / 3, 2 / 3])
    assert found[0, 0] < 0 < found[:, 0].sum()


@given(worlds())
def test_directional_derivatives_are_those_of_jacobian_and_hessian(world: World) -> None:
    policy, theta = world.policy, world.theta
    direction = tensor([math.sin(1.7 * i + 1) for i in range(policy.parameters)])
    slope, curvature = directional_derivatives(policy, theta, direction)
    jacobian = torch.func.jacrev(lambda t: flat_log_probs(policy, t))(theta)
    hessian = torch.func.jacfwd(torch.func.jacrev(lambda t: flat_log_probs(policy, t)))(theta)
    close(slope.flatten(), jacobian @ direction, 1e-11)
    close(curvature.flatten(), hessian @ direction @ direction, 1e-11)


def test_the_gram_matrix_of_another_policy_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"^kernel: got shape \(4, 4\); allowed: shape \(3, 3\)"):
        drives(kernel(Tabular(4), torch.zeros(4)), pairs(0, 1, shape=(3,)))
