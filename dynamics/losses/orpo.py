"""Odds ratio preference optimization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from dynamics.errors import check_nonnegative, check_positive
from dynamics.losses.base import MarginLoss, Scalar
from dynamics.losses.pair import PairLogProbs, Partials


def log1mexp(x: Tensor) -> Tensor:
    """Return log(1 - e^x) for x <= 0, accurate both near 0 and far below it.

    Example:
        >>> import torch
        >>> log1mexp(torch.tensor([-1e-20, -40.0], dtype=torch.float64))
        tensor([-4.6052e+01, -4.2484e-18], dtype=torch.float64)
    """
    far = x < -0.6931471805599453
    # each branch receives only inputs at which it is accurate, so that neither gradient is NaN
    near = torch.log(-torch.expm1(torch.where(far, torch.full_like(x, -1.0), x)))
    return torch.where(far, torch.log1p(-torch.exp(torch.where(far, x, torch.full_like(x, -1.0)))), near)


@dataclass(frozen=True)
class ORPO(MarginLoss):
    """ORPO, without a reference: the logistic loss of the log odds ratio, and the chosen response per token.

    P is the geometric mean of a response's token probabilities, which is not the probability of the response. The slope
    of the log odds ratio is unbounded as P_w tends to 1, but that of the loss is not: it tends to
    beta P_l / (1 - P_l).

    TRL's ORPOTrainer takes the likelihood over prompt *and* response and averages it over the batch's tokens:
    ``ORPO(sft_weight=0.0)`` and an ``SFTPerToken`` of the two together. It computes the odds ratio in float32.

    Args:
        beta: weight of the odds ratio, the paper's lambda, > 0.
        sft_weight: weight of ``-log P_w``, 1 in the paper.

    Example:
        >>> ORPO(beta=1.0)(-1.0, -1.0)
        tensor(1.6931, dtype=torch.float64)
    """

    beta: Scalar = 0.1
    sft_weight: Scalar = 1.0

    formula: ClassVar[str] = (
        r"-\beta\log\sigma\left(\log\frac{P_w}{1-P_w}-\log\frac{P_l}{1-P_l}\right)-\log P_w,\quad P_y=\pi_y^{1/|y|}"
    )
    source: ClassVar[str] = "TRL 1.16 ORPOTrainer; Hong et al. 2024, Eqs. 4 to 7, which were not read"

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)
        check_nonnegative("sft_weight", self.sft_weight)

    def value(self, pair: PairLogProbs) -> Tensor:
        """Return the odds-ratio term plus the weighted negative log-likelihood per token."""
        return self.of_margin(self.margin(pair)) - self.sft_weight * pair.chosen / pair.chosen_length

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return the log odds ratio."""
        chosen, rejected = pair.chosen / pair.chosen_length, pair.rejected / pair.rejected_length
        return (chosen - log1mexp(chosen)) - (rejected - log1mexp(rejected))

    def of_margin(self, margin: Tensor) -> Tensor:
        """Return -beta log sigma(z)."""
        return -self.beta * logsigmoid(margin)

    def derivative(self, margin: Tensor) -> Tensor:
        """Return -beta sigma(-z)."""
        return -self.beta * torch.sigmoid(-margin)

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return (1 / (|y_w| (1 - P_w)), -1 / (|y_l| (1 - P_l)))."""
        chosen, rejected = pair.chosen / pair.chosen_length, pair.rejected / pair.rejected_length
        return Partials(
            -1 / (pair.chosen_length * torch.expm1(chosen)), 1 / (pair.rejected_length * torch.expm1(rejected))
        )

    def partials(self, pair: PairLogProbs) -> Partials:
        """Return the partials of both terms; the quotient of two tiny numbers is taken in logarithms."""
        chosen, rejected = pair.chosen / pair.chosen_length, pair.rejected / pair.rejected_length
        odds = rejected - log1mexp(rejected)
        # sigma(-z) / (1 - P_w) = odds_l / (P_w + odds_l (1 - P_w)), which is defined at P_w = 1, too
        chosen_weight = torch.exp(odds - torch.logaddexp(chosen, odds + log1mexp(chosen))) / pair.chosen_length
        rejected_weight = torch.exp(logsigmoid(-self.margin(pair)) - log1mexp(rejected)) / pair.rejected_length
        return Partials(-self.beta * chosen_weight - self.sft_weight / pair.chosen_length, self.beta * rejected_weight)
