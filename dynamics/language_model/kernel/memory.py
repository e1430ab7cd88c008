"""How many bytes a kernel needs beyond the model's own, told before it starts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from dynamics.errors import InvalidArgument
from dynamics.language_model.batching import make_batch, make_batches
from dynamics.language_model.kernel.backward import find_layers, tapped
from dynamics.language_model.kernel.head import head_bytes
from dynamics.language_model.kernel.layers import EmbeddingTap, Tap
from dynamics.language_model.kernel.record import Record
from dynamics.language_model.model_head import hidden_states
from dynamics.language_model.parameters import Coverage
from dynamics.language_model.tokens import TokenSequence

MARGIN = 1.25  # estimates are off by some per cent, and others use the machine too
TRIED_TOKENS = 7  # the size of no other axis of what a layer computes
HOLES = 1.3  # what is kept lies between what comes and goes: measured with the allocator of glibc
PASSING = 3  # tensors as wide as the widest that are alive within one operation of a backward pass
Memory = Literal["auto", "graph", "layerwise"]
Way = Literal["graph", "layerwise"]


@dataclass(frozen=True)
class MemoryPlan:
    """Estimated peak bytes of the two ways, and which one is taken.

    Attributes:
        way: ``"graph"`` or ``"layerwise"``.
        graph: bytes of one graph for all sequences, from what the graph of a short piece was measured to keep.
        layerwise: bytes of the layer-by-layer sweep; None if the model has no layers that could be told.
        available: bytes that were free when it was made.
    """

    way: Way
    graph: int
    layerwise: int | None
    available: int

    @property
    def needed(self) -> int:
        """Return the bytes of the way that is taken."""
        return self.graph if self.way == "graph" else self.layerwise or 0

    def remedy(self) -> str:
        """Say what would fit when this did not."""
        free = f"of {self.available / 2**20:.0f} MiB that were free"
        if self.way == "graph" and self.layerwise is not None:
            needs = f"{self.layerwise / 2**20:.0f} instead of {self.graph / 2**20:.0f} MiB"
            return f"memory='layerwise', which needs about {needs} {free}"
        needs = f"these need about {self.needed / 2**20:.0f} MiB {free}"
        return f"fewer or shorter sequences, or smaller batch_tokens and vocabulary_piece; {needs}"


def plan_memory(
    model: Any, sequences: Sequence[TokenSequence], coverage: Coverage, memory: Memory, batch_tokens: int, piece: int
) -> MemoryPlan:
    """Estimate both ways and choose one; ``"auto"`` takes one graph if it fits into what is free, with a margin.

    Raises:
        InvalidArgument: an unknown way, or layers that cannot be told.
    """
    if not isinstance(memory, str) or memory not in ("auto", "graph", "layerwise"):
        raise InvalidArgument("memory", memory, "'auto', 'graph' or 'layerwise'")
    layers = find_layers(model)
    if memory == "layerwise" and not layers:
        raise InvalidArgument("memory", memory, "'graph': no list of decoder layers was found in this model")
    weight = coverage.head.weight
    longest = max(sequences, key=lambda s: len(s.ids))
    kept = measure_graph(model, longest, coverage, weight.device)
    every = [batch.shape for batch in make_batches(sequences, None, torch.device("cpu"))]
    batches = [batch.shape for batch in make_batches(sequences, batch_tokens, torch.device("cpu"))]
    inputs = {token for s in sequences for token in s.ids[:-1]} if coverage.tied is not None else ()
    responses = sum(s.length for s in sequences)
    head = head_bytes(coverage.head, responses, len(sequences), len(inputs), piece)
    taps = [tap for tap in coverage.taps if tap.weight and tap.module.weight.ndim == 2]
    whole = _one_graph(kept, every, taps, head, weight)
    swept = _layer_by_layer(kept, batches, sequences, taps, head, weight, len(layers)) if layers else None
    available = free_bytes(weight.device)
    fits = MARGIN * whole <= available or swept is None or whole <= swept
    automatic: Way = "graph" if fits else "layerwise"
    return MemoryPlan(automatic if memory == "auto" else memory, whole, swept, available)


def _one_graph(
    kept: GraphBytes, batches: Sequence[tuple[int, int]], taps: Sequence[Tap], head: int, weight: Tensor
) -> int:
    saved = sum(kept.of(shape) for shape in batches)
    padded = sum(count * width for count, width in batches)
    passing = PASSING * _widest(taps, weight) * padded * weight.element_size()
    return int(HOLES * saved + max(head, passing))


def _layer_by_layer(
    kept: GraphBytes,
    batches: Sequence[tuple[int, int]],
    sequences: Sequence[TokenSequence],
    taps: Sequence[Tap],
    head: int,
    weight: Tensor,
    layers: int,
) -> int:
    size = weight.element_size()
    tokens = sum(len(s.ids) - 1 for s in sequences)
    padded = [count * width for count, width in batches]
    boundaries = (layers + 4) * sum(padded) * weight.shape[1] * size
    row = sum(sum(tap.module.weight.shape) for tap in taps if not isinstance(tap, EmbeddingTap)) / layers
    last = padded[-1]  # its graph holds its rows
    earlier = row * max(0, tokens - last)
    one_layer = max(kept.of(shape) for shape in batches) / layers
    together = 0 if len(batches) == 1 else 2 * _widest(taps, weight) * tokens
    passing = max(PASSING * _widest(taps, weight) * last, together)
    return int(HOLES * boundaries + max(head, HOLES * (one_layer + size * (earlier + passing))))


def _widest(taps: Sequence[Tap], weight: Tensor) -> int:
    return max([weight.shape[1], *(max(tap.module.weight.shape) for tap in taps if not isinstance(tap, EmbeddingTap))])


@dataclass(frozen=True)
class GraphBytes:
    """Bytes that a graph keeps for its backward pass, parameters not counted.

    Attributes:
        per_token: for every token.
        per_pair: for every pair of tokens of a sequence; attention without a fused kernel keeps such tables.
    """

    per_token: float
    per_pair: float

    def of(self, shape: tuple[int, int]) -> float:
        """Return the bytes for a batch of (sequences, longest)."""
        count, width = shape
        return count * (self.per_token * width + self.per_pair * width**2)


def measure_graph(model: Any, sequence: TokenSequence, coverage: Coverage, device: torch.device) -> GraphBytes:
    """Run the beginning of a sequence, and count what autograd keeps; a model with an unknown head is refused.

    Raises:
        InvalidArgument: logits that are not the head's output.
    """
    tokens = min(TRIED_TOKENS, len(sequence.ids) - 1)
    batch = make_batch([TokenSequence(sequence.ids[: tokens + 1], 1)], [0], device)
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    storages: dict[int, tuple[int, bool]] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes(), tensor.shape[-2:] == (tokens, tokens)
        return tensor

    record = Record(1, lambda _: None)
    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with tapped(coverage, record), hooks, record.running(batch):
        alive = hidden_states(model, batch.ids, check=True)
    del alive
    pairs = sum(size for size, paired in storages.values() if paired)
    return GraphBytes((sum(size for size, _ in storages.values()) - pairs) / tokens, pairs / tokens**2)


def free_bytes(device: torch.device) -> int:
    """Return the bytes that are free on a device.

    For a CPU that is what the machine, a container's limit and the process's own limit (``ulimit -v``) leave.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return min(_free_in_machine(), _free_in_container(), _free_in_process())


def _free_in_machine() -> int:
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        pages = os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
        return pages * os.sysconf("SC_PAGE_SIZE") // 2 if pages > 0 else 4 << 30


def _free_in_process() -> int:
    """Return what a limit on the address space of this process leaves."""
    try:
        import resource  # noqa: PLC0415 - Unix only

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit == resource.RLIM_INFINITY:
            return 1 << 62
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        return max(0, limit - used)
    except (ImportError, OSError, ValueError):
        return 1 << 62


def _free_in_container(group: Path = Path("/sys/fs/cgroup")) -> int:
    """Return what a control group's limit leaves; files that were read can be dropped and do not count as used."""
    try:
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        fields = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return max(0, limit - used + int(fields["inactive_file"]))
    except (OSError, KeyError, ValueError):  # no such file, or "max" for no limit
        return 1 << 62
