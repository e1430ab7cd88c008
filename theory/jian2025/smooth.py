"""Differentiable policies of four kinds in float64, for statements about any policy: gradients, orders of a step."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from dynamics.policies import MLP, LogLinear, Policy, PrefixTree, Tabular
from dynamics.scores import score

CHOSEN, REJECTED = 0, 1
BETA = 0.5


@lru_cache(maxsize=1)
def smooth_policies() -> dict[str, tuple[Policy, Tensor]]:
    """Return a tabular, a log-linear, an autoregressive policy and a perceptron, each with random parameters.

    Example:
        >>> list(smooth_policies())
        ['tabular', 'log-linear', 'prefix tree', 'perceptron']
    """
    random = torch.Generator().manual_seed(2025)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    perceptron = MLP(prompts=1, responses=4, hidden=5, activation="tanh")
    tree = PrefixTree(["aab", "aac", "ab", "b", "c"])
    return {
        "tabular": (Tabular(4), normal(4)),
        "log-linear": (LogLinear(normal(5, 2)), normal(2)),
        "prefix tree": (tree, normal(tree.parameters)),
        "perceptron": (perceptron, 2 * perceptron.initial(random)),
    }


def log_probs(policy: Policy, theta: Tensor) -> Tensor:
    """Return log pi of all responses to the first prompt, flat."""
    return policy.log_probs(theta).flatten()


def scores(policy: Policy, theta: Tensor) -> Tensor:
    """Return g_y for every response, (responses, parameters)."""
    return score(policy, theta).reshape(-1, policy.parameters)


def dpo_loss(policy: Policy, theta: Tensor, reference: Tensor) -> Tensor:
    """Return -log sigma(z) as in Eq. (16), written out so that autograd alone differentiates it."""
    change = log_probs(policy, theta) - reference
    return -torch.nn.functional.logsigmoid(BETA * (change[CHOSEN] - change[REJECTED]))


def dpo_gradient(policy: Policy, theta: Tensor, reference: Tensor) -> Tensor:
    """Return the gradient of ``dpo_loss`` by autograd."""
    return torch.autograd.functional.jacobian(lambda t: dpo_loss(policy, t, reference), theta)


def other_reference(policy: Policy, theta: Tensor) -> Tensor:
    """Return the log-probabilities of a reference that differs from the policy, so that z is not 0."""
    return log_probs(policy, 0.6 * theta + 0.3)


def change_of_a_step(policy: Policy, theta: Tensor, learning_rate: float) -> tuple[Tensor, Tensor]:
    """Return the exact change of pi in one step of gradient descent, and the change of theta."""
    delta = -learning_rate * dpo_gradient(policy, theta, other_reference(policy, theta))
    return log_probs(policy, theta + delta).exp() - log_probs(policy, theta).exp(), delta


def printed_changes(policy: Policy, theta: Tensor, _: Tensor, learning_rate: float, beta: float = BETA) -> Tensor:
    """Return the right-hand sides of Eqs. (2) and (3), with ``beta`` as their prefactor."""
    log_p, g = log_probs(policy, theta), scores(policy, theta)
    w, r = g[CHOSEN], g[REJECTED]
    log_ratios = log_p - other_reference(policy, theta)
    z = BETA * (log_ratios[CHOSEN] - log_ratios[REJECTED])
    terms = torch.stack([w @ w - w @ r, r @ w - r @ r])
    return learning_rate * beta * (1 - torch.sigmoid(z)) * log_p[[CHOSEN, REJECTED]].exp() * terms


def residual(prediction: Callable[..., Tensor], name: str, **change: float) -> Callable[[float], float]:
    """Return how far ``prediction`` is from the exact change of pi, as a function of the learning rate.

    Args:
        prediction: of (policy, theta, change of theta, learning rate), the predicted change of pi of every response,
            or of the first ones only.
        name: of a policy in ``smooth_policies``.
        **change: arguments of the prediction that differ from its own.
    """

    def distance(learning_rate: float) -> float:
        policy, theta = smooth_policies()[name]
        exact, delta = change_of_a_step(policy, theta, learning_rate)
        predicted = prediction(policy, theta, delta, learning_rate, **change)
        return float((exact[: len(predicted)] - predicted).abs().max())

    return distance
