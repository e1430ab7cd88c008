"""Losses without a reference: SLiC, CPO, SimPO, AlphaPO and TPO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynamics.errors import check_nonnegative, check_number, check_positive
from dynamics.losses.base import MarginLoss, Scalar
from dynamics.losses.divergences import bounded_exp
from dynamics.losses.pair import PairLogProbs, Partials
from dynamics.losses.standard import SmoothedLogisticLoss, check_smoothing, opposite


@dataclass(frozen=True)
class SLiC(MarginLoss):
    """The reference-free rank hinge of SLiC-HF; its regulariser is ``+ weight * SFT()``.

    Args:
        delta: the log-ratio log pi_w - log pi_l from which the loss of a pair is 0, nats, >= 0.

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
        """Return -1 where z < delta and 0 elsewhere."""
        return -(margin < self.delta).to(margin.dtype)

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return (1, -1)."""
        return opposite(pair)


@dataclass(frozen=True)
class CPO(SmoothedLogisticLoss):
    """Contrastive preference optimization: the reference-free logistic loss plus an SFT term.

    The SFT term is the sum over a response. TRL's CPOTrainer adds the mean over the batch's chosen tokens:
    ``CPO(sft_weight=0.0) + 1.0 * SFTPerToken()``.

    Args:
        beta: scale of the log-ratio, > 0.
        sft_weight: weight of ``-log pi_w``; 1 in the original, a hyper-parameter in sun2025's table.
        label_smoothing: assumed fraction of wrong labels, from 0 to below 1/2; 0 in the original.

    Example:
        >>> CPO(beta=1.0)(chosen=-2.0, rejected=-2.0)
        tensor(2.6931, dtype=torch.float64)
    """

    beta: Scalar = 0.1
    sft_weight: Scalar = 1.0
    label_smoothing: Scalar = 0.0

    formula: ClassVar[str] = r"-\log\sigma(\beta\log\pi_w-\beta\log\pi_l)-\lambda\log\pi_w"
    source: ClassVar[str] = "Xu et al. 2024, Eq. 5; sun2025 Table 2; TRL CPOTrainer, but for the SFT term"

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)
        check_nonnegative("sft_weight", self.sft_weight)
        check_smoothing(self.label_smoothing)

    def value(self, pair: PairLogProbs) -> Tensor:
        """Return the logistic loss of the margin plus the weighted SFT term."""
        return self.of_margin(self.margin(pair)) - self.sft_weight * pair.chosen

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return beta (log pi_w - log pi_l)."""
        return self.beta * (pair.chosen - pair.rejected)

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return (beta, -beta)."""
        return opposite(pair, self.beta)

    def partials(self, pair: PairLogProbs) -> Partials:
        """Return the partials of the margin loss, the chosen one lowered by the SFT weight."""
        logistic = super().partials(pair)
        return Partials(logistic.chosen - self.sft_weight, logistic.rejected)


@dataclass(frozen=True)
class SimPO(SmoothedLogisticLoss):
    """Simple preference optimization: reference-free, per-token average log-probs, a target margin.

    Args:
        beta: scale of the average log-probabilities, > 0.
        gamma: target margin in units of the margin (not divided by beta). Public SimPO code is configured by
            ``gamma_beta_ratio = gamma / beta``; reading one for the other changes the numbers of sun2025 Sec. 4.3.
        label_smoothing: assumed fraction of wrong labels, from 0 to below 1/2; 0 in the original.

    Example:
        >>> SimPO(beta=2.0, gamma=1.0)(-4.0, -4.0, chosen_length=4, rejected_length=2)
        tensor(0.3133, dtype=torch.float64)
    """

    beta: Scalar = 2.0
    gamma: Scalar = 0.5
    label_smoothing: Scalar = 0.0

    formula: ClassVar[str] = r"-\log\sigma\left(\frac{\beta}{|y_w|}\log\pi_w-\frac{\beta}{|y_l|}\log\pi_l-\gamma\right)"
    source: ClassVar[str] = "Meng et al. 2024, Eq. 6; sun2025 Eq. 6; TRL CPO loss_type 'simpo'"

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)
        check_number("gamma", self.gamma)
        check_smoothing(self.label_smoothing)

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return beta (log pi_w / |y_w| - log pi_l / |y_l|) - gamma."""
        average = pair.chosen / pair.chosen_length - pair.rejected / pair.rejected_length
        return self.beta * average - self.gamma

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return (beta / |y_w|, -beta / |y_l|)."""
        return Partials(self.beta / pair.chosen_length, -self.beta / pair.rejected_length)


@dataclass(frozen=True)
class AlphaPO(SimPO):
    """AlphaPO: SimPO whose reward of a response is a power of its mean token probability P, not its logarithm.

    With alpha = 0 it is SimPO, which is also what TRL's loss_type 'alphapo' is unless ``alpha`` is given. Where
    ``P^-alpha`` would overflow, the reward is clamped to the largest finite value and its derivative is 0.

    Args:
        beta: scale of the reward, > 0.
        gamma: target margin in units of the margin.
        label_smoothing: assumed fraction of wrong labels, from 0 to below 1/2.
        alpha: the power; above 0 the reward falls faster than the logarithm as P falls.

    Example:
        >>> AlphaPO(beta=2.0, gamma=1.0, alpha=0.5)(-4.0, -4.0, chosen_length=4, rejected_length=2)
        tensor(0.0370, dtype=torch.float64)
    """

    alpha: Scalar = 0.25

    formula: ClassVar[str] = (
        r"-\log\sigma\left(\beta\frac{1-P_w^{-\alpha}}{\alpha}-\beta\frac{1-P_l^{-\alpha}}{\alpha}-\gamma\right),"
        r"\quad P_y=\pi_y^{1/|y|}"
    )
    source: ClassVar[str] = "TRL 1.16 CPOTrainer, loss_type 'alphapo' with alpha; Gupta et al. 2025, which was not read"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("alpha", self.alpha)

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return beta (q_w - q_l) - gamma, with q = (1 - P^-alpha) / alpha."""
        chosen = self._reward(pair.chosen / pair.chosen_length)
        return self.beta * (chosen - self._reward(pair.rejected / pair.rejected_length)) - self.gamma

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return (beta P_w^-alpha / |y_w|, -beta P_l^-alpha / |y_l|)."""
        chosen = self._slope(pair.chosen / pair.chosen_length) / pair.chosen_length
        rejected = self._slope(pair.rejected / pair.rejected_length) / pair.rejected_length
        return Partials(self.beta * chosen, -self.beta * rejected)

    def _reward(self, mean: Tensor) -> Tensor:
        alpha = torch.as_tensor(self.alpha, dtype=mean.dtype, device=mean.device)
        power = -bounded_exp(-alpha * mean)[0]
        return torch.where(alpha == 0, mean, (1 + power) / torch.where(alpha == 0, torch.ones_like(alpha), alpha))

    def _slope(self, mean: Tensor) -> Tensor:
        alpha = torch.as_tensor(self.alpha, dtype=mean.dtype, device=mean.device)
        return bounded_exp(-alpha * mean)[1]


@dataclass(frozen=True)
class TPO(SmoothedLogisticLoss):
    """The pair's term of triple preference optimization: the logistic loss of log pi_w - log pi_l.

    TRL's TPOTrainer adds ``tpo_alpha`` times the mean negative log-likelihood of the tokens of a third, gold response:
    ``SFTPerToken`` with the gold response as the chosen one. Its 'tpo-l' is ``SimPO`` and such a term.

    Args:
        beta: scale of the log-ratio, > 0.
        label_smoothing: assumed fraction of wrong labels, from 0 to below 1/2.

    Example:
        >>> TPO(beta=1.0)(chosen=-2.0, rejected=-2.0)
        tensor(0.6931, dtype=torch.float64)
    """

    beta: Scalar = 0.01
    label_smoothing: Scalar = 0.0

    formula: ClassVar[str] = r"-\log\sigma(\beta\log\pi_w-\beta\log\pi_l)"
    source: ClassVar[str] = (
        "TRL 1.16 TPOTrainer, loss_type 'sigmoid', its term of the pair; Saeidi et al. 2024, not read"
    )

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)
        check_smoothing(self.label_smoothing)

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return beta (log pi_w - log pi_l)."""
        return self.beta * (pair.chosen - pair.rejected)

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return (beta, -beta)."""
        return opposite(pair, self.beta)
