"""What a preference pair does to any response, to first order: drives, and the change of log pi that they predict."""

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
from dynamics.language_model.kernel.sequence_kernel import SequenceKernel, sequence_kernel
from dynamics.language_model.precision import ROUNDING
from dynamics.language_model.tokens import TokenSequence, read_sequences
from dynamics.losses import DPO, PairLogProbs, PreferenceLoss
from dynamics.preferences import Preferences, pairs
from dynamics.scores import drives

LOSS = "a loss such as DPO(beta=0.1); get_loss('dpo') makes one from its name"


@dataclass(frozen=True, eq=False)
class PairDrives:
    """How a gradient step on preference pairs pushes some sequences, before any step is taken.

    Attributes:
        log_probs: log pi (nats), ``(sequences,)``.
        drive: A_y = g_y . (g_w - g_l) of every sequence, ``(pairs, sequences)``; rows are kept apart, because the
            signs of single pairs are lost in a sum.
        margin: what the loss is a function of, ``(pairs,)``.
        urgency: -f'(margin); sigma(-z) for DPO.
        chosen_push: change of log pi(chosen) for each unit of learning rate, to first order, if SGD stepped on this
            pair alone under the loss that was asked for, ``(pairs,)``; see ``chosen_push``.
        slopes: dL/dlog pi of the objective, ``(sequences,)``; zero for those that no pair names. The objective L is the
            weighted mean of the losses of the pairs.
        preferences: the pairs.
        account: kernel of the sequences.
    """

    log_probs: Tensor
    drive: Tensor
    margin: Tensor
    urgency: Tensor
    chosen_push: Tensor
    slopes: Tensor
    preferences: Preferences = field(repr=False)
    account: SequenceKernel = field(repr=False)

    @property
    def displaced(self) -> Tensor:
        """Return, for each pair, whether a small SGD step on its own loss lowers log pi(chosen): chosen_push < 0.

        For a loss of one log-ratio that still pushes, such as DPO, this is ``drive[chosen] < 0``.
        """
        return self.chosen_push < 0

    def predict(self, learning_rate: float) -> Tensor:
        """Return the change of log pi after one SGD step, to first order in its learning rate, ``(sequences,)``.

        For DPO on one pair: ``learning_rate * beta * urgency * drive``.
        """
        check_rate(learning_rate)
        return -learning_rate * (self.account.kernel @ self.slopes)


def pair_drives(
    model: Any,
    sequences: Iterable[TokenSequence],
    chosen: ArrayLike = 0,
    rejected: ArrayLike = 1,
    *,
    weight: ArrayLike = 1.0,
    loss: PreferenceLoss | None = None,
    reference: ArrayLike | None = None,
    **options: Any,
) -> PairDrives:
    """Return the drives of preference pairs on any sequences: the responses of the pairs and whatever else.

    The other sequences may answer the same prompt or another one. Nothing is stepped; see ``model_step`` for that.

    Args:
        model: a causal language model; left as it was.
        sequences: by default y_w, y_l and then the responses to look at.
        chosen: number of y_w among the sequences, for each pair.
        rejected: number of y_l.
        weight: weight of each pair; the objective is the weighted mean of their losses.
        loss: preference loss; ``DPO()`` by default.
        reference: log ref of every sequence in nats; by default the model itself, so that the log-ratio is 0.
        **options: of ``sequence_kernel``: ``parameters``, ``dtype``, ``memory`` and the others.

    Raises:
        InvalidArgument: a number that is no sequence's, chosen equal to rejected, shapes that do not fit, and all that
            ``sequence_kernel`` refuses.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> w, l = TokenSequence((1, 2, 3), 2), TokenSequence((1, 2, 4), 2)
        >>> other = TokenSequence((5, 3, 4), 1)
        >>> push = pair_drives(tiny_model(), [w, l, other], loss=DPO(beta=0.5))
        >>> torch.allclose(push.predict(0.1), 0.1 * 0.5 * push.urgency * push.drive[0])
        True
    """
    found, loss = read_sequences(sequences), check_loss(loss)
    preferences = pairs(chosen, rejected, shape=(len(found),), weight=weight)
    account = sequence_kernel(model, found, **options)
    lengths = response_lengths(found)
    pair = pair_quantities(account.log_probs, _reference(account.log_probs, reference), preferences, lengths)
    w, other = preferences.chosen, preferences.rejected
    ww, wl, ll = (account.kernel[i, j] for i, j in ((w, w), (w, other), (other, other)))
    return PairDrives(
        account.log_probs,
        drives(account.kernel, preferences),
        loss.margin(pair),
        loss.urgency(pair),
        chosen_push(loss, pair, ww, wl, ll, ROUNDING[account.dtype]),
        objective_slopes(account.log_probs, preferences, loss, reference, lengths),
        preferences,
        account,
    )


