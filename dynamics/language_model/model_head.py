"""The head of a language model, with logits only at the positions that need them, in pieces of the vocabulary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dynamics.errors import Unsupported, check_count
from dynamics.language_model.causal_lm import CausalLM, as_module, replaced_forward

CHECKED_POSITIONS = 4
"""At how many positions the model's logits are compared with the output of its head."""
SCALES = {"logit_scale": 1, "lm_head_multiplier": 1, "logits_scaling": -1}
"""Where configurations of transformers keep a factor of the logits, and the power to which it is taken."""
CAPS = ("final_logit_softcapping", "logits_soft_cap")
"""Where they keep the bound c of a soft cap, c tanh(logits / c)."""


@dataclass(frozen=True, eq=False)
class Head:
    """The map from hidden states to logits: a linear map, then a scale and a soft cap.

    Attributes:
        vocabulary: number of tokens.
        device: where the logits are.
        linear: the linear map; None if the head is of another kind. Then the logits of the model itself take the place
            of the hidden states, and nothing remains to be done.
        scale: factor of the linear map's output.
        cap: bound c of the soft cap c tanh(logits / c) after it; None if there is none.
    """

    vocabulary: int
    device: torch.device
    linear: nn.Linear | None
    scale: float = 1.0
    cap: float | None = None

    @property
    def bias(self) -> nn.Parameter | None:
        """Return the bias of the linear map, if it has one."""
        return None if self.linear is None else getattr(self.linear, "bias", None)

    @property
    def bends(self) -> bool:
        """Return whether the slope of the logits depends on the logits."""
        return self.cap is not None

    def logits(self, hidden: Tensor, piece: slice) -> Tensor:
        """Return the logits of one piece of the vocabulary, ``(rows, piece)``; a new tensor."""
        if self.linear is None:
            return hidden[..., piece].clone()
        bias = self.bias
        weight = self.linear.weight.detach()[piece]
        return self._finish(functional.linear(hidden, weight, None if bias is None else bias.detach()[piece]))

    def _finish(self, output: Tensor) -> Tensor:
        scaled = output if self.scale == 1 else output * self.scale
        return scaled if self.cap is None else self.cap * torch.tanh(scaled / self.cap)

    def slope(self, logits: Tensor) -> Tensor | float:
        """Return the derivative of every logit with respect to the linear map's output, which is elementwise."""
        return self.scale if self.cap is None else self.scale * (1 - (logits / self.cap) ** 2)


def find_head(model: CausalLM) -> Head:
    """Return the head as the configuration describes it; ``confirmed_head`` compares it with what the model does.

    Raises:
        InvalidArgument: not a causal language model.
    """
    getter = getattr(model, "get_output_embeddings", None)
    module = getter() if getter else None
    if not isinstance(module, nn.Module):
        problem = f"this {type(model).__name__} has no language-model head"
        raise Unsupported("model", problem, "use a Hugging Face causal language model, such as load() returns")
    if not isinstance(module, nn.Linear) or type(module).forward is not nn.Linear.forward:
        parameter = next(iter(module.parameters()), None)
        size = _text_config(model, "vocab_size")
        if parameter is None or not isinstance(size, int):
            problem = f"the head of this {type(model).__name__} is a {type(module).__name__}, not a torch.nn.Linear"
            raise Unsupported("model", problem, "use a Hugging Face causal language model with a linear head")
        return Head(size, parameter.device, None)
    weight, scale = module.weight, 1.0
    for name, power in SCALES.items():
        found = _text_config(model, name)
        if isinstance(found, (int, float)) and found > 0:
            scale *= float(found) ** power
    caps = [_text_config(model, name) for name in CAPS]
    cap = next((float(one) for one in caps if isinstance(one, (int, float)) and one > 0), None)
    return Head(weight.shape[0], weight.device, module, scale, cap)


def _text_config(model: CausalLM, name: str) -> Any:
    """Return a field of the configuration; the one for text, where a model has several."""
    config = model.config
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    return getattr(text, name, getattr(config, name, None))


def whole_logits(head: Head) -> Head:
    """Return the head that takes the logits of the model itself for the hidden states."""
    return Head(head.vocabulary, head.device, None)


def confirmed_head(model: CausalLM, ids: Tensor) -> Head:
    """Return the head, compared with what the model computes on the beginning of ``ids``, ``(1, tokens)``.

    A model that does something else with the output of its head than its configuration says, or whose head is of
    another kind, gets a head whose hidden states are the logits of the model itself.

    Raises:
        InvalidArgument: the predictions of the model depend on tokens that come later.
    """
    head, beginning = find_head(model), ids[:1, :CHECKED_POSITIONS]
    changed = beginning.clone()  # beside it in one batch, so that the weights are read once
    changed[:, -1] = (changed[:, -1] + 1) % head.vocabulary
    with torch.no_grad():
        read, logits = _read_by_head(model, torch.cat([beginning, changed]))
    if beginning.shape[1] > 1 and not _close(logits[:1, :-1], logits[1:, :-1], 1e-3):
        problem = f"the predictions of this {type(model).__name__} depend on later tokens"
        raise Unsupported("model", problem, "use a causal language model (for some types, with is_decoder=True)")
    if head.linear is None or "forward" in vars(head.linear) or read is None:
        return Head(logits.shape[-1], head.device, None)
    expected = head.logits(read, slice(0, head.vocabulary))
    return head if _close(expected, logits, 1e-5) else Head(logits.shape[-1], head.device, None)


