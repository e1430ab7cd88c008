"""The exact kernel <g_i, g_j> of whole sequences, g_i = grad log pi(y_i | x_i), without any gradient written down."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from dynamics.errors import InvalidArgument, check_count
from dynamics.language_model.batching import Segments, make_batches
from dynamics.language_model.kernel.backward import find_layers, sweep
from dynamics.language_model.kernel.contractions import Route
from dynamics.language_model.kernel.head import pull_head, tied_cross
from dynamics.language_model.kernel.layers import LinearTap, Tap, contract_together
from dynamics.language_model.kernel.memory import Memory, MemoryPlan, plan_memory
from dynamics.language_model.kernel.record import Record
from dynamics.language_model.log_probs import VOCABULARY_PIECE
from dynamics.language_model.model_head import find_head
from dynamics.language_model.parameters import Coverage, Filter, cover, requiring
from dynamics.language_model.precision import compute_dtype, computing_in
from dynamics.language_model.shortage import OutOfMemory, out_of_memory, release, telling_shortage
from dynamics.language_model.tokens import TokenSequence, check_sequences

LOG = logging.getLogger(__name__)
TIED_CROSS = "tied cross terms"


@dataclass(frozen=True, eq=False)
class SequenceKernel:
    """The Gram matrix of the scores of some sequences.

    Attributes:
        kernel: <g_i, g_j>, ``(sequences, sequences)``, float64, symmetric, PSD.
        log_probs: log pi(y_i | x_i) in nats, ``(sequences,)``, float64.
        by_module: the part of each module, by name; the parts sum to ``kernel``. With a tied head, what the shared
            weight contributes is the head's part, the embedding's part and ``"tied cross terms"``.
        route: how each module was contracted: ``"ghost"``, ``"product"``, or ``"vector"`` for biases and norms.
        plan: the memory that was expected.
        dtype: what it was computed in.
    """

    kernel: Tensor
    log_probs: Tensor
    by_module: dict[str, Tensor] = field(repr=False)
    route: dict[str, str] = field(repr=False)
    plan: MemoryPlan | None = None
    dtype: torch.dtype = torch.float64

    def norms(self) -> Tensor:
        """Return ||g_i||, ``(sequences,)``."""
        return self.kernel.diagonal().clamp(min=0).sqrt()

    def cosine(self) -> Tensor:
        """Return the cosines of the angles between scores, ``(sequences, sequences)``; NaN where a score is zero."""
        norms = self.norms()
        return self.kernel / (norms.unsqueeze(0) * norms.unsqueeze(1))


def sequence_kernel(
    model: Any,
    sequences: Iterable[TokenSequence],
    *,
    parameters: Filter = None,
    dtype: torch.dtype | None = None,
    memory: Memory = "auto",
    route: Route | None = None,
    batch_tokens: int = 1024,
    vocabulary_piece: int = VOCABULARY_PIECE,
) -> SequenceKernel:
    """Return the exact kernel of sequences under a causal language model.

    One batched forward and one backward pass. Every linear map is contracted the cheaper of two ways (see
    ``contractions``); everything is added up in float64. The model is left as it was.

    Args:
        model: a Hugging Face causal language model with a linear head.
        sequences: prompts and responses from ``tokenize``, of any lengths.
        parameters: which parameters: function of the name, glob or globs; by default all that require a gradient.
        dtype: dtype to compute in, float32 or float64; by default the model's own, but not below float32: with
            bfloat16 arithmetic small cosines are noise.
        memory: ``"graph"`` keeps one graph of everything; ``"layerwise"`` computes every layer twice and keeps one
            layer's rows; ``"auto"`` decides by the bytes that are free, and goes layer by layer if the graph does not
            fit after all. What is needed is logged before the start.
        route: force one contraction for all linear maps, for checking.
        batch_tokens: padded tokens in one forward pass of ``"layerwise"``.
        vocabulary_piece: vocabulary entries whose logits exist at once.

    Raises:
        InvalidArgument: a selected parameter that no handler covers, that two modules share (other than a tied head),
            or that is used outside of its module, by its name; logits that are not the head's output; bad arguments;
            and all that ``precision.computing_in`` refuses.
        OutOfMemory: sequences that do not fit into memory, with the bytes that were needed and free, and those that
            the other way needs. It is an ``InvalidArgument`` and a ``MemoryError``.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> pair = [TokenSequence((1, 2, 3), 1), TokenSequence((1, 2, 4), 1)]
        >>> account = sequence_kernel(tiny_model(), pair)
        >>> account.kernel.shape, bool((account.kernel - sum(account.by_module.values())).abs().max() < 1e-9)
        (torch.Size([2, 2]), True)
    """
    if route is not None and (not isinstance(route, str) or route not in ("ghost", "product")):
        raise InvalidArgument("route", route, "'ghost', 'product' or None for the cheaper one")
    check_count("batch_tokens", batch_tokens)
    check_count("vocabulary_piece", vocabulary_piece)
    head = find_head(model)
    found = check_sequences(sequences, head.weight.shape[0])
    wanted = compute_dtype(model, dtype)
    with telling_shortage("sequences", len(found)), computing_in(model, wanted), torch.enable_grad():
        coverage = cover(model, parameters)
        with requiring(model, coverage.selected):
            plan = plan_memory(model, found, coverage, memory, batch_tokens, vocabulary_piece)
            LOG.info(
                "kernel of %d sequences: about %.0f MiB beyond the model (%s), %.0f MiB free",
                *(len(found), plan.needed / 2**20, plan.way, plan.available / 2**20),
            )
            try:
                return _run(model, found, coverage, plan, batch_tokens, vocabulary_piece, route)
            except (RuntimeError, MemoryError) as problem:
                if not out_of_memory(problem):
                    raise
                if memory != "auto" or plan.way == "layerwise" or plan.layerwise is None:
                    raise _shortage(len(found), plan) from problem
            # outside of the handler, whose traceback would keep the graph alive
            release()
            LOG.warning("one graph of %d sequences does not fit into memory: layer by layer instead", len(found))
            again = replace(plan, way="layerwise")
            try:
                return _run(model, found, coverage, again, batch_tokens, vocabulary_piece, route)
            except (RuntimeError, MemoryError) as problem:
                if not out_of_memory(problem):
                    raise
                raise _shortage(len(found), again) from problem


def _shortage(count: int, plan: MemoryPlan) -> OutOfMemory:
    return OutOfMemory("sequences", f"{count}, out of memory", plan.remedy(), plan.needed, plan.available)


def _run(
    model: Any,
    sequences: Sequence[TokenSequence],
    coverage: Coverage,
    plan: MemoryPlan,
    batch_tokens: int,
    vocabulary_piece: int,
    route: Route | None,
) -> SequenceKernel:
    device = coverage.head.weight.device
    batches = make_batches(sequences, batch_tokens if plan.way == "layerwise" else None, device)
    assembly = _Assembly(coverage, batches, device, route, vocabulary_piece)
    layers = find_layers(model) if plan.way == "layerwise" else ()
    try:
        sweep(model, batches, coverage, assembly.record, layers, assembly.pull_head)
    finally:  # rows of a run that failed must not meet those of the next
        for tap in coverage.taps:
            tap.release()
    return replace(assembly.result(), plan=plan, dtype=coverage.head.weight.dtype)


class _Assembly:
    """The blocks of one kernel while they come in; sequences are in the order of the batches until the end."""

    def __init__(
        self, coverage: Coverage, batches: Any, device: torch.device, route: Route | None, vocabulary_piece: int
    ) -> None:
        self.coverage, self.route, self.piece = coverage, route, vocabulary_piece
        self.order = [number for batch in batches for number in batch.numbers]
        self.inputs = Segments.of([n for batch in batches for n in batch.inputs], device)
        self.responses = Segments.of([n for batch in batches for n in batch.responses], device)
        self.targets = torch.cat([batch.targets for batch in batches])
        self.ids = torch.cat([batch.ids.flatten()[batch.valid] for batch in batches])
        self.record = Record(len(batches), self.finished)
        self.blocks: dict[str, Tensor] = {}
        self.routes: dict[str, str] = {}

    def pull_head(self, hidden: Tensor) -> Tensor:
        c = self.coverage
        tied = c.tied is not None
        self.unique = self.ids.unique() if tied else self.ids[:0]
        self.head = pull_head(
            *(hidden, self.targets, c.head, self.responses),
            weight=c.head_weight,
            bias=c.head_bias,
            ids=self.unique,
            piece=self.piece,
            route=self.route,
        )
        if self.head.kernel is not None:
            self.blocks[c.head_name], self.routes[c.head_name] = self.head.kernel, self.head.route
        self.hidden = hidden if tied else hidden[:0]
        return self.head.gradient

    def finished(self, taps: Sequence[Tap]) -> None:
        """Contract taps whose rows are complete; those with the very same input rows together."""
        groups: dict[tuple[int, ...], list[LinearTap]] = {}
        for tap in taps:
            if isinstance(tap, LinearTap):
                groups.setdefault(tuple(id(rows) for rows in tap.left), []).append(tap)
            elif tap.weight or tap.bias:
                self._contract(tap)
        for group in groups.values():
            for tap, found in zip(group, contract_together(group, self.inputs, self.route), strict=True):
                self.blocks[tap.name], self.routes[tap.name] = found

    def _contract(self, tap: Tap) -> None:
        if tap is self.coverage.tied:
            ids, embedded = self.coverage.tied.rows()
            self.blocks[TIED_CROSS] = tied_cross(
                self.head, self.hidden, self.responses, self.unique, ids, embedded, self.inputs
            )
            self.routes[TIED_CROSS] = "ghost"
        self.blocks[tap.name], self.routes[tap.name] = tap.contract(self.inputs)
        tap.release()

    def result(self) -> SequenceKernel:
        for tap in self.coverage.taps:
            count = self.record.counts.get(tap.name, 0)
            if count not in (0, self.record.batches):
                raise InvalidArgument("memory", "layerwise", f"'graph': {tap.name} is not used for every sequence")
            if count == 0 and (tap.weight or tap.bias):  # log pi does not depend on it: its gradient is zero
                self.blocks[tap.name], self.routes[tap.name] = (
                    torch.zeros_like(next(iter(self.blocks.values()))),
                    "unused",
                )
        back = torch.tensor(self.order).argsort()
        blocks = {name: _symmetric(block.cpu()[back][:, back]) for name, block in self.blocks.items()}
        log_probs = self.responses.sum(self.head.log_probs.unsqueeze(1)).squeeze(1).cpu()[back]
        total = _symmetric(torch.stack(list(blocks.values())).sum(0))
        return SequenceKernel(total, log_probs, blocks, self.routes)


def _symmetric(block: Tensor) -> Tensor:
    return (block + block.T) / 2
