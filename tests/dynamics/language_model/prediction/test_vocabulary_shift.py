from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dynamics import DPO, AdamW, InvalidArgument
from dynamics.language_model import (
    TokenSequence,
    changed_parameters,
    next_token_log_probs,
    parameter_change,
    predict_change,
    sequence_kernel,
    tiny_model,
    token_kernel,
    vocabulary_shift,
)
from dynamics.preferences import pairs
from tests.dynamics.language_model.brute_force import SEQUENCES, reference_logits
from tests.dynamics.language_model.tokenizers import byte_tokenizer

MODELS = [("qwen2", True), ("qwen2", False), ("llama", True), ("gpt2", True), ("gpt2", False)]
CONTEXTS: list[Any] = [(1, 2, 3), SEQUENCES[2], [7], (9, 8, 7, 9, 9)]
PAIR = [SEQUENCES[0], SEQUENCES[3]]
RATES = [1e-7, 2e-7, 4e-7, 8e-7]
HOW: dict[str, Any] = {"loss": DPO(beta=0.5), "learning_rate": 1e-2}


def slope(errors: list[float]) -> float:
    return float(np.polyfit(np.log(RATES), np.log(errors), 1)[0])


def reference_log_probs(model: Any, contexts: Any) -> Tensor:
    """The next-token distributions through a forward written out by hand, one context after another."""
    with torch.no_grad():
        return torch.stack([reference_logits(model, ids)[-1].log_softmax(-1) for ids in contexts])


@pytest.mark.parametrize(("architecture", "tied"), MODELS)
def test_it_is_the_derivative_along_the_step(architecture: str, tied: bool) -> None:
    """Held against central differences of another forward; the changes of all tokens sum to zero."""
    model = tiny_model(architecture, tied=tied)
    change = parameter_change(model, PAIR, **HOW)
    shift = vocabulary_shift(model, change, CONTEXTS)
    assert shift.contexts == ((1, 2, 3), *(SEQUENCES[2].ids[:t] for t in range(2, 11)), (7,), (9, 8, 7, 9, 9))
    torch.testing.assert_close(shift.log_probs, reference_log_probs(model, shift.contexts), rtol=0, atol=1e-12)
    h = 1e-5
    sides = []
    for sign in (1, -1):
        with changed_parameters(model, {name: sign * h * t for name, t in change.items()}):
            sides.append(reference_log_probs(model, shift.contexts))
    scale = float(shift.log_change.abs().max())
    assert scale > 1e-2
    assert float(((sides[0] - sides[1]) / (2 * h) - shift.log_change).abs().max()) < 1e-6 * scale
    assert float(((sides[0].exp() - sides[1].exp()) / (2 * h) - shift.change).abs().max()) < 1e-6 * scale
    assert float(shift.change.abs().max()) > 1e-3
    assert float(shift.change.sum(-1).abs().max()) < 1e-12
    torch.testing.assert_close(shift.shifted_mass, shift.change.clamp(min=0).sum(-1), rtol=1e-10, atol=1e-14)


def test_a_change_that_forgets_a_part_of_the_step_is_seen() -> None:
    """The negative control of the test above."""
    model = tiny_model("qwen2")
    change = parameter_change(model, PAIR, **HOW)
    whole = vocabulary_shift(model, change, CONTEXTS).log_change
    for name in ("model.embed_tokens.weight", "model.norm.weight", "model.layers.0.self_attn.v_proj.bias"):
        part = vocabulary_shift(model, {n: t for n, t in change.items() if n != name}, CONTEXTS).log_change
        assert float((part - whole).abs().max()) > 1e-3 * float(whole.abs().max())


