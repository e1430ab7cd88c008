"""Tiny random models of every decoder that transformers can build, and of variants of them."""

from __future__ import annotations

from typing import Any

import torch

LARGEST = 1_000_000
"""Parameters of the largest model that is compared."""

# sizes by the names that configurations give them; a name is set only where the configuration has it
SMALL: dict[str, Any] = {
    "vocab_size": 61,
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "dim", "emb_dim", "embedding_size", "n_embed"), 32),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "num_layers", "n_layers", "decoder_layers", "encoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "num_heads", "n_heads"), 4),
    **dict.fromkeys(("decoder_attention_heads", "encoder_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads", "num_global_key_value_heads"), 2),
    **dict.fromkeys(
        ("intermediate_size", "ffn_dim", "n_inner", "d_ff", "dff", "decoder_ffn_dim", "encoder_ffn_dim"), 48
    ),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx", "context_length"), 64),
    **dict.fromkeys(("head_dim", "attention_head_dim", "global_head_dim", "v_head_dim", "mamba_d_head"), 8),
    **dict.fromkeys(("sliding_window", "window_size", "attention_window_size", "local_attention"), 4),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "top_k_experts", "moe_topk", "moe_k"), 2),
    **dict.fromkeys(("moe_intermediate_size", "expert_dim", "expert_ffn_hidden_size"), 16),
    **dict.fromkeys(("shared_expert_intermediate_size", "shared_intermediate_size"), 16),
    **dict.fromkeys(("n_group", "topk_group", "num_expert_group"), 1),
    **dict.fromkeys(("kv_lora_rank", "q_lora_rank"), 8),
    **dict.fromkeys(("qk_rope_head_dim", "qk_nope_head_dim"), 4),
    **dict.fromkeys(("state_size", "mamba_d_state", "ssm_state_size"), 4),
    **dict.fromkeys(("mamba_n_heads", "mamba_num_heads"), 8),
    **dict.fromkeys(("mamba_n_groups", "n_groups"), 1),
    **dict.fromkeys(("chunk_size", "mamba_chunk_size"), 8),
    **dict.fromkeys(("linear_num_key_heads",), 2),
    **dict.fromkeys(("linear_num_value_heads",), 4),
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim"), 8),
    **dict.fromkeys(("hidden_size_per_layer_input",), 8),
    **dict.fromkeys(("vocab_size_per_layer_input",), 61),
    **dict.fromkeys(("dropout", "attention_dropout", "hidden_dropout"), 0.0),
    "first_k_dense_replace": 1,
    "mamba_expand": 2,
    "mamba_dt_rank": 4,
    "time_step_rank": 4,
    "word_embed_proj_dim": 32,
    "rotary_dim": 4,
    "lru_width": 32,
    "is_decoder": True,
    "is_causal": True,
    "use_mamba_kernels": False,
    "add_cross_attention": False,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "scale_embedding": True,
}
# what single types need besides
OWN: dict[str, dict[str, Any]] = {
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "num_experts": 2},
    "mamba2": {"num_heads": 8, "head_dim": 8, "expand": 2},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "recurrent_gemma": {"block_types": ["recurrent", "attention"], "head_dim": 8},
    "gemma3n_text": {
        "num_kv_shared_layers": 0,
        "activation_sparsity_pattern": [0.0, 0.0],
        "intermediate_size": [48, 48],
    },
    "smollm3": {"no_rope_layers": [1, 0]},
    "dbrx": {
        "n_heads": 4,
        "ffn_config": {"ffn_hidden_size": 16, "moe_num_experts": 4, "moe_top_k": 2, "hidden_size": 32},
    },
    "mpt": {"n_heads": 4},
    "qwen2_moe": {"decoder_sparse_step": 1},
    "bart": {"decoder_layers": 2},
    "exaone4": {"layer_types": ["sliding_attention", "full_attention"]},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"], "mamba_n_heads": 8},
    "bamba": {"attn_layer_indices": [1], "mamba_n_heads": 8, "mamba_d_head": 8},
    "nemotron_h": {"layers_block_type": ["mamba", "attention"], "hybrid_override_pattern": "M*"},
    "zamba2": {"num_hidden_layers": 2, "layers_block_type": ["mamba", "hybrid"], "num_mem_blocks": 1},
    "xlstm": {"num_heads": 4, "embedding_dim": 32, "num_blocks": 2},
    # latent attention has as many heads for keys as for queries
    **{
        kind: {"num_key_value_heads": 4}
        for kind in (
            *("axk1", "axk2", "deepseek_v2", "deepseek_v3", "deepseek_v32", "glm4_moe_lite", "glm_moe_dsa"),
            *("minicpm3", "youtu"),
        )
    },
    "bailing_hybrid": {"num_key_value_heads": 4},
    "rembert": {"output_embedding_size": 32},
    "falcon_h1": {"mamba_d_ssm": 64, "mamba_n_heads": 8, "mamba_d_head": 8},
}
# the same types with other choices, which lead through other code of theirs
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen2, tied": ("qwen2", {"tie_word_embeddings": True}),
    "qwen2, sliding window": ("qwen2", {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}),
    "qwen3, tied": ("qwen3", {"tie_word_embeddings": True}),
    "llama, biases": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "llama, rope of llama 3": (
        "llama",
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 500000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 16,
            }
        },
    ),
    "llama, rope by length": (
        "llama",
        {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}},
    ),
    "gpt_neox, sequential": ("gpt_neox", {"use_parallel_residual": False}),
    "falcon, new decoder": ("falcon", {"new_decoder_architecture": True, "num_kv_heads": 2}),
    "opt, narrow embedding": ("opt", {"word_embed_proj_dim": 16, "do_layer_norm_before": False}),
    "stablelm, norms of heads": ("stablelm", {"qk_layernorm": True, "use_parallel_residual": True}),
    "granite, multipliers": (
        "granite",
        {
            "logits_scaling": 8.0,
            "embedding_multiplier": 12.0,
            "residual_multiplier": 0.22,
            "attention_multiplier": 0.1,
        },
    ),
    "qwen3_5_text, weights x 2": ("qwen3_5_text", {"weights": 2.0}),
    "qwen3_next, weights x 2": ("qwen3_next", {"weights": 2.0}),
    "gemma2, soft caps": ("gemma2", {"final_logit_softcapping": 3.0, "attn_logit_softcapping": 5.0}),
}


