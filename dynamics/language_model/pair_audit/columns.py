"""What a preference pair does to itself: norms, angle, drives and CHES of its two responses, batch by batch."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from dynamics.errors import InvalidArgument
from dynamics.language_model.kernel.memory import Memory
from dynamics.language_model.kernel.sequence_kernel import SequenceKernel, sequence_kernel
from dynamics.language_model.out_of_memory import OutOfMemory, empty_caches, is_out_of_memory
from dynamics.language_model.parameters import Filter
from dynamics.language_model.precision import ROUNDING
from dynamics.language_model.prediction.ches import CHES, ches
from dynamics.language_model.prediction.drives import check_loss, chosen_push
from dynamics.language_model.tokens import TokenSequence
from dynamics.losses import PairLogProbs, PreferenceLoss

LOG = logging.getLogger(__name__)
Sequences = tuple[TokenSequence, TokenSequence]


@dataclass(frozen=True)
class PairAudit:
    """A pair as the model's own gradients see it; g_y = grad log pi(y | x).

    Attributes:
        log_prob_chosen: log pi(y_w | x) in nats, the sum over its tokens.
        log_prob_rejected: log pi(y_l | x).
        tokens_chosen: tokens of y_w, EOS included.
        tokens_rejected: tokens of y_l.
        norm_chosen: ||g_w||.
        norm_rejected: ||g_l||.
        inner_product: <g_w, g_l>.
        cosine: of the angle between them; None where one is zero.
        drive_chosen: ||g_w||^2 - <g_w, g_l>.
        drive_rejected: <g_w, g_l> - ||g_l||^2.
        ches: <H_w, H_l> - ||H_w||^2 of the sums of hidden states.
        ches_length_normalised: the same of their means.
        lowers_chosen: whether a small SGD step on this pair alone lowers log pi(y_w | x), to first order and under the
            loss that was asked for (see ``drives.chosen_push``); for DPO, drive_chosen < 0 (jian2025, Theorem 1).
    """

    log_prob_chosen: float
    log_prob_rejected: float
    tokens_chosen: int
    tokens_rejected: int
    norm_chosen: float
    norm_rejected: float
    inner_product: float
    cosine: float | None
    drive_chosen: float
    drive_rejected: float
    ches: float
    ches_length_normalised: float
    lowers_chosen: bool


def audit_pairs(
    model: Any,
    pairs: Sequence[Sequences],
    *,
    loss: PreferenceLoss | None = None,
    parameters: Filter = None,
    dtype: torch.dtype | None = None,
    memory: Memory = "auto",
) -> list[PairAudit]:
    """Audit some pairs with one kernel of all their responses.

    A pair's numbers depend on the other pairs of the batch by rounding only: |dK_ij| / sqrt(K_ii K_jj) stays below
    1e-6 in float32 and 1e-13 in float64.

    Args:
        model: a causal language model; left as it was.
        pairs: chosen and rejected response of each.
        loss: preference loss that ``lowers_chosen`` is about; ``DPO()`` by default. The model is its own reference.
        parameters: as in ``sequence_kernel``.
        dtype: as there.
        memory: as there.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> chosen, rejected = TokenSequence((1, 2, 3), 1), TokenSequence((1, 4), 1)
        >>> (found,) = audit_pairs(tiny_model(), [(chosen, rejected)])
        >>> found.lowers_chosen == (found.drive_chosen < 0), found.tokens_chosen
        (True, 2)
    """
    sequences = [sequence for pair in pairs for sequence in pair]
    account = sequence_kernel(model, sequences, parameters=parameters, dtype=dtype, memory=memory)
    similarity = ches(model, pairs, dtype=dtype)
    asked = check_loss(loss)
    return [_account(asked, account, number, pair, similarity) for number, pair in enumerate(pairs)]


def audit_pairs_that_fit(
    model: Any,
    pairs: Sequence[Sequences],
    *,
    loss: PreferenceLoss | None = None,
    parameters: Filter = None,
    dtype: torch.dtype | None = None,
) -> list[PairAudit]:
    """Audit some pairs; if memory runs out, half of them at a time, down to single pairs.

    The kernel has gone layer by layer already by then, where the model has layers (``memory="auto"``).

    Args:
        model: as for ``audit_pairs``.
        pairs: as there.
        loss: as there.
        parameters: as there.
        dtype: as there.

    Raises:
        OutOfMemory: memory runs out on a single pair; says how much is needed.
    """
    how: dict[str, Any] = {"loss": loss, "parameters": parameters, "dtype": dtype}
    try:
        return audit_pairs(model, pairs, **how)
    except (MemoryError, RuntimeError) as problem:
        if not is_out_of_memory(problem):
            raise
        needed, available = getattr(problem, "needed", None), getattr(problem, "available", None)
    empty_caches()  # outside of the except clause: the exception keeps the tensors of its frames alive
    if len(pairs) == 1:
        raise _too_large(pairs[0], needed, available)
    LOG.warning("%d pairs do not fit into memory: half of them at a time instead", len(pairs))
    middle = len(pairs) // 2
    return [found for part in (pairs[:middle], pairs[middle:]) for found in audit_pairs_that_fit(model, part, **how)]


def _account(
    loss: PreferenceLoss, account: SequenceKernel, number: int, pair: Sequences, similarity: CHES
) -> PairAudit:
    chosen, rejected = 2 * number, 2 * number + 1
    table = account.kernel
    ww, wl, ll = float(table[chosen, chosen]), float(table[chosen, rejected]), float(table[rejected, rejected])
    score = float(similarity.value[number])
    norms = [math.sqrt(max(0.0, square)) for square in (ww, ll)]
    if not all(map(math.isfinite, (ww, wl, ll, score))):
        raise InvalidArgument("model", "scores that are not finite", "a model whose gradients are finite; try float64")
    own = account.log_probs[[chosen, rejected]]
    lengths = torch.tensor([float(s.length) for s in pair], dtype=torch.float64)
    squares = torch.tensor([ww, wl, ll], dtype=torch.float64)
    here = PairLogProbs(*own, *own, *lengths)
    push = chosen_push(loss, here, squares[0], squares[1], squares[2], ROUNDING[account.dtype])
    return PairAudit(
        log_prob_chosen=float(account.log_probs[chosen]),
        log_prob_rejected=float(account.log_probs[rejected]),
        tokens_chosen=pair[0].length,
        tokens_rejected=pair[1].length,
        norm_chosen=norms[0],
        norm_rejected=norms[1],
        inner_product=wl,
        cosine=wl / (norms[0] * norms[1]) if norms[0] * norms[1] > 0 else None,
        drive_chosen=ww - wl,
        drive_rejected=wl - ll,
        ches=score,
        ches_length_normalised=float(similarity.length_normalised[number]),
        lowers_chosen=bool(push < 0),
    )


def _too_large(pair: Sequences, needed: int | None, available: int | None) -> OutOfMemory:
    longest = max(len(sequence.ids) for sequence in pair)
    need = "more memory than there is"
    if needed is not None and available is not None:
        need = f"about {needed / 2**20:.0f} MiB beyond the model, where {available / 2**20:.0f} MiB were free"
    got = f"a pair of up to {longest} tokens needs {need}"
    return OutOfMemory("memory", got, "use shorter pairs (--max-tokens) or a larger device", needed, available)
