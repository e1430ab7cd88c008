"""The vocabulary end of the model: its head, cut off so that logits exist only where they are needed, in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dynamics.errors import InvalidArgument, check_count

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
    """Return the linear map from hidden states to logits.

    Raises:
        InvalidArgument: no causal language model with such a head, or one inside a wrapper.
    """
    inside = getattr(model, "module", None)
    if isinstance(model, nn.Module) and isinstance(inside, nn.Module) and hasattr(inside, "get_output_embeddings"):
        allowed = "the model inside the wrapper: model.module, or accelerator.unwrap_model(model)"
        raise InvalidArgument("model", f"a {type(model).__name__} around a {type(inside).__name__}", allowed)
    getter = getattr(model, "get_output_embeddings", None)
    head = getter() if getter else None
    if not isinstance(head, nn.Linear) or type(head).forward is not nn.Linear.forward:
        got = type(model).__name__ if head is None else f"{type(model).__name__} whose head is a {type(head).__name__}"
        raise InvalidArgument("model", got, "a Hugging Face causal language model with a linear head")
    return head


def hidden_states(model: Any, ids: Tensor, *, check: bool = False) -> Tensor:
    """Run the model up to its head: ``(sequences, longest, width)``, with whatever graph the context records.

    Args:
        model: the model.
        ids: ``(sequences, longest)``.
        check: also refuse a model whose logits are not ``head(hidden)``: scaled, capped or otherwise changed after it.
    """
    head = find_head(model)
    linear, seen, shown = head.forward, [], []

    def stop(hidden: Tensor) -> Tensor:
        seen.append(hidden)
        if not check:
            return hidden[..., :1]  # takes the place of the logits, which nobody reads
        with torch.no_grad():
            shown.append(linear(hidden[:1, -ROWS_CHECKED:]))
            return shown[-1].clone()

    with replaced_forward(head, stop):
        logits = model(input_ids=ids, use_cache=False).logits
    if check and (
        logits.shape != shown[-1].shape or not torch.allclose(logits, shown[-1], rtol=1e-5, atol=1e-5, equal_nan=True)
    ):
        wanted = "a model whose logits are its head's output (no scaling, no soft cap)"
        raise InvalidArgument("model", type(model).__name__, wanted)
    return seen[-1]


def check_head(model: Any, ids: Tensor) -> None:
    """Refuse a model whose logits are not ``head(hidden)``, on the beginning of an input ``(1, tokens)``."""
    with torch.no_grad():
        hidden_states(model, ids[:, :ROWS_CHECKED], check=True)


def vocabulary_pieces(hidden: Tensor, head: nn.Linear, size: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield the logits of packed rows for one piece of the vocabulary after another, ``(rows, piece)``."""
    check_count("vocabulary_piece", size)
    weight, bias = head.weight.detach(), getattr(head, "bias", None)
    for start in range(0, weight.shape[0], size):
        piece = slice(start, min(start + size, weight.shape[0]))
        yield piece, functional.linear(hidden, weight[piece], None if bias is None else bias.detach()[piece])


def exponentials(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest logit of each row, ``(rows, 1)``, and exp(logit - largest), which takes the logits' place."""
    top = logits.amax(dim=-1, keepdim=True)
    return top, logits.sub_(top).exp_()


def log_partition(
    hidden: Tensor, head: nn.Linear, targets: Tensor, size: int, kept: list[tuple[Tensor, Tensor]] | None = None
) -> tuple[Tensor, Tensor]:
    """Return log sum exp of the logits and the log-probability of the target of each row, float64 ``(rows,)``.

    Args:
        hidden: packed rows, ``(rows, width)``.
        head: the linear map to logits.
        targets: a token for each row.
        size: vocabulary entries at once.
        kept: a list that receives what ``exponentials`` made of every piece, for those who need it again.
    """
    total = torch.full(targets.shape, -torch.inf, dtype=torch.float64, device=hidden.device)
    own = torch.zeros_like(total)
    for piece, logits in vocabulary_pieces(hidden, head, size):
        (rows,) = torch.where((targets >= piece.start) & (targets < piece.stop))
        own[rows] = logits[rows, targets[rows] - piece.start].to(torch.float64)
        top, exponents = exponentials(logits)
        part = top.squeeze(1).to(torch.float64) + exponents.sum(dim=-1, dtype=torch.float64).log()
        total = torch.logaddexp(total, part)
        if kept is not None:
            kept.append((top, exponents))
    return total, own - total
