"""The sketch: unbiased with the stated error; and the influences that it finds beside all of them, computed exactly."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dynamics.language_model.pair_audit.measuring import influences as influences_module, sketched_influences
from dynamics.language_model.pair_audit.measuring.audit import Audit, AuditSettings
from dynamics.language_model.pair_audit.measuring.influences import find_influences, find_targets
from dynamics.language_model.pair_audit.measuring.run import run_audit
from dynamics.language_model.pair_audit.measuring.set_run import run_set
from dynamics.language_model.pair_audit.measuring.sketch import make_sketch
from dynamics.language_model.pair_audit.measuring.sketched_influences import sketch_results
from dynamics.language_model.pair_audit.reading.data import open_pairs
from dynamics.language_model.pair_audit.results.store import Results
from dynamics.losses import SimPO
from dynamics.optimizers import SGD
from tests.dynamics.language_model.saved import products, tiny, write_lines

loaded = cache(tiny)
Gradient = dict[str, torch.Tensor]


def gradients(kind: str) -> tuple[Gradient, Gradient]:
    drawn = torch.Generator().manual_seed(3)
    g, h = (torch.randn(37, 50, generator=drawn, dtype=torch.float64) for _ in range(2))
    if kind == "one column":  # all of it in entries that are equally far apart
        g[:, 1:] = 0
        h = g + 0.1 * h
    bias = torch.randn(9, generator=drawn, dtype=torch.float64)
    return {"w": g, "b": bias}, {"w": h, "b": 2 * bias}


@pytest.mark.parametrize("kind", ["dense", "one column"])
def test_inner_products_are_unbiased_with_the_stated_error(kind: str) -> None:
    g, h = gradients(kind)
    exact = sum(float((g[name] * h[name]).sum()) for name in g)
    squares = [sum(float(part.square().sum()) for part in one.values()) for one in (g, h)]
    found = []
    for seed in range(400):
        sketch = make_sketch(g, 50, seed)  # as long as a row: without shifts a column would meet itself alone
        found.append(float(sketch.of(g) @ sketch.of(h)))
    spread = math.sqrt((squares[0] * squares[1] + exact**2) / 50)
    assert abs(np.mean(found) - exact) < 5 * spread / math.sqrt(400)
    assert 0.5 * spread < np.std(found) < 1.15 * spread


def test_the_sketch_is_linear() -> None:
    g, h = gradients("dense")
    sketch = make_sketch(g, 16, 0)
    both = {name: 2 * g[name] - h[name] for name in g}
    assert torch.allclose(sketch.of(both), 2 * sketch.of(g) - sketch.of(h))
    assert not torch.allclose(make_sketch(g, 16, 1).of(g), sketch.of(g))


def test_a_sketch_finds_the_pairs_that_push_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, results = open_pairs(write_lines(tmp_path / "pairs.jsonl", products(24))), Results(tmp_path / "out.jsonl")
    settings = AuditSettings(loss=SimPO(), dtype=torch.float64)
    with results.begin({}):
        audit = Audit(loaded(), source, results, settings)
        run_audit(audit)
        pairs = run_set(audit, SGD())
    assert len(find_targets(results)) >= 2
    how: Any = (audit, pairs, 1)
    exact = find_influences(*how)
    assert exact.error is None
    monkeypatch.setattr(influences_module, "EXACT_PAIRS", 10)
    found = find_influences(*how)
    lines = sketch_results(results).path.read_bytes()
    assert set(found.pushes) == set(exact.pushes)
    missed = total = 0
    for row, sides in exact.pushes.items():
        for side, entries in sides.items():
            known = dict(found.pushes[row][side])
            total += len(entries)
            missed += len(entries) - len(known.keys() & dict(entries).keys())
            for other, push in entries:
                if other in known:
                    assert known[other] == pytest.approx(push, rel=1e-6)
    assert total >= 4  # four candidates a side, of 24 pairs
    assert missed == 0
    assert found.error is not None
    assert found.error.pushes >= 24
    assert 0.3 * found.error.expected < found.error.measured < 2 * found.error.expected
    place = sketch_results(results).path
    place.write_bytes(lines[: 2 * len(lines) // 3])
    assert find_influences(*how) == found
    assert place.read_bytes() == lines
    monkeypatch.setattr(sketched_influences, "SIZE", 2)  # the control: a sketch that is too short is told apart
    short = find_influences(*how).error
    assert short is not None
    assert short.measured > 0.3
