"""The forward and backward pass during which everything is recorded, in one graph or layer by layer.

One graph: the forward pass keeps everything that the backward pass needs.

Layer by layer, which is gradient checkpointing at every decoder layer: the forward pass keeps only what is passed from
layer to layer. The backward pass computes every layer again with a graph, from the last layer to the first. For
each layer it goes through all batches before it computes the layer's part of the kernel, because the entry for two
sequences in different batches needs the recordings of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from dynamics.errors import Unsupported
from dynamics.language_model.batching import Batch
from dynamics.language_model.causal_lm import CausalLM, differentiating, replaced_forward
from dynamics.language_model.kernel.heap import give_back_freed_memory
from dynamics.language_model.kernel.recording import TrackedModule, UnrecordedUse, as_non_leaf, concatenate
from dynamics.language_model.model_head import Head, hidden_states

USE_GRAPH = "use memory='graph'"


class PassRecorder(Protocol):
    """What a forward and backward pass needs of its recorder.

    Attributes:
        anchor: a number on which the recorded uses depend; None if they depend on the leaves of the pass.
    """

    batch: Batch | None
    anchor: Tensor | None
    embeddings: list[tuple[TrackedModule, Tensor, Tensor]]

    def running(self, batch: Batch) -> Any:
        """Return a context in which a batch is run."""
        ...

    def receive(self, tracked: TrackedModule, inputs: Tensor, output_gradients: Tensor) -> None:
        """Record what one module read in one batch, and the gradients at its output."""
        ...


class TrackedParameters(Protocol):
    """The selected parameters of a model: which are recorded, and which autograd differentiates.

    Attributes:
        head: the head of the model.
        recorded: parameters whose gradients are recorded at each use; they must not reach the loss by any other path,
            where autograd would find a gradient that was not recorded.
        differentiated: parameters whose gradients autograd computes for each sequence.
    """

    @property
    def head(self) -> Head: ...  # noqa: D102

    @property
    def recorded(self) -> dict[str, nn.Parameter]: ...  # noqa: D102

    @property
    def differentiated(self) -> dict[str, nn.Parameter]: ...  # noqa: D102


def find_layers(model: CausalLM) -> tuple[nn.Module, ...]:
    """Return the decoder layers, the first one first; an empty tuple if the model does not show which they are.

    They are the longest part of the model that is a list of ``num_hidden_layers`` modules.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> len(find_layers(tiny_model("gpt2", layers=3)))
        3
    """
    config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
    count = getattr(config, "num_hidden_layers", None)
    lists: list[nn.Module] = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == count]
    return tuple(max(lists, key=_size).children()) if lists else ()


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@dataclass(eq=False)
class Checkpoint:
    """What one decoder layer was given in one forward pass, from which the layer is computed again.

    Attributes:
        layer: the layer.
        compute: its own forward.
        given: its arguments, flattened.
        structure: their structure.
        leaves: the floating-point tensors among its results, as leaves of the graph above it, by their place.
    """

    layer: nn.Module
    compute: Callable[..., Any]
    given: list[Any]
    structure: TreeSpec
    leaves: dict[int, Tensor]

    def sources(self) -> dict[int, Tensor]:
        """Return the arguments through which gradients flow, by their place."""
        return {place: v for place, v in enumerate(self.given) if isinstance(v, Tensor) and v.requires_grad}

    def recompute(self, sources: dict[int, Tensor]) -> list[Any]:
        """Return the results, flattened, with other tensors in place of the sources."""
        given = [sources.get(place, value) for place, value in enumerate(self.given)]
        arguments, options = tree_unflatten(given, self.structure)
        return tree_flatten(self.compute(*arguments, **options))[0]


@dataclass(eq=False)
class BatchPass:
    """One batch between its forward and its backward pass.

    Attributes:
        batch: the batch.
        hidden: hidden states that predict the tokens of the responses, with the graph that leads to them.
        embeddings: embedding modules, their ids, and their outputs, which are leaves of the graph.
        checkpoints: one for every decoder layer that has not been computed again yet.
        leaf_gradients: gradients that have been computed so far, by the ``id`` of the leaf tensor.
        gradients: gradients of the parameters that autograd differentiates, by name.
    """

    batch: Batch
    hidden: Tensor
    embeddings: list[tuple[TrackedModule, Tensor, Tensor]]
    checkpoints: list[Checkpoint]
    leaf_gradients: dict[int, Tensor] = field(default_factory=dict)
    gradients: dict[str, Tensor] = field(default_factory=dict)

    def backpropagate(
        self,
        outputs: Sequence[Tensor],
        gradients: Sequence[Tensor],
        tracked: TrackedParameters,
        anchor: Tensor | None,
        extra: Sequence[Tensor] = (),
        retain_graph: bool = False,
    ) -> Sequence[Tensor | None]:
        """Propagate the gradients at some outputs to all leaves, and return the gradients at the extra tensors.

        Raises:
            UnrecordedUse: autograd finds a gradient of a recorded parameter. Where its uses are recorded it is
                detached, so it has been used in another way too.
        """
        leaves = [leaf for _, _, leaf in self.embeddings]
        leaves += [leaf for checkpoint in self.checkpoints for leaf in checkpoint.leaves.values()]
        recorded, differentiated = tracked.recorded, tracked.differentiated
        asked = [*extra, *leaves, *recorded.values(), *differentiated.values(), *([] if anchor is None else [anchor])]
        needed = [(o, g) for o, g in zip(outputs, gradients, strict=True) if o.requires_grad]
        if not needed:
            return [None] * len(extra)
        ends, starts = zip(*needed, strict=True)
        with differentiating():
            found = list(torch.autograd.grad(ends, asked, starts, allow_unused=True, retain_graph=retain_graph))
        at_extra, rest = found[: len(extra)], found[len(extra) :]
        at_leaves, rest = rest[: len(leaves)], rest[len(leaves) :]
        unrecorded = [name for name, g in zip(recorded, rest, strict=False) if g is not None]
        if unrecorded:
            raise UnrecordedUse(unrecorded)
        for leaf, g in zip(leaves, at_leaves, strict=True):
            _add(self.leaf_gradients, id(leaf), g)
        for name, g in zip(differentiated, rest[len(recorded) :], strict=False):
            _add(self.gradients, name, g)
        return at_extra


def _add(totals: dict[Any, Tensor], key: Any, gradient: Tensor | None) -> None:
    if gradient is not None:
        totals[key] = totals[key] + gradient if key in totals else gradient


def forward_and_backward(
    model: CausalLM,
    batches: Sequence[Batch],
    tracked: TrackedParameters,
    recorder: PassRecorder,
    layers: Sequence[nn.Module],
    head: Callable[[Tensor], Tensor],
    layer_done: Callable[[nn.Module, Sequence[BatchPass]], None],
) -> list[BatchPass]:
    """Run all batches forwards and backwards, and return the passes with what autograd has computed.

    Args:
        model: in eval mode, in the dtype to compute in, only the selected parameters requiring a gradient.
        batches: all sequences.
        tracked: what is recorded, and what is differentiated.
        recorder: records the uses of the parameters.
        layers: decoder layers at which to checkpoint; empty for one graph.
        head: function from the hidden states of all batches to the gradients at them.
        layer_done: is called with a decoder layer when all its uses have been recorded.
    """
    passes = []
    for batch in batches:
        passes.append(_forward(model, batch, tracked.head, recorder, layers))
        _tidy(layers, batch)
    rows = [p.hidden.shape[0] for p in passes]
    gradients = head(concatenate([p.hidden.detach() for p in passes])).split(rows)
    for p, gradient in zip(passes, gradients, strict=True):
        recorder.batch = p.batch
        hidden, p.hidden = p.hidden, torch.empty(0)
        # layers may be given tensors of this graph too, so it is retained if there are any
        p.backpropagate([hidden], [gradient], tracked, recorder.anchor, retain_graph=bool(p.checkpoints))
        del hidden
    while any(p.checkpoints for p in passes):
        last = [p.checkpoints[-1].layer for p in passes if p.checkpoints]
        for p in passes:
            if p.checkpoints and p.checkpoints[-1].layer is last[0]:
                _layer_backward(p, tracked, recorder)
                _tidy(layers, p.batch)
        if all(checkpoint.layer is not last[0] for p in passes for checkpoint in p.checkpoints):
            layer_done(last[0], passes)
    for p in passes:
        recorder.batch = p.batch
        for module, ids, leaf in p.embeddings:
            gradient = p.leaf_gradients.pop(id(leaf), None)
            recorder.receive(module, ids, torch.zeros_like(leaf) if gradient is None else gradient)
    return passes


def _tidy(layers: Sequence[nn.Module], batch: Batch) -> None:
    """Give back what a layer of a batch has freed, if the layers are computed one by one to save memory of the CPU."""
    if layers and batch.ids.device.type == "cpu":
        give_back_freed_memory()


def _forward(
    model: CausalLM, batch: Batch, head: Head, recorder: PassRecorder, layers: Sequence[nn.Module]
) -> BatchPass:
    recorder.embeddings = []
    checkpoints: list[Checkpoint] = []
    with recorder.running(batch), _checkpointing(layers, checkpoints):
        hidden = hidden_states(model, batch.ids, head).flatten(0, 1)[batch.predicting]
    embeddings, recorder.embeddings = recorder.embeddings, []
    return BatchPass(batch, hidden, embeddings, checkpoints)


def _layer_backward(p: BatchPass, tracked: TrackedParameters, recorder: PassRecorder) -> None:
    """Compute the last layer that is left again, and propagate the gradients from its results to its arguments."""
    checkpoint = p.checkpoints.pop()
    at_results = {
        place: p.leaf_gradients.pop(id(leaf))
        for place, leaf in checkpoint.leaves.items()
        if id(leaf) in p.leaf_gradients
    }
    if not at_results:
        return
    sources = checkpoint.sources()
    fresh = {place: tensor.detach().requires_grad_() for place, tensor in sources.items()}
    with recorder.running(p.batch):
        results = checkpoint.recompute(fresh)
    if recorder.embeddings:
        raise UnrecordedUse
    found = p.backpropagate(
        [results[place] for place in at_results],
        list(at_results.values()),
        tracked,
        recorder.anchor,
        list(fresh.values()),
    )
    reached = [(source, g) for source, g in zip(sources.values(), found, strict=True) if g is not None]
    if reached:  # several layers may be given tensors that come from one graph, so it is retained
        tensors, gradients = [source for source, _ in reached], [g for _, g in reached]
        p.backpropagate(tensors, gradients, tracked, recorder.anchor, retain_graph=True)


@contextmanager
def _checkpointing(layers: Sequence[nn.Module], checkpoints: list[Checkpoint]) -> Iterator[None]:
    with ExitStack() as stack:
        for layer in layers:
            stack.enter_context(replaced_forward(layer, _checkpointed(layer, layer.forward, checkpoints)))
        yield


def _checkpointed(layer: nn.Module, compute: Callable[..., Any], checkpoints: list[Checkpoint]) -> Callable[..., Any]:
    def forward(*arguments: Any, **options: Any) -> Any:
        given, structure = tree_flatten((arguments, options))
        before = [_contents(value) for value in given]
        with torch.no_grad():
            made = compute(*arguments, **options)
        after = tree_flatten((arguments, options))[0]
        results, shape = tree_flatten(made)
        told = all(value is None or isinstance(value, (Tensor, bool, int, float, str)) for value in results)
        if not told or [id(v) for v in given] != [id(v) for v in after] or before != [_contents(v) for v in given]:
            problem = f"decoder layer {len(checkpoints)} passes on more than the tensors that it returns"
            raise Unsupported("memory", problem, USE_GRAPH)
        leaves = {
            place: value.detach().requires_grad_()
            for place, value in enumerate(results)
            if isinstance(value, Tensor) and value.is_floating_point()
        }
        checkpoints.append(Checkpoint(layer, compute, given, structure, leaves))
        given_on = [as_non_leaf(leaves[place]) if place in leaves else value for place, value in enumerate(results)]
        return tree_unflatten(given_on, shape)

    return forward


def _contents(value: object, depth: int = 4) -> object:
    """Return a digest of an argument that changes if a layer stores something in it, such as keys and values."""
    if isinstance(value, Tensor):
        return id(value), value._version
    if depth == 0 or isinstance(value, (type(None), bool, int, float, str, nn.Module)):
        return None
    if isinstance(value, (list, tuple)):
        return [_contents(part, depth - 1) for part in value]
    known = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    return [(name, _contents(part, depth - 1)) for name, part in known.items()]
