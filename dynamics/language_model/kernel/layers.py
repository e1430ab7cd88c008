"""The kinds of modules whose contribution to the kernel is known: linear maps, norms and embeddings.

Each kind computes the same function as the module that it stands for; its backward pass records the inputs and the
gradients at the output, and forms no weight gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dynamics.language_model.batching import Batch, Segments
from dynamics.language_model.kernel.blocks import RowPairs
from dynamics.language_model.kernel.contractions import Contraction, cheaper_contractions, contract
from dynamics.language_model.kernel.recording import (
    Recorder,
    SharedInput,
    TrackedModule,
    UnrecordedUse,
    as_non_leaf,
    concatenate,
)
from dynamics.language_model.loading import require


class _LinearFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, tracked: TrackedLinear, recorder: Recorder, source: SharedInput) -> Tensor:
        ctx.save_for_backward(x)
        ctx.tracked, ctx.recorder, ctx.source = tracked, recorder, source
        bias = getattr(tracked.module, "bias", None)
        return functional.linear(x, tracked.matrix(), None if bias is None else bias.detach())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (g,) = gradients
        (x,) = ctx.saved_tensors
        ctx.recorder.receive(ctx.tracked, x, g, ctx.source)
        return g @ ctx.tracked.matrix(), None, None, None


class _ScaleFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, tracked: TrackedNorm, recorder: Recorder) -> Tensor:
        ctx.save_for_backward(x)
        ctx.tracked, ctx.recorder = tracked, recorder
        bias = getattr(tracked.module, "bias", None)
        scaled = x * tracked.scale()
        return scaled if bias is None else scaled + bias.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (g,) = gradients
        (x,) = ctx.saved_tensors
        ctx.recorder.receive(ctx.tracked, *(ctx.tracked.by_token(rows, ctx.recorder.batch) for rows in (x, g)))
        return g * ctx.tracked.scale(), None, None


class TrackedLinear(TrackedModule):
    """A linear map: ``nn.Linear``, or GPT-2's ``Conv1D``, which is the same with the weight transposed."""

    def matrix(self) -> Tensor:
        """Return the weight as ``(out, in)``."""
        weight = self.module.weight.detach()
        return weight if isinstance(self.module, nn.Linear) else weight.T

    def recording_forward(self, recorder: Recorder) -> Callable[..., Tensor]:
        """Return the linear map with recording."""

        def linear(x: Tensor) -> Tensor:
            if not torch.is_grad_enabled():
                return type(self.module).forward(self.module, x)
            return _LinearFunction.apply(self.check_attached(x), self, recorder, recorder.note_input(x))

        return linear

    def collect(self, inputs: Tensor, output_gradients: Tensor, batch: Batch) -> None:
        """Keep inputs and output gradients for the weight, and the gradient of the bias."""
        if inputs.ndim != 2:
            raise UnrecordedUse([self.name])
        if self.weight:
            self.inputs.append(inputs)
            self.output_gradients.append(output_gradients)
        if self.bias:
            self.vector_gradients.append(Segments.of(batch.inputs, output_gradients.device).sum(output_gradients))

    def kernel_part(self, row_pairs: RowPairs) -> tuple[Tensor, str]:
        """Return the kernel over weight and bias, and how it was contracted."""
        return contract_together([self], row_pairs, None)[0]


def contract_together(
    maps: Sequence[TrackedLinear], row_pairs: RowPairs, contraction: Contraction | None
) -> list[tuple[Tensor, str]]:
    """Return the kernel over weight and bias of each linear map, and how it was contracted; recordings are dropped.

    Args:
        maps: linear maps that read the same inputs.
        row_pairs: which pairs of recorded rows belong to which entry.
        contraction: contraction of all weights; None for the cheaper one of each.
    """
    weights = [one for one in maps if one.weight]
    parts: dict[str, Tensor] = {}
    chosen: dict[str, str] = {}
    if weights:
        inputs, gradients = concatenate(weights[0].inputs), []
        for one in weights:
            gradients.append(concatenate(one.output_gradients))
            one.inputs, one.output_gradients = [], []
        widths = [g.shape[1] for g in gradients]
        if contraction is None:
            contractions = cheaper_contractions(row_pairs, inputs.shape[1], widths)
        else:
            contractions = (contraction,) * len(gradients)
        names = [one.name for one in weights]
        parts = dict(zip(names, contract(inputs, gradients, row_pairs, contractions), strict=True))
        chosen = dict(zip(names, contractions, strict=True))
    for one in maps:
        if one.bias:
            biases = row_pairs.inner_products(torch.cat(one.vector_gradients))
            parts[one.name] = parts[one.name] + biases if one.weight else biases
        one.forget()
    return [(parts[one.name], chosen.get(one.name, "vector")) for one in maps]


