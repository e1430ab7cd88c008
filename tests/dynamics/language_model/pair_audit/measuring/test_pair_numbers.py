"""Every column against plain autograd in float64; memory that runs out."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dynamics.language_model import TokenSequence, model_step, sequence_log_probs, tiny_model
from dynamics.language_model.pair_audit.measuring.pair_numbers import (
    NOT_FINITE,
    NotFinite,
    PairAudit,
    audit_pairs,
    audit_pairs_that_fit,
)
from dynamics.language_model.precision import computing_in
from dynamics.losses import SFT, PairLogProbs, SimPO
from tests.dynamics.language_model.brute_force import SEQUENCES, own_log_probs, reference_logits, scores

ROOT = Path(__file__).parents[5]
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
        "displaced": float(g_w @ (g_w - g_l)) < 0,
        **own_step_by_hand(g_w, g_l),
        "reference_chosen": float(log_probs[0]),
        "reference_rejected": float(log_probs[1]),
    }


def own_step_by_hand(g_w: torch.Tensor, g_l: torch.Tensor, beta: float = 0.1) -> dict[str, Any]:
    """A step of DPO from its own reference goes along beta/2 (g_w - g_l)."""
    step = beta / 2 * (g_w - g_l)
    overlap = float(g_w @ g_l)
    low = overlap / float(g_w @ g_w)
    return {
        "own_chosen_change": float(g_w @ step),
        "own_rejected_change": float(g_l @ step),
        "own_margin_change": beta * float((g_w - g_l) @ step),
        "band_low": max(0.0, low),
        "band_high": float(g_l @ g_l) / overlap if overlap > 0 else None,
        "sft_weight": max(0.0, beta / 2 * (low - 1)),
    }


@pytest.mark.parametrize("architecture", ["qwen2", "gpt2"])
def test_every_column_agrees_with_gradients_written_out(architecture: str) -> None:
    model = tiny_model(architecture)
    for found, pair in zip(audit_pairs(model, PAIRS), PAIRS, strict=True):
        assert asdict(found) == pytest.approx(by_hand(model, pair), rel=1e-10)
        swapped = by_hand(model, pair[::-1])
        assert asdict(found) != pytest.approx(swapped, rel=1e-3)


def test_a_reference_model_enters_the_weights_and_not_the_kernel() -> None:
    model, reference = tiny_model(), tiny_model(seed=3)
    for found, plain, pair in zip(
        audit_pairs(model, PAIRS, reference=reference), audit_pairs(model, PAIRS), PAIRS, strict=True
    ):
        referred = sequence_log_probs(reference, pair).total.tolist()
        assert [found.reference_chosen, found.reference_rejected] == pytest.approx(referred, rel=1e-12)
        assert found.norm_chosen == plain.norm_chosen
        z = 0.1 * (found.log_prob_chosen - referred[0] - found.log_prob_rejected + referred[1])
        steeper = 2 / (1 + math.exp(z))  # than at the margin 0
        assert found.own_chosen_change == pytest.approx(steeper * plain.own_chosen_change, rel=1e-9)
        assert abs(steeper - 1) > 1e-3


def test_own_changes_are_the_slope_of_a_real_step() -> None:
    """(log pi after - before) / learning rate tends to the column, with an error of first order in the rate."""
    model = tiny_model()
    (found,) = audit_pairs(model, PAIRS[:1], loss=SimPO())
    errors = []
    for rate in (1e-3, 1e-4, 1e-5):
        step = model_step(model, PAIRS[0], loss=SimPO(), learning_rate=rate)
        actual = step.actual_log_change / rate
        errors.append(
            abs(float(actual[0]) - found.own_chosen_change) + abs(float(actual[1]) - found.own_rejected_change)
        )
    assert errors[1] / errors[0] == pytest.approx(0.1, rel=0.2)
    assert errors[2] / errors[1] == pytest.approx(0.1, rel=0.2)


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
    assert [a.displaced for a in alone] == [t.displaced for t in together]


def test_both_signs_of_the_drive_occur_and_displaced_says_which() -> None:
    found = [audit_pairs(tiny_model(seed=seed), PAIRS[:1])[0] for seed in range(12)]
    assert {True, False} == {f.displaced for f in found}
    assert all(f.displaced == (f.drive_chosen < 0) for f in found)


def test_a_score_that_is_zero_has_no_angle() -> None:
    """Only the embedding of a token that no sequence reads: all gradients are exactly zero."""
    model = tiny_model(tied=False)
    with torch.no_grad():
        model.lm_head.weight.zero_()  # nothing reaches below the head
    (found,) = audit_pairs(model, PAIRS[:1], parameters="*embed_tokens*")
    assert found.norm_chosen == 0
    assert found.cosine is None
    assert not found.displaced


def test_a_model_that_is_not_finite_is_refused() -> None:
    model = tiny_model()
    with torch.no_grad():
        model.model.norm.weight[0] = math.nan
    with pytest.raises(NotFinite, match="are not finite"):
        audit_pairs(model, PAIRS)
    assert [str(audit) for audit in audit_pairs_that_fit(model, PAIRS)] == [f"model: {NOT_FINITE}"] * 3


@pytest.mark.parametrize("bad", [0, 1, 2])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_pair_that_is_not_finite_leaves_the_others_as_they_would_be_without_it(bad: int, value: float) -> None:
    """One token has a broken embedding, as a token that was added and never trained may have."""
    token = 7
    model = tiny_model(tied=False)
    pairs = [tuple(replace(s, ids=tuple(i if i != token else 8 for i in s.ids)) for s in pair) for pair in PAIRS]
    chosen, rejected = pairs[bad]
    pairs[bad] = chosen, replace(rejected, ids=(token, *rejected.ids[1:]))
    with torch.no_grad():
        model.model.embed_tokens.weight[token] = value
    without = audit_pairs(model, [pair for number, pair in enumerate(pairs) if number != bad])
    audits = audit_pairs_that_fit(model, pairs)
    assert isinstance(audits.pop(bad), NotFinite)
    assert audits == without  # bit for bit
    assert audit_pairs_that_fit(model, pairs[bad : bad + 1])[0].__class__ is NotFinite
    with torch.no_grad():
        model.model.embed_tokens.weight[token] = 0.1
    assert not any(isinstance(audit, NotFinite) for audit in audit_pairs_that_fit(model, pairs))


def test_a_pair_at_which_the_loss_has_no_finite_derivative_is_told_apart() -> None:
    @dataclass(frozen=True)
    class Cliff(SFT):
        """Infinitely steep for a response of one length."""

        def partials(self, pair: PairLogProbs) -> Any:
            found = super().partials(pair)
            return found._replace(chosen=torch.where(pair.chosen_length == PAIRS[1][0].length, math.inf, found.chosen))

    audits = audit_pairs_that_fit(tiny_model(), PAIRS, loss=Cliff())
    lengths = [pair[0].length for pair in PAIRS]
    assert [isinstance(audit, NotFinite) for audit in audits] == [length == lengths[1] for length in lengths]
    assert str(audits[1]).endswith("Cliff() is not finite at this pair")


@pytest.fixture(scope="module")
def shortage() -> dict[str, Any]:
    """What came of running out of memory for real, in a process that limits itself."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc and a limit on the address space")
    command = [sys.executable, "-m", "tests.dynamics.language_model.run_out_of_memory"]
    every_block_is_mapped = {"MALLOC_MMAP_THRESHOLD_": "65536"}  # else freed memory stays in the process, as it happens
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **every_block_is_mapped}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_alike(found: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    """A pair's numbers depend on the others of its batch by rounding only, which is that of float32 here."""
    for one, other in zip(found, wanted, strict=True):
        for name, value in other.items():
            if value is None or one[name] is None:
                assert one[name] == value, name
                continue
            scale = other["norm_chosen"] ** 2 if "drive" in name or "change" in name else abs(value)
            assert one[name] == pytest.approx(value, rel=1e-4, abs=1e-5 * scale), name


def test_a_batch_that_does_not_fit_is_halved(shortage: dict[str, Any]) -> None:
    assert shortage["before"] == []
    refused = shortage["two pairs"]
    assert "can't allocate memory" in refused["cause"]  # the allocator's own words: nothing is played
    assert refused["argument"] == "sequences"
    assert refused["available"] < refused["needed"]
    assert "MiB were free" in refused["said"]
    assert shortage["told"] == ["2 pairs do not fit into memory: half of them at a time instead"]
    assert_alike(shortage["halves"], shortage["truth"])
    assert shortage["clean"]
    assert_alike(shortage["afterwards"], shortage["truth"])


def test_one_graph_that_does_not_fit_names_the_other_strategy(shortage: dict[str, Any]) -> None:
    assert "use memory='layerwise', which needs about" in shortage["graph"]["said"]


def test_a_graph_that_the_allocator_refuses_is_followed_by_the_layerwise_strategy(shortage: dict[str, Any]) -> None:
    """The plan was made with enough memory for one graph, which was then no longer there."""
    found = shortage["fall back"]
    assert found["graph"] < found["available"]
    assert found["strategy"] == "layerwise"
    assert found["error"] < 1e-5
    assert shortage["fall back told"] == [
        "one graph of 8 sequences does not fit into memory: going layer by layer instead"
    ]


def test_when_memory_does_not_suffice_for_one_pair_it_is_said_how_much_does(shortage: dict[str, Any]) -> None:
    said = shortage["one pair"]["said"]
    assert re.match(r"memory: a pair of up to 300 tokens needs about \d+ MiB beyond the model, where", said)
    assert "--max-tokens" in said


def test_the_forward_passes_too_say_that_memory_ran_out(shortage: dict[str, Any]) -> None:
    assert shortage["log pi"]["said"].startswith("sequences: these 4 sequences do not fit into memory; use fewer or")
    assert shortage["contexts"]["said"].startswith("contexts: these 1192 contexts do not fit into memory")


def test_other_errors_are_not_taken_for_memory() -> None:
    model = tiny_model()
    model.lm_head.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("shapes differ")))
    with pytest.raises(RuntimeError, match="shapes differ"):
        audit_pairs_that_fit(model, PAIRS)
