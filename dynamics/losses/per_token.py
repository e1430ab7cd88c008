"""Losses that divide the log-ratio of each response by its number of tokens, as TRL does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from dynamics.errors import check_positive
from dynamics.losses.base import Scalar
from dynamics.losses.pair import PairLogProbs, Partials
from dynamics.losses.standard import IPO, LogisticLoss


def mean_log_ratio(pair: PairLogProbs) -> Tensor:
    """Return log(pi_w / ref_w) / |y_w| - log(pi_l / ref_l) / |y_l|, nats per token.

    Example:
        >>> from dynamics.losses import pair_log_probs
        >>> mean_log_ratio(pair_log_probs(-3.0, -8.0, -1.0, -5.0, chosen_length=2, rejected_length=3))
        tensor(0., dtype=torch.float64)
    """
    chosen = (pair.chosen - pair.reference_chosen) / pair.chosen_length
    return chosen - (pair.rejected - pair.reference_rejected) / pair.rejected_length


@dataclass(frozen=True)
class IPOPerToken(IPO):
    """IPO on log-ratios per token: TRL's 'ipo'. The target gap, 1 / (2 beta), is in nats per token.

    It equals ``IPO`` where both responses have one token. In general it differs: with lengths 20 and 10, log-ratios -2
    and 3 and beta 0.1, it is 29.16 and ``IPO`` is 100.

    Args:
        beta: the paper's tau, > 0.

    Example:
        >>> IPOPerToken(beta=0.1)(-22.0, -7.0, -20.0, -10.0, chosen_length=20, rejected_length=10)
        tensor(29.1600, dtype=torch.float64)
        >>> IPO(beta=0.1)(-22.0, -7.0, -20.0, -10.0, chosen_length=20, rejected_length=10)
        tensor(100., dtype=torch.float64)
    """

    formula: ClassVar[str] = (
        r"\left(\frac{1}{|y_w|}\log\frac{\pi_w}{ref_w}-\frac{1}{|y_l|}\log\frac{\pi_l}{ref_l}-\frac{1}{2\beta}\right)^2"
    )
    source: ClassVar[str] = "TRL 1.16 DPOTrainer, loss_type 'ipo'; after Azar et al. 2024, Eq. 17, which has the sums"

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return the difference of the log-ratios per token, without beta."""
        return mean_log_ratio(pair)

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return (1 / |y_w|, -1 / |y_l|)."""
        return Partials(1 / pair.chosen_length, -1 / pair.rejected_length)


@dataclass(frozen=True)
class DPOPerToken(LogisticLoss):
    """DPO on log-ratios per token: TRL's 'sigmoid_norm'. SimPO with a reference and without a target margin.

    Where both responses have T tokens it is DPO at beta / T. A longer chosen response has a smaller weight than the
    rejected one, so that it can fall even on a tabular policy.

    Args:
        beta: strength of the regularization towards the reference, > 0.

    Example:
        >>> DPOPerToken(beta=1.0)(-22.0, -7.0, -20.0, -10.0, chosen_length=20, rejected_length=10)
        tensor(0.9130, dtype=torch.float64)
    """

    beta: Scalar = 0.1

    formula: ClassVar[str] = (
        r"-\log\sigma\left(\frac{\beta}{|y_w|}\log\frac{\pi_w}{ref_w}-\frac{\beta}{|y_l|}\log\frac{\pi_l}{ref_l}\right)"
    )
    source: ClassVar[str] = "TRL 1.16 DPOTrainer, loss_type 'sigmoid_norm'"

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return beta times the difference of the log-ratios per token."""
        return self.beta * mean_log_ratio(pair)

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return (beta / |y_w|, -beta / |y_l|)."""
        return Partials(self.beta / pair.chosen_length, -self.beta / pair.rejected_length)
