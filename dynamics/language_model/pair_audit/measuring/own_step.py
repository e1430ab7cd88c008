"""What an SGD step on one pair alone does to it, and what would keep its chosen response from falling."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from dynamics.disentanglement import disentanglement_band, least_sft_weight
from dynamics.language_model.prediction.drives import finite_chosen_slope
from dynamics.losses import PairLogProbs, PreferenceLoss


@dataclass(frozen=True)
class OwnStep:
    """First-order changes in an SGD step on a pair alone, in nats per unit of learning rate; see ``PairAudit``."""

    displaced: bool
    own_chosen_change: float
    own_rejected_change: float
    own_margin_change: float
    band_low: float | None
    band_high: float | None
    sft_weight: float


def own_step(loss: PreferenceLoss, pair: PairLogProbs, ww: float, wl: float, ll: float, rounding: float) -> OwnStep:
    """Return what an SGD step on a pair alone does to it, to first order.

    Args:
        loss: the preference loss.
        pair: log-probabilities and lengths of the one pair, each ``(1,)``. A loss of a batch sees a batch of one.
        ww: |g_w|^2.
        wl: <g_w, g_l>.
        ll: |g_l|^2.
        rounding: bound for the rounding error of the kernel, as for ``chosen_slope``.

    Raises:
        NotFinite: a derivative of the loss at these log-probabilities is not finite.

    Example:
        >>> from dynamics.losses import DPO, pair_log_probs
        >>> step = own_step(DPO(beta=1.0), pair_log_probs([-1.0], [-1.0]), 2.0, 3.0, 6.0, 1e-12)
        >>> step.displaced, step.own_chosen_change, step.own_rejected_change, step.own_margin_change
        (True, -0.5, -1.5, 1.0)
        >>> step.band_low, step.band_high, step.sft_weight
        (1.5, 2.0, 0.25)
    """
    kernel = [torch.tensor([value], dtype=torch.float64) for value in (ww, wl, ll)]
    chosen = float(finite_chosen_slope(loss, pair, kernel[0], kernel[1], kernel[2], rounding))
    partials = loss.partials(pair)
    d_w, d_l = -float(partials.chosen), float(partials.rejected)
    rejected = d_w * wl - d_l * ll
    margin = margin_change(loss, pair, *(torch.full_like(pair.chosen, value) for value in (chosen, rejected)))
    low, high = disentanglement_band(ww, wl, ll)
    displaced = chosen < 0
    return OwnStep(
        displaced,
        chosen,
        rejected,
        float(margin),
        low if math.isfinite(low) else None,
        high if math.isfinite(high) else None,
        least_sft_weight(d_w, d_l, ww, wl) if displaced else 0.0,
    )


def margin_change(loss: PreferenceLoss, pair: PairLogProbs, chosen: Tensor, rejected: Tensor) -> Tensor:
    """Return the first-order change of the margin of a loss, ``(pairs,)``, by forward-mode autodiff.

    Args:
        loss: the preference loss.
        pair: log-probabilities and lengths of the pairs.
        chosen: change of log pi(chosen), ``(pairs,)``.
        rejected: change of log pi(rejected).

    Example:
        >>> from dynamics.losses import DPO, pair_log_probs
        >>> one = torch.ones(1, dtype=torch.float64)
        >>> margin_change(DPO(beta=0.5), pair_log_probs([-1.0], [-2.0]), one, -one)
        tensor([1.], dtype=torch.float64)
    """
    found = torch.func.jvp(
        lambda w, other: loss.margin(pair._replace(chosen=w, rejected=other)),
        (pair.chosen, pair.rejected),
        (chosen, rejected),
    )
    return cast(tuple[Tensor, Tensor], found)[1]
