"""The parts of ``device.py``: what a GPU is asked for, at two sizes."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import torch
from language_model_ways import (
    GRAPH,
    LAYERWISE,
    SHAPES,
    Shape,
    contracted,
    gradients,
    log_probs,
    naive,
    random_model,
    random_sequences,
    relative,
    timed,
)

from dynamics import DPO
from dynamics.language_model import TokenSequence, parameter_change, sequence_kernel, vocabulary_shift
from dynamics.language_model.out_of_memory import is_out_of_memory
from dynamics.language_model.pair_audit.measuring.pair_numbers import audit_pairs
from dynamics.language_model.precision import ROUNDING, computing_in

ROOT = Path(__file__).resolve().parents[2]
FLOOR_TOKENS = 1600
"""Tokens in one batch of the forward and backward pass: their logits fit."""
Targets = list[dict[str, Any]]


@dataclass(frozen=True)
class Dimensions:
    """How large everything is.

    Attributes:
        shape: of the model for speed.
        accurate: of the model for accuracy.
        counts: numbers of sequences of the kernel.
        tokens: of each of them, prompt included.
        prompt: tokens of the prompt.
        pairs: numbers of pairs of the audit.
        pair_tokens: of each response with its prompt.
        pair_prompt: tokens of the prompt.
        repeats: timings of everything; the shortest counts.
    """

    shape: Shape
    accurate: Shape
    counts: tuple[int, ...]
    tokens: int
    prompt: int
    pairs: tuple[int, ...]
    pair_tokens: int
    pair_prompt: int
    repeats: int


TINY_SHAPE = Shape(width=32, layers=2, inner=48, heads=4, pairs=2, vocabulary=97)
REAL = Dimensions(SHAPES["0.5B"], SHAPES["mid"], (16, 64, 256, 512), 100, 40, (8, 32), 128, 64, 3)
TINY = Dimensions(TINY_SHAPE, TINY_SHAPE, (2, 4), 12, 4, (2,), 12, 6, 2)


@dataclass(frozen=True)
class Run:
    """Where and how large, and what was wanted of it."""

    device: str
    size: Dimensions
    targets: Targets

    @property
    def real(self) -> bool:
        """Return whether speed is measured, or only tried."""
        return self.size is REAL

    def want(self, what: str, value: float, relation: str, bound: float) -> None:
        """Note a target: hit or missed."""
        hit = {"<=": value <= bound, ">=": value >= bound, ">": value > bound}[relation]
        self.targets.append({"what": what, "value": value, "wanted": f"{relation} {bound:g}", "pass": hit})


# ------------------------------------------------------------------------------------------------ parts


def run_tests(run: Run) -> dict[str, Any]:
    """Run everything that is marked gpu, in a process of its own."""
    files = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if "pytest.mark.gpu" in path.read_text(encoding="utf-8")
    ]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        # the suite's own options name plug-ins that are not needed here, and make errors of warnings
        plain = ["-o", "addopts=", "-o", "filterwarnings=default", "-p", "no:cacheprovider"]
        command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", *plain, f"--junitxml={report}", *files]
        where = {**os.environ, "PREFERENCE_DYNAMICS_DEVICE": run.device, "CI": ""}
        done = subprocess.run(command, cwd=ROOT, env=where, capture_output=True, text=True, check=False)
        if not report.exists():
            raise RuntimeError(f"pytest did not run: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    found = {}
    for case in cases:
        problem = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
        outcome = "passed" if problem is None else problem.tag
        what = {"outcome": outcome, "seconds": float(case.get("time", 0))}
        if problem is not None:
            what["message"] = problem.get("message", "")[:600]
        found[f"{case.get('classname')}::{case.get('name')}"] = what
    passed = sum(one["outcome"] == "passed" for one in found.values())
    broken = [name for name, one in found.items() if one["outcome"] in ("failure", "error")]
    for name in broken:
        print(f"  {name}: {found[name]['message']}")
    print(f"  {passed} of {len(found)} tests passed, {len(broken)} failed, {len(found) - passed - len(broken)} skipped")
    run.want("tests that failed", len(broken), "<=", 0)
    run.want("tests that passed", passed, ">=", 10)
    return {"passed": passed, "failed": broken, "tests": found}


def measure_accuracy(run: Run) -> dict[str, float]:
    """Compare the kernels of the device with gradients written out in float64 on the CPU."""
    sequences = random_sequences(4, min(32, run.size.tokens), min(8, run.size.prompt), run.size.accurate.vocabulary)
    model = random_model(run.size.accurate)
    with computing_in(model, torch.float64):
        truth = contracted(gradients(model, sequences))
    there = model.to(run.device)
    errors = {}
    for dtype, bound in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        for memory in ("graph", "layerwise"):
            found = sequence_kernel(there, sequences, dtype=dtype, memory=memory).kernel
            name = f"kernel, {str(dtype)[6:]}, {memory}"
            errors[name] = relative(found.cpu(), truth)
            run.want(f"error of the {name}", errors[name], "<=", bound)
    errors["gradients in float32, added up in float64"] = relative(contracted(gradients(there, sequences)).cpu(), truth)
    rows = gradients(there, sequences)
    errors["gradients in float32, G @ G.T"] = relative(naive(rows).cpu(), truth)
    if run.real:
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high")
        try:
            errors["gradients in TF32, G @ G.T"] = relative(naive(gradients(there, sequences)).cpu(), truth)
        finally:
            torch.set_float32_matmul_precision(before)
    wrong = max(errors.values())
    if run.real:  # the check can fail: these are not the kernel
        run.want("error of what a kernel must not be", wrong, ">", 1e-5)
    for name, error in errors.items():
        print(f"  {name:<50}{error:9.1e}")
    return errors


def time_kernel(run: Run) -> list[dict[str, Any]]:
    """Time and weigh the kernel of more and more sequences, and the forward and backward pass over them."""
    model = random_model(run.size.shape, run.device)
    first = random_sequences(2, run.size.tokens, run.size.prompt, run.size.shape.vocabulary)
    for way in (GRAPH, LAYERWISE):
        timed(way, model, first)  # what is loaded once does not count
    _floor(model, first)
    rows = []
    for count in run.size.counts:
        sequences = random_sequences(count, run.size.tokens, run.size.prompt, run.size.shape.vocabulary)
        repeats = run.size.repeats if count <= 16 else 2
        floor = [_clocked(run.device, lambda given=sequences: _floor(model, given)) for _ in range(repeats)]
        row: dict[str, Any] = {"sequences": count, "floor": floor}
        for name, way in (("graph", GRAPH), ("layerwise", LAYERWISE)):
            try:
                usages = [timed(way, model, sequences)[0] for _ in range(repeats)]
            except (RuntimeError, MemoryError, ValueError) as problem:
                if not is_out_of_memory(problem):
                    raise
                row[name] = {"does not fit": str(problem)}
                forget(model, run.device)
                continue
            row[name] = {
                "seconds": [one.seconds for one in usages],
                "extra_bytes": max(one.extra_bytes or 0 for one in usages),
                "expected_bytes": usages[0].expected_bytes,
            }
        rows.append(row)
        kept = [name for name in ("graph", "layerwise") if "seconds" in row[name]]
        parts = "  ".join(
            f"{name} {min(row[name]['seconds']):.3f} s, {row[name]['extra_bytes'] / 1e9:.2f} GB "
            f"(expected {(row[name]['expected_bytes'] or 0) / 1e9:.2f})"
            for name in kept
        )
        print(f"  N {count:>4}: floor {min(floor):.3f} s  {parts}")
        if run.real and count == 512:
            quickest = min([min(row[name]["seconds"]) for name in kept], default=float("inf"))
            run.want("seconds of the kernel of 512 sequences of 100 tokens", quickest, "<=", 60)
    return rows


def _floor(model: Any, sequences: Sequence[TokenSequence]) -> None:
    """Run a forward and a backward pass over all sequences, in batches whose logits fit."""
    size = max(1, FLOOR_TOKENS // len(sequences[0].ids))
    for start in range(0, len(sequences), size):
        some = sequences[start : start + size]
        ids = torch.tensor([s.ids for s in some], device=model.device)
        log_probs(model, ids, some[0].prompt_tokens).sum().backward()
    model.zero_grad(set_to_none=True)


def time_audit(run: Run) -> list[dict[str, Any]]:
    """Time the audit of some pairs, and a DPO training step on them as trainers take it."""
    rows = []
    size = run.size
    made = random_model(size.shape).bfloat16()
    for count in size.pairs:
        sequences = random_sequences(2 * count, size.pair_tokens, size.pair_prompt, size.shape.vocabulary)
        prompts = [s.ids[: size.pair_prompt] for s in sequences[::2] for _ in range(2)]  # a pair has one prompt
        sequences = [
            TokenSequence(p + s.ids[size.pair_prompt :], size.pair_prompt)
            for p, s in zip(prompts, sequences, strict=True)
        ]
        pairs = list(zip(sequences[::2], sequences[1::2], strict=True))
        model, reference = (copy.deepcopy(made).to(run.device) for _ in range(2))
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.0)  # with no rate the model stays as it is
        ids = torch.tensor([s.ids for s in (*sequences[::2], *sequences[1::2])], device=run.device)
        seconds = _interleaved(
            run,
            partial(_training_step, model, reference, optimizer, ids, size.pair_prompt),
            partial(audit_pairs, model, pairs),
            partial(_floor, copy.deepcopy(made).float().to(run.device), sequences),
        )
        step_time, audit_time = min(seconds[0]), min(seconds[1])
        names = ("step", "audit", "float32 pass")
        rows.append({"pairs": count, **dict(zip(names, seconds, strict=True)), "ratio": audit_time / step_time})
        print(
            f"  {count} pairs: a step in bfloat16 {count / step_time:.1f} pairs a second, "
            f"the audit in float32 {count / audit_time:.1f}: {audit_time / step_time:.2f} of the step, "
            f"{audit_time / min(seconds[2]):.2f} of a forward and backward pass in float32"
        )
        if run.real and count == 8:
            run.want("audit of 8 pairs in float32 / DPO step in bfloat16", audit_time / step_time, "<=", 1.2)
        del model, reference, optimizer
        forget(None, run.device)
    return rows


def _interleaved(run: Run, *works: Callable[[], Any]) -> list[list[float]]:
    """Return the seconds of each work, several times in turn, after a first time that does not count."""
    for work in works:
        work()
    times = [[_clocked(run.device, work) for work in works] for _ in range(run.size.repeats)]
    return [list(column) for column in zip(*times, strict=True)]


def _training_step(model: Any, reference: Any, optimizer: Any, ids: Any, prompt: int) -> None:
    half = len(ids) // 2
    with torch.no_grad():
        base = log_probs(reference, ids, prompt)
    found = log_probs(model, ids, prompt)
    ratio = (found - base).float()
    loss = -torch.nn.functional.logsigmoid(0.1 * (ratio[:half] - ratio[half:])).mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def shift_vocabulary(run: Run) -> dict[str, Any]:
    """Predict the change of every next-token probability, and compare a smaller model's with the CPU."""
    size = run.size
    how: dict[str, Any] = {"loss": DPO(beta=0.1), "learning_rate": 1e-3}
    small = random_model(size.accurate)
    few = random_sequences(2, min(32, size.tokens), min(8, size.prompt), size.accurate.vocabulary)
    found = []
    for place in ("cpu", run.device):
        model = small.to(place)
        change = parameter_change(model, few, dtype=torch.float64, **how)
        found.append(vocabulary_shift(model, change, few, dtype=torch.float64).log_change.cpu())
    error = float((found[1] - found[0]).abs().max() / found[0].abs().max())
    run.want("difference of the vocabulary shift from the CPU's, relative to its largest entry", error, "<=", 1e-9)
    model = random_model(size.shape, run.device)
    pair = random_sequences(2, size.tokens, size.prompt, size.shape.vocabulary)
    contexts = random_sequences(8, size.tokens, size.prompt, size.shape.vocabulary)
    seconds = {"change of the parameters": [], "shift": []}
    shift = None
    for _ in range(2):
        begun = time.perf_counter()
        change = parameter_change(model, pair, **how)
        _wait(run.device)
        middle = time.perf_counter()
        shift = vocabulary_shift(model, change, contexts)
        _wait(run.device)
        seconds["change of the parameters"].append(middle - begun)
        seconds["shift"].append(time.perf_counter() - middle)
    assert shift is not None
    sums = float((shift.log_probs.exp() * shift.log_change).sum(-1).abs().max())
    largest = float((shift.log_probs.exp() * shift.log_change).abs().max())
    print(
        f"  {len(shift.contexts)} contexts x {shift.log_change.shape[1]} tokens: {min(seconds['shift']):.2f} s; "
        f"difference from the CPU {error:.0e}; changes sum to zero within {sums / largest:.0e} of the largest"
    )
    return {"error": error, "contexts": len(shift.contexts), **seconds, "sum_over_largest": sums / largest}


