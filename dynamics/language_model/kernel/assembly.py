"""The parts of one kernel, collected while the backward pass goes on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dynamics.language_model.batching import Batch, Segments
from dynamics.language_model.kernel.backward import BatchPass
from dynamics.language_model.kernel.blocks import Blocks, RowPairs, given_order, matrices, placed
from dynamics.language_model.kernel.contractions import Contraction
from dynamics.language_model.kernel.head import head_backward, tied_cross_terms
from dynamics.language_model.kernel.layers import TrackedLinear, contract_together
from dynamics.language_model.kernel.recording import Recorder, TrackedModule, UnrecordedUse
from dynamics.language_model.kernel.stacks import with_stacks
from dynamics.language_model.kernel.tracking import HeadNames, TrackedMatrices, TrackedModules
from dynamics.language_model.kernel.use_contractions import joined, matrix_parts, vector_part
from dynamics.language_model.kernel.uses import Matrix, UseRecorder
from dynamics.language_model.model_head import Head

TIED_CROSS = "tied cross terms"
AUTOGRAD = "autograd"


class Assembly(ABC):
    """The parts of one kernel while it is computed, in the order of the batches; ``finished_parts`` reorders them.

    Attributes:
        parts: the part of each module, ``(entries,)``.
        contractions: how the part of each module was computed.
        log_probs: log pi of every sequence, in the order in which the sequences were given.
    """

    def __init__(
        self,
        head: Head,
        names: HeadNames,
        batches: Sequence[Batch],
        blocks: Blocks,
        contraction: Contraction | None,
        piece: int,
    ) -> None:
        self._head, self._names, self._contraction, self._piece = head, names, contraction, piece
        self._order = [number for batch in batches for number in batch.numbers]
        self._given, self._blocks = blocks, placed(blocks, self._order)
        self._inputs = Segments.of([n for batch in batches for n in batch.inputs], head.device)
        self._responses = Segments.of([n for batch in batches for n in batch.responses], head.device)
        self._row_pairs = with_stacks(RowPairs.of(self._blocks, self._inputs))
        self._targets = torch.cat([batch.targets for batch in batches])
        self._ids = torch.cat([batch.ids.flatten()[batch.valid] for batch in batches])
        self._back = torch.tensor(self._order).argsort()
        self.parts: dict[str, Tensor] = {}
        self.contractions: dict[str, str] = {}

    def backward_of_head(self, hidden: Tensor, tied: bool) -> Tensor:
        """Add the head's part of the kernel, and return the gradient at the hidden states."""
        self._unique = self._ids.unique() if tied else self._ids[:0]
        self._of_head = head_backward(
            hidden,
            self._targets,
            self._head,
            RowPairs.of(self._blocks, self._responses),
            weight=self._names.weight,
            bias=self._names.bias,
            ids=self._unique,
            vocabulary_piece=self._piece,
            contraction=self._contraction,
        )
        if self._of_head.kernel is not None:
            self.parts[self._names.name] = self._of_head.kernel
            self.contractions[self._names.name] = self._of_head.contraction
        self._hidden = hidden if tied else hidden[:0]
        self._sums = None if self._head.linear is None else self._responses.sum(hidden).cpu()[self._back]
        return self._of_head.gradient

    @abstractmethod
    def head_backward(self, hidden: Tensor) -> Tensor:
        """Add the head's part of the kernel, and return the gradient at the hidden states."""

    @abstractmethod
    def layer_done(self, layer: nn.Module, passes: Sequence[BatchPass]) -> None:
        """Add what a decoder layer contributes, after its last use."""

    @abstractmethod
    def done(self, passes: Sequence[BatchPass]) -> None:
        """Add everything else."""

    def add_tied_cross_terms(self, ids: Tensor, gradients: Tensor, owners: Segments) -> None:
        """Add the inner products between the head's and the embedding's gradients of one shared weight."""
        self.parts[TIED_CROSS] = tied_cross_terms(
            self._of_head, self._hidden, self._responses, self._unique, ids, gradients, owners, self._blocks
        )
        self.contractions[TIED_CROSS] = "ghost"

    @property
    def log_probs(self) -> Tensor:
        """Return log pi of every sequence, in the order in which they were given."""
        return self._responses.sum(self._of_head.log_probs.unsqueeze(1)).squeeze(1).cpu()[self._back]

    @property
    def hidden_sums(self) -> Tensor | None:
        """Return the sum of the hidden states of every response, in the order in which they were given."""
        return self._sums

    def finished_parts(self) -> list[dict[str, Tensor]]:
        """Return the parts of every block, with the sequences in the order in which they were given."""
        found: list[dict[str, Tensor]] = [{} for _ in self._given]
        places = given_order(self._given, self._order)
        every = torch.stack(list(self.parts.values())).cpu()[:, places]  # one transfer from a GPU
        for name, part in zip(self.parts, every, strict=True):
            for block, of_block, matrix in zip(self._given, found, matrices(self._given, part), strict=True):
                of_block[name] = symmetric(matrix) if block.symmetric else matrix
        return found


