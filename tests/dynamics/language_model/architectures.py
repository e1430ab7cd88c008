"""Tiny random models of every decoder that transformers can build, and the page of what their kernels are computed by.

``python tests/dynamics/language_model/architectures.py`` builds them all, compares every kernel with brute-force
autograd and writes the table into dynamics/language_model/kernel/README.md. With names of types as arguments it prints
their rows only.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
if __name__ == "__main__":  # in place of this folder, whose tokenizers.py would hide the package
    sys.path[0] = str(ROOT)

import torch

from dynamics import InvalidArgument
from dynamics.files import write_atomically
from dynamics.language_model import SequenceKernel, TokenSequence, sequence_kernel
from tests.dynamics.language_model.brute_force import autograd_kernel, relative
from tests.dynamics.language_model.saved import write_lines
from tests.dynamics.language_model.tokenizers import byte_tokenizer
from tests.dynamics.language_model.trained import TrainerFails, differences

PAGE = ROOT / "dynamics" / "language_model" / "kernel" / "README.md"
COMMAND = "python tests/dynamics/language_model/architectures.py"
BEGIN, END = f"<!-- architectures: {COMMAND} -->\n", "<!-- end of architectures -->\n"
SEQUENCES = (
    TokenSequence((3, 5, 9, 3, 7, 5, 5), 3),
    TokenSequence((40, 4, 9), 1),
    TokenSequence((9, 8, 7, 9, 9, 8, 3, 4, 5, 11, 22, 50), 2),
    TokenSequence((3, 5, 9, 3, 7, 5, 6), 3),
)
LARGEST = 1_000_000
"""Parameters of the largest model that is compared."""
BOUND = {torch.float64: 1e-12, torch.float32: 1e-5}

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


@dataclass(frozen=True)
class Row:
    """What came of one type.

    Attributes:
        kind: the type.
        model: its class.
        parts: how the parts of its kernel are computed.
        errors: |dK| / sqrt(K_ii K_jj) in float64 and float32, in one graph and layer by layer; None where refused.
        plain: the same of autograd's own gradients in float32.
        conditioning: change of the kernel, computed in float64, when every weight changes by at most half a unit in
            the last place of its float32 number.
        problem: why there is nothing to compare.
        failed: the commands that failed, with their messages; empty if all three have run.
        outside: why the numbers inside of a DPOTrainer are not those outside of it; empty if they are.
    """

    kind: str
    model: str = ""
    parts: str = ""
    errors: tuple[float | None, ...] = ()
    plain: float = 0.0
    conditioning: float = 0.0
    problem: str = ""
    failed: str = ""
    outside: str = ""

    @property
    def exact(self) -> bool:
        """Return whether float64 is within its bound, and float32 within its own or twice autograd's own error."""
        double, single = BOUND[torch.float64], max(BOUND[torch.float32], 2 * self.plain)
        bounds = (double, double, single, single)
        return bool(self.errors) and all(e is None or e < b for e, b in zip(self.errors, bounds, strict=True))


def handlers(got: SequenceKernel) -> str:
    """Return how many modules are computed in which way."""
    kinds = sorted(set(got.contractions.values()))
    return ", ".join(f"{kind} {list(got.contractions.values()).count(kind)}" for kind in kinds)


def compare(kind: str) -> Row:
    """Build a type and compare its kernels with brute force."""
    of, changes = kind_of(kind)
    try:
        model = build(of, **changes)
    except Exception as problem:
        return Row(kind, problem=f"not built from small sizes ({type(problem).__name__})")
    name = type(model).__name__
    try:
        truth = autograd_kernel(model, SEQUENCES)
    except Exception as problem:
        return Row(kind, name, problem=f"autograd fails in float64 ({type(problem).__name__}: {str(problem)[:60]})")
    errors: list[float | None] = []
    parts = ""
    for dtype in BOUND:
        for memory in ("graph", "layerwise"):
            try:
                got = sequence_kernel(model, SEQUENCES, dtype=dtype, memory=memory)
            except InvalidArgument as problem:
                if memory == "graph":
                    return Row(kind, name, problem=str(problem))
                errors.append(None)
                continue
            except Exception as problem:
                return Row(kind, name, problem=f"FAILED ({type(problem).__name__}: {str(problem)[:80]})")
            parts = parts or handlers(got)
            errors.append(relative(got.kernel, truth))
    plain = relative(autograd_kernel(model, SEQUENCES, dtype=torch.float32), truth)
    moved = conditioning(model)
    with tempfile.TemporaryDirectory() as folder:
        return Row(kind, name, parts, tuple(errors), plain, moved, "", *failures(kind, Path(folder)))


def conditioning(model: Any, draws: int = 3) -> float:
    """Return how much the kernel changes, in float64, with the last float32 digit of every weight: the largest change.

    No computation in float32 can be expected to be more accurate.
    """
    model = model.to(torch.float64)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    truth, found = sequence_kernel(model, SEQUENCES).kernel, 0.0
    for seed in range(draws):
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                noise = 2 * torch.rand(parameter.shape, generator=generator, dtype=torch.float64) - 1
                parameter.copy_(before[name] * (1 + 2.0**-24 * noise))
        found = max(found, relative(sequence_kernel(model, SEQUENCES).kernel, truth))
    return found


