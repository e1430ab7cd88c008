"""The exact kernel of sequences against one forward and backward pass, and against the ways that write gradients down.

    python tests/benchmarks/language_model_kernel.py [--sequences 16] [--tokens 32] [--repeats 4]
    python tests/benchmarks/language_model_kernel.py --large            # dimensions of Qwen2.5-0.5B, about 5 minutes
    python tests/benchmarks/language_model_kernel.py --device cuda      # the same dimensions on a GPU

Qwen2 with random weights, made in memory. On a CPU: one thread, CPU time of the process, the ways interleaved. Memory
is the peak of the resident set of a process of its own, less what was resident before; the time of that one run is
shown too, since the first gigabytes that a process touches cost time of their own. Without options: a model of 47
million parameters; the same with few sequences for the ways that need most; accuracy.

"floor: full logits" is the model's own loss with logits for every token, "floor: head on response rows" the sparing way
to the same gradient. Written-out gradients use the sparing way.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from environment import write_report
from language_model_ways import (
    ACTIVATIONS,
    FULL,
    GRAPH,
    JVP,
    LAYERWISE,
    MATERIALISED,
    RESPONSES,
    SHAPES,
    VMAP,
    contracted,
    gradients,
    interleaved,
    naive,
    peak,
    random_model,
    random_sequences,
    relative,
    timed,
)
from rich.table import Column, Table
from targets import CONSOLE, Target, show_targets

from dynamics.language_model import sequence_kernel
from dynamics.language_model.precision import computing_in

FEW = 4


def main() -> None:
    """Measure what was asked for, print the tables and write the report."""
    arguments = parse()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="There is a performance drop")  # vmap has no fused attention: it is shown
    if arguments.child is not None:
        print(json.dumps(weigh_here(json.loads(arguments.child))))
        return
    targets: list[Target] = []
    report: dict[str, Any] = {"settings": {k: v for k, v in vars(arguments).items() if k not in ("out", "child")}}
    if arguments.device == "cuda":
        report["cuda"] = [on_gpu(count, arguments) for count in arguments.sequences]
    elif arguments.large:
        report["large"] = large(arguments, targets)
    else:
        report["mid"] = [mid(count, arguments, targets) for count in arguments.sequences]
        report["few"] = few(arguments, targets)
        report["accuracy"] = accuracy(arguments, targets)
    report["targets"] = show_targets(targets)
    write_report(arguments.out, report)
    CONSOLE.print(f"written to {arguments.out}")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, nargs="+", help="default 16; on a GPU 16 64 256 512")
    parser.add_argument("--tokens", type=int, help="tokens of a sequence; default 32, large and GPU 100")
    parser.add_argument("--prompt", type=int, help="of them the prompt; default a quarter, large and GPU 40")
    parser.add_argument("--repeats", type=int, help="timings of every way; default 4, large 1")
    parser.add_argument("--large", action="store_true", help="dimensions of Qwen2.5-0.5B, layer by layer")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    big = arguments.large or arguments.device == "cuda"
    arguments.sequences = arguments.sequences or ([16, 64, 256, 512] if arguments.device == "cuda" else [16])
    arguments.tokens = arguments.tokens or (100 if big else 32)
    arguments.prompt = arguments.prompt or (40 if big else max(1, arguments.tokens // 4))
    arguments.repeats = arguments.repeats or (1 if arguments.large else 4)
    name = "_cuda" if arguments.device == "cuda" else "_large" if arguments.large else ""
    arguments.out = arguments.out or Path(f"out/benchmarks/language_model_kernel{name}.json")
    return arguments


# ------------------------------------------------------------------------------------------------ sections


def mid(count: int, arguments: argparse.Namespace, targets: list[Target]) -> dict[str, Any]:
    """47 million parameters: what a kernel costs beside a training step, and beside gradients written down."""
    ways = [FULL, RESPONSES, GRAPH, LAYERWISE, MATERIALISED, ACTIVATIONS]
    title = f"47 M parameters, {count} sequences of {arguments.tokens} tokens, prompt {arguments.prompt}"
    rows = measured("mid", count, arguments.tokens, arguments.prompt, ways, arguments.repeats)
    show(title, rows, FULL)
    if (count, arguments.tokens) == (16, 32):
        full, own, alone, written = (best(rows, way) for way in (FULL, GRAPH, ACTIVATIONS, MATERIALISED))
        why = (
            f"forward and backward pass without gradients of weights take {alone / full:.2f} of it, and the rest are "
            "the contractions over all pairs of tokens"
        )
        floor = (
            f"a kernel without any contraction, which is impossible, would have the ratio {written / alone:.1f}; "
            "written-out gradients share the sparing passes"
        )
        memory = extra(rows, GRAPH) / extra(rows, MATERIALISED)
        targets += [
            Target("time of the kernel / forward and backward pass", own / full, "<=", 0.8, why),
            Target("time of written-out gradients / kernel", written / own, ">=", 4.0, floor),
            Target("memory of the kernel / written-out gradients", memory, "<=", 0.2),
        ]
    return {"sequences": count, "ways": rows}


def few(arguments: argparse.Namespace, targets: list[Target]) -> dict[str, Any]:
    """Few sequences, for the ways that need most."""
    ways = [FULL, GRAPH, MATERIALISED, VMAP, JVP]
    rows = measured("mid", FEW, arguments.tokens, arguments.prompt, ways, min(2, arguments.repeats))
    show(f"the same with {FEW} sequences", rows, FULL)
    worst = max(row["error"] for row in rows if row["error"] is not None)
    targets.append(Target("largest difference between the ways", worst, "<=", 1e-5))
    return {"sequences": FEW, "ways": rows}


def large(arguments: argparse.Namespace, targets: list[Target]) -> list[dict[str, Any]]:
    """Dimensions of Qwen2.5-0.5B: written-out gradients of 16 sequences would take 32 GB."""
    found = []
    for count in arguments.sequences:
        runs: dict[str, list[dict[str, Any]]] = {RESPONSES: [], LAYERWISE: []}
        for _ in range(arguments.repeats):
            for way, kept in runs.items():
                kept.append(weigh("0.5B", way, count, arguments.tokens, arguments.prompt))
        rows = [
            {
                "way": way,
                "seconds": [run["seconds"] for run in kept],
                "extra_bytes": min(run["extra_bytes"] for run in kept),
                "expected_bytes": kept[0]["expected_bytes"],
                "error": None,
            }
            for way, kept in runs.items()
        ]
        title = f"Qwen2.5-0.5B's dimensions, {count} sequences of {arguments.tokens} tokens, prompt {arguments.prompt}"
        show(title, rows, RESPONSES)
        if (count, arguments.tokens) == (16, 100):
            ratio = best(rows, LAYERWISE) / best(rows, RESPONSES)
            why = (
                "layer by layer every layer runs forwards twice, and two forward passes and the gradients of the "
                "activations are as many multiplications as a training step, so the contractions come on top"
            )
            targets.append(Target("0.5B: time layer by layer / forward and backward pass", ratio, "<=", 1.0, why))
            megabytes = extra(rows, LAYERWISE) / 1e6
            why = "the graph of one decoder layer of the longest batch and the logits of one piece of the vocabulary"
            targets.append(Target("0.5B: memory layer by layer, MB", megabytes, "<=", 600, f"it holds {why}"))
        found.append({"sequences": count, "ways": rows})
    return found


def accuracy(arguments: argparse.Namespace, targets: list[Target]) -> dict[str, float]:
    """Float64 against autograd, float32 against float64; the obvious product in float32 for comparison."""
    sequences = random_sequences(FEW, arguments.tokens, arguments.prompt, SHAPES["mid"].vocabulary)
    model = random_model(SHAPES["mid"])
    with CONSOLE.status("accuracy: gradients in float64"):
        with computing_in(model, torch.float64):
            truth = contracted(gradients(model, sequences))
        rows = gradients(model, sequences)
    errors = {}
    for dtype in (torch.float64, torch.float32):
        for memory in ("graph", "layerwise"):
            with CONSOLE.status(f"accuracy: kernel in {dtype}, {memory}"):
                kernel = sequence_kernel(model, sequences, dtype=dtype, memory=memory).kernel
            errors[f"kernel, {memory}, {str(dtype)[6:]}"] = relative(kernel, truth)
    errors["gradients in float32, short pieces added up in float64"] = relative(contracted(rows), truth)
    errors["gradients in float32, G @ G.T"] = relative(naive(rows), truth)
    table = Table("against autograd in float64", "largest |dK_ij| / sqrt(K_ii K_jj)", title="accuracy")
    for name, error in errors.items():
        table.add_row(name, f"{error:.1e}" + (" (wrong)" if error > 1e-4 else ""))
    CONSOLE.print(table)
    for dtype, bound in (("float64", 1e-10), ("float32", 1e-5)):
        worst = max(error for name, error in errors.items() if name.startswith("kernel") and dtype in name)
        targets.append(Target(f"error of the kernel in {dtype}", worst, "<=", bound))
    return errors


def on_gpu(count: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Dimensions of Qwen2.5-0.5B on a GPU; a way that does not fit is said so."""
    model = random_model(SHAPES["0.5B"], "cuda")
    sequences = random_sequences(count, arguments.tokens, arguments.prompt, SHAPES["0.5B"].vocabulary)
    timed(GRAPH, model, sequences[:2])  # what is loaded once does not count
    rows = []
    for way in (RESPONSES, GRAPH, LAYERWISE):
        try:
            runs = [timed(way, model, sequences)[0] for _ in range(arguments.repeats)]
        except (torch.OutOfMemoryError, ValueError) as problem:  # the kernel says what would fit
            CONSOLE.print(f"{way}: {problem}", markup=False)
            model.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()
            continue
        bytes_ = {"extra_bytes": max(run.extra_bytes or 0 for run in runs), "expected_bytes": runs[0].expected_bytes}
        rows.append({"way": way, "seconds": [run.seconds for run in runs], **bytes_, "error": None})
    name = torch.cuda.get_device_name()
    if rows:
        show(f"{name}, Qwen2.5-0.5B's dimensions, {count} sequences of {arguments.tokens}", rows, rows[0]["way"])
    return {"sequences": count, "gpu": name, "ways": rows}


