"""Today's numbers are those that were recorded, and equivalent settings give the same numbers."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import torch

from tests.references.record import (
    PARTS,
    RECORDED,
    TOLERANCES,
    compute,
    differences,
    environment,
    sequences,
    shipped_sequences,
)

THEN = json.loads(RECORDED.read_text(encoding="utf-8"))


@pytest.mark.parametrize("part", PARTS)
def test_today_is_as_recorded(part: str) -> None:
    if "model" in part:
        pytest.importorskip("transformers")
    changed = {
        name: (THEN["environment"].get(name), now)
        for name, now in environment().items()
        if THEN["environment"].get(name) != now
    }
    found = differences(part, compute(part), THEN["parts"][part])
    assert found == [], f"python tests/references/record.py records it again; environment then and now: {changed}"


def test_every_part_has_a_tolerance_and_a_record() -> None:
    assert set(PARTS) == set(TOLERANCES) == set(THEN["parts"])
    assert {"torch", "numpy", "cpu"} <= set(THEN["environment"])


@pytest.mark.parametrize("part", PARTS)
def test_the_comparison_sees_a_change(part: str) -> None:
    then = THEN["parts"][part]
    assert differences(part, then, then) == []
    changed = copy.deepcopy(then)
    key = next(iter(changed))
    largest = max(range(len(changed[key])), key=lambda i: abs(changed[key][i]))
    changed[key][largest] *= 1 + 2 * TOLERANCES[part] + 1e-12
    assert len(differences(part, changed, then)) == 1
    changed[key][largest] = float("nan")
    assert len(differences(part, changed, then)) == 1
    changed[key] = changed[key][:-1]
    assert len(differences(part, changed, then)) == 1
    del changed[key]
    assert differences(part, changed, then) == [f"{key}: gone"]
    assert differences(part, {**then, "new": [1.0]}, then) == [], "what was not recorded yet is not compared"


# ---------------------------------------------------------------- equivalent settings

WAYS: list[dict[str, Any]] = [
    {"memory": "layerwise"},
    {"memory": "layerwise", "batch_tokens": 4},
    {"memory": "layerwise", "batch_tokens": 1},
    {"memory": "graph", "contraction": "ghost"},
    {"memory": "graph", "contraction": "materialised"},
    {"memory": "layerwise", "contraction": "materialised", "batch_tokens": 6},
    {"memory": "graph", "vocabulary_piece": 3},
]


def distance(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Return the largest |dK_ij| / sqrt(K_ii K_jj)."""
    norms = wanted.diagonal().sqrt()
    return float(((found - wanted).abs() / (norms.unsqueeze(0) * norms)).max())


@pytest.mark.parametrize("architecture", ["qwen2", "llama", "gpt2"])
def test_every_way_to_the_kernel_of_a_tiny_model(architecture: str) -> None:
    pytest.importorskip("transformers")
    from dynamics.language_model import sequence_kernel, tiny_model

    model = tiny_model(architecture, seed=3)
    plain = sequence_kernel(model, sequences(), memory="graph")
    for way in WAYS:
        found = sequence_kernel(model, sequences(), **way)
        assert distance(found.kernel, plain.kernel) < 1e-12, way
        torch.testing.assert_close(found.log_probs, plain.log_probs, rtol=1e-12, atol=0)
    order = [2, 0, 1]
    turned = sequence_kernel(model, [sequences()[i] for i in order], memory="graph").kernel
    assert distance(turned, plain.kernel[order][:, order]) < 1e-12
    other = sequence_kernel(tiny_model(architecture, seed=4), sequences(), memory="graph").kernel
    assert distance(other, plain.kernel) > 1e-3


@pytest.mark.parametrize("architecture", ["qwen2", "llama", "gpt2"])
def test_every_attention(architecture: str) -> None:
    pytest.importorskip("transformers")
    from dynamics.language_model import sequence_kernel, tiny_model

    kernels = [
        sequence_kernel(tiny_model(architecture, seed=3, attn_implementation=attention), sequences()).kernel
        for attention in ("sdpa", "eager")
    ]
    assert distance(*kernels) < 1e-12


def test_every_way_to_the_kernel_of_the_shipped_model() -> None:
    """In float32 two ways differ by its rounding; in float64 they agree, with one another and with the record."""
    pytest.importorskip("transformers")
    from dynamics.language_model import sequence_kernel

    model, found = shipped_sequences()
    exact = sequence_kernel(model, found, memory="graph", dtype=torch.float64).kernel
    swept = sequence_kernel(model, found, memory="layerwise", dtype=torch.float64, batch_tokens=16).kernel
    narrow = sequence_kernel(model, found, memory="layerwise", batch_tokens=16).kernel
    assert distance(swept, exact) < 1e-12
    assert distance(narrow, exact) < 1e-5
    recorded = torch.tensor(THEN["parts"]["kernel of the shipped model"]["kernel"]).double().reshape(3, 3)
    assert distance(recorded, exact) < 1e-5