PAIRS = (
    {"prompt": "7 + 8 = ", "chosen": "15", "rejected": "It is 16"},
    {"prompt": "2 ", "chosen": "a", "rejected": "b"},
)
COMMANDS: dict[str, tuple[str, ...]] = {
    "kernel": ("--first", "2"),
    "step": ("--learning-rate", "1e-9"),
    "pairs": ("--out", "OUT"),
}


def saved(kind: str, folder: Path) -> tuple[Path, Path]:
    """Return a folder with a tiny model of a type that reads bytes, and a file of two pairs."""
    tokenizer = byte_tokenizer()
    of, changes = kind_of(kind)
    build(of, **changes | {"vocab_size": len(tokenizer)} | PER_LAYER.get(of, {})).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return folder / "model", write_lines(folder / "pairs.jsonl", PAIRS)


PER_LAYER = {"gemma4_text": {"vocab_size_per_layer_input": 258}, "gemma3n_text": {"vocab_size_per_layer_input": 258}}


def run_commands(model: Path, data: Path) -> dict[str, Any]:
    """Run the three commands, and return their results by name."""
    from typer.testing import CliRunner

    from dynamics.__main__ import app

    runner, found = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}), {}
    for command, options in COMMANDS.items():
        own = [str(data.with_name("audit.jsonl")) if option == "OUT" else option for option in options]
        found[command] = runner.invoke(app, [command, "--model", str(model), "--data", str(data), *own])
    return found


def failures(kind: str, folder: Path) -> tuple[str, str]:
    """Return which commands fail on a saved model of a type, and what differs inside of a DPOTrainer."""
    try:
        model, data = saved(kind, folder)
    except Exception as problem:
        return (f"not saved ({type(problem).__name__}: {str(problem)[:80]})",) * 2
    failed = {command: result for command, result in run_commands(model, data).items() if result.exit_code}
    said = "; ".join(f"{command}: {r.stderr.strip() or repr(r.exception)[:160]}" for command, r in failed.items())
    try:
        found = differences(model)
    except TrainerFails as problem:
        return said, f"{UNTRAINED} ({problem})"
    except Exception as problem:
        return said, f"{type(problem).__name__}: {str(problem).strip()[:120]}"
    if found.pop("moved") == 0:
        return said, "the step changed nothing"
    return said, ", ".join(f"{name} {error:.0e}" for name, error in found.items() if not error < INSIDE)


UNTRAINED = "the trainer cannot train it"
INSIDE = 1e-6
"""How much the numbers inside of a trainer may differ from those outside, as cosines and in nats."""


def types() -> list[str]:
    """Return every type for which transformers has a causal language model."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def table(rows: list[Row]) -> str:
    """Return the page's table."""
    import transformers

    compared = [row for row in rows if row.errors]
    exact = [row for row in compared if row.exact]
    single = BOUND[torch.float32]
    ill = ", ".join(row.kind for row in compared if any((e or 0) >= single for e in row.errors)) or "nowhere"
    lines = [
        f"Of {len(compared)} architectures and variants of transformers {transformers.__version__} that were built and",
        f"compared, {len(exact)} agree with brute-force autograd: below 1e-12 in float64, and in float32 below 1e-5 or",
        "twice the error of autograd's own float32 gradients. Errors are |dK_ij| / sqrt(K_ii K_jj), the largest one;",
        "`-` stands for a model that does not go layer by layer. The last column says how well the problem is posed:",
        "how much the exact kernel changes when every weight changes by at most half a unit in the last place of its",
        "float32 number. No computation in float32 can be expected to be more accurate than that. The error in float32",
        f"exceeds 1e-5 here: {ill}. There the errors of autograd are of the same size, and so are the changes",
        "by the last digit.",
        "",
        f"The commands `kernel`, `step` and `pairs` run on {sum(not row.failed for row in compared)} of these models,",
        "saved in a folder with a tokenizer of bytes. What they compute inside of a DPOTrainer of TRL with its default",
        f"settings, after a step, is what they compute outside of it on {sum(not row.outside for row in compared)} of",
        f"the {sum(UNTRAINED not in row.outside for row in compared)} models that it can train (to {INSIDE:g}, as",
        "cosines and in nats).",
        "",
        "| type | class | modules by handler | float64, graph | layerwise | float32, graph | layerwise | autograd's | "
        "of the last digit |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in compared:
        shown = ["-" if e is None else f"{e:.0e}" for e in row.errors]
        mark = "" if row.exact else " **not exact**"
        lines.append(
            f"| {row.kind} | {row.model}{mark} | {row.parts} | {' | '.join(shown)} | {row.plain:.0e} | "
            f"{row.conditioning:.0e} |"
        )
    lines += ["", *(f"- {row.kind}: {row.failed}" for row in compared if row.failed)]
    lines += [f"- {row.kind}, inside of a trainer: {row.outside}" for row in compared if row.outside]
    lines += ["", "Not compared:", ""]
    lines += [f"- {row.kind}: {row.problem}" for row in rows if not row.errors]
    return "\n".join(lines) + "\n"


def main(names: list[str]) -> None:
    """Compare the types, and write the page if all of them were asked for."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    rows = []
    for kind in names or [*types(), *VARIANTS]:
        rows.append(compare(kind))
        print(rows[-1], flush=True)
    if not names:
        page = PAGE.read_text(encoding="utf-8")
        start, stop = page.index(BEGIN) + len(BEGIN), page.index(END)
        text = page[:start] + table(rows) + page[stop:]
        write_atomically(PAGE, lambda temporary: temporary.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    main(sys.argv[1:])
