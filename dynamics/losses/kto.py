"""Kahneman-Tversky optimization, with the baseline that TRL estimates from a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynamics.errors import check_nonnegative, check_number
from dynamics.losses.base import Scalar
from dynamics.losses.pair import Partials
from dynamics.losses.two_weights import TwoWeightLoss, bell


@dataclass(frozen=True)
class KTO(TwoWeightLoss):
    """Kahneman-Tversky optimization on the two responses of a pair, each an example of its own.

    TRL averages over examples: half the mean of this loss over pairs. The baseline K is a constant of the step, without
    gradient; ``kto_baseline`` estimates it from a batch as TRL does. At K = 0 this is 'apo_zero_unpaired'.

    Args:
        beta: strength of the regularization towards the reference, > 0.
        desirable_weight: weight of the chosen response, >= 0.
        undesirable_weight: weight of the rejected response, >= 0.
        baseline: K, nats. It is 0 at the reference, and wherever the estimate is negative.

    Example:
        >>> KTO(beta=1.0)(chosen=-1.0, rejected=-1.0, reference_chosen=-1.0, reference_rejected=-1.0)
        tensor(1., dtype=torch.float64)
    """

    desirable_weight: Scalar = 1.0
    undesirable_weight: Scalar = 1.0
    baseline: Scalar = 0.0

    formula: ClassVar[str] = (
        r"\lambda_D[1-\sigma(\beta(a_w-K))]+\lambda_U[1-\sigma(\beta(K-a_l))],\quad a_y=\log\frac{\pi_y}{ref_y}"
    )
    source: ClassVar[str] = "TRL 1.16 KTOTrainer; Ethayarajh et al. 2024, Eq. 7, which was not read"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_nonnegative("desirable_weight", self.desirable_weight)
        check_nonnegative("undesirable_weight", self.undesirable_weight)
        check_number("baseline", self.baseline)

    def of_log_ratios(self, chosen: Tensor, rejected: Tensor) -> Tensor:
        """Return the weighted sum of the two sigmoids."""
        desirable = torch.sigmoid(-self.beta * (chosen - self.baseline))
        undesirable = torch.sigmoid(self.beta * (rejected - self.baseline))
        return self.desirable_weight * desirable + self.undesirable_weight * undesirable

    def slopes(self, chosen: Tensor, rejected: Tensor) -> Partials:
        """Return the slopes of the two sigmoids, weighted."""
        desirable = bell(self.beta * (chosen - self.baseline))
        undesirable = bell(self.beta * (rejected - self.baseline))
        return Partials(
            -self.beta * self.desirable_weight * desirable, self.beta * self.undesirable_weight * undesirable
        )


def kto_baseline(mismatched: Tensor, reference_mismatched: Tensor) -> Tensor:
    """Return KTO's baseline as TRL estimates it: the mean log-ratio of mismatched responses, or 0 if that is negative.

    A mismatched response is the response of the preceding example of the batch, placed after this example's prompt. The
    mean is not a KL divergence and can be negative, which is why it is clamped at 0.

    Args:
        mismatched: log pi of every mismatched response of the batch, nats, ``(..., examples)``.
        reference_mismatched: the same under the reference.

    Example:
        >>> import torch
        >>> kto_baseline(torch.tensor([-1.0, -2.0]), torch.tensor([-2.0, -2.0]))
        tensor(0.5000)
    """
    return (mismatched - reference_mismatched).detach().mean(-1, keepdim=mismatched.ndim > 1).clamp(min=0)
