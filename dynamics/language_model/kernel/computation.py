"""The computation behind every kernel: the requested entries, by the cheapest method that works for the model."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from dynamics.errors import InvalidArgument, check_count
from dynamics.language_model.batching import length_matters, make_batches
from dynamics.language_model.causal_lm import CausalLM, NotDifferentiable, as_module, unwrapped
from dynamics.language_model.kernel.assembly import ModuleAssembly, UseAssembly
from dynamics.language_model.kernel.backward import find_layers, forward_and_backward
from dynamics.language_model.kernel.blocks import Blocks
from dynamics.language_model.kernel.contractions import Contraction
from dynamics.language_model.kernel.memory import Memory, MemoryPlan, plan_memory
from dynamics.language_model.kernel.recording import UnrecordedUse
from dynamics.language_model.kernel.remarks import make_remarks
from dynamics.language_model.kernel.tracking import (
    TrackedMatrices,
    TrackedModules,
    track_matrices,
    track_modules,
    tracking,
)
from dynamics.language_model.log_probs import VOCABULARY_PIECE
from dynamics.language_model.model_head import Head, confirmed_head, find_head, whole_logits
from dynamics.language_model.out_of_memory import (
    OutOfMemory,
    empty_caches,
    is_out_of_memory,
    raising_out_of_memory,
)
from dynamics.language_model.parameters import Filter, check_gradients, requiring
from dynamics.language_model.precision import compute_dtype, computing_in
from dynamics.language_model.refusals import check_parameters, naming_modules
from dynamics.language_model.tokens import TokenSequence, check_sequences

LOG = logging.getLogger(__name__)
BATCH_TOKENS = {"cpu": 1024}
LARGE_BATCH = 8192
"""Padded tokens in one batch of the layerwise strategy by default: a GPU needs more to be busy."""


@dataclass(frozen=True, eq=False)
class KernelBlocks:
    """Some blocks of the kernel of some sequences.

    Attributes:
        by_module: for each block the part of each module, ``(rows, columns)``, float64; their sum is the block.
        log_probs: log pi of every sequence in nats, ``(sequences,)``, float64.
        hidden_sums: for every sequence the sum of what the head reads where it predicts a token of the response,
            ``(sequences, width)``, float64; None if the head is not a linear map of it.
        contractions: how the part of each module was computed.
        plan: the estimate of memory.
        dtype: dtype of the computation.
        remarks: sentences about the result.
    """

    by_module: tuple[dict[str, Tensor], ...]
    log_probs: Tensor
    hidden_sums: Tensor | None
    contractions: dict[str, str]
    plan: MemoryPlan
    dtype: torch.dtype
    remarks: tuple[str, ...] = ()

    def block(self, number: int) -> Tensor:
        """Return one block, ``(rows, columns)``."""
        return torch.stack(list(self.by_module[number].values())).sum(0)


def compute_blocks(
    model: CausalLM,
    sequences: Sequence[TokenSequence],
    blocks: Blocks,
    *,
    parameters: Filter = None,
    dtype: torch.dtype | None = None,
    memory: Memory = "auto",
    contraction: Contraction | None = None,
    batch_tokens: int | None = None,
    vocabulary_piece: int = VOCABULARY_PIECE,
) -> KernelBlocks:
    """Compute some blocks of the kernel, and nothing outside of them.

    Args:
        model: as for ``sequence_kernel``.
        sequences: each is run once.
        blocks: the requested entries; their rows and columns are numbers of sequences.
        parameters: as for ``sequence_kernel``, like everything below.
        dtype: as there.
        memory: as there.
        contraction: as there.
        batch_tokens: as there.
        vocabulary_piece: as there.

    Raises:
        InvalidArgument: as for ``sequence_kernel``.
        OutOfMemory: as there.
    """
    if contraction is not None and (not isinstance(contraction, str) or contraction not in ("ghost", "materialised")):
        raise InvalidArgument("contraction", contraction, "'ghost', 'materialised' or None for the cheaper one")
    if batch_tokens is not None:
        check_count("batch_tokens", batch_tokens)
    check_count("vocabulary_piece", vocabulary_piece)
    model = unwrapped(model)
    described = find_head(model)
    found = check_sequences(sequences, described.vocabulary)
    check_parameters(model, parameters, found[0])
    check_gradients(as_module(model))
    tokens = BATCH_TOKENS.get(described.device.type, LARGE_BATCH) if batch_tokens is None else batch_tokens
    request = _Request(model, found, blocks, parameters, memory, contraction, tokens, vocabulary_piece)
    compute = compute_dtype(model, dtype)
    with (
        raising_out_of_memory("sequences", len(found)),
        computing_in(model, compute),
        torch.enable_grad(),
        naming_modules(model, found[0]),
    ):
        beginning = torch.tensor([found[0].ids[:-1]], device=described.device)
        method = _Method(confirmed_head(model, beginning), together=not length_matters(model))
        while True:  # every unrecorded use rules out one method, so this ends
            try:
                blocks_of_kernel = _compute_by(request, method)
            except UnrecordedUse as use:
                method = method.after(use, model)
                LOG.debug("another method for the kernel, because of %s", use)
            except NotDifferentiable:
                if not method.together:
                    raise
                method = replace(method, together=False)  # there a backward pass ends at the first selected parameter
            else:
                return replace(blocks_of_kernel, dtype=compute, remarks=make_remarks(model, parameters, found))


@dataclass(frozen=True, eq=False)
class _Request:
    """The arguments of ``compute_blocks``, checked."""

    model: CausalLM
    sequences: Sequence[TokenSequence]
    blocks: Blocks
    parameters: Filter
    memory: Memory
    contraction: Contraction | None
    batch_tokens: int
    vocabulary_piece: int


@dataclass(frozen=True, eq=False)
class _Method:
    """A method of computing a kernel.

    Attributes:
        head: the head of the model.
        together: whether all sequences go through known modules in one batch.
        differentiated: matrices that autograd differentiates, because they are used in other ways than as matrices.
        outside: parameters whose part is computed at the end, because they are used outside of their decoder layer.
    """

    head: Head
    together: bool = True
    differentiated: frozenset[str] = frozenset()
    outside: frozenset[str] = frozenset()

    def after(self, use: UnrecordedUse, model: CausalLM) -> _Method:
        """Return the method to try after one that did not record some use of a parameter."""
        if self.together:
            return replace(self, together=False)
        if use.late:
            return replace(self, outside=self.outside | use.names)
        if self.head.linear is not None:
            own = {id(parameter) for parameter in self.head.linear.parameters()}
            named = as_module(model).named_parameters(remove_duplicate=False)
            if use.names & {name for name, parameter in named if id(parameter) in own}:
                return replace(self, head=whole_logits(self.head))
        if use.names <= self.differentiated:
            raise RuntimeError(f"the gradients of {use} were neither recorded nor computed")
        return replace(self, differentiated=self.differentiated | use.names)


def _compute_by(request: _Request, method: _Method) -> KernelBlocks:
    tracked: TrackedModules | TrackedMatrices
    if method.together:
        tracked = track_modules(request.model, request.parameters, method.head)
    else:
        tracked = track_matrices(request.model, request.parameters, method.head, method.differentiated)
    with requiring(as_module(request.model), tracked.selected):
        pieces = request.batch_tokens, request.vocabulary_piece
        plan = plan_memory(request.model, request.sequences, tracked, request.memory, *pieces, request.blocks)
        needed, free = plan.needed / 2**20, plan.available / 2**20
        message = "kernel of %d sequences: about %.0f MiB besides the model (%s), %.0f MiB are free"
        LOG.info(message, len(request.sequences), needed, plan.strategy, free)
        try:
            return _compute(request, tracked, plan, method.outside)
        except (RuntimeError, MemoryError) as problem:
            if not is_out_of_memory(problem):
                raise
            if request.memory != "auto" or plan.strategy == "layerwise" or plan.layerwise is None:
                raise _does_not_fit(len(request.sequences), plan) from problem
        # outside of the except clause, because the traceback of the exception keeps the graph in memory
        empty_caches()
        count = len(request.sequences)
        LOG.warning("one graph of %d sequences does not fit into memory: going layer by layer instead", count)
        second = replace(plan, strategy="layerwise")
        try:
            return _compute(request, tracked, second, method.outside)
        except (RuntimeError, MemoryError) as problem:
            if not is_out_of_memory(problem):
                raise
            raise _does_not_fit(count, second) from problem


def _does_not_fit(count: int, plan: MemoryPlan) -> OutOfMemory:
    problem = f"the kernel of {count} sequences does not fit into memory"
    return OutOfMemory("sequences", problem, plan.remedy(), plan.needed, plan.available)


def _compute(
    request: _Request, tracked: TrackedModules | TrackedMatrices, plan: MemoryPlan, outside: frozenset[str]
) -> KernelBlocks:
    layers = find_layers(request.model) if plan.strategy == "layerwise" else ()
    assembly: ModuleAssembly | UseAssembly
    context: AbstractContextManager[None]
    if isinstance(tracked, TrackedModules):
        batches = make_batches(request.sequences, request.batch_tokens if layers else None, tracked.head.device)
        assembly = ModuleAssembly(tracked, batches, request.blocks, request.contraction, request.vocabulary_piece)
        context = tracking(tracked, assembly.recorder)
    else:
        batches = make_batches(request.sequences, 1, tracked.head.device)
        inside = {name: layer for name, layer in _layer_of(tracked.selected, layers).items() if name not in outside}
        assembly = UseAssembly(tracked, inside, batches, request.blocks, request.contraction, request.vocabulary_piece)
        context = nullcontext()
    try:
        with context:
            assembly.done(
                forward_and_backward(
                    request.model,
                    batches,
                    tracked,
                    assembly.recorder,
                    layers,
                    assembly.head_backward,
                    assembly.layer_done,
                )
            )
    finally:  # recordings of a run that failed must not be mixed with those of the next one
        for one in tracked.modules if isinstance(tracked, TrackedModules) else tracked.matrices:
            one.forget()
    parts = tuple(assembly.finished_parts())
    return KernelBlocks(parts, assembly.log_probs, assembly.hidden_sums, assembly.contractions, plan, torch.float64)


def _layer_of(selected: Mapping[str, nn.Parameter], layers: Sequence[nn.Module]) -> dict[str, nn.Module]:
    """Return the decoder layer that holds each parameter, for those that are held by exactly one."""
    places: dict[int, list[nn.Module]] = {}
    for layer in layers:
        for key in {id(parameter) for parameter in layer.parameters()}:
            places.setdefault(key, []).append(layer)
    return {name: places[id(p)][0] for name, p in selected.items() if len(places.get(id(p), ())) == 1}
