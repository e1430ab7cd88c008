"""Losses designed to keep the chosen response from falling."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from dynamics.errors import InvalidArgument, check_nonnegative, check_positive
from dynamics.losses.base import LogRatioLoss, Scalar
from dynamics.losses.divergences import ImplicitRewardLoss, bounded_exp
from dynamics.losses.pair import PairLogProbs, Partials
from dynamics.losses.standard import LogisticLoss
from dynamics.losses.two_weights import TwoWeightLoss


@dataclass(frozen=True)
class DPOP(LogisticLoss, LogRatioLoss):
    """DPO-Positive (Smaug): DPO with a penalty while the chosen response is below its reference.

    While log pi_w is below its reference, the weight of the chosen response is 1 + lambda times that of the rejected
    one; otherwise the two are equal, as in DPO. No lambda prevents the chosen response from falling: the loss tends to
    0 even while pi_w vanishes, provided that log pi_l falls more than 1 + lambda times as fast as log pi_w.

    Args:
        beta: strength of the regularization towards the reference, > 0.
        penalty: lambda, >= 0; 50 in the paper, according to a reproduction of it.

    Example:
        >>> DPOP(beta=1.0, penalty=50.0)(chosen=-1.0, rejected=-60.0)  # far below the reference, and nearly no loss
        tensor(0.0001, dtype=torch.float64)
    """

    penalty: Scalar = 50.0

    formula: ClassVar[str] = (
        r"-\log\sigma\left(\beta\left[a_w-a_l-\lambda\max(0,-a_w)\right]\right),\quad a_y=\log\frac{\pi_y}{ref_y}"
    )
    source: ClassVar[str] = "Pal et al. 2024, Eq. 3, as two secondary sources quote it; the paper was not read"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_nonnegative("penalty", self.penalty)

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return beta [a_w - a_l - lambda max(0, -a_w)]."""
        return self.beta * (pair.log_ratio - self.penalty * torch.relu(-pair.chosen_log_ratio))

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return the margin's derivatives by log pi_w and log pi_l.

        They are (beta (1 + lambda), -beta) while log pi_w is below its reference, and (beta, -beta) otherwise.
        """
        below = (pair.chosen_log_ratio < 0).to(pair.chosen.dtype)
        return Partials(self.beta * (1 + self.penalty * below), -self.beta * torch.ones_like(below))


@dataclass(frozen=True)
class CalDPO(TwoWeightLoss):
    """Calibrated DPO: the logistic loss of a_w - a_l, and each log-ratio drawn to a target of its own.

    beta sets the targets, 1 / (2 beta) and -1 / (2 beta); it does not scale the logistic term. That term moves the
    minimum beyond the targets: to a_w = 0.6134 instead of 0.5 at beta = 1.

    Args:
        beta: half the inverse of the target, > 0.

    Example:
        >>> CalDPO(beta=0.5)(chosen=-1.0, rejected=-3.0, reference_chosen=-2.0, reference_rejected=-2.0)
        tensor(0.1269, dtype=torch.float64)
    """

    formula: ClassVar[str] = (
        r"-\log\sigma(a_w-a_l)+\left(a_w-\frac{1}{2\beta}\right)^2+\left(a_l+\frac{1}{2\beta}\right)^2,"
        r"\quad a_y=\log\frac{\pi_y}{ref_y}"
    )
    source: ClassVar[str] = "the authors' public code (Cal-DPO, shift 0.5); Xiao et al. 2024, which was not read"

    def of_log_ratios(self, chosen: Tensor, rejected: Tensor) -> Tensor:
        """Return the logistic loss plus the squared distances of both log-ratios from their targets."""
        target = 1 / (2 * self.beta)
        return -logsigmoid(chosen - rejected) + (chosen - target) ** 2 + (rejected + target) ** 2

    def slopes(self, chosen: Tensor, rejected: Tensor) -> Partials:
        """Return (2 (a_w - t) - s, 2 (a_l + t) + s), with the target t = 1 / (2 beta) and s = sigma(a_l - a_w)."""
        target, logistic = 1 / (2 * self.beta), torch.sigmoid(rejected - chosen)
        return Partials(2 * (chosen - target) - logistic, 2 * (rejected + target) + logistic)


@dataclass(frozen=True)
class DPOShift(LogisticLoss, LogRatioLoss):
    """DPO-Shift: DPO with the rejected log-ratio scaled down, so that the rejected response has the smaller weight.

    To first order the chosen response does not fall while ``shift <= |g_w|^2 / <g_w, g_l>``.

    Args:
        beta: strength of the regularization towards the reference, > 0.
        shift: f(lambda), the scale, from 0 to 1; 1 is DPO. The authors also vary it linearly during training.

    Example:
        >>> DPOShift(beta=1.0, shift=0.5)(-1.0, -3.0, -2.0, -2.0)
        tensor(0.2014, dtype=torch.float64)
    """

    shift: Scalar = 0.75

    formula: ClassVar[str] = (
        r"-\log\sigma\left(\beta a_w-f(\lambda)\,\beta a_l\right),\quad a_y=\log\frac{\pi_y}{ref_y}"
    )
    source: ClassVar[str] = "the authors' public code (DPO-Shift, dpo_lambda); Yang et al. 2025, which was not read"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_nonnegative("shift", self.shift)
        if bool((torch.as_tensor(self.shift) > 1).any()):
            raise InvalidArgument("shift", self.shift, "a scale from 0 to 1")

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return beta (a_w - f a_l)."""
        return self.beta * (pair.chosen_log_ratio - self.shift * pair.rejected_log_ratio)

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return (beta, -beta f)."""
        beta = self.beta * torch.ones_like(pair.chosen)
        return Partials(beta, -beta * self.shift)


@dataclass(frozen=True)
class RPO(LogisticLoss, LogRatioLoss):
    """The loss of Iterative RPO: DPO, and the negative log-likelihood of the chosen response per token.

    Its reported margin and urgency are those of the DPO term. Earlier releases of TRL had it as ``rpo_alpha``,
    with a mean over the batch's tokens; in 1.16 it is loss_type ['sigmoid', 'sft'].

    Args:
        beta: strength of the regularization towards the reference, > 0.
        alpha: weight of the negative log-likelihood, >= 0; 1 in the paper.

    Example:
        >>> RPO(beta=1.0, alpha=1.0)(-4.0, -4.0, chosen_length=4)
        tensor(1.6931, dtype=torch.float64)
    """

    alpha: Scalar = 1.0

    formula: ClassVar[str] = (
        r"-\log\sigma\left(\beta\log\frac{\pi_w}{ref_w}-\beta\log\frac{\pi_l}{ref_l}\right)"
        r"-\frac{\alpha}{|y_w|}\log\pi_w"
    )
    source: ClassVar[str] = (
        "Pang et al. 2024 (Iterative RPO), as a checked summary and TRL's rpo_alpha give it; not read"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_nonnegative("alpha", self.alpha)

    def value(self, pair: PairLogProbs) -> Tensor:
        """Return DPO's loss less alpha times the mean log-probability of a chosen token."""
        return super().value(pair) - self.alpha * pair.chosen / pair.chosen_length

    def partials(self, pair: PairLogProbs) -> Partials:
        """Return DPO's partials, the chosen one lowered by alpha over the length."""
        dpo = super().partials(pair)
        return Partials(dpo.chosen - self.alpha / pair.chosen_length, dpo.rejected)