@dataclass(eq=False)
class TrackedNorm(TrackedModule):
    """An RMSNorm or LayerNorm: a normalisation without parameters, then an elementwise weight and maybe a bias.

    Attributes:
        offset: what is added to the weight: 1 in Gemma, which stores the difference from 1.
    """

    offset: float = 0.0

    def scale(self) -> Tensor:
        """Return what the normalised input is multiplied by."""
        weight: Tensor = self.module.weight.detach()
        return weight if self.offset == 0 else weight + self.offset

    def by_token(self, rows: Tensor, batch: Batch | None) -> Tensor:
        """Return rows as ``(sequences, positions, ...)``, where they may be ``(sequences, heads, positions, width)``.

        Raises:
            UnrecordedUse: as many heads as positions, or as sequences, so that the layout does not show which is which.
        """
        if rows.ndim != 4 or batch is None:
            return rows
        if rows.shape[1] in (rows.shape[0], rows.shape[2]):
            raise UnrecordedUse([self.name])
        return rows.transpose(1, 2) if (rows.shape[0], rows.shape[2]) == batch.shape else rows

    def recording_forward(self, recorder: Recorder) -> Callable[..., Tensor]:
        """Return the norm with recording."""
        return lambda x: _ScaleFunction.apply(self.check_attached(normalised(self.module, x)), self, recorder)

    def collect(self, inputs: Tensor, output_gradients: Tensor, batch: Batch) -> None:
        """Keep the gradients of weight and bias; ``inputs`` are the normalised ones."""
        segments = Segments.of(batch.inputs, output_gradients.device)
        width = output_gradients.shape[-1]
        parts = [inputs * output_gradients] if self.weight else []
        if self.bias:
            parts.append(output_gradients)
        self.vector_gradients.append(torch.cat([segments.sum(_sum_heads(part, width)) for part in parts], dim=1))

    def kernel_part(self, row_pairs: RowPairs) -> tuple[Tensor, str]:
        """Return the kernel over weight and bias, from their gradients."""
        total = row_pairs.inner_products(torch.cat(self.vector_gradients))
        self.forget()
        return total, "vector"


@dataclass(eq=False)
class TrackedEmbedding(TrackedModule):
    """An embedding of tokens or of positions: a linear map of one-hot inputs.

    Attributes:
        factor: what the vectors are multiplied by.
    """

    factor: float = 1.0

    def recording_forward(self, recorder: Recorder) -> Callable[..., Tensor]:
        """Return an embedding whose output is a leaf of the graph; the gradient at this leaf is recorded later."""
        look_up = type(self.module).forward

        def embed(ids: Tensor) -> Tensor:
            if recorder.batch is None or not torch.is_grad_enabled():
                return look_up(self.module, ids)
            count, positions = recorder.batch.shape
            if torch.broadcast_shapes((1, 1), ids.shape) not in {(m, n) for m in (1, count) for n in (1, positions)}:
                raise UnrecordedUse([self.name])
            ids = ids.expand(recorder.batch.shape)  # positions are given once for all sequences
            with torch.no_grad():
                leaf = look_up(self.module, ids)
            leaf.requires_grad_()
            recorder.embeddings.append((self, ids, leaf))
            return as_non_leaf(leaf)

        return embed

    def collect(self, inputs: Tensor, output_gradients: Tensor, batch: Batch) -> None:  # noqa: ARG002
        """Keep ids and output gradients; as in torch, the padding index has no gradient."""
        if not self.weight:  # tracked only because the backward pass ends at its output
            return
        padding = getattr(self.module, "padding_idx", None)
        if padding is not None:
            output_gradients = output_gradients.masked_fill((inputs == padding).unsqueeze(1), 0)
        self.inputs.append(inputs)
        self.output_gradients.append(output_gradients if self.factor == 1 else output_gradients * self.factor)

    def recorded(self) -> tuple[Tensor, Tensor]:
        """Return the ids and the output gradients of all batches, ``(tokens,)`` and ``(tokens, width)``."""
        return concatenate(self.inputs), concatenate(self.output_gradients)

    def kernel_part(self, row_pairs: RowPairs) -> tuple[Tensor, str]:
        """Return the kernel over the embedding's weight: only pairs of equal tokens contribute."""
        return lookup_kernel(*self.recorded(), row_pairs), "ghost"


