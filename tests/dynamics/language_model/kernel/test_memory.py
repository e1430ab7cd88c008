from __future__ import annotations

import gc
import logging
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from dynamics import InvalidArgument
from dynamics.language_model import TokenSequence, sequence_kernel, tiny_model
from dynamics.language_model.batching import Segments
from dynamics.language_model.kernel import head as head_module, memory as memory_module
from dynamics.language_model.kernel.blocks import RowPairs, whole as blocks_of_all
from dynamics.language_model.kernel.layers import TrackedLinear, _LinearFunction
from dynamics.language_model.kernel.memory import measure_graph
from dynamics.language_model.kernel.recording import Recorder, SharedInput
from dynamics.language_model.kernel.tracking import track_modules
from dynamics.language_model.model_head import Head, find_head
from dynamics.language_model.parameters import requiring
from tests.dynamics.language_model.brute_force import SEQUENCES, relative

CPU = torch.device("cpu")


def test_bytes_are_said_before_the_start(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="dynamics.language_model.kernel.computation"):
        got = sequence_kernel(tiny_model(), SEQUENCES)
    assert got.plan is not None
    assert got.plan.strategy == "graph"  # a few hundred kilobytes fit
    assert 10_000 < got.plan.needed < 10_000_000
    assert "kernel of 5 sequences" in caplog.text


def test_automatic_memory_goes_layer_by_layer_where_one_graph_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("qwen2", layers=6)
    whole = sequence_kernel(model, SEQUENCES, batch_tokens=16)
    assert whole.plan is not None
    assert whole.plan.layerwise is not None
    assert whole.plan.layerwise < whole.plan.graph
    for free, strategy in ((2 * whole.plan.graph, "graph"), (whole.plan.graph, "layerwise"), (1, "layerwise")):
        monkeypatch.setattr(memory_module, "free_bytes", lambda device, free=free: free)
        got = sequence_kernel(model, SEQUENCES, batch_tokens=16)
        assert got.plan is not None
        assert got.plan.strategy == strategy
        assert relative(got.kernel, whole.kernel) < 1e-13


def test_pairs_of_positions_are_counted_only_where_the_head_multiplies_them() -> None:
    """Long responses from a small vocabulary: the head then forms its gradients, since that is cheaper."""
    long = [TokenSequence(tuple((n * t * t + t) % 23 for t in range(400)), 1) for n in range(6)]
    table = 8 * sum(s.length for s in long) ** 2
    plan = sequence_kernel(tiny_model(layers=6), long, memory="layerwise").plan
    assert plan is not None
    assert plan.needed < table / 2  # 23 MB; with the table it would be more than 46


