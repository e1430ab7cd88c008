"""Log-probabilities of single tokens, and a loss that weights them before it adds them up: length desensitization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from dynamics.errors import ArrayLike, InvalidArgument, check_kind, check_nonnegative, to_tensor
from dynamics.losses.base import PreferenceLoss, Scalar
from dynamics.losses.pair import PairLogProbs, Partials


class TokenLogProbs(NamedTuple):
    """Log-probabilities (nats) of the tokens of both responses, ``(..., tokens)``, padded at the end.

    Entries beyond ``chosen_length`` or ``rejected_length`` are ignored.
    """

    chosen: Tensor
    rejected: Tensor
    reference_chosen: Tensor
    reference_rejected: Tensor
    chosen_length: Tensor
    rejected_length: Tensor


def token_log_probs(
    chosen: ArrayLike,
    rejected: ArrayLike,
    reference_chosen: ArrayLike,
    reference_rejected: ArrayLike,
    chosen_length: ArrayLike,
    rejected_length: ArrayLike,
) -> TokenLogProbs:
    """Check and convert the log-probabilities of tokens.

    Args:
        chosen: log pi of every token of y_w, nats, ``(..., tokens)``, padded at the end with anything.
        rejected: the same of y_l; it may have another number of tokens.
        reference_chosen: the same under the reference, in the shape of ``chosen``.
        reference_rejected: in the shape of ``rejected``.
        chosen_length: number of tokens of y_w, ``(...)``, >= 1.
        rejected_length: number of tokens of y_l.

    Raises:
        InvalidArgument: a log-probability above 0 or NaN, a length below 1 or beyond the tokens, shapes that do not
        fit.

    Example:
        >>> token_log_probs([[-1.0, -2.0]], [[-3.0]], [[-1.0, -1.0]], [[-1.0]], [2], [1]).chosen_length
        tensor([2.], dtype=torch.float64)
    """
    sides = {}
    for side, own, reference, length in (
        ("chosen", chosen, reference_chosen, chosen_length),
        ("rejected", rejected, reference_rejected, rejected_length),
    ):
        tokens, base = to_tensor(side, own), to_tensor(f"reference_{side}", reference)
        count = to_tensor(f"{side}_length", length, dtype=tokens.dtype)
        if tokens.ndim == 0 or base.shape != tokens.shape or count.shape != tokens.shape[:-1]:
            got = f"{tuple(tokens.shape)}, {tuple(base.shape)} and {tuple(count.shape)}"
            raise InvalidArgument(
                side,
                f"log-probabilities, their reference and the lengths have the shapes {got}; the first two must be "
                "(..., tokens), and the lengths (...)",
            )
        if not bool(((count >= 1) & (count <= tokens.shape[-1]) & (count == count.round())).all()):
            raise InvalidArgument(f"{side}_length", count.tolist(), f"whole numbers from 1 to {tokens.shape[-1]}")
        seen = _positions(tokens) < count.unsqueeze(-1)
        if bool(((tokens > 0) | tokens.isnan() | (base > 0) | base.isnan())[seen].any()):
            raise InvalidArgument(side, "a token's log-probability is NaN or positive; in nats it is at most 0")
        sides[side] = (tokens, base, count)
    (own, base, count), (other, other_base, other_count) = sides["chosen"], sides["rejected"]
    return TokenLogProbs(own, other, base, other_base, count, other_count)


@dataclass(frozen=True)
class LengthDesensitized:
    """A loss in which tokens beyond the length of the shorter response have weight alpha: TRL's ``ld_alpha`` (LD-DPO).

    The same weights apply to the reference. A loss that divides by lengths divides by the full lengths.

    Args:
        loss: the loss of the pair.
        alpha: weight of the tokens beyond the shorter length, from 0 (dropped) to 1 (no change).

    Example:
        >>> from dynamics import DPO
        >>> tokens = token_log_probs([[-1.0, -2.0]], [[-3.0]], [[-1.0, -1.0]], [[-1.0]], [2], [1])
        >>> loss = LengthDesensitized(DPO(beta=1.0), alpha=0.5)
        >>> loss.pair(tokens).chosen, loss.value(tokens)
        (tensor([-2.], dtype=torch.float64), tensor([0.2014], dtype=torch.float64))
    """

    loss: PreferenceLoss
    alpha: Scalar

    def __post_init__(self) -> None:
        check_kind("loss", self.loss, PreferenceLoss, "a loss such as DPO(beta=0.1)")
        check_nonnegative("alpha", self.alpha)
        if bool((torch.as_tensor(self.alpha) > 1).any()):
            raise InvalidArgument("alpha", self.alpha, "a weight from 0 to 1")

    def weights(self, tokens: TokenLogProbs) -> Partials:
        """Return the weight of every token of y_w and of y_l: 1, alpha, and 0 in the padding."""
        shared = torch.minimum(tokens.chosen_length, tokens.rejected_length).unsqueeze(-1)
        found = []
        for side, length in ((tokens.chosen, tokens.chosen_length), (tokens.rejected, tokens.rejected_length)):
            place = _positions(side)
            head, tail = place < shared, (place >= shared) & (place < length.unsqueeze(-1))
            found.append(head.to(side.dtype) + self.alpha * tail.to(side.dtype))
        return Partials(*found)

    def pair(self, tokens: TokenLogProbs) -> PairLogProbs:
        """Return the weighted sums over tokens, and the full lengths."""
        chosen, rejected = self.weights(tokens)
        sums = (
            _weighted(tokens.chosen, chosen),
            _weighted(tokens.rejected, rejected),
            _weighted(tokens.reference_chosen, chosen),
            _weighted(tokens.reference_rejected, rejected),
        )
        return PairLogProbs(*sums, tokens.chosen_length, tokens.rejected_length)

    def value(self, tokens: TokenLogProbs) -> Tensor:
        """Return the loss of every pair."""
        return self.loss.value(self.pair(tokens))

    def partials(self, tokens: TokenLogProbs) -> Partials:
        """Return the derivatives of the sum of the losses with respect to log pi of every token."""
        slopes, weights = self.loss.partials(self.pair(tokens)), self.weights(tokens)
        chosen = slopes.chosen.unsqueeze(-1) * weights.chosen
        return Partials(chosen, slopes.rejected.unsqueeze(-1) * weights.rejected)


def _positions(tokens: Tensor) -> Tensor:
    return torch.arange(tokens.shape[-1], dtype=tokens.dtype, device=tokens.device)


def _weighted(values: Tensor, weight: Tensor) -> Tensor:
    return torch.where(weight > 0, values * weight, torch.zeros_like(values)).sum(-1)