def kind_of(name: str) -> tuple[str, dict[str, Any]]:
    """Return the type of a variant and its choices; a type is a variant without any."""
    return VARIANTS.get(name, (name, {}))


def configuration(kind: str, **changes: Any) -> Any:
    """Return a configuration of a type with small sizes."""
    from transformers import AutoConfig

    own = OWN.get(kind, {}) | changes
    known = AutoConfig.for_model(kind).to_dict()
    fields = {name: value for name, value in SMALL.items() if name in known}
    if "qk_rope_head_dim" in known and "head_dim" in known:
        fields["head_dim"] = fields["qk_rope_head_dim"]
    if isinstance(known.get("layer_types"), (list, tuple)):
        kinds = list(dict.fromkeys(known["layer_types"]))
        fields["layer_types"] = [kinds[-1], kinds[0]]
    return AutoConfig.for_model(kind, **(fields | own))


def randomised(model: Any, seed: int = 0, weights: float = 1.0) -> Any:
    """Fill a model with random numbers: 0 and 1 hide mistakes. The matrices are multiplied by ``weights``."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(parameter.dtype)
            ones = parameter.ndim == 1 and bool((parameter == 1).all())
            if parameter.ndim > 1 or ones or not bool(parameter.any()):
                parameter.copy_(
                    float(ones) + (0.2 if parameter.ndim == 1 else weights * parameter.shape[-1] ** -0.5) * noise
                )
            else:
                parameter.add_(0.05 * noise)
    return model


def build(
    kind: str,
    *,
    dtype: torch.dtype = torch.float32,
    attention: str | None = None,
    weights: float = 1.0,
    **changes: Any,
) -> Any:
    """Return a tiny random model of a type, in eval mode."""
    from transformers import AutoModelForCausalLM

    options = {} if attention is None else {"attn_implementation": attention}
    with torch.device("meta"):
        size = AutoModelForCausalLM.from_config(configuration(kind, **changes), dtype=torch.float32, **options)
    if sum(parameter.numel() for parameter in size.parameters()) > LARGEST:
        raise ValueError("the sizes of this type have other names")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(configuration(kind, **changes), dtype=torch.float32, **options)
    return randomised(model, weights=weights).to(dtype).eval()