@pytest.mark.parametrize("cap", [None, 30.0])
def test_the_bytes_of_the_head_are_those_at_its_peak(cap: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is allocated and freed while the head is passed through, with and without a soft cap."""
    rows, width, vocabulary, piece = 256, 4, 4096, 1024
    head = Head(vocabulary, CPU, torch.nn.Linear(width, vocabulary, bias=False), cap=cap)
    hidden, targets = torch.randn(rows, width), torch.arange(rows)
    pairs = RowPairs.of(blocks_of_all(4), Segments.of([rows // 4] * 4, CPU))
    monkeypatch.setattr(head_module, "STORED_BYTES", 0)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        head_module.head_backward(
            hidden, targets, head, pairs, weight=False, bias=False, ids=targets[:0], vocabulary_piece=piece
        )
        said = head_module.head_bytes(head, width, 4, rows, 0, 0, piece)
    recorded: Any = seen.profiler
    events = recorded.kineto_results.events()
    changes = [e.nbytes() for e in sorted(events, key=lambda e: e.start_ns()) if e.name() == "[memory]"]
    assert max(accumulate(changes)) == pytest.approx(said, rel=0.2)


def starve(patch: pytest.MonkeyPatch, problem: BaseException, after: int, times: int) -> list[None]:
    """Let linear maps run out of memory in the middle of a backward pass; the list counts how often they did."""
    collect, taken, raised = TrackedLinear.collect, [], []

    def starved(tracked: TrackedLinear, *arguments: Any) -> None:
        taken.append(None)
        if len(taken) > after and len(raised) < times:
            raised.append(None)
            raise problem
        collect(tracked, *arguments)

    patch.setattr(TrackedLinear, "collect", starved)
    return raised


def test_the_limit_of_the_process_counts() -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_AS)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 45, before[1]))
        assert 1 << 44 < memory_module._free_in_process() < 1 << 45
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert memory_module._free_in_process() == memory_module.UNLIMITED


SHORTAGES = [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()]
SHORTAGES += [RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")]


@pytest.mark.parametrize("problem", SHORTAGES, ids=lambda p: type(p).__name__)
def test_out_of_memory_in_one_graph_goes_on_layer_by_layer(
    problem: BaseException, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny_model("qwen2", layers=3)
    truth = sequence_kernel(model, SEQUENCES).kernel
    raised = starve(monkeypatch, problem, after=8, times=1)
    got = sequence_kernel(model, SEQUENCES, batch_tokens=16)
    assert len(raised) == 1
    assert got.plan is not None
    assert got.plan.strategy == "layerwise"
    assert relative(got.kernel, truth) < 1e-13
    assert "going layer by layer instead" in caplog.text
    assert all("forward" not in m.__dict__ for m in model.modules())


@pytest.mark.parametrize(
    ("memory", "message"),
    [
        ("graph", r"use memory='layerwise', which needs about 0 instead of \d+ MiB"),
        ("layerwise", "fewer or shorter sequences"),
    ],
)
def test_out_of_memory_says_what_would_fit(memory: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    starve(monkeypatch, torch.OutOfMemoryError("CUDA out of memory"), after=3, times=9)
    with pytest.raises(InvalidArgument, match=message):
        sequence_kernel(tiny_model("qwen2"), SEQUENCES, memory=memory)


def test_other_errors_are_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    starve(monkeypatch, RuntimeError("something else"), after=3, times=1)
    with pytest.raises(RuntimeError, match="something else"):
        sequence_kernel(tiny_model("qwen2"), SEQUENCES)


@pytest.mark.parametrize("architecture", ["qwen2", "gpt2"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("glob", ["*", "*.1.*"])
def test_the_beginning_of_a_sequence_tells_what_the_whole_keeps(
    architecture: str, attention: str, glob: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attention without a fused kernel keeps tables that grow with the length squared."""
    model = tiny_model(architecture, attn_implementation=attention)
    long = TokenSequence(tuple(t % 23 for t in range(50)), 1)
    tracked = track_modules(model, glob, find_head(model))
    with requiring(model, tracked.selected):
        told = measure_graph(model, long, tracked, CPU)
        monkeypatch.setattr(memory_module, "MEASURED_TOKENS", 49)
        really = measure_graph(model, long, tracked, CPU)
    assert told.of((1, 49)) == pytest.approx(really.of((1, 49)), rel=0.02)
    assert (told.per_pair > 0) == (attention == "eager")
    if attention == "eager":  # without the tables it would be far too little
        assert told.per_token * 49 < 0.8 * really.of((1, 49))


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    free = memory_module._free_in_container
    assert free(tmp_path) > 1 << 60
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 100\n")
    assert free(tmp_path) == 400
    (tmp_path / "memory.max").write_text("max\n")
    assert free(tmp_path) > 1 << 60
    assert 0 < memory_module.free_bytes(CPU) < 1 << 60


@pytest.mark.parametrize("memory", ["auto", "layerwise"])
def test_a_kernel_leaves_no_graph_behind(memory: Any) -> None:
    """Once, the pass that counts the saved bytes was kept for good after every call: an audit grew with its rows."""
    model = tiny_model()

    def kept() -> int:
        gc.collect()
        return sum(type(found).__name__ in KEPT for found in gc.get_objects())

    sequence_kernel(model, SEQUENCES, memory=memory)
    before = kept()
    sequence_kernel(model, SEQUENCES, memory=memory)
    assert kept() == before
    x = torch.ones(1, 2, 16, requires_grad=True, dtype=torch.float64)
    held = _LinearFunction.apply(x, *_linear(model))
    assert kept() > before  # the count sees a graph that is held
    del held


KEPT = ("_LinearFunctionBackward", "_ScaleFunctionBackward")


def _linear(model: Any) -> tuple[Any, ...]:
    recorder = Recorder(1, lambda _: None)
    name = "model.layers.0.self_attn.q_proj"
    return TrackedLinear(name, model.get_submodule(name), True, False), recorder, SharedInput(None)
