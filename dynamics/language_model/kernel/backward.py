"""The forward and backward pass that the tracked modules record, in one graph or layer by layer.

One graph: all sequences form one batch. A module is contracted as soon as the gradients at its output are known, and
its recordings are freed.

Layer by layer, which is gradient checkpointing at every decoder layer: the forward pass keeps only the hidden states
between the layers. The backward pass computes every layer again with a graph, from the last layer to the first. In each
layer it goes through all batches before the layer is contracted, since the kernel of two sequences in different batches
needs the recordings of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from dynamics.errors import Unsupported
from dynamics.language_model.batching import Batch
from dynamics.language_model.causal_lm import CausalLM, replaced_forward
from dynamics.language_model.kernel.recording import Recorder, TrackedModule, concatenate
from dynamics.language_model.kernel.tracking import TrackedModules, tracking
from dynamics.language_model.model_head import hidden_states

USE_GRAPH = "use memory='graph'"


def find_layers(model: CausalLM) -> tuple[nn.Module, ...]:
    """Return the decoder layers, the first one first; an empty tuple if the model does not show which they are.

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
class Checkpoint:
    """The input of one decoder layer in one forward pass, from which the layer is computed again.

    Attributes:
        compute: the layer's own forward.
        inputs: the hidden states that the layer read.
        arguments: its other positional arguments.
        options: its keyword arguments.
        leaf: the layer's output, as a leaf of the graph above it.
    """

    compute: Callable[..., Any]
    inputs: Tensor
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    leaf: Tensor

    def recompute(self, x: Tensor) -> Tensor:
        """Return the layer's output, with a graph if ``x`` requires a gradient."""
        out = self.compute(x, *self.arguments, **self.options)
        return out[0] if isinstance(out, tuple) else out


@dataclass(eq=False)
class BatchPass:
    """One batch between its forward and its backward pass.

    Attributes:
        batch: the batch.
        hidden: hidden states that predict the tokens of the responses, with the graph that leads to them.
        embeddings: embedding modules, their ids, and their outputs, which are leaves of the graph.
        checkpoints: one for every decoder layer that has not been computed again yet.
        leaf_gradients: gradients that have been computed so far, by the id of the leaf.
    """

    batch: Batch
    hidden: Tensor
    embeddings: list[tuple[TrackedModule, Tensor, Tensor]]
    checkpoints: list[Checkpoint]
    leaf_gradients: dict[int, Tensor] = field(default_factory=dict)

    def backpropagate(
        self, output: Tensor, gradient: Tensor, tracked: TrackedModules, extra: Tensor | None = None
    ) -> Tensor | None:
        """Propagate the gradient at an output to all leaves, and return the gradient at one extra tensor.

        Raises:
            InvalidArgument: a selected parameter has a gradient of its own. The tracked modules detach their
                parameters, so the parameter is used somewhere else too, and that use was not recorded.
        """
        names = list(tracked.selected)
        leaves = [leaf for _, _, leaf in self.embeddings] + [checkpoint.leaf for checkpoint in self.checkpoints]
        more = [] if extra is None else [extra]
        parameters: list[Tensor] = list(tracked.selected.values())
        found = torch.autograd.grad(output, leaves + more + parameters, gradient, allow_unused=True)
        for name, reached in zip(names, found[len(leaves) + len(more) :], strict=True):
            if reached is not None:
                problem = f"{name}, used outside of its module, has a gradient that was not recorded"
                raise Unsupported("parameters", problem, f"leave {name} out by parameters=")
        for leaf, reached in zip(leaves, found, strict=False):
            if reached is not None:
                before = self.leaf_gradients.get(id(leaf))
                self.leaf_gradients[id(leaf)] = reached if before is None else before + reached
        return found[len(leaves)] if extra is not None else None


