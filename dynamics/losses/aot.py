"""Alignment by optimal transport: the margins of a batch are compared as distributions, not pair by pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from dynamics.errors import check_positive
from dynamics.losses.base import Scalar, weigh
from dynamics.losses.batch import BatchLoss
from dynamics.losses.pair import PairLogProbs, Partials
from dynamics.losses.standard import SmoothedLogisticLoss, check_smoothing, opposite


class Coupling(NamedTuple):
    """A matching of two weighted lists by rank: which entry of the one is matched with which of the other.

    Attributes:
        first: index of every match into the first list, ``(..., 2 pairs)``.
        second: index of every match into the second list.
        mass: weight of every match; it is 0 for about half of them, which do not count.
    """

    first: Tensor
    second: Tensor
    mass: Tensor


def sorted_coupling(first: Tensor, second: Tensor, weight: Tensor) -> Coupling:
    """Match two lists that have the same weights by rank; if all weights are equal, this pairs the sorted lists.

    Example:
        >>> import torch
        >>> met = sorted_coupling(torch.tensor([3.0, 1.0]), torch.tensor([5.0, 7.0]), torch.tensor([1.0, 1.0]))
        >>> [(int(i), int(j)) for i, j, mass in zip(*met) if mass > 0]
        [(1, 0), (0, 1)]
    """
    first, second, weight = torch.broadcast_tensors(first, second, weight)
    orders = [torch.sort(values, dim=-1, stable=True).indices for values in (first, second)]
    ends = [weight.gather(-1, order).cumsum(-1).contiguous() for order in orders]
    both = torch.cat(ends, -1).sort(-1).values
    mass = both.diff(dim=-1, prepend=torch.zeros_like(both[..., :1]))
    middle = (both - mass / 2).contiguous()
    last = weight.shape[-1] - 1
    met = [
        order.gather(-1, torch.searchsorted(end, middle).clamp(max=last))
        for order, end in zip(orders, ends, strict=True)
    ]
    return Coupling(met[0], met[1], mass)


@dataclass(frozen=True)
class AOT(BatchLoss, SmoothedLogisticLoss):
    """Alignment by optimal transport, paired: margins of the policy are matched with those of the reference by rank.

    On a batch of one pair it is cDPO. Its mean over a batch is at most that of cDPO on the same batch.

    Args:
        beta: strength of the regularization towards the reference, > 0.
        label_smoothing: assumed fraction of wrong labels, from 0 to below 1/2.

    Example:
        >>> AOT(beta=1.0)([-1.0, -2.0], [-3.0, -1.0], [-1.0, -1.0], [-1.0, -4.0]).mean()
        tensor(1.3133, dtype=torch.float64)
    """

    beta: Scalar = 0.1
    label_smoothing: Scalar = 0.0

    formula: ClassVar[str] = (
        r"-\frac1n\sum_i\log\sigma\left(\beta d_{(i)}-\beta e_{(i)}\right),"
        r"\quad d=\log\frac{\pi_w}{\pi_l},\ e=\log\frac{ref_w}{ref_l}\text{, each sorted over the batch}"
    )
    source: ClassVar[str] = "TRL 1.16 DPOTrainer, loss_type 'aot'; Melnyk et al. 2024, which was not read"

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)
        check_smoothing(self.label_smoothing)

    def lists(self, pair: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return the two lists to be matched: log pi_w / pi_l and log ref_w / ref_l."""
        return pair.chosen - pair.rejected, pair.reference_chosen - pair.reference_rejected

    def total(self, pair: PairLogProbs, weight: Tensor) -> Tensor:
        """Return the sum over all matches of mass times loss."""
        gap, met = self._meet(pair, weight)
        return weigh(self.of_margin(gap), met.mass).sum(-1)

    def value(self, pair: PairLogProbs) -> Tensor:
        """Return for each pair the loss of its entry of the first list against the entry of the same rank."""
        gap, met = self._meet(pair, torch.ones_like(pair.chosen))
        return _collect(weigh(self.of_margin(gap), met.mass), met.first, pair)

    def total_partials(self, pair: PairLogProbs, weight: Tensor) -> Partials:
        """Return the derivatives, summed over the matches of each pair."""
        gap, met = self._meet(pair, weight)
        along = _collect(weigh(self.beta * self.derivative(gap), met.mass), met.first, pair)
        return Partials(along, -along)

    def margin(self, pair: PairLogProbs) -> Tensor:
        """Return beta [log(pi_w / ref_w) - log(pi_l / ref_l)], the margin of the pair by itself."""
        return self.beta * pair.log_ratio

    def margin_partials(self, pair: PairLogProbs) -> Partials:
        """Return (beta, -beta)."""
        return opposite(pair, self.beta)

    def urgency(self, pair: PairLogProbs) -> Tensor:
        """Return the weight of the chosen response in its batch, over beta."""
        return -self.partials(pair).chosen / self.beta

    def _meet(self, pair: PairLogProbs, weight: Tensor) -> tuple[Tensor, Coupling]:
        """Return beta times the difference of every match, and the matching."""
        first, second = (torch.atleast_1d(values) for values in self.lists(pair))
        first, second, weight = torch.broadcast_tensors(first, second, torch.atleast_1d(weight.to(first.dtype)))
        met = sorted_coupling(first.detach(), second.detach(), weight)
        return self.beta * (first.gather(-1, met.first) - second.gather(-1, met.second)), met


@dataclass(frozen=True)
class AOTUnpaired(AOT):
    """Alignment by optimal transport, unpaired: log-ratios of chosen and rejected responses are matched by rank.

    Its mean over a batch is at most that of cDPO on the same batch, and does not depend on which rejected response
    belongs to which pair.

    Args:
        beta: strength of the regularization towards the reference, > 0.
        label_smoothing: assumed fraction of wrong labels, from 0 to below 1/2.

    Example:
        >>> AOTUnpaired(beta=1.0)([-1.0, -2.0], [-3.0, -1.0]).mean()
        tensor(0.5032, dtype=torch.float64)
    """

    formula: ClassVar[str] = (
        r"-\frac1n\sum_i\log\sigma\left(\beta a_{w(i)}-\beta a_{l(i)}\right),"
        r"\quad a_y=\log\frac{\pi_y}{ref_y}\text{, each sorted over the batch}"
    )
    source: ClassVar[str] = "TRL 1.16 DPOTrainer, loss_type 'aot_unpaired'; Melnyk et al. 2024, which was not read"

    def lists(self, pair: PairLogProbs) -> tuple[Tensor, Tensor]:
        """Return the two lists to be matched: the log-ratios of the chosen and of the rejected responses."""
        return pair.chosen_log_ratio, pair.rejected_log_ratio

    def total_partials(self, pair: PairLogProbs, weight: Tensor) -> Partials:
        """Return the derivatives, summed over the matches of each response."""
        gap, met = self._meet(pair, weight)
        slopes = weigh(self.beta * self.derivative(gap), met.mass)
        return Partials(_collect(slopes, met.first, pair), -_collect(slopes, met.second, pair))


def _collect(values: Tensor, index: Tensor, pair: PairLogProbs) -> Tensor:
    """Return for every pair the sum of the values of its matches."""
    zero = torch.zeros_like(values[..., : values.shape[-1] // 2])
    collected = zero.scatter_add(-1, index.expand_as(values), values)
    return collected if pair.chosen.ndim else collected.squeeze(-1)
