"""Every column against plain autograd in float64; memory that runs out."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import pytest
import torch

from dynamics import InvalidArgument
from dynamics.language_model import TokenSequence, tiny_model
from dynamics.language_model.pair_audit import columns
from dynamics.language_model.pair_audit.columns import PairAudit, audit_pairs, audit_pairs_that_fit, out_of_memory
from dynamics.language_model.precision import computing_in
from tests.dynamics.language_model.brute_force import SEQUENCES, own_log_probs, reference_logits, scores

PAIRS = [(SEQUENCES[0], SEQUENCES[3]), (SEQUENCES[1], SEQUENCES[2]), (SEQUENCES[4], SEQUENCES[1])]


def by_hand(model: Any, pair: tuple[TokenSequence, TokenSequence], names: Any = None) -> dict[str, Any]:
    g_w, g_l = scores(model, pair, names)
    sums, means = [], []
    for s in pair:
        with torch.no_grad(), computing_in(model, torch.float64):
            hidden = model.base_model(torch.tensor([s.ids])).last_hidden_state[0, s.prompt_tokens - 1 : -1]
        sums.append(hidden.sum(0))
        means.append(hidden.mean(0))
    log_probs = [own_log_probs(reference_logits(model, s.ids), s).sum().detach() for s in pair]
    return {
        "log_prob_chosen": float(log_probs[0]),
        "log_prob_rejected": float(log_probs[1]),
        "tokens_chosen": len(pair[0].ids) - pair[0].prompt_tokens,
        "tokens_rejected": len(pair[1].ids) - pair[1].prompt_tokens,
        "norm_chosen": float(g_w.norm()),
        "norm_rejected": float(g_l.norm()),
        "inner_product": float(g_w @ g_l),
        "cosine": float(g_w @ g_l / (g_w.norm() * g_l.norm())),
        "drive_chosen": float(g_w @ (g_w - g_l)),
        "drive_rejected": float(g_l @ (g_w - g_l)),
        "ches": float(sums[0] @ (sums[1] - sums[0])),
        "ches_length_normalised": float(means[0] @ (means[1] - means[0])),
        "lowers_chosen": float(g_w @ (g_w - g_l)) < 0,
    }


@pytest.mark.parametrize("architecture", ["qwen2", "gpt2"])
def test_every_column_agrees_with_gradients_written_out(architecture: str) -> None:
    model = tiny_model(architecture)
    for found, pair in zip(audit_pairs(model, PAIRS), PAIRS, strict=True):
        assert asdict(found) == pytest.approx(by_hand(model, pair), rel=1e-10)
        swapped = by_hand(model, pair[::-1])
        assert asdict(found) != pytest.approx(swapped, rel=1e-3)


def test_the_filter_of_parameters_is_heeded() -> None:
    model = tiny_model()
    (found,) = audit_pairs(model, PAIRS[:1], parameters="*mlp*")
    wanted = by_hand(model, PAIRS[0], lambda name: "mlp" in name)
    assert asdict(found) == pytest.approx(wanted, rel=1e-10)


def kernel_error(one: PairAudit, other: PairAudit) -> float:
    scale = one.norm_chosen * one.norm_rejected
    squares = abs(one.norm_chosen**2 - other.norm_chosen**2) / one.norm_chosen**2
    return max(abs(one.inner_product - other.inner_product) / scale, squares)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-13)])
def test_the_other_pairs_of_a_batch_change_a_pair_by_rounding_only(dtype: torch.dtype, tolerance: float) -> None:
    model = tiny_model(dtype=dtype)
    together = audit_pairs(model, PAIRS)
    alone = [audit_pairs(model, [pair])[0] for pair in PAIRS]
    errors = [kernel_error(one, other) for one, other in zip(alone, together, strict=True)]
    assert max(errors) < tolerance
    assert kernel_error(alone[0], alone[1]) > 1e-3  # the measure sees a difference
    assert [a.lowers_chosen for a in alone] == [t.lowers_chosen for t in together]


def test_both_signs_of_the_drive_occur_and_lowers_chosen_says_which() -> None:
    found = [audit_pairs(tiny_model(seed=seed), PAIRS[:1])[0] for seed in range(12)]
    assert {True, False} == {f.lowers_chosen for f in found}
    assert all(f.lowers_chosen == (f.drive_chosen < 0) for f in found)


def test_a_score_that_is_zero_has_no_angle() -> None:
    """Only the embedding of a token that no sequence reads: all gradients are exactly zero."""
    model = tiny_model(tied=False)
    with torch.no_grad():
        model.lm_head.weight.zero_()  # nothing reaches below the head
    (found,) = audit_pairs(model, PAIRS[:1], parameters="*embed_tokens*")
    assert found.norm_chosen == 0
    assert found.cosine is None
    assert not found.lowers_chosen


def test_a_model_that_is_not_finite_is_refused() -> None:
    model = tiny_model()
    with torch.no_grad():
        model.model.norm.weight[0] = math.nan
    with pytest.raises(InvalidArgument):
        audit_pairs(model, PAIRS)


class Scarce:
    """An audit that finds memory for so many pairs only, and remembers what it was asked."""

    def __init__(self, layerwise: int, graph: int, error: Exception) -> None:
        self.most = {"layerwise": layerwise, "auto": graph}
        self.error = error
        self.asked: list[tuple[int, str]] = []

    def __call__(self, model: Any, pairs: Any, *, memory: Any, **options: Any) -> list[PairAudit]:
        self.asked.append((len(pairs), memory))
        if len(pairs) > self.most[memory]:
            raise self.error
        return audit_pairs(model, pairs, memory=memory, **options)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
    ],
)
def test_when_memory_runs_out_layers_come_first_and_then_halves(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    model = tiny_model()
    wanted = audit_pairs(model, PAIRS)
    scarce = Scarce(layerwise=3, graph=0, error=error)
    monkeypatch.setattr(columns, "audit_pairs", scarce)
    whole = audit_pairs_that_fit(model, PAIRS)
    assert scarce.asked == [(3, "auto"), (3, "layerwise")]
    assert [asdict(f) for f in whole] == [pytest.approx(asdict(w), rel=1e-9) for w in wanted]
    scarce = Scarce(layerwise=0, graph=1, error=error)
    monkeypatch.setattr(columns, "audit_pairs", scarce)
    halves = audit_pairs_that_fit(model, PAIRS)
    assert scarce.asked[:3] == [(3, "auto"), (3, "layerwise"), (1, "auto")]
    assert [asdict(f) for f in halves] == [pytest.approx(asdict(w), rel=1e-9) for w in wanted]


def test_when_memory_does_not_suffice_for_one_pair_it_is_said_how_much_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "audit_pairs", Scarce(0, 0, MemoryError()))
    with pytest.raises(InvalidArgument, match=r"memory: got a pair of up to 7 tokens that needs about \d+ MiB beyond"):
        audit_pairs_that_fit(tiny_model(), PAIRS)


def test_other_errors_are_not_taken_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "audit_pairs", Scarce(0, 0, RuntimeError("shapes differ")))
    with pytest.raises(RuntimeError, match="shapes differ"):
        audit_pairs_that_fit(tiny_model(), PAIRS)
    assert not out_of_memory(ValueError("no"))
