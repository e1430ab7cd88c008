"""Which weights of the two responses of a pair make the chosen one rise and the rejected one fall.

A step with weights (a, b) moves the parameters along a g_w - b g_l. To first order log pi(chosen) then changes by
a |g_w|^2 - b <g_w, g_l> and log pi(rejected) by a <g_w, g_l> - b |g_l|^2. All functions here take numbers of any exact
or floating type, such as ``fractions.Fraction`` or ``float``.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

Number = Any
"""A real number: a float, a Fraction, an int."""


class Band(NamedTuple):
    """The ratios a/b of the two weights for which the chosen response rises and the rejected one falls.

    Attributes:
        low: the chosen response rises if a/b is larger than this; infinite if no weights raise it (g_w = 0).
        high: the rejected response falls if a/b is smaller than this; infinite if <g_w, g_l> <= 0, and
            0 if no weights lower it (g_l = 0).
    """

    low: Number
    high: Number


def disentanglement_band(ww: Number, wl: Number, ll: Number) -> Band:
    """Return the open interval of ratios a/b for which the chosen response rises and the rejected one falls.

    It is (<g_w, g_l>/|g_w|^2, |g_l|^2/<g_w, g_l>), cut off at 0, without an upper end where the inner product is not
    positive. By the inequality of Cauchy and Schwarz it is empty only if the two scores are parallel (or one is 0).

    Args:
        ww: |g_w|^2.
        wl: <g_w, g_l>.
        ll: |g_l|^2.

    Example:
        >>> disentanglement_band(2.0, 3.0, 6.0)  # DPO has the ratio 1: both responses fall
        Band(low=1.5, high=2.0)
        >>> disentanglement_band(2.0, -1.0, 3.0)
        Band(low=0.0, high=inf)
    """
    low = max(0 * ww, wl / ww) if ww > 0 else math.inf
    if ll <= 0:
        return Band(low, 0 * ll)
    return Band(low, ll / wl if wl > 0 else math.inf)


def least_sft_weight(
    chosen_weight: Number, rejected_weight: Number, ww: Number, wl: Number, tokens: Number = 1
) -> Number:
    """Return the least weight of an added SFT term that keeps a step on a pair from lowering its chosen response.

    The term s * (-log pi(chosen)) adds s to the weight d_w of the chosen response. The condition
    (d_w + s) |g_w|^2 >= d_l <g_w, g_l> gives s >= d_l <g_w, g_l>/|g_w|^2 - d_w. For a loss of one log-ratio, where
    d_w = d_l = u, this is u max(0, <g_w, g_l>/|g_w|^2 - 1). At the least weight the chosen response does not move, to
    first order. A term that is averaged over tokens adds only s / tokens, so its least weight is ``tokens`` times as
    large.

    Args:
        chosen_weight: d_w = -dL/dlog pi(chosen) of the loss without the term.
        rejected_weight: d_l = dL/dlog pi(rejected).
        ww: |g_w|^2.
        wl: <g_w, g_l>.
        tokens: number of tokens that the term is averaged over: 1 for a term of summed log-probabilities; the mean
            number of chosen tokens of a batch for ``SFTPerToken``, which is TRL's loss type ``sft``.

    Returns:
        The least weight, at least 0; also 0 if g_w = 0, because then nothing moves the chosen response.

    Example:
        >>> least_sft_weight(0.25, 0.25, 2.0, 3.0)  # DPO with beta = 0.5 at the start: u = 0.5 * 1/2
        0.125
        >>> least_sft_weight(0.25, 0.25, 2.0, 3.0, tokens=20)
        2.5
    """
    zero = 0 * ww
    return zero if ww <= 0 else max(zero, tokens * (rejected_weight * wl / ww - chosen_weight))
