"""Losses of the two log-ratios that are not functions of one margin: chosen and rejected have different weights."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from dynamics.errors import check_positive
from dynamics.losses.base import PreferenceLoss, Scalar
from dynamics.losses.pair import PairLogProbs, Partials


@dataclass(frozen=True)
class TwoWeightLoss(PreferenceLoss):
    """A function of a_w = log(pi_w / ref_w) and a_l = log(pi_l / ref_l), scaled by beta.

    Such a loss has no margin of its own. Its reported margin is DPO's, beta (a_w - a_l), and its reported urgency is
    the mean of its two weights divided by beta, which for DPO is sigma(-z).
    """

    beta: Scalar = 0.1

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)

    @abstractmethod
    def of_log_ratios(self, chosen: Tensor, rejected: Tensor) -> Tensor:
        """Return the loss at a_w and a_l, nats."""

    @abstractmethod
    def slopes(self, chosen: Tensor, rejected: Tensor) -> Partials:
        """Return the derivatives with respect to a_w and a_l."""

    def value(self, pair: PairLogProbs) -> Tensor:
        """Return the loss at the two log-ratios."""
        return self.of_log_ratios(pair.chosen_log_ratio, pair.rejected_log_ratio)

    def partials(self, pair: PairLogProbs) -> Partials:
        """Return the slopes at the two log-ratios."""
        return self.slopes(pair.chosen_log_ratio, pair.rejected_log_ratio)

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return beta [log(pi_w / ref_w) - log(pi_l / ref_l)]."""
        return self.beta * pair.log_ratio

    def urgency(self, pair: PairLogProbs) -> Tensor:
        """Return the mean of the two weights over beta."""
        partials = self.partials(pair)
        return (partials.rejected - partials.chosen) / (2 * self.beta)


def bell(x: Tensor) -> Tensor:
    """Return the derivative of the logistic function, sigma(x) sigma(-x), accurate for large x of either sign."""
    return torch.sigmoid(x) * torch.sigmoid(-x)


@dataclass(frozen=True)
class NCAPair(TwoWeightLoss):
    """Noise contrastive alignment on pairs: chosen and rejected are each compared with the reference.

    The chosen response has an optimum of its own, beta a_w = log 2; the rejected response falls without bound.

    Args:
        beta: strength of the regularization towards the reference, > 0.

    Example:
        >>> NCAPair(beta=1.0)(chosen=-1.0, rejected=-1.0, reference_chosen=-1.0, reference_rejected=-1.0)
        tensor(1.3863, dtype=torch.float64)
    """

    formula: ClassVar[str] = (
        r"-\log\sigma(\beta a_w)-\tfrac12\log\sigma(-\beta a_w)-\tfrac12\log\sigma(-\beta a_l),"
        r"\quad a_y=\log\frac{\pi_y}{ref_y}"
    )
    source: ClassVar[str] = "TRL 1.16 DPOTrainer, loss_type 'nca_pair'; Chen et al. 2024, which was not read"

    def of_log_ratios(self, chosen: Tensor, rejected: Tensor) -> Tensor:
        """Return the sum of the three logistic terms."""
        own = -logsigmoid(self.beta * chosen) - logsigmoid(-self.beta * chosen) / 2
        return own - logsigmoid(-self.beta * rejected) / 2

    def slopes(self, chosen: Tensor, rejected: Tensor) -> Partials:
        """Return beta (sigma(x) / 2 - sigma(-x)) at x = beta a_w, and beta sigma(beta a_l) / 2."""
        x, y = self.beta * chosen, self.beta * rejected
        return Partials(self.beta * (torch.sigmoid(x) / 2 - torch.sigmoid(-x)), self.beta * torch.sigmoid(y) / 2)


@dataclass(frozen=True)
class BCOPair(TwoWeightLoss):
    """Binary classifier optimization on pairs: each response is classified by itself.

    The paper shifts both rewards by a running mean; TRL's 'bco_pair', and this, do not.

    Args:
        beta: strength of the regularization towards the reference, > 0.

    Example:
        >>> BCOPair(beta=1.0)(chosen=-1.0, rejected=-1.0, reference_chosen=-1.0, reference_rejected=-1.0)
        tensor(1.3863, dtype=torch.float64)
    """

    formula: ClassVar[str] = r"-\log\sigma(\beta a_w)-\log\sigma(-\beta a_l),\quad a_y=\log\frac{\pi_y}{ref_y}"
    source: ClassVar[str] = "TRL 1.16 DPOTrainer, loss_type 'bco_pair'; Jung et al. 2024, which was not read"

    def of_log_ratios(self, chosen: Tensor, rejected: Tensor) -> Tensor:
        """Return the two logistic losses."""
        return -logsigmoid(self.beta * chosen) - logsigmoid(-self.beta * rejected)

    def slopes(self, chosen: Tensor, rejected: Tensor) -> Partials:
        """Return (-beta sigma(-beta a_w), beta sigma(beta a_l))."""
        return Partials(
            -self.beta * torch.sigmoid(-self.beta * chosen), self.beta * torch.sigmoid(self.beta * rejected)
        )


