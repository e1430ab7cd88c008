"""A GPU computes what the CPU computes, in both dtypes and whatever its user has turned on."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from dynamics import DPO, AdamW
from dynamics.__main__ import app
from dynamics.language_model import (
    OutOfMemory,
    StablePO,
    TokenSequence,
    add_adapters,
    ches,
    log_probs_jvp,
    log_probs_vjp,
    model_step,
    next_token_log_probs,
    pair_batch,
    pair_drives,
    parameter_change,
    sequence_kernel,
    sequence_log_probs,
    stable_po_state,
    stable_po_step,
    tiny_model,
    token_kernel,
    verify_kernel,
    vocabulary_shift,
)
from dynamics.language_model.kernel.memory import SAFETY_FACTOR, free_bytes
from dynamics.language_model.pair_audit.measuring.pair_numbers import audit_pairs, audit_pairs_that_fit
from tests.dynamics.language_model import architectures
from tests.dynamics.language_model.brute_force import autograd_kernel, relative
from tests.dynamics.language_model.saved import products, read_lines, save_tiny, write_lines
from tests.gpu import device, needs_cuda
from tests.optional import needs

needs("transformers")
pytestmark = pytest.mark.gpu
__all__ = ["device"]

SEQUENCES = architectures.SEQUENCES
# every kind of handler: tied and untied heads, biases, norms of all sorts, soft caps and scales of the head, learned
# positions, ALiBi, experts, convolutions and recurrences
KINDS = ["qwen2", "gpt2", "gemma2", "gemma3_text", "cohere", "granite", "bloom", "gpt_neox", "mixtral", "mamba", "lfm2"]
GIB = 2**30


@pytest.mark.parametrize("kind", KINDS)
def test_the_kernel_of_every_kind_of_model_is_that_of_plain_autograd_on_the_cpu(kind: str, device: str) -> None:
    model = architectures.build(kind)
    truth = autograd_kernel(model, SEQUENCES)
    there = model.to(device)
    for dtype, bound in ((torch.float64, 1e-11), (torch.float32, 3e-5)):
        for memory in ("graph", "layerwise"):
            found = sequence_kernel(there, SEQUENCES, dtype=dtype, memory=memory)
            assert relative(found.kernel.cpu(), truth) < bound, (dtype, memory)
    off = sequence_kernel(there, SEQUENCES[1:] + SEQUENCES[:1], dtype=torch.float64)  # in another order
    assert relative(off.kernel.cpu(), truth) > 1e-3


def test_everything_else_is_what_the_cpu_computes(device: str) -> None:
    here = tiny_model()
    there = copy.deepcopy(here).to(device)
    sequences = [TokenSequence(s.ids, s.prompt_tokens) for s in SMALL]
    how: dict[str, Any] = {"loss": DPO(beta=0.5), "learning_rate": 1e-2}

    def both(compute: Any) -> None:
        cpu, gpu = (compute(model) for model in (here, there))
        torch.testing.assert_close(gpu.cpu(), cpu, rtol=1e-10, atol=1e-11)

    both(lambda m: sequence_log_probs(m, sequences).total)
    both(lambda m: token_kernel(m, sequences[:2]).kernel)
    both(lambda m: pair_drives(m, sequences, loss=DPO(beta=0.5)).drive)
    both(lambda m: model_step(m, sequences, **how).predicted_log_change)
    both(lambda m: model_step(m, sequences, **how).actual_log_change)
    both(lambda m: model_step(m, sequences, optimizer=AdamW(eps=1e-3), **how).actual_log_change)
    both(lambda m: ches(m, [(sequences[0], sequences[3])]).value)
    both(lambda m: next_token_log_probs(m, sequences))
    both(lambda m: log_probs_vjp(m, sequences, torch.ones(len(sequences)))["model.norm.weight"])
    both(lambda m: log_probs_jvp(m, {"model.norm.weight": torch.ones(16)}, sequences))
    both(lambda m: vocabulary_shift(m, parameter_change(m, sequences[:2], **how), sequences).log_change)
    vector = torch.arange(len(sequences), dtype=torch.float64)
    assert verify_kernel(there, sequences, sequence_kernel(there, sequences), vector).error < 1e-12


SMALL = tuple(
    TokenSequence(ids, prompt)
    for ids, prompt in (((1, 2, 3, 4, 5, 2, 2), 3), ((4, 2), 1), ((9, 8, 7, 9, 9, 8, 22), 2), ((1, 2, 3, 4, 1), 3))
)


def test_an_audit_of_many_pairs_is_that_of_the_cpu(device: str) -> None:
    """On a GPU their blocks are stacked; the lengths differ."""
    ids = [tuple((3 * t * t + n * t + n) % 23 for t in range(3 + n)) for n in range(12)]
    pairs = [(TokenSequence(ids[n], 2), TokenSequence((*ids[n][:2], *ids[n + 1][3:]), 2)) for n in range(2, 11)]
    here = audit_pairs(tiny_model(), pairs)
    there = audit_pairs(tiny_model().to(device), pairs)
    for one, other in zip(here, there, strict=True):
        scale = one.norm_chosen * one.norm_rejected
        assert other.inner_product == pytest.approx(one.inner_product, abs=1e-11 * scale)
        assert other.norm_chosen == pytest.approx(one.norm_chosen, rel=1e-11)
        assert other.displaced == one.displaced
    assert len({round(one.inner_product, 6) for one in here}) == len(pairs)


def test_stable_po_takes_the_same_step(device: str) -> None:
    needs("peft")
    after = []
    for place in ("cpu", device):
        adapted = add_adapters(tiny_model().to(place), rank=2)
        batch = pair_batch(adapted, (SMALL[0],), (SMALL[3],))
        state, account = stable_po_step(adapted, stable_po_state(adapted), batch, StablePO(gamma=0.1))
        after.append(torch.cat([value.flatten().cpu() for value in (*state.theta.values(), *state.phi.values())]))
        assert account.sft_star < account.sft
    torch.testing.assert_close(after[1], after[0], rtol=1e-9, atol=1e-11)


@contextmanager
def tf32() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("kind", ["qwen2", "mamba"])
def test_tf32_and_autocast_change_nothing(kind: str, device: str) -> None:
    """The kernel that TF32 would give is another one: what is ruled out here would be seen."""
    model = architectures.build(kind, hidden_size=128).to(device)
    plain = sequence_kernel(model, SEQUENCES, dtype=torch.float32).kernel
    with tf32(), torch.autocast(torch.device(device).type, dtype=torch.bfloat16):
        asked = sequence_kernel(model, SEQUENCES, dtype=torch.float32).kernel
        assert torch.get_float32_matmul_precision() == "high"
    assert relative(asked.cpu(), plain.cpu()) < 1e-6
    needs_cuda(device)
    truth = sequence_kernel(model, SEQUENCES, dtype=torch.float64).kernel.cpu()
    assert relative(plain.cpu(), truth) < 1e-5
    with tf32():
        rough = _by_autograd(model)
    assert relative(rough, truth) > 1e-4


def _by_autograd(model: Any) -> torch.Tensor:
    """Return the kernel by plain autograd in float32, as the settings of torch have it."""
    rows = []
    for s in SEQUENCES:
        logits = model(input_ids=torch.tensor([s.ids[:-1]], device=model.device), use_cache=False).logits[0]
        picked = logits[-s.length :].log_softmax(-1).gather(1, torch.tensor(s.response, device=model.device)[:, None])
        gradients = torch.autograd.grad(picked.sum(), list(model.parameters()))
        rows.append(torch.cat([g.flatten().double().cpu() for g in gradients]))
    return torch.stack(rows) @ torch.stack(rows).T


def test_a_model_in_bfloat16_is_computed_in_float32_and_comes_back_bit_for_bit(device: str) -> None:
    model = architectures.build("qwen2").bfloat16()
    truth = autograd_kernel(model, SEQUENCES)
    there = model.to(device)
    before = {name: value.clone() for name, value in there.state_dict().items()}
    found = sequence_kernel(there, SEQUENCES)
    assert found.dtype == torch.float32
    assert relative(found.kernel.cpu(), truth) < 1e-5
    assert all(torch.equal(value, before[name]) for name, value in there.state_dict().items())


# ------------------------------------------------------------------------------------------------ memory


def big(layers: int, device: str) -> Any:
    """Return a model of many thin layers and a small vocabulary: what its graph keeps outweighs its head."""
    return tiny_model("llama", vocabulary=64, width=256, layers=layers, seed=1).to(device)


def long_ones(count: int, tokens: int = 600) -> list[TokenSequence]:
    return [TokenSequence(tuple((5 * t * t + n * t + n) % 64 for t in range(tokens)), 2) for n in range(count)]


def test_the_estimate_of_memory_is_close_to_the_peak(device: str) -> None:
    needs_cuda(device)
    model, sequences = big(12, device), long_ones(32)
    for memory in ("graph", "layerwise"):
        sequence_kernel(model, sequences[:2], memory=memory)  # what is allocated once, such as cuBLAS's workspace
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        plan = sequence_kernel(model, sequences, memory=memory).plan
        peak = torch.cuda.max_memory_allocated() - before
        assert plan is not None
        assert 0.25 * plan.needed < peak < SAFETY_FACTOR * plan.needed, (memory, peak, plan)


def test_memory_that_torch_keeps_for_later_counts_as_free(device: str) -> None:
    needs_cuda(device)
    torch.cuda.empty_cache()
    before = free_bytes(torch.device(device))
    kept = torch.empty(2 * GIB, dtype=torch.uint8, device=device)
    assert free_bytes(torch.device(device)) < before - GIB
    del kept  # torch keeps the memory
    assert torch.cuda.mem_get_info()[0] < before - GIB
    assert free_bytes(torch.device(device)) > before - GIB // 4


@contextmanager
def at_most(gibibytes: float) -> Iterator[None]:
    """Let the allocator of torch refuse what goes beyond so much more than is in use; nothing else is changed."""
    torch.cuda.empty_cache()
    total = torch.cuda.mem_get_info()[1]
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + gibibytes * GIB) / total)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_a_graph_that_does_not_fit_after_all_goes_layer_by_layer(device: str) -> None:
    needs_cuda(device)
    model, sequences = big(24, device), long_ones(32)
    whole = sequence_kernel(model, sequences, memory="graph")
    assert whole.plan is not None
    assert whole.plan.layerwise is not None
    room = (whole.plan.layerwise * 1.5 + whole.plan.graph * 0.2) / GIB
    assert room * GIB < 0.6 * whole.plan.graph
    with at_most(room):
        with pytest.raises(OutOfMemory, match="memory='layerwise', which needs about"):
            sequence_kernel(model, sequences, memory="graph")
        found = sequence_kernel(model, sequences)
    assert found.plan is not None
    assert found.plan.strategy == "layerwise"
    assert relative(found.kernel.cpu(), whole.kernel.cpu()) < 1e-9  # both in float64: the scores of this model are huge


def test_pairs_that_do_not_fit_together_are_audited_in_smaller_parts(device: str) -> None:
    needs_cuda(device)
    model, sequences = big(4, device), long_ones(32)
    pairs = list(zip(sequences[::2], sequences[1::2], strict=True))
    truth = audit_pairs(model, pairs)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    audit_pairs(model, pairs[:2])
    two = torch.cuda.max_memory_allocated() - before
    with at_most(1.5 * two / GIB):
        with pytest.raises(OutOfMemory):
            audit_pairs(model, pairs)
        found = audit_pairs_that_fit(model, pairs)
    for one, other in zip(found, truth, strict=True):
        assert one.inner_product == pytest.approx(other.inner_product, rel=1e-4, abs=1e-4 * other.norm_chosen**2)


# ------------------------------------------------------------------------------------------------ the command line


def test_the_command_line_audits_on_the_device_and_goes_on_with_a_file_from_the_cpu(
    device: str, tmp_path: Path
) -> None:
    folder = save_tiny(tmp_path / "model")
    data = write_lines(tmp_path / "data.jsonl", products(6))

    def audit(place: str, name: str) -> list[dict[str, Any]]:
        command = ["pairs", "--model", folder, "--data", data, "--device", place, "--out", tmp_path / name]
        result = CliRunner().invoke(app, [*map(str, command)])
        assert result.exit_code == 0, result.output
        return read_lines(tmp_path / name)

    here, there = audit("cpu", "cpu.jsonl"), audit(device, "gpu.jsonl")
    lines = (tmp_path / "cpu.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "cpu.jsonl").write_bytes(b"".join(lines[:3]))
    for found in (there, audit(device, "cpu.jsonl")):
        assert [row["row"] for row in found] == [*range(6)]
        for one, other in zip(here, found, strict=True):
            assert one["displaced"] == other["displaced"]
            scale = one["norm_chosen"] * one["norm_rejected"]
            assert other["inner_product"] == pytest.approx(one["inner_product"], abs=1e-5 * scale)
