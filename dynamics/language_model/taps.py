"""What each parametrised operation of a model contributes to the kernel: its input rows and output-gradient rows.

A tap is the same operation with a backward pass that hands the rows on instead of forming a weight gradient. Taps are
put in place of the ``forward`` of single module instances and taken away again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dynamics.errors import InvalidArgument
from dynamics.language_model.batching import Batch, Segments
from dynamics.language_model.contractions import Route, cheaper_route, contract, ghost, gram
from dynamics.language_model.loading import require


@dataclass(eq=False)
class Tap(ABC):
    """One module whose selected parameters a handler understands.

    Attributes:
        name: of the module in the model.
        module: the module.
        weight: whether its weight is among the selected parameters.
        bias: whether its bias is.
    """

    name: str
    module: Any
    weight: bool
    bias: bool
    left: list[Tensor] = field(default_factory=list)
    right: list[Tensor] = field(default_factory=list)
    sums: list[Tensor] = field(default_factory=list)

    @abstractmethod
    def forward(self, record: Record) -> Callable[..., Tensor]:
        """Return the forward that takes the place of the module's own."""

    @abstractmethod
    def collect(self, a: Tensor, g: Tensor, batch: Batch) -> None:
        """Keep what one batch contributes."""

    @abstractmethod
    def contract(self, segments: Segments, route: Route | None) -> tuple[Tensor, str]:
        """Return the Gram matrix of the gradients of the selected parameters, and the route taken."""

    def row_bytes(self) -> int:
        """Return how many numbers are kept for each token between the backward pass and the contraction."""
        return 0

    def release(self) -> None:
        """Forget all rows."""
        self.left, self.right, self.sums = [], [], []


class Record:
    """What the taps report to: the batch that is being run, and what to do with its rows."""

    def __init__(self, batches: int, finished: Callable[[Tap], None]) -> None:
        self.batches = batches
        self.finished = finished
        self.batch: Batch | None = None
        self.leaves: list[tuple[EmbeddingTap, Tensor, Tensor]] = []
        self.seen: set[tuple[str, tuple[int, ...]]] = set()
        self.counts: dict[str, int] = {}

    def receive(self, tap: Tap, a: Tensor, g: Tensor) -> None:
        """Take the rows of one module and one batch; after the last batch the module is finished."""
        if self.batch is None:
            raise RuntimeError("a tap was used outside of a batch")
        key = (tap.name, self.batch.numbers)
        if key in self.seen:
            raise InvalidArgument("model", f"{tap.name} used twice in one forward pass", "modules that are used once")
        self.seen.add(key)
        if g.shape[:2] != self.batch.shape or a.shape[:2] != self.batch.shape:
            raise InvalidArgument(
                "model", f"{tap.name} on rows of shape {tuple(a.shape)}", f"modules on {(*self.batch.shape, '...')}"
            )
        tap.collect(a.detach().flatten(0, 1), g.detach().flatten(0, 1), self.batch)
        self.counts[tap.name] = self.counts.get(tap.name, 0) + 1
        if self.counts[tap.name] == self.batches:
            self.finished(tap)


class _LinearFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, tap: LinearTap, record: Record) -> Tensor:
        ctx.save_for_backward(x)
        ctx.tap, ctx.record = tap, record
        bias = getattr(tap.module, "bias", None)
        return functional.linear(x, tap.matrix(), None if bias is None else bias.detach())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (g,) = gradients
        (x,) = ctx.saved_tensors
        ctx.record.receive(ctx.tap, x, g)
        return g @ ctx.tap.matrix(), None, None


class _ScaleFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, tap: ScaleTap, record: Record) -> Tensor:
        ctx.save_for_backward(x)
        ctx.tap, ctx.record = tap, record
        bias = getattr(tap.module, "bias", None)
        scaled = x * tap.module.weight.detach()
        return scaled if bias is None else scaled + bias.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (g,) = gradients
        (x,) = ctx.saved_tensors
        ctx.record.receive(ctx.tap, x, g)
        return g * ctx.tap.module.weight.detach(), None, None


class LinearTap(Tap):
    """A linear map, ``nn.Linear`` or GPT-2's ``Conv1D`` (the same with the weight transposed)."""

    def matrix(self) -> Tensor:
        """Return the weight as ``(out, in)``."""
        weight = self.module.weight.detach()
        return weight if isinstance(self.module, nn.Linear) else weight.T

    def forward(self, record: Record) -> Callable[..., Tensor]:
        """Return the tapped linear map."""
        return lambda x: _LinearFunction.apply(x, self, record)

    def collect(self, a: Tensor, g: Tensor, batch: Batch) -> None:
        """Keep packed rows for the weight, sums over tokens for the bias."""
        if a.ndim != 2:
            raise InvalidArgument("model", f"{self.name} on inputs of {a.ndim + 1} axes", "linear maps on 3 axes")
        packed = g[batch.valid]
        if self.weight:
            self.left.append(a[batch.valid])
            self.right.append(packed)
        if self.bias:
            self.sums.append(Segments.of(batch.inputs, packed.device).sum(packed))

    def contract(self, segments: Segments, route: Route | None) -> tuple[Tensor, str]:
        """Return the Gram matrix over weight and bias."""
        total = gram(torch.cat(self.sums)) if self.bias else None
        if not self.weight:
            return total if total is not None else torch.empty(0), "vector"
        a, g = torch.cat(self.left), torch.cat(self.right)
        self.release()
        taken = route or cheaper_route(segments, a.shape[1], g.shape[1])
        block = contract(a, g, segments, taken)
        return (block if total is None else block + total), taken

    def row_bytes(self) -> int:
        """Return in + out for a weight."""
        return sum(self.module.weight.shape) if self.weight else 0


