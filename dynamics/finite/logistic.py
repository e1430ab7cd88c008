"""The margin of a single pair under DPO in continuous time, in closed form: dm/dt = rate sigma(-m)."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import wrightomega

from dynamics.errors import InvalidArgument, is_finite
from dynamics.finite.integration import LARGEST, as_array

LARGEST_MARGIN = 700
"""Largest margin that is accepted: the exponential of a larger one may overflow."""


def logistic_margin(times: np.ndarray | float, rate: float, start: float = 0.0) -> np.ndarray:
    """Return the margin m(t) of dm/dt = rate sigma(-m): exactly m + e^m = m0 + e^m0 + rate t.

    A single pair under DPO on a tabular or log-linear policy has rate beta^2 |g_w - g_l|^2.

    Args:
        times: times >= 0.
        rate: > 0.
        start: m(0).

    Example:
        >>> float(logistic_margin(math.e - 1 + 1, rate=1.0)).__round__(6)  # 1 + e = 0 + 1 + t at t = e
        1.0
    """
    _check_margins(rate, start=start)
    at = as_array("times", times)
    if not (np.abs(at) <= LARGEST).all():
        raise InvalidArgument("times", times, f"numbers up to {LARGEST:g}")
    total = start + np.exp(start) + rate * at
    grown = wrightomega(total)  # e^m; its logarithm keeps the digits of a large margin, the difference of a small one
    return np.where(total > 1, np.log(np.maximum(grown, 1.0)), total - grown)


def logistic_hitting_time(margin: float, rate: float, start: float = 0.0) -> float:
    """Return when ``logistic_margin`` reaches ``margin`` >= ``start``.

    Example:
        >>> round(logistic_hitting_time(1.0, rate=1.0), 6)
        2.718282
    """
    _check_margins(rate, start=start, margin=margin)
    if not margin >= start:
        raise InvalidArgument("margin", margin, f"a number >= start ({start}): the margin never falls")
    return (margin + math.exp(margin) - start - math.exp(start)) / rate


def _check_margins(rate: float, **margins: float) -> None:
    for name, value in (("rate", rate), *margins.items()):
        if not is_finite(value):
            raise InvalidArgument(name, value, "one finite number")
    if not 1 / LARGEST <= rate <= LARGEST:
        raise InvalidArgument("rate", rate, f"a number from {1 / LARGEST:g} to {LARGEST:g}")
    for name, value in margins.items():
        if abs(value) > LARGEST_MARGIN:
            raise InvalidArgument(name, value, f"a number from -{LARGEST_MARGIN} to {LARGEST_MARGIN}")
