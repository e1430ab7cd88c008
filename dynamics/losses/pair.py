"""The inputs of a loss for one pair: log-probabilities and lengths of the chosen and the rejected response."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from dynamics.errors import ArrayLike, InvalidArgument, to_tensor


class PairLogProbs(NamedTuple):
    """Log-probabilities (nats) and lengths (tokens) of a chosen and a rejected response; any broadcastable shapes."""

    chosen: Tensor
    rejected: Tensor
    reference_chosen: Tensor
    reference_rejected: Tensor
    chosen_length: Tensor
    rejected_length: Tensor

    @property
    def chosen_log_ratio(self) -> Tensor:
        """Log of pi_w / ref_w, nats."""
        return self.chosen - self.reference_chosen

    @property
    def rejected_log_ratio(self) -> Tensor:
        """Log of pi_l / ref_l, nats."""
        return self.rejected - self.reference_rejected

    @property
    def log_ratio(self) -> Tensor:
        """Log of (pi_w / ref_w) / (pi_l / ref_l), nats: what DPO's margin is proportional to."""
        return self.chosen_log_ratio - self.rejected_log_ratio


class Partials(NamedTuple):
    """Partial derivatives of a loss with respect to log pi(chosen) and log pi(rejected)."""

    chosen: Tensor
    rejected: Tensor


class PairWeights(NamedTuple):
    """Weights of the two responses in a gradient step, whose direction is ``chosen_weight g_w - rejected_weight g_l``.

    The two are d_w and d_l: minus the partial derivative with respect to log pi(chosen), and the partial derivative
    with respect to log pi(rejected). They are equal for every loss of the log-ratio alone. To first order the chosen
    response falls if and only if ``d_w |g_w|^2 < d_l <g_w, g_l>``.
    """

    chosen_weight: Tensor
    rejected_weight: Tensor


def pair_log_probs(
    chosen: ArrayLike,
    rejected: ArrayLike,
    reference_chosen: ArrayLike = 0.0,
    reference_rejected: ArrayLike = 0.0,
    chosen_length: ArrayLike = 1,
    rejected_length: ArrayLike = 1,
) -> PairLogProbs:
    """Check and convert the six quantities that a loss may depend on (arguments: see ``PreferenceLoss.__call__``).

    Example:
        >>> pair_log_probs(-1.0, -3.0).log_ratio
        tensor(2., dtype=torch.float64)
    """
    given = {
        "chosen": chosen,
        "rejected": rejected,
        "reference_chosen": reference_chosen,
        "reference_rejected": reference_rejected,
        "chosen_length": chosen_length,
        "rejected_length": rejected_length,
    }
    # float32 log-probs of a language model stay float32; everything else becomes float64.
    floating = [v.dtype for v in given.values() if isinstance(v, Tensor) and v.is_floating_point()]
    dtype = floating[0] if floating and all(d == floating[0] for d in floating) else torch.float64
    device = next((v.device for v in given.values() if isinstance(v, Tensor) and not v.is_meta), None)
    tensors = {name: to_tensor(name, value, dtype=dtype, device=device) for name, value in given.items()}
    for name, value in tensors.items():
        if name.endswith("length"):
            if not bool(((value >= 1) & value.isfinite()).all()):
                raise InvalidArgument(name, value.tolist(), "numbers of tokens >= 1")
        elif bool(torch.isnan(value).any()) or bool((value > 0).any()):
            raise InvalidArgument(name, value.tolist(), "log-probabilities in nats, at most 0")
    try:
        return PairLogProbs(*torch.broadcast_tensors(*tensors.values()))
    except RuntimeError as problem:
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in tensors.items())
        raise InvalidArgument("chosen, rejected, ...", f"these shapes do not broadcast: {shapes}") from problem
