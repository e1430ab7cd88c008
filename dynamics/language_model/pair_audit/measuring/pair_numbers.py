"""The numbers of audited pairs: norms, angle, drives and CHES of the two responses, as many pairs at once as fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from dynamics.gradient import pair_quantities
from dynamics.language_model.causal_lm import CausalLM
from dynamics.language_model.kernel.blocks import Block
from dynamics.language_model.kernel.computation import compute_blocks
from dynamics.language_model.kernel.memory import Memory
from dynamics.language_model.log_probs import sequence_log_probs
from dynamics.language_model.out_of_memory import OutOfMemory, is_out_of_memory
from dynamics.language_model.pair_audit.measuring.halving import compute_in_parts
from dynamics.language_model.pair_audit.measuring.own_step import OwnStep, own_step
from dynamics.language_model.parameters import Filter
from dynamics.language_model.precision import ROUNDING
from dynamics.language_model.prediction.ches import CHES, ches, similarity
from dynamics.language_model.prediction.drives import (
    NOT_FINITE,
    NotFinite,
    check_loss,
    response_lengths,
)
from dynamics.language_model.tokens import TokenSequence, read_sequences
from dynamics.losses import PairLogProbs, PreferenceLoss
from dynamics.preferences import pairs as preferences

Sequences = tuple[TokenSequence, TokenSequence]


@dataclass(frozen=True)
class PairAudit:
    """The numbers that an audit finds for a pair. A score is g_y = grad log pi(y | x).

    Attributes:
        log_prob_chosen: log pi(y_w | x) in nats, the sum over its tokens.
        log_prob_rejected: log pi(y_l | x).
        tokens_chosen: number of tokens of y_w, EOS included.
        tokens_rejected: number of tokens of y_l.
        norm_chosen: ||g_w||.
        norm_rejected: ||g_l||.
        inner_product: <g_w, g_l>.
        cosine: cosine of the angle between g_w and g_l; None if one of them is zero.
        drive_chosen: ||g_w||^2 - <g_w, g_l>.
        drive_rejected: <g_w, g_l> - ||g_l||^2.
        ches: <H_w, H_l> - ||H_w||^2, with H_y the sum of the hidden states of y.
        ches_length_normalised: the same with means in place of sums.
        displaced: whether a small SGD step on this pair alone lowers log pi(y_w | x), to first order and under the
            loss that was asked for (see ``chosen_slope``); for DPO, whether drive_chosen < 0 (jian2025, Theorem 1).
        own_chosen_change: first-order change of log pi(y_w | x) in nats per unit of learning rate, in an SGD step on
            this pair alone.
        own_rejected_change: the same of log pi(y_l | x).
        own_margin_change: the same of the margin of the loss.
        band_low: the chosen response rises if the ratio d_w/d_l of the weights of the two is larger (see
            ``disentanglement_band``); None if nothing raises it. DPO has the ratio 1.
        band_high: the rejected response falls if the ratio is smaller; None if it falls at every ratio.
        sft_weight: the least weight of an added SFT term (summed over tokens) with which the step no longer lowers
            log pi(y_w | x) (see ``least_sft_weight``); 0 for a pair that is not displaced.
        reference_chosen: log ref(y_w | x) in nats; log pi(y_w | x) if the model is its own reference.
        reference_rejected: log ref(y_l | x).
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
    displaced: bool
    own_chosen_change: float
    own_rejected_change: float
    own_margin_change: float
    band_low: float | None
    band_high: float | None
    sft_weight: float
    reference_chosen: float
    reference_rejected: float


def audit_pairs(
    model: CausalLM,
    pairs: Sequence[Sequences],
    *,
    loss: PreferenceLoss | None = None,
    reference: CausalLM | None = None,
    parameters: Filter = None,
    dtype: torch.dtype | None = None,
    memory: Memory = "auto",
) -> list[PairAudit]:
    """Audit some pairs, all of them in one forward and backward pass; no inner product between pairs is computed.

    The other pairs of the batch change a pair's numbers by rounding only: |dK_ij| / sqrt(K_ii K_jj) stays below 1e-6 in
    float32 and 1e-13 in float64.

    Args:
        model: a causal language model; left as it was.
        pairs: chosen and rejected response of each.
        loss: preference loss that ``displaced`` is about; ``DPO()`` by default.
        reference: the reference model of the loss; by default the model itself.
        parameters: as in ``sequence_kernel``.
        dtype: as there.
        memory: as there.

    Raises:
        NotFinite: the numbers of a pair are not finite.
        OutOfMemory: the pairs do not fit into memory.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> chosen, rejected = TokenSequence((1, 2, 3), 1), TokenSequence((1, 4), 1)
        >>> (audit,) = audit_pairs(tiny_model(), [(chosen, rejected)])
        >>> audit.displaced == (audit.drive_chosen < 0), audit.tokens_chosen
        (True, 2)
    """
    sequences, loss = read_sequences(sequence for pair in pairs for sequence in pair), check_loss(loss)
    w, other = torch.arange(0, len(sequences), 2), torch.arange(1, len(sequences), 2)
    blocks = tuple(Block(own, own) for own in zip(w.tolist(), other.tolist(), strict=True))
    found = compute_blocks(model, sequences, blocks, parameters=parameters, dtype=dtype, memory=memory)
    kernels = torch.stack([found.block(number) for number in range(len(pairs))])
    if not bool(kernels.isfinite().all() & found.log_probs.isfinite().all()):
        raise NotFinite("model", NOT_FINITE)
    lengths = response_lengths(sequences)
    referred = found.log_probs if reference is None else sequence_log_probs(reference, sequences, dtype=dtype).total
    if not bool(referred.isfinite().all()):
        raise NotFinite("reference", "the log-probability of a response under the reference model is not finite")
    log_probs, referred = found.log_probs.cpu(), referred.cpu()
    together = pair_quantities(log_probs, referred, preferences(w, other, shape=(len(sequences),)), lengths)
    steps = []
    for n, kernel in enumerate(kernels):
        alone = PairLogProbs(*(part[n : n + 1] for part in together))
        ww, wl, ll = (float(kernel[place]) for place in ((0, 0), (0, 1), (1, 1)))
        steps.append(own_step(loss, alone, ww, wl, ll, ROUNDING[found.dtype]))
    if found.hidden_sums is None:
        centred = ches(model, pairs, dtype=dtype)
    else:
        centred = similarity(found.hidden_sums[w], found.hidden_sums[other], lengths[w], lengths[other])
    places = [slice(2 * n, 2 * n + 2) for n in range(len(pairs))]
    return [
        _audit(log_probs[place], referred[place], kernels[n], steps[n], _values(centred, n), pairs[n])
        for n, place in enumerate(places)
    ]


