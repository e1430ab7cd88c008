"""The first-order change of log pi when the parameters change: the Jacobian-vector product, by forward-mode autodiff.

One forward pass carries the tangent of every activation along, so <g_y, change> is computed for all sequences at once
and no gradient is formed. If an operation of the model has no forward-mode derivative, two backward passes compute the
same.

The result is the exact derivative. The gradient of torch, and so the kernel, differs from it in one case: torch sets
the gradient of the embedding's row ``padding_idx`` to zero. This matters only if that token is among the inputs and its
row changes, as in a gradient step on a model whose head shares the weight of the embedding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from dynamics.errors import InvalidArgument, Unsupported, check_finite, check_shape
from dynamics.language_model.batching import Batch, length_matters, make_batches
from dynamics.language_model.causal_lm import CausalLM, as_module, padding_rows_trained, unwrapped
from dynamics.language_model.log_probs import VOCABULARY_PIECE
from dynamics.language_model.model_head import Head, confirmed_head, find_head, hidden_states, vocabulary_pieces
from dynamics.language_model.out_of_memory import is_out_of_memory, raising_out_of_memory
from dynamics.language_model.precision import compute_dtype, computing_in
from dynamics.language_model.tokens import TokenSequence, check_sequences

Change = Mapping[str, Tensor]
"""A change of parameters, by name. Parameters that are not named do not change."""


@dataclass(frozen=True, eq=False)
class Tangents:
    """A direction in the parameters of one model.

    Attributes:
        by_name: the change of every parameter that changes.
        weight: the change of the head's weight, ``(vocabulary, width)``; None if it does not change.
        bias: the change of the head's bias; None if it does not change.
    """

    by_name: dict[str, Tensor]
    weight: Tensor | None
    bias: Tensor | None


def check_change(model: CausalLM | nn.Module, change: Change) -> dict[str, nn.Parameter]:
    """Return the parameters that a change names, or refuse it.

    Args:
        model: the model.
        change: for each name, a tensor of the shape of the parameter.

    Raises:
        InvalidArgument: an empty change, an unknown name, another shape, a number that is not finite, or one parameter
            under two of its names.

    Example:
        >>> check_change(nn.Linear(1, 1), {"bias": torch.ones(1)})["bias"].shape
        torch.Size([1])
    """
    known = dict(as_module(unwrapped(model)).named_parameters(remove_duplicate=False))
    if not isinstance(change, Mapping) or not change:
        raise InvalidArgument("change", change, "a mapping from the name of at least one parameter to a tensor")
    found: dict[str, nn.Parameter] = {}
    for name, tensor in change.items():
        if name not in known:
            raise InvalidArgument("change", name, f"names of the model's parameters, such as {next(iter(known))}")
        if any(known[name] is other for other in found.values()):
            raise InvalidArgument(
                "change", f"{name} is a second name of a shared parameter; give it under one name only"
            )
        if not isinstance(tensor, Tensor):
            raise InvalidArgument(f"change[{name}]", tensor, "a tensor")
        check_finite(f"change[{name}]", check_shape(f"change[{name}]", tensor, known[name].shape))
        found[name] = known[name]
    return found


def make_tangents(model: CausalLM, change: Change, dtype: torch.dtype) -> Tangents:
    """Return a change in the dtype to compute in, on the device of each parameter."""
    linear = find_head(model).linear
    parameters = check_change(model, change)
    by_name = {name: change[name].detach().to(p.device, dtype) for name, p in parameters.items()}
    weight, bias = (None, None) if linear is None else (linear.weight, getattr(linear, "bias", None))
    return Tangents(
        by_name,
        next((by_name[name] for name, p in parameters.items() if p is weight), None),
        next((by_name[name] for name, p in parameters.items() if p is bias), None),
    )


class _Hidden(nn.Module):
    """The hidden states of a model as a module, whose parameters can be replaced."""

    def __init__(self, model: CausalLM, head: Head) -> None:
        super().__init__()
        self.model, self.head = as_module(model), head

    def forward(self, batch: Batch) -> Tensor:
        """Return the hidden states that predict the tokens of the responses, ``(predicting rows, width)``."""
        found = hidden_states(self.model, batch.ids, self.head)  # type: ignore[arg-type]
        return found.flatten(0, 1)[batch.predicting]

    def at(self, values: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Return the hidden states with these values in place of the parameters of these names."""
        found: Tensor = functional_call(self, {f"model.{name}": v for name, v in values.items()}, (batch,))
        return found


