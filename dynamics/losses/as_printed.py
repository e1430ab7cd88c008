"""Losses as a paper misprints them, for the claims about them; nobody should train with these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from dynamics.errors import check_nonnegative
from dynamics.losses.balanced import imbalance_ratio
from dynamics.losses.base import LogRatioLoss, PairLogProbs, Partials
from dynamics.losses.standard import DPO, IPO, LogisticLoss


@dataclass(frozen=True)
class IPOAsPrinted(IPO):
    """IPO without its target margin: its minimum is at log-ratio 0, so that nothing is learnt (beta is not used).

    Example:
        >>> IPOAsPrinted()(chosen=-1.0, rejected=-2.0)
        tensor(1., dtype=torch.float64)
    """

    formula: ClassVar[str] = r"\left(\log\frac{\pi_w}{ref_w}-\log\frac{\pi_l}{ref_l}\right)^2"
    source: ClassVar[str] = "sun2025 Table 2"

    def of_margin(self, margin: Tensor) -> Tensor:
        """Return z^2."""
        return margin**2

    def derivative(self, margin: Tensor) -> Tensor:
        """Return 2 z."""
        return 2 * margin


@dataclass(frozen=True)
class RewardLossAsPrinted(DPO):
    """The reward-model loss without its minus sign: minimising it reverses every preference.

    Example:
        >>> RewardLossAsPrinted(beta=1.0)(chosen=-1.0, rejected=-1.0)
        tensor(-0.6931, dtype=torch.float64)
    """

    formula: ClassVar[str] = r"\log\sigma(r_w-r_l)"
    source: ClassVar[str] = "ma2025 Eq. 3"

    def of_margin(self, margin: Tensor) -> Tensor:
        """Return log sigma(z)."""
        return logsigmoid(margin)

    def derivative(self, margin: Tensor) -> Tensor:
        """Return sigma(-z)."""
        return torch.sigmoid(-margin)


@dataclass(frozen=True)
class NaiveBDPOAsPrinted(LogisticLoss, LogRatioLoss):
    """Naive bDPO with its bracket as printed: the detached term is inside the logarithm of the rejected response.

    Its value is not DPO's, and is NaN where the argument of that logarithm is negative.

    Example:
        >>> from dynamics.losses import pair_log_probs
        >>> NaiveBDPOAsPrinted(beta=1.0).margin(pair_log_probs(-1.0, -1.7, -1.4, -1.4))
        tensor(1.2147, dtype=torch.float64)
    """

    clip: float = 0.5
    symmetric: bool = False

    formula: ClassVar[str] = (
        r"-\log\sigma\left(\beta\lambda\log\frac{\pi_w}{ref_w}-\beta\log\left[\frac{\pi_l}{ref_l}"
        r"-\beta(\lambda-1)\,\mathrm{sg}\log\frac{\pi_w}{ref_w}\right]\right)"
    )
    source: ClassVar[str] = "ma2025 Eq. 25, to the letter"
    has_gaps: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_nonnegative("clip", self.clip)

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return the margin with the misplaced bracket."""
        ratio = imbalance_ratio(pair, self.clip, symmetric=self.symmetric)[0].detach()
        gain = pair.chosen - pair.reference_chosen
        return self.beta * (ratio * gain - torch.log(self._inside(pair)))

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return (beta lambda, -beta (pi_l / ref_l) / b), with the argument b of the rejected response's logarithm."""
        ratio, _ = imbalance_ratio(pair, self.clip, symmetric=self.symmetric)
        loser = torch.exp(pair.rejected - pair.reference_rejected)
        return Partials(self.beta * ratio, -self.beta * loser / self._inside(pair))

    def _inside(self, pair: PairLogProbs) -> Tensor:
        ratio = imbalance_ratio(pair, self.clip, symmetric=self.symmetric)[0].detach()
        gain = (pair.chosen - pair.reference_chosen).detach()
        return torch.exp(pair.rejected - pair.reference_rejected) - self.beta * (ratio - 1) * gain
