"""Recording of what every tracked module reads and of the gradient at its output, batch by batch.

The gradient of log pi(y | x) with respect to a weight is determined by the inputs of its module and the gradients at
its outputs. So these are recorded during the forward and the backward pass, in place of the gradient itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from dynamics.language_model.batching import Batch
from dynamics.language_model.kernel.blocks import RowPairs


class UnrecordedUse(Exception):
    """A parameter has a use that this method does not record, so another method has to compute the kernel.

    Attributes:
        names: the parameters, as far as they are known.
        late: whether the use came after the parameter's part of the kernel had been computed.
    """

    def __init__(self, names: Collection[str] = (), late: bool = False) -> None:
        super().__init__(", ".join(names))
        self.names, self.late = frozenset(names), late


@dataclass(eq=False)
class TrackedModule(ABC):
    """A module of the model whose contribution to the kernel is recorded.

    Attributes:
        name: name of the module in the model.
        module: the module.
        weight: whether its weight is among the selected parameters.
        bias: whether its bias is.
        inputs: recorded inputs, one tensor per batch, ``(tokens, in)``.
        output_gradients: recorded gradients at the output, one tensor per batch, ``(tokens, out)``.
        vector_gradients: gradients of parameters that are vectors (biases, norm weights), one tensor per batch,
            ``(sequences, size)``; these are small enough to be computed in full.
    """

    name: str
    module: Any
    weight: bool
    bias: bool
    inputs: list[Tensor] = field(default_factory=list)
    output_gradients: list[Tensor] = field(default_factory=list)
    vector_gradients: list[Tensor] = field(default_factory=list)

    @abstractmethod
    def recording_forward(self, recorder: Recorder) -> Callable[..., Tensor]:
        """Return a function that computes the same as the module's forward and reports its inputs to the recorder."""

    @abstractmethod
    def collect(self, inputs: Tensor, output_gradients: Tensor, batch: Batch) -> None:
        """Keep what the kernel needs of one batch.

        Args:
            inputs: inputs of the module without padding, ``(tokens, in)``.
            output_gradients: gradients at its output without padding, ``(tokens, out)``.
            batch: the batch.
        """

    @abstractmethod
    def kernel_part(self, row_pairs: RowPairs) -> tuple[Tensor, str]:
        """Return the kernel over the selected parameters of this module, and how it was contracted.

        Args:
            row_pairs: which pairs of recorded rows belong to which entry.
        """

    def check_attached(self, x: Tensor) -> Tensor:
        """Return an input that has a graph.

        Raises:
            UnrecordedUse: it has none: the backward pass would not reach this module, and nothing would be recorded.
        """
        if torch.is_grad_enabled() and not x.requires_grad:
            raise UnrecordedUse([self.name])
        return x

    def forget(self) -> None:
        """Drop everything that was recorded."""
        self.inputs, self.output_gradients, self.vector_gradients = [], [], []


@dataclass(eq=False)
class SharedInput:
    """A tensor that one or more modules read in one forward pass.

    Attributes:
        tensor: the tensor. It is referenced during the forward pass, so that its memory is not used for another one.
        readers: how many modules have read it and have not had their backward pass yet.
        packed: its rows without padding, from the first backward pass of a reader to the last one.
        complete: readers that have recorded all batches and wait for the other readers.
    """

    tensor: Tensor | None
    readers: int = 0
    packed: Tensor | None = None
    complete: list[TrackedModule] = field(default_factory=list)


class Recorder:
    """Collects what tracked modules report, and hands over those that have recorded every batch.

    Modules that read the same tensor, such as the query, key and value projections, are handed over together, because
    their kernels share the inner products of the inputs.

    Attributes:
        batch: the batch that is run at present.
        anchor: None, because the backward pass ends at the embeddings.
        embeddings: outputs of embeddings in this forward pass: the module, the ids, the output.
        counts: how many batches each module has recorded, by name.
    """

    def __init__(self, batches: int, finished: Callable[[Sequence[TrackedModule]], None]) -> None:
        """Prepare for a number of batches.

        Args:
            batches: how many batches there are.
            finished: is called with modules that have recorded all batches.
        """
        self.batches = batches
        self.finished = finished
        self.batch: Batch | None = None
        self.anchor: Tensor | None = None
        self.embeddings: list[tuple[TrackedModule, Tensor, Tensor]] = []
        self.counts: dict[str, int] = {}
        self._seen: set[tuple[str, tuple[int, ...]]] = set()
        self._inputs: dict[tuple[object, ...], SharedInput] = {}
        self._waiting: list[SharedInput] = []

    @contextmanager
    def running(self, batch: Batch) -> Iterator[None]:
        """Enable gradients for the forward pass of a batch.

        Tensors are identified by their place in memory; they are all referenced until the end of the pass, so that a
        place stands for one tensor only.
        """
        self.batch, self._inputs = batch, {}
        try:
            with torch.enable_grad():
                yield
        finally:
            for one in self._inputs.values():
                one.tensor = None
            self._inputs = {}

    def note_input(self, x: Tensor) -> SharedInput:
        """Note that one more module reads this tensor."""
        place = (x.data_ptr(), x.shape, x.stride(), x.dtype, x._version)
        found = self._inputs.setdefault(place, SharedInput(x))
        found.readers += 1
        return found

    def receive(
        self, tracked: TrackedModule, inputs: Tensor, output_gradients: Tensor, source: SharedInput | None = None
    ) -> None:
        """Record one module and one batch; after the last batch the module is handed over.

        Args:
            tracked: the module.
            inputs: what it read, ``(sequences, positions, ...)``.
            output_gradients: gradient at its output, ``(sequences, positions, ...)``.
            source: the input as ``note_input`` returned it; None if no other module reads the same tensor.

        Raises:
            UnrecordedUse: the module was used twice, or its rows are not the tokens of the batch.
        """
        if self.batch is None:
            raise RuntimeError("a tracked module was used outside of a batch")
        key = (tracked.name, self.batch.numbers)
        if key in self._seen:
            raise UnrecordedUse([tracked.name])
        self._seen.add(key)
        if output_gradients.shape[:2] != self.batch.shape or inputs.shape[:2] != self.batch.shape:
            raise UnrecordedUse([tracked.name])
        source = SharedInput(None, readers=1) if source is None else source
        if source.packed is None:
            source.packed = self.batch.pack(inputs.detach().flatten(0, 1))
        tracked.collect(source.packed, self.batch.pack(output_gradients.detach().flatten(0, 1)), self.batch)
        self.counts[tracked.name] = self.counts.get(tracked.name, 0) + 1
        if self.counts[tracked.name] == self.batches:
            source.complete.append(tracked)
            self._waiting.append(source)
        source.readers -= 1
        if source.readers == 0:
            source.packed = None
            self._hand_over(source)

    def finish(self) -> None:
        """Hand over the modules that still wait for another reader of their input.

        That reader had no backward pass: log pi does not depend on it.
        """
        for source in list(self._waiting):
            self._hand_over(source)

    def _hand_over(self, source: SharedInput) -> None:
        self._waiting = [other for other in self._waiting if other is not source]
        complete, source.complete = source.complete, []
        if complete:
            self.finished(complete)


class _Same(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, leaf: Tensor) -> Tensor:  # noqa: ARG004
        return leaf.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004
        return gradients[0]


def as_non_leaf(leaf: Tensor) -> Tensor:
    """Return the same numbers, in the same memory, as a tensor that the model may change in place, unlike the leaf."""
    found: Tensor = _Same.apply(leaf)
    return found


def concatenate(parts: Sequence[Tensor]) -> Tensor:
    """Return the rows of all batches; a single batch is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