# ------------------------------------------------------------------------------------------------ measuring


def measured(
    shape: str, count: int, tokens: int, prompt: int, ways: Sequence[str], repeats: int
) -> list[dict[str, Any]]:
    """Time all ways in this process, interleaved, and weigh each in a process of its own."""
    model = random_model(SHAPES[shape])
    sequences = random_sequences(count, tokens, prompt, SHAPES[shape].vocabulary)
    for way in ways:
        timed(way, model, random_sequences(2, 4, 2, SHAPES[shape].vocabulary))  # what is loaded once does not count
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    kernels: dict[str, torch.Tensor | None] = {}
    with CONSOLE.status("timing") as status:
        for way, usage, kernel in interleaved(list(ways), model, sequences, repeats):
            seconds[way].append(usage.seconds)
            kernels[way] = kernel
            status.update(f"timing: {way}, {usage.seconds:.1f} s")
    truth = kernels[GRAPH]
    rows = []
    for way in ways:
        with CONSOLE.status(f"memory: {way}"):
            weighed = weigh(shape, way, count, tokens, prompt)
        kernel = kernels[way]
        error = None if kernel is None or truth is None else relative(kernel, truth)
        alone = {"seconds_alone": weighed.pop("seconds")}
        rows.append({"way": way, **weighed, **alone, "seconds": seconds[way], "error": error})
    return rows


