"""Losses of a whole batch: the gradient of one pair depends on the others. The last axis holds the pairs.

Weights are multiplicities: a pair of weight 2 counts as if it occurred twice, and a pair of weight 0 does not count.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from dynamics.errors import check_number, check_positive
from dynamics.losses.base import PreferenceLoss, Scalar, weigh
from dynamics.losses.pair import PairLogProbs, Partials


class BatchLoss(PreferenceLoss):
    """A loss of a batch: ``value`` is the contribution of each pair, and the mean over the pairs is the loss."""

    @abstractmethod
    def total_partials(self, pair: PairLogProbs, weight: Tensor) -> Partials:
        """Return the derivatives of ``total`` with respect to log pi(chosen) and log pi(rejected) of every pair."""

    def partials(self, pair: PairLogProbs) -> Partials:
        """Return the derivatives of the sum of the contributions of the batch."""
        return self.total_partials(pair, torch.ones_like(pair.chosen))


@dataclass(frozen=True)
class SFTPerToken(BatchLoss):
    """Mean negative log-likelihood of the chosen tokens of the batch: TRL's 'sft'. Long responses weigh more.

    It is ``SFT``, averaged over pairs and divided by the mean length.

    Example:
        >>> SFTPerToken()([-4.0, -1.0], [-1.0, -1.0], chosen_length=[3, 1]).mean()
        tensor(1.2500, dtype=torch.float64)
    """

    formula: ClassVar[str] = r"-\frac{\sum_i\log\pi_{w,i}}{\sum_i|y_{w,i}|}"
    source: ClassVar[str] = "TRL 1.16 DPOTrainer, loss_type 'sft'; the term of its CPO, TPO and ORPO trainers"

    def total(self, pair: PairLogProbs, weight: Tensor) -> Tensor:
        """Return the mean over the tokens, each as often as its pair, times the sum of the weights."""
        return weigh(-pair.chosen * self._per_token(pair, weight), weight).sum(-1)

    def value(self, pair: PairLogProbs) -> Tensor:
        """Return -log pi_w over the mean length of the batch."""
        return -pair.chosen * self._per_token(pair, torch.ones_like(pair.chosen))

    def total_partials(self, pair: PairLogProbs, weight: Tensor) -> Partials:
        """Return (minus the weight over the mean length, 0)."""
        along = weigh(-self._per_token(pair, weight) * torch.ones_like(pair.chosen), weight)
        return Partials(along, torch.zeros_like(along))

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return log pi_w."""
        return pair.chosen

    def urgency(self, pair: PairLogProbs) -> Tensor:
        """Return the weight of log pi_w in the loss: 1 over the mean length of the batch."""
        return self._per_token(pair, torch.ones_like(pair.chosen)) * torch.ones_like(pair.chosen)

    @staticmethod
    def _per_token(pair: PairLogProbs, weight: Tensor) -> Tensor:
        weight = weight * torch.ones_like(pair.chosen_length)
        tokens = (weight * pair.chosen_length).sum(-1, keepdim=weight.ndim > 0)
        return weight.sum(-1, keepdim=weight.ndim > 0) / tokens


@dataclass(frozen=True)
class BetaDPO(BatchLoss):
    """beta-DPO: DPO whose beta grows with the mean log-ratio of the batch, beta [1 + alpha (mean - baseline)].

    The beta of the batch is treated as a constant. Two parts of the authors' trainer are not included: the running mean
    that is their baseline (pass it as ``baseline``), and the random selection of pairs near that mean.

    Args:
        beta: strength of the regularization towards the reference at the baseline, > 0.
        alpha: how fast beta grows with the mean log-ratio, per nat.
        baseline: the mean log-ratio at which the batch's beta is ``beta``, nats.

    Example:
        >>> BetaDPO(beta=0.5, alpha=0.5)([-1.0], [-3.0])  # mean log-ratio 2, so that beta is 1
        tensor([0.1269], dtype=torch.float64)
    """

    beta: Scalar = 0.1
    alpha: Scalar = 0.6
    baseline: Scalar = 0.0

    formula: ClassVar[str] = (
        r"-\log\sigma(\beta_B M),\quad M=\log\frac{\pi_w}{ref_w}-\log\frac{\pi_l}{ref_l},"
        r"\ \beta_B=\max\left(10^{-3},\beta[1+\alpha(\mathrm{sg}\,\bar M-M_0)]\right)"
    )
    source: ClassVar[str] = "the authors' public code (beta-DPO, mode beta_DPO); Wu et al. 2024, which was not read"

    SMALLEST: ClassVar[float] = 1e-3

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)
        check_number("alpha", self.alpha)
        check_number("baseline", self.baseline)

    def batch_beta(self, pair: PairLogProbs, weight: Tensor | None = None) -> Tensor:
        """Return the beta of the batch, one number for all its pairs."""
        ratio = pair.log_ratio.detach()
        weight = torch.ones_like(ratio) if weight is None else weight * torch.ones_like(ratio)
        many = ratio.ndim > 0
        mean = weigh(ratio, weight).sum(-1, keepdim=many) / weight.sum(-1, keepdim=many)
        return (self.beta * (1 + self.alpha * (mean - self.baseline))).clamp(min=self.SMALLEST)

    def total(self, pair: PairLogProbs, weight: Tensor) -> Tensor:
        """Return the weighted sum of DPO's losses with the beta of the batch."""
        return weigh(-logsigmoid(self.batch_beta(pair, weight) * pair.log_ratio), weight).sum(-1)

    def value(self, pair: PairLogProbs) -> Tensor:
        """Return DPO's loss with the beta of the batch."""
        return -logsigmoid(self.margin(pair))

    def total_partials(self, pair: PairLogProbs, weight: Tensor) -> Partials:
        """Return DPO's partials with the beta of the batch, weighted."""
        beta = self.batch_beta(pair, weight)
        along = weigh(-beta * torch.sigmoid(-beta * pair.log_ratio), weight)
        return Partials(along, -along)

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return the batch's beta times the log-ratio."""
        return self.batch_beta(pair) * pair.log_ratio

    def urgency(self, pair: PairLogProbs) -> Tensor:
        """Return sigma(-z)."""
        return torch.sigmoid(-self.margin(pair))
