from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from torch import nn

from dynamics import InvalidArgument, drives, pairs
from dynamics.language_model import TokenSequence, sequence_kernel, sequence_log_probs, tiny_model
from dynamics.language_model.kernel import TIED_CROSS
from tests.dynamics.language_model.brute_force import SEQUENCES, kernel, relative, scores, scores_by_name

MODELS = [("qwen2", True), ("qwen2", False), ("llama", True), ("llama", False), ("gpt2", True), ("gpt2", False)]


@pytest.fixture(scope="module", params=MODELS, ids=lambda p: f"{p[0]}-{'tied' if p[1] else 'untied'}")
def known(request: pytest.FixtureRequest) -> tuple[Any, torch.Tensor]:
    model = tiny_model(request.param[0], tied=request.param[1])
    return model, kernel(model, SEQUENCES)


@pytest.mark.parametrize("memory", ["graph", "layerwise"])
@pytest.mark.parametrize("route", [None, "ghost", "product"])
def test_kernel_is_that_of_gradients_written_out(known: Any, memory: Any, route: Any) -> None:
    model, truth = known
    got = sequence_kernel(model, SEQUENCES, memory=memory, route=route, batch_tokens=14, vocabulary_piece=7)
    assert relative(got.kernel, truth) < 1e-12
    assert got.plan is not None
    assert got.plan.way == memory
    expected = sequence_log_probs(model, SEQUENCES).total
    torch.testing.assert_close(got.log_probs, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("memory", ["graph", "layerwise"])
def test_float32(known: Any, memory: Any) -> None:
    model, truth = known
    got = sequence_kernel(model, SEQUENCES, memory=memory, dtype=torch.float32, batch_tokens=14)
    assert 1e-12 < relative(got.kernel, truth) < 1e-5
    assert got.kernel.dtype == torch.float64


def test_parts_sum_to_the_whole_and_it_is_a_gram_matrix(known: Any) -> None:
    model, truth = known
    got = sequence_kernel(model, SEQUENCES)
    assert relative(torch.stack(list(got.by_module.values())).sum(0), got.kernel) < 1e-14
    assert torch.equal(got.kernel, got.kernel.T)
    assert float(torch.linalg.eigvalsh(got.kernel)[0]) > -1e-12 * float(got.kernel.trace())
    for name, part in got.by_module.items():
        if name != TIED_CROSS:
            assert float(torch.linalg.eigvalsh(part)[0]) > -1e-12 * float(got.kernel.trace()), name
    torch.testing.assert_close(got.norms(), truth.diagonal().sqrt())
    torch.testing.assert_close(got.cosine().diagonal(), torch.ones(5, dtype=torch.float64))


def test_every_part_is_that_of_its_own_parameters(known: Any) -> None:
    """A part in the wrong place, or two errors that cancel, would not show in the sum."""
    model, whole = known
    got = sequence_kernel(model, SEQUENCES)
    tied = model.config.tie_word_embeddings
    gradients = scores_by_name(model, SEQUENCES)
    for name, part in got.by_module.items():
        if tied and (name == TIED_CROSS or part is got.by_module["lm_head"]):
            continue
        own = torch.cat([g for n, g in gradients.items() if n.rsplit(".", 1)[0] == name], dim=1)
        expected = own @ own.T
        if tied and name.endswith(("embed_tokens", "wte")):
            expected = expected - got.by_module["lm_head"] - got.by_module[TIED_CROSS]
        assert float(((part - expected).abs() / whole.diagonal().mean()).max()) < 1e-13, name
        assert float(expected.abs().max()) > 0
    modules = {n.rsplit(".", 1)[0] for n, _ in model.named_parameters(remove_duplicate=False)}
    assert set(got.by_module) == modules | ({TIED_CROSS} if tied else set())


def test_without_the_tied_cross_terms_it_is_wrong() -> None:
    model = tiny_model("qwen2")
    got = sequence_kernel(model, SEQUENCES)
    truth = kernel(model, SEQUENCES)
    assert relative(got.kernel - got.by_module[TIED_CROSS], truth) > 1e-2


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_order_of_sequences_batches_and_padding_change_nothing(dtype: torch.dtype) -> None:
    model = tiny_model("qwen2")
    whole = sequence_kernel(model, SEQUENCES, dtype=dtype, memory="graph").kernel
    bound = 1e-13 if dtype == torch.float64 else 1e-5
    order = [3, 1, 4, 0, 2]
    shuffled = sequence_kernel(model, [SEQUENCES[n] for n in order], dtype=dtype, memory="graph").kernel
    assert relative(shuffled, whole[order][:, order]) < bound
    some = [0, 4]  # no longest sequence to pad for
    assert (
        relative(sequence_kernel(model, [SEQUENCES[n] for n in some], dtype=dtype).kernel, whole[some][:, some]) < bound
    )
    for tokens in (1, 8, 25):
        swept = sequence_kernel(model, SEQUENCES, dtype=dtype, memory="layerwise", batch_tokens=tokens)
        assert relative(swept.kernel, whole) < bound


def test_blocks_of_rows_and_columns_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from dynamics.language_model import contractions

    model = tiny_model("gpt2")
    truth = kernel(model, SEQUENCES)
    monkeypatch.setattr(contractions, "ROW_BLOCK", 3)
    monkeypatch.setattr(contractions, "BUFFER_BYTES", 1500)
    for route in ("ghost", "product"):
        assert relative(sequence_kernel(model, SEQUENCES, route=route).kernel, truth) < 1e-12


def test_the_automatic_route_takes_both() -> None:
    model = tiny_model("llama", tied=False, width=8, heads=2)
    sequences = [TokenSequence(tuple((k * t + k) % 23 for t in range(30)), 2) for k in (1, 2, 3)]
    got = sequence_kernel(model, sequences)
    assert {"ghost", "product", "vector"} <= set(got.route.values())
    assert set(got.route) == set(got.by_module)
    assert relative(got.kernel, kernel(model, sequences)) < 1e-12


def test_scores_weighted_by_probability_sum_to_zero() -> None:
    model = tiny_model("qwen2", vocabulary=5)
    every = [TokenSequence((3, 1, a, b), 2) for a in range(5) for b in range(5)]
    got = sequence_kernel(model, every)
    p = got.log_probs.exp()
    assert float(p.sum()) == pytest.approx(1, abs=1e-13)
    assert float((p @ got.kernel).abs().max()) < 1e-12 * float(got.kernel.diagonal().max())
    assert float((p[:-1] @ got.kernel[:-1]).abs().max()) > 1e-6 * float(got.kernel.diagonal().max())


def test_a_tree_ended_by_eos() -> None:
    """Responses of any length up to two, EOS included; the last layer of the tree is cut off by exhaustion."""
    model = tiny_model("gpt2", vocabulary=4)
    every = [TokenSequence((1, 3), 1)]  # EOS at once
    every += [TokenSequence((1, a, b), 1) for a in range(3) for b in range(4)]
    got = sequence_kernel(model, every)
    assert float((got.log_probs.exp() @ got.kernel).abs().max()) < 1e-12 * float(got.kernel.diagonal().max())


@pytest.mark.parametrize("memory", ["graph", "layerwise"])
@pytest.mark.parametrize(
    "glob",
    ["*q_proj*", "*.bias", "*layernorm*", "model.layers.1.*", "*embed_tokens*", "lm_head*", "*1.mlp.down_proj.weight"],
)
@pytest.mark.parametrize("tied", [True, False])
def test_a_filter_is_the_kernel_of_those_parameters(memory: Any, glob: str, tied: bool) -> None:
    from fnmatch import fnmatchcase

    model = tiny_model("qwen2", tied=tied)
    got = sequence_kernel(model, SEQUENCES, parameters=glob, memory=memory, batch_tokens=14)
    assert relative(got.kernel, kernel(model, SEQUENCES, lambda n: fnmatchcase(n, glob))) < 1e-11


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft's affair
def test_adapters_of_low_rank() -> None:
    peft = pytest.importorskip("peft")
    model = tiny_model("qwen2")
    config = peft.LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj", "down_proj"])
    adapted = peft.get_peft_model(model, config).double()
    with torch.no_grad():
        for name, p in adapted.named_parameters():
            if "lora_B" in name:  # zero at the start, which hides the gradient of A
                p.copy_(torch.randn(p.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    adapted.eval()
    by_default = sequence_kernel(adapted, SEQUENCES)
    by_name = sequence_kernel(adapted, SEQUENCES, parameters="*lora_*", memory="layerwise", batch_tokens=10)
    rows = []
    trained = [p for p in adapted.parameters() if p.requires_grad]
    assert len(trained) == 12
    from dynamics.language_model.precision import computing_in
    from tests.dynamics.language_model.brute_force import own_log_probs

    with computing_in(adapted, torch.float64):
        for s in SEQUENCES:
            own = own_log_probs(adapted(input_ids=torch.tensor([s.ids])).logits[0], s).sum()
            rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(own, trained)]))
    g = torch.stack(rows)
    assert relative(by_default.kernel, g @ g.T) < 1e-12
    assert relative(by_name.kernel, g @ g.T) < 1e-12
    assert [p.requires_grad for p in adapted.parameters()].count(True) == 12


