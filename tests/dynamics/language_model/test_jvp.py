from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dynamics import InvalidArgument
from dynamics.language_model import log_probs_jvp, sequence_log_probs, tiny_model
from tests.dynamics.language_model.brute_force import SEQUENCES, own_log_probs, scores_by_name

MODELS = [("qwen2", True), ("qwen2", False), ("llama", True), ("llama", False), ("gpt2", True), ("gpt2", False)]


def random_change(model: nn.Module, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.randn(p.shape, generator=generator, dtype=torch.float64) for n, p in model.named_parameters()}


def truth(model: nn.Module, change: dict[str, Tensor]) -> Tensor:
    """Every gradient written down by plain autograd through another forward, times the change."""
    rows = scores_by_name(model, SEQUENCES)
    return sum((rows[name] @ tangent.flatten() for name, tangent in change.items()), torch.zeros(len(SEQUENCES)))


def off(got: Tensor, expected: Tensor) -> float:
    return float((got - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize(("architecture", "tied"), MODELS)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_one_pass_gives_every_score_times_the_change(architecture: str, tied: bool, attention: str) -> None:
    model = tiny_model(architecture, tied=tied)
    model.set_attn_implementation(attention)
    change = random_change(model)
    got = log_probs_jvp(model, change, SEQUENCES, batch_tokens=14, vocabulary_piece=5)
    expected = truth(model, change)
    assert off(got, expected) < 1e-12
    for name in ("ln_", "wte") if architecture == "gpt2" else ("norm", "embed"):  # a part of the change alone
        part = {n: t for n, t in change.items() if name in n}
        assert off(log_probs_jvp(model, part, SEQUENCES), truth(model, part)) < 1e-12
        assert off(log_probs_jvp(model, part, SEQUENCES), expected) > 1e-2


def test_without_the_change_of_the_head_the_result_is_wrong() -> None:
    """The negative control: a shared weight that moves in the embedding only."""
    tied, untied = tiny_model("llama"), tiny_model("llama", tied=False)
    with torch.no_grad():
        untied.load_state_dict(tied.state_dict() | {"lm_head.weight": tied.lm_head.weight})
    change = random_change(tied)
    assert off(log_probs_jvp(untied, change, SEQUENCES), truth(tied, change)) > 1e-2
    both = change | {"lm_head.weight": change["model.embed_tokens.weight"]}
    assert off(log_probs_jvp(untied, both, SEQUENCES), truth(tied, change)) < 1e-12


def test_a_shared_weight_has_either_of_its_names() -> None:
    model = tiny_model("qwen2")
    tangent = random_change(model)["model.embed_tokens.weight"]
    one = log_probs_jvp(model, {"model.embed_tokens.weight": tangent}, SEQUENCES)
    torch.testing.assert_close(log_probs_jvp(model, {"lm_head.weight": tangent}, SEQUENCES), one, rtol=0, atol=0)
    with pytest.raises(InvalidArgument, match="under one name only"):
        log_probs_jvp(model, {"model.embed_tokens.weight": tangent, "lm_head.weight": tangent}, SEQUENCES)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft's affair
def test_adapters_move_like_any_parameter() -> None:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    with torch.random.fork_rng(devices=[]):
        model: Any = peft.get_peft_model(tiny_model("qwen2", layers=1), config).double().eval()
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    change = {n: t for n, t in random_change(model).items() if n in trained}
    from dynamics.language_model.precision import computing_in

    expected = []
    with computing_in(model, torch.float64):
        for s in SEQUENCES:
            own = own_log_probs(model(input_ids=torch.tensor([s.ids])).logits[0], s).sum()
            parts = torch.autograd.grad(own, list(trained.values()))
            expected.append(sum(float((g * change[n]).sum()) for n, g in zip(trained, parts, strict=True)))
    assert off(log_probs_jvp(model, change, SEQUENCES), torch.tensor(expected, dtype=torch.float64)) < 1e-12


def test_float32_is_the_default_of_a_model_of_lower_precision() -> None:
    model = tiny_model("llama").to(torch.bfloat16)
    change = random_change(model)
    exact = log_probs_jvp(model, change, SEQUENCES, dtype=torch.float64)
    got = log_probs_jvp(model, change, SEQUENCES)
    assert got.dtype == torch.float64
    assert 0 < off(got, exact) < 1e-4
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_the_model_is_left_as_it_was() -> None:
    model = tiny_model("gpt2", dtype=torch.float32).train()
    before = [p.clone() for p in model.parameters()]
    places = [p.data_ptr() for p in model.parameters()]
    values = sequence_log_probs(model, SEQUENCES).total
    log_probs_jvp(model, random_change(model), SEQUENCES, dtype=torch.float64)
    assert [p.data_ptr() for p in model.parameters()] == places
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    assert all("forward" not in module.__dict__ for module in model.modules())
    assert model.training
    assert torch.equal(sequence_log_probs(model, SEQUENCES).total, values)


class Backward(torch.autograd.Function):
    """An operation with a backward pass and without a forward-mode derivative, as many fused kernels are."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * gradients[0]


class Opaque(torch.autograd.Function):
    """An operation of which only the value is known."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x**2


@pytest.mark.parametrize("pad", [None, 2])
def test_an_operation_without_a_forward_derivative_is_differentiated_backwards(pad: int | None) -> None:
    """Twice; also with respect to the row of the padding token, to which torch's backward pass gives no gradient."""
    model = tiny_model("qwen2", pad_token_id=pad)
    change, norm = random_change(model), model.model.norm
    plain = norm.forward
    norm.forward = lambda x: plain(x) ** 2
    truth = log_probs_jvp(model, change, SEQUENCES)
    norm.forward = lambda x: Backward.apply(plain(x))
    assert off(log_probs_jvp(model, change, SEQUENCES), truth) < 1e-12
    assert model.model.embed_tokens.padding_idx == pad
    norm.forward = lambda x: Opaque.apply(plain(x))
    with pytest.raises(InvalidArgument, match="neither a forward-mode derivative nor a backward pass"):
        log_probs_jvp(model, change, SEQUENCES)


def test_bad_changes_are_named() -> None:
    model = tiny_model("qwen2")
    with pytest.raises(InvalidArgument, match="at least one parameter"):
        log_probs_jvp(model, {}, SEQUENCES)
    with pytest.raises(InvalidArgument, match=r"such as model\.embed_tokens\.weight"):
        log_probs_jvp(model, {"nothing": torch.ones(1)}, SEQUENCES)
    with pytest.raises(InvalidArgument, match=r"shape \(16,\)"):
        log_probs_jvp(model, {"model.norm.weight": torch.ones(1)}, SEQUENCES)
    with pytest.raises(InvalidArgument, match="finite"):
        log_probs_jvp(model, {"model.norm.weight": torch.full((16,), torch.nan)}, SEQUENCES)
    with pytest.raises(InvalidArgument, match="sequences"):
        log_probs_jvp(model, {"model.norm.weight": torch.ones(16)}, [])
