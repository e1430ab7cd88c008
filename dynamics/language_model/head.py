"""The vocabulary end of the model: its head, cut off so that logits exist only where they are needed, in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dynamics.errors import InvalidArgument

ROWS_CHECKED = 4


@contextmanager
def replaced_forward(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Give one module instance another forward, and take it away again."""
    before = module.__dict__.get("forward")
    module.forward = forward
    try:
        yield
    finally:
        if before is None:
            del module.forward
        else:
            module.forward = before


def find_head(model: Any) -> nn.Linear:
    """Return the linear map from hidden states to logits."""
    getter = getattr(model, "get_output_embeddings", None)
    head = getter() if getter else None
    if not isinstance(head, nn.Linear) or type(head).forward is not nn.Linear.forward:
        got = type(model).__name__ if head is None else f"{type(model).__name__} whose head is a {type(head).__name__}"
        raise InvalidArgument("model", got, "a Hugging Face causal language model with a linear head")
    return head


def hidden_states(model: Any, ids: Tensor) -> Tensor:
    """Run the model up to its head: ``(sequences, longest, width)``, with whatever graph the context records."""
    seen: list[Tensor] = []

    def stop(hidden: Tensor) -> Tensor:
        seen.append(hidden)
        return hidden[..., :1]  # takes the place of the logits, which nobody reads

    with replaced_forward(find_head(model), stop):
        model(input_ids=ids, use_cache=False)
    return seen[-1]


def check_head(model: Any, ids: Tensor) -> None:
    """Refuse a model whose logits are not ``head(hidden)``: scaled, capped or otherwise changed afterwards.

    Args:
        model: the model.
        ids: ``(1, tokens)``, an input to try it on.
    """
    head = find_head(model)
    linear, seen = head.forward, []

    def few(hidden: Tensor) -> Tensor:
        seen.append(linear(hidden[:, -ROWS_CHECKED:]))
        return seen[-1].clone()

    with torch.no_grad(), replaced_forward(head, few):
        logits = model(input_ids=ids, use_cache=False).logits
    if logits.shape != seen[-1].shape or not torch.allclose(logits, seen[-1], rtol=1e-5, atol=1e-5):
        raise InvalidArgument(
            "model", type(model).__name__, "a model whose logits are its head's output (no scaling, no soft cap)"
        )


def vocabulary_pieces(hidden: Tensor, head: nn.Linear, size: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield the logits of packed rows for one piece of the vocabulary after another, ``(rows, piece)``."""
    weight, bias = head.weight.detach(), getattr(head, "bias", None)
    for start in range(0, weight.shape[0], size):
        piece = slice(start, min(start + size, weight.shape[0]))
        yield piece, functional.linear(hidden, weight[piece], None if bias is None else bias.detach()[piece])


def log_partition(hidden: Tensor, head: nn.Linear, targets: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return log sum exp of the logits and the log-probability of the target of each row, float64 ``(rows,)``."""
    total = torch.full(targets.shape, -torch.inf, dtype=torch.float64, device=hidden.device)
    own = torch.zeros_like(total)
    for piece, logits in vocabulary_pieces(hidden, head, size):
        total = torch.logaddexp(total, torch.logsumexp(logits.to(torch.float64), dim=-1))
        (rows,) = torch.where((targets >= piece.start) & (targets < piece.stop))
        own[rows] = logits[rows, targets[rows] - piece.start].to(torch.float64)
    return total, own - total