def measure_probe(run: Run) -> dict[str, Any]:
    """Compute the kernel of the responses to 11 x 12 on the device and, in float64, on the CPU."""
    from toy_models.multiplication.corpus import ask
    from toy_models.multiplication.shipped import QUESTION, answers, load_checkpoint
    from toy_models.multiplication.survey import SurveySettings, survey

    found = {}
    model, tokenizer = load_checkpoint()
    settings = SurveySettings(samples=500 if run.real else 20)
    here = survey(model, tokenizer, ask(QUESTION), lambda text: answers(132, text), settings)
    sequences = here.sequences[: 40 if run.real else 4]
    truth = sequence_kernel(model, sequences, dtype=torch.float64).kernel
    there, _ = load_checkpoint(device=run.device)
    again = survey(there, tokenizer, ask(QUESTION), lambda text: answers(132, text), settings)
    run.want("the most probable answer is the CPU's (1: yes)", float(again.texts[0] == here.texts[0]), ">=", 1)
    for dtype, bound in ((torch.float64, 1e-10), (torch.float32, ROUNDING[torch.float32])):
        sequence_kernel(there, sequences[:2], dtype=dtype)
        begun = time.perf_counter()
        kernel = sequence_kernel(there, sequences, dtype=dtype).kernel
        seconds = time.perf_counter() - begun
        error = relative(kernel.cpu(), truth)
        run.want(f"error of the probe's kernel in {str(dtype)[6:]}", error, "<=", bound)
        found[str(dtype)[6:]] = {"error": error, "seconds": seconds}
        print(f"  {len(sequences)} responses, {str(dtype)[6:]}: {seconds:.2f} s, error {error:.0e}")
    return {"responses": len(sequences), "y_star": here.texts[0], **found}


# ------------------------------------------------------------------------------------------------ meters


def _wait(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def _clocked(device: str, work: Callable[[], Any]) -> float:
    """Return the seconds of some work: elapsed on a GPU, of the process on a CPU."""
    clock = time.process_time if torch.device(device).type == "cpu" else time.perf_counter
    _wait(device)
    begun = clock()
    work()
    _wait(device)
    return clock() - begun


def forget(model: Any, device: str) -> None:
    """Return the memory that is no longer used to the device."""
    if model is not None:
        model.zero_grad(set_to_none=True)
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()


PARTS: dict[str, Callable[[Run], Any]] = {
    "accuracy": measure_accuracy,
    "audit": time_audit,
    "kernel": time_kernel,
    "shift": shift_vocabulary,
    "probe": measure_probe,
    "tests": run_tests,
}