@pytest.mark.parametrize("optimizer", [None, AdamW()], ids=["sgd", "adamw"])
def test_the_error_falls_with_the_square_of_the_learning_rate(optimizer: Any) -> None:
    model = tiny_model("qwen2")
    errors, halves = [], []
    before = next_token_log_probs(model, CONTEXTS).exp()
    for eta in RATES:
        change = parameter_change(model, PAIR, loss=DPO(beta=0.5), learning_rate=eta, optimizer=optimizer)
        predicted = vocabulary_shift(model, change, CONTEXTS).change
        with changed_parameters(model, change):
            actual = next_token_log_probs(model, CONTEXTS).exp() - before
        errors.append(float((actual - predicted).norm()))
        halves.append(float((actual - predicted / 2).norm()))
    assert slope(errors) == pytest.approx(2, abs=0.02)
    assert slope(halves) == pytest.approx(1, abs=0.02)  # the negative control: a wrong prediction


@pytest.mark.parametrize(("architecture", "tied"), MODELS)
def test_the_kernel_says_the_same_of_every_next_token(architecture: str, tied: bool) -> None:
    """An independent contraction: the kernel over one-token responses, one for each entry of the vocabulary."""
    model = tiny_model(architecture, tied=tied)
    shift = vocabulary_shift(model, parameter_change(model, PAIR, **HOW), [(9, 8, 7)])
    every = [*PAIR, *(TokenSequence((9, 8, 7, y), 3) for y in range(23))]
    account = sequence_kernel(model, every)
    predicted = predict_change(account.kernel, account.log_probs, pairs(0, 1, shape=(25,)), **HOW)[2:]
    scale = float(predicted.abs().max())
    assert float((shift.log_change[0] - predicted).abs().max()) < 1e-11 * scale
    shuffled = predict_change(account.kernel, account.log_probs, pairs(1, 0, shape=(25,)), **HOW)[2:]
    assert float((shift.log_change[0] - shuffled).abs().max()) > 0.1 * scale


def test_tokens_of_a_response_move_as_the_token_kernel_says() -> None:
    """Rows of a TokenSequence are the positions that predict its tokens, and their changes sum to that of log pi."""
    model = tiny_model("llama")
    sequences = [*PAIR, SEQUENCES[2]]
    shift = vocabulary_shift(model, parameter_change(model, PAIR, **HOW), [SEQUENCES[2]])
    own = shift.log_change.gather(1, torch.tensor(SEQUENCES[2].response).unsqueeze(1)).squeeze(1)
    table = token_kernel(model, sequences)
    predicted = 1e-2 * 0.5 * 0.5 * (table.block(2, 0).sum(1) - table.block(2, 1).sum(1))
    torch.testing.assert_close(own, predicted, rtol=1e-10, atol=1e-10)


