"""What the parts of the kernel cost that users ask for: an audit of pairs, probes against a pair, any architecture.

    python tests/benchmarks/language_model_pairs.py [--repeats 4] [--only audit probes generic step]

One thread, CPU time of the process, the ways interleaved; each ratio is that of the shortest times. A miss is printed
as a miss, with the reason. Where the time goes: both an audit and a training step run every token forwards once and
propagate the gradients back to the embedding ("activations alone"); in place of the products that form weight gradients
an audit has the contractions of the own block of every pair.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from environment import write_report
from language_model_ways import SHAPES, Shape, activations, log_probs, random_model, random_sequences
from rich.table import Column, Table
from targets import CONSOLE, Target, show_targets
from torch.nn.functional import logsigmoid

from dynamics.language_model import TokenSequence, cross_kernel, model_step, sequence_kernel
from dynamics.language_model.kernel import computation
from dynamics.language_model.pair_audit.measuring.pair_numbers import audit_pairs

AUDITED = Shape(width=576, layers=8, inner=2304, heads=8, pairs=2, vocabulary=32000)
"""About 58 million parameters."""
Ways = dict[str, Callable[[], object]]


def audit(targets: list[Target], repeats: int) -> dict[str, list[float]]:
    """Audit 8 pairs of two responses of 64 tokens to a prompt of 64, against one DPO step on one of them."""
    model = random_model(AUDITED)
    pairs = random_pairs(8, 64, 64, AUDITED.vocabulary)
    every = [sequence for pair in pairs for sequence in pair]

    def dpo() -> None:
        own = log_probs(model, torch.tensor([s.ids for s in pairs[0]]), pairs[0][0].prompt_tokens)
        (-logsigmoid(0.1 * (own[0] - own[1]))).backward()
        model.zero_grad(set_to_none=True)

    ways: Ways = {
        "DPO step, one pair": dpo,
        "audit of 8 pairs": lambda: audit_pairs(model, pairs),
        "kernel of all 16": lambda: sequence_kernel(model, every, memory="graph"),
        "activations alone": lambda: activations(model, every),
    }
    seconds = measure(ways, repeats)
    step, audited, _, alone = (min(found) for found in seconds.values())
    show("58 M parameters, prompt 64, responses 64", seconds, "DPO step, one pair")
    why = (
        f"forward and backward pass without gradients of weights take {alone / 8 / step:.2f}, and the contractions of "
        "the own block 0.11 by their multiplications; running the prompt of a pair forwards once, with its keys and "
        "values for both responses, would save 0.08 at most, and the backward passes stay two"
    )
    targets.append(Target("audit of a pair / DPO forward and backward pass", audited / 8 / step, "<=", 0.75, why))
    return seconds


def probes(targets: list[Target], repeats: int) -> dict[str, list[float]]:
    """Compute 20 probes against one pair, and the kernel of all 22."""
    found = {}
    for tokens in (32, 128):
        model = random_model(SHAPES["mid"])
        every = random_sequences(22, tokens, tokens // 4, SHAPES["mid"].vocabulary)
        ways: Ways = {
            f"kernel of 22, {tokens} tokens": lambda m=model, s=every: sequence_kernel(m, s, memory="graph"),
            f"20 x 2, {tokens} tokens": lambda m=model, s=every: cross_kernel(m, s[2:], s[:2], memory="graph"),
            f"activations alone, {tokens} tokens": lambda m=model, s=every: activations(m, s),
        }
        seconds = measure(ways, repeats)
        whole, part, alone = (min(values) for values in seconds.values())
        show(f"47 M parameters, {tokens} tokens", seconds, next(iter(ways)))
        why = (
            f"all 22 sequences run forwards and backwards for either, which alone takes {alone / whole:.2f} of the "
            "larger one; the contractions of the 20 x 2 entries come on top"
        )
        targets.append(Target(f"20 probes x 1 pair / 22 x 22, {tokens} tokens", part / whole, "<=", 0.6, why))
        found |= seconds
    return found


def generic(targets: list[Target], repeats: int) -> dict[str, list[float]]:
    """Compute the kernel of one model by the handlers of known modules and one sequence after the other."""
    model = gemma3()
    qwen = random_model(SHAPES["mid"])
    sequences = random_sequences(16, 32, 8, SHAPES["mid"].vocabulary)

    def one_by_one() -> object:
        with patch.object(computation, "length_matters", lambda _: True):
            return sequence_kernel(qwen, sequences, memory="graph")

    def trained(which: Any) -> None:
        log_probs(which, torch.tensor([s.ids for s in sequences]), 8).sum().backward()
        which.zero_grad(set_to_none=True)

    ways: Ways = {
        "Qwen2, known modules": lambda: sequence_kernel(qwen, sequences, memory="graph"),
        "Qwen2, any module": one_by_one,
        "Qwen2, forward and backward": lambda: trained(qwen),
        "Gemma3, kernel": lambda: sequence_kernel(model, sequences, memory="graph"),
        "Gemma3, forward and backward": lambda: trained(model),
        "Qwen2, activations alone": lambda: activations(qwen, sequences),
        "Qwen2, the same one by one": lambda: [activations(qwen, [one]) for one in sequences],
    }
    seconds = measure(ways, repeats)
    special, other, floor, gemma, gemma_floor, batch, single = (min(values) for values in seconds.values())
    show("47 M (Qwen2) and 50 M (Gemma3) parameters, 16 sequences of 32", seconds, next(iter(ways)))
    why = (
        f"sequences of 31 tokens run one by one, and their forward and backward passes alone take {single / batch:.2f} "
        "times as long as in one batch"
    )
    targets.append(Target("one model, any module / known modules", other / special, "<=", 1.5, why))
    ratio = (gemma / gemma_floor) / (special / floor)
    targets.append(Target("Gemma3 / Qwen2, each kernel in its own floor", ratio, "<=", 1.5, why))
    return seconds


def step(_: list[Target], repeats: int) -> dict[str, list[float]]:
    """Take a step on one of 22 responses with and without the kernel."""
    model = random_model(SHAPES["mid"])
    sequences = random_sequences(22, 32, 8, SHAPES["mid"].vocabulary)
    single: dict[str, Any] = {"dtype": torch.float32}
    ways: Ways = {
        "step with the kernel": lambda: model_step(model, sequences, **single),
        "step without": lambda: model_step(model, sequences, kernel=False, **single),
    }
    seconds = measure(ways, repeats)
    show("47 M parameters, a pair and 20 others of 32 tokens", seconds, next(iter(ways)))
    return seconds


PARTS = {"audit": audit, "probes": probes, "generic": generic, "step": step}


def gemma3() -> Any:
    """Return a Gemma3 of about 50 million parameters with random weights."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    shape = SHAPES["mid"]
    config = Gemma3TextConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.pairs,
        head_dim=shape.width // shape.heads,
        sliding_window=16,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Gemma3ForCausalLM(config).eval()