def test_a_padding_index_receives_no_gradient_as_in_torch() -> None:
    """Token 2 is in most sequences; torch's embedding gives its row no gradient, and a step does not move it."""
    model = tiny_model("llama", tied=False, pad_token_id=2)
    assert model.model.embed_tokens.padding_idx == 2
    from dynamics.language_model import audit

    got = sequence_kernel(model, SEQUENCES)
    assert audit(model, SEQUENCES, got, torch.tensor([1.0, -2, 3, 0.5, 1])).error < 1e-13
    without = tiny_model("llama", tied=False)
    assert relative(sequence_kernel(without, SEQUENCES).kernel, got.kernel) > 1e-3


def test_norms_of_single_heads_are_covered() -> None:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from dynamics.language_model import audit

    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    tokens = {"vocab_size": 23, "pad_token_id": None, "bos_token_id": None, "eos_token_id": None}
    model = Qwen3ForCausalLM(Qwen3Config(**shape, **tokens, head_dim=4, intermediate_size=20)).double().eval()
    for memory in ("graph", "layerwise"):
        got = sequence_kernel(model, SEQUENCES, memory=memory, batch_tokens=14)
        assert audit(model, SEQUENCES, got, torch.tensor([1.0, -2, 3, 0.5, 1])).error < 1e-13
    assert got.route["model.layers.0.self_attn.q_norm"] == "vector"