def hidden_jvp(model: CausalLM, batch: Batch, tangents: Tangents, head: Head) -> tuple[Tensor, Tensor]:
    """Return the hidden states that predict the tokens of the responses, and their first-order change.

    If an operation of the model has no forward-mode derivative, the change is computed by two backward passes: the
    gradient of <u, hidden states> is linear in u, and its inner product with the direction, differentiated with respect
    to u, is the change.

    Args:
        model: the model, in the dtype to compute in.
        batch: the sequences.
        tangents: the direction.
        head: the head of the model.

    Returns:
        Two tensors ``(predicting rows, width)``.

    Raises:
        InvalidArgument: an operation of the model has no derivative at all.
    """
    states = _Hidden(model, head)
    known = dict(states.model.named_parameters(remove_duplicate=False))
    # the fused attention kernels have no forward-mode derivative, and no second derivative
    with sdpa_kernel(SDPBackend.MATH):
        try:
            with torch.no_grad(), forward_ad.dual_level():
                dual = {name: forward_ad.make_dual(known[name].detach(), t) for name, t in tangents.by_name.items()}
                hidden, change = forward_ad.unpack_dual(states.at(dual, batch))
                return hidden, torch.zeros_like(hidden) if change is None else change
        except RuntimeError as problem:  # an operation without forward mode raises it, or its NotImplementedError;
            # whatever else is wrong is raised again by the passes below
            if is_out_of_memory(problem):
                raise
        try:
            return _two_backward_passes(states, known, batch, tangents)
        except NotImplementedError as problem:
            what = f"an operation of {type(model).__name__} has neither a forward-mode derivative nor a backward pass"
            raise Unsupported(
                "model", f"{what} ({problem})", "use a model that autograd can differentiate"
            ) from problem


def _two_backward_passes(
    states: _Hidden, known: Mapping[str, Tensor], batch: Batch, tangents: Tangents
) -> tuple[Tensor, Tensor]:
    with torch.enable_grad(), padding_rows_trained(states.model):
        values = {name: known[name].detach().requires_grad_() for name in tangents.by_name}
        hidden = states.at(values, batch)
        if not hidden.requires_grad:  # none of these parameters has an effect
            return hidden, torch.zeros_like(hidden)
        u = torch.zeros_like(hidden).requires_grad_()
        gradients = torch.autograd.grad(hidden, list(values.values()), u, create_graph=True, allow_unused=True)
        pairs = [(g, t) for g, t in zip(gradients, tangents.by_name.values(), strict=True) if g is not None]
        along = torch.stack([(g * t).sum() for g, t in pairs]).sum()
        change = torch.autograd.grad(along, u, allow_unused=True)[0] if along.requires_grad else None
    return hidden.detach(), torch.zeros_like(hidden) if change is None else change.detach()