@dataclass(frozen=True)
class SPPOHard(TwoWeightLoss):
    """Self-play preference optimization with hard labels: each log-ratio is drawn to a target of its own.

    The targets are 1 / (2 beta) and -1 / (2 beta) nats; beta does not scale the log-ratios. It
    is not related to the Self PO of sun2025.

    Args:
        beta: half the inverse of the target, > 0.

    Example:
        >>> SPPOHard(beta=0.5)(chosen=-1.0, rejected=-3.0, reference_chosen=-2.0, reference_rejected=-2.0)
        tensor(0., dtype=torch.float64)
    """

    formula: ClassVar[str] = (
        r"\left(a_w-\frac{1}{2\beta}\right)^2+\left(a_l+\frac{1}{2\beta}\right)^2,\quad a_y=\log\frac{\pi_y}{ref_y}"
    )
    source: ClassVar[str] = "TRL 1.16 DPOTrainer, loss_type 'sppo_hard'; Wu et al. 2024, Eq. 4.7, which was not read"

    def of_log_ratios(self, chosen: Tensor, rejected: Tensor) -> Tensor:
        """Return the two squared distances."""
        target = 1 / (2 * self.beta)
        return (chosen - target) ** 2 + (rejected + target) ** 2

    def slopes(self, chosen: Tensor, rejected: Tensor) -> Partials:
        """Return twice the two distances."""
        target = 1 / (2 * self.beta)
        return Partials(2 * (chosen - target), 2 * (rejected + target))


@dataclass(frozen=True)
class APOZero(TwoWeightLoss):
    """Anchored preference optimization, for chosen responses better than the model's: raises chosen, lowers rejected.

    Args:
        beta: strength of the regularization towards the reference, > 0.

    Example:
        >>> APOZero(beta=1.0)(chosen=-1.0, rejected=-1.0, reference_chosen=-1.0, reference_rejected=-1.0)
        tensor(1., dtype=torch.float64)
    """

    formula: ClassVar[str] = r"1-\sigma(\beta a_w)+\sigma(\beta a_l),\quad a_y=\log\frac{\pi_y}{ref_y}"
    source: ClassVar[str] = "TRL 1.16 DPOTrainer, loss_type 'apo_zero'; D'Oosterlinck et al. 2024, Eq. 7, not read"

    def of_log_ratios(self, chosen: Tensor, rejected: Tensor) -> Tensor:
        """Return sigma(-beta a_w) + sigma(beta a_l)."""
        return torch.sigmoid(-self.beta * chosen) + torch.sigmoid(self.beta * rejected)

    def slopes(self, chosen: Tensor, rejected: Tensor) -> Partials:
        """Return (-beta sigma'(beta a_w), beta sigma'(beta a_l))."""
        return Partials(-self.beta * bell(self.beta * chosen), self.beta * bell(self.beta * rejected))


@dataclass(frozen=True)
class APODown(TwoWeightLoss):
    """Anchored preference optimization, for chosen responses worse than the model's: lowers both, the rejected more.

    At the reference the two terms of the chosen response cancel: its weight is 0, that of the rejected one beta / 4.

    Args:
        beta: strength of the regularization towards the reference, > 0.

    Example:
        >>> APODown(beta=1.0)(chosen=-1.0, rejected=-1.0, reference_chosen=-1.0, reference_rejected=-1.0)
        tensor(1., dtype=torch.float64)
    """

    formula: ClassVar[str] = r"\sigma(\beta a_w)+1-\sigma(\beta a_w-\beta a_l),\quad a_y=\log\frac{\pi_y}{ref_y}"
    source: ClassVar[str] = "TRL 1.16 DPOTrainer, loss_type 'apo_down'; D'Oosterlinck et al. 2024, Eq. 8, not read"

    def of_log_ratios(self, chosen: Tensor, rejected: Tensor) -> Tensor:
        """Return sigma(beta a_w) + sigma(-z)."""
        return torch.sigmoid(self.beta * chosen) + torch.sigmoid(-self.beta * (chosen - rejected))

    def slopes(self, chosen: Tensor, rejected: Tensor) -> Partials:
        """Return (beta sigma'(beta a_w) - beta sigma'(z), beta sigma'(z))."""
        apart = bell(self.beta * (chosen - rejected))
        return Partials(self.beta * (bell(self.beta * chosen) - apart), self.beta * apart)
