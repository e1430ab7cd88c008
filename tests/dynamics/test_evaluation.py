"""The closed forms of softmax policies with linear logits are what autograd finds, at every batch shape and extreme."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings

from dynamics import DPO, MLP, LogLinear, PrefixTree, Tabular, init, pairs, update
from dynamics.evaluation import all_scores, directional_derivatives, evaluate, flat_log_probs, has_linear_logits
from tests.dynamics.strategies import World, close, tensor, worlds

LINEAR = ("tabular", "tabular_prompts", "log_linear", "log_linear_prompts")


def waves(*shape: int) -> torch.Tensor:
    return tensor([math.sin(1.3 * i + 0.5) for i in range(math.prod(shape))]).reshape(shape)


def by_autograd(policy, theta: torch.Tensor, cotangent: torch.Tensor) -> torch.Tensor:
    leaf = theta.detach().requires_grad_()
    return torch.autograd.grad(flat_log_probs(policy, leaf), leaf, cotangent)[0]


@settings(max_examples=60)
@given(worlds())
def test_the_pullback_is_that_of_autograd(world: World) -> None:
    policy, theta = world.policy, world.theta
    runs = torch.stack([theta, 30 * theta, -theta]).reshape(3, 1, -1).expand(3, 2, -1)
    for point in (theta, runs):
        found = evaluate(policy, point)
        assert not found.log_probs.requires_grad
        close(found.log_probs, flat_log_probs(policy, point), 1e-13)
        cotangent = waves(*found.log_probs.shape)
        close(found.vjp(cotangent), by_autograd(policy, point, cotangent), 1e-12)
        assert not torch.allclose(found.vjp(cotangent), found.vjp(cotangent.flip(-1)), atol=1e-6)


@settings(max_examples=60)
@given(worlds(kinds=LINEAR))
def test_scores_and_directional_derivatives_are_those_of_autograd(world: World) -> None:
    policy, theta = world.policy, world.theta
    assert has_linear_logits(policy)
    size = math.prod(policy.shape)
    jacobian = torch.func.jacrev(lambda t: flat_log_probs(policy, t))(theta)
    close(all_scores(policy, theta).reshape(size, -1), jacobian, 1e-12)
    direction = waves(policy.parameters)
    hessian = torch.func.jacfwd(torch.func.jacrev(lambda t: flat_log_probs(policy, t)))(theta)
    slope, curvature = directional_derivatives(policy, theta, direction)
    close(slope.flatten(), jacobian @ direction, 1e-12)
    close(curvature.flatten(), hessian @ direction @ direction, 1e-12)


def test_a_masked_logit_stays_masked() -> None:
    theta = torch.tensor([[0.5, -math.inf, 1.0, 0.0]], dtype=torch.float64)
    found = evaluate(Tabular(4), theta)
    assert found.log_probs[0, 1] == -math.inf
    cotangent = torch.tensor([[0.3, 0.0, -0.2, 0.1]], dtype=torch.float64)
    gradient = found.vjp(cotangent)
    close(gradient, by_autograd(Tabular(4), theta, cotangent), 1e-15)
    assert gradient[0, 1] == 0


class Sharpened(Tabular):
    def log_probs(self, theta: torch.Tensor) -> torch.Tensor:
        return super().log_probs(3 * theta)


class Tilted(LogLinear):
    """Other logits, with all that belongs to them: the closed forms hold for it."""

    def logits(self, theta: torch.Tensor) -> torch.Tensor:
        return super().logits(theta) + torch.arange(self.features.shape[-2], dtype=self.dtype)


@pytest.mark.parametrize("policy", [Sharpened(3), MLP(prompts=[[1.0, 2.0]], responses=3), PrefixTree(["a", "b", "c"])])
def test_policies_without_linear_logits_go_by_autograd(policy) -> None:
    assert not has_linear_logits(policy)
    theta = waves(policy.parameters)
    cotangent = waves(math.prod(policy.shape))
    close(evaluate(policy, theta).vjp(cotangent), by_autograd(policy, theta, cotangent), 1e-14)
    jacobian = torch.func.jacrev(lambda t: flat_log_probs(policy, t))(theta)
    close(all_scores(policy, theta).reshape(jacobian.shape), jacobian, 1e-14)


def test_subclasses_keep_the_closed_form_only_where_it_holds() -> None:
    """The gradient of Sharpened by Tabular's closed form would be three times too small."""
    theta, cotangent = waves(3), waves(3)
    close(evaluate(Sharpened(3), theta).vjp(cotangent), 3 * evaluate(Tabular(3), 3 * theta).vjp(cotangent), 1e-14)
    tilted = Tilted([[1.0, 0.0], [0.5, 1.0], [0.0, 2.0]])
    assert has_linear_logits(tilted)
    close(evaluate(tilted, waves(2)).vjp(cotangent), by_autograd(tilted, waves(2), cotangent), 1e-14)
    replaced = LogLinear([[1.0], [0.0]])
    replaced.log_probs = lambda theta: LogLinear.log_probs(replaced, 2 * theta)  # type: ignore[method-assign]
    assert not has_linear_logits(replaced)


def test_the_same_state_may_be_updated_twice() -> None:
    state = init(Tabular(3), waves(3))
    first, second = (update(state, pairs(0, y, shape=(3,)), loss=DPO(beta=1.0)) for y in (1, 2))
    assert not torch.equal(first.theta, second.theta)
    assert torch.equal(update(state, pairs(0, 1, shape=(3,)), loss=DPO(beta=1.0)).theta, first.theta)
