"""Tiny random models of every decoder that transformers can build, and the page of what their kernels are computed by.

``python tests/dynamics/language_model/architectures.py`` builds them all, compares every kernel with brute-force
autograd and writes the table into dynamics/language_model/kernel/README.md. With names of types as arguments it prints
their rows only. All of them take about a quarter of an hour of CPU time.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
if __name__ == "__main__":  # in place of this folder, whose tokenizers.py would hide the package
    sys.path[0] = str(ROOT)

import torch

from dynamics import InvalidArgument
from dynamics.files import write_atomically
from dynamics.language_model import SequenceKernel, TokenSequence, sequence_kernel
from tests.dynamics.language_model.brute_force import autograd_kernel, relative
from tests.dynamics.language_model.built import VARIANTS, build, kind_of
from tests.dynamics.language_model.saved import write_lines
from tests.dynamics.language_model.tokenizers import byte_tokenizer
from tests.dynamics.language_model.trained import TrainerFails, differences

PAGE = ROOT / "dynamics" / "language_model" / "kernel" / "README.md"
COMMAND = "python tests/dynamics/language_model/architectures.py"
BEGIN, END = f"<!-- architectures: {COMMAND} -->\n", "<!-- end of architectures -->\n"
SEQUENCES = (
    TokenSequence((3, 5, 9, 3, 7, 5, 5), 3),
    TokenSequence((40, 4, 9), 1),
    TokenSequence((9, 8, 7, 9, 9, 8, 3, 4, 5, 11, 22, 50), 2),
    TokenSequence((3, 5, 9, 3, 7, 5, 6), 3),
)
BOUND = {torch.float64: 1e-12, torch.float32: 1e-5}


@dataclass(frozen=True)
class Row:
    """What came of one type.

    Attributes:
        kind: the type.
        model: its class.
        parts: how the parts of its kernel are computed.
        errors: |dK| / sqrt(K_ii K_jj) in float64 and float32, in one graph and layer by layer; None where refused.
        plain: the same of autograd's own gradients in float32.
        conditioning: change of the kernel, computed in float64, when every weight changes by at most half a unit in
            the last place of its float32 number.
        problem: why there is nothing to compare.
        failed: the commands that failed, with their messages; empty if all three have run.
        outside: why the numbers inside of a DPOTrainer are not those outside of it; empty if they are.
    """

    kind: str
    model: str = ""
    parts: str = ""
    errors: tuple[float | None, ...] = ()
    plain: float = 0.0
    conditioning: float = 0.0
    problem: str = ""
    failed: str = ""
    outside: str = ""

    @property
    def exact(self) -> bool:
        """Return whether float64 is within its bound, and float32 within its own or twice autograd's own error."""
        double, single = BOUND[torch.float64], max(BOUND[torch.float32], 2 * self.plain)
        bounds = (double, double, single, single)
        return bool(self.errors) and all(e is None or e < b for e, b in zip(self.errors, bounds, strict=True))


def handlers(got: SequenceKernel) -> str:
    """Return how many modules are computed in which way."""
    kinds = sorted(set(got.contractions.values()))
    return ", ".join(f"{kind} {list(got.contractions.values()).count(kind)}" for kind in kinds)


def compare(kind: str) -> Row:
    """Build a type and compare its kernels with brute force."""
    of, changes = kind_of(kind)
    try:
        model = build(of, **changes)
    except Exception as problem:
        return Row(kind, problem=f"not built from small sizes ({type(problem).__name__})")
    name = type(model).__name__
    try:
        truth = autograd_kernel(model, SEQUENCES)
    except Exception as problem:
        return Row(kind, name, problem=f"autograd fails in float64 ({type(problem).__name__}: {str(problem)[:60]})")
    errors: list[float | None] = []
    parts = ""
    for dtype in BOUND:
        for memory in ("graph", "layerwise"):
            try:
                got = sequence_kernel(model, SEQUENCES, dtype=dtype, memory=memory)
            except InvalidArgument as problem:
                if memory == "graph":
                    return Row(kind, name, problem=str(problem))
                errors.append(None)
                continue
            except Exception as problem:
                return Row(kind, name, problem=f"FAILED ({type(problem).__name__}: {str(problem)[:80]})")
            parts = parts or handlers(got)
            errors.append(relative(got.kernel, truth))
    plain = relative(autograd_kernel(model, SEQUENCES, dtype=torch.float32), truth)
    moved = conditioning(model)
    with tempfile.TemporaryDirectory() as folder:
        return Row(kind, name, parts, tuple(errors), plain, moved, "", *failures(kind, Path(folder)))


def conditioning(model: Any, draws: int = 3) -> float:
    """Return how much the kernel changes, in float64, with the last float32 digit of every weight: the largest change.

    No computation in float32 can be expected to be more accurate.
    """
    model = model.to(torch.float64)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    truth, found = sequence_kernel(model, SEQUENCES).kernel, 0.0
    for seed in range(draws):
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                noise = 2 * torch.rand(parameter.shape, generator=generator, dtype=torch.float64) - 1
                parameter.copy_(before[name] * (1 + 2.0**-24 * noise))
        found = max(found, relative(sequence_kernel(model, SEQUENCES).kernel, truth))
    return found


