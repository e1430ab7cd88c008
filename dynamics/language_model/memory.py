"""How many bytes a kernel needs beyond the model's own, told before it starts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from dynamics.errors import InvalidArgument
from dynamics.language_model.batching import make_batch
from dynamics.language_model.head import hidden_states
from dynamics.language_model.parameters import Coverage
from dynamics.language_model.sequences import TokenSequence
from dynamics.language_model.sweep import find_layers

SLACK = 1.25  # for what comes and goes within one operation
Memory = Literal["auto", "graph", "layerwise"]


@dataclass(frozen=True)
class MemoryPlan:
    """Estimated peak bytes of the two ways, and which one is taken.

    Attributes:
        way: ``"graph"`` or ``"layerwise"``.
        graph: bytes of one graph for all sequences, from what the longest sequence's graph was measured to save.
        layerwise: bytes of the layer-by-layer sweep; None if the model has no layers that could be told.
        available: bytes that were free when it was made.
    """

    way: str
    graph: int
    layerwise: int | None
    available: int

    @property
    def needed(self) -> int:
        """Return the bytes of the way that is taken."""
        return self.graph if self.way == "graph" else self.layerwise or 0


def plan_memory(
    model: Any, sequences: Sequence[TokenSequence], coverage: Coverage, memory: Memory, batch_tokens: int, piece: int
) -> MemoryPlan:
    """Measure one sequence's graph and choose a way; ``"auto"`` takes one graph if it fits half of what is free.

    Raises:
        InvalidArgument: an unknown way, or layers that cannot be told.
    """
    if memory not in ("auto", "graph", "layerwise"):
        raise InvalidArgument("memory", memory, "'auto', 'graph' or 'layerwise'")
    weight = coverage.head.weight
    size = weight.element_size()
    longest = max(range(len(sequences)), key=lambda n: len(sequences[n].ids))
    saved = graph_bytes(model, sequences[longest], weight.device)
    width = len(sequences[longest].ids) - 1
    tokens = sum(len(s.ids) - 1 for s in sequences)
    responses = sum(s.length for s in sequences)
    vocabulary, hidden = weight.shape
    # the head's pieces (logits, c, one float64 copy), a float64 table of paired rows, hidden states and gradients
    head = responses * (min(vocabulary, piece) * (3 * size + 16) + 8 * responses + 4 * hidden * size)
    rows = [tap.row_bytes() * tokens * size for tap in coverage.taps]
    whole = int(SLACK * (saved * len(sequences) + max(rows) + head))
    layers = find_layers(model)
    layerwise = None
    if layers:
        # rows of one layer at a time; the token embedding's rows come on top of the boundaries
        per_layer = 2 * sum(rows) // len(layers)
        batch = min(max(batch_tokens, width), width * len(sequences))
        one_layer = int(saved / width * batch / len(layers))
        boundaries = (2 * len(layers) + 4) * tokens * hidden * size
        layerwise = int(SLACK * (boundaries + per_layer + one_layer + head))
    available = free_bytes(weight.device)
    if memory == "layerwise" and layerwise is None:
        raise InvalidArgument("memory", memory, "'graph': no list of decoder layers was found in this model")
    fits = whole <= available // 2 or layerwise is None or whole <= layerwise
    way = memory if memory != "auto" else "graph" if fits else "layerwise"
    return MemoryPlan(way, whole, layerwise, available)


def graph_bytes(model: Any, sequence: TokenSequence, device: torch.device) -> int:
    """Return the bytes that the graph of one sequence keeps for its backward pass, parameters not counted."""
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    storages: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        alive = hidden_states(model, make_batch([sequence], [0], device).ids)
    del alive
    return sum(storages.values())


def free_bytes(device: torch.device) -> int:
    """Return the bytes that are free on a device; for a CPU, free physical memory."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        pages = os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
        return pages * os.sysconf("SC_PAGE_SIZE") // 2 if pages > 0 else 4 << 30
