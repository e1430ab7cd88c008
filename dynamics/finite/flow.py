"""Gradient flow: the training of a policy in continuous time, the limit of gradient descent for small steps.

Time is learning rate times number of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dynamics.errors import (
    ArrayLike,
    check_finite,
    check_kind,
    check_log_probs,
    check_shape,
    to_tensor,
)
from dynamics.evaluation import flat_log_probs
from dynamics.finite.integration import check_function, check_times, solve
from dynamics.gradient import check_preferences, objective_gradient
from dynamics.losses import DPO, PreferenceLoss
from dynamics.policies import Policy, check_theta
from dynamics.preferences import Preferences, check_one_list


@dataclass(frozen=True, eq=False)
class Flow:
    """A solution in continuous time.

    Attributes:
        times: times of the rows; the last one is the hitting time if the flow stopped there.
        log_probs: log pi (nats), ``(times, *shape)``.
        theta: parameters, ``(times, parameters)``; None where the flow has none.
        hitting_time: first time at which the ``until`` function crossed zero; None if it did not.
    """

    times: np.ndarray
    log_probs: np.ndarray
    theta: np.ndarray | None
    hitting_time: float | None


def gradient_flow(
    policy: Policy,
    theta: ArrayLike,
    preferences: Preferences,
    times: Sequence[float] | np.ndarray,
    *,
    loss: PreferenceLoss | None = None,
    reference: ArrayLike | None = None,
    until: Callable[[np.ndarray], float] | None = None,
) -> Flow:
    """Return the gradient flow d theta / dt = -grad L(theta), the limit of SGD for small steps.

    Args:
        policy: the finite policy.
        theta: parameters at time 0, finite.
        preferences: weighted pairs.
        times: increasing times >= 0 at which to report.
        loss: DPO(beta=0.1) if not given.
        reference: log ref (nats), of the policy's shape; the policy at time 0 if not given.
        until: function of log_probs (array of the policy's shape); the flow stops where it crosses zero.

    Raises:
        InvalidArgument: an argument that cannot be used; the message names it.

    Example:
        >>> from dynamics import DPO, Tabular, pairs
        >>> flow = gradient_flow(Tabular(2), [0.0, 0.0], pairs(0, 1, shape=(2,)), [0.0, 1.0], loss=DPO(beta=1.0))
        >>> np.exp(flow.log_probs[-1]).round(4)  # margin m with m + e^m = 1 + 2 t
        array([0.6883, 0.3117])
    """
    loss = DPO() if loss is None else loss
    check_kind("loss", loss, PreferenceLoss, "a loss such as DPO(beta=0.1)")
    start = check_finite("theta", check_theta(policy, theta))
    grid = check_times(times)
    if reference is None:
        base = flat_log_probs(policy, start)
    else:
        given = to_tensor("reference", reference, dtype=policy.dtype, device=policy.device)
        base = check_log_probs("reference", check_shape("reference", given, policy.shape)).flatten()
    check_preferences(policy, flat_log_probs(policy, start), preferences)
    check_one_list(preferences)
    if until is not None:
        check_function("until", until)

    def tensor(state: np.ndarray) -> Tensor:
        return torch.as_tensor(state, dtype=policy.dtype, device=policy.device)

    def velocity(_: float, state: np.ndarray) -> np.ndarray:
        return -objective_gradient(policy, tensor(state), preferences, loss, base).cpu().numpy()

    def log_probs_of(state: np.ndarray) -> np.ndarray:
        return policy.log_probs(tensor(state)).cpu().numpy()

    stop = None if until is None else (lambda state: until(log_probs_of(state)))
    found, states, hit = solve(velocity, start.cpu().numpy(), grid, stop)
    return Flow(found, log_probs_of(states), states, hit)
