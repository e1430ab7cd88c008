"""Texts as token ids and back, and log pi(y | x) of them against token-by-token sums in the plainest form."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.optional import needs

needs("transformers")

from dynamics.language_model import differentiable_log_probs, sequence_log_probs, tokenize
from tests.toy_models.multiplication.conftest import tiny_model
from toy_models.multiplication.corpus import ask
from toy_models.multiplication.responses import (
    as_prompt,
    as_sequences,
    decode_response,
    encode_prompt,
    encode_response,
)
from toy_models.multiplication.search import next_log_probs
from toy_models.multiplication.tokenizer import byte_tokenizer

PROMPT = (2, 3, 2)
RESPONSES = [(1,), (2, 1), (4, 3, 2, 4, 1), (3, 3, 1), (0, 1), (2, 2, 2)]


def one_by_one(model: Any, prompt: tuple[int, ...], response: tuple[int, ...]) -> float:
    total, seen = 0.0, list(prompt)
    for token in response:
        with torch.no_grad():
            total += float(model(input_ids=torch.tensor([seen])).logits[0, -1].double().log_softmax(-1)[token])
        seen.append(token)
    return total


@pytest.mark.parametrize("batch_tokens", [8192, 8, 1])
def test_scores_are_sums_over_tokens_however_they_are_batched(batch_tokens: int) -> None:
    model = tiny_model()
    sequences = as_sequences(PROMPT, RESPONSES)
    expected = torch.tensor([one_by_one(model, PROMPT, y) for y in RESPONSES], dtype=torch.float64)
    scores = sequence_log_probs(model, sequences, batch_tokens=batch_tokens).total
    torch.testing.assert_close(scores, expected, rtol=0, atol=2e-5)
    torch.testing.assert_close(differentiable_log_probs(model, sequences).detach(), expected, rtol=0, atol=2e-5)
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
    parameters, sequences = list(model.parameters()), as_sequences(PROMPT, RESPONSES)
    padded = torch.autograd.grad(differentiable_log_probs(model, sequences)[1], parameters)
    alone = torch.autograd.grad(differentiable_log_probs(model, sequences[1:2])[0], parameters)
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


def test_prompt_and_response_are_those_of_the_whole_text() -> None:
    tokenizer = byte_tokenizer()
    prompt = as_prompt(tokenizer, "11 x 12 = ?")
    assert prompt == ask("11 x 12 = ?")
    (sequence,) = as_sequences(encode_prompt(tokenizer, prompt), [encode_response(tokenizer, "It is 132.")])
    assert sequence == tokenize(tokenizer, ask("11 x 12 = ?"), "It is 132.")


class ChatTokenizer:
    """Marks turns with 7 and the beginning of a text with 9."""

    eos_token_id = 8
    chat_template = "some"

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        return {"input_ids": [9] * add_special_tokens + [len(word) for word in text.split()]}

    def apply_chat_template(self, turns: Any, add_generation_prompt: bool, return_dict: bool) -> dict[str, list[int]]:
        assert return_dict
        ids = [9]
        for turn in turns:
            ids += [7, *self(turn["content"], add_special_tokens=False)["input_ids"]]
        return {"input_ids": ids + [7] * add_generation_prompt}


def test_a_chat_begins_once_and_ends_with_the_models_turn() -> None:
    tokenizer: Any = ChatTokenizer()
    assert encode_prompt(tokenizer, as_prompt(tokenizer, "a bb ccc")) == (9, 7, 1, 2, 3, 7)
    assert encode_prompt(tokenizer, "a bb") == (9, 1, 2)
    assert encode_response(tokenizer, "a bb") == (1, 2, 8)