def lookup_kernel(ids: Tensor, output_gradients: Tensor, row_pairs: RowPairs) -> Tensor:
    """Return the kernel over a table of vectors that are looked up: only pairs of equal ids contribute."""
    g, column = output_gradients, ids.unsqueeze(1)
    (part,) = row_pairs.sum(lambda s: [(g[s.rows] @ g[s.columns].T).mul_(column[s.rows] == ids[s.columns])])
    return part


def _sum_heads(values: Tensor, width: int) -> Tensor:
    """Sum over heads, where one norm is applied to every attention head: ``(tokens, heads, width)``."""
    return values.reshape(values.shape[0], -1, width).sum(1)


def normalised(module: nn.Module, x: Tensor) -> Tensor:
    """Return the normalised input of a norm, which the norm then multiplies by its weight."""
    if isinstance(module, nn.LayerNorm):
        return functional.layer_norm(x, module.normalized_shape, None, None, module.eps)
    wide = x.to(torch.float32) if x.dtype in (torch.float16, torch.bfloat16) else x
    mean_square = wide.pow(2).mean(-1, keepdim=True)
    epsilon = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    if epsilon is None:
        epsilon = torch.finfo(wide.dtype).eps
    return (wide * torch.rsqrt(mean_square + epsilon)).to(x.dtype)


def track_module(name: str, module: nn.Module, weight: bool, bias: bool) -> TrackedModule | None:
    """Return the module as a tracked one, or None if it is of no known kind.

    A linear map or embedding is recognised by its forward function, a norm by its output on random numbers. So a
    subclass that computes something else than its base class is not mistaken for it.
    """
    if "forward" in module.__dict__:
        return None  # another library has replaced the forward, for example to offload weights
    forward = type(module).forward
    if forward is nn.Linear.forward or forward is _conv1d().forward:
        return TrackedLinear(name, module, weight, bias)
    if isinstance(module, nn.Embedding):
        factor = _embedding_factor(module)
        return None if factor is None else TrackedEmbedding(name, module, weight, bias, factor=factor)
    offset = _norm_offset(module)
    return None if offset is None else TrackedNorm(name, module, weight, bias, offset=offset)


def _conv1d() -> Any:
    return require("transformers.pytorch_utils").Conv1D


def _embedding_factor(module: nn.Embedding) -> float | None:
    """Return what an embedding multiplies its vectors by, or None if it does something else.

    Only one that has a scale is tried out: what others expect is not known, and on a GPU an index out of range would
    end the process.
    """
    if module.max_norm is not None or module.scale_grad_by_freq or list(module.children()):
        return None
    if type(module).forward is nn.Embedding.forward:
        return 1.0
    if not hasattr(module, "embed_scale"):
        return None
    weight = module.weight.detach()
    ids = torch.linspace(0, weight.shape[0] // 2, 8, device=weight.device).long().unique().unsqueeze(0)
    with torch.no_grad():
        try:
            got = module(ids).detach()  # hooks may have made it require a gradient
        except (TypeError, ValueError, RuntimeError):
            return None
    plain = weight[ids].to(torch.float64)
    squares = float(plain.square().sum())
    if got.shape != plain.shape or got.dtype != weight.dtype or squares == 0:
        return None
    factor = float((got.to(torch.float64) * plain).sum()) / squares
    bound = 8 * torch.finfo(weight.dtype).eps
    close = torch.allclose(got.to(torch.float64), factor * plain, rtol=bound, atol=0)
    return factor if close and factor != 0 else None


def _norm_offset(module: nn.Module) -> float | None:
    """Return what a norm adds to its weight, or None if the module is no norm that we know."""
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    known = {parameter for parameter, _ in module.named_parameters()}
    if not isinstance(weight, Tensor) or weight.ndim != 1 or not known <= {"weight", "bias"} or list(module.children()):
        return None
    if isinstance(module, nn.LayerNorm) and len(module.normalized_shape) != 1:
        return None
    generator = torch.Generator().manual_seed(0)
    x = 1e-2 * torch.randn(3, weight.shape[0], generator=generator, dtype=torch.float64).to(weight.device, weight.dtype)
    with torch.no_grad():
        try:
            got = module(x)
        except (TypeError, ValueError, RuntimeError):
            return None
        made = normalised(module, x)
    exact = torch.finfo(torch.float32 if x.dtype == torch.float64 else x.dtype).eps
    for offset in (0.0, 1.0):
        expected = made * (weight + offset).detach() + (0 if bias is None else bias.detach())
        if got.shape == expected.shape and torch.allclose(got, expected, 8 * exact, 8 * exact, equal_nan=True):
            return offset
    return None