def audit_pairs_that_fit(
    model: CausalLM,
    pairs: Sequence[Sequences],
    *,
    loss: PreferenceLoss | None = None,
    reference: CausalLM | None = None,
    parameters: Filter = None,
    dtype: torch.dtype | None = None,
) -> list[PairAudit | NotFinite]:
    """Audit some pairs, half of them at a time if memory runs out, and without those whose numbers are not finite.

    If memory runs out, half of the pairs are audited at a time, down to single pairs. (By then the kernel has already
    gone layer by layer, if the model has layers: ``memory="auto"``.) If the numbers of a pair are not finite, its place
    in the list holds the error, and the other pairs are audited as a batch of their own: bit for bit as if the pair had
    not been there.

    Args:
        model: as for ``audit_pairs``.
        pairs: as there.
        loss: as there.
        reference: as there.
        parameters: as there.
        dtype: as there.

    Raises:
        OutOfMemory: a single pair does not fit into memory; the message says how much is needed.
    """
    how: dict[str, Any] = {"loss": loss, "reference": reference, "parameters": parameters, "dtype": dtype}

    def audit(some: Sequence[Sequences]) -> list[PairAudit | NotFinite]:
        try:
            return [*audit_pairs(model, some, **how)]
        except NotFinite as problem:
            return [problem] if len(some) == 1 else _audit_finite_pairs(model, some, **how)
        except (MemoryError, RuntimeError) as problem:
            if len(some) > 1 or not is_out_of_memory(problem):
                raise
            raise _too_large(some[0], problem) from None

    return [found for part in compute_in_parts(audit, pairs, "pairs") for found in part]


def _audit_finite_pairs(model: CausalLM, pairs: Sequence[Sequences], **how: Any) -> list[PairAudit | NotFinite]:
    """Find the pairs that are not finite one by one, since one such pair can spoil a batch, and audit the others."""
    alone = [audit for pair in pairs for audit in audit_pairs_that_fit(model, [pair], **how)]
    finite = [pair for pair, audit in zip(pairs, alone, strict=True) if not isinstance(audit, NotFinite)]
    if not 0 < len(finite) < len(pairs):
        return alone
    together = iter(audit_pairs_that_fit(model, finite, **how))
    return [audit if isinstance(audit, NotFinite) else next(together) for audit in alone]


def _values(centred: CHES, number: int) -> tuple[float, float]:
    found = float(centred.value[number]), float(centred.length_normalised[number])
    if not all(map(math.isfinite, found)):
        raise NotFinite("model", NOT_FINITE)
    return found


def _audit(
    log_probs: Tensor,
    reference: Tensor,
    kernel: Tensor,
    own: OwnStep,
    similarities: tuple[float, float],
    pair: Sequences,
) -> PairAudit:
    ww, wl, ll = float(kernel[0, 0]), float(kernel[0, 1]), float(kernel[1, 1])
    norms = [math.sqrt(max(0.0, square)) for square in (ww, ll)]
    return PairAudit(
        log_prob_chosen=float(log_probs[0]),
        log_prob_rejected=float(log_probs[1]),
        tokens_chosen=pair[0].length,
        tokens_rejected=pair[1].length,
        norm_chosen=norms[0],
        norm_rejected=norms[1],
        inner_product=wl,
        cosine=wl / (norms[0] * norms[1]) if norms[0] * norms[1] > 0 else None,
        drive_chosen=ww - wl,
        drive_rejected=wl - ll,
        ches=similarities[0],
        ches_length_normalised=similarities[1],
        reference_chosen=float(reference[0]),
        reference_rejected=float(reference[1]),
        **asdict(own),
    )


def _too_large(pair: Sequences, problem: BaseException) -> OutOfMemory:
    longest = max(len(sequence.ids) for sequence in pair)
    needed, available = getattr(problem, "needed", None), getattr(problem, "available", None)
    need = "more memory than there is"
    if needed is not None and available is not None:
        need = f"about {needed / 2**20:.0f} MiB beyond the model, where {available / 2**20:.0f} MiB were free"
    got = f"a pair of up to {longest} tokens needs {need}"
    return OutOfMemory("memory", got, "use shorter pairs (--max-tokens) or a larger device", needed, available)
