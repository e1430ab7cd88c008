"""The gradient field of DPO in the ratio coordinates pi_w / ref_w and pi_l / ref_l, and its flow (feng2024)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.integrate import quad
from scipy.special import expit, log_expit

from dynamics.errors import InvalidArgument, check_positive, is_finite
from dynamics.finite.integration import as_array, check_times, solve

LARGEST_RATIO = 1e50
"""Largest ratio pi / ref that is accepted; the smallest is its inverse."""

NEXT_TO_2 = 1e-6
"""Exponents beta closer than this below 2 are refused: x2 would reach 0 too late and too suddenly to be integrated."""


def ratio_loss(x1: np.ndarray | float, x2: np.ndarray | float, beta: float) -> np.ndarray:
    """Return the DPO loss in the ratio coordinates x1 = pi_w / ref_w and x2 = pi_l / ref_l (feng2024 Eq. 1), nats.

    Example:
        >>> float(ratio_loss(1.0, 1.0, beta=0.5)).__round__(4)
        0.6931
    """
    x1, x2 = _ratios(x1, x2, beta)
    return np.logaddexp(0.0, beta * (np.log(x2) - np.log(x1)))


def ratio_field(x1: np.ndarray | float, x2: np.ndarray | float, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the descent direction -(dL/dx1, dL/dx2) of the DPO loss in ratio coordinates (feng2024 Eq. 2).

    It is tangential: x1 dx1 + x2 dx2 = 0, so x1^2 + x2^2 is conserved along its flow.

    Args:
        x1: pi_w / ref_w > 0, any shape.
        x2: pi_l / ref_l > 0, broadcastable.
        beta: > 0.

    Example:
        >>> ratio_field(1.0, 1.0, beta=0.5)
        (np.float64(0.25), np.float64(-0.25))
    """
    x1, x2 = _ratios(x1, x2, beta)
    urgency = expit(beta * (np.log(x2) - np.log(x1)))
    return beta * urgency / x1, -beta * urgency / x2


def ratio_flow(x1: float, x2: float, beta: float, times: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the flow of ``ratio_field`` from (x1, x2): an arc of a circle, ended where x2 is 0 (if it gets there).

    For beta < 2 the right-hand side explodes at x2 = 0, so x2^(2 - beta), whose speed is bounded, is integrated;
    for beta >= 2 it is log x2.

    Args:
        x1: start, > 0.
        x2: start, > 0.
        beta: > 0.
        times: increasing times >= 0.

    Returns:
        ``(times, 2)`` with the columns x1, x2; from the hitting time on, (sqrt(x1^2 + x2^2), 0).

    Example:
        >>> ratio_flow(1.0, 1.0, 2.0, [0.0, 1.0])[:, 1].round(4)  # exp(-t) exactly at beta = 2 from (1, 1)
        array([1.    , 0.3679])
    """
    x1, x2 = _two_numbers(x1, x2, beta)
    radius = math.hypot(x1, x2)
    x1, x2 = x1 / radius, x2 / radius  # the field at c x is that at x over c: the circle of radius 1 is enough
    grid = check_times(times) / radius**2
    power = 2 - beta

    if power > 0:

        def velocity(_: float, state: np.ndarray) -> np.ndarray:
            loser = np.maximum(state, 0.0) ** (1 / power)
            winner = np.sqrt(np.maximum(1 - loser**2, 0.0))
            return -power * beta / (winner**beta + loser**beta)

        end = ratio_hitting_time(x1, x2, beta)
        inside = grid[grid < end]
        loser = np.zeros(len(grid))
        if len(inside):
            loser[: len(inside)] = solve(velocity, np.array([x2**power]), inside, None)[1][:, 0].clip(0) ** (1 / power)
    else:

        def velocity(_: float, state: np.ndarray) -> np.ndarray:
            state = np.minimum(state, math.log(x2))  # a trial step may overshoot the start
            log_winner = 0.5 * np.log(x1**2 - x2**2 * np.expm1(2 * (state - math.log(x2))))
            # the field over x2, as one exponential: both parts of the quotient vanish with x2
            return -beta * np.exp(log_expit(beta * (state - log_winner)) - 2 * state)

        loser = np.exp(solve(velocity, np.array([math.log(x2)]), grid, None)[1][:, 0])
    loser = np.minimum(loser, x2)
    # x1^2 + x2^2 is conserved; written so that a small x1 keeps its digits
    return radius * np.stack([np.sqrt(x1**2 + (x2 - loser) * (x2 + loser)), loser], axis=-1)


def ratio_hitting_time(x1: float, x2: float, beta: float) -> float:
    """Return the time at which the flow of ``ratio_field`` reaches x2 = 0: finite for beta < 2, else infinite.

    Example:
        >>> round(ratio_hitting_time(1.0, 1.0, 1.0), 4)  # 1 + pi / 4
        1.7854
    """
    x1, x2 = _two_numbers(x1, x2, beta)
    if beta >= 2:
        return math.inf
    angle = math.atan2(x2, x1)

    def smooth_part(phi: float) -> float:
        # the integrand of R^2 (1 + tan^b) cos^2 / (b tan^(b-1)), less its factor phi^(1-b), which quad takes as weight
        ratio = phi / math.tan(phi) if phi > 0 else 1.0
        return (1 + math.tan(phi) ** beta) * math.cos(phi) ** 2 * ratio ** (beta - 1) / beta

    # quad's algebraic weight needs an end that is not itself singular; tan is finite for every x1 > 0
    value, _ = quad(smooth_part, 0.0, angle, weight="alg", wvar=(1 - beta, 0.0), epsabs=1e-13, epsrel=1e-12, limit=200)
    return (x1**2 + x2**2) * value


def _ratios(x1: np.ndarray | float, x2: np.ndarray | float, beta: float) -> tuple[np.ndarray, np.ndarray]:
    check_positive("beta", beta)
    strength = as_array("beta", beta)
    if not ((strength >= 1 / LARGEST_RATIO) & (strength <= LARGEST_RATIO)).all():
        raise InvalidArgument("beta", beta, f"numbers > 0, from {1 / LARGEST_RATIO:g} to {LARGEST_RATIO:g}")
    out = []
    for name, value in (("x1", x1), ("x2", x2)):
        array = as_array(name, value)
        if not ((array >= 1 / LARGEST_RATIO) & (array <= LARGEST_RATIO)).all():
            raise InvalidArgument(name, value, f"numbers > 0, from {1 / LARGEST_RATIO:g} to {LARGEST_RATIO:g}")
        out.append(array)
    try:
        np.broadcast_shapes(*(array.shape for array in out))
    except (ValueError, RuntimeError) as problem:
        got = f"{out[0].shape} and {out[1].shape}"
        raise InvalidArgument("x1, x2", f"their shapes {got} do not broadcast") from problem
    return out[0], out[1]


def _two_numbers(x1: float, x2: float, beta: float) -> tuple[float, float]:
    for name, value in (("x1", x1), ("x2", x2), ("beta", beta)):
        if not is_finite(value):
            raise InvalidArgument(name, value, "one finite number > 0")
    _ratios(x1, x2, beta)
    if 2 - NEXT_TO_2 < beta < 2:
        raise InvalidArgument("beta", beta, f"2, or a number not within {NEXT_TO_2:g} below it")
    return float(x1), float(x2)