def chosen_push(
    loss: PreferenceLoss, pair: PairLogProbs, ww: Tensor, wl: Tensor, ll: Tensor, rounding: float
) -> Tensor:
    """Return how SGD on each pair alone moves log pi(chosen): d_w |g_w|^2 - d_l <g_w, g_l>, ``(pairs,)``.

    It is the change to first order, in nats for each unit of learning rate. d_w = -dL/dlog pi(chosen) and
    d_l = dL/dlog pi(rejected) are equal for a loss of one log-ratio; then the sign is that of the drive. They differ
    for SFT and CPO, for balanced losses, for averages over tokens, and for sums of such.

    The result is exactly 0 where the loss does not push (both derivatives are 0), and where rounding may have decided
    the sign: where the two terms cancel to less than ``rounding (|d_w| |g_w|^2 + |d_l| |g_w| |g_l|)``.

    Args:
        loss: the preference loss.
        pair: log-probabilities and lengths of the pairs.
        ww: |g_w|^2, ``(pairs,)``.
        wl: <g_w, g_l>.
        ll: |g_l|^2.
        rounding: bound for the error of the kernel, as |dK_ij| / sqrt(K_ii K_jj).

    Raises:
        InvalidArgument: a loss without a finite derivative at these log-probabilities.

    Example:
        >>> from dynamics.losses import SFT, pair_log_probs
        >>> pair, (ww, wl, ll) = pair_log_probs([-1.0], [-1.0]), torch.tensor([[2.0], [3.0], [6.0]])
        >>> chosen_push(DPO(beta=1.0), pair, ww, wl, ll, 1e-12).tolist()
        [-0.5]
        >>> chosen_push(SFT(), pair, ww, wl, ll, 1e-12).tolist()
        [2.0]
    """
    slopes = loss.partials(pair)
    if not bool((slopes.chosen.isfinite() & slopes.rejected.isfinite()).all()):
        raise InvalidArgument("loss", loss, "a loss with a finite derivative at these log-probabilities")
    push = -(slopes.chosen * ww + slopes.rejected * wl)
    size = slopes.chosen.abs() * ww + slopes.rejected.abs() * (ww.clamp(min=0) * ll.clamp(min=0)).sqrt()
    return torch.where(push.abs() <= rounding * size, torch.zeros_like(push), push)


def check_loss(loss: PreferenceLoss | None) -> PreferenceLoss:
    """Return the loss, ``DPO()`` for None, or refuse what is none.

    Example:
        >>> check_loss(None)
        DPO(beta=0.1)
    """
    if loss is None:
        return DPO()
    check_kind("loss", loss, PreferenceLoss, LOSS)
    return loss


def check_rate(learning_rate: float) -> None:
    """Refuse a learning rate that is not one finite number >= 0."""
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
    """Return the change of log pi of every sequence after one SGD step, to first order in the learning rate.

    It is ``-eta sum_j K_ij dL/dlog pi_j``; for DPO on a single pair, ``eta beta sigma(-z) A_i`` (jian2025, Theorem 1).
    ``pair_drives`` does the same from a model; this one is for a kernel that is at hand already.

    Args:
        kernel: <g_i, g_j>, ``(sequences, sequences)``.
        log_probs: log pi in nats, ``(sequences,)``.
        preferences: the pairs, of shape ``(sequences,)``.
        loss: the preference loss.
        learning_rate: eta.
        reference: log ref in nats; by default the model itself.
        lengths: tokens of every response, for losses that divide by them.

    Example:
        >>> step = pairs(0, 1, shape=(2,))
        >>> eye = torch.eye(2, dtype=torch.float64)
        >>> predict_change(eye, [-1.0, -2.0], step, loss=DPO(beta=0.5), learning_rate=0.1)
        tensor([ 0.0250, -0.0250], dtype=torch.float64)
    """
    check_rate(learning_rate)
    before = check_finite("log_probs", to_tensor("log_probs", log_probs))
    table = check_shape("kernel", to_tensor("kernel", kernel), (before.numel(), before.numel()))
    return -learning_rate * (table @ objective_slopes(before, preferences, loss, reference, lengths))


def response_lengths(sequences: Iterable[TokenSequence]) -> Tensor:
    """Return the tokens of every response, as losses want them."""
    return torch.tensor([float(s.length) for s in sequences], dtype=torch.float64)


def objective_slopes(
    log_probs: Tensor,
    preferences: Preferences,
    loss: PreferenceLoss,
    reference: ArrayLike | None = None,
    lengths: ArrayLike = 1.0,
) -> Tensor:
    """Return dL/dlog pi of every sequence, L the weighted mean of the losses; the gradient is sum_i slope_i g_i.

    Args:
        log_probs: log pi in nats, ``(sequences,)``.
        preferences: the pairs.
        loss: the preference loss.
        reference: log ref in nats; by default the model itself.
        lengths: tokens of every response.

    Example:
        >>> objective_slopes(torch.tensor([-1.0, -2.0]), pairs(0, 1, shape=(2,)), DPO(beta=0.5))
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
