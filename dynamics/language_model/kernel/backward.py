"""One forward and one backward pass that feed the taps, whole or layer by layer.

Whole ("graph"): one batch, one graph; a module is contracted as soon as its gradient rows are known, and these are
freed.

Layer by layer: the forward pass keeps only the hidden states between decoder layers. From the top down, every layer is
computed again with a graph, batch after batch; its rows are contracted when all batches are in. Plain micro-batches
could not do this, since a pair of sequences from different batches needs the rows of one layer from both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from dynamics.errors import InvalidArgument
from dynamics.language_model.batching import Batch
from dynamics.language_model.kernel.layers import EmbeddingTap, joined
from dynamics.language_model.kernel.record import Record
from dynamics.language_model.model_head import hidden_states, replaced_forward
from dynamics.language_model.parameters import Coverage


def find_layers(model: Any) -> tuple[nn.Module, ...]:
    """Return the decoder layers, bottom first; empty if they cannot be told.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> len(find_layers(tiny_model("gpt2", layers=3)))
        3
    """
    count = getattr(model.config, "num_hidden_layers", None)
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count and len({type(m) for m in module}) == 1:
            return tuple(module)
    return ()


@dataclass(eq=False)
class Cut:
    """One decoder layer in one forward pass: what went in, and a leaf that takes the place of what came out."""

    compute: Callable[..., Any]
    inputs: Tensor
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    leaf: Tensor

    def recompute(self, x: Tensor) -> Tensor:
        """Compute the layer again."""
        out = self.compute(x, *self.arguments, **self.options)
        return out[0] if isinstance(out, tuple) else out


@dataclass(eq=False)
class Pass:
    """One batch on its way: the graph above each cut, and the gradients that have arrived so far."""

    batch: Batch
    hidden: Tensor
    embedded: list[tuple[EmbeddingTap, Tensor, Tensor]]
    cuts: list[Cut]
    arrived: dict[int, Tensor] = field(default_factory=dict)

    def pull(self, output: Tensor, gradient: Tensor, coverage: Coverage, extra: Tensor | None = None) -> Tensor | None:
        """Send a gradient down from an output to all leaves, and return what reaches the extra one."""
        names = list(coverage.selected)
        leaves = [leaf for _, _, leaf in self.embedded] + [cut.leaf for cut in self.cuts]
        targets = [*leaves, *([] if extra is None else [extra]), *coverage.selected.values()]
        found = torch.autograd.grad(output, targets, gradient, allow_unused=True)
        for name, reached in zip(names, found[len(targets) - len(names) :], strict=True):
            if reached is not None:
                allowed = "parameters used only by their own module; leave it out by parameters="
                raise InvalidArgument("parameters", f"{name}, used outside of its module", allowed)
        for leaf, reached in zip(leaves, found, strict=False):
            if reached is not None:
                before = self.arrived.get(id(leaf))
                self.arrived[id(leaf)] = reached if before is None else before + reached
        return found[len(leaves)] if extra is not None else None


def sweep(
    model: Any,
    batches: Sequence[Batch],
    coverage: Coverage,
    record: Record,
    layers: Sequence[nn.Module],
    head: Callable[[Tensor], Tensor],
) -> None:
    """Run all batches forwards and backwards; the record gets the rows of every tap.

    Args:
        model: prepared: eval mode, the dtype to compute in, only the selected parameters requiring a gradient.
        batches: all sequences.
        coverage: the taps.
        record: what they report to.
        layers: decoder layers to cut at; empty for one graph.
        head: from the packed hidden states of all batches to the gradients at them.
    """
    with tapped(coverage, record):
        passes = [_forward(model, batch, record, layers) for batch in batches]
        rows = [p.hidden.shape[0] for p in passes]
        gradients = head(joined([p.hidden.detach() for p in passes])).split(rows)
        for p, gradient in zip(passes, gradients, strict=True):
            record.batch = p.batch
            hidden, p.hidden = p.hidden, torch.empty(0)
            p.pull(hidden, gradient, coverage)
            del hidden
        for _ in layers:
            for p in passes:
                _pull_layer(p, coverage, record)
        for p in passes:
            record.batch = p.batch
            for tap, ids, leaf in p.embedded:
                gradient = p.arrived.pop(id(leaf), None)
                record.receive(tap, ids, torch.zeros_like(leaf) if gradient is None else gradient)
        record.finish()


@contextmanager
def tapped(coverage: Coverage, record: Record) -> Iterator[None]:
    """Let every tap take the place of its module's forward."""
    with ExitStack() as stack:
        for tap in coverage.taps:
            stack.enter_context(replaced_forward(tap.module, tap.forward(record)))
        yield


def _forward(model: Any, batch: Batch, record: Record, layers: Sequence[nn.Module]) -> Pass:
    record.leaves = []
    cuts: list[Cut] = []
    with record.running(batch), _cutting(layers, cuts):
        hidden = hidden_states(model, batch.ids).flatten(0, 1)[batch.predicting]
    if len(cuts) != len(layers):
        raise InvalidArgument("memory", "layerwise", "'graph': this model does not run every layer once")
    embedded, record.leaves = record.leaves, []
    return Pass(batch, hidden, embedded, cuts)


def _pull_layer(p: Pass, coverage: Coverage, record: Record) -> None:
    cut = p.cuts.pop()
    gradient = p.arrived.pop(id(cut.leaf), None)
    if gradient is None:
        return
    x = cut.inputs.detach().requires_grad_()
    with record.running(p.batch):
        out = cut.recompute(x)
    if record.leaves:
        raise InvalidArgument("memory", "layerwise", "'graph': this model has embeddings inside its layers")
    below = p.pull(out, gradient, coverage, extra=x)
    if below is not None:
        p.pull(cut.inputs, below, coverage)


@contextmanager
def _cutting(layers: Sequence[nn.Module], cuts: list[Cut]) -> Iterator[None]:
    with ExitStack() as stack:
        for layer in layers:
            stack.enter_context(replaced_forward(layer, _cut_forward(layer.forward, cuts)))
        yield


def _cut_forward(compute: Callable[..., Any], cuts: list[Cut]) -> Callable[..., Any]:
    def forward(x: Tensor, *arguments: Any, **options: Any) -> Any:
        for value in (*arguments, *options.values()):
            parts = value if isinstance(value, (tuple, list)) else (value,)
            if any(isinstance(part, Tensor) and part.requires_grad for part in parts):
                raise InvalidArgument(
                    "memory", "layerwise", "'graph': gradients pass between layers in more ways than one"
                )
        with torch.no_grad():
            out = compute(x, *arguments, **options)
        leaf = (out[0] if isinstance(out, tuple) else out).detach().requires_grad_()
        cuts.append(Cut(compute, x, arguments, options, leaf))
        return (leaf, *out[1:]) if isinstance(out, tuple) else leaf

    return forward
