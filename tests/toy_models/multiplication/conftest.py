"""Small models: random ones of five tokens whose responses can be counted, and the one that is shipped."""

from __future__ import annotations

from typing import Any

import pytest
import torch


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


@pytest.fixture(scope="session")
def shipped() -> tuple[Any, Any]:
    pytest.importorskip("transformers")
    from toy_models.multiplication.shipped import load

    return load()
