"""Small models: random ones of five tokens whose responses can be counted, and the one that is shipped."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dynamics import DPO
from dynamics.language_model import differentiable_log_probs
from toy_models.multiplication.methods import Descent
from toy_models.multiplication.probe import ProbeRun, ProbeSettings, run_probe
from toy_models.multiplication.responses import as_sequences
from toy_models.multiplication.survey import PairRule, SurveySettings

LETTERS, END, PROMPT = "a|bcd", 1, "bcb"


def tiny_model(seed: int = 0, vocabulary: int = 5, padding: int | None = None) -> Any:
    """Return a random Qwen2 of a few thousand parameters whose next-token distributions are far from uniform."""
    transformers = pytest.importorskip("transformers")
    config = transformers.Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=16,
        num_hidden_layers=2,
        intermediate_size=32,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
        initializer_range=0.6,
        tie_word_embeddings=True,
        pad_token_id=padding,
        bos_token_id=None,
        eos_token_id=1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return transformers.Qwen2ForCausalLM(config).eval()


class LetterTokenizer:
    """One letter, one token; the end of text is not written."""

    eos_token_id = END
    chat_template = None

    def __call__(self, text: str, **_: object) -> dict[str, list[int]]:
        return {"input_ids": [LETTERS.index(letter) for letter in text]}

    def decode(self, ids: list[int]) -> str:
        return "".join(LETTERS[i] for i in ids)


def is_correct(text: str) -> bool:
    return text.endswith(("a", "d"))


def is_wrong(text: str) -> bool:
    return not is_correct(text)


def response_log_probs(model: Any, prompt: Any, responses: Any) -> torch.Tensor:
    return differentiable_log_probs(model, as_sequences(tuple(prompt), responses))


SETTINGS = ProbeSettings(
    survey=SurveySettings(samples=200, max_tokens=6),
    rule=PairRule(pairs=3),
    method=Descent(DPO(beta=0.5), "sgd", 1e-3),
    steps=8,
)


def probe(
    settings: ProbeSettings = SETTINGS, seed: int = 6, correct: Any = is_correct, dtype: torch.dtype = torch.float32
) -> ProbeRun:
    tokenizer: Any = LetterTokenizer()
    return run_probe(tiny_model(seed).to(dtype), tokenizer, PROMPT, correct, settings)


@pytest.fixture(scope="session")
def shipped() -> tuple[Any, Any]:
    pytest.importorskip("transformers")
    from toy_models.multiplication.shipped import load_checkpoint

    return load_checkpoint()
