"""log pi(y | x) against token-by-token sums in the plainest form."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("transformers")

from dynamics import InvalidArgument
from tests.toy_models.multiplication.conftest import tiny_model
from toy_models.multiplication import scoring
from toy_models.multiplication.scoring import (
    decode_response,
    encode_response,
    next_log_probs,
    response_log_probs,
)
from toy_models.multiplication.tokenizer import byte_tokenizer

PROMPT = (2, 3, 2)
RESPONSES = [(1,), (2, 1), (4, 3, 2, 4, 1), (3, 3, 1), (0, 1), (2, 2, 2)]


def one_by_one(model: object, prompt: tuple[int, ...], response: tuple[int, ...]) -> float:
    total, seen = 0.0, list(prompt)
    for token in response:
        with torch.no_grad():
            total += float(model(input_ids=torch.tensor([seen])).logits[0, -1].double().log_softmax(-1)[token])  # type: ignore[operator]
        seen.append(token)
    return total


@pytest.mark.parametrize("largest", [2**26, 40, 1])
def test_scores_are_sums_over_tokens_however_they_are_batched(monkeypatch: pytest.MonkeyPatch, largest: int) -> None:
    monkeypatch.setattr(scoring, "LARGEST_LOGITS", largest)
    model = tiny_model()
    with torch.no_grad():
        scores = response_log_probs(model, PROMPT, RESPONSES)
    assert scores.dtype == torch.float64
    expected = torch.tensor([one_by_one(model, PROMPT, y) for y in RESPONSES], dtype=torch.float64)
    torch.testing.assert_close(scores, expected, rtol=0, atol=2e-5)
    assert (expected.diff().abs() > 0.01).all()  # a mistake of row or length would show


def test_next_token_scores() -> None:
    model = tiny_model(1)
    with torch.no_grad():
        rows = next_log_probs(model, PROMPT, [(), (4,), (3, 2, 2)])
    for row, prefix in zip(rows, [(), (4,), (3, 2, 2)], strict=True):
        for token in range(5):
            expected = one_by_one(model, PROMPT, (*prefix, token)) - one_by_one(model, PROMPT, prefix)
            assert float(row[token]) == pytest.approx(expected, abs=2e-5)


def test_gradient_is_that_of_the_plain_sum() -> None:
    model = tiny_model()
    parameters = list(model.parameters())
    padded = torch.autograd.grad(response_log_probs(model, PROMPT, RESPONSES)[1], parameters)
    alone = torch.autograd.grad(response_log_probs(model, PROMPT, RESPONSES[1:2])[0], parameters)
    for a, b in zip(padded, alone, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    assert max(float(g.abs().max()) for g in alone) > 0.1


def test_responses_of_text() -> None:
    tokenizer = byte_tokenizer()
    response = encode_response(tokenizer, "= 132")
    assert response[-1] == tokenizer.eos_token_id
    assert len(response) == 6
    assert decode_response(tokenizer, response) == "= 132"
    assert decode_response(tokenizer, response[:-1]) == "= 132"


def test_nothing_to_score_is_refused() -> None:
    model = tiny_model()
    assert response_log_probs(model, PROMPT, []).shape == (0,)
    with pytest.raises(InvalidArgument):
        response_log_probs(model, (), RESPONSES)
    with pytest.raises(InvalidArgument):
        response_log_probs(model, PROMPT, [()])