def test_the_model_is_left_as_it_was() -> None:
    model = tiny_model("qwen2", dtype=torch.float32).train()
    model.lm_head.weight.requires_grad_(False)
    before = {name: p.clone() for name, p in model.state_dict().items()}
    flags = [p.requires_grad for p in model.parameters()]
    sequence_kernel(model, SEQUENCES, memory="layerwise", batch_tokens=8, dtype=torch.float64)
    assert [p.requires_grad for p in model.parameters()] == flags
    assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert all("forward" not in m.__dict__ for m in model.modules())
    assert model.training


def test_bytes_are_said_before_the_start(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="dynamics.language_model.kernel"):
        got = sequence_kernel(tiny_model(), SEQUENCES)
    assert got.plan is not None
    assert got.plan.way == "graph"  # a few hundred kilobytes fit
    assert 10_000 < got.plan.needed < 10_000_000
    assert "kernel of 5 sequences" in caplog.text


def test_automatic_memory_goes_layer_by_layer_where_one_graph_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    from dynamics.language_model import memory

    monkeypatch.setattr(memory, "free_bytes", lambda device: 300_000)
    model = tiny_model("qwen2", layers=6)
    got = sequence_kernel(model, SEQUENCES, batch_tokens=16)
    assert got.plan is not None
    assert got.plan.way == "layerwise"
    assert got.plan.layerwise is not None
    assert got.plan.layerwise < got.plan.graph


