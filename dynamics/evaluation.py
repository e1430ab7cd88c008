"""log pi of a finite policy and its derivatives: in closed form where the logits are linear in theta, else by autograd.

With logits z = L theta + const, log pi = log softmax(z). Then, for a cotangent c, the gradient of sum_y c_y log pi(y)
is ``L^T (c - pi sum(c))``; along a direction d with L d = v, the first derivative of log pi(y) is ``v_y - E[v]`` and
the second ``-Var[v]``, with mean and variance under pi.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Protocol, TypeGuard, cast

import torch
from torch import Tensor

from dynamics.policies import Policy
from dynamics.shapes import Derivatives, FlatLogProbs, LogProbs, Scores, Theta

CLOSED_FORMS = ("log_probs", "logits", "linear_part", "transposed")
"""Methods of a policy whose logits are linear in theta."""


class LinearLogits(Policy, Protocol):
    """A policy whose logits are linear in theta, up to a constant: ``Tabular`` and ``LogLinear``."""

    def logits(self, theta: Theta) -> LogProbs:
        """Return the logits L theta + const, ``(*runs, *shape)``."""
        ...

    def linear_part(self, direction: Theta) -> LogProbs:
        """Return L d, the change of the logits along a direction ``(*runs, parameters)``."""
        ...

    def transposed(self, cotangent: LogProbs) -> Theta:
        """Return L^T c, ``(*runs, parameters)``, for ``(*runs, *shape)``."""
        ...


def has_linear_logits(policy: Policy) -> TypeGuard[LinearLogits]:
    """Return whether the closed forms hold for a policy.

    They do not for a subclass of ``Tabular`` or ``LogLinear`` with a ``log_probs`` of its own.

    Example:
        >>> from dynamics import MLP, Tabular
        >>> has_linear_logits(Tabular(3))
        True
        >>> class Sharpened(Tabular):
        ...     def log_probs(self, theta):
        ...         return super().log_probs(3 * theta)
        >>> has_linear_logits(Sharpened(3))
        False
    """
    return "log_probs" not in getattr(policy, "__dict__", {}) and _class_has_linear_logits(type(policy))


@cache
def _class_has_linear_logits(kind: type) -> bool:
    """Return whether a class has the closed forms; looked up once, since every evaluation of a policy asks."""
    owners = {name: next((c for c in kind.__mro__ if name in c.__dict__), None) for name in CLOSED_FORMS}
    if None in owners.values():
        return False
    return all(issubclass(owners[name], owners["log_probs"]) for name in ("logits", "transposed"))  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """log pi at some parameters, with its pullback.

    Attributes:
        log_probs: log pi (nats), ``(*runs, prompts * responses)``, without a graph.
        vjp: function of a cotangent c of this shape that returns the gradient of sum_y c_y log pi(y),
            ``(*runs, parameters)``.
    """

    log_probs: FlatLogProbs
    vjp: Callable[[FlatLogProbs], Theta]


def evaluate(policy: Policy, theta: Theta) -> Evaluation:
    """Return log pi of every response and the function that pulls cotangents back to theta.

    Args:
        policy: the finite policy.
        theta: ``(*runs, parameters)``.

    Example:
        >>> from dynamics import Tabular
        >>> found = evaluate(Tabular(2), torch.zeros(2, dtype=torch.float64))
        >>> found.vjp(torch.tensor([1.0, 0.0], dtype=torch.float64))  # the score of the first response
        tensor([ 0.5000, -0.5000], dtype=torch.float64)
    """
    start = theta.ndim - 1
    if not has_linear_logits(policy):
        leaf = theta.detach().requires_grad_()
        with torch.enable_grad():
            graph = flat_log_probs(policy, leaf)
        return Evaluation(graph.detach(), lambda c: torch.autograd.grad(graph, leaf, c, retain_graph=True)[0])
    with torch.no_grad():
        logits = policy.logits(theta)
        shifted = logits - logits.amax(-1, keepdim=True)
        exponentials = shifted.exp()
        total = exponentials.sum(-1, keepdim=True)
        log_probs = shifted.sub_(total.log())

    def vjp(cotangent: FlatLogProbs) -> Theta:
        c = cotangent.reshape(cotangent.shape[:-1] + policy.shape)
        return policy.transposed(torch.addcmul(c, exponentials, c.sum(-1, keepdim=True) / total, value=-1))

    return Evaluation(log_probs.flatten(start), vjp)


def flat_log_probs(policy: Policy, theta: Theta) -> FlatLogProbs:
    """Return log pi with prompt and response in one axis: ``(..., prompts * responses)``."""
    return policy.log_probs(theta).flatten(start_dim=theta.ndim - 1)


def all_scores(policy: Policy, theta: Theta) -> Scores:
    """Return the gradient of log pi of every response, ``(*policy.shape, parameters)``."""
    if not has_linear_logits(policy):
        rows = torch.func.jacrev(lambda t: flat_log_probs(policy, t))(theta)
        return rows.reshape(*policy.shape, policy.parameters)
    with torch.no_grad():
        p = policy.log_probs(theta).exp()
        identity = torch.eye(policy.parameters, dtype=policy.dtype, device=policy.device)
        features = policy.linear_part(identity).movedim(0, -1)  # (*shape, parameters)
        return features - (p.unsqueeze(-1) * features).sum(-2, keepdim=True)


def directional_derivatives(policy: Policy, theta: Theta, direction: Theta) -> tuple[Derivatives, Derivatives]:
    """Return the first and second derivative of log pi(y | x) along a direction, each of ``policy.shape``.

    Without a closed form they take two passes of forward mode; no matrix of second derivatives is formed.
    """
    if has_linear_logits(policy):
        with torch.no_grad():
            p, v = policy.log_probs(theta).exp(), policy.linear_part(direction)
            centred = v - (p * v).sum(-1, keepdim=True)
            return centred, -(p * centred**2).sum(-1, keepdim=True).expand(policy.shape)
    origin = torch.zeros((), dtype=policy.dtype, device=policy.device)
    one = torch.ones_like(origin)

    def first(s: Tensor) -> Tensor:
        return torch.func.jvp(lambda t: flat_log_probs(policy, theta + t * direction), (s,), (one,))[1]

    slope, curvature = cast(tuple[Tensor, Tensor], torch.func.jvp(first, (origin,), (one,)))
    return slope.reshape(policy.shape), curvature.reshape(policy.shape)
