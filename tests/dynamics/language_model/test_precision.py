from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from dynamics import InvalidArgument
from dynamics.language_model import (
    TokenSequence,
    model_step,
    precision,
    sequence_kernel,
    sequence_log_probs,
    tiny_model,
)
from dynamics.language_model.precision import computing_in
from tests.dynamics.language_model.brute_force import autograd_kernel, own_log_probs, reference_logits, relative
from tests.dynamics.language_model.rope_by_hand import KINDS, rope


def test_requests_for_float32_are_answered_with_float64() -> None:
    x = torch.rand(3, dtype=torch.float64)
    with computing_in(nn.Linear(2, 2), torch.float64):
        for y in (x.float(), x.to(torch.float32), x.half(), x.type(torch.float32), torch.arange(3).float()):
            assert y.dtype == torch.float64
        assert torch.softmax(x, 0, dtype=torch.float32).dtype == torch.float64
        assert torch.zeros(2).dtype == torch.float64
    assert x.float().dtype == torch.float32
    assert torch.zeros(2).dtype == torch.float32


LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
LONG = {"short_factor": [1.0, 1.5, 1.7, 2.0], "long_factor": [2.0, 3.0, 5.0, 8.0]}
ROPES: dict[str, dict[str, Any]] = {
    "default": {},
    "linear": {"factor": 3.0},
    "dynamic": {"factor": 3.0},
    "yarn": {"factor": 4.0, "original_max_position_embeddings": 16},
    "longrope": {**LONG, "original_max_position_embeddings": 16},
    "llama3": LLAMA3,
    "proportional": {"partial_rotary_factor": 0.5},
}
SIZES = {"width": 32, "heads": 4, "layers": 2}


def with_rope(kind: str, **config: Any) -> Any:
    settings = {"rope_type": kind, "rope_theta": 1e4, **ROPES[kind]}
    return tiny_model("llama", **SIZES, max_position_embeddings=32, rope_parameters=settings, **config)


def sequence(length: int) -> TokenSequence:
    return TokenSequence(tuple((5 * t * t + 3 * t + 1) % 23 for t in range(length)), 2)


def test_every_kind_of_rope_that_transformers_knows_is_here() -> None:
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    assert set(ROPE_INIT_FUNCTIONS) <= set(ROPES)
    assert set(ROPES) == set(KINDS)


@pytest.mark.parametrize("length", [14, 25, 40])  # within the training, beyond it, beyond what the model is made for
@pytest.mark.parametrize("kind", ROPES)
def test_every_kind_of_rope_is_float64_throughout(kind: str, length: int) -> None:
    """Against a forward pass written out, whose frequencies come from the formulas; the model is left as it was."""
    model, s = with_rope(kind), sequence(length)
    rotary = model.model.rotary_emb
    before = {name: buffer.clone() for name, buffer in rotary.named_buffers()}
    # a model knows its own predictions only without their last token, which it is not given
    wanted = own_log_probs(reference_logits(model, s.ids[:-1]), s).detach()
    for _ in range(2):
        (found,) = sequence_log_probs(model, [s], dtype=torch.float64).tokens
        assert float((found - wanted).abs().max()) < 1e-12
    assert {name: buffer.dtype for name, buffer in rotary.named_buffers()} == dict.fromkeys(before, torch.float32)
    assert all(torch.equal(buffer, before[name]) for name, buffer in rotary.named_buffers())
    assert not hasattr(rotary, "long_inv_freq")
    with torch.no_grad():  # the negative control: as transformers computes it
        stored = own_log_probs(model(input_ids=torch.tensor([s.ids[:-1]]), use_cache=False).logits[0], s)
    assert float((stored - wanted).abs().max()) > 1e-10


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_what_was_computed_before_changes_nothing(kind: str) -> None:
    """Frequencies that grow with a long sequence are not those of the next, short one."""
    model = with_rope(kind)
    alone = sequence_log_probs(model, [sequence(14)], dtype=torch.float64).total
    sequence_log_probs(model, [sequence(60)], dtype=torch.float64)
    sequence_log_probs(model, [sequence(60)])
    assert torch.equal(sequence_log_probs(model, [sequence(14)], dtype=torch.float64).total, alone)
    between = sequence_log_probs(model, [sequence(40)], dtype=torch.float64).total
    with torch.no_grad():  # the owner's own use of the model, which remembers the longest sequence
        model(input_ids=torch.tensor([sequence(60).ids]))
    assert torch.equal(sequence_log_probs(model, [sequence(40)], dtype=torch.float64).total, between)
    assert torch.equal(sequence_log_probs(model, [sequence(14)], dtype=torch.float64).total, alone)


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_a_longer_sequence_beside_it_changes_nothing(kind: str) -> None:
    """The frequencies of a batch would be those of its longest sequence; so only equal lengths share a batch."""
    model = with_rope(kind)
    several = [sequence(n) for n in (40, 14, 60, 14, 25)]
    alone = torch.cat([sequence_log_probs(model, [s]).total for s in several])
    torch.testing.assert_close(sequence_log_probs(model, several).total, alone, rtol=0, atol=1e-12)
    truth = autograd_kernel(model, several)
    for memory in ("graph", "layerwise"):
        assert relative(sequence_kernel(model, several, memory=memory).kernel, truth) < 1e-12
    step = model_step(model, several, 0, 1, learning_rate=1e-7)
    torch.testing.assert_close(step.predicted_log_change, step.predict(1e-7), rtol=1e-10, atol=0)
    with torch.no_grad():  # the negative control: one batch
        batch = torch.zeros(2, 59, dtype=torch.int64)
        batch[0, :13], batch[1] = torch.tensor(several[1].ids[:-1]), torch.tensor(several[2].ids[:-1])
        together = own_log_probs(model(input_ids=batch, use_cache=False).logits[0], several[1]).sum()
    assert abs(float(together - alone[1])) > 1e-3


