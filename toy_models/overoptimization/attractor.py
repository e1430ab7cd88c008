"""The margin of one pair under gradient flow and gradient descent, and of pairs that share a parameter.

Self PO draws every margin towards 1 + W(1/e) = 1.2785, SimPO towards infinity. Time and step
size are measured in units of learning_rate * |grad m|^2, so that the results do not depend on the policy. For two free
logits |grad m|^2 = 2 beta^2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from dynamics import LogLinear, Tabular, gradient_flow, pairs, simulate
from dynamics.errors import ArrayLike, check_count, check_finite, check_positive, to_tensor
from toy_models.overoptimization.training import loss_of

BETA, GAMMA = 2.5, 0.8  # sun2025 Section 4.3; the margin obeys the same equation for other values


def _theta(margins: ArrayLike) -> torch.Tensor:
    half = (check_finite("starts", to_tensor("starts", margins)) + GAMMA) / (2 * BETA)
    return torch.stack([half, -half], dim=-1)


def _margin(log_ratio: np.ndarray) -> np.ndarray:
    return BETA * log_ratio - GAMMA


def flow_margins(starts: Sequence[float], times: ArrayLike, loss: str = "silu") -> np.ndarray:
    """Return the margin of one pair under gradient flow: a tabular policy, one prompt for each start.

    Args:
        starts: margins at time 0.
        times: increasing, >= 0, in units in which |grad m| = 1.
        loss: one of ``training.LOSSES``.

    Returns:
        Margins ``(times, starts)``.

    Example:
        >>> flow_margins([0.0], [0.0, 10.0, 100.0])[:, 0].round(4)
        array([0.    , 1.1968, 1.2785])
    """
    prompts = range(len(starts))
    policy = Tabular(2, prompts=len(prompts))
    given = pairs(0, 1, prompt=list(prompts), shape=policy.shape)
    # the objective is the mean over the starts, so each of them moves at 1 / len(starts) of the speed of a pair alone
    grid = np.asarray(times, dtype=float) * len(starts) / (2 * BETA**2)
    run = gradient_flow(policy, _theta(starts).flatten(), given, grid, loss=loss_of(loss, BETA, GAMMA))
    return _margin(run.log_probs[..., 0] - run.log_probs[..., 1])


def descend_margins(starts: Sequence[float], sizes: Sequence[float], steps: int, loss: str = "silu") -> np.ndarray:
    """Return the margin of one pair under gradient descent, for all step sizes and starts in one batch.

    Args:
        starts: margins before the first step.
        sizes: learning_rate * |grad m|^2, > 0.
        steps: number of updates.
        loss: one of ``training.LOSSES``.

    Returns:
        Margins ``(steps + 1, sizes, starts)``.

    Example:
        >>> bool(abs(descend_margins([0.0, -10.0], [2.0], 200)[-1] - 1.278465).max() < 1e-6)
        True
    """
    for size in sizes:
        check_positive("sizes", size)
    run = simulate(
        Tabular(2),
        _theta(starts),
        pairs(0, 1, shape=(2,)),
        loss=loss_of(loss, BETA, GAMMA),
        learning_rate=[float(size) / (2 * BETA**2) for size in sizes],
        steps=steps,
        seeds=len(starts),
    )
    return _margin(run.log_ratio(0, 1)[:, 0].numpy())


def shared_margins(ordinary: Sequence[int], scales: Sequence[float], time: float = 100.0) -> np.ndarray:
    """Return the two margins at which a shared parameter converges under gradient flow.

    N pairs have the margin theta and one more has c theta: features 1 and c, beta = 1, gamma = 0. The gradient is the
    mean over the N + 1 pairs, and theta starts at 0. All cases run in one flow, each with a parameter of its own.

    Args:
        ordinary: N, pairs of margin theta, of every case.
        scales: c > 0 of every case.
        time: duration of the flow.

    Returns:
        theta and c theta, ``(cases, 2)``.

    Example:
        >>> shared_margins([100], [10.0]).round(2)
        array([[ 1.28, 12.78]])
    """
    cases = len(ordinary)
    features = torch.zeros(cases, 2, 2, cases, dtype=torch.float64)
    weights = []
    for case, (n, scale) in enumerate(zip(ordinary, scales, strict=True)):
        check_count("ordinary", n)
        check_positive("scales", scale)
        features[case, :, 0, case] = torch.tensor([1.0, float(scale)], dtype=torch.float64)
        weights += [n / (n + 1), 1 / (n + 1)]
    policy = LogLinear(features=features.flatten(0, 1))
    given = pairs(0, 1, prompt=list(range(2 * cases)), shape=policy.shape, weight=weights)
    # the objective is the mean over the cases, so each moves at 1 / cases of the speed of a case alone
    run = gradient_flow(policy, [0.0] * cases, given, [0.0, cases * time], loss=loss_of("silu", 1.0, 0.0))
    return (run.log_probs[-1, :, 0] - run.log_probs[-1, :, 1]).reshape(cases, 2)