@dataclass(frozen=True)
class SquaredPO(ImplicitRewardLoss):
    """SquaredPO: DPO with the divergence generated by f(t) = (log t)^2 / 2, minimal at t = 1.

    Its implicit reward is beta a e^-a, with a = log t, whose slope is beta (1 - a) e^-a.

    Above t = e the slope is negative: there the loss pushes a chosen response back down. Exponents that would overflow
    are clamped (``bounded_exp``); the authors clamp them at 50.

    Args:
        beta: strength of the regularization towards the reference, > 0.

    Example:
        >>> SquaredPO(beta=1.0)(-1.0, -3.0, -2.0, -2.0)
        tensor(0.0447, dtype=torch.float64)
    """

    beta: Scalar = 0.1

    formula: ClassVar[str] = (
        r"-\log\sigma\left(\beta\frac{\log t_w}{t_w}-\beta\frac{\log t_l}{t_l}\right),\quad t_y=\frac{\pi_y}{ref_y}"
    )
    source: ClassVar[str] = "Pipano et al. 2026, as three sets of reading notes give it; the paper was not read"

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)

    def reward(self, log_ratio: Tensor) -> Tensor:
        """Return a e^-a."""
        return log_ratio * bounded_exp(-log_ratio)[0]

    def slope(self, log_ratio: Tensor) -> Tensor:
        """Return (1 - a) e^-a; the exponential alone where the exponent is clamped."""
        value, slope = bounded_exp(-log_ratio)
        return value - log_ratio * slope


@dataclass(frozen=True)
class ChiPO(ImplicitRewardLoss):
    """Chi-squared preference optimization: DPO under chi^2 + KL, with implicit reward beta (e^a + a).

    Args:
        beta: strength of the regularization towards the reference, > 0.
        limit: the margin is clipped to [-limit, limit]; > 0. In the paper's theory it is twice the largest reward; by
            default the margin is not clipped.

    Example:
        >>> ChiPO(beta=1.0)(-1.0, -3.0, -2.0, -2.0)
        tensor(0.0128, dtype=torch.float64)
    """

    beta: Scalar = 0.1
    limit: float = math.inf

    formula: ClassVar[str] = (
        r"-\log\sigma\left(\mathrm{clip}_{\pm 2R}\left[\beta(t_w+\log t_w)-\beta(t_l+\log t_l)\right]\right),"
        r"\quad t_y=\frac{\pi_y}{ref_y}"
    )
    source: ClassVar[str] = "Huang et al. 2024, Algorithm 1, as reading notes with formulas give it; not read"

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)
        if self.limit != math.inf:
            check_positive("limit", self.limit)

    def reward(self, log_ratio: Tensor) -> Tensor:
        """Return e^a + a."""
        return bounded_exp(log_ratio)[0] + log_ratio

    def slope(self, log_ratio: Tensor) -> Tensor:
        """Return e^a + 1."""
        return bounded_exp(log_ratio)[1] + 1

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return the difference of the implicit rewards, clipped."""
        return super().margin(pair).clamp(-self.limit, self.limit)

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return (beta s'(a_w), -beta s'(a_l)), and 0 where the margin is clipped."""
        along = super().margin_partials(pair)
        free = (super().margin(pair).abs() <= self.limit).to(pair.chosen.dtype)
        return Partials(free * along.chosen, free * along.rejected)
