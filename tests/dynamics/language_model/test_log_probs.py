from __future__ import annotations

from functools import cache

import pytest
import torch
from hypothesis import given, settings, strategies as st

from dynamics import InvalidArgument
from dynamics.language_model import TokenSequence, sequence_log_probs, tiny_model
from tests.dynamics.language_model.brute_force import SEQUENCES, own_log_probs, reference_logits

MODELS = [("qwen2", True), ("qwen2", False), ("llama", True), ("llama", False), ("gpt2", True), ("gpt2", False)]


def truth(model: object) -> list[torch.Tensor]:
    return [own_log_probs(reference_logits(model, s.ids), s).detach() for s in SEQUENCES]


@pytest.mark.parametrize(("architecture", "tied"), MODELS)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_float64_is_float64(architecture: str, tied: bool, attention: str) -> None:
    model = tiny_model(architecture, tied=tied)
    model.set_attn_implementation(attention)
    got = sequence_log_probs(model, SEQUENCES, batch_tokens=14, vocabulary_piece=5)
    for tokens, expected in zip(got.tokens, truth(model), strict=True):
        torch.testing.assert_close(tokens, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(got.total, torch.stack([t.sum() for t in truth(model)]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_model_of_float64_weights_alone_has_float32_islands(attention: str) -> None:
    """The negative control of the test above: the library's own forward is off by what float32 is off."""
    model = tiny_model("qwen2")
    model.set_attn_implementation(attention)
    with torch.no_grad():
        own = [own_log_probs(model(torch.tensor([s.ids])).logits[0], s) for s in SEQUENCES]
    worst = max(float((a - b).abs().max()) for a, b in zip(own, truth(model), strict=True))
    assert 1e-9 < worst < 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_low_precision_weights_are_computed_with_in_float32_by_default(dtype: torch.dtype) -> None:
    model = tiny_model("llama").to(dtype)
    exact = tiny_model("llama").to(dtype).to(torch.float64)
    expected = torch.stack([t.sum() for t in truth(exact)])
    got = sequence_log_probs(model, SEQUENCES)
    assert got.total.dtype == torch.float64
    torch.testing.assert_close(got.total, expected, rtol=1e-5, atol=1e-5)
    assert {p.dtype for p in model.parameters()} == {dtype}


small = cache(tiny_model)  # made when it is first used, because that imports transformers


@settings(max_examples=50)
@given(st.lists(st.lists(st.integers(0, 22), min_size=2, max_size=9), min_size=1, max_size=6), st.data())
def test_batches_and_padding_change_nothing(ids: list[list[int]], data: st.DataObject) -> None:
    model = small("qwen2", layers=1)
    sequences = [TokenSequence(tuple(i), data.draw(st.integers(1, len(i) - 1))) for i in ids]
    together = sequence_log_probs(model, sequences, batch_tokens=10_000)
    apart = [sequence_log_probs(model, [s], batch_tokens=1) for s in sequences]
    for got, expected in zip(together.tokens, apart, strict=True):
        torch.testing.assert_close(got, expected.tokens[0], rtol=0, atol=1e-12)


def test_every_response_of_two_tokens_has_probabilities_that_sum_to_one() -> None:
    model = tiny_model("gpt2", vocabulary=7)
    every = [TokenSequence((3, a, b), 1) for a in range(7) for b in range(7)]
    assert float(sequence_log_probs(model, every).total.exp().sum()) == pytest.approx(1, abs=1e-13)


def test_bad_sequences_are_named() -> None:
    model = tiny_model()
    with pytest.raises(InvalidArgument, match="give at least one TokenSequence"):
        sequence_log_probs(model, [])
    with pytest.raises(InvalidArgument, match="token ids below 23"):
        sequence_log_probs(model, [TokenSequence((1, 23), 1)])
    with pytest.raises(InvalidArgument, match=r"sequences\[0\]"):
        sequence_log_probs(model, [(1, 2)])
    with pytest.raises(InvalidArgument, match="no language-model head"):
        sequence_log_probs(torch.nn.Linear(2, 2), SEQUENCES)


def test_training_mode_and_dropout_are_switched_off_and_on_again() -> None:
    model = tiny_model("gpt2", resid_pdrop=0.5, embd_pdrop=0.5)
    expected = sequence_log_probs(model, SEQUENCES).total
    model.train()
    model.transformer.h[0].eval()
    torch.testing.assert_close(sequence_log_probs(model, SEQUENCES).total, expected, rtol=0, atol=0)
    assert model.training
    assert model.transformer.h[1].training
    assert not model.transformer.h[0].training