def test_kinds_of_layers_with_a_rope_each() -> None:
    transformers = pytest.importorskip("transformers")
    kinds = {"full_attention": "linear", "sliding_attention": "default"}
    settings = {layers: {"rope_type": kind, "rope_theta": 1e4, **ROPES[kind]} for layers, kind in kinds.items()}
    sizes = {"vocab_size": 23, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 8}
    sizes |= {"num_key_value_heads": 2, "intermediate_size": 16, "sliding_window": 4}
    config = transformers.Gemma3TextConfig(**sizes, layer_types=list(kinds), rope_parameters=settings)
    model = transformers.Gemma3ForCausalLM(config).double().eval()
    rotary, scale = model.model.rotary_emb, model.model.embed_tokens
    positions = torch.arange(20).unsqueeze(0)
    with computing_in(model, torch.float64):
        for layers in kinds:
            cos, _ = rotary(torch.zeros(1, dtype=torch.float64), positions, layers)
            frequencies, _ = rope(settings[layers], 8, 20, 0)
            angles = positions[0, :, None].double() * torch.from_numpy(frequencies)
            assert float((cos[0] - torch.cat([angles, angles], -1).cos()).abs().max()) < 1e-14
        assert float(scale.embed_scale) == 32**0.5
    assert float(scale.embed_scale) != 32**0.5  # another table of float32, in the model as it is


def test_a_model_that_was_once_in_bfloat16_does_not_keep_rounded_frequencies() -> None:
    model, s = with_rope("default"), sequence(20)
    wanted = own_log_probs(reference_logits(model, s.ids[:-1]), s).detach()
    rounded = copy.deepcopy(model)
    rounded.model.rotary_emb.to(torch.bfloat16)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        (found,) = sequence_log_probs(rounded, [s], dtype=dtype).tokens
        assert float((found - wanted).abs().max()) < tolerance
    assert rounded.model.rotary_emb.inv_freq.dtype == torch.bfloat16


def test_frequencies_that_the_owner_has_set_are_kept() -> None:
    model = with_rope("default")
    mine = model.model.rotary_emb.inv_freq.mul_(0.5).clone()
    with computing_in(model, torch.float64):
        assert torch.equal(model.model.rotary_emb.inv_freq, mine.double())


def test_an_island_of_another_kind_is_an_error() -> None:
    kept = torch.ones(2, dtype=torch.float32)
    with computing_in(nn.Linear(2, 2), torch.float64), pytest.raises(InvalidArgument, match="float32 from mul"):
        kept * 2


def test_everything_is_put_back_even_after_an_error() -> None:
    model = tiny_model("gpt2", dtype=torch.bfloat16).train()
    before = [p.data_ptr() for p in model.parameters()]
    torch.set_float32_matmul_precision("high")
    try:
        with pytest.raises(ZeroDivisionError), computing_in(model, torch.float64):  # noqa: PT012
            assert model.lm_head.weight.dtype == torch.float64
            assert model.lm_head.weight is model.transformer.wte.weight
            assert torch.get_float32_matmul_precision() == "highest"
            raise ZeroDivisionError
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert [p.data_ptr() for p in model.parameters()] == before
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert all(m.training for m in model.modules())
    assert torch.get_default_dtype() == torch.float32


WAYS_TO_TF32: dict[str, Callable[[], Any]] = {
    "nothing asked for": lambda: None,  # torch's default is TF32 for convolutions
    "high": lambda: torch.set_float32_matmul_precision("high"),
    "medium": lambda: torch.set_float32_matmul_precision("medium"),
    "flag": lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
    "no convolutions": lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
    "matrix products": lambda: setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32"),
    "everything": lambda: setattr(torch.backends, "fp32_precision", "tf32"),
}


def _readings() -> list[Any]:
    """Return every setting of torch about float32, and "unreadable" where torch refuses to tell."""
    new = [part.fp32_precision for part in precision._precision_settings()]
    old = (torch.get_float32_matmul_precision, lambda: torch.backends.cudnn.allow_tf32)
    return [*new, *("unreadable" if (found := precision._or_none(read)) is None else found for read in old)]


@pytest.mark.parametrize("way", WAYS_TO_TF32)
def test_float32_is_never_tf32_whichever_way_a_program_asked_for_it(way: str) -> None:
    settings = precision._precision_settings()
    at_first = [part.fp32_precision for part in settings]
    assert "tf32" in at_first  # torch's default for convolutions, which nobody has asked for
    try:
        WAYS_TO_TF32[way]()
        before = _readings()
        with computing_in(nn.Conv1d(1, 1, 1), torch.float32):
            assert set(_readings()) == {"ieee", "highest", False}
        assert _readings() == before
    finally:
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = True
        for part, value in zip(settings, at_first, strict=True):
            part.fp32_precision = value


def test_only_the_two_dtypes_that_are_good_enough() -> None:
    with (
        pytest.raises(InvalidArgument, match=r"float32 or torch.float64"),
        computing_in(nn.Linear(1, 1), torch.bfloat16),
    ):
        pass
