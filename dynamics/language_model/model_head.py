"""The head of a language model, with logits only at the positions that need them, in pieces of the vocabulary."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from dynamics.errors import Unsupported, check_count
from dynamics.language_model.causal_lm import CausalLM, replaced_forward

CHECKED_POSITIONS = 4
"""At how many positions the model's logits are compared with the output of its head."""


def find_head(model: CausalLM) -> nn.Linear:
    """Return the head, the linear map from hidden states to logits.

    Raises:
        InvalidArgument: the model has no linear head, or is inside a wrapper.
    """
    inside = getattr(model, "module", None)
    if isinstance(model, nn.Module) and isinstance(inside, nn.Module) and hasattr(inside, "get_output_embeddings"):
        problem = f"a {type(model).__name__} around a {type(inside).__name__}"
        raise Unsupported("model", problem, "use the model inside: model.module, or accelerator.unwrap_model(model)")
    getter = getattr(model, "get_output_embeddings", None)
    head = getter() if getter else None
    if not isinstance(head, nn.Linear) or type(head).forward is not nn.Linear.forward:
        found = "no head" if head is None else f"a head of the class {type(head).__name__}"
        problem = f"{type(model).__name__} has {found}"
        raise Unsupported("model", problem, "a Hugging Face causal language model with a linear head is needed")
    return head


def hidden_states(model: CausalLM, ids: Tensor, *, check: bool = False) -> Tensor:
    """Return what the head would read, ``(sequences, positions, width)``.

    A graph is recorded if the caller has enabled gradients.

    Args:
        model: the model.
        ids: token ids, ``(sequences, positions)``.
        check: also refuse a model whose logits differ from the output of its head, because it scales or caps them.

    Raises:
        InvalidArgument: the check failed.
    """
    head = find_head(model)
    linear, seen, shown = head.forward, [], []

    def stop(hidden: Tensor) -> Tensor:
        seen.append(hidden)
        if not check:
            return hidden[..., :1]  # returned as the logits, which are not used
        with torch.no_grad():
            shown.append(linear(hidden[:1, -CHECKED_POSITIONS:]))
            return shown[-1].clone()

    with replaced_forward(head, stop):
        logits = model(input_ids=ids, use_cache=False).logits
    if check and (
        logits.shape != shown[-1].shape or not torch.allclose(logits, shown[-1], rtol=1e-5, atol=1e-5, equal_nan=True)
    ):
        problem = f"{type(model).__name__} changes the logits after its head, for example by a scale or a soft cap"
        raise Unsupported("model", problem, "only models whose logits are its head's output are supported")
    return seen[-1]


def check_head(model: CausalLM, ids: Tensor) -> None:
    """Refuse a model whose logits differ from the output of its head, on the beginning of ``ids`` ``(1, tokens)``."""
    with torch.no_grad():
        hidden_states(model, ids[:, :CHECKED_POSITIONS], check=True)


def vocabulary_pieces(hidden: Tensor, head: nn.Linear, size: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield the logits for one piece of the vocabulary after another.

    Args:
        hidden: hidden states, ``(rows, width)``.
        head: the linear map to logits.
        size: vocabulary entries in one piece.

    Yields:
        The piece as a slice of the vocabulary, and its logits, ``(rows, piece)``.
    """
    check_count("vocabulary_piece", size)
    weight, bias = head.weight.detach(), getattr(head, "bias", None)
    for start in range(0, weight.shape[0], size):
        piece = slice(start, min(start + size, weight.shape[0]))
        yield piece, functional.linear(hidden, weight[piece], None if bias is None else bias.detach()[piece])


def exponentials(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest logit of each row, ``(rows, 1)``, and exp(logit - largest), which overwrites the logits."""
    top = logits.amax(dim=-1, keepdim=True)
    return top, logits.sub_(top).exp_()


def log_partition(
    hidden: Tensor, head: nn.Linear, targets: Tensor, size: int, kept: list[tuple[Tensor, Tensor]] | None = None
) -> tuple[Tensor, Tensor]:
    """Return log sum exp of the logits of each row, and the log-probability of its target; both float64 ``(rows,)``.

    Args:
        hidden: hidden states, ``(rows, width)``.
        head: the linear map to logits.
        targets: a token for each row.
        size: vocabulary entries in one piece.
        kept: a list to which the ``exponentials`` of every piece are appended, for a caller that uses them again.
    """
    total = torch.full(targets.shape, -torch.inf, dtype=torch.float64, device=hidden.device)
    of_target = torch.zeros_like(total)
    for piece, logits in vocabulary_pieces(hidden, head, size):
        (rows,) = torch.where((targets >= piece.start) & (targets < piece.stop))
        of_target[rows] = logits[rows, targets[rows] - piece.start].to(torch.float64)
        top, exponents = exponentials(logits)
        part = top.squeeze(1).to(torch.float64) + exponents.sum(dim=-1, dtype=torch.float64).log()
        total = torch.logaddexp(total, part)
        if kept is not None:
            kept.append((top, exponents))
    return total, of_target - total
