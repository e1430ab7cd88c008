"""What each parametrised operation of a model contributes to the kernel: its input rows and output-gradient rows.

A tap is the same operation with a backward pass that hands the rows on instead of forming a weight gradient. Taps are
put in place of the ``forward`` of single module instances and taken away again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dynamics.errors import InvalidArgument
from dynamics.language_model.batching import Batch, Segments
from dynamics.language_model.kernel.contractions import Route, cheaper_routes, contract, ghost, gram
from dynamics.language_model.kernel.record import Input, Record
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
        """Keep what one batch contributes.

        Args:
            a: packed input rows of the batch.
            g: packed rows of the gradient at the output.
            batch: whose rows they are.
        """

    @abstractmethod
    def contract(self, segments: Segments) -> tuple[Tensor, str]:
        """Return the Gram matrix of the gradients of the selected parameters, and the route taken."""

    def reached(self, x: Tensor) -> Tensor:
        """Refuse an input that is cut off from the tokens: no backward pass would come by and bring its rows."""
        if torch.is_grad_enabled() and not x.requires_grad:
            raise InvalidArgument("parameters", f"{self.name} on a detached input", "parameters on the way of a token")
        return x

    def release(self) -> None:
        """Forget all rows."""
        self.left, self.right, self.sums = [], [], []


class _LinearFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, tap: LinearTap, record: Record, source: Input) -> Tensor:
        ctx.save_for_backward(x)
        ctx.tap, ctx.record, ctx.source = tap, record, source
        bias = getattr(tap.module, "bias", None)
        return functional.linear(x, tap.matrix(), None if bias is None else bias.detach())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (g,) = gradients
        (x,) = ctx.saved_tensors
        ctx.record.receive(ctx.tap, x, g, ctx.source)
        return g @ ctx.tap.matrix(), None, None, None


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

        def linear(x: Tensor) -> Tensor:
            if not torch.is_grad_enabled():
                return type(self.module).forward(self.module, x)
            return _LinearFunction.apply(self.reached(x), self, record, record.read(x))

        return linear

    def collect(self, a: Tensor, g: Tensor, batch: Batch) -> None:
        """Keep packed rows for the weight, sums over tokens for the bias."""
        if a.ndim != 2:
            raise InvalidArgument("model", f"{self.name} on inputs of {a.ndim + 1} axes", "linear maps on 3 axes")
        if self.weight:
            self.left.append(a)
            self.right.append(g)
        if self.bias:
            self.sums.append(Segments.of(batch.inputs, g.device).sum(g))

    def contract(self, segments: Segments) -> tuple[Tensor, str]:
        """Return the Gram matrix over weight and bias."""
        return contract_together([self], segments, None)[0]


def contract_together(taps: Sequence[LinearTap], segments: Segments, route: Route | None) -> list[tuple[Tensor, str]]:
    """Return the Gram matrix over weight and bias of each tap, and the route taken; all rows are forgotten.

    Args:
        taps: linear maps that read the same inputs.
        segments: whose rows are whose.
        route: the route of all weights; None for the cheaper ones.
    """
    weights = [tap for tap in taps if tap.weight]
    blocks: dict[str, Tensor] = {}
    taken: dict[str, str] = {}
    if weights:
        a, gs = joined(weights[0].left), []
        for tap in weights:
            gs.append(joined(tap.right))
            tap.left, tap.right = [], []
        widths = [g.shape[1] for g in gs]
        routes = cheaper_routes(segments, a.shape[1], widths) if route is None else (route,) * len(gs)
        names = [tap.name for tap in weights]
        blocks = dict(zip(names, contract(a, gs, segments, routes), strict=True))
        taken = dict(zip(names, routes, strict=True))
    for tap in taps:
        if tap.bias:
            biases = gram(torch.cat(tap.sums))
            blocks[tap.name] = blocks[tap.name] + biases if tap.weight else biases
        tap.release()
    return [(blocks[tap.name], taken.get(tap.name, "vector")) for tap in taps]


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Return the rows of all batches; a single batch is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


class ScaleTap(Tap):
    """The elementwise scale (and shift) at the end of RMSNorm or LayerNorm."""

    def forward(self, record: Record) -> Callable[..., Tensor]:
        """Return the norm with its scale tapped."""
        return lambda x: _ScaleFunction.apply(self.reached(normalised(self.module, x)), self, record)

    def collect(self, a: Tensor, g: Tensor, batch: Batch) -> None:
        """Keep sums over tokens of gradient times normalised input, and of the gradient."""
        segments = Segments.of(batch.inputs, g.device)
        width = g.shape[-1]  # norms of single heads have an axis of heads between rows and width
        parts = [a * g] if self.weight else []
        if self.bias:
            parts.append(g)
        self.sums.append(torch.cat([segments.sum(_rows(part, width)) for part in parts], dim=1))

    def contract(self, segments: Segments) -> tuple[Tensor, str]:  # noqa: ARG002
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

    def collect(self, a: Tensor, g: Tensor, batch: Batch) -> None:  # noqa: ARG002
        """Keep ids and gradients of packed rows; a padding index receives no gradient, as in torch itself."""
        if not self.weight:  # tapped for the sake of its leaf only
            return
        padding = getattr(self.module, "padding_idx", None)
        if padding is not None:
            g = g.masked_fill((a == padding).unsqueeze(1), 0)
        self.left.append(a)
        self.right.append(g)

    def rows(self) -> tuple[Tensor, Tensor]:
        """Return the ids and gradients of all packed rows."""
        return joined(self.left), joined(self.right)

    def contract(self, segments: Segments) -> tuple[Tensor, str]:
        """Return the Gram matrix over the table: token pairs with equal ids."""
        ids, g = self.rows()
        equal = ids.unsqueeze(1)
        (block,) = ghost(segments, segments, lambda r, c: [(g[r] @ g[c].T).mul_(equal[r] == ids[c])])
        return block, "ghost"


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
    return bool(torch.allclose(got, expected, rtol=8 * exact, atol=8 * exact, equal_nan=True))
