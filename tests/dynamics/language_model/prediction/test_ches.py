from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from torch import Tensor

from dynamics import InvalidArgument
from dynamics.language_model import TokenSequence, ches, pair_drives, tiny_model
from dynamics.language_model.pair_audit.measuring.pair_numbers import audit_pairs
from dynamics.language_model.precision import computing_in
from dynamics.language_model.prediction.ches import similarity
from tests.dynamics.language_model.brute_force import SEQUENCES
from tests.dynamics.language_model.built import build

PAIRS = [(SEQUENCES[0], SEQUENCES[2]), (SEQUENCES[2], SEQUENCES[4]), (SEQUENCES[0], SEQUENCES[1])]


def rows(model: Any, s: TokenSequence, shift: int = 0) -> Tensor:
    """The library's own last hidden states of one unpadded sequence, where tokens of the response are predicted."""
    with computing_in(model, torch.float64), torch.no_grad():
        states = model(input_ids=torch.tensor([s.ids]), output_hidden_states=True).hidden_states[-1][0]
    return states[s.prompt_tokens - 1 + shift : len(s.ids) - 1 + shift]


def by_definition(model: Any, shift: int = 0) -> tuple[Tensor, Tensor]:
    scores, normalised = [], []
    for w, other in PAIRS:
        h, k = rows(model, w, shift), rows(model, other, shift)
        scores.append(h.sum(0) @ k.sum(0) - h.sum(0).square().sum())
        normalised.append(h.mean(0) @ k.mean(0) - h.mean(0).square().sum())
    return torch.stack(scores), torch.stack(normalised)


@pytest.mark.parametrize("architecture", ["qwen2", "llama", "gpt2"])
def test_it_is_the_definition_on_the_last_hidden_states(architecture: str) -> None:
    model = tiny_model(architecture)
    got = ches(model, PAIRS, batch_tokens=14)
    score, normalised = by_definition(model)
    torch.testing.assert_close(got.value, score, rtol=1e-12, atol=1e-10)
    torch.testing.assert_close(got.length_normalised, normalised, rtol=1e-12, atol=1e-10)
    assert float((got.value - got.length_normalised).abs().min()) > 1e-3


@pytest.mark.parametrize("kind", ["gemma2", "granite", "cohere"])
def test_it_is_the_definition_where_logits_are_scaled_or_capped(kind: str) -> None:
    """The states that the head reads, before any scale, which is a matter of the logits."""
    scales = {"gemma2": {"final_logit_softcapping": 2.0}, "granite": {"logits_scaling": 3.0}}
    model = build(kind, dtype=torch.float64, **scales.get(kind, {"logit_scale": 0.3}))
    score, normalised = by_definition(model)
    got = ches(model, PAIRS, batch_tokens=14)
    torch.testing.assert_close(got.value, score, rtol=1e-12, atol=1e-10)
    torch.testing.assert_close(got.length_normalised, normalised, rtol=1e-12, atol=1e-10)
    audited = torch.tensor([(a.ches, a.ches_length_normalised) for a in audit_pairs(model, PAIRS)])
    torch.testing.assert_close(audited, torch.stack([score, normalised], 1), rtol=1e-6, atol=1e-6, check_dtype=False)


def test_states_of_the_tokens_themselves_give_something_else() -> None:
    """The negative control: one position further, the state that has read the token and predicts the next."""
    model = tiny_model("qwen2")
    score, normalised = by_definition(model, shift=1)
    got = ches(model, PAIRS)
    assert float((got.value - score).abs().min()) > 1e-2
    assert float((got.length_normalised - normalised).abs().min()) > 1e-2


def test_the_last_token_is_not_seen() -> None:
    """Responses that differ in it alone score 0, however unlike they are: among them all of a single token."""
    model = tiny_model("qwen2")
    assert ches(model, [(SEQUENCES[0], SEQUENCES[3])]).value.tolist() == [0.0]
    single = [TokenSequence((1, 2, y), 2) for y in range(23)]
    assert float(ches(model, [(single[0], s) for s in single]).value.abs().max()) < 1e-12
    assert pair_drives(model, [single[0], single[1]]).displaced.tolist() == [False]
    assert float(pair_drives(model, [single[0], single[1]]).drive[0, 0]) > 1


