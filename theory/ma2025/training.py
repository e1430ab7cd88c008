"""Training on two responses in one number: rest points and minima of any loss of ``dynamics``, by autograd.

The first response is preferred with probability ``label``; training follows the expected gradient of its logit. A
detached part of a loss is detached here, too, so that a rest point need not be a minimum.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from dynamics.losses import NaiveBDPO, NaiveBDPOv2, pair_log_probs
from dynamics.losses.base import PreferenceLoss

Pair = dict[str, float]


def expected_loss(loss: PreferenceLoss, label: float, log_odds: torch.Tensor, reference: float = 0.5) -> torch.Tensor:
    """Return the expected loss of two responses.

    Args:
        loss: of one pair.
        label: probability that the first response is preferred.
        log_odds: log pi_1 - log pi_2, any shape.
        reference: ref_1.
    """
    first, second = torch.nn.functional.logsigmoid(log_odds), torch.nn.functional.logsigmoid(-log_odds)
    ref_first, ref_second = math.log(reference), math.log(1 - reference)
    agree = loss.value(pair_log_probs(first, second, ref_first, ref_second))
    return label * agree + (1 - label) * loss.value(pair_log_probs(second, first, ref_second, ref_first))


def drift(loss: PreferenceLoss, label: float, log_odds: float | torch.Tensor, reference: float = 0.5) -> torch.Tensor:
    """Return what training does to the first logit, minus the expected gradient; the second one moves oppositely.

    Example:
        >>> round(float(drift(NaiveBDPO(beta=1.0), 0.75, math.log(3))), 6)  # at the optimum of DPO: 3 / 128
        0.023437
    """
    at = torch.as_tensor(log_odds, dtype=torch.float64).clone().requires_grad_()
    with _one_thread():
        (slope,) = torch.autograd.grad(expected_loss(loss, label, at, reference).sum(), at)
    return -slope


@contextmanager
def _one_thread() -> Iterator[None]:
    # some hundred numbers: on a busy machine the threads that torch would start cost fifty times the work
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def resting_points(loss: PreferenceLoss, label: float, reference: float = 0.5) -> list[float]:
    """Return the probabilities pi_1, between 0.018 and 0.982, at which training comes to rest.

    Example:
        >>> [round(p, 3) for p in resting_points(NaiveBDPO(beta=1.0), 0.75)]
        [0.77]
    """

    def push(log_odds: np.ndarray) -> np.ndarray:
        return drift(loss, label, torch.from_numpy(log_odds), reference).numpy()

    coarse = np.linspace(-3.9993, 4.0007, 801)  # off the corners of the clip
    found = []
    for k in _falls(push(coarse)):
        fine = np.linspace(coarse[k], coarse[k + 1], 21)
        values = push(fine)
        at = int(_falls(values)[0])
        share = values[at] / (values[at] - values[at + 1])
        found.append(1 / (1 + math.exp(-(fine[at] + share * (fine[at + 1] - fine[at])))))
    return found


def _falls(values: np.ndarray) -> np.ndarray:
    return np.flatnonzero((values[:-1] > 0) & (values[1:] <= 0))


def is_minimum(loss: PreferenceLoss, label: float, p: float, reference: float = 0.5, nearby: float = 0.01) -> bool:
    """Return whether the value of the expected loss is least at pi_1 = p among log-odds this near."""
    log_odds = math.log(p / (1 - p)) + torch.tensor([0.0, -nearby, nearby], dtype=torch.float64)
    here, below, above = expected_loss(loss, label, log_odds, reference)
    return bool(here <= min(below, above))


def gradient(loss: PreferenceLoss, pair: Pair) -> tuple[float, float, float]:
    """Return the loss of a pair and its derivatives in log pi_w and log pi_l, by autograd."""
    chosen, rejected = (torch.tensor(pair[k], dtype=torch.float64, requires_grad=True) for k in ("chosen", "rejected"))
    value = loss.value(pair_log_probs(chosen, rejected, pair["reference_chosen"], pair["reference_rejected"]))
    slopes = torch.autograd.grad(value, (chosen, rejected))
    return float(value.detach()), float(slopes[0]), float(slopes[1])


def naive(clip: float = 0.5, symmetric: bool = False) -> NaiveBDPO:
    """Return naive bDPO with beta = 1."""
    return NaiveBDPO(beta=1.0, clip=clip, symmetric=symmetric)


def version_2(symmetric: bool = False, detach: bool = False) -> NaiveBDPOv2:
    """Return naive bDPO v2 with beta = 1 and the paper's clip of 0.5."""
    return NaiveBDPOv2(beta=1.0, clip=0.5, symmetric=symmetric, detach=detach)
