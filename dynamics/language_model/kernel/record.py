"""What the taps of a model report to: rows of a batch come in, and whole modules go out to be contracted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dynamics.errors import InvalidArgument
from dynamics.language_model.batching import Batch

if TYPE_CHECKING:
    from dynamics.language_model.kernel.layers import EmbeddingTap, Tap


@dataclass(eq=False)
class Input:
    """A tensor that one or more taps read in one forward pass.

    Attributes:
        tensor: the tensor, held during the forward pass so that nothing else can take its place in memory.
        readers: taps that have read it and whose backward pass is still to come.
        packed: its rows without padding, from the first reader's backward pass to the last one's.
        complete: readers that have the rows of all batches and wait for the others.
    """

    tensor: Tensor | None
    readers: int = 0
    packed: Tensor | None = None
    complete: list[Tap] = field(default_factory=list)


class Record:
    """What the taps report to: the batch that is being run, and what to do with its rows.

    Taps that read the same tensor are finished together, so that they can share what depends on it alone.
    """

    def __init__(self, batches: int, finished: Callable[[Sequence[Tap]], None]) -> None:
        self.batches = batches
        self.finished = finished
        self.batch: Batch | None = None
        self.leaves: list[tuple[EmbeddingTap, Tensor, Tensor]] = []
        self.seen: set[tuple[str, tuple[int, ...]]] = set()
        self.counts: dict[str, int] = {}
        self.inputs: dict[tuple[object, ...], Input] = {}
        self.waiting: list[Input] = []

    @contextmanager
    def running(self, batch: Batch) -> Iterator[None]:
        """Run a batch forwards: inputs are told apart by where they are in memory, as long as all of them are held."""
        self.batch, self.inputs = batch, {}
        try:
            with torch.enable_grad():
                yield
        finally:
            for one in self.inputs.values():
                one.tensor = None
            self.inputs = {}

    def read(self, x: Tensor) -> Input:
        """Note that a tap reads a tensor."""
        place = (x.data_ptr(), x.shape, x.stride(), x.dtype, x._version)
        found = self.inputs.setdefault(place, Input(x))
        found.readers += 1
        return found

    def receive(self, tap: Tap, a: Tensor, g: Tensor, source: Input | None = None) -> None:
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
        source = Input(None, readers=1) if source is None else source
        if source.packed is None:
            source.packed = self.batch.pack(a.detach().flatten(0, 1))
        tap.collect(source.packed, self.batch.pack(g.detach().flatten(0, 1)), self.batch)
        self.counts[tap.name] = self.counts.get(tap.name, 0) + 1
        if self.counts[tap.name] == self.batches:
            source.complete.append(tap)
            self.waiting.append(source)
        source.readers -= 1
        if source.readers == 0:
            source.packed = None
            self._finish(source)

    def finish(self) -> None:
        """Finish the taps that wait for readers whose backward pass has not come: log pi does not depend on them."""
        for source in list(self.waiting):
            self._finish(source)

    def _finish(self, source: Input) -> None:
        self.waiting = [other for other in self.waiting if other is not source]
        complete, source.complete = source.complete, []
        if complete:
            self.finished(complete)
