"""How a step on preference pairs changes log pi of any response to first order, from the kernel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from dynamics.errors import (
    ArrayLike,
    InvalidArgument,
    check_finite,
    check_kind,
    check_nonnegative,
    check_shape,
    to_tensor,
)
from dynamics.gradient import objective_cotangent, pair_quantities
from dynamics.language_model.causal_lm import CausalLM
from dynamics.language_model.kernel.cross_kernel import CrossKernel, cross_kernel
from dynamics.language_model.precision import ROUNDING
from dynamics.language_model.tokens import TokenSequence, read_sequences
from dynamics.losses import DPO, PairLogProbs, PreferenceLoss
from dynamics.preferences import Preferences, pairs
from dynamics.scores import chosen_slope

NOT_FINITE = (
    "the log-probability, the gradient or the hidden states of a response are not finite; float64 (--dtype) may help, "
    "and weights that are not finite cannot be used"
)
LOSS = "a loss such as DPO(beta=0.1); get_loss('dpo') makes one from its name"


class NotFinite(InvalidArgument):
    """A pair at which the model or the derivative of the loss is not finite, so that nothing can be said about it."""


@dataclass(frozen=True, eq=False)
class PairDrives:
    """The drives of preference pairs on some sequences: what a step would do, before it is taken.

    Attributes:
        log_probs: log pi (nats), ``(sequences,)``.
        drive: A_y = g_y . (g_w - g_l) for every pair and sequence, ``(pairs, sequences)``.
        margin: the margin of every pair, of which the loss is a function, ``(pairs,)``.
        urgency: minus the derivative of the loss with respect to the margin, ``(pairs,)``; sigma(-z) for DPO.
        chosen_slope: first-order change of log pi(chosen) per unit of learning rate in an SGD step on this pair alone,
            ``(pairs,)``; see ``dynamics.scores.chosen_slope``.
        dloss_dlog_probs: dL/dlog pi of every sequence, ``(sequences,)``, for the objective L, which is the weighted
            mean of the losses of the pairs. It is 0 for a sequence that is in no pair.
        preferences: the pairs.
        in_pairs: numbers of the sequences that are in a pair, ascending.
        cross_kernel: the inner products of the scores of all sequences with those of the sequences in pairs,
            ``(sequences, in pairs)``. No other part of the kernel is needed or computed.
    """

    log_probs: Tensor
    drive: Tensor
    margin: Tensor
    urgency: Tensor
    chosen_slope: Tensor
    dloss_dlog_probs: Tensor
    preferences: Preferences = field(repr=False)
    in_pairs: tuple[int, ...] = field(repr=False)
    cross_kernel: CrossKernel = field(repr=False)

    @property
    def displaced(self) -> Tensor:
        """Return for each pair whether a small SGD step on it alone lowers log pi(chosen): ``chosen_slope < 0``.

        For a loss that is a decreasing function of one log-ratio, such as DPO, this means ``drive[chosen] < 0``.
        """
        return self.chosen_slope < 0

    def predict(self, learning_rate: float) -> Tensor:
        """Return the first-order change of log pi in one SGD step, ``(sequences,)``, nats.

        For DPO on one pair it is ``learning_rate * beta * urgency * drive``.
        """
        check_rate(learning_rate)
        return -learning_rate * (self.cross_kernel.kernel @ self.dloss_dlog_probs[list(self.in_pairs)])


def pair_drives(
    model: CausalLM,
    sequences: Iterable[TokenSequence],
    chosen: ArrayLike = 0,
    rejected: ArrayLike = 1,
    *,
    weight: ArrayLike = 1.0,
    loss: PreferenceLoss | None = None,
    reference: ArrayLike | None = None,
    **options: Any,
) -> PairDrives:
    """Return the drives of preference pairs on the responses of the pairs and on any other sequences.

    The other sequences may be responses to the same prompt or to another one. Their inner products with each other are
    not computed. No step is taken; ``model_step`` takes one.

    Args:
        model: a causal language model; it is not changed.
        sequences: the responses of the pairs and any others; by default the first is y_w and the second y_l.
        chosen: number of y_w among the sequences, for each pair.
        rejected: number of y_l.
        weight: weight of each pair; the objective is the weighted mean of their losses.
        loss: preference loss; ``DPO()`` by default.
        reference: log ref of every sequence in nats; by default the model itself, so that the log-ratio is 0.
        **options: further arguments of ``sequence_kernel``, such as ``parameters``, ``dtype`` and ``memory``.

    Raises:
        InvalidArgument: chosen or rejected is not the number of a sequence, or both are equal; shapes that do not fit;
            and everything that ``sequence_kernel`` refuses.
        NotFinite: a log-probability, a score or a derivative of the loss is not finite.
        OutOfMemory: the sequences do not fit into memory.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> w, l = TokenSequence((1, 2, 3), 2), TokenSequence((1, 2, 4), 2)
        >>> other = TokenSequence((5, 3, 4), 1)
        >>> drives = pair_drives(tiny_model(), [w, l, other], loss=DPO(beta=0.5))
        >>> torch.allclose(drives.predict(0.1), 0.1 * 0.5 * drives.urgency * drives.drive[0])
        True
    """
    found, loss = read_sequences(sequences), check_loss(loss)
    preferences = pairs(chosen, rejected, shape=(len(found),), weight=weight)
    w, other = preferences.chosen, preferences.rejected
    used = torch.cat([w, other]).unique()
    cross = cross_kernel(model, found, [found[n] for n in used.tolist()], **options)
    kernel, log_probs = cross.kernel, cross.row_log_probs
    if not bool(kernel.isfinite().all() & log_probs.isfinite().all()):
        raise NotFinite("model", NOT_FINITE)
    lengths = response_lengths(found)
    pair = pair_quantities(log_probs, _reference(log_probs, reference), preferences, lengths)
    of_w, of_l = torch.searchsorted(used, w), torch.searchsorted(used, other)
    ww, wl, ll = kernel[w, of_w], kernel[w, of_l], kernel[other, of_l]
    return PairDrives(
        log_probs,
        (kernel[:, of_w] - kernel[:, of_l]).T,
        loss.margin(pair),
        loss.urgency(pair),
        finite_chosen_slope(loss, pair, ww, wl, ll, ROUNDING[cross.dtype]),
        dloss_dlog_probs(log_probs, preferences, loss, reference, lengths),
        preferences,
        tuple(used.tolist()),
        cross,
    )


def finite_chosen_slope(
    loss: PreferenceLoss, pair: PairLogProbs, ww: Tensor, wl: Tensor, ll: Tensor, rounding: float
) -> Tensor:
    """Return ``dynamics.scores.chosen_slope``, or refuse a loss without a finite derivative at these log-probabilities.

    Raises:
        NotFinite: a derivative of the loss at these log-probabilities is not finite.
    """
    change = chosen_slope(loss, pair, ww, wl, ll, rounding)
    if not bool(change.isfinite().all()):
        raise NotFinite("loss", f"the derivative of {loss} is not finite at this pair")
    return change


def check_loss(loss: PreferenceLoss | None) -> PreferenceLoss:
    """Return the loss, or ``DPO()`` for None; refuse anything else.

    Example:
        >>> check_loss(None)
        DPO(beta=0.1)
    """
    if loss is None:
        return DPO()
    check_kind("loss", loss, PreferenceLoss, LOSS)
    return loss


def check_rate(learning_rate: float) -> None:
    """Refuse anything but one finite number >= 0."""
    check_nonnegative("learning_rate", learning_rate)
    if getattr(learning_rate, "ndim", 0):
        raise InvalidArgument("learning_rate", learning_rate, "one finite number >= 0")


def predict_change(
    kernel: ArrayLike,
    log_probs: ArrayLike,
    preferences: Preferences,
    *,
    loss: PreferenceLoss,
    learning_rate: float,
    reference: ArrayLike | None = None,
    lengths: ArrayLike = 1.0,
) -> Tensor:
    """Return the first-order change of log pi of every sequence in one SGD step, from a kernel.

    It is ``-eta sum_j K_ij dL/dlog pi_j``; for DPO on a single pair, ``eta beta sigma(-z) A_i`` (jian2025, Theorem 1).
    ``pair_drives`` computes the kernel too.

    Args:
        kernel: <g_i, g_j>, ``(sequences, sequences)``.
        log_probs: log pi in nats, ``(sequences,)``.
        preferences: pairs of sequences.
        loss: the preference loss.
        learning_rate: eta.
        reference: log ref in nats; by default the model itself.
        lengths: tokens of every response, for losses that divide by them.

    Raises:
        InvalidArgument: shapes that do not fit, numbers that are not finite, a bad learning rate.

    Example:
        >>> step = pairs(0, 1, shape=(2,))
        >>> eye = torch.eye(2, dtype=torch.float64)
        >>> predict_change(eye, [-1.0, -2.0], step, loss=DPO(beta=0.5), learning_rate=0.1)
        tensor([ 0.0250, -0.0250], dtype=torch.float64)
    """
    check_rate(learning_rate)
    before = check_finite("log_probs", to_tensor("log_probs", log_probs))
    square = check_shape("kernel", to_tensor("kernel", kernel), (before.numel(), before.numel()))
    return -learning_rate * (square @ dloss_dlog_probs(before, preferences, loss, reference, lengths))


def response_lengths(sequences: Iterable[TokenSequence]) -> Tensor:
    """Return the number of tokens of every response, float64 ``(sequences,)``."""
    return torch.tensor([float(s.length) for s in sequences], dtype=torch.float64)


def dloss_dlog_probs(
    log_probs: Tensor,
    preferences: Preferences,
    loss: PreferenceLoss,
    reference: ArrayLike | None = None,
    lengths: ArrayLike = 1.0,
) -> Tensor:
    """Return dL/dlog pi of every sequence, where L is the weighted mean of the losses of the pairs.

    The gradient of L with respect to the parameters is the sum of the scores with these weights.

    Args:
        log_probs: log pi in nats, ``(sequences,)``.
        preferences: the pairs.
        loss: the preference loss.
        reference: log ref in nats; by default the model itself.
        lengths: tokens of every response.

    Example:
        >>> dloss_dlog_probs(torch.tensor([-1.0, -2.0]), pairs(0, 1, shape=(2,)), DPO(beta=0.5))
        tensor([-0.2500,  0.2500], dtype=torch.float64)
    """
    before = to_tensor("log_probs", log_probs)
    check_kind("loss", loss, PreferenceLoss, LOSS)
    check_kind("preferences", preferences, Preferences, "Preferences, as pairs() makes them")
    check_shape("log_probs", before, preferences.shape)
    tokens = to_tensor("lengths", lengths)
    if tokens.ndim:
        check_shape("lengths", tokens, before.shape)
    if not bool(((tokens >= 1) & tokens.isfinite()).all()):
        raise InvalidArgument("lengths", lengths, "numbers of tokens >= 1")
    tokens = tokens.expand(before.shape)
    return objective_cotangent(before, _reference(before, reference), preferences, loss, tokens)


def _reference(log_probs: Tensor, reference: ArrayLike | None) -> Tensor:
    if reference is None:
        return log_probs
    return check_shape("reference", check_finite("reference", to_tensor("reference", reference)), log_probs.shape)
