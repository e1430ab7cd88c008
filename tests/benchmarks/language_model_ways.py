"""The exact kernel of sequences by several ways, and what each of them needs: the ways, the models, the meters."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad, jvp, vjp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from dynamics.language_model import SequenceKernel, TokenSequence, sequence_kernel

CHUNK = 16384  # numbers of a gradient that are multiplied at once


@dataclass(frozen=True)
class Shape:
    """A Qwen2 architecture with tied embeddings and biases on q, k and v."""

    width: int
    layers: int
    inner: int
    heads: int
    pairs: int
    vocabulary: int


SHAPES = {
    "mid": Shape(width=512, layers=8, inner=2048, heads=8, pairs=2, vocabulary=32000),
    "0.5B": Shape(width=896, layers=24, inner=4864, heads=14, pairs=2, vocabulary=151936),
}


def random_model(shape: Shape, device: str = "cpu") -> Any:
    """Return a Qwen2 with random weights; biases and norm weights are random too, which hides no mistake."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.pairs,
        tie_word_embeddings=True,
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):  # transformers initialises from the global generator
        torch.manual_seed(0)
        model = Qwen2ForCausalLM(config).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return model.to(device)


def random_sequences(count: int, tokens: int, prompt: int, vocabulary: int) -> list[TokenSequence]:
    """Return sequences of random tokens, all of one length."""
    ids = torch.randint(vocabulary, (count, tokens), generator=torch.Generator().manual_seed(2))
    return [TokenSequence(tuple(row), prompt) for row in ids.tolist()]


# ------------------------------------------------------------------------------------------------ log pi by plain torch


def log_probs(model: Any, ids: Tensor, prompt: int, weights: Any = None) -> Tensor:
    """Return log pi(y | x) of sequences of one length, ``(sequences,)``; logits on the rows of the responses only."""
    responses = ids.shape[1] - prompt
    options = {"input_ids": ids[:, :-1], "use_cache": False, "logits_to_keep": responses}
    out = model(**options) if weights is None else functional_call(model, weights, (), options)
    return out.logits.log_softmax(-1).gather(-1, ids[:, prompt:].unsqueeze(-1)).sum((1, 2))


def _ids(model: Any, sequences: list[TokenSequence]) -> tuple[Tensor, int]:
    return torch.tensor([s.ids for s in sequences], device=model.device), sequences[0].prompt_tokens


# ------------------------------------------------------------------------------------------------ the ways


def floor_full(model: Any, sequences: list[TokenSequence]) -> None:
    """Run one batched training step's forward and backward pass, with the loss of the model itself; no kernel."""
    ids, prompt = _ids(model, sequences)
    labels = ids.masked_fill(torch.arange(ids.shape[1], device=ids.device) < prompt, -100)
    model(input_ids=ids, labels=labels, use_cache=False, num_items_in_batch=1).loss.backward()
    model.zero_grad(set_to_none=True)


def floor_responses(model: Any, sequences: list[TokenSequence]) -> None:
    """Run the same as sparingly as the model allows: no last token, logits on the rows of the responses only."""
    log_probs(model, *_ids(model, sequences)).sum().backward()
    model.zero_grad(set_to_none=True)


def activations(model: Any, sequences: list[TokenSequence]) -> None:
    """Run forwards and backwards to the embedding without the gradients of weights: what any kernel has to do."""
    flags = [parameter.requires_grad for parameter in model.parameters()]
    model.requires_grad_(False)
    handle = model.get_input_embeddings().register_forward_hook(lambda *given: given[-1].requires_grad_())
    try:
        log_probs(model, *_ids(model, sequences)).sum().backward()
    finally:
        handle.remove()
        for parameter, flag in zip(model.parameters(), flags, strict=True):
            parameter.requires_grad_(flag)


def gradients(model: Any, sequences: list[TokenSequence]) -> list[list[Tensor]]:
    """Return the gradient of every log pi, parameter by parameter: one backward pass for each sequence."""
    ids, prompt = _ids(model, sequences)
    parameters = list(model.parameters())
    rows = (log_probs(model, row, prompt) for row in ids.split(1))
    return [list(torch.autograd.grad(own.sum(), parameters)) for own in rows]


def contracted(rows: list[list[Tensor]]) -> Tensor:
    """Return the kernel from written-out gradients: short pieces, added up in float64."""
    total = torch.zeros(len(rows), len(rows), dtype=torch.float64, device=rows[0][0].device)
    for parts in zip(*rows, strict=True):
        flat = [part.flatten() for part in parts]
        for start in range(0, flat[0].numel(), CHUNK):
            piece = torch.stack([one[start : start + CHUNK] for one in flat])
            total += piece @ piece.T
    return total


