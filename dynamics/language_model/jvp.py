"""One forward-mode pass: how hidden states, logits and log-probabilities move when the parameters move along a line.

The tangent of every activation travels along with it, so that <g_y, change> comes out for all sequences at once and no
gradient is formed. It is the true derivative of what the model computes; the kernel and torch's gradients leave out one
thing, the row of the embedding's ``padding_idx``. The two differ only where that token is among the inputs and a change
of its row is asked for, which a gradient step does when embedding and head are tied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from dynamics.errors import InvalidArgument, check_finite, check_shape
from dynamics.language_model.batching import Batch, make_batches
from dynamics.language_model.log_probs import VOCABULARY_PIECE
from dynamics.language_model.model_head import check_head, find_head, replaced_forward, vocabulary_pieces
from dynamics.language_model.precision import compute_dtype, computing_in
from dynamics.language_model.shortage import telling_shortage
from dynamics.language_model.tokens import TokenSequence, check_sequences

Change = Mapping[str, Tensor]
"""A change of parameters, by name; those that are not named stay where they are."""


@dataclass(frozen=True, eq=False)
class Line:
    """A direction in which the parameters of one model move.

    Attributes:
        tangents: the change of every parameter that moves, by name.
        weight: the change of the head's weight, ``(vocabulary, width)``, if it moves.
        bias: the change of the head's bias, if it moves.
    """

    tangents: dict[str, Tensor]
    weight: Tensor | None
    bias: Tensor | None


def check_change(model: nn.Module, change: Change) -> dict[str, nn.Parameter]:
    """Return the parameters that a change is about, by name, or refuse it.

    Args:
        model: the model.
        change: name to tensor of the parameter's shape.

    Raises:
        InvalidArgument: nothing, an unknown name, another shape, a number that is not finite, or one parameter under
            two names.

    Example:
        >>> check_change(nn.Linear(1, 1), {"bias": torch.ones(1)})["bias"].shape
        torch.Size([1])
    """
    if not isinstance(model, nn.Module):
        raise InvalidArgument("model", model, "a causal language model")
    known = dict(model.named_parameters(remove_duplicate=False))
    if not isinstance(change, Mapping) or not change:
        raise InvalidArgument("change", change, "a tensor for at least one parameter, by name")
    found: dict[str, nn.Parameter] = {}
    for name, tensor in change.items():
        if name not in known:
            raise InvalidArgument("change", name, f"names of the model's parameters, such as {next(iter(known))}")
        if any(known[name] is other for other in found.values()):
            raise InvalidArgument("change", name, "each shared parameter under one of its names")
        if not isinstance(tensor, Tensor):
            raise InvalidArgument(f"change[{name}]", tensor, "a tensor")
        check_finite(f"change[{name}]", check_shape(f"change[{name}]", tensor, known[name].shape))
        found[name] = known[name]
    return found


def make_line(model: nn.Module, change: Change, dtype: torch.dtype) -> Line:
    """Bring a change to the dtype to compute in and to the device of each parameter."""
    head = find_head(model)
    parameters = check_change(model, change)
    tangents = {name: change[name].detach().to(p.device, dtype) for name, p in parameters.items()}
    bias = getattr(head, "bias", None)
    return Line(
        tangents,
        next((tangents[name] for name, p in parameters.items() if p is head.weight), None),
        next((tangents[name] for name, p in parameters.items() if p is bias), None),
    )


def push_hidden(model: Any, batch: Batch, line: Line) -> tuple[Tensor, Tensor]:
    """Return the hidden states that predict the tokens of a batch, and their change: ``(predicting rows, width)`` each.

    Args:
        model: the model, already in the dtype to compute in.
        batch: sequences.
        line: the direction.

    Raises:
        InvalidArgument: an operation of the model has no forward-mode derivative.
    """
    seen: list[Tensor] = []

    def stop(hidden: Tensor) -> Tensor:
        seen.append(hidden)
        return hidden[..., :1]  # takes the place of the logits, which nobody reads

    # of the fused attention kernels none has a forward-mode derivative
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), forward_ad.dual_level():
        known = dict(model.named_parameters(remove_duplicate=False))
        dual = {name: forward_ad.make_dual(known[name].detach(), t) for name, t in line.tangents.items()}
        with replaced_forward(find_head(model), stop):
            try:
                functional_call(model, dual, (), {"input_ids": batch.ids, "use_cache": False})
            except NotImplementedError as problem:
                allowed = f"operations with a forward-mode derivative; try set_attn_implementation('eager') ({problem})"
                raise InvalidArgument("model", type(model).__name__, allowed) from problem
        hidden, change = forward_ad.unpack_dual(seen[-1])
    change = torch.zeros_like(hidden) if change is None else change
    return hidden.flatten(0, 1)[batch.predicting], change.flatten(0, 1)[batch.predicting]


def push_logits(
    hidden: Tensor, change: Tensor, head: nn.Linear, line: Line, size: int
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yield logits and their change for one piece of the vocabulary after another, float64 ``(rows, piece)``."""
    for piece, logits in vocabulary_pieces(hidden, head, size):
        moved = functional.linear(change, head.weight.detach()[piece])
        if line.weight is not None:
            moved = moved + functional.linear(hidden, line.weight[piece])
        if line.bias is not None:
            moved = moved + line.bias[piece]
        yield piece, logits.to(torch.float64), moved.to(torch.float64)