def test_padding_batches_pieces_and_order_change_nothing() -> None:
    model = tiny_model("gpt2")
    change = parameter_change(model, PAIR, **HOW)
    together = vocabulary_shift(model, change, CONTEXTS, batch_tokens=10_000)
    apart = vocabulary_shift(model, change, CONTEXTS, batch_tokens=1, vocabulary_piece=5)
    singly = [vocabulary_shift(model, change, [context]) for context in CONTEXTS]
    for table in ("log_probs", "log_change"):
        value = getattr(together, table)
        torch.testing.assert_close(getattr(apart, table), value, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(torch.cat([getattr(s, table) for s in singly]), value, rtol=1e-12, atol=1e-12)
    backwards = vocabulary_shift(model, change, CONTEXTS[::-1])
    assert sorted(backwards.contexts) == sorted(together.contexts)
    torch.testing.assert_close(backwards.log_change[-1], together.log_change[0], rtol=1e-12, atol=1e-12)
    log_probs = next_token_log_probs(model, CONTEXTS, batch_tokens=1, vocabulary_piece=5)
    torch.testing.assert_close(log_probs, together.log_probs, rtol=0, atol=1e-12)


def test_a_padding_token_in_the_input_of_a_tied_model() -> None:
    """torch keeps the embedding's gradient from row 2, the head moves it all the same: the kernel is then off.

    The step is the one torch takes, and the shift is what that step does. Untied, the row stays and all agree.
    """
    for tied in (True, False):
        model = tiny_model("llama", tied=tied, pad_token_id=2)
        assert model.model.embed_tokens.padding_idx == 2
        change = parameter_change(model, PAIR, **HOW)
        row = change["model.embed_tokens.weight"][2]
        assert bool((row != 0).any()) == tied
        shift = vocabulary_shift(model, change, [(1, 2, 3)])
        with changed_parameters(model, {name: 1e-5 * t for name, t in change.items()}):
            difference = (reference_log_probs(model, [(1, 2, 3)]) - shift.log_probs) / 1e-5
        torch.testing.assert_close(difference, shift.log_change, rtol=1e-3, atol=1e-3)
        every = [*PAIR, *(TokenSequence((1, 2, 3, y), 3) for y in range(23))]
        account = sequence_kernel(model, every)
        predicted = predict_change(account.kernel, account.log_probs, pairs(0, 1, shape=(25,)), **HOW)[2:]
        error = float((predicted - shift.log_change[0]).abs().max() / predicted.abs().max())
        assert error > 1e-2 if tied else error < 1e-11


def test_gainers_and_losers() -> None:
    model = tiny_model("qwen2", vocabulary=258)
    tokenizer = byte_tokenizer()
    change = parameter_change(model, [TokenSequence((5, 6, 70), 2), TokenSequence((5, 6, 80), 2)], **HOW)
    shift = vocabulary_shift(model, change, [(9,), (5, 6)])
    gained, lost = shift.gainers(1, 300, tokenizer), shift.losers(1, 300, tokenizer)
    assert {t.token for t in gained} | {t.token for t in lost} == set(range(258))
    assert [t.change for t in gained] == sorted((t.change for t in gained), reverse=True)
    assert [t.change for t in lost] == sorted(t.change for t in lost)
    assert all(t.change > 0 and t.log_change > 0 for t in gained)
    assert sum(t.change for t in gained) == pytest.approx(float(shift.shifted_mass[1]))
    assert sum(t.probability for t in (*gained, *lost)) == pytest.approx(1)
    first = shift.gainers(1, 1, tokenizer)[0]
    assert first.text == tokenizer.decode([first.token])
    assert first.change == pytest.approx(float(shift.change[1, first.token]))
    assert shift.gainers(1, 1)[0].text is None
    assert shift.gainers(0, 1)[0].change != first.change
    with pytest.raises(InvalidArgument, match="below 2"):
        shift.gainers(2)
    with pytest.raises(InvalidArgument, match="count"):
        shift.losers(0, 0)


def test_lower_precision_is_computed_in_float32_by_default() -> None:
    model = tiny_model("qwen2").to(torch.bfloat16)
    change = parameter_change(model, PAIR, **HOW)
    assert {t.dtype for t in change.values()} == {torch.float32}
    exact = vocabulary_shift(model, change, CONTEXTS, dtype=torch.float64)
    got = vocabulary_shift(model, change, CONTEXTS)
    assert 0 < float((got.log_change - exact.log_change).abs().max()) < 1e-4 * float(exact.log_change.abs().max())
    assert float(got.change.sum(-1).abs().max()) < 1e-12
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_bad_contexts_are_named() -> None:
    model = tiny_model()
    change = {"model.norm.weight": torch.ones(16)}
    with pytest.raises(InvalidArgument, match="contexts: the list is empty"):
        vocabulary_shift(model, change, [])
    with pytest.raises(InvalidArgument, match=r"contexts\[1\]"):
        vocabulary_shift(model, change, [(1,), ()])
    with pytest.raises(InvalidArgument, match="from 0 to 22"):
        vocabulary_shift(model, change, [(1, 23)])
    with pytest.raises(InvalidArgument, match="contexts: the list is empty"):
        next_token_log_probs(model, [])