def forward_and_backward(
    model: CausalLM,
    batches: Sequence[Batch],
    tracked: TrackedModules,
    recorder: Recorder,
    layers: Sequence[nn.Module],
    head: Callable[[Tensor], Tensor],
) -> None:
    """Run all batches forwards and backwards; the recorder receives the inputs and output gradients of all modules.

    Args:
        model: in eval mode, in the dtype to compute in, only the selected parameters requiring a gradient.
        batches: all sequences.
        tracked: the modules to record.
        recorder: receives what they report.
        layers: decoder layers at which to checkpoint; empty for one graph.
        head: function from the hidden states of all batches to the gradients at them.
    """
    with tracking(tracked, recorder):
        passes = [_forward(model, batch, recorder, layers) for batch in batches]
        rows = [p.hidden.shape[0] for p in passes]
        gradients = head(concatenate([p.hidden.detach() for p in passes])).split(rows)
        for p, gradient in zip(passes, gradients, strict=True):
            recorder.batch = p.batch
            hidden, p.hidden = p.hidden, torch.empty(0)
            p.backpropagate(hidden, gradient, tracked)
            del hidden  # and with it the graph
        for _ in layers:
            for p in passes:
                _layer_backward(p, tracked, recorder)
        for p in passes:
            recorder.batch = p.batch
            for module, ids, leaf in p.embeddings:
                gradient = p.leaf_gradients.pop(id(leaf), None)
                recorder.receive(module, ids, torch.zeros_like(leaf) if gradient is None else gradient)
        recorder.finish()


def _forward(model: CausalLM, batch: Batch, recorder: Recorder, layers: Sequence[nn.Module]) -> BatchPass:
    recorder.embeddings = []
    checkpoints: list[Checkpoint] = []
    with recorder.running(batch), _checkpointing(layers, checkpoints):
        hidden = hidden_states(model, batch.ids).flatten(0, 1)[batch.predicting]
    if len(checkpoints) != len(layers):
        raise Unsupported("memory", "this model does not use every decoder layer exactly once", USE_GRAPH)
    embeddings, recorder.embeddings = recorder.embeddings, []
    return BatchPass(batch, hidden, embeddings, checkpoints)


def _layer_backward(p: BatchPass, tracked: TrackedModules, recorder: Recorder) -> None:
    """Compute the last layer that is left again, and propagate the gradient from its output to its input."""
    checkpoint = p.checkpoints.pop()
    gradient = p.leaf_gradients.pop(id(checkpoint.leaf), None)
    if gradient is None:
        return
    x = checkpoint.inputs.detach().requires_grad_()
    with recorder.running(p.batch):
        out = checkpoint.recompute(x)
    if recorder.embeddings:
        raise Unsupported("memory", "this model has embeddings inside its decoder layers", USE_GRAPH)
    at_input = p.backpropagate(out, gradient, tracked, extra=x)
    if at_input is not None:
        p.backpropagate(checkpoint.inputs, at_input, tracked)


@contextmanager
def _checkpointing(layers: Sequence[nn.Module], checkpoints: list[Checkpoint]) -> Iterator[None]:
    with ExitStack() as stack:
        for number, layer in enumerate(layers):
            stack.enter_context(replaced_forward(layer, _checkpointed(layer.forward, number, checkpoints)))
        yield


def _checkpointed(compute: Callable[..., Any], number: int, checkpoints: list[Checkpoint]) -> Callable[..., Any]:
    def forward(x: Tensor, *arguments: Any, **options: Any) -> Any:
        for value in (*arguments, *options.values()):
            parts = value if isinstance(value, (tuple, list)) else (value,)
            if any(isinstance(part, Tensor) and part.requires_grad for part in parts):
                raise Unsupported("memory", f"gradients reach decoder layer {number} by two paths", USE_GRAPH)
        with torch.no_grad():
            out = compute(x, *arguments, **options)
        leaf = (out[0] if isinstance(out, tuple) else out).detach().requires_grad_()
        checkpoints.append(Checkpoint(compute, x, arguments, options, leaf))
        return (leaf, *out[1:]) if isinstance(out, tuple) else leaf

    return forward
