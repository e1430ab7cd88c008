"""The exact kernel <g_i, g_j> of whole sequences, g_i = grad log pi(y_i | x_i), without storing these gradients."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from dynamics.errors import InvalidArgument, Unsupported, check_count
from dynamics.language_model.batching import Batch, Segments, make_batches
from dynamics.language_model.causal_lm import CausalLM, as_module
from dynamics.language_model.kernel.backward import USE_GRAPH, find_layers, forward_and_backward
from dynamics.language_model.kernel.contractions import Contraction
from dynamics.language_model.kernel.head import head_backward, tied_cross_terms
from dynamics.language_model.kernel.layers import TrackedLinear, contract_together
from dynamics.language_model.kernel.memory import Memory, MemoryPlan, plan_memory
from dynamics.language_model.kernel.recording import Recorder, TrackedModule
from dynamics.language_model.kernel.tracking import TrackedModules, track_modules
from dynamics.language_model.log_probs import VOCABULARY_PIECE
from dynamics.language_model.model_head import find_head
from dynamics.language_model.out_of_memory import (
    OutOfMemory,
    empty_caches,
    is_out_of_memory,
    raising_out_of_memory,
)
from dynamics.language_model.parameters import Filter, requiring
from dynamics.language_model.precision import compute_dtype, computing_in
from dynamics.language_model.tokens import TokenSequence, check_sequences

LOG = logging.getLogger(__name__)
TIED_CROSS = "tied cross terms"


@dataclass(frozen=True, eq=False)
class SequenceKernel:
    """The inner products of the scores of some sequences, the empirical neural tangent kernel of log pi.

    Attributes:
        kernel: <g_i, g_j>, ``(sequences, sequences)``, float64, symmetric, positive semidefinite.
        log_probs: log pi(y_i | x_i) in nats, ``(sequences,)``, float64.
        by_module: the part of each module, by name; the parts sum to ``kernel``. If embedding and head share a weight,
            its contribution is the sum of the head's part, the embedding's part and ``"tied cross terms"``.
        contractions: how the part of each module was computed: ``"ghost"`` or ``"materialised"`` (see
            ``contractions``), ``"vector"`` for biases and norms, ``"unused"`` if log pi does not depend on the module.
        plan: the estimate of memory.
        dtype: dtype of the computation.
    """

    kernel: Tensor
    log_probs: Tensor
    by_module: dict[str, Tensor] = field(repr=False)
    contractions: dict[str, str] = field(repr=False)
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

    One forward and one backward pass over all sequences. The kernel of every linear map is computed by the cheaper of
    two contractions (see ``contractions``), and everything is added up in float64.

    Args:
        model: a Hugging Face causal language model with a linear head; it is not changed.
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
        InvalidArgument: a selected parameter whose module is of no known kind, that two modules share (other than
            embedding and head), or that is used outside of its module; a model that changes the logits after its head;
            bad arguments; and everything that ``precision.computing_in`` refuses.
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
    head = find_head(model)
    found = check_sequences(sequences, head.weight.shape[0])
    compute = compute_dtype(model, dtype)
    with raising_out_of_memory("sequences", len(found)), computing_in(model, compute), torch.enable_grad():
        tracked = track_modules(model, parameters)
        with requiring(as_module(model), tracked.selected):
            plan = plan_memory(model, found, tracked, memory, batch_tokens, vocabulary_piece)
            needed, free = plan.needed / 2**20, plan.available / 2**20
            message = "kernel of %d sequences: about %.0f MiB besides the model (%s), %.0f MiB are free"
            LOG.info(message, len(found), needed, plan.strategy, free)
            try:
                return _compute(model, found, tracked, plan, batch_tokens, vocabulary_piece, contraction)
            except (RuntimeError, MemoryError) as problem:
                if not is_out_of_memory(problem):
                    raise
                if memory != "auto" or plan.strategy == "layerwise" or plan.layerwise is None:
                    raise _does_not_fit(len(found), plan) from problem
            # outside of the except clause, because the traceback of the exception keeps the graph in memory
            empty_caches()
            LOG.warning("one graph of %d sequences does not fit into memory: going layer by layer instead", len(found))
            second = replace(plan, strategy="layerwise")
            try:
                return _compute(model, found, tracked, second, batch_tokens, vocabulary_piece, contraction)
            except (RuntimeError, MemoryError) as problem:
                if not is_out_of_memory(problem):
                    raise
                raise _does_not_fit(len(found), second) from problem


def _does_not_fit(count: int, plan: MemoryPlan) -> OutOfMemory:
    problem = f"the kernel of {count} sequences does not fit into memory"
    return OutOfMemory("sequences", problem, plan.remedy(), plan.needed, plan.available)


def _compute(
    model: CausalLM,
    sequences: Sequence[TokenSequence],
    tracked: TrackedModules,
    plan: MemoryPlan,
    batch_tokens: int,
    vocabulary_piece: int,
    contraction: Contraction | None,
) -> SequenceKernel:
    layerwise = plan.strategy == "layerwise"
    batches = make_batches(sequences, batch_tokens if layerwise else None, tracked.head.weight.device)
    assembly = _Assembly(tracked, batches, contraction, vocabulary_piece)
    layers = find_layers(model) if layerwise else ()
    try:
        forward_and_backward(model, batches, tracked, assembly.recorder, layers, assembly.head_backward)
    finally:  # recordings of a run that failed must not be mixed with those of the next one
        for one in tracked.modules:
            one.forget()
    return replace(assembly.result(), plan=plan, dtype=tracked.head.weight.dtype)


class _Assembly:
    """The parts of one kernel, collected while the backward pass goes on.

    Until ``result`` the sequences are in the order of the batches, which are sorted by length.
    """

    def __init__(
        self, tracked: TrackedModules, batches: Sequence[Batch], contraction: Contraction | None, vocabulary_piece: int
    ) -> None:
        device = tracked.head.weight.device
        self.tracked, self.contraction, self.vocabulary_piece = tracked, contraction, vocabulary_piece
        self.order = [number for batch in batches for number in batch.numbers]
        self.inputs = Segments.of([n for batch in batches for n in batch.inputs], device)
        self.responses = Segments.of([n for batch in batches for n in batch.responses], device)
        self.targets = torch.cat([batch.targets for batch in batches])
        self.ids = torch.cat([batch.ids.flatten()[batch.valid] for batch in batches])
        self.recorder = Recorder(len(batches), self.finished)
        self.parts: dict[str, Tensor] = {}
        self.contractions: dict[str, str] = {}

    def head_backward(self, hidden: Tensor) -> Tensor:
        """Add the head's part of the kernel, and return the gradient at the hidden states."""
        t = self.tracked
        tied = t.tied is not None
        self.unique = self.ids.unique() if tied else self.ids[:0]
        self.head = head_backward(
            hidden,
            self.targets,
            t.head,
            self.responses,
            weight=t.head_weight,
            bias=t.head_bias,
            ids=self.unique,
            vocabulary_piece=self.vocabulary_piece,
            contraction=self.contraction,
        )
        if self.head.kernel is not None:
            self.parts[t.head_name], self.contractions[t.head_name] = self.head.kernel, self.head.contraction
        self.hidden = hidden if tied else hidden[:0]
        return self.head.gradient

    def finished(self, modules: Sequence[TrackedModule]) -> None:
        """Add the parts of modules that have recorded all batches; linear maps with the same inputs go together."""
        groups: dict[tuple[int, ...], list[TrackedLinear]] = {}
        for one in modules:
            if isinstance(one, TrackedLinear):
                groups.setdefault(tuple(id(rows) for rows in one.inputs), []).append(one)
            elif one.weight or one.bias:
                self._add(one)
        for group in groups.values():
            for one, found in zip(group, contract_together(group, self.inputs, self.contraction), strict=True):
                self.parts[one.name], self.contractions[one.name] = found

    def _add(self, one: TrackedModule) -> None:
        if one is self.tracked.tied:
            ids, embedded = self.tracked.tied.recorded()
            self.parts[TIED_CROSS] = tied_cross_terms(
                self.head, self.hidden, self.responses, self.unique, ids, embedded, self.inputs
            )
            self.contractions[TIED_CROSS] = "ghost"
        self.parts[one.name], self.contractions[one.name] = one.kernel_part(self.inputs)
        one.forget()

    def result(self) -> SequenceKernel:
        """Return the kernel, with the sequences in the order in which they were given."""
        for one in self.tracked.modules:
            count = self.recorder.counts.get(one.name, 0)
            if count not in (0, self.recorder.batches):
                raise Unsupported("memory", f"{one.name} is not used for every sequence", USE_GRAPH)
            if count == 0 and (one.weight or one.bias):  # log pi does not depend on it: its gradient is zero
                self.parts[one.name] = torch.zeros_like(next(iter(self.parts.values())))
                self.contractions[one.name] = "unused"
        back = torch.tensor(self.order).argsort()
        parts = {name: _symmetric(part.cpu()[back][:, back]) for name, part in self.parts.items()}
        log_probs = self.responses.sum(self.head.log_probs.unsqueeze(1)).squeeze(1).cpu()[back]
        total = _symmetric(torch.stack(list(parts.values())).sum(0))
        return SequenceKernel(total, log_probs, parts, self.contractions)


def _symmetric(part: Tensor) -> Tensor:
    return (part + part.T) / 2
