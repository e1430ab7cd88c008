"""CHES, the centred hidden embedding similarity of a preference pair: a peer of the drive that needs no gradient."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dynamics.errors import InvalidArgument, check_finite
from dynamics.language_model.batching import Segments, make_batches
from dynamics.language_model.model_head import find_head, hidden_states
from dynamics.language_model.precision import compute_dtype, computing_in
from dynamics.language_model.shortage import telling_shortage
from dynamics.language_model.tokens import TokenSequence, check_sequences


@dataclass(frozen=True, eq=False)
class CHES:
    """Centred hidden embedding similarity of pairs: large means alike, and likelihood displacement is to be feared.

    Attributes:
        score: <H_w, H_l> - ||H_w||^2 with H_y the sum of a response's hidden states, ``(pairs,)``, float64.
        length_normalised: the same with means in place of sums.
    """

    score: Tensor
    length_normalised: Tensor


def ches(
    model: Any,
    pairs: Iterable[tuple[TokenSequence, TokenSequence]],
    *,
    dtype: torch.dtype | None = None,
    batch_tokens: int = 8192,
) -> CHES:
    """Return the CHES score of every pair (Razin et al., "Unintentional Unalignment", arXiv:2410.08847).

    The hidden state of a token y_t is the one that predicts it: what the head receives at the position before, after
    the final norm, with the prompt and y_<t read. So the sum runs from the last token of the prompt to the last but
    one of the response.

    The drive of the chosen response is ||g_w||^2 - <g_w, g_l>; -CHES is the same expression with H_y in place of
    g_y. It leaves out every parameter below the head and, of the head's own gradient, the factor onehot(y) - pi. So it
    does not see the last token: two responses that differ in it alone score 0, and so do all of a single token. It has
    no threshold either: scores rank pairs, and the sign of the drive need not follow.

    Args:
        model: a causal language model; left as it was.
        pairs: chosen and rejected response of each pair.
        dtype: dtype of the forward pass; by default the model's own, but not below float32. Sums and products are
            float64 whatever it is: in float16 they overflow, in bfloat16 their difference is noise.
        batch_tokens: padded tokens in one forward pass.

    Raises:
        InvalidArgument: no pairs, something else than two sequences, ids outside the vocabulary.
        OutOfMemory: what it says; an ``InvalidArgument`` and a ``MemoryError``.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> one, other = TokenSequence((1, 2, 3), 1), TokenSequence((1, 4), 1)
        >>> ches(tiny_model(), [(one, one), (one, other)]).score[0]
        tensor(0., dtype=torch.float64)
    """
    asked = _check_pairs(pairs)
    head = find_head(model)
    found = check_sequences(dict.fromkeys(s for pair in asked for s in pair), head.weight.shape[0])
    place = {sequence: number for number, sequence in enumerate(found)}
    with telling_shortage("pairs", len(asked)), computing_in(model, compute_dtype(model, dtype)), torch.no_grad():
        sums = torch.empty(len(found), head.weight.shape[1], dtype=torch.float64)
        for batch in make_batches(found, batch_tokens, head.weight.device):
            rows = hidden_states(model, batch.ids).flatten(0, 1)[batch.predicting]
            sums[list(batch.numbers)] = Segments.of(batch.responses, rows.device).sum(rows).cpu()
    lengths = torch.tensor([s.length for s in found], dtype=torch.float64)
    chosen, rejected = (torch.tensor([place[pair[side]] for pair in asked]) for side in (0, 1))
    return similarity(sums[chosen], sums[rejected], lengths[chosen], lengths[rejected])


def similarity(chosen: Tensor, rejected: Tensor, chosen_length: Tensor, rejected_length: Tensor) -> CHES:
    """Return CHES from sums of hidden states, in float64.

    Args:
        chosen: H_w, ``(pairs, width)``.
        rejected: H_l.
        chosen_length: tokens of y_w, ``(pairs,)``.
        rejected_length: tokens of y_l.

    Raises:
        InvalidArgument: sums that are not finite.

    Example:
        >>> similarity(torch.tensor([[2.0, 0.0]]), torch.tensor([[3.0, 1.0]]), torch.tensor([2]), torch.tensor([1]))
        CHES(score=tensor([2.], dtype=torch.float64), length_normalised=tensor([2.], dtype=torch.float64))
    """
    w = check_finite("chosen", chosen).to(torch.float64)
    other = check_finite("rejected", rejected).to(torch.float64)
    mean_w, mean_other = w / chosen_length.unsqueeze(1), other / rejected_length.unsqueeze(1)
    # <w, other - w> keeps the digits that <w, other> - <w, w> loses for responses that are alike
    return CHES((w * (other - w)).sum(-1), (mean_w * (mean_other - mean_w)).sum(-1))


def _check_pairs(
    pairs: Iterable[tuple[TokenSequence, TokenSequence]],
) -> tuple[tuple[TokenSequence, TokenSequence], ...]:
    if not isinstance(pairs, Iterable) or hasattr(pairs, "__array__"):
        raise InvalidArgument("pairs", pairs, "a list of pairs (chosen, rejected)")
    found = []
    for number, pair in enumerate(pairs):  # which may have no end
        if not isinstance(pair, tuple) or len(pair) != 2 or not all(isinstance(s, TokenSequence) for s in pair):
            raise InvalidArgument(f"pairs[{number}]", pair, "(chosen, rejected), two of TokenSequence")
        found.append(pair)
    if not found:
        raise InvalidArgument("pairs", "none", "at least one pair (chosen, rejected)")
    return tuple(found)