def test_batches_padding_and_company_change_nothing() -> None:
    model = tiny_model("llama")
    together = ches(model, PAIRS)
    for number, pair in enumerate(PAIRS):
        torch.testing.assert_close(ches(model, [pair], batch_tokens=1).value[0], together.value[number])
    torch.testing.assert_close(ches(model, PAIRS[::-1]).value.flip(0), together.value)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_large_states_in_half_precision_do_no_harm(dtype: torch.dtype) -> None:
    """Norm weights of some hundreds: sums stay below 65504, their squares do not."""
    model = tiny_model("qwen2")
    with torch.no_grad():
        model.model.norm.weight.mul_(600)
    model = model.to(dtype)
    exact = ches(model, PAIRS, dtype=torch.float64)
    got = ches(model, PAIRS)
    scale = torch.stack([rows(model, w).sum(0).square().sum() for w, _ in PAIRS])
    assert got.value.dtype == torch.float64
    assert bool(torch.isfinite(got.value).all())
    assert float(((got.value - exact.value).abs() / scale).max()) < 1e-5
    errors = []
    for number, (w, other) in enumerate(PAIRS):  # the negative control: the same in the model's own precision
        h, k = (rows(model, s).to(dtype).sum(0) for s in (w, other))
        assert bool(torch.isfinite(h).all())
        naive = (h * k).sum() - torch.linalg.vector_norm(h) ** 2
        errors.append(float((naive.double() - exact.value[number]).abs() / scale[number]))
    assert max(errors) > 2e-3 if dtype == torch.bfloat16 else not np.isfinite(errors).any()


tables = st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3).map(lambda v: torch.tensor([v], dtype=torch.float64))
lengths = st.integers(1, 9).map(lambda n: torch.tensor([n]))


@given(tables, tables, lengths, lengths)
def test_identities(w: Tensor, other: Tensor, n: Tensor, m: Tensor) -> None:
    one = torch.tensor([1])
    there, back = similarity(w, other, n, m), similarity(other, w, m, n)
    torch.testing.assert_close(there.value + back.value, -(w - other).square().sum(-1), rtol=1e-9, atol=1e-6)
    assert float(similarity(w, w, n, n).value) == 0
    torch.testing.assert_close(similarity(w / n, other / m, one, one).value, there.length_normalised)
    torch.testing.assert_close(similarity(2 * w, 2 * other, n, m).value, 4 * there.value)
    assert float(similarity(w, -w, one, one).value) <= 0


def test_alike_responses_keep_their_digits() -> None:
    """||w||^2 is 3e16 and the score 1: the difference of the two inner products would be rounding."""
    w = torch.full((1, 3), 1e8, dtype=torch.float64)
    other = w.clone()
    other[0, 0] += 2.0**-26
    got = similarity(w, other, torch.tensor([1]), torch.tensor([1])).value
    torch.testing.assert_close(got, torch.tensor([1e8 * 2.0**-26], dtype=torch.float64), rtol=1e-12, atol=0)
    assert float((w * other).sum() - (w * w).sum()) != pytest.approx(float(got), rel=0.1)


def test_bad_arguments_are_named() -> None:
    model = tiny_model()
    with pytest.raises(InvalidArgument, match="pairs: the list is empty"):
        ches(model, [])
    with pytest.raises(InvalidArgument, match=r"pairs\[1\]"):
        ches(model, [PAIRS[0], (SEQUENCES[0],)])  # type: ignore[list-item]
    with pytest.raises(InvalidArgument, match="below 23"):
        ches(model, [(TokenSequence((1, 99, 2), 1), SEQUENCES[0])])
    with pytest.raises(InvalidArgument, match="finite"):
        similarity(torch.tensor([[torch.inf]]), torch.tensor([[1.0]]), torch.tensor([1]), torch.tensor([1]))