def push_log_probs(
    model: Any,
    change: Change,
    sequences: Iterable[TokenSequence],
    *,
    dtype: torch.dtype | None = None,
    batch_tokens: int = 8192,
    vocabulary_piece: int = VOCABULARY_PIECE,
) -> Tensor:
    """Return the change of log pi of every sequence to first order: <g_y, change>, ``(sequences,)``, nats.

    It is the prediction for a step of any optimizer, given the step it really takes. For SGD the kernel knows it
    already (``predict_change``); the two share no code.

    Args:
        model: a causal language model; left as it was.
        change: change of the parameters, by name, such as ``parameter_change`` returns.
        sequences: responses to look at.
        dtype: dtype to compute in; by default the model's own, but not below float32.
        batch_tokens: padded tokens in one pass.
        vocabulary_piece: vocabulary entries whose logits exist at once.

    Raises:
        InvalidArgument: a change that is not one of this model's parameters, an operation without a forward-mode
            derivative, bad sequences.

    Example:
        >>> from dynamics.language_model import sequence_log_probs, tiny_model
        >>> model = tiny_model()
        >>> every = [TokenSequence((1, y), 1) for y in range(23)]
        >>> change = push_log_probs(model, {"model.norm.weight": torch.ones(16)}, every)
        >>> p = sequence_log_probs(model, every).total.exp()
        >>> bool((p * change).sum().abs() < 1e-12)  # probabilities go on summing to one
        True
    """
    head = find_head(model)
    found = check_sequences(sequences, head.weight.shape[0])
    wanted = compute_dtype(model, dtype)
    line = make_line(model, change, wanted)
    with telling_shortage("sequences", len(found)), computing_in(model, wanted), torch.no_grad():
        result = torch.zeros(len(found), dtype=torch.float64)
        batches = make_batches(found, batch_tokens, head.weight.device)
        check_head(model, batches[0].ids[:1])
        for batch in batches:
            own = _own_change(*push_hidden(model, batch, line), batch.targets, head, line, vocabulary_piece)
            result[list(batch.numbers)] = torch.stack([t.sum() for t in own.split(batch.responses)]).cpu()
    return result


def _own_change(hidden: Tensor, change: Tensor, targets: Tensor, head: nn.Linear, line: Line, size: int) -> Tensor:
    """Return dz_target - E dz for every row, the expectation under the softmax of the logits z."""
    total = torch.full(targets.shape, -torch.inf, dtype=torch.float64, device=targets.device)
    mean, own = torch.zeros_like(total), torch.zeros_like(total)
    for piece, logits, moved in push_logits(hidden, change, head, line, size):
        larger = torch.logaddexp(total, torch.logsumexp(logits, dim=-1))
        mean = mean * (total - larger).exp() + ((logits - larger.unsqueeze(1)).exp() * moved).sum(-1)
        total = larger
        (rows,) = torch.where((targets >= piece.start) & (targets < piece.stop))
        own[rows] = moved[rows, targets[rows] - piece.start]
    return own - mean
