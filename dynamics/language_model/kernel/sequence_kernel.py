"""The exact kernel <g_i, g_j> of whole sequences, g_i = grad log pi(y_i | x_i), without storing these gradients."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor, nn

from dynamics.errors import InvalidArgument, check_count
from dynamics.language_model.batching import length_matters, make_batches
from dynamics.language_model.causal_lm import CausalLM, as_module, unwrapped
from dynamics.language_model.kernel.assembly import ModuleAssembly, UseAssembly, symmetric
from dynamics.language_model.kernel.backward import find_layers, forward_and_backward
from dynamics.language_model.kernel.contractions import Contraction
from dynamics.language_model.kernel.memory import Memory, MemoryPlan, plan_memory
from dynamics.language_model.kernel.recording import Surprise
from dynamics.language_model.kernel.tracking import TrackedModules, WatchedUses, track_modules, tracking, watch_uses
from dynamics.language_model.log_probs import VOCABULARY_PIECE
from dynamics.language_model.model_head import Head, confirmed_head, find_head, whole_logits
from dynamics.language_model.out_of_memory import (
    OutOfMemory,
    empty_caches,
    is_out_of_memory,
    raising_out_of_memory,
)
from dynamics.language_model.parameters import Filter, check_gradients, requiring, select_parameters
from dynamics.language_model.precision import compute_dtype, computing_in
from dynamics.language_model.tokens import TokenSequence, check_sequences

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class SequenceKernel:
    """The inner products of the scores of some sequences, the empirical neural tangent kernel of log pi.

    Attributes:
        kernel: <g_i, g_j>, ``(sequences, sequences)``, float64, symmetric, positive semidefinite.
        log_probs: log pi(y_i | x_i) in nats, ``(sequences,)``, float64.
        by_module: the part of each module, by name; the parts sum to ``kernel``. If embedding and head share a weight,
            its contribution is the sum of the head's part, the embedding's part and ``"tied cross terms"``.
        contractions: how the part of each module was computed: ``"ghost"`` or ``"materialised"`` (see
            ``contractions``), ``"vector"`` for biases and norms, ``"autograd"`` for gradients that autograd computed,
            ``"unused"`` if log pi does not depend on the module.
        plan: the estimate of memory.
        dtype: dtype of the computation.
        remarks: sentences about where the gradients of torch, whose inner products these are, differ from the
            derivatives of log pi: an embedding with a ``padding_idx`` gives no gradient to the look-ups of that token.
    """

    kernel: Tensor
    log_probs: Tensor
    by_module: dict[str, Tensor] = field(repr=False)
    contractions: dict[str, str] = field(repr=False)
    plan: MemoryPlan | None = None
    dtype: torch.dtype = torch.float64
    remarks: tuple[str, ...] = ()

    def norms(self) -> Tensor:
        """Return ||g_i||, ``(sequences,)``."""
        return self.kernel.diagonal().clamp(min=0).sqrt()

    def cosine(self) -> Tensor:
        """Return the cosines of the angles between scores, ``(sequences, sequences)``; NaN where a score is zero."""
        norms = self.norms()
        return self.kernel / (norms.unsqueeze(0) * norms.unsqueeze(1))

    def grouped(self, *by: Literal["layer", "kind"]) -> dict[tuple[str, ...], Tensor]:
        """Return the parts of the kernel by decoder layer, by kind of module, or by both; they sum to ``kernel``.

        Args:
            *by: ``"layer"`` is the number of the decoder layer, empty outside of them; ``"kind"`` is the name of the
                module within it, such as ``self_attn.q_proj``.

        Raises:
            InvalidArgument: nothing or something else to group by.

        Example:
            >>> from dynamics.language_model.tiny_model import tiny_model
            >>> result = sequence_kernel(tiny_model(), [TokenSequence((1, 2, 3), 1)])
            >>> list(result.grouped("layer"))
            [('',), ('0',), ('1',)]
            >>> sorted(result.grouped("layer", "kind"))[-1]
            ('1', 'self_attn.v_proj')
        """
        if not by or not set(by) <= {"layer", "kind"}:
            raise InvalidArgument("by", by, "'layer', 'kind' or both")
        groups: dict[tuple[str, ...], Tensor] = {}
        for name, part in self.by_module.items():
            inside = re.fullmatch(r".*?\.(\d+)\.(.*)", name)
            layer, kind = inside.groups() if inside else ("", name)
            key = tuple({"layer": layer, "kind": kind}[one] for one in by)
            groups[key] = groups[key] + part if key in groups else part
        return dict(sorted(groups.items(), key=lambda item: [(len(text), text) for text in item[0]]))


def sequence_kernel(
    model: CausalLM,
    sequences: Iterable[TokenSequence],
    *,
    parameters: Filter = None,
    dtype: torch.dtype | None = None,
    memory: Memory = "auto",
    contraction: Contraction | None = None,
    batch_tokens: int = 1024,
    vocabulary_piece: int = VOCABULARY_PIECE,
) -> SequenceKernel:
    """Return the exact kernel of sequences under a causal language model.

    One forward and one backward pass over all sequences, in one batch if all selected parameters belong to modules of
    a known kind (see ``layers``), and otherwise one sequence after the other (see ``uses``), which covers every module
    that autograd can differentiate. The kernel of every linear map is computed by the cheaper of two contractions (see
    ``contractions``), and everything is added up in float64.

    Args:
        model: a Hugging Face causal language model; it is not changed.
        sequences: prompts and responses from ``tokenize``, of any lengths.
        parameters: which parameters: a function of the name, a glob or several globs; by default all that require a
            gradient.
        dtype: dtype to compute in, float32 or float64; by default the model's own, but not below float32. In bfloat16
            small cosines would be noise.
        memory: ``"graph"`` keeps one graph of all sequences. ``"layerwise"`` computes every decoder layer twice and
            keeps the graph of one layer at a time. ``"auto"`` chooses by the free memory, and changes to
            ``"layerwise"`` if the graph does not fit after all. The estimate is logged before the computation.
        contraction: one contraction for all linear maps, for checks; None for the cheaper one of each.
        batch_tokens: padded tokens in one batch of ``"layerwise"``.
        vocabulary_piece: vocabulary entries whose logits exist at once.

    Raises:
        InvalidArgument: bad arguments, a model that does not go layer by layer with ``memory="layerwise"``, and
            everything that ``precision.computing_in`` refuses.
        OutOfMemory: the sequences do not fit into memory. The message says how many bytes were needed and free.

    Example:
        >>> from dynamics.language_model.tiny_model import tiny_model
        >>> pair = [TokenSequence((1, 2, 3), 1), TokenSequence((1, 2, 4), 1)]
        >>> result = sequence_kernel(tiny_model(), pair)
        >>> result.kernel.shape, bool((result.kernel - sum(result.by_module.values())).abs().max() < 1e-9)
        (torch.Size([2, 2]), True)
    """
    if contraction is not None and (not isinstance(contraction, str) or contraction not in ("ghost", "materialised")):
        raise InvalidArgument("contraction", contraction, "'ghost', 'materialised' or None for the cheaper one")
    check_count("batch_tokens", batch_tokens)
    check_count("vocabulary_piece", vocabulary_piece)
    model = unwrapped(model)
    described = find_head(model)
    found = check_sequences(sequences, described.vocabulary)
    select_parameters(model, parameters)  # refuse a bad choice before the model is run
    check_gradients(as_module(model))
    job = _Job(model, found, parameters, memory, contraction, batch_tokens, vocabulary_piece)
    compute = compute_dtype(model, dtype)
    with raising_out_of_memory("sequences", len(found)), computing_in(model, compute), torch.enable_grad():
        beginning = torch.tensor([found[0].ids[:-1]], device=described.device)
        way = _Way(confirmed_head(model, beginning), together=not length_matters(model))
        while True:  # every surprise rules out a way, so this ends
            try:
                return replace(_on_this_way(job, way), dtype=compute, remarks=_remarks(job))
            except Surprise as surprise:
                way = way.after(surprise, model)
                LOG.debug("another way to the kernel, because of %s", surprise)


@dataclass(frozen=True, eq=False)
class _Job:
    """The arguments of ``sequence_kernel``, checked."""

    model: CausalLM
    sequences: Sequence[TokenSequence]
    parameters: Filter
    memory: Memory
    contraction: Contraction | None
    batch_tokens: int
    vocabulary_piece: int


@dataclass(frozen=True, eq=False)
class _Way:
    """How a kernel is computed.

    Attributes:
        head: the head of the model.
        together: whether all sequences go through known modules in one batch.
        differentiated: matrices that autograd differentiates, because they are used in other ways than as matrices.
        open: parameters whose part is computed at the end, because they are used outside of their decoder layer.
    """

    head: Head
    together: bool = True
    differentiated: frozenset[str] = frozenset()
    open: frozenset[str] = frozenset()

    def after(self, surprise: Surprise, model: CausalLM) -> _Way:
        """Return the way to go after a surprise."""
        if self.together:
            return replace(self, together=False)
        if surprise.late:
            return replace(self, open=self.open | surprise.names)
        if self.head.linear is not None:
            own = {id(parameter) for parameter in self.head.linear.parameters()}
            named = as_module(model).named_parameters(remove_duplicate=False)
            if surprise.names & {name for name, parameter in named if id(parameter) in own}:
                return replace(self, head=whole_logits(self.head))
        if surprise.names <= self.differentiated:
            raise RuntimeError(f"the gradients of {surprise} were neither recorded nor computed")
        return replace(self, differentiated=self.differentiated | surprise.names)


def _on_this_way(job: _Job, way: _Way) -> SequenceKernel:
    route: TrackedModules | WatchedUses
    if way.together:
        route = track_modules(job.model, job.parameters, way.head)
    else:
        route = watch_uses(job.model, job.parameters, way.head, way.differentiated)
    with requiring(as_module(job.model), route.selected):
        plan = plan_memory(job.model, job.sequences, route, job.memory, job.batch_tokens, job.vocabulary_piece)
        needed, free = plan.needed / 2**20, plan.available / 2**20
        message = "kernel of %d sequences: about %.0f MiB besides the model (%s), %.0f MiB are free"
        LOG.info(message, len(job.sequences), needed, plan.strategy, free)
        try:
            return _compute(job, route, plan, way.open)
        except (RuntimeError, MemoryError) as problem:
            if not is_out_of_memory(problem):
                raise
            if job.memory != "auto" or plan.strategy == "layerwise" or plan.layerwise is None:
                raise _does_not_fit(len(job.sequences), plan) from problem
        # outside of the except clause, because the traceback of the exception keeps the graph in memory
        empty_caches()
        count = len(job.sequences)
        LOG.warning("one graph of %d sequences does not fit into memory: going layer by layer instead", count)
        second = replace(plan, strategy="layerwise")
        try:
            return _compute(job, route, second, way.open)
        except (RuntimeError, MemoryError) as problem:
            if not is_out_of_memory(problem):
                raise
            raise _does_not_fit(count, second) from problem


def _remarks(job: _Job) -> tuple[str, ...]:
    """Return a sentence for every embedding whose row for a padding token is looked up and selected."""
    chosen = {id(parameter) for parameter in select_parameters(job.model, job.parameters).values()}
    inputs = {token for sequence in job.sequences for token in sequence.ids[:-1]}
    linear = find_head(job.model).linear
    found = []
    for name, module in as_module(job.model).named_modules():
        if not isinstance(module, nn.Embedding) or id(module.weight) not in chosen or module.padding_idx not in inputs:
            continue
        tied = linear is not None and linear.weight is module.weight
        rest = ", which is that of the head alone" if tied else ""
        what = f"token {module.padding_idx} is the padding_idx of {name} and stands among the inputs"
        found.append(f"{what}: as in a step of torch, looking it up adds nothing to the gradient of its row{rest}")
    return tuple(found)


def _does_not_fit(count: int, plan: MemoryPlan) -> OutOfMemory:
    problem = f"the kernel of {count} sequences does not fit into memory"
    return OutOfMemory("sequences", problem, plan.remedy(), plan.needed, plan.available)


def _compute(job: _Job, route: TrackedModules | WatchedUses, plan: MemoryPlan, held: frozenset[str]) -> SequenceKernel:
    layers = find_layers(job.model) if plan.strategy == "layerwise" else ()
    assembly: ModuleAssembly | UseAssembly
    watching: AbstractContextManager[None]
    if isinstance(route, TrackedModules):
        batches = make_batches(job.sequences, job.batch_tokens if layers else None, route.head.device)
        assembly = ModuleAssembly(route, batches, job.contraction, job.vocabulary_piece)
        watching = tracking(route, assembly.recorder)
    else:
        batches = make_batches(job.sequences, 1, route.head.device)
        inside = {name: layer for name, layer in _layer_of(route.selected, layers).items() if name not in held}
        assembly = UseAssembly(route, inside, batches, job.contraction, job.vocabulary_piece)
        watching = nullcontext()
    try:
        with watching:
            assembly.done(
                forward_and_backward(
                    job.model, batches, route, assembly.recorder, layers, assembly.head_backward, assembly.layer_done
                )
            )
    finally:  # recordings of a run that failed must not be mixed with those of the next one
        for one in route.modules if isinstance(route, TrackedModules) else route.matrices:
            one.forget()
    parts = assembly.finished_parts()
    total = symmetric(torch.stack(list(parts.values())).sum(0))
    return SequenceKernel(total, assembly.log_probs, parts, assembly.contractions, plan)


def _layer_of(selected: Mapping[str, nn.Parameter], layers: Sequence[nn.Module]) -> dict[str, nn.Module]:
    """Return the decoder layer that holds each parameter, for those that are held by exactly one."""
    places: dict[int, list[nn.Module]] = {}
    for layer in layers:
        for key in {id(parameter) for parameter in layer.parameters()}:
            places.setdefault(key, []).append(layer)
    return {name: places[id(p)][0] for name, p in selected.items() if len(places.get(id(p), ())) == 1}