def weigh(shape: str, way: str, count: int, tokens: int, prompt: int) -> dict[str, Any]:
    """Run one way in a process of its own."""
    task = json.dumps({"shape": shape, "way": way, "count": count, "tokens": tokens, "prompt": prompt})
    command = [sys.executable, str(Path(__file__).resolve()), "--child", task]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{way} failed in its own process:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def weigh_here(task: dict[str, Any]) -> dict[str, Any]:
    """Run one way in this process, which does nothing else, and return its seconds and bytes."""
    shape = SHAPES[task["shape"]]
    model = random_model(shape)
    sequences = random_sequences(task["count"], task["tokens"], task["prompt"], shape.vocabulary)
    return asdict(peak(task["way"], model, sequences))


# ------------------------------------------------------------------------------------------------ tables


def best(rows: Sequence[dict[str, Any]], way: str) -> float:
    """Return the shortest time of a way."""
    return min(next(row["seconds"] for row in rows if row["way"] == way))


def extra(rows: Sequence[dict[str, Any]], way: str) -> float:
    """Return the bytes of a way."""
    return float(next(row["extra_bytes"] for row in rows if row["way"] == way))


def show(title: str, rows: Sequence[dict[str, Any]], unit: str) -> None:
    """Print times (the shortest, and the range of its ratio to one way over the repeats) and bytes."""
    columns = ("s", "ratio", "over repeats", "s alone", "extra MB", "expected", "difference")
    table = Table(Column("way", no_wrap=True), *columns, title=title)
    base = next(row["seconds"] for row in rows if row["way"] == unit)
    for row in rows:
        ratios = [a / b for a, b in zip(row["seconds"], base, strict=True)]
        table.add_row(
            row["way"],
            f"{min(row['seconds']):.2f}",
            f"{min(row['seconds']) / min(base):.2f}",
            f"{min(ratios):.2f} to {max(ratios):.2f}",
            f"{row['seconds_alone']:.2f}" if "seconds_alone" in row else "",
            _megabytes(row["extra_bytes"]),
            _megabytes(row["expected_bytes"]),
            "" if row["error"] is None else f"{row['error']:.0e}",
        )
    CONSOLE.print(table)


def _megabytes(count: int | None) -> str:
    return "" if count is None else f"{count / 1e6:.0f}"


if __name__ == "__main__":
    main()
