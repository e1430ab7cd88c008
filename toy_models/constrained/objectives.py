"""Three objectives with the same optimum pi*, and their gradients in the logits: RLHF, DPO, the forward divergence.

One prompt, beta = 1 and a uniform reference, so that pi* is proportional to exp(reward).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_expit

from dynamics.errors import InvalidArgument


def rlhf(log_pi: np.ndarray, log_target: np.ndarray) -> float:
    """Return KL(pi, pi*) in nats: the objective of RLHF minus its minimum (wipf2024 Eq. 16).

    Args:
        log_pi: log pi (nats), ``(responses,)``.
        log_target: log pi*, same shape.

    Example:
        >>> round(rlhf(np.log([0.5, 0.5]), np.log([0.75, 0.25])), 6)
        0.143841
    """
    _check_pair(log_pi, log_target)
    return float(np.exp(log_pi) @ (log_pi - log_target))


def forward_kl(log_pi: np.ndarray, log_target: np.ndarray) -> float:
    """Return KL(pi*, pi) in nats, which wipf2024 sets beside DPO.

    Args:
        log_pi: log pi (nats), ``(responses,)``.
        log_target: log pi*, same shape.

    Example:
        >>> round(forward_kl(np.log([0.5, 0.5]), np.log([0.75, 0.25])), 6)
        0.130812
    """
    return rlhf(log_target, log_pi)


def dpo(log_pi: np.ndarray, log_target: np.ndarray) -> float:
    """Return DPO's expected loss in nats, the mean over unordered pairs, with labels P(i beats j) from pi*.

    With two responses it is ``forward_kl`` and a constant; with more it is not (wipf2024 Eq. 22 needs two).

    Args:
        log_pi: log pi (nats), ``(responses,)``.
        log_target: log pi*, same shape.

    Example:
        >>> round(dpo(np.log([0.5, 0.5]), np.log([0.75, 0.25])), 6)  # ln 2: a uniform policy
        0.693147
    """
    _check_pair(log_pi, log_target)
    margin, wins = log_pi[:, None] - log_pi, expit(log_target[:, None] - log_target)
    loss = -wins * log_expit(margin)
    return float((loss.sum() - np.trace(loss)) / _pairs(log_pi))


def rlhf_gradient(log_pi: np.ndarray, log_target: np.ndarray) -> np.ndarray:
    """Return the gradient of ``rlhf`` in the logits, ``(responses,)``; it sums to zero."""
    excess = log_pi - log_target
    p = np.exp(log_pi)
    return p * (excess - p @ excess)


def forward_gradient(log_pi: np.ndarray, log_target: np.ndarray) -> np.ndarray:
    """Return the gradient of ``forward_kl`` in the logits, ``(responses,)``; it sums to zero."""
    return np.exp(log_pi) - np.exp(log_target)


def dpo_gradient(log_pi: np.ndarray, log_target: np.ndarray) -> np.ndarray:
    """Return the gradient of ``dpo`` in the logits, ``(responses,)``; it sums to zero."""
    held, wins = (expit(logs[:, None] - logs) for logs in (log_pi, log_target))
    return (held - wins).sum(1) / _pairs(log_pi)


def rlhf_hessian(log_pi: np.ndarray, log_target: np.ndarray) -> np.ndarray:
    """Return the Hessian of ``rlhf`` in the logits, ``(responses, responses)``; it may be indefinite."""
    excess = log_pi - log_target
    p = np.exp(log_pi)
    weight = p * (1 + excess - p @ excess)  # sums to 1
    return np.diag(weight) - np.outer(weight, p) - np.outer(p, weight) + np.outer(p, p)


def fisher(log_pi: np.ndarray) -> np.ndarray:
    """Return the Fisher information of the logits, diag(pi) - pi pi^T, which is the Hessian of ``forward_kl``."""
    p = np.exp(log_pi)
    return np.diag(p) - np.outer(p, p)


def dpo_hessian(log_pi: np.ndarray) -> np.ndarray:
    """Return the Hessian of ``dpo`` in the logits: the Laplacian of the graph with weights kappa (1 - kappa)."""
    margin = log_pi[:, None] - log_pi
    weight = expit(margin) * expit(-margin)
    np.fill_diagonal(weight, 0.0)
    return (np.diag(weight.sum(1)) - weight) / _pairs(log_pi)


@dataclass(frozen=True)
class Smooth:
    """An objective with its derivatives in the logits, each a function of log pi and log pi*."""

    value: Callable[[np.ndarray, np.ndarray], float]
    gradient: Callable[[np.ndarray, np.ndarray], np.ndarray]
    hessian: Callable[[np.ndarray, np.ndarray], np.ndarray]


RLHF = Smooth(rlhf, rlhf_gradient, rlhf_hessian)
DPO = Smooth(dpo, dpo_gradient, lambda log_pi, _: dpo_hessian(log_pi))
FORWARD = Smooth(forward_kl, forward_gradient, lambda log_pi, _: fisher(log_pi))


def check_share(argument: str, value: float) -> None:
    """Refuse anything but a number strictly between 0 and 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 < value < 1:
        raise InvalidArgument(argument, value, "a number strictly between 0 and 1")


def check_array(argument: str, value: np.ndarray) -> None:
    """Refuse anything but one array of numbers; cheap, since it is called in every step of a descent."""
    good = isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind == "f" and len(value) > 1
    if not good or np.isnan(value).any():
        raise InvalidArgument(argument, value, "an array of two or more numbers, shape (responses,)")


def _check_pair(log_pi: np.ndarray, log_target: np.ndarray) -> None:
    check_array("log_pi", log_pi)
    check_array("log_target", log_target)
    if log_pi.shape != log_target.shape:
        got = f"{log_pi.shape} and {log_target.shape}"
        raise InvalidArgument("log_pi, log_target", f"their shapes {got} differ; both are of the same responses")
    if not (abs(np.exp(np.minimum(log_pi, 1)).sum() - 1) < 1e-6):
        raise InvalidArgument("log_pi", log_pi, "log-probabilities (nats) whose exponentials sum to 1")


def three_shares(first: float, second: float) -> np.ndarray:
    """Return (first, second, the rest) as a distribution over three responses.

    Raises:
        InvalidArgument: a share outside of (0, 1), or nothing left for the third response.

    Example:
        >>> three_shares(0.6, 0.3).round(12)
        array([0.6, 0.3, 0.1])
    """
    check_share("first", first)
    check_share("second", second)
    if not first + second < 1:
        raise InvalidArgument("second", second, f"a number below 1 - first = {1 - first:g}")
    return np.array([first, second, 1 - first - second])


def _pairs(log_pi: np.ndarray) -> float:
    return len(log_pi) * (len(log_pi) - 1) / 2
