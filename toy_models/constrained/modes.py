"""Figure 1 of wipf2024: a target with two modes, and policies that may have only one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

from dynamics.errors import InvalidArgument, is_finite
from toy_models.constrained.objectives import DPO, FORWARD, RLHF, Smooth, check_array, check_share, fisher

RESPONSES = np.linspace(-4.0, 4.0, 81)
"""The responses: points on a line."""


@dataclass(frozen=True, eq=False)
class TwoModes:
    """A target on a line and the policies that three objectives choose, as log-probabilities on ``responses``.

    Attributes:
        responses: where the responses lie, ``(81,)``.
        target: log pi*, the optimum of RLHF with the true reward.
        free_rlhf: RLHF's choice among all policies, found by descent.
        free_dpo: DPO's choice among all policies, found by descent.
        rlhf: RLHF's choice among the bumps.
        dpo: DPO's choice among the bumps.
        forward: the bump with the least KL(pi*, pi).
    """

    responses: np.ndarray
    target: np.ndarray
    free_rlhf: np.ndarray
    free_dpo: np.ndarray
    rlhf: np.ndarray
    dpo: np.ndarray
    forward: np.ndarray


def two_modes(weight: float = 0.65, distance: float = 1.6, deviation: float = 0.5) -> TwoModes:
    """Return the choices of RLHF and DPO for the target weight N(distance) + (1 - weight) N(-distance).

    A bump is a policy with log pi = a x + b x^2 + constant and b <= 0: a Gaussian on the grid or, in the limit of a
    wide one, a tilted flat policy. DPO and the forward divergence are convex in (a, b), RLHF is not: descent starts
    from both modes and from the middle, and the best result is kept.

    Args:
        weight: share of the right mode, in (0, 1).
        distance: of the modes from 0, in units of the axis, 0 to 3.
        deviation: standard deviation of either mode, 0.3 to 2.

    Raises:
        InvalidArgument: a number outside its range.

    Source: wipf2024 Figure 1, which gives no numbers.

    Example:
        >>> world = two_modes()
        >>> for name in ("rlhf", "dpo", "forward"):
        ...     print(name, *(f"{x:.3f}" for x in moments(world.responses, getattr(world, name))))
        rlhf 1.597 0.505
        dpo 0.135 1.472
        forward 0.480 1.606
    """
    check_share("weight", weight)
    if not is_finite(distance) or not 0 <= distance <= 3:
        raise InvalidArgument("distance", distance, "a number from 0 to 3, so that both modes lie on the axis")
    if not is_finite(deviation) or not 0.3 <= deviation <= 2:
        raise InvalidArgument("deviation", deviation, "a number from 0.3 to 2, so that the grid resolves the modes")
    x = RESPONSES
    right, left = (log_softmax(-0.5 * ((x - mean) / deviation) ** 2) for mean in (distance, -distance))
    target = np.logaddexp(np.log(weight) + right, np.log1p(-weight) + left)
    flat = np.array([0.0, -1e-2])
    starts = [np.array([mean, -0.5]) / deviation**2 for mean in (distance, -distance)]
    return TwoModes(
        responses=x,
        target=target,
        free_rlhf=_mirror_descent(target),
        free_dpo=_fit(DPO, target, np.eye(len(x))[:, 1:], np.zeros(len(x) - 1)),
        rlhf=_best_bump(RLHF, target, [*starts, flat]),
        dpo=_best_bump(DPO, target, [flat]),
        forward=_best_bump(FORWARD, target, [flat]),
    )


def moments(responses: np.ndarray, log_pi: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation of a policy on a line.

    Args:
        responses: where the responses lie, ``(responses,)``.
        log_pi: log pi (nats), same shape.

    Example:
        >>> moments(np.array([-1.0, 1.0]), np.log([0.5, 0.5]))
        (0.0, 1.0)
    """
    check_array("responses", responses)
    check_array("log_pi", log_pi)
    if responses.shape != log_pi.shape:
        raise InvalidArgument("responses", f"shape {responses.shape}", f"shape {log_pi.shape}")
    p = np.exp(log_pi)
    mean = float(p @ responses)
    return mean, float(np.sqrt(p @ (responses - mean) ** 2))


def _mirror_descent(target: np.ndarray) -> np.ndarray:
    """Minimise RLHF over all policies by mirror descent, whose gradient in pi is log pi - log pi* plus a constant."""
    log_pi = np.full(len(target), -np.log(len(target)))
    for _ in range(60):
        log_pi = log_softmax(log_pi - 0.5 * (log_pi - target))
    return log_pi


def _best_bump(objective: Smooth, target: np.ndarray, starts: list[np.ndarray]) -> np.ndarray:
    features = np.stack([RESPONSES, RESPONSES**2], axis=1)
    found = [_fit(objective, target, features, start) for start in starts]
    # with b > 0 the result is not a bump, and the best bump lies on the boundary b = 0
    bumps = [log_pi for log_pi in found if _bend(log_pi) <= 0] or [
        _fit(objective, target, features[:, :1], np.zeros(1))
    ]
    return min(bumps, key=lambda log_pi: objective.value(log_pi, target))


def _bend(log_pi: np.ndarray) -> float:
    """Return the second difference of log pi, the same at all of its points: the sign of b."""
    middle = len(log_pi) // 2
    return float(log_pi[middle + 1] - 2 * log_pi[middle] + log_pi[middle - 1])


def _fit(objective: Smooth, target: np.ndarray, features: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Minimise an objective over the policies with logits features @ theta by Newton's method with step halving.

    Args:
        objective: value, gradient and Hessian in the logits.
        target: log pi*.
        features: ``(responses, parameters)``.
        start: theta, ``(parameters,)``.

    Returns:
        log pi at the minimum.
    """
    theta, log_pi = start, log_softmax(features @ start)
    value = objective.value(log_pi, target)
    for _ in range(200):
        slope = features.T @ objective.gradient(log_pi, target)
        curvature = features.T @ objective.hessian(log_pi, target) @ features
        if np.linalg.eigvalsh(curvature)[0] <= 0:  # not convex here: a natural gradient step descends all the same
            curvature = features.T @ fisher(log_pi) @ features
        direction = -np.linalg.solve(curvature, slope)
        length = 1.0
        while length > 1e-9:
            moved = log_softmax(features @ (theta + length * direction))
            lower = objective.value(moved, target)
            if lower <= value + 1e-15 * abs(value):
                break
            length /= 2
        else:
            return log_pi
        change = np.abs(moved - log_pi).max()
        theta, log_pi, value = theta + length * direction, moved, lower
        if change < 1e-11:
            return log_pi
    raise ArithmeticError("gradient descent did not converge within 200 steps")