def logits_jvp(
    hidden: Tensor, change: Tensor, head: Head, tangents: Tangents, size: int
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yield logits and their first-order change for one piece of the vocabulary after another.

    Args:
        hidden: hidden states, ``(rows, width)``.
        change: their first-order change.
        head: the head of the model.
        tangents: the direction of the parameters.
        size: vocabulary entries in one piece.

    Yields:
        The piece as a slice of the vocabulary, logits and change, both float64 ``(rows, piece)``.
    """
    for piece, logits in vocabulary_pieces(hidden, head, size):
        if head.linear is None:
            logit_change = change[:, piece]
        else:
            logit_change = change @ head.linear.weight.detach()[piece].T
            if tangents.weight is not None:
                logit_change = logit_change + hidden @ tangents.weight[piece].T
            if tangents.bias is not None:
                logit_change = logit_change + tangents.bias[piece]
            logit_change = logit_change * head.slope(logits)
        yield piece, logits.to(torch.float64), logit_change.to(torch.float64)


def log_probs_jvp(
    model: CausalLM,
    change: Change,
    sequences: Iterable[TokenSequence],
    *,
    dtype: torch.dtype | None = None,
    batch_tokens: int = 8192,
    vocabulary_piece: int = VOCABULARY_PIECE,
) -> Tensor:
    """Return the first-order change of log pi of every sequence, <g_y, change>, ``(sequences,)``, nats.

    With the change that a step makes it is the first-order prediction for that step, whatever the optimizer. For SGD
    ``predict_change`` computes the same from the kernel; the two share no code.

    Args:
        model: a causal language model; it is not changed.
        change: change of the parameters, by name, such as ``parameter_change`` returns.
        sequences: the responses whose change is wanted.
        dtype: dtype to compute in; by default the model's own, but not below float32.
        batch_tokens: padded tokens in one pass.
        vocabulary_piece: vocabulary entries whose logits exist at once.

    Raises:
        InvalidArgument: a change of parameters that are not this model's, bad sequences.
        OutOfMemory: the sequences do not fit into memory.

    Example:
        >>> from dynamics.language_model import sequence_log_probs, tiny_model
        >>> model = tiny_model()
        >>> every = [TokenSequence((1, y), 1) for y in range(23)]
        >>> change = log_probs_jvp(model, {"model.norm.weight": torch.ones(16)}, every)
        >>> p = sequence_log_probs(model, every).total.exp()
        >>> bool((p * change).sum().abs() < 1e-12)  # to first order the probabilities still sum to one
        True
    """
    pieces = {"batch_tokens": batch_tokens, "vocabulary_piece": vocabulary_piece}
    of_tokens = token_log_probs_jvp(model, change, sequences, dtype=dtype, **pieces)
    return torch.stack([changes.sum() for changes in of_tokens])


def token_log_probs_jvp(
    model: CausalLM,
    change: Change,
    sequences: Iterable[TokenSequence],
    *,
    dtype: torch.dtype | None = None,
    batch_tokens: int = 8192,
    vocabulary_piece: int = VOCABULARY_PIECE,
) -> list[Tensor]:
    """Return the first-order change of log pi of every token of every response; ``log_probs_jvp`` returns their sums.

    Args:
        model: as for ``log_probs_jvp``.
        change: as there.
        sequences: as there.
        dtype: as there.
        batch_tokens: as there.
        vocabulary_piece: as there.

    Returns:
        For each sequence the changes in nats, ``(tokens of the response,)``, float64.

    Raises:
        InvalidArgument: as there.
        OutOfMemory: as there.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> change = {"model.norm.weight": torch.ones(16)}
        >>> sequences = [TokenSequence((1, 2, 3), 1), TokenSequence((1, 4), 1)]
        >>> [len(changes) for changes in token_log_probs_jvp(tiny_model(), change, sequences)]
        [2, 1]
    """
    model = unwrapped(model)
    described = find_head(model)
    found = check_sequences(sequences, described.vocabulary)
    compute = compute_dtype(model, dtype)
    tangents = make_tangents(model, change, compute)
    with raising_out_of_memory("sequences", len(found)), computing_in(model, compute), torch.no_grad():
        result: dict[int, Tensor] = {}
        batches = make_batches(found, batch_tokens, described.device, length_matters(model))
        head = confirmed_head(model, batches[0].ids[:1])
        for batch in batches:
            hidden, hidden_change = hidden_jvp(model, batch, tangents, head)
            of_tokens = _target_change(hidden, hidden_change, batch.targets, head, tangents, vocabulary_piece)
            result |= zip(batch.numbers, of_tokens.cpu().split(batch.responses), strict=True)
    return [result[number] for number in range(len(found))]


def _target_change(
    hidden: Tensor, change: Tensor, targets: Tensor, head: Head, tangents: Tangents, size: int
) -> Tensor:
    """Return the change of log p(target) in every row: dz_target - E dz, with the logits z and their softmax."""
    total = torch.full(targets.shape, -torch.inf, dtype=torch.float64, device=targets.device)
    mean, of_target = torch.zeros_like(total), torch.zeros_like(total)
    for piece, logits, logit_change in logits_jvp(hidden, change, head, tangents, size):
        larger = torch.logaddexp(total, torch.logsumexp(logits, dim=-1))
        mean = mean * (total - larger).exp() + ((logits - larger.unsqueeze(1)).exp() * logit_change).sum(-1)
        total = larger
        (rows,) = torch.where((targets >= piece.start) & (targets < piece.stop))
        of_target[rows] = logit_change[rows, targets[rows] - piece.start]
    return of_target - mean