def _read_by_head(model: CausalLM, ids: Tensor) -> tuple[Tensor | None, Tensor]:
    """Return what the head reads, None if it is not called, and the logits, both ``(sequences, positions, ...)``."""
    head, seen = model.get_output_embeddings(), []

    def look(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        seen.append(inputs[0])

    handle = as_module(head or model).register_forward_pre_hook(look)
    try:
        logits = model(input_ids=ids, use_cache=False).logits
    finally:
        handle.remove()
    read = seen[-1][:, -ids.shape[1] :] if seen and isinstance(seen[-1], Tensor) and seen[-1].ndim == 3 else None
    return read, logits[:, -ids.shape[1] :]


def _close(some: Tensor, others: Tensor, tolerance: float) -> bool:
    """Return whether logits are equal, up to a fraction of the largest of them (less in float64)."""
    if some.shape != others.shape:
        return False
    fraction = tolerance if others.dtype == torch.float32 else tolerance * 1e-5
    bound = fraction * max(1.0, float(others.abs().nan_to_num(0, 0).max()))
    return torch.allclose(some.to(others.dtype), others, rtol=fraction, atol=bound, equal_nan=True)


def hidden_states(model: CausalLM, ids: Tensor, head: Head) -> Tensor:
    """Return what the head would read, ``(sequences, positions, width)``; or the logits for a head without linear map.

    A graph is recorded if the caller has enabled gradients.

    Args:
        model: the model.
        ids: token ids, ``(sequences, positions)``.
        head: the head.
    """
    if head.linear is None:
        found = model(input_ids=ids, use_cache=False).logits
    else:
        seen: list[Tensor] = []

        def stop(hidden: Tensor) -> Tensor:
            seen.append(hidden)
            return hidden[..., :1].detach()  # returned as the logits, which are not used

        with replaced_forward(head.linear, stop):
            model(input_ids=ids, use_cache=False)
        found = seen[-1]
    return found[:, -ids.shape[1] :]  # a tuned prompt adds positions in front


def head_inputs(model: CausalLM, ids: Tensor) -> Tensor:
    """Return what the head reads, of whatever kind it is, ``(sequences, positions, width)``.

    Raises:
        InvalidArgument: the model does not call its head.
    """
    read, _ = _read_by_head(model, ids)
    if read is None:
        raise Unsupported("model", f"{type(model).__name__} does not call its head", "use a model that does")
    return read


def vocabulary_pieces(hidden: Tensor, head: Head, size: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield the logits for one piece of the vocabulary after another.

    Args:
        hidden: hidden states, ``(rows, width)``.
        head: the head.
        size: vocabulary entries in one piece.

    Yields:
        The piece as a slice of the vocabulary, and its logits, ``(rows, piece)``.
    """
    check_count("vocabulary_piece", size)
    for start in range(0, head.vocabulary, size):
        piece = slice(start, min(start + size, head.vocabulary))
        yield piece, head.logits(hidden, piece)


def exponentials(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest logit of each row, ``(rows, 1)``, and exp(logit - largest), which overwrites the logits."""
    top = logits.amax(dim=-1, keepdim=True)
    return top, logits.sub_(top).exp_()


SUMMED_FIRST = 64
"""Neighbouring numbers that are summed in their own precision before their sums are added up in float64."""


def sum_positive(values: Tensor) -> Tensor:
    """Sum numbers >= 0 along the last axis, and return the sums in float64.

    Converting all of them to float64 would take longer than their exponentials. So a few neighbours are summed in
    their own precision first: without cancellation their sum is as accurate as they are.

    Example:
        >>> values = torch.rand(2, 1000)
        >>> found, exact = sum_positive(values), values.double().sum(-1)
        >>> found.dtype, torch.allclose(found, exact, rtol=1e-6), torch.allclose(found[:1], exact[1:], rtol=1e-6)
        (torch.float64, True, False)
    """
    if values.dtype == torch.float64:
        return values.sum(-1)
    whole = values.shape[-1] // SUMMED_FIRST * SUMMED_FIRST
    some = values[..., :whole].unflatten(-1, (-1, SUMMED_FIRST)).sum(-1) if whole else values[..., :0]
    return some.sum(-1, dtype=torch.float64) + values[..., whole:].sum(-1, dtype=torch.float64)


def log_partition(
    hidden: Tensor, head: Head, targets: Tensor, size: int, stored: list[tuple[Tensor, Tensor]] | None = None
) -> tuple[Tensor, Tensor]:
    """Return log sum exp of the logits of each row, and the log-probability of its target; both float64 ``(rows,)``.

    Args:
        hidden: hidden states, ``(rows, width)``.
        head: the head.
        targets: a token for each row.
        size: vocabulary entries in one piece.
        stored: a list to which the ``exponentials`` of every piece are appended, for a caller that uses them again.
    """
    total = torch.full(targets.shape, -torch.inf, dtype=torch.float64, device=hidden.device)
    of_target = torch.zeros_like(total)
    for piece, logits in vocabulary_pieces(hidden, head, size):
        (rows,) = torch.where((targets >= piece.start) & (targets < piece.stop))
        of_target[rows] = logits[rows, targets[rows] - piece.start].to(torch.float64)
        top, exponents = exponentials(logits)
        part = top.squeeze(1).to(torch.float64) + sum_positive(exponents).log()
        total = torch.logaddexp(total, part)
        if stored is not None:
            stored.append((top, exponents))
    return total, of_target - total
