"""What a preference loss is: a function of the log-probabilities of a chosen and a rejected response, or of many."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dynamics.errors import ArrayLike, InvalidArgument, check_number, check_positive
from dynamics.losses.pair import PairLogProbs, PairWeights, Partials, pair_log_probs

__all__ = ["LogRatioLoss", "MarginLoss", "PairLogProbs", "Partials", "PreferenceLoss", "Scalar", "WeightedSum", "weigh"]

Scalar = float | Tensor  # a tensor holds one value for each run


class PreferenceLoss(ABC):
    """A function of the log-probabilities of a chosen and a rejected response.

    Subclasses are frozen dataclasses of their hyper-parameters. A hyper-parameter may be a tensor with one value
    for each run, so that runs with different settings are computed in one batch.

    Attributes:
        formula: the loss in LaTeX.
        source: paper and equation.
        has_gaps: whether the formula is undefined (NaN) for some pairs of probabilities strictly between 0 and 1.
    """

    formula: ClassVar[str]
    source: ClassVar[str]
    has_gaps: ClassVar[bool] = False

    def __call__(
        self,
        chosen: ArrayLike,
        rejected: ArrayLike,
        reference_chosen: ArrayLike = 0.0,
        reference_rejected: ArrayLike = 0.0,
        chosen_length: ArrayLike = 1,
        rejected_length: ArrayLike = 1,
    ) -> Tensor:
        """Return the loss of each pair.

        Args:
            chosen: log pi(y_w | x) in nats, any shape.
            rejected: log pi(y_l | x) in nats, broadcastable to ``chosen``.
            reference_chosen: log ref(y_w | x) in nats; ignored by reference-free losses.
            reference_rejected: log ref(y_l | x) in nats.
            chosen_length: tokens of y_w, >= 1; used by length-normalised losses only.
            rejected_length: tokens of y_l.

        Returns:
            The loss of each pair in nats, in the broadcast shape.

        Raises:
            InvalidArgument: a NaN, a positive log-probability, a length below 1, shapes that do not fit, or a pair at
                which the loss is undefined, such as two responses of probability 0, or of probability 1 in BDPO.

        Example:
            >>> from dynamics import DPO
            >>> DPO(beta=0.5)(-1.0, -3.0, -1.0, -1.0)
            tensor(0.3133, dtype=torch.float64)
        """
        pair = pair_log_probs(chosen, rejected, reference_chosen, reference_rejected, chosen_length, rejected_length)
        value = self.value(pair)
        undefined = value.detach().isnan()
        if bool(undefined.any()) and not self.has_gaps:
            where = torch.stack(pair[:4])[:, undefined.expand(pair.chosen.shape)] if undefined.ndim else pair[:4]
            numbers = ", ".join(f"{float(v.flatten()[0]):g}" for v in where)
            raise InvalidArgument(
                "chosen, rejected, ...",
                f"the loss {type(self).__name__} is not defined at the log-probabilities {numbers} (chosen, rejected, "
                "and both under the reference); leave this pair out",
            )
        return value

    @abstractmethod
    def value(self, pair: PairLogProbs) -> Tensor:
        """Return the loss of each pair without checking the pairs; usable under torch.func transforms."""

    @abstractmethod
    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return the margin z, of which the loss is a function."""

    @abstractmethod
    def urgency(self, pair: PairLogProbs) -> Tensor:
        """Return ``-f'(z)``: how strongly the loss still raises the margin; sigma(-z) for DPO."""

    @abstractmethod
    def partials(self, pair: PairLogProbs) -> Partials:
        """Return dL/dlog pi(chosen) and dL/dlog pi(rejected) in closed form, as a gradient step uses them."""

    def pair_weights(self, pair: PairLogProbs) -> PairWeights:
        """Return d_w = -dL/dlog pi(chosen) and d_l = dL/dlog pi(rejected).

        Example:
            >>> from dynamics import SimPO
            >>> from dynamics.losses import pair_log_probs
            >>> d_w, d_l = SimPO(beta=2.0).pair_weights(pair_log_probs(-4.0, -4.0, chosen_length=4, rejected_length=2))
            >>> d_w / d_l  # the longer response has the smaller weight
            tensor(0.5000, dtype=torch.float64)
        """
        partials = self.partials(pair)
        return PairWeights(-partials.chosen, partials.rejected)

    def total(self, pair: PairLogProbs, weight: Tensor) -> Tensor:
        """Return the weighted sum of the losses of a batch, whose pairs lie along the last axis.

        Args:
            pair: the batch.
            weight: weight of each pair, >= 0, broadcastable to the pairs; a pair of weight 0 contributes nothing.
        """
        return weigh(self.value(pair), weight).sum(-1)

    def total_partials(self, pair: PairLogProbs, weight: Tensor) -> Partials:
        """Return the derivatives of ``total`` with respect to log pi(chosen) and log pi(rejected) of every pair."""
        partials = self.partials(pair)
        return Partials(weigh(partials.chosen, weight), weigh(partials.rejected, weight))

    def __add__(self, other: PreferenceLoss) -> WeightedSum:
        """Add two losses."""
        if not isinstance(other, PreferenceLoss):
            return NotImplemented
        return WeightedSum((*_terms(self), *_terms(other)))

    def __rmul__(self, weight: float) -> WeightedSum:
        """Scale a loss."""
        check_number("weight", weight)
        return WeightedSum(tuple((weight * w, term) for w, term in _terms(self)))