class ScaleTap(Tap):
    """The elementwise scale (and shift) at the end of RMSNorm or LayerNorm."""

    def forward(self, record: Record) -> Callable[..., Tensor]:
        """Return the norm with its scale tapped."""
        return lambda x: _ScaleFunction.apply(normalised(self.module, x), self, record)

    def collect(self, a: Tensor, g: Tensor, batch: Batch) -> None:
        """Keep sums over tokens of gradient times normalised input, and of the gradient."""
        packed = g[batch.valid]
        segments = Segments.of(batch.inputs, packed.device)
        width = packed.shape[-1]  # norms of single heads have an axis of heads between rows and width
        parts = [_rows(a[batch.valid].to(torch.float64) * packed, width)] if self.weight else []
        if self.bias:
            parts.append(_rows(packed, width))
        parts = [segments.sum(part) for part in parts]
        self.sums.append(torch.cat(parts, dim=1))

    def contract(self, segments: Segments, route: Route | None) -> tuple[Tensor, str]:  # noqa: ARG002
        """Return the Gram matrix over scale and shift; there is one way only."""
        total = gram(torch.cat(self.sums))
        self.release()
        return total, "vector"


class EmbeddingTap(Tap):
    """An embedding table, a linear map of one-hot rows: token or position embeddings."""

    def forward(self, record: Record) -> Callable[..., Tensor]:
        """Return an embedding whose output is a leaf of the graph; its gradient is what the table receives."""
        look_up = type(self.module).forward

        def embed(ids: Tensor) -> Tensor:
            if record.batch is None or not torch.is_grad_enabled():
                return look_up(self.module, ids)
            ids = ids.expand(record.batch.shape)  # positions come once for the whole batch
            with torch.no_grad():
                leaf = look_up(self.module, ids)
            leaf.requires_grad_()
            record.leaves.append((self, ids, leaf))
            return leaf

        return embed

    def collect(self, a: Tensor, g: Tensor, batch: Batch) -> None:
        """Keep ids and gradients of packed rows; a padding index receives no gradient, as in torch itself."""
        if not self.weight:  # tapped for the sake of its leaf only
            return
        ids, packed = a[batch.valid], g[batch.valid]
        padding = getattr(self.module, "padding_idx", None)
        if padding is not None:
            packed = packed.masked_fill((ids == padding).unsqueeze(1), 0)
        self.left.append(ids)
        self.right.append(packed)

    def rows(self) -> tuple[Tensor, Tensor]:
        """Return the ids and gradients of all packed rows."""
        return torch.cat(self.left), torch.cat(self.right)

    def contract(self, segments: Segments, route: Route | None) -> tuple[Tensor, str]:  # noqa: ARG002
        """Return the Gram matrix over the table: token pairs with equal ids."""
        ids, g = self.rows()
        equal = ids.unsqueeze(1)
        return ghost(segments, segments, lambda r, c: (g[r] @ g[c].T) * (equal[r] == ids[c])), "ghost"

    def row_bytes(self) -> int:
        """Return the width."""
        return int(self.module.weight.shape[1])


def _rows(values: Tensor, width: int) -> Tensor:
    return values.reshape(values.shape[0], -1, width).sum(1)


def normalised(module: nn.Module, x: Tensor) -> Tensor:
    """Return what a norm multiplies by its weight."""
    if isinstance(module, nn.LayerNorm):
        return functional.layer_norm(x, module.normalized_shape, None, None, module.eps)
    wide = x.to(torch.float32) if x.dtype in (torch.float16, torch.bfloat16) else x
    mean_square = wide.pow(2).mean(-1, keepdim=True)
    epsilon = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    if epsilon is None:
        epsilon = torch.finfo(wide.dtype).eps
    return (wide * torch.rsqrt(mean_square + epsilon)).to(x.dtype)


def make_tap(name: str, module: nn.Module, weight: bool, bias: bool) -> Tap | None:
    """Return the tap for a module, or None if no handler understands it.

    A module is recognised by the forward function that it really has, and a norm by what it returns on random numbers,
    so that a subclass which computes something else is not mistaken for what its name says.
    """
    if "forward" in module.__dict__:
        return None  # somebody else's replacement, such as an offloading hook: unknown
    forward = type(module).forward
    if forward is nn.Linear.forward or forward is _conv1d().forward:
        return LinearTap(name, module, weight, bias)
    if forward is nn.Embedding.forward and isinstance(module, nn.Embedding):
        return (
            None
            if module.max_norm is not None or module.scale_grad_by_freq
            else EmbeddingTap(name, module, weight, bias)
        )
    return ScaleTap(name, module, weight, bias) if _is_scaled_norm(module) else None


def _conv1d() -> Any:
    return require("transformers.pytorch_utils").Conv1D


def _is_scaled_norm(module: nn.Module) -> bool:
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    known = {parameter for parameter, _ in module.named_parameters()}
    if not isinstance(weight, Tensor) or weight.ndim != 1 or not known <= {"weight", "bias"} or list(module.children()):
        return False
    if isinstance(module, nn.LayerNorm) and len(module.normalized_shape) != 1:
        return False
    generator = torch.Generator().manual_seed(0)
    x = 1e-2 * torch.randn(3, weight.shape[0], generator=generator, dtype=torch.float64).to(weight.device, weight.dtype)
    with torch.no_grad():
        try:
            got = module(x)
        except (TypeError, ValueError, RuntimeError):
            return False
        expected = normalised(module, x) * weight
        expected = expected if bias is None else expected + bias
    exact = torch.finfo(torch.float32 if x.dtype == torch.float64 else x.dtype).eps
    return bool(torch.allclose(got, expected, rtol=8 * exact, atol=8 * exact))
