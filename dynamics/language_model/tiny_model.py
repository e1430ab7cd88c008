"""Random language models of a few thousand parameters: the real architectures, small enough to check by brute force."""

from __future__ import annotations

from typing import Any

import torch

from dynamics.errors import InvalidArgument
from dynamics.language_model.loading import require

ARCHITECTURES = ("qwen2", "llama", "gpt2")


def tiny_model(
    architecture: str = "qwen2",
    *,
    vocabulary: int = 23,
    width: int = 16,
    layers: int = 2,
    heads: int = 4,
    tied: bool = True,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    **config: Any,
) -> Any:
    """Return a random causal language model in eval mode.

    Biases and norm weights are random too: at their usual 0 and 1 they would hide mistakes.

    Args:
        architecture: ``"qwen2"`` (with biases), ``"llama"`` (without) or ``"gpt2"``.
        vocabulary: number of tokens.
        width: hidden size.
        layers: decoder layers.
        heads: query heads; qwen2 and llama have half as many key and value heads.
        tied: whether embedding and head share one weight.
        seed: of the weights.
        dtype: of the weights.
        **config: further fields of the configuration.

    Example:
        >>> tiny_model("llama", tied=False).lm_head.weight.shape
        torch.Size([23, 16])
    """
    transformers = require("transformers")
    common = {"vocab_size": vocabulary, "tie_word_embeddings": tied, "pad_token_id": None, "bos_token_id": None}
    common |= {"eos_token_id": vocabulary - 1}
    if architecture in ("qwen2", "llama"):
        kind = "Qwen2" if architecture == "qwen2" else "Llama"
        shape = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads}
        shape |= {"num_key_value_heads": max(1, heads // 2), "intermediate_size": 2 * width + 3}
        shape |= {"max_position_embeddings": 64}
    elif architecture == "gpt2":
        kind = "GPT2"
        shape = {"n_embd": width, "n_layer": layers, "n_head": heads, "n_positions": 64}
    else:
        raise InvalidArgument("architecture", architecture, f"one of {', '.join(ARCHITECTURES)}")
    settings = getattr(transformers, f"{kind}Config")(**(common | shape | config))
    with torch.random.fork_rng(devices=[]):  # transformers initialises from the global generator
        model = transformers.AutoModelForCausalLM.from_config(settings, dtype=dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(dtype)
            centre = 1.0 if parameter.ndim == 1 and float(parameter.mean()) == 1 else 0.0
            parameter.copy_(centre + 0.3 * noise)
    return model.eval()
