"""Where Self PO's loss SiLU(-m) is least, how deep it is there, and how hard it pulls: closed forms.

m is the margin, the paper's x is -m. Everything follows from W = W(1/e), Lambert's function at 1/e: the derivative of
x sigma(x) vanishes where 1 + x sigma(-x) = 0, that is where (-x - 1) e^(-x - 1) = 1/e.
"""

import math

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, lambertw

from dynamics.errors import check_number, check_positive

W: float = float(lambertw(math.exp(-1.0)).real)
"""W(1/e) = 0.278464..., the root of w e^w = 1/e."""

FLOOR_MARGIN: float = 1 + W
"""The margin at which the loss is least, 1.278464...; the paper's x there is its negative."""

FLOOR_VALUE: float = -W
"""The least value of the loss, -0.278464... nats."""

FLOOR_PROBABILITY: float = 1 / (1 + W)
"""sigma(FLOOR_MARGIN) = 0.782188..., the preference probability that the loss aims at."""

FLOOR_CURVATURE: float = W / (1 + W)
"""The second derivative at the floor, 0.217811...: the rate at which a gradient flow settles there."""


def silu_slope(x: np.ndarray | float) -> np.ndarray:
    """Return the derivative of SiLU at ``x`` (sun2025 Eq. 42): the weight of a pair in Self PO's gradient is minus it.

    Args:
        x: the argument -m, any shape; stable at any size.

    Example:
        >>> float(silu_slope(0.0))
        0.5
        >>> bool(abs(silu_slope(-FLOOR_MARGIN)) < 1e-16)
        True
    """
    return expit(x) * (1 + x * expit(-np.asarray(x, dtype=float)))


STEEPEST_MARGIN: float = -float(brentq(lambda x: x * math.tanh(x / 2) - 2, 2.0, 3.0, xtol=1e-15, rtol=8.9e-16))
"""The margin of the strongest push, -2.399357...; the strongest pull back is at its mirror image.

SiLU'' = sigma(x) sigma(-x) [2 - x tanh(x / 2)], so SiLU' has its extremes at the two roots of x tanh(x / 2) = 2.
"""

STRONGEST_PUSH: float = float(silu_slope(-STEEPEST_MARGIN))
"""The most that Self PO pushes a margin up, 1.099839...; the logistic loss stays below 1."""

STRONGEST_PULL: float = STRONGEST_PUSH - 1
"""The most that Self PO pulls a margin back, 0.099839..., since SiLU'(x) + SiLU'(-x) = 1."""


def push_ratio(margin: np.ndarray | float) -> np.ndarray:
    """Return Self PO's weight of a pair over that of the logistic loss, exactly 1 - SiLU(m).

    Above 1 for a pair that is ranked wrongly (at most 1 + W, at m = -(1 + W)), 0 at the floor, negative beyond.

    Args:
        margin: m, any shape.

    Example:
        >>> push_ratio([0.0, -FLOOR_MARGIN]).round(6)
        array([1.      , 1.278465])
    """
    m = np.asarray(margin, dtype=float)
    return 1 - m * expit(m)


def target_log_ratio(beta: float, gamma: float) -> float:
    """Return the log-ratio log pi_w - log pi_l at which Self PO is least: (gamma + 1 + W) / beta, per token for Eq. 17.

    Args:
        beta: scale of the log-probabilities, > 0.
        gamma: target margin in units of the margin. The 1.31 of sun2025 Sec. 4.3 comes out only if the quoted 0.8 is
            the ratio gamma / beta, as public SimPO code is configured.

    Returns:
        Nats.

    Raises:
        InvalidArgument: beta is not a finite number > 0, or gamma not a finite number.

    Example:
        >>> round(target_log_ratio(beta=2.5, gamma=0.8), 6), round(target_log_ratio(beta=2.5, gamma=0.8 * 2.5), 6)
        (0.831386, 1.311386)
    """
    check_positive("beta", beta)
    check_number("gamma", gamma)
    return (gamma + FLOOR_MARGIN) / beta