PAIRS = (
    {"prompt": "7 + 8 = ", "chosen": "15", "rejected": "It is 16"},
    {"prompt": "2 ", "chosen": "a", "rejected": "b"},
)
COMMANDS: dict[str, tuple[str, ...]] = {
    "kernel": ("--first", "2"),
    "step": ("--learning-rate", "1e-9"),
    "pairs": ("--out", "OUT"),
}


def saved(kind: str, folder: Path) -> tuple[Path, Path]:
    """Return a folder with a tiny model of a type that reads bytes, and a file of two pairs."""
    tokenizer = byte_tokenizer()
    of, changes = kind_of(kind)
    build(of, **changes | {"vocab_size": len(tokenizer)} | PER_LAYER.get(of, {})).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return folder / "model", write_lines(folder / "pairs.jsonl", PAIRS)


PER_LAYER = {"gemma4_text": {"vocab_size_per_layer_input": 258}, "gemma3n_text": {"vocab_size_per_layer_input": 258}}


def run_commands(model: Path, data: Path) -> dict[str, Any]:
    """Run the three commands, and return their results by name."""
    from typer.testing import CliRunner

    from dynamics.__main__ import app

    runner, found = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}), {}
    for command, options in COMMANDS.items():
        own = [str(data.with_name("audit.jsonl")) if option == "OUT" else option for option in options]
        found[command] = runner.invoke(app, [command, "--model", str(model), "--data", str(data), *own])
    return found


def failures(kind: str, folder: Path) -> tuple[str, str]:
    """Return which commands fail on a saved model of a type, and what differs inside of a DPOTrainer."""
    try:
        model, data = saved(kind, folder)
    except Exception as problem:
        return (f"not saved ({type(problem).__name__}: {str(problem)[:80]})",) * 2
    failed = {command: result for command, result in run_commands(model, data).items() if result.exit_code}
    said = "; ".join(f"{command}: {r.stderr.strip() or repr(r.exception)[:160]}" for command, r in failed.items())
    try:
        found = differences(model)
    except TrainerFails as problem:
        return said, f"{UNTRAINED} ({problem})"
    except Exception as problem:
        return said, f"{type(problem).__name__}: {str(problem).strip()[:120]}"
    if found.pop("moved") == 0:
        return said, "the step changed nothing"
    return said, ", ".join(f"{name} {error:.0e}" for name, error in found.items() if not error < INSIDE)


UNTRAINED = "the trainer cannot train it"
INSIDE = 1e-6
"""How much the numbers inside of a trainer may differ from those outside, as cosines and in nats."""


def types() -> list[str]:
    """Return every type for which transformers has a causal language model."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def table(rows: list[Row]) -> str:
    """Return the page's table."""
    import transformers

    compared = [row for row in rows if row.errors]
    exact = [row for row in compared if row.exact]
    single = BOUND[torch.float32]
    ill = ", ".join(row.kind for row in compared if any((e or 0) >= single for e in row.errors)) or "nowhere"
    lines = [
        f"Of {len(compared)} architectures and variants of transformers {transformers.__version__} that were built and",
        f"compared, {len(exact)} agree with brute-force autograd: below 1e-12 in float64, and in float32 below 1e-5 or",
        "twice the error of autograd's own float32 gradients. Errors are |dK_ij| / sqrt(K_ii K_jj), the largest one;",
        "`-` stands for a model that does not go layer by layer. The last column says how well the problem is posed:",
        "how much the exact kernel changes when every weight changes by at most half a unit in the last place of its",
        "float32 number. No computation in float32 can be expected to be more accurate than that. The error in float32",
        f"exceeds 1e-5 here: {ill}. There the errors of autograd are of the same size, and so are the changes",
        "by the last digit.",
        "",
        f"The commands `kernel`, `step` and `pairs` run on {sum(not row.failed for row in compared)} of these models,",
        "saved in a folder with a tokenizer of bytes. What they compute inside of a DPOTrainer of TRL with its default",
        f"settings, after a step, is what they compute outside of it on {sum(not row.outside for row in compared)} of",
        f"the {sum(UNTRAINED not in row.outside for row in compared)} models that it can train (to {INSIDE:g}, as",
        "cosines and in nats).",
        "",
        "| type | class | modules by handler | float64, graph | layerwise | float32, graph | layerwise | autograd's | "
        "of the last digit |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in compared:
        shown = ["-" if e is None else f"{e:.0e}" for e in row.errors]
        mark = "" if row.exact else " **not exact**"
        lines.append(
            f"| {row.kind} | {row.model}{mark} | {row.parts} | {' | '.join(shown)} | {row.plain:.0e} | "
            f"{row.conditioning:.0e} |"
        )
    lines += ["", *(f"- {row.kind}: {row.failed}" for row in compared if row.failed)]
    lines += [f"- {row.kind}, inside of a trainer: {row.outside}" for row in compared if row.outside]
    lines += ["", "Not compared:", ""]
    lines += [f"- {row.kind}: {row.problem}" for row in rows if not row.errors]
    return "\n".join(lines) + "\n"


def main(names: list[str]) -> None:
    """Compare the types, and write the page if all of them were asked for."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    rows = []
    for kind in names or [*types(), *VARIANTS]:
        rows.append(compare(kind))
        print(rows[-1], flush=True)
    if not names:
        page = PAGE.read_text(encoding="utf-8")
        start, stop = page.index(BEGIN) + len(BEGIN), page.index(END)
        text = page[:start] + table(rows) + page[stop:]
        write_atomically(PAGE, lambda temporary: temporary.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    main(sys.argv[1:])