class ModuleAssembly(Assembly):
    """The parts of tracked modules, each computed as soon as it has recorded all batches."""

    def __init__(
        self,
        tracked: TrackedModules,
        batches: Sequence[Batch],
        blocks: Blocks,
        contraction: Contraction | None,
        piece: int,
    ) -> None:
        super().__init__(tracked.head, tracked.of_head, batches, blocks, contraction, piece)
        self._tracked = tracked
        self.recorder = Recorder(len(batches), self._finished)

    def head_backward(self, hidden: Tensor) -> Tensor:
        """Add the head's part of the kernel, and return the gradient at the hidden states."""
        return self.backward_of_head(hidden, self._tracked.tied is not None)

    def layer_done(self, layer: nn.Module, passes: Sequence[BatchPass]) -> None:
        """Do nothing: the recorder hands over every module that is complete."""

    def done(self, passes: Sequence[BatchPass]) -> None:  # noqa: ARG002
        """Add the modules that still wait for another reader of their input, and zeros for those that are not used."""
        self.recorder.finish()
        for one in self._tracked.modules:
            count = self.recorder.counts.get(one.name, 0)
            if count not in (0, self.recorder.batches):
                raise UnrecordedUse([one.name])
            if count == 0 and (one.weight or one.bias):  # log pi does not depend on it: its gradient is zero
                self.parts[one.name] = self._row_pairs.zeros()
                self.contractions[one.name] = "unused"

    def _finished(self, modules: Sequence[TrackedModule]) -> None:
        """Add the parts of modules that have recorded all batches; linear maps with the same inputs go together."""
        groups: dict[tuple[int, ...], list[TrackedLinear]] = {}
        for one in modules:
            if isinstance(one, TrackedLinear):
                groups.setdefault(tuple(id(rows) for rows in one.inputs), []).append(one)
            elif one.weight or one.bias:
                self._add(one)
        for group in groups.values():
            for one, found in zip(group, contract_together(group, self._row_pairs, self._contraction), strict=True):
                self.parts[one.name], self.contractions[one.name] = found

    def _add(self, one: TrackedModule) -> None:
        if one is self._tracked.tied:
            ids, embedded = self._tracked.tied.recorded()
            self.add_tied_cross_terms(ids, embedded, self._inputs)
        self.parts[one.name], self.contractions[one.name] = one.kernel_part(self._row_pairs)
        one.forget()


class UseAssembly(Assembly):
    """The parts of recorded uses of matrices and of gradients that autograd computes.

    Attributes:
        recorder: records the uses.
    """

    def __init__(
        self,
        tracked: TrackedMatrices,
        layers: dict[str, nn.Module],
        batches: Sequence[Batch],
        blocks: Blocks,
        contraction: Contraction | None,
        piece: int,
    ) -> None:
        """Prepare for some sequences.

        Args:
            tracked: what is recorded and what is differentiated.
            layers: the decoder layer of every parameter whose part may be computed when the layer is done, by name.
            batches: all sequences, each as a batch of one.
            blocks: the entries, in numbers of sequences.
            contraction: contraction of all linear maps; None for the cheaper one of each.
            piece: vocabulary entries whose logits exist at once.
        """
        super().__init__(tracked.head, tracked.of_head, batches, blocks, contraction, piece)
        self._tracked, self._layers = tracked, layers
        places = {number: place for place, number in enumerate(self._order)}
        self.recorder = UseRecorder(tracked.matrices, places, tracked.head.device)

    def head_backward(self, hidden: Tensor) -> Tensor:
        """Add the head's part of the kernel, and return the gradient at the hidden states."""
        return self.backward_of_head(hidden, self._tracked.tied is not None)

    def layer_done(self, layer: nn.Module, passes: Sequence[BatchPass]) -> None:
        """Add the parameters of a decoder layer."""
        self._add({name for name, owner in self._layers.items() if owner is layer}, passes)

    def done(self, passes: Sequence[BatchPass]) -> None:
        """Add all parameters that are left."""
        closed = self.recorder.closed
        late = self.recorder.late | {name for p in passes for name in p.gradients if name in closed}
        if late:
            raise UnrecordedUse(late, late=True)
        tied = self._tracked.tied
        if tied is not None:
            self._add_tied(tied)
        self._add(set(self._tracked.selected) - closed, passes)

    def _add_tied(self, tied: Matrix) -> None:
        if any(rows for uses in tied.maps.values() for rows in uses.values()):
            raise UnrecordedUse([tied.name])
        if not any(tied.lookups.values()):
            return
        ids, owners = joined(tied.lookups, len(self._order), 0)
        if not bool(torch.isin(ids, self._unique).all()):
            raise UnrecordedUse([tied.name])
        self.add_tied_cross_terms(ids, joined(tied.lookups, len(self._order), 1)[0], owners)

    def _add(self, names: set[str], passes: Sequence[BatchPass]) -> None:
        matrices = [one for one in self._tracked.matrices if one.name in names]
        for name, (part, how) in matrix_parts(matrices, self._row_pairs, self._contraction).items():
            self._add_part(name, part, how)
        for name in self._tracked.differentiated:
            if name in names:
                gradients = [p.gradients.pop(name, None) for p in passes]
                used = any(g is not None for g in gradients)
                part = vector_part([[g] for g in gradients], self._row_pairs)
                self._add_part(name, part, AUTOGRAD if used else "unused")
        self.recorder.closed |= names

    def _add_part(self, parameter: str, part: Tensor, how: str) -> None:
        """Add the part of a parameter to that of its module."""
        module = parameter.rpartition(".")[0]
        before = self.contractions.get(module, "unused")
        self.parts[module] = self.parts[module] + part if module in self.parts else part
        if "unused" in (before, how) or before == AUTOGRAD:
            how = how if before in ("unused", AUTOGRAD) and how != "unused" else before
        elif how != before:
            how = before if how == AUTOGRAD else "materialised"
        self.contractions[module] = how


def symmetric(part: Tensor) -> Tensor:
    """Return the mean of a matrix and its transpose.

    Example:
        >>> symmetric(torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
        tensor([[0.0000, 0.5000],
                [0.5000, 0.0000]])
    """
    return (part + part.T) / 2
