"""The losses that the field compares against: DPO, IPO, hinge, SLiC, CPO, SimPO, and the SFT term."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from dynamics.errors import check_nonnegative, check_number, check_positive
from dynamics.losses.base import LogRatioLoss, MarginLoss, PairLogProbs, Partials, Scalar


class LogisticLoss(MarginLoss):
    """A loss ``-log sigma(z)`` of some margin."""

    def of_margin(self, margin: Tensor) -> Tensor:
        """Return softplus(-z); through logsigmoid, since torch's softplus is linearised beyond 20."""
        return -logsigmoid(margin)

    def derivative(self, margin: Tensor) -> Tensor:
        """Return -sigma(-z)."""
        return -torch.sigmoid(-margin)


@dataclass(frozen=True)
class DPO(LogisticLoss, LogRatioLoss):
    """Direct preference optimization: the logistic loss of the implicit-reward margin.

    Args:
        beta: strength of the tie to the reference, > 0.

    Example:
        >>> DPO(beta=0.5)(chosen=-1.0, rejected=-1.0)
        tensor(0.6931, dtype=torch.float64)
    """

    formula: ClassVar[str] = r"-\log\sigma\left(\beta\log\frac{\pi_w}{ref_w}-\beta\log\frac{\pi_l}{ref_l}\right)"
    source: ClassVar[str] = "Rafailov et al. 2023, Eq. 7; jian2025 Eq. 1; TRL loss_type 'sigmoid'"


@dataclass(frozen=True)
class IPO(MarginLoss):
    r"""Identity preference optimization: the log-ratio is pulled to 1 / (2 beta).

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
        return _opposite(pair)


@dataclass(frozen=True)
class Hinge(LogRatioLoss):
    """The hinge loss of the implicit-reward margin.

    Args:
        beta: strength of the tie to the reference, > 0.

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
        """Return -1 below the kink at z = 1 and 0 from it on (autograd's choice there too)."""
        return -(margin < 1).to(margin.dtype)


@dataclass(frozen=True)
class SLiC(MarginLoss):
    """The reference-free rank hinge of SLiC-HF; its regulariser is ``+ weight * SFT()``.

    Args:
        delta: the log-ratio from which a pair counts as learnt, nats, >= 0.

    Example:
        >>> SLiC(delta=1.0)(chosen=-1.0, rejected=-1.5)
        tensor(0.5000, dtype=torch.float64)
    """

    delta: Scalar = 1.0

    formula: ClassVar[str] = r"\max(0, \delta-\log\pi_w+\log\pi_l)"
    source: ClassVar[str] = "Zhao et al. 2023, Eq. 1; sun2025 Table 2"

    def __post_init__(self) -> None:
        check_nonnegative("delta", self.delta)

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return log pi_w - log pi_l."""
        return pair.chosen - pair.rejected

    def of_margin(self, margin: Tensor) -> Tensor:
        """Return max(0, delta - z)."""
        return torch.relu(self.delta - margin)

    def derivative(self, margin: Tensor) -> Tensor:
        """Return -1 below the kink at z = delta and 0 from it on."""
        return -(margin < self.delta).to(margin.dtype)

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return (1, -1)."""
        return _opposite(pair)


@dataclass(frozen=True)
class SFT(MarginLoss):
    """Negative log-likelihood of the whole chosen response, mostly as a term of a sum.

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


@dataclass(frozen=True)
class CPO(LogisticLoss):
    """Contrastive preference optimization: the reference-free logistic loss plus an SFT term.

    Args:
        beta: scale of the log-ratio, > 0.
        sft_weight: weight of ``-log pi_w``; 1 in the original, a hyper-parameter in sun2025's table.

    Example:
        >>> CPO(beta=1.0)(chosen=-2.0, rejected=-2.0)
        tensor(2.6931, dtype=torch.float64)
    """

    beta: Scalar = 0.1
    sft_weight: Scalar = 1.0

    formula: ClassVar[str] = r"-\log\sigma(\beta\log\pi_w-\beta\log\pi_l)-\lambda\log\pi_w"
    source: ClassVar[str] = "Xu et al. 2024, Eq. 5; sun2025 Table 2"

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)
        check_nonnegative("sft_weight", self.sft_weight)

    def value(self, pair: PairLogProbs) -> Tensor:
        """Return the logistic loss of the margin plus the weighted SFT term."""
        return self.of_margin(self.margin(pair)) - self.sft_weight * pair.chosen

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return beta (log pi_w - log pi_l)."""
        return self.beta * (pair.chosen - pair.rejected)

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return (beta, -beta)."""
        return _opposite(pair, self.beta)

    def partials(self, pair: PairLogProbs) -> Partials:
        """Return the partials of the margin loss, the chosen one lowered by the SFT weight."""
        logistic = super().partials(pair)
        return Partials(logistic.chosen - self.sft_weight, logistic.rejected)


@dataclass(frozen=True)
class SimPO(LogisticLoss):
    """Simple preference optimization: reference-free, per-token average log-probs, a target margin.

    Args:
        beta: scale of the average log-probabilities, > 0.
        gamma: target margin in units of the margin (not divided by beta). Public SimPO code is configured by
            ``gamma_beta_ratio = gamma / beta``; reading one for the other changes the numbers of sun2025 Sec. 4.3.

    Example:
        >>> SimPO(beta=2.0, gamma=1.0)(-4.0, -4.0, chosen_length=4, rejected_length=2)
        tensor(0.3133, dtype=torch.float64)
    """

    beta: Scalar = 2.0
    gamma: Scalar = 0.5

    formula: ClassVar[str] = r"-\log\sigma\left(\frac{\beta}{|y_w|}\log\pi_w-\frac{\beta}{|y_l|}\log\pi_l-\gamma\right)"
    source: ClassVar[str] = "Meng et al. 2024, Eq. 6; sun2025 Eq. 6; TRL CPO loss_type 'simpo'"

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)
        check_number("gamma", self.gamma)

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return beta (log pi_w / |y_w| - log pi_l / |y_l|) - gamma."""
        average = pair.chosen / pair.chosen_length - pair.rejected / pair.rejected_length
        return self.beta * average - self.gamma

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return (beta / |y_w|, -beta / |y_l|)."""
        return Partials(self.beta / pair.chosen_length, -self.beta / pair.rejected_length)


def _opposite(pair: PairLogProbs, scale: Scalar = 1.0) -> Partials:
    along = scale * torch.ones_like(pair.chosen)
    return Partials(along, -along)
