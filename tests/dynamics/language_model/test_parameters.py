from __future__ import annotations

import ast
from typing import Any

import pytest
import torch
from torch import nn

from dynamics import InvalidArgument
from dynamics.language_model import (
    model_step,
    pair_drives,
    parameter_change,
    sequence_kernel,
    sequence_log_probs,
    tiny_model,
)
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


class Quantised(nn.Module):
    """A linear map whose weight is stored in whole numbers, as a parameter or as a buffer."""

    def __init__(self, inner: nn.Linear, buffer: bool) -> None:
        super().__init__()
        self.step = float(inner.weight.detach().abs().max()) / 127
        whole = (inner.weight.detach() / self.step).round().to(torch.int8)
        if buffer:
            self.register_buffer("weight", whole)
        else:
            self.weight = nn.Parameter(whole, requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ (self.weight.to(x.dtype) * self.step).T


@pytest.mark.parametrize("buffer", [False, True], ids=["parameter", "buffer"])
def test_quantised_weights_are_not_left_out_in_silence(buffer: bool) -> None:
    model = tiny_model("qwen2")
    for layer in model.model.layers:
        layer.mlp.up_proj = Quantised(layer.mlp.up_proj, buffer)
    says = (
        r"the weights of 2 modules are quantised and have no gradient: model.layers.\*.mlp.up_proj; load .* or leave "
    )
    for call in (sequence_kernel, pair_drives, model_step, parameter_change):
        with pytest.raises(InvalidArgument, match=says) as caught:
            call(model, SEQUENCES)
        globs = ast.literal_eval(str(caught.value).partition("parameters=")[2].partition("]")[0] + "]")
        assert globs == ["!model.layers.*.mlp.up_proj.*"]
    assert sequence_kernel(model, SEQUENCES, parameters=globs).kernel.isfinite().all()
    # chosen parameters have gradients, as those of adapters have on a quantised model
    for memory in ("graph", "layerwise"):
        got = sequence_kernel(model, SEQUENCES, parameters="*norm*", memory=memory)  # type: ignore[arg-type]
        assert relative(got.kernel, autograd_kernel(model, SEQUENCES, "*norm*")) < 1e-12
    assert sequence_log_probs(model, SEQUENCES).total.isfinite().all()


def test_the_share_of_the_squared_norm_that_a_choice_keeps() -> None:
    """What the message says, against autograd on the model with the same weights in floating point."""
    model = tiny_model("qwen2")
    layer = model.model.layers[1].mlp
    whole = Quantised(layer.up_proj, buffer=False)
    with torch.no_grad():
        layer.up_proj.weight.copy_(whole.weight.to(torch.float64) * whole.step)
    every, kept = (autograd_kernel(model, SEQUENCES[:1], only) for only in (None, "!*.1.mlp.up_proj*"))
    share = float(kept / every)
    assert 0.5 < share < 0.999  # neither nothing nor everything
    layer.up_proj = whole
    for chosen in (SEQUENCES, SEQUENCES[:1]):
        with pytest.raises(InvalidArgument, match=f"keeps {share:.1%} of the squared norm of the first score"):
            sequence_kernel(model, chosen)
    with pytest.raises(InvalidArgument, match=r"keeps \d") as caught:  # the negative control: another first sequence
        sequence_kernel(model, SEQUENCES[::-1])
    assert f"{share:.1%}" not in str(caught.value)


def test_some_of_the_layers_are_named_one_by_one() -> None:
    model = tiny_model("qwen2", layers=3)
    for number in (0, 2):
        model.model.layers[number].mlp.up_proj = Quantised(model.model.layers[number].mlp.up_proj, buffer=False)
    with pytest.raises(InvalidArgument, match=r"parameters=\['!model.layers.0.mlp.up_proj.\*', '!model.layers.2.mlp"):
        sequence_kernel(model, SEQUENCES)


def test_an_operation_without_a_gradient_is_said_by_name() -> None:
    """A model that autograd cannot differentiate: its own message, as an error of the model."""

    class Forward(torch.autograd.Function):
        @staticmethod
        def forward(_: Any, x: torch.Tensor) -> torch.Tensor:
            return 2 * x

    class Inference(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return Forward.apply(self.inner(x))

    model = tiny_model("qwen2")
    model.model.layers[1].mlp.up_proj = Inference(model.model.layers[1].mlp.up_proj)
    for memory in ("graph", "layerwise"):
        says = r"autograd cannot differentiate this model in model.layers.1.mlp.up_proj \(.*backward.*; use .* or only"
        with pytest.raises(InvalidArgument, match=says) as caught:
            sequence_kernel(model, SEQUENCES, memory=memory)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match=says):
        parameter_change(model, SEQUENCES)
    globs = ast.literal_eval(str(caught.value).partition("parameters=")[2].partition(" (and")[0])
    after = [f"model.layers.1.mlp.{name}_proj.*" for name in ("gate", "down")]
    assert globs == [*after, "model.norm.*"]  # not the head, which is the embedding
    truth = autograd_kernel(tiny_model("qwen2"), SEQUENCES, globs)
    model.model.layers[1].mlp.up_proj.inner.weight.data *= 0.5  # the operation doubles
    assert relative(sequence_kernel(model, SEQUENCES, parameters=globs, memory="graph").kernel, truth) < 1e-12
