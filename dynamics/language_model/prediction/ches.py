"""CHES, the centred hidden embedding similarity of a preference pair, which predicts displacement without gradients."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from dynamics.errors import check_finite
from dynamics.language_model.batching import Segments, length_matters, make_batches
from dynamics.language_model.causal_lm import CausalLM, unwrapped
from dynamics.language_model.model_head import find_head, head_inputs
from dynamics.language_model.out_of_memory import raising_out_of_memory
from dynamics.language_model.precision import compute_dtype, computing_in
from dynamics.language_model.tokens import TokenSequence, check_sequences, read_pairs


@dataclass(frozen=True, eq=False)
class CHES:
    """Centred hidden embedding similarity of pairs; the larger it is, the more likelihood displacement is expected.

    Attributes:
        value: <H_w, H_l> - ||H_w||^2, ``(pairs,)``, float64, where H_y is the sum of the hidden states of a response.
        length_normalised: the same with the mean of the hidden states in place of the sum.
    """

    value: Tensor
    length_normalised: Tensor


def ches(
    model: CausalLM,
    pairs: Iterable[tuple[TokenSequence, TokenSequence]],
    *,
    dtype: torch.dtype | None = None,
    batch_tokens: int = 8192,
) -> CHES:
    """Return the CHES of every pair (Razin et al., "Unintentional Unalignment", arXiv:2410.08847).

    The hidden state of a token y_t is what the head reads at the position before it, after the final norm: the state
    that predicts y_t. So the sum H_y runs from the last token of the prompt to the last but one of the response.

    The drive of the chosen response is ||g_w||^2 - <g_w, g_l>, and -CHES is the same expression with H_y in place of
    the score g_y. It ignores all parameters below the head and, in the gradient of the head, the factor
    onehot(y) - pi. So it does not depend on the last token: CHES is 0 for two responses that differ in their last token
    only, such as two responses of a single token. It has no threshold either: it ranks pairs, and the drive of a pair
    with a negative CHES may still be negative.

    Args:
        model: a causal language model; it is not changed.
        pairs: chosen and rejected response of each pair.
        dtype: dtype of the forward pass; by default the model's own, but not below float32. Sums and products are
            computed in float64: in float16 they would overflow, in bfloat16 their difference would be noise.
        batch_tokens: padded tokens in one forward pass.

    Raises:
        InvalidArgument: no pairs, a pair that is not two sequences, ids outside the vocabulary.
        OutOfMemory: the pairs do not fit into memory.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> one, other = TokenSequence((1, 2, 3), 1), TokenSequence((1, 4), 1)
        >>> ches(tiny_model(), [(one, one), (one, other)]).value[0]
        tensor(0., dtype=torch.float64)
    """
    model = unwrapped(model)
    asked = read_pairs(pairs)
    head = find_head(model)
    found = check_sequences(dict.fromkeys(s for pair in asked for s in pair), head.vocabulary)
    place = {sequence: number for number, sequence in enumerate(found)}
    with raising_out_of_memory("pairs", len(asked)), computing_in(model, compute_dtype(model, dtype)), torch.no_grad():
        sums: dict[int, Tensor] = {}
        for batch in make_batches(found, batch_tokens, head.device, length_matters(model)):
            rows = head_inputs(model, batch.ids).flatten(0, 1)[batch.predicting]
            sums |= zip(batch.numbers, Segments.of(batch.responses, rows.device).sum(rows).cpu(), strict=True)
        ordered = torch.stack([sums[number] for number in range(len(found))])
    lengths = torch.tensor([s.length for s in found], dtype=torch.float64)
    chosen, rejected = (torch.tensor([place[pair[side]] for pair in asked]) for side in (0, 1))
    return similarity(ordered[chosen], ordered[rejected], lengths[chosen], lengths[rejected])


def similarity(chosen: Tensor, rejected: Tensor, chosen_length: Tensor, rejected_length: Tensor) -> CHES:
    """Return CHES from the sums of hidden states of each response.

    Args:
        chosen: H_w, ``(pairs, width)``.
        rejected: H_l, ``(pairs, width)``.
        chosen_length: tokens of y_w, ``(pairs,)``.
        rejected_length: tokens of y_l, ``(pairs,)``.

    Raises:
        InvalidArgument: sums that are not finite.

    Example:
        >>> similarity(torch.tensor([[2.0, 0.0]]), torch.tensor([[3.0, 1.0]]), torch.tensor([2]), torch.tensor([1]))
        CHES(value=tensor([2.], dtype=torch.float64), length_normalised=tensor([2.], dtype=torch.float64))
    """
    w = check_finite("chosen", chosen).to(torch.float64)
    other = check_finite("rejected", rejected).to(torch.float64)
    mean_w, mean_other = w / chosen_length.unsqueeze(1), other / rejected_length.unsqueeze(1)
    # for similar responses <w, other - w> is more accurate than <w, other> - <w, w>, whose terms nearly cancel
    return CHES((w * (other - w)).sum(-1), (mean_w * (mean_other - mean_w)).sum(-1))
