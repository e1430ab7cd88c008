"""log pi(y | x) of a causal language model, exact and complete: every token of the response and the end after it.

A response is a tuple of token ids that ends with the end of text. With that end two responses are never one the
beginning of the other as events ("132" and "132." are disjoint), so probabilities of distinct responses add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dynamics.errors import InvalidArgument

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Tokens = tuple[int, ...]

LARGEST_LOGITS = 2**26  # numbers in the logits of one forward pass


def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> Tokens:
    """Return the token ids of a text, without special tokens."""
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def encode_response(tokenizer: PreTrainedTokenizerBase, text: str) -> Tokens:
    """Return the token ids of a response, with the end of text."""
    return (*encode(tokenizer, text), tokenizer.eos_token_id)


def decode_response(tokenizer: PreTrainedTokenizerBase, response: Sequence[int]) -> str:
    """Return the text of a response, without its end."""
    ids = list(response)
    return str(tokenizer.decode(ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id else ids))


def next_log_probs(model: PreTrainedModel, prompt: Sequence[int], prefixes: Sequence[Sequence[int]]) -> Tensor:
    """Return log pi of every token after each prefix of a response, ``(prefixes, vocabulary)``, float64, nats."""
    tokens, lengths = _rows(prompt, prefixes, model.device)
    logits = model(input_ids=tokens, use_cache=False).logits
    return logits[torch.arange(len(lengths), device=model.device), lengths - 1].double().log_softmax(-1)


def response_log_probs(model: PreTrainedModel, prompt: Sequence[int], responses: Sequence[Sequence[int]]) -> Tensor:
    """Return log pi(y | x) of every response, ``(responses,)``, float64, nats; differentiable in the parameters.

    The last token of a response is scored like the others: give it with its end of text.

    Args:
        model: a causal language model of transformers.
        prompt: token ids of x, at least one.
        responses: token ids of the responses, each at least one.

    Raises:
        InvalidArgument: an empty prompt or response.
    """
    if not prompt or not all(len(response) for response in responses):
        raise InvalidArgument("prompt, responses", "no tokens", "at least one token each")
    longest = len(prompt) + max((len(response) for response in responses), default=0)
    rows = max(1, LARGEST_LOGITS // (longest * model.config.vocab_size))
    parts = [_score(model, prompt, responses[first : first + rows]) for first in range(0, len(responses), rows)]
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.float64, device=model.device)


def _score(model: PreTrainedModel, prompt: Sequence[int], responses: Sequence[Sequence[int]]) -> Tensor:
    tokens, lengths = _rows(prompt, responses, model.device)
    first = len(prompt)
    logits = model(input_ids=tokens[:, :-1], use_cache=False).logits[:, first - 1 :].double()
    targets = tokens[:, first:]
    log_probs = logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(-1)
    inside = torch.arange(targets.shape[1], device=model.device) < (lengths - first).unsqueeze(1)
    return log_probs.where(inside, 0.0).sum(-1)


def _rows(prompt: Sequence[int], continuations: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Join the prompt to every continuation, padded on the right: a causal model does not see what comes after."""
    lengths = [len(prompt) + len(c) for c in continuations]
    tokens = torch.zeros((len(lengths), max(lengths)), dtype=torch.long)
    for row, continuation in enumerate(continuations):
        tokens[row, : lengths[row]] = torch.tensor([*prompt, *continuation])
    return tokens.to(device), torch.tensor(lengths, device=device)
