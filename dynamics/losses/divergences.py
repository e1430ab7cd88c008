"""DPO under another f-divergence: each log-ratio is replaced by a score, its force scaled by t f''(t)."""

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
    """An f-divergence as a loss sees it, for t = pi / ref and a = log t; the number is alpha, which most ignore.

    Attributes:
        score: s(a), equal to f'(t) up to a constant, which a difference of two scores does not see.
        force: its derivative with respect to a, t f''(t): how hard the loss pulls at a response, 1 for DPO.
    """

    score: Callable[[Tensor, Scalar], Tensor]
    force: Callable[[Tensor, Scalar], Tensor]


def bounded_exp(exponent: Tensor) -> tuple[Tensor, Tensor]:
    """Return e^x, held at the largest exponent that floats bear, and its derivative, 0 beyond that exponent.

    The exponents are 690 in float64 and 75 in float32. TRL does the same at 80.

    Example:
        >>> import torch
        >>> bounded_exp(torch.tensor([0.0, 1e4], dtype=torch.float64))[1]
        tensor([1., 0.], dtype=torch.float64)
    """
    largest = 690.0 if exponent.dtype == torch.float64 else 75.0
    value = torch.exp(exponent.clamp(max=largest))
    return value, torch.where(exponent <= largest, value, torch.zeros_like(value))


def _alpha_score(a: Tensor, alpha: Scalar) -> Tensor:
    order = torch.as_tensor(alpha, dtype=a.dtype, device=a.device) - 1
    power = (bounded_exp(order * a)[0] - 1) / torch.where(order == 0, torch.ones_like(order), order)
    return torch.where(order == 0, a, power)


DIVERGENCES: dict[str, Divergence] = {
    "reverse_kl": Divergence(lambda a, _: a, lambda a, _: torch.ones_like(a)),
    "forward_kl": Divergence(lambda a, _: 1 - bounded_exp(-a)[0], lambda a, _: bounded_exp(-a)[1]),
    "js_divergence": Divergence(lambda a, _: math.log(2) + logsigmoid(a), lambda a, _: torch.sigmoid(-a)),
    "alpha_divergence": Divergence(_alpha_score, lambda a, alpha: bounded_exp((alpha - 1) * a)[1]),
}
"""By TRL's names; f'(t) is log t, 1 - 1 / t, log(2t / (1 + t)) and (t^(alpha - 1) - 1) / (alpha - 1)."""


@dataclass(frozen=True)
class WithDivergence(PreferenceLoss):
    """A loss of the two log-ratios, with their scores under another f-divergence in their place.

    What is reported as its margin is then the margin of the scores.

    Args:
        loss: any loss that sees the log-probabilities through log(pi / ref) alone, such as DPO, IPOPerToken or EXO.
        divergence: a key of ``DIVERGENCES``.
        alpha: of the alpha divergence, as TRL counts it: 1 less that of the f-DPO paper.

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
            raise InvalidArgument("loss", self.loss, "a loss that sees log-probabilities through log(pi / ref) alone")
        if not isinstance(self.divergence, str) or self.divergence not in DIVERGENCES:
            raise InvalidArgument("divergence", self.divergence, "one of " + ", ".join(sorted(DIVERGENCES)))
        check_number("alpha", self.alpha)

    def scored(self, pair: PairLogProbs) -> PairLogProbs:
        """Return the pair with scores as its log-probabilities and 0 as the reference."""
        score = DIVERGENCES[self.divergence].score
        zero = torch.zeros_like(pair.chosen)
        chosen, rejected = (score(a, self.alpha) for a in (pair.chosen_log_ratio, pair.rejected_log_ratio))
        return PairLogProbs(chosen, rejected, zero, zero, pair.chosen_length, pair.rejected_length)

    def value(self, pair: PairLogProbs) -> Tensor:
        """Return the loss of the scores."""
        return self.loss.value(self.scored(pair))

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return the margin of the scores."""
        return self.loss.margin(self.scored(pair))

    def urgency(self, pair: PairLogProbs) -> Tensor:
        """Return the urgency at that margin."""
        return self.loss.urgency(self.scored(pair))

    def partials(self, pair: PairLogProbs) -> Partials:
        """Return the partials with respect to the scores, times the forces."""
        force = DIVERGENCES[self.divergence].force
        inner = self.loss.partials(self.scored(pair))
        chosen = inner.chosen * force(pair.chosen_log_ratio, self.alpha)
        return Partials(chosen, inner.rejected * force(pair.rejected_log_ratio, self.alpha))


def _sees_log_ratios_alone(loss: PreferenceLoss) -> bool:
    """Return whether moving policy and reference together leaves the loss as it is, tried at one pair."""
    here = torch.tensor([-3.0, -5.0, -4.0, -2.5, 2.0, 3.0], dtype=torch.float64)
    moved = here - torch.tensor([0.25, 0.5, 0.25, 0.5, 0.0, 0.0], dtype=torch.float64)
    values = [loss.value(PairLogProbs(*point)) for point in (here, moved)]
    return bool(((values[0] - values[1]).abs() <= 1e-12 * (1 + values[0].abs())).all())


class ScoreLoss(LogisticLoss):
    """The logistic loss of beta times a difference of scores, ``-log sigma(beta s(a_w) - beta s(a_l))``."""

    beta: Scalar

    @abstractmethod
    def score(self, log_ratio: Tensor) -> Tensor:
        """Return s(a)."""

    @abstractmethod
    def force(self, log_ratio: Tensor) -> Tensor:
        """Return s'(a) = t f''(t)."""

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return beta [s(a_w) - s(a_l)]."""
        return self.beta * (self.score(pair.chosen_log_ratio) - self.score(pair.rejected_log_ratio))

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return (beta s'(a_w), -beta s'(a_l))."""
        along = opposite(pair, self.beta)
        chosen = along.chosen * self.force(pair.chosen_log_ratio)
        return Partials(chosen, along.rejected * self.force(pair.rejected_log_ratio))


@dataclass(frozen=True)
class FDPO(ScoreLoss):
    """DPO under another f-divergence.

    With t_l < t_w, forward KL, Jensen-Shannon and the alpha divergence below 1 push the rejected response harder than
    they pull the chosen one. Exponents beyond the range of floats are held at its end: see ``bounded_exp``.

    Args:
        beta: strength of the tie to the reference, > 0.
        divergence: "reverse_kl" (DPO), "forward_kl", "js_divergence" or "alpha_divergence".
        alpha: of the alpha divergence, as TRL counts it: 1 less that of the f-DPO paper.

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

    def score(self, log_ratio: Tensor) -> Tensor:
        """Return the score of the divergence."""
        return DIVERGENCES[self.divergence].score(log_ratio, self.alpha)

    def force(self, log_ratio: Tensor) -> Tensor:
        """Return the force of the divergence."""
        return DIVERGENCES[self.divergence].force(log_ratio, self.alpha)
