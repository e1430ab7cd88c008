"""How many bytes a kernel needs besides the model's own, estimated before it is computed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
import torch
from torch import Tensor

from dynamics.errors import InvalidArgument, Unsupported
from dynamics.language_model.batching import make_batch, make_batches
from dynamics.language_model.causal_lm import CausalLM, as_module
from dynamics.language_model.kernel.backward import BatchPass, find_layers
from dynamics.language_model.kernel.blocks import Blocks, number_of_pairs
from dynamics.language_model.kernel.contractions import cheapest
from dynamics.language_model.kernel.head import head_bytes
from dynamics.language_model.kernel.recording import Recorder
from dynamics.language_model.kernel.tracking import TrackedMatrices, TrackedModules, tracking
from dynamics.language_model.kernel.uses import UseRecorder
from dynamics.language_model.model_head import hidden_states
from dynamics.language_model.tokens import TokenSequence

SAFETY_FACTOR = 1.25
"""The estimate may be off by some per cent, and other programs use memory too."""
MEASURED_TOKENS = 7
"""Length of the measured piece. No other axis of a usual model has this size, so it marks the axes of tokens."""
FRAGMENTATION = 1.3
"""How much more memory a process takes than its tensors do, because of gaps between them (measured with glibc)."""
TEMPORARIES = 3
"""Tensors of the largest width that exist at the same time within one operation of the backward pass."""
Memory = Literal["auto", "graph", "layerwise"]
Strategy = Literal["graph", "layerwise"]


@dataclass(frozen=True)
class MemoryPlan:
    """Estimated peak memory of the two strategies, and which one is used.

    Attributes:
        strategy: ``"graph"``, one graph of all sequences, or ``"layerwise"``, one decoder layer after the other.
        graph: bytes for one graph of all sequences, extrapolated from the measured graph of a short piece.
        layerwise: bytes for the layerwise backward pass; None if the decoder layers of the model were not found.
        available: bytes that were free when the plan was made.
    """

    strategy: Strategy
    graph: int
    layerwise: int | None
    available: int

    @property
    def needed(self) -> int:
        """Return the bytes of the strategy that is used."""
        return self.graph if self.strategy == "graph" else self.layerwise or 0

    def remedy(self) -> str:
        """Return advice for the case that memory did run out."""
        free = f"{self.available / 2**20:.0f} MiB were free"
        if self.strategy == "graph" and self.layerwise is not None:
            needs = f"{self.layerwise / 2**20:.0f} instead of {self.graph / 2**20:.0f} MiB"
            return f"use memory='layerwise', which needs about {needs} ({free})"
        needs = f"these need about {self.needed / 2**20:.0f} MiB, and {free}"
        return f"use fewer or shorter sequences, or smaller batch_tokens and vocabulary_piece ({needs})"


def plan_memory(
    model: CausalLM,
    sequences: Sequence[TokenSequence],
    tracked: TrackedModules | TrackedMatrices,
    memory: Memory,
    batch_tokens: int,
    vocabulary_piece: int,
    blocks: Blocks,
) -> MemoryPlan:
    """Estimate the memory of both strategies and choose one.

    ``"auto"`` chooses one graph if it fits into the free memory with a margin for errors of the estimate.

    Args:
        model: the model.
        sequences: the sequences of the kernel.
        tracked: what is recorded and what is differentiated.
        memory: the strategy, or ``"auto"``.
        batch_tokens: padded tokens in one batch of the layerwise strategy.
        vocabulary_piece: vocabulary entries whose logits exist at once.
        blocks: the entries that are computed.

    Raises:
        InvalidArgument: an unknown strategy, or a layerwise one for a model whose decoder layers were not found.
    """
    if not isinstance(memory, str) or memory not in ("auto", "graph", "layerwise"):
        raise InvalidArgument("memory", memory, "'auto', 'graph' or 'layerwise'")
    layers = find_layers(model)
    if memory == "layerwise" and not layers:
        raise Unsupported("memory", "no list of decoder layers was found in this model", "use memory='graph'")
    longest = max(sequences, key=lambda s: len(s.ids))
    saved = measure_graph(model, longest, tracked, tracked.head.device)
    one_by_one = isinstance(tracked, TrackedMatrices)
    whole = [batch.shape for batch in make_batches(sequences, 1 if one_by_one else None, torch.device("cpu"))]
    limit = 1 if one_by_one else batch_tokens
    batches = [batch.shape for batch in make_batches(sequences, limit, torch.device("cpu"))]
    ids = {token for s in sequences for token in s.ids[:-1]} if tracked.tied is not None else ()
    responses = sum(s.length for s in sequences)
    width = saved.width
    size = next(as_module(model).parameters()).element_size()
    pairs, entries = number_of_pairs(blocks, [s.length for s in sequences]), sum(block.entries for block in blocks)
    if cheapest(pairs // 2, responses, entries, width, [tracked.head.vocabulary])[0] != "ghost":
        pairs = 0  # then the head multiplies no pairs of positions
    head = head_bytes(tracked.head, width, size, responses, pairs, len(ids), vocabulary_piece)
    gradients = size * len(sequences) * sum(p.numel() for p in tracked.differentiated.values())
    graph = _graph_bytes(saved, whole, tracked.maps, head, size) + gradients
    if one_by_one:  # the output gradients of all sequences wait for the last one
        tokens = sum(count * length for count, length in whole)
        graph += size * tokens * sum(out for out, _ in tracked.maps)
    layerwise = None
    if layers:
        layerwise = _layerwise_bytes(saved, batches, sequences, tracked.maps, head, size, len(layers))
        layerwise += gradients // (1 if len(layers) == 1 else len(layers) // 2)
    available = free_bytes(tracked.head.device)
    fits = SAFETY_FACTOR * graph <= available or layerwise is None or graph <= layerwise
    automatic: Strategy = "graph" if fits else "layerwise"
    return MemoryPlan(automatic if memory == "auto" else memory, graph, layerwise, available)


def _graph_bytes(
    saved: GraphBytes, batches: Sequence[tuple[int, int]], maps: Sequence[tuple[int, int]], head: int, size: int
) -> int:
    saved_bytes = sum(saved.of(shape) for shape in batches)
    padded = sum(count * width for count, width in batches)
    temporary = TEMPORARIES * _largest_width(maps, saved.width) * padded * size
    return int(FRAGMENTATION * saved_bytes + max(head, temporary))


def _layerwise_bytes(
    saved: GraphBytes,
    batches: Sequence[tuple[int, int]],
    sequences: Sequence[TokenSequence],
    maps: Sequence[tuple[int, int]],
    head: int,
    size: int,
    layers: int,
) -> int:
    tokens = sum(len(s.ids) - 1 for s in sequences)
    padded = [count * width for count, width in batches]
    boundaries = (layers + 4) * sum(padded) * saved.width * size
    row = sum(map(sum, maps)) / layers
    last = padded[-1]  # the recordings of the last batch are part of its graph
    earlier = row * max(0, tokens - last)
    one_layer = max(saved.of(shape) for shape in batches) / layers
    concatenated = 0 if len(batches) == 1 else 2 * _largest_width(maps, saved.width) * tokens
    temporary = max(TEMPORARIES * _largest_width(maps, saved.width) * last, concatenated)
    return int(FRAGMENTATION * boundaries + max(head, FRAGMENTATION * (one_layer + size * (earlier + temporary))))


def _largest_width(maps: Sequence[tuple[int, int]], width: int) -> int:
    return max([width, *(max(shape) for shape in maps)])


@dataclass(frozen=True)
class GraphBytes:
    """Bytes that autograd saves for the backward pass, besides the parameters.

    Attributes:
        per_token: for every token.
        per_pair: for every pair of tokens of one sequence. Attention without a fused kernel saves such matrices.
        width: width of the hidden states that the head reads.
    """

    per_token: float
    per_pair: float
    width: int = 0

    def of(self, shape: tuple[int, int]) -> float:
        """Return the bytes for a batch of shape (sequences, positions)."""
        count, width = shape
        return count * (self.per_token * width + self.per_pair * width**2)


def measure_graph(
    model: CausalLM, sequence: TokenSequence, tracked: TrackedModules | TrackedMatrices, device: torch.device
) -> GraphBytes:
    """Run the model on the beginning of a sequence and count the bytes that autograd saves.

    If sequences are run one by one, the backward pass is tried out too.

    Raises:
        UnrecordedUse: a parameter is used in another way than expected.
    """
    tokens = min(MEASURED_TOKENS, len(sequence.ids) - 1)
    batch = make_batch([TokenSequence(sequence.ids[: tokens + 1], 1)], [0], device)
    module = as_module(model)
    own = {tensor.untyped_storage().data_ptr() for tensor in (*module.parameters(), *module.buffers())}
    storages: dict[int, tuple[int, bool]] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes(), tensor.shape[-2:] == (tokens, tokens)
        return tensor.detach()  # a node that holds its own output, with its graph, would never be freed

    recorder: Recorder | UseRecorder
    context: AbstractContextManager[None]
    if isinstance(tracked, TrackedModules):
        recorder = Recorder(1, lambda _: None)
        context = tracking(tracked, recorder)
    else:
        recorder, context = UseRecorder(tracked.matrices, {0: 0}, device), nullcontext()
    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with context, hooks, recorder.running(batch):
        graph = hidden_states(model, batch.ids, tracked.head)
    pairs = sum(size for size, paired in storages.values() if paired)
    measured = (sum(size for size, _ in storages.values()) - pairs) / tokens, pairs / tokens**2
    if isinstance(tracked, TrackedMatrices):
        try:
            BatchPass(batch, graph, [], []).backpropagate([graph], [torch.ones_like(graph)], tracked, recorder.anchor)
        finally:
            for one in tracked.matrices:
                one.forget()
    return GraphBytes(*measured, graph.shape[-1])


UNLIMITED = 1 << 62


def free_bytes(device: torch.device) -> int:
    """Return the bytes that are free on a device.

    For a CPU it is the least of what the machine has, what the limit of a container leaves, and what the limit of the
    process (``ulimit -v``) leaves. For a GPU, memory that torch keeps for later, and that no tensor uses, counts as
    free.
    """
    if device.type == "cuda":
        reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + reserved
    return min(psutil.virtual_memory().available, _free_in_container(), _free_in_process())


def _free_in_process() -> int:
    """Return the bytes that a limit on the address space of this process (``ulimit -v``) leaves."""
    try:
        import resource  # noqa: PLC0415 - Unix only

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    except (ImportError, OSError, AttributeError):
        return UNLIMITED
    if limit == resource.RLIM_INFINITY:
        return UNLIMITED
    return max(0, limit - psutil.Process().memory_info().vms)


def _free_in_container(group: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the bytes that the memory limit of a container (a Linux control group) leaves.

    Cached files do not count as used, because the operating system drops them when memory is short.
    """
    try:
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        fields = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return max(0, limit - used + int(fields["inactive_file"]))
    except (OSError, KeyError, ValueError):  # there is no such file, or it holds "max", which means no limit
        return UNLIMITED