def test_drives_of_any_response_come_from_the_kernel() -> None:
    model = tiny_model("gpt2")
    g = scores(model, SEQUENCES)
    got = drives(sequence_kernel(model, SEQUENCES).kernel, pairs([0, 3], [3, 2], shape=(5,)))
    torch.testing.assert_close(got, torch.stack([g @ (g[0] - g[3]), g @ (g[3] - g[2])]), rtol=1e-11, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"route": "both"}, "'ghost', 'product'"),
        ({"memory": "disk"}, "'auto', 'graph' or 'layerwise'"),
        ({"batch_tokens": 0}, "whole number >= 1"),
        ({"vocabulary_piece": 0}, "whole number >= 1"),
        ({"dtype": torch.bfloat16}, "float32 or torch.float64"),
        ({"parameters": "no such"}, "at least one parameter"),
    ],
)
def test_bad_arguments_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        sequence_kernel(tiny_model(), SEQUENCES, **options)


# ---------------------------------------------------------------- what no handler understands


class Gain(nn.Module):
    """A module with a parameter of its own."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.gain = inner, nn.Parameter(torch.tensor(1.5, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gain * self.inner(x)


class Rotated(nn.Linear):
    """A linear map by name that computes something else."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.flip(-1))


class Peeking(nn.Module):
    """A module that uses another module's weight behind its back."""

    def __init__(self, inner: nn.Linear) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) + 0.1 * nn.functional.linear(x, self.inner.weight)


class Twice(nn.Module):
    """A module that calls another one twice."""

    def __init__(self, inner: nn.Linear) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) + self.inner(2 * x)


def changed(how: Any) -> Any:
    model = tiny_model("qwen2")
    attention = model.model.layers[0].self_attn
    attention.o_proj = how(attention.o_proj)
    return model


def rotated(inner: nn.Linear) -> nn.Module:
    return Rotated(inner.in_features, inner.out_features, bias=False, dtype=torch.float64)


@pytest.mark.parametrize("memory", ["graph", "layerwise"])
@pytest.mark.parametrize(
    ("how", "message"),
    [
        (Gain, "model.layers.0.self_attn.o_proj.gain of a module Gain"),
        (rotated, "model.layers.0.self_attn.o_proj.weight of a module Rotated"),
        (Peeking, "o_proj.inner.weight, used outside of its module"),
        (Twice, "o_proj.inner used twice"),
    ],
)
def test_what_no_handler_understands_is_refused_by_name(how: Any, message: str, memory: Any) -> None:
    model = changed(how)
    with pytest.raises(InvalidArgument, match=message):
        sequence_kernel(model, SEQUENCES, memory=memory)
    assert all("forward" not in m.__dict__ for m in model.modules())
    # left out by the filter it does no harm, whatever it computes
    from dynamics.language_model import audit

    glob = "*mlp*"
    got = sequence_kernel(model, SEQUENCES, parameters=glob, memory=memory)
    vector = torch.tensor([1.0, -2, 3, 0.5, 1])
    assert audit(model, SEQUENCES, got, vector, parameters=glob).error < 1e-13


def test_a_weight_that_two_modules_share_is_refused() -> None:
    model = tiny_model("qwen2")
    first, second = model.model.layers
    second.mlp.up_proj.weight = first.mlp.up_proj.weight
    with pytest.raises(InvalidArgument, match=r"up_proj.weight, shared by model.layers.0.*and model.layers.1"):
        sequence_kernel(model, SEQUENCES)


def test_a_norm_that_is_not_weight_times_normalised_input_is_refused() -> None:
    """Gemma multiplies by 1 + weight; its class is an RMSNorm by name."""

    class OffsetRMSNorm(type(tiny_model("qwen2").model.norm)):  # type: ignore[misc]
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) + x

    model = tiny_model("qwen2")
    norm = OffsetRMSNorm(16).double()
    model.model.norm = norm
    with pytest.raises(InvalidArgument, match=r"model.norm.weight of a module OffsetRMSNorm"):
        sequence_kernel(model, SEQUENCES)


def test_somebody_elses_forward_is_refused() -> None:
    model = tiny_model("qwen2")
    projection = model.model.layers[0].mlp.up_proj
    projection.forward = lambda x: nn.functional.linear(3 * x, projection.weight)
    with pytest.raises(InvalidArgument, match=r"up_proj.weight"):
        sequence_kernel(model, SEQUENCES)
