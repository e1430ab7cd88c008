"""The first-order change of all next-token probabilities when the parameters change, by forward-mode autodiff."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dynamics.errors import InvalidArgument, check_count, check_index
from dynamics.language_model.batching import Batch, length_matters, make_batches
from dynamics.language_model.causal_lm import CausalLM, unwrapped
from dynamics.language_model.jvp import Change, hidden_jvp, logits_jvp, make_tangents
from dynamics.language_model.log_probs import VOCABULARY_PIECE
from dynamics.language_model.model_head import Head, confirmed_head, find_head, hidden_states, vocabulary_pieces
from dynamics.language_model.out_of_memory import raising_out_of_memory
from dynamics.language_model.precision import compute_dtype, computing_in
from dynamics.language_model.tokens import TokenSequence, check_sequences

CONTEXTS = "token ids, such as [(1, 2), (3,)], or TokenSequences"
Context = TokenSequence | Sequence[int]
"""Token ids, or a sequence, which stands for every position that predicts a token of its response."""


class TokenShift(NamedTuple):
    """The change of one token's probability.

    Attributes:
        token: id of the token.
        text: its text; None without a tokenizer.
        probability: p before.
        change: first-order change of p.
        log_change: first-order change of log p, in nats.
    """

    token: int
    text: str | None
    probability: float
    change: float
    log_change: float


@dataclass(frozen=True, eq=False)
class VocabularyShift:
    """The first-order change of next-token distributions.

    Attributes:
        contexts: the tokens before each position, one tuple for each row.
        log_probs: log p(token | context) before, in nats, ``(contexts, vocabulary)``, float64.
        log_change: its first-order change, ``(contexts, vocabulary)``, float64.
    """

    contexts: tuple[tuple[int, ...], ...]
    log_probs: Tensor
    log_change: Tensor

    @property
    def probabilities(self) -> Tensor:
        """Return p before, ``(contexts, vocabulary)``."""
        return self.log_probs.exp()

    @property
    def change(self) -> Tensor:
        """Return the first-order change of p, which is p d log p, ``(contexts, vocabulary)``; each row sums to 0."""
        return self.probabilities * self.log_change

    @property
    def shifted_mass(self) -> Tensor:
        """Return half of the sum of |change of p| in each context: the probability that goes to other tokens."""
        return self.change.abs().sum(-1) / 2

    def gainers(self, context: int = 0, count: int = 10, tokenizer: Any = None) -> tuple[TokenShift, ...]:
        """Return the tokens that gain most probability, the largest gain first.

        Args:
            context: number of the context.
            count: at most how many tokens.
            tokenizer: tokenizer that turns ids into text.
        """
        return self._ranked(context, count, tokenizer, 1)

    def losers(self, context: int = 0, count: int = 10, tokenizer: Any = None) -> tuple[TokenShift, ...]:
        """Return the tokens that lose most probability, the largest loss first; arguments as for ``gainers``."""
        return self._ranked(context, count, tokenizer, -1)

    def _ranked(self, context: int, count: int, tokenizer: Any, sign: int) -> tuple[TokenShift, ...]:
        check_count("count", count)
        if not -len(self.contexts) <= context < len(self.contexts):
            raise InvalidArgument("context", context, f"a number below {len(self.contexts)}")
        log_p, log_change = self.log_probs[context], self.log_change[context]
        p, change = log_p.exp(), log_p.exp() * log_change
        size, tokens = (sign * change).topk(min(count, change.numel()))
        return tuple(
            TokenShift(
                token,
                None if tokenizer is None else tokenizer.decode([token]),
                float(p[token]),
                float(change[token]),
                float(log_change[token]),
            )
            for token in tokens[size > 0].tolist()
        )


def vocabulary_shift(
    model: CausalLM,
    change: Change,
    contexts: Iterable[Context],
    *,
    dtype: torch.dtype | None = None,
    batch_tokens: int = 4096,
    vocabulary_piece: int = VOCABULARY_PIECE,
) -> VocabularyShift:
    """Return the first-order change of every next-token probability when the parameters change.

    One forward pass computes it for every token of the vocabulary at every position, while the kernel would need the
    gradient of each log-probability. With a change from ``parameter_change`` it tells which tokens a step on a
    preference pair makes more likely, also tokens that are in no response of the pair. For SGD and a single pair the
    change of p_y is ``eta beta sigma(-z) p_y <g_y, g_w - g_l>``, which extends jian2025, Theorem 1, to every y.

    Args:
        model: a causal language model; it is not changed.
        change: change of the parameters, by name; the result is linear in it.
        contexts: token ids, for the token that follows them; or a ``TokenSequence``, for every position that predicts
            a token of its response.
        dtype: dtype to compute in; by default the model's own, but not below float32.
        batch_tokens: padded tokens in one pass.
        vocabulary_piece: vocabulary entries whose logits are computed at once; the result holds all of them in float64.

    Raises:
        InvalidArgument: a change of parameters that are not this model's, an empty context, ids outside the
            vocabulary.
        OutOfMemory: the contexts do not fit into memory.

    Example:
        >>> from dynamics import DPO
        >>> from dynamics.language_model import parameter_change, tiny_model
        >>> pair = [TokenSequence((1, 2, 3), 2), TokenSequence((1, 2, 4), 2)]
        >>> change = parameter_change(tiny_model(), pair, loss=DPO(beta=0.5), learning_rate=1e-3)
        >>> shift = vocabulary_shift(tiny_model(), change, [(1, 2)])
        >>> bool(shift.change.sum(-1).abs().max() < 1e-12)
        True
        >>> shift.gainers(0, 1)[0].token, shift.losers(0, 1)[0].token
        (3, 4)
    """
    model = unwrapped(model)
    found, before = _positions(model, contexts)
    starts, compute = _starts(found), compute_dtype(model, dtype)
    tangents = make_tangents(model, change, compute)
    with raising_out_of_memory("contexts", len(before)), computing_in(model, compute), torch.no_grad():
        batches, head = _batches(model, found, batch_tokens)
        log_probs, log_change = (torch.empty(len(before), head.vocabulary, dtype=torch.float64) for _ in range(2))
        for batch in batches:
            hidden, hidden_change = hidden_jvp(model, batch, tangents, head)
            parts = logits_jvp(hidden, hidden_change, head, tangents, vocabulary_piece)
            _, logits, logit_changes = zip(*parts, strict=True)
            log_p = torch.cat(logits, -1).log_softmax(-1)
            logit_change = torch.cat(logit_changes, -1)
            rows = _rows(batch, starts)
            log_probs[rows] = log_p.cpu()
            log_change[rows] = (logit_change - (log_p.exp() * logit_change).sum(-1, keepdim=True)).cpu()
    return VocabularyShift(before, log_probs, log_change)


def next_token_log_probs(
    model: CausalLM,
    contexts: Iterable[Context],
    *,
    dtype: torch.dtype | None = None,
    batch_tokens: int = 4096,
    vocabulary_piece: int = VOCABULARY_PIECE,
) -> Tensor:
    """Return log p(token | context) of the whole vocabulary at every position, ``(contexts, vocabulary)``, nats.

    Inside ``changed_parameters`` this is the distribution after a step, whose first-order change is
    ``vocabulary_shift``.

    Args:
        model: a causal language model; it is not changed.
        contexts: as for ``vocabulary_shift``.
        dtype: dtype to compute in; by default the model's own, but not below float32.
        batch_tokens: padded tokens in one pass.
        vocabulary_piece: vocabulary entries whose logits are computed at once.

    Raises:
        InvalidArgument: an empty context, ids outside the vocabulary.
        OutOfMemory: the contexts do not fit into memory.

    Example:
        >>> from dynamics.language_model import tiny_model
        >>> next_token_log_probs(tiny_model(), [(1, 2), (3,)]).exp().sum(-1).round(decimals=9)
        tensor([1., 1.], dtype=torch.float64)
    """
    model = unwrapped(model)
    found, before = _positions(model, contexts)
    starts = _starts(found)
    compute = compute_dtype(model, dtype)
    with raising_out_of_memory("contexts", len(before)), computing_in(model, compute), torch.no_grad():
        batches, head = _batches(model, found, batch_tokens)
        result = torch.empty(len(before), head.vocabulary, dtype=torch.float64)
        for batch in batches:
            hidden = hidden_states(model, batch.ids, head).flatten(0, 1)[batch.predicting]
            pieces = [logits.to(torch.float64) for _, logits in vocabulary_pieces(hidden, head, vocabulary_piece)]
            result[_rows(batch, starts)] = torch.cat(pieces, -1).log_softmax(-1).cpu()
    return result


def _positions(
    model: CausalLM, contexts: Iterable[Context]
) -> tuple[tuple[TokenSequence, ...], tuple[tuple[int, ...], ...]]:
    """Return sequences whose responses are predicted at the positions asked for, and the tokens before each."""
    if not isinstance(contexts, Iterable) or hasattr(contexts, "__array__"):
        raise InvalidArgument("contexts", contexts, CONTEXTS)
    found = []
    for number, context in enumerate(contexts):
        if isinstance(context, TokenSequence):
            found.append(context)
            continue
        if not isinstance(context, (list, tuple, range, Tensor)):
            raise InvalidArgument(f"contexts[{number}]", context, CONTEXTS)
        ids = tuple(check_index(f"contexts[{number}]", context, find_head(model).vocabulary).flatten().tolist())
        if not ids:
            raise InvalidArgument(f"contexts[{number}]", "it has no token; give at least one, such as BOS")
        found.append(TokenSequence((*ids, 0), len(ids)))  # the appended token is only predicted, never an input
    if not found:
        raise InvalidArgument("contexts", "the list is empty; give at least one context")
    sequences = check_sequences(found, find_head(model).vocabulary)
    return sequences, tuple(s.ids[:t] for s in sequences for t in range(s.prompt_tokens, len(s.ids)))


def _batches(
    model: CausalLM, sequences: tuple[TokenSequence, ...], batch_tokens: int
) -> tuple[tuple[Batch, ...], Head]:
    batches = make_batches(sequences, batch_tokens, find_head(model).device, length_matters(model))
    return batches, confirmed_head(model, batches[0].ids[:1])


def _starts(sequences: tuple[TokenSequence, ...]) -> list[int]:
    """Return the first row of each sequence in the result."""
    return [sum(s.length for s in sequences[:n]) for n in range(len(sequences))]


def _rows(batch: Batch, starts: list[int]) -> Tensor:
    counts = zip(batch.numbers, batch.responses, strict=True)
    return torch.cat([torch.arange(starts[number], starts[number] + count) for number, count in counts])
