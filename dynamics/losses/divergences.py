"""DPO under another f-divergence: the implicit reward of a response is beta f'(pi / ref), not beta log(pi / ref)."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from dynamics.errors import InvalidArgument, check_kind, check_number, check_positive
from dynamics.losses.base import PreferenceLoss, Scalar
from dynamics.losses.pair import PairLogProbs, Partials
from dynamics.losses.standard import LogisticLoss, opposite


class Divergence(NamedTuple):
    """An f-divergence as a loss uses it: two functions of a = log t, t = pi / ref, and of alpha, which most ignore.

    Attributes:
        reward: s(a), the implicit reward divided by beta: f'(t) up to a constant, which cancels between two responses.
        slope: its derivative with respect to a, t f''(t), which multiplies the weight of a response; 1 for DPO.
    """

    reward: Callable[[Tensor, Scalar], Tensor]
    slope: Callable[[Tensor, Scalar], Tensor]


def bounded_exp(exponent: Tensor) -> tuple[Tensor, Tensor]:
    """Return e^x with x clamped so that it cannot overflow, and its derivative, which is 0 where x is clamped.

    The largest exponents are 690 in float64 and 75 in float32. TRL clamps at 80.

    Example:
        >>> import torch
        >>> bounded_exp(torch.tensor([0.0, 1e4], dtype=torch.float64))[1]
        tensor([1., 0.], dtype=torch.float64)
    """
    largest = 690.0 if exponent.dtype == torch.float64 else 75.0
    value = torch.exp(exponent.clamp(max=largest))
    return value, torch.where(exponent <= largest, value, torch.zeros_like(value))


def _alpha_reward(a: Tensor, alpha: Scalar) -> Tensor:
    order = torch.as_tensor(alpha, dtype=a.dtype, device=a.device) - 1
    power = (bounded_exp(order * a)[0] - 1) / torch.where(order == 0, torch.ones_like(order), order)
    return torch.where(order == 0, a, power)


DIVERGENCES: dict[str, Divergence] = {
    "reverse_kl": Divergence(lambda a, _: a, lambda a, _: torch.ones_like(a)),
    "forward_kl": Divergence(lambda a, _: 1 - bounded_exp(-a)[0], lambda a, _: bounded_exp(-a)[1]),
    "js_divergence": Divergence(lambda a, _: math.log(2) + logsigmoid(a), lambda a, _: torch.sigmoid(-a)),
    "alpha_divergence": Divergence(_alpha_reward, lambda a, alpha: bounded_exp((alpha - 1) * a)[1]),
}
"""By their names in TRL; f'(t) is log t, 1 - 1 / t, log(2t / (1 + t)) and (t^(alpha - 1) - 1) / (alpha - 1)."""


