"""log pi(y | x) of sequences under a language model, for whole responses and token by token."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from dynamics.language_model.batching import length_matters, make_batches
from dynamics.language_model.causal_lm import CausalLM, unwrapped
from dynamics.language_model.model_head import confirmed_head, find_head, hidden_states, log_partition
from dynamics.language_model.out_of_memory import raising_out_of_memory
from dynamics.language_model.precision import compute_dtype, computing_in
from dynamics.language_model.tokens import TokenSequence, check_sequences

VOCABULARY_PIECE = 8192
"""How many vocabulary entries have their logits in memory at once, unless the caller says otherwise."""


@dataclass(frozen=True, eq=False)
class SequenceLogProbs:
    """Log-probabilities of responses given their prompts.

    Attributes:
        total: log pi(y | x) in nats, ``(sequences,)``, float64.
        tokens: for each sequence, log pi(y_t | x, y_<t) in nats, ``(response tokens,)``; they sum to ``total``.
    """

    total: Tensor
    tokens: tuple[Tensor, ...]


def sequence_log_probs(
    model: CausalLM,
    sequences: Iterable[TokenSequence],
    *,
    dtype: torch.dtype | None = None,
    batch_tokens: int = 8192,
    vocabulary_piece: int = VOCABULARY_PIECE,
) -> SequenceLogProbs:
    """Return log pi(y | x) of every sequence.

    Args:
        model: a Hugging Face causal language model; it is not changed.
        sequences: prompts and responses from ``tokenize``, of any lengths.
        dtype: dtype to compute in, float32 or float64; by default the model's own, but not below float32. In float64
            every operation is in float64 (see ``precision``).
        batch_tokens: padded tokens in one forward pass.
        vocabulary_piece: vocabulary entries whose logits exist at once. Logits are computed only at positions that
            predict a token of a response.

    Raises:
        InvalidArgument: ids outside the vocabulary.
        OutOfMemory: the sequences do not fit into memory.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> every = [TokenSequence((1, y), prompt_tokens=1) for y in range(23)]
        >>> sequence_log_probs(tiny_model(), every).total.exp().sum()
        tensor(1.0000, dtype=torch.float64)
    """
    model = unwrapped(model)
    described = find_head(model)
    found = check_sequences(sequences, described.vocabulary)
    device = described.device
    tokens: dict[int, Tensor] = {}
    naming_memory = raising_out_of_memory("sequences", len(found))
    with naming_memory, computing_in(model, compute_dtype(model, dtype)), torch.no_grad():
        head = confirmed_head(model, make_batches(found[:1], None, device)[0].ids)
        for batch in make_batches(found, batch_tokens, device, length_matters(model)):
            hidden = hidden_states(model, batch.ids, head).flatten(0, 1)[batch.predicting]
            _, log_probs = log_partition(hidden, head, batch.targets, vocabulary_piece)
            tokens |= zip(batch.numbers, log_probs.split(batch.responses), strict=True)
    ordered = tuple(tokens[number] for number in range(len(found)))
    return SequenceLogProbs(torch.stack([t.sum() for t in ordered]), ordered)
