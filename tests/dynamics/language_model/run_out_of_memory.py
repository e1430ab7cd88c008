"""Run out of memory for real, and print what came of it in JSON.

The process limits its own address space, so that the allocator of torch refuses what does not fit.
"""

from __future__ import annotations

import json
import logging
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from dynamics.language_model import TokenSequence, next_token_log_probs, sequence_log_probs, tiny_model
from dynamics.language_model.kernel import computation
from dynamics.language_model.kernel.sequence_kernel import sequence_kernel
from dynamics.language_model.out_of_memory import OutOfMemory
from dynamics.language_model.pair_audit.measuring.pair_numbers import audit_pairs, audit_pairs_that_fit

VOCABULARY = 8192
MIB = 2**20
ONE_PAIR_FITS = 35  # MiB; one pair takes about 25, two take about 45
NOTHING_FITS = 4
ONLY_LAYERWISE_FITS = 30  # MiB, for the deep model


class Told(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def sequence(number: int) -> TokenSequence:
    return TokenSequence(tuple((7 * t * t + number * t + number) % VOCABULARY for t in range(300)), 2)


@contextmanager
def at_most(mebibytes: int) -> Iterator[None]:
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + mebibytes * MIB, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def fall_back() -> dict[str, Any]:
    """Plan with all the memory there is, lose most of it before the pass, and return what the kernel made of that.

    Only the moment of the limit is arranged: the allocator itself refuses the graph.
    """
    model = tiny_model(vocabulary=64, width=32, layers=12, max_position_embeddings=1024, dtype=torch.float32)
    deep = [TokenSequence(tuple((k * t + k) % 64 for t in range(300)), 2) for k in range(1, 9)]
    truth = sequence_kernel(model, deep, memory="layerwise", batch_tokens=600)
    plan, before = computation.plan_memory, resource.getrlimit(resource.RLIMIT_AS)

    def plan_then_lose(*arguments: Any) -> Any:
        made = plan(*arguments)
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + ONLY_LAYERWISE_FITS * MIB, before[1]))
        return made

    computation.plan_memory = plan_then_lose
    try:
        got = sequence_kernel(model, deep, batch_tokens=600)
    finally:
        computation.plan_memory = plan
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert got.plan is not None
    scale = truth.norms().unsqueeze(0) * truth.norms().unsqueeze(1)
    error = float(((got.kernel - truth.kernel).abs() / scale).max())
    sizes = {"graph": got.plan.graph, "layerwise": got.plan.layerwise, "available": got.plan.available}
    return {"strategy": got.plan.strategy, "error": error} | sizes


def refusal(call: Callable[[], Any]) -> dict[str, Any] | None:
    try:
        call()
    except OutOfMemory as problem:
        said = {"said": str(problem), "needed": problem.needed, "available": problem.available}
        return said | {"argument": problem.argument, "cause": str(problem.__cause__)}
    return None


def main() -> None:
    torch.set_num_threads(1)
    told = Told()
    logging.getLogger("dynamics").addHandler(told)
    model = tiny_model(vocabulary=VOCABULARY, max_position_embeddings=1024, dtype=torch.float32)
    pairs = [(sequence(1), sequence(2)), (sequence(3), sequence(4))]
    every = [s for pair in pairs for s in pair]
    truth = audit_pairs(model, pairs)
    found: dict[str, Any] = {"truth": [asdict(t) for t in truth], "before": list(told.lines)}
    with at_most(ONE_PAIR_FITS):
        found["two pairs"] = refusal(lambda: audit_pairs(model, pairs))
        found["graph"] = refusal(lambda: sequence_kernel(model, every, memory="graph"))
        told.lines.clear()
        found["halves"] = [asdict(f) for f in audit_pairs_that_fit(model, pairs)]
        found["told"] = list(told.lines)
    with at_most(NOTHING_FITS):
        found["one pair"] = refusal(lambda: audit_pairs_that_fit(model, pairs))
        found["log pi"] = refusal(lambda: sequence_log_probs(model, every))
        found["contexts"] = refusal(lambda: next_token_log_probs(model, every))
    found["afterwards"] = [asdict(f) for f in audit_pairs(model, pairs)]
    told.lines.clear()
    found["fall back"] = fall_back()
    found["fall back told"] = list(told.lines)
    found["clean"] = all("forward" not in module.__dict__ for module in model.modules())
    print(json.dumps(found))


if __name__ == "__main__":
    main()
