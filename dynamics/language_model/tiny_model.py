"""Random language models of real architectures with a few thousand parameters, small enough for brute-force checks."""

from __future__ import annotations

from typing import Any

import torch

from dynamics.errors import InvalidArgument, check_count, check_flag
from dynamics.language_model.causal_lm import CausalLM
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
) -> CausalLM:
    """Return a random causal language model in eval mode.

    Biases and norm weights are random too, because a mistake in them does not show at their usual values 0 and 1.

    Args:
        architecture: ``"qwen2"`` (with biases), ``"llama"`` (without) or ``"gpt2"``.
        vocabulary: number of tokens.
        width: hidden size.
        layers: decoder layers.
        heads: query heads; qwen2 and llama have half as many key and value heads.
        tied: whether embedding and head share one weight.
        seed: seed of the weights.
        dtype: dtype of the weights.
        **config: further fields of the configuration.

    Raises:
        InvalidArgument: an unknown architecture, or a bad size, dtype or seed.
        MissingExtra: transformers is not installed.

    Example:
        >>> tiny_model("llama", tied=False).lm_head.weight.shape
        torch.Size([23, 16])
    """
    if not isinstance(architecture, str) or architecture not in ARCHITECTURES:
        raise InvalidArgument("architecture", architecture, f"one of {', '.join(ARCHITECTURES)}")
    for name, value in (("vocabulary", vocabulary), ("width", width), ("layers", layers), ("heads", heads)):
        check_count(name, value)
    check_count("seed", seed, minimum=0)
    check_flag("tied", tied)
    if (architecture != "gpt2" and width % (2 * heads)) or width % heads:
        raise InvalidArgument("width", width, "a multiple of heads; for qwen2 and llama an even one")
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise InvalidArgument("dtype", dtype, "a floating-point dtype such as torch.float64")
    transformers = require("transformers")
    common = {"vocab_size": vocabulary, "tie_word_embeddings": tied, "pad_token_id": None, "bos_token_id": None}
    common |= {"eos_token_id": vocabulary - 1}
    if architecture in ("qwen2", "llama"):
        kind = "Qwen2" if architecture == "qwen2" else "Llama"
        shape = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads}
        shape |= {"num_key_value_heads": max(1, heads // 2), "intermediate_size": 2 * width + 3}
        shape |= {"max_position_embeddings": 64}
    else:
        kind = "GPT2"
        shape = {"n_embd": width, "n_layer": layers, "n_head": heads, "n_positions": 64}
    settings = getattr(transformers, f"{kind}Config")(**(common | shape | config))
    with torch.random.fork_rng(devices=[]):  # transformers draws its initial weights from the global generator
        model = transformers.AutoModelForCausalLM.from_config(settings, dtype=dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(dtype)
            centre = 1.0 if parameter.ndim == 1 and float(parameter.mean()) == 1 else 0.0
            parameter.copy_(centre + 0.3 * noise)
    return model.eval()
