from __future__ import annotations

from typing import Any

import pytest

from dynamics import InvalidArgument
from dynamics.language_model import sequence_kernel, tiny_model
from dynamics.language_model.parameters import select_parameters
from tests.dynamics.language_model.brute_force import SEQUENCES, autograd_kernel, relative

MODEL = tiny_model("qwen2", tied=True)
EVERY = {name for name, _ in MODEL.named_parameters()}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("*mlp*", {n for n in EVERY if "mlp" in n}),
        ("model.norm.weight", {"model.norm.weight"}),
        (["*q_proj*", "*k_proj*"], {n for n in EVERY if "q_proj" in n or "k_proj" in n}),
        ("!*embed*", EVERY - {"model.embed_tokens.weight"}),
        ("!lm_head*", EVERY - {"model.embed_tokens.weight"}),  # one weight under two names
        (["*mlp*", "!*down*"], {n for n in EVERY if "mlp" in n and "down" not in n}),
        (["!*mlp*", "!*.bias"], {n for n in EVERY if "mlp" not in n and not n.endswith("bias")}),
        (lambda name: "norm" in name, {n for n in EVERY if "norm" in n}),
        (None, EVERY),
    ],
)
def test_a_choice(choice: Any, expected: set[str]) -> None:
    assert set(select_parameters(MODEL, choice)) == expected


def test_leaving_out_keeps_frozen_parameters_frozen() -> None:
    model = tiny_model("qwen2")
    model.model.norm.weight.requires_grad_(False)
    assert "model.norm.weight" not in select_parameters(model, "!*mlp*")
    assert "model.norm.weight" in select_parameters(model, ["*", "!*mlp*"])


@pytest.mark.parametrize("choice", ["!*", "adapter", "no such", ["*mlp*", "!*"], 3, [3]])
def test_a_choice_of_nothing_is_an_error(choice: Any) -> None:
    with pytest.raises(InvalidArgument, match="parameters"):
        select_parameters(MODEL, choice)


# PEFT's own warnings: names that transformers will change, and a head that it saves in full
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("memory", ["graph", "layerwise"])
@pytest.mark.parametrize("kind", ["lora", "dora", "embeddings", "head", "ia3", "oft", "prompt", "prefix"])
def test_every_kind_of_adapter(kind: str, memory: Any) -> None:
    """Against brute force; "adapter" chooses what peft trains, also where everything is trained."""
    peft = pytest.importorskip("peft")
    task: dict[str, Any] = {"task_type": "CAUSAL_LM"}
    configs = {
        "lora": lambda: peft.LoraConfig(r=2, lora_dropout=0.3, target_modules="all-linear", **task),
        "dora": lambda: peft.LoraConfig(r=2, use_dora=True, target_modules=["q_proj", "down_proj"], **task),
        "embeddings": lambda: peft.LoraConfig(r=2, target_modules=["embed_tokens", "q_proj"], **task),
        "head": lambda: peft.LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["lm_head"], **task),
        "ia3": lambda: peft.IA3Config(
            target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"], **task
        ),
        "oft": lambda: peft.OFTConfig(oft_block_size=4, target_modules=["v_proj"], **task),
        "prompt": lambda: peft.PromptTuningConfig(num_virtual_tokens=3, **task),
        "prefix": lambda: peft.PrefixTuningConfig(num_virtual_tokens=3, **task),
    }
    model = peft.get_peft_model(tiny_model("qwen2", tied=kind != "head"), configs[kind]()).double()
    randomise(model)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    model.requires_grad_()
    assert set(select_parameters(model, "adapter")) == trained
    if (kind, memory) == ("prefix", "layerwise"):  # the prefix is a cache, which every layer extends
        with pytest.raises(InvalidArgument, match="use memory='graph'"):
            sequence_kernel(model, SEQUENCES, parameters="adapter", memory=memory)
        return
    got = sequence_kernel(model, SEQUENCES, parameters="adapter", memory=memory)
    assert relative(got.kernel, autograd_kernel(model, SEQUENCES, "adapter")) < 1e-12


def randomise(model: Any) -> None:
    """Change what is zero at the start, which hides the gradients of other parameters."""
    import torch

    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.add_(0.1 * noise.to(parameter.dtype))