def random_pairs(count: int, prompt: int, response: int, vocabulary: int) -> list[tuple[TokenSequence, TokenSequence]]:
    """Return pairs of two responses to one prompt."""
    sequences = random_sequences(2 * count, prompt + response, prompt, vocabulary)
    return [
        (w, TokenSequence(w.prompt + other.response, prompt))
        for w, other in zip(sequences[::2], sequences[1::2], strict=True)
    ]


def measure(ways: Ways, repeats: int) -> dict[str, list[float]]:
    """Run all ways in turn, several times, and return the CPU seconds of each."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    with CONSOLE.status("timing") as status:
        for _ in range(repeats):
            for name, run in ways.items():
                status.update(f"timing: {name}")
                begun = time.process_time()
                run()
                seconds[name].append(time.process_time() - begun)
    return seconds


def show(title: str, seconds: dict[str, list[float]], unit: str) -> None:
    """Print the shortest times, and their ratios to one way."""
    table = Table(Column("way", no_wrap=True), "s", "ratio", title=title)
    for name, values in seconds.items():
        table.add_row(name, f"{min(values):.3f}", f"{min(values) / min(seconds[unit]):.2f}")
    CONSOLE.print(table)


def main() -> None:
    """Measure, print the tables and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", type=Path, default=Path("out/benchmarks/language_model_pairs.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    targets: list[Target] = []
    report: dict[str, Any] = {"settings": {"repeats": arguments.repeats, "only": arguments.only}}
    for name in arguments.only:
        report[name] = PARTS[name](targets, arguments.repeats)
    report["targets"] = show_targets(targets)
    write_report(arguments.out, report)
    CONSOLE.print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