@dataclass(frozen=True)
class WithDivergence(PreferenceLoss):
    """A loss of the two log-ratios, with the implicit rewards s(a) of another f-divergence in their place.

    Its reported margin is the margin of these rewards.

    Args:
        loss: any loss that depends on the policy through log(pi / ref) alone, such as DPO, IPOPerToken or EXO.
        divergence: a key of ``DIVERGENCES``.
        alpha: parameter of the alpha divergence in TRL's convention, which is that of the f-DPO paper minus 1.

    Raises:
        InvalidArgument: a loss without a reference, an unknown divergence.

    Example:
        >>> from dynamics import DPO
        >>> WithDivergence(DPO(beta=1.0), "js_divergence")(-1.0, -3.0, -2.0, -2.0)
        tensor(0.3133, dtype=torch.float64)
    """

    loss: PreferenceLoss
    divergence: str = "reverse_kl"
    alpha: Scalar = 0.5

    formula: ClassVar[str] = r"L\left(s(a_w),s(a_l)\right),\quad a_y=\log t_y,\ t_y=\frac{\pi_y}{ref_y},\ s(a)=f'(e^a)"
    source: ClassVar[str] = "TRL 1.16 DPOTrainer, f_divergence_type; Wang et al. 2023 (f-DPO), which was not read"

    def __post_init__(self) -> None:
        check_kind("loss", self.loss, PreferenceLoss, "a loss such as DPO(beta=0.1)")
        if not _sees_log_ratios_alone(self.loss):
            raise InvalidArgument(
                "loss", self.loss, "a loss that depends on log-probabilities through log(pi / ref) alone"
            )
        if not isinstance(self.divergence, str) or self.divergence not in DIVERGENCES:
            raise InvalidArgument("divergence", self.divergence, "one of " + ", ".join(sorted(DIVERGENCES)))
        check_number("alpha", self.alpha)

    def with_rewards(self, pair: PairLogProbs) -> PairLogProbs:
        """Return the pair with the rewards s(a) as its log-probabilities and 0 as the reference."""
        reward = DIVERGENCES[self.divergence].reward
        zero = torch.zeros_like(pair.chosen)
        chosen, rejected = (reward(a, self.alpha) for a in (pair.chosen_log_ratio, pair.rejected_log_ratio))
        return PairLogProbs(chosen, rejected, zero, zero, pair.chosen_length, pair.rejected_length)

    def value(self, pair: PairLogProbs) -> Tensor:
        """Return the loss of the rewards."""
        return self.loss.value(self.with_rewards(pair))

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return the margin of the rewards."""
        return self.loss.margin(self.with_rewards(pair))

    def urgency(self, pair: PairLogProbs) -> Tensor:
        """Return the urgency at that margin."""
        return self.loss.urgency(self.with_rewards(pair))

    def partials(self, pair: PairLogProbs) -> Partials:
        """Return the partials with respect to the rewards, times the slopes of the rewards."""
        slope = DIVERGENCES[self.divergence].slope
        inner = self.loss.partials(self.with_rewards(pair))
        chosen = inner.chosen * slope(pair.chosen_log_ratio, self.alpha)
        return Partials(chosen, inner.rejected * slope(pair.rejected_log_ratio, self.alpha))


def _sees_log_ratios_alone(loss: PreferenceLoss) -> bool:
    """Return whether a common shift of policy and reference leaves the loss unchanged, tried at one pair."""
    here = torch.tensor([-3.0, -5.0, -4.0, -2.5, 2.0, 3.0], dtype=torch.float64)
    moved = here - torch.tensor([0.25, 0.5, 0.25, 0.5, 0.0, 0.0], dtype=torch.float64)
    values = [loss.value(PairLogProbs(*point)) for point in (here, moved)]
    return bool(((values[0] - values[1]).abs() <= 1e-12 * (1 + values[0].abs())).all())


class ImplicitRewardLoss(LogisticLoss):
    """The logistic loss of a difference of implicit rewards, ``-log sigma(beta s(a_w) - beta s(a_l))``."""

    beta: Scalar

    @abstractmethod
    def reward(self, log_ratio: Tensor) -> Tensor:
        """Return s(a)."""

    @abstractmethod
    def slope(self, log_ratio: Tensor) -> Tensor:
        """Return s'(a) = t f''(t)."""

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return beta [s(a_w) - s(a_l)]."""
        return self.beta * (self.reward(pair.chosen_log_ratio) - self.reward(pair.rejected_log_ratio))

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return (beta s'(a_w), -beta s'(a_l))."""
        along = opposite(pair, self.beta)
        chosen = along.chosen * self.slope(pair.chosen_log_ratio)
        return Partials(chosen, along.rejected * self.slope(pair.rejected_log_ratio))


@dataclass(frozen=True)
class FDPO(ImplicitRewardLoss):
    """DPO under another f-divergence.

    Where t_l < t_w, the rejected response has a larger weight than the chosen one under forward KL, Jensen-Shannon and
    the alpha divergence with alpha below 1. Exponents that would overflow are clamped: see ``bounded_exp``.

    Args:
        beta: strength of the regularization towards the reference, > 0.
        divergence: "reverse_kl" (DPO), "forward_kl", "js_divergence" or "alpha_divergence".
        alpha: parameter of the alpha divergence in TRL's convention, which is that of the f-DPO paper minus 1.

    Example:
        >>> FDPO(beta=1.0, divergence="forward_kl")(-1.0, -3.0, -2.0, -2.0)
        tensor(0.0911, dtype=torch.float64)
    """

    beta: Scalar = 0.1
    divergence: str = "js_divergence"
    alpha: Scalar = 0.5

    formula: ClassVar[str] = r"-\log\sigma\left(\beta f'(t_w)-\beta f'(t_l)\right),\quad t_y=\frac{\pi_y}{ref_y}"
    source: ClassVar[str] = "TRL 1.16 DPOTrainer, f_divergence_type; Wang et al. 2023 (f-DPO), which was not read"

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)
        check_number("alpha", self.alpha)
        if not isinstance(self.divergence, str) or self.divergence not in DIVERGENCES:
            raise InvalidArgument("divergence", self.divergence, "one of " + ", ".join(sorted(DIVERGENCES)))

    def reward(self, log_ratio: Tensor) -> Tensor:
        """Return s(a), the implicit reward divided by beta."""
        return DIVERGENCES[self.divergence].reward(log_ratio, self.alpha)

    def slope(self, log_ratio: Tensor) -> Tensor:
        """Return s'(a), the derivative with respect to the log-ratio of the implicit reward divided by beta."""
        return DIVERGENCES[self.divergence].slope(log_ratio, self.alpha)