def naive(rows: list[list[Tensor]]) -> Tensor:
    """Return ``G @ G.T`` in the dtype of the gradients, which in float32 is wrong."""
    g = torch.stack([torch.cat([part.flatten() for part in parts]) for parts in rows])
    return (g @ g.T).double()


def by_vmap(model: Any, sequences: list[TokenSequence]) -> Tensor:
    """Form all gradients by ``vmap(grad)``."""
    ids, prompt = _ids(model, sequences)
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}

    def one(values: dict[str, Tensor], row: Tensor) -> Tensor:
        return log_probs(model, row.unsqueeze(0), prompt, values).sum()

    found = vmap(grad(one), in_dims=(None, 0))(weights, ids)
    return contracted([[g[n] for g in found.values()] for n in range(len(sequences))])


def by_jvp(model: Any, sequences: list[TokenSequence]) -> Tensor:
    """Push every gradient through a forward-mode derivative of all log pi: a row of the kernel for each sequence."""
    ids, prompt = _ids(model, sequences)
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}

    def all_of_them(values: dict[str, Tensor]) -> Tensor:
        return log_probs(model, ids, prompt, values)

    rows = []
    with sdpa_kernel(SDPBackend.MATH):  # the fused kernel has no forward-mode derivative
        _, backward = vjp(all_of_them, weights)
        for unit in torch.eye(len(sequences), device=ids.device):
            rows.append(jvp(all_of_them, (weights,), backward(unit))[1])
    return torch.stack(rows).double()


WAYS: dict[str, Callable[[Any, list[TokenSequence]], Tensor | SequenceKernel | None]] = {
    "floor: full logits": floor_full,
    "floor: head on response rows": floor_responses,
    "kernel, one graph": lambda m, s: sequence_kernel(m, s, memory="graph"),
    "kernel, layer by layer": lambda m, s: sequence_kernel(m, s, memory="layerwise"),
    "materialised gradients": lambda m, s: contracted(gradients(m, s)),
    "vmap(grad)": by_vmap,
    "JVP of VJP": by_jvp,
    "activations alone": activations,
}
FULL, RESPONSES, GRAPH, LAYERWISE, MATERIALISED, VMAP, JVP, ACTIVATIONS = WAYS


def relative(kernel: Tensor, truth: Tensor) -> float:
    """Return the largest |dK_ij| / sqrt(K_ii K_jj)."""
    norms = truth.diagonal().sqrt()
    return float(((kernel - truth).abs() / (norms[:, None] * norms)).max())


# ------------------------------------------------------------------------------------------------ the meters


@dataclass(frozen=True)
class Usage:
    """What one run needed.

    Attributes:
        seconds: CPU time of the process, which other processes lengthen little; with CUDA elapsed time.
        extra_bytes: bytes at the peak beyond those before; None where they were not measured.
        expected_bytes: what the kernel said beforehand.
    """

    seconds: float
    extra_bytes: int | None
    expected_bytes: int | None


def timed(way: str, model: Any, sequences: list[TokenSequence]) -> tuple[Usage, Tensor | None]:
    """Run one way; with CUDA its memory is measured too."""
    cuda = model.device.type == "cuda"
    before = 0
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    clock = time.perf_counter if cuda else time.process_time
    begun = clock()
    result = WAYS[way](model, sequences)
    if cuda:
        torch.cuda.synchronize()
    seconds = clock() - begun
    extra = torch.cuda.max_memory_allocated() - before if cuda else None
    if isinstance(result, SequenceKernel):
        return Usage(seconds, extra, result.plan.needed if result.plan else None), result.kernel
    return Usage(seconds, extra, None), result


def interleaved(
    ways: list[str], model: Any, sequences: list[TokenSequence], repeats: int
) -> Iterator[tuple[str, Usage, Tensor | None]]:
    """Run every way in turn, several times over, so that a busy spell of the machine falls on all of them."""
    for _ in range(repeats):
        for way in ways:
            yield way, *timed(way, model, sequences)


def peak(way: str, model: Any, sequences: list[TokenSequence]) -> Usage:
    """Run one way and look at the resident memory of this process: call it in a process of its own."""
    timed(way, model, [TokenSequence(s.ids[:3], 1) for s in sequences[:2]])  # what is loaded once does not count
    before, reset = _status("VmRSS"), _reset_peak()
    usage, _ = timed(way, model, sequences)
    highest = _status("VmHWM") if reset else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RU_UNIT
    return replace(usage, extra_bytes=max(0, highest - before))


_RU_UNIT = 1 if sys.platform == "darwin" else 1024


def _status(field: str) -> int:
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RU_UNIT
    line = next(line for line in status.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def _reset_peak() -> bool:
    """Let the kernel forget the highest resident memory so far: building the model may have needed more than it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True
