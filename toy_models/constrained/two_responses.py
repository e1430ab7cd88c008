"""Two responses and an interval: RLHF and DPO choose the same policy, whatever the reference, the reward and beta."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, log_expit, logit

from dynamics.errors import InvalidArgument, check_count, is_finite
from toy_models.constrained.objectives import check_share

LEAST_SHARE = 1e-100
"""Smallest allowed reference, bound of the interval and beta: below it, quotients overflow."""


@dataclass(frozen=True, eq=False)
class TwoResponses:
    """Both losses of one prompt with two responses, and where each is minimal on an interval.

    Attributes:
        probability: p = pi(y_1), ``(points,)``.
        rlhf: RLHF's loss at p, beta KL(pi, ref) - E[r] with r(y_2) = 0 (wipf2024 Eq. 3), ``(points,)``.
        dpo: DPO's expected loss at p (Eq. 6), nats, ``(points,)``.
        interval: the p that are allowed, ``(2,)``.
        free_optimum: the p that both choose when all are allowed.
        rlhf_optimum: the p of the interval at which RLHF's loss is least, found from RLHF's slope alone.
        dpo_optimum: the same for DPO, from DPO's slope alone.
    """

    probability: np.ndarray
    rlhf: np.ndarray
    dpo: np.ndarray
    interval: np.ndarray
    free_optimum: float
    rlhf_optimum: float
    dpo_optimum: float


def two_responses(
    reward_gap: float = 1.5,
    reference: float = 0.4,
    beta: float = 0.5,
    low: float = 0.1,
    high: float = 0.7,
    points: int = 199,
) -> TwoResponses:
    """Return both losses and both choices on low <= pi(y_1) <= high; the two choices agree.

    The slopes of both losses have the sign of p - p**, where p** is their common unconstrained optimum, so that both
    choose the point of the interval nearest to p**. With several prompts and an interval for each, the problem
    separates into problems of this kind; with a constraint across prompts it does not (``tied_prompts``).

    Args:
        reward_gap: r(y_1) - r(y_2), from -30 to 30.
        reference: ref(y_1), in (0, 1).
        beta: > 0.
        low: least p allowed, in (0, 1).
        high: largest p allowed, in (0, 1), not below ``low``.
        points: number of points of the curves.

    Raises:
        InvalidArgument: a number outside its range.

    Source: not in wipf2024; with two responses, the setting of the proof of Proposition 3.1, no interval makes the two
    choices differ.

    Example:
        >>> world = two_responses()
        >>> round(world.free_optimum, 4), world.rlhf_optimum, world.dpo_optimum
        (0.9305, 0.7, 0.7)
    """
    if not is_finite(reward_gap) or abs(reward_gap) > 30:
        raise InvalidArgument("reward_gap", reward_gap, "a number from -30 to 30")
    if not is_finite(beta) or not LEAST_SHARE <= beta <= 1 / LEAST_SHARE:
        raise InvalidArgument("beta", beta, f"a number > 0, from {LEAST_SHARE:g} to {1 / LEAST_SHARE:g}")
    for name, value in (("reference", reference), ("low", low), ("high", high)):
        check_share(name, value)
        if value < LEAST_SHARE:
            raise InvalidArgument(name, value, f"at least {LEAST_SHARE:g}")
    if high < low:
        raise InvalidArgument("high", high, f"a number not below low = {low:g}")
    p = np.linspace(0.0, 1.0, check_count("points", points) + 2)[1:-1]

    def margin(at: np.ndarray | float) -> np.ndarray:
        return np.asarray(beta * (logit(at) - logit(reference)))

    def rlhf_slope(at: float) -> float:
        return float(margin(at)) - reward_gap

    def dpo_slope(at: float) -> float:
        held = float(margin(at))
        # sigma(held) - sigma(gap) to full relative accuracy; the factor beta / (p (1 - p)) does not change its sign
        return float(
            np.exp(log_expit(held) + log_expit(-reward_gap)) - np.exp(log_expit(-held) + log_expit(reward_gap))
        )

    return TwoResponses(
        probability=p,
        rlhf=p * (beta * np.log(p / reference) - reward_gap) + (1 - p) * beta * np.log((1 - p) / (1 - reference)),
        dpo=-expit(reward_gap) * log_expit(margin(p)) - expit(-reward_gap) * log_expit(-margin(p)),
        interval=np.array([low, high]),
        free_optimum=float(expit(logit(reference) + reward_gap / beta)),
        rlhf_optimum=_least(rlhf_slope, low, high),
        dpo_optimum=_least(dpo_slope, low, high),
    )


def _least(slope: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function is minimal on an interval, given its slope, which changes sign once, from - to +."""
    if slope(low) >= 0:
        return low
    if slope(high) <= 0:
        return high
    return float(brentq(slope, low, high, xtol=1e-15))