class MarginLoss(PreferenceLoss):
    """A loss that is a function ``f(z)`` of its margin alone."""

    @abstractmethod
    def of_margin(self, margin: Tensor) -> Tensor:
        """Return ``f(z)``."""

    @abstractmethod
    def derivative(self, margin: Tensor) -> Tensor:
        """Return ``f'(z)`` in closed form."""

    @abstractmethod
    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return the derivatives of ``z`` with respect to log pi(chosen) and log pi(rejected)."""

    def value(self, pair: PairLogProbs) -> Tensor:
        """Return f(z)."""
        return self.of_margin(self.margin(pair))

    def urgency(self, pair: PairLogProbs) -> Tensor:
        """Return -f'(z)."""
        return -self.derivative(self.margin(pair))

    def partials(self, pair: PairLogProbs) -> Partials:
        """Return f'(z) times the partials of z."""
        slope = self.derivative(self.margin(pair))
        along = self.margin_partials(pair)
        return Partials(slope * along.chosen, slope * along.rejected)


@dataclass(frozen=True)
class WeightedSum(PreferenceLoss):
    """A weighted sum of losses, such as ``DPO(beta=0.1) + 0.2 * SFT()``.

    Its reported margin is that of its first term; value and partials are those of the sum.
    """

    terms: tuple[tuple[float, PreferenceLoss], ...]

    formula: ClassVar[str] = r"\sum_k a_k L_k"
    source: ClassVar[str] = "the sum of its terms"

    def value(self, pair: PairLogProbs) -> Tensor:
        """Return the weighted sum of the values of the terms."""
        return torch.stack(torch.broadcast_tensors(*[w * term.value(pair) for w, term in self.terms])).sum(0)

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return the margin of the first term."""
        return self.terms[0][1].margin(pair)

    def urgency(self, pair: PairLogProbs) -> Tensor:
        """Return the weighted urgency of the first term."""
        weight, term = self.terms[0]
        return weight * term.urgency(pair)

    def partials(self, pair: PairLogProbs) -> Partials:
        """Return the weighted sum of the partials of the terms."""
        return self._sum([(w, term.partials(pair)) for w, term in self.terms])

    def total(self, pair: PairLogProbs, weight: Tensor) -> Tensor:
        """Return the weighted sum of the totals of the terms, some of which may see the whole batch."""
        return torch.stack(torch.broadcast_tensors(*[w * term.total(pair, weight) for w, term in self.terms])).sum(0)

    def total_partials(self, pair: PairLogProbs, weight: Tensor) -> Partials:
        """Return the weighted sum of the partials of the totals of the terms."""
        return self._sum([(w, term.total_partials(pair, weight)) for w, term in self.terms])

    @staticmethod
    def _sum(parts: list[tuple[float, Partials]]) -> Partials:
        chosen = torch.stack(torch.broadcast_tensors(*[w * p.chosen for w, p in parts])).sum(0)
        rejected = torch.stack(torch.broadcast_tensors(*[w * p.rejected for w, p in parts])).sum(0)
        return Partials(chosen, rejected)


@dataclass(frozen=True)
class LogRatioLoss(MarginLoss):
    """A loss whose margin is ``beta`` times the log-ratio against the reference."""

    beta: Scalar = 0.1

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return beta [log(pi_w / ref_w) - log(pi_l / ref_l)]."""
        return self.beta * pair.log_ratio

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return (beta, -beta)."""
        beta = self.beta * torch.ones_like(pair.chosen)
        return Partials(beta, -beta)


def weigh(values: Tensor, weight: Tensor) -> Tensor:
    """Return weight times value, and 0 where the weight is 0, whatever the value there (NaN for log 0 - log 0)."""
    return torch.where(weight > 0, values * weight, torch.zeros((), dtype=values.dtype, device=values.device))


def _terms(loss: PreferenceLoss) -> tuple[tuple[float, PreferenceLoss], ...]:
    return loss.terms if isinstance(loss, WeightedSum) else ((1.0, loss),)
