"""The losses that the field compares against, DPO, IPO and the hinge, and the SFT term."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from dynamics.errors import InvalidArgument, check_nonnegative, check_positive
from dynamics.losses.base import LogRatioLoss, MarginLoss, PairLogProbs, Partials, Scalar


def opposite(pair: PairLogProbs, scale: Scalar = 1.0) -> Partials:
    """Return (scale, -scale) for every pair: the partials of a difference of two log-probabilities."""
    along = scale * torch.ones_like(pair.chosen)
    return Partials(along, -along)


def check_smoothing(value: Scalar) -> None:
    """Refuse a share of wrong labels that is not from 0 to below 1/2."""
    check_nonnegative("label_smoothing", value)
    if bool((torch.as_tensor(value) >= 0.5).any()):
        raise InvalidArgument("label_smoothing", value, "a share of the labels, from 0 to below 1/2")


class LogisticLoss(MarginLoss):
    """A loss ``-log sigma(z)`` of a margin z that the subclass defines."""

    def of_margin(self, margin: Tensor) -> Tensor:
        """Return softplus(-z); through logsigmoid, since torch's softplus is linearised beyond 20."""
        return -logsigmoid(margin)

    def derivative(self, margin: Tensor) -> Tensor:
        """Return -sigma(-z)."""
        return -torch.sigmoid(-margin)


class SmoothedLogisticLoss(MarginLoss):
    """A loss ``-(1 - e) log sigma(z) - e log sigma(-z)`` of a margin z, for labels of which a share e is wrong."""

    label_smoothing: Scalar

    def of_margin(self, margin: Tensor) -> Tensor:
        """Return (1 - e) softplus(-z) + e softplus(z)."""
        return -(1 - self.label_smoothing) * logsigmoid(margin) - self.label_smoothing * logsigmoid(-margin)

    def derivative(self, margin: Tensor) -> Tensor:
        """Return -(1 - e) sigma(-z) + e sigma(z)."""
        return -(1 - self.label_smoothing) * torch.sigmoid(-margin) + self.label_smoothing * torch.sigmoid(margin)


@dataclass(frozen=True)
class DPO(LogisticLoss, LogRatioLoss):
    """Direct preference optimization: the logistic loss of the implicit-reward margin.

    Args:
        beta: strength of the regularization towards the reference, > 0.

    Example:
        >>> DPO(beta=0.5)(chosen=-1.0, rejected=-1.0)
        tensor(0.6931, dtype=torch.float64)
    """

    formula: ClassVar[str] = r"-\log\sigma\left(\beta\log\frac{\pi_w}{ref_w}-\beta\log\frac{\pi_l}{ref_l}\right)"
    source: ClassVar[str] = "Rafailov et al. 2023, Eq. 7; jian2025 Eq. 1; TRL loss_type 'sigmoid'"


@dataclass(frozen=True)
class IPO(MarginLoss):
    r"""Identity preference optimization: a squared loss that draws the log-ratio to 1 / (2 beta).

    The log-ratio is that of the whole responses. TRL's loss of the same name divides the log-ratio of each response by
    its number of tokens: ``IPOPerToken``.

    Args:
        beta: the paper's tau, > 0.

    Example:
        >>> IPO(beta=0.5)(chosen=-1.0, rejected=-2.0)
        tensor(0., dtype=torch.float64)
    """

    beta: Scalar = 0.1

    formula: ClassVar[str] = r"\left(\log\frac{\pi_w}{ref_w}-\log\frac{\pi_l}{ref_l}-\frac{1}{2\beta}\right)^2"
    source: ClassVar[str] = "Azar et al. 2024, Eq. 17; not TRL's 'ipo', which is ipo_per_token here"

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return the log-ratio, without beta."""
        return pair.log_ratio

    def of_margin(self, margin: Tensor) -> Tensor:
        """Return (z - 1 / (2 beta))^2."""
        return (margin - 1 / (2 * self.beta)) ** 2

    def derivative(self, margin: Tensor) -> Tensor:
        """Return 2 (z - 1 / (2 beta))."""
        return 2 * (margin - 1 / (2 * self.beta))

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return (1, -1)."""
        return opposite(pair)


@dataclass(frozen=True)
class Hinge(LogRatioLoss):
    """The hinge loss of the implicit-reward margin.

    Args:
        beta: strength of the regularization towards the reference, > 0.

    Example:
        >>> Hinge(beta=1.0)(chosen=-1.0, rejected=-1.25)
        tensor(0.7500, dtype=torch.float64)
    """

    formula: ClassVar[str] = r"\max\left(0, 1-\beta\log\frac{\pi_w}{ref_w}+\beta\log\frac{\pi_l}{ref_l}\right)"
    source: ClassVar[str] = "Zhao et al. 2023 with a reference; TRL loss_type 'hinge'"

    def of_margin(self, margin: Tensor) -> Tensor:
        """Return max(0, 1 - z)."""
        return torch.relu(1 - margin)

    def derivative(self, margin: Tensor) -> Tensor:
        """Return -1 where z < 1 and 0 elsewhere, as autograd does."""
        return -(margin < 1).to(margin.dtype)


@dataclass(frozen=True)
class SFT(MarginLoss):
    """Negative log-likelihood of the whole chosen response, mostly used as a term of a sum of losses.

    It is a sum over the tokens of a response. TRL's 'sft' is the mean over all chosen tokens of the batch, that is the
    mean of this loss over the batch divided by the mean length of its chosen responses: with responses of 100 tokens, a
    weight of 1 on TRL's term is a weight of 0.01 on this one.

    Example:
        >>> (DPO(beta=1.0) + 0.5 * SFT())(chosen=-2.0, rejected=-2.0)
        tensor(1.6931, dtype=torch.float64)
    """

    formula: ClassVar[str] = r"-\log\pi_w"
    source: ClassVar[str] = "jian2025 Eq. 7 (lower level); sun2025 Table 2; not TRL's 'sft', a mean over tokens"

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return log pi_w."""
        return pair.chosen

    def of_margin(self, margin: Tensor) -> Tensor:
        """Return -z."""
        return -margin

    def derivative(self, margin: Tensor) -> Tensor:
        """Return -1."""
        return -torch.ones_like(margin)

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return (1, 0)."""
        return Partials(torch.ones_like(pair.chosen), torch.zeros_like(pair.chosen))
