"""The JSON lines of a watched run: appended one after the other, read back when a run is resumed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dynamics.files import JsonLines
from dynamics.language_model.watching.probes import Probe

Line = dict[str, Any]


def digest(probes: list[Probe]) -> str:
    """Return what identifies the probes: their names and tokens."""
    told = [[p.name, {role: [s.prompt_tokens, *s.ids] for role, s in p.responses.items()}] for p in probes]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class RunLog:
    """What the lines of one run say.

    A run that was resumed has forgotten what was measured after the checkpoint, but not what failed.

    Attributes:
        run: the line that begins the run: probes and settings.
        start: scores before training; None if there are none.
        audit: the audit before training.
        prediction: the predicted change per unit of learning rate.
        looks: the looks in the order of their steps.
        drives: the looks at the kernel in the order of their steps.
        problems: sentences about what could not be measured.
        rates: sum of the learning rates of the steps so far, by step, where a line says so.
        skipped: number of steps so far that were not taken, by step, where there are any.
    """

    run: Line
    start: Line | None = None
    audit: Line | None = None
    prediction: Line | None = None
    looks: list[Line] = field(default_factory=list)
    drives: list[Line] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    rates: dict[int, float] = field(default_factory=dict)
    skipped: dict[int, int] = field(default_factory=dict)

    def rates_at(self, step: int) -> tuple[float, int]:
        """Return the sum of the learning rates, and the number of skipped steps, as last told up to a step."""
        rates = {at: rate for at, rate in self.rates.items() if at <= step}
        skipped = {at: count for at, count in self.skipped.items() if at <= step}
        return rates[max(rates)] if rates else 0.0, skipped[max(skipped)] if skipped else 0


def append(path: Path, *lines: Line) -> None:
    """Append lines to the file; a line that an interruption left unfinished is removed first.

    Args:
        path: the file; created if it does not exist.
        *lines: what to append.

    Raises:
        InvalidArgument: another process is writing the file.
    """
    with JsonLines(path) as file:
        file.remove_rest()
        for line in lines:
            file.append(line)


def read_run(path: Path) -> RunLog | None:
    """Return the last run of a file; None if there is none.

    Args:
        path: the file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     place = Path(folder) / "a.jsonl"
        ...     append(place, {"kind": "run"}, {"kind": "look", "step": 20, "rate_sum": 0.1})
        ...     append(place, {"kind": "resume", "step": 10}, {"kind": "look", "step": 12, "rate_sum": 0.2})
        ...     [look["step"] for look in read_run(place).looks]
        [12]
    """
    if not path.is_file():
        return None
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    lines: list[Line] = [json.loads(line) for line in whole.splitlines()]
    begins = [number for number, line in enumerate(lines) if line["kind"] == "run"]
    if not begins:
        return None
    first, *rest = lines[begins[-1] :]
    single: dict[str, Line] = {}
    looks: dict[int, Line] = {}
    drives: dict[int, Line] = {}
    rates: dict[int, float] = {}
    skipped: dict[int, int] = {}
    problems: list[tuple[int, str]] = []
    for line in rest:
        kind, step = line["kind"], line.get("step", 0)
        if kind == "resume":
            for kept in (looks, drives, rates, skipped):
                for later in [number for number in kept if number > step]:
                    del kept[later]
            again = f" (before the run was resumed at step {step})"  # what failed stays told
            problems = [(at, said) if at <= step else (step, said + again) for at, said in problems]
        elif kind == "look":
            looks[step] = line
        elif kind == "drives":
            drives[step] = line
        elif kind == "problem":
            problems.append((step, f"step {step}: {line['problem']}"))
        elif kind != "end":
            single[kind] = line
        if "rate_sum" in line:
            rates[step] = line["rate_sum"]
        if "skipped" in line:
            skipped[step] = line["skipped"]
    return RunLog(
        first,
        single.get("start"),
        single.get("audit"),
        single.get("prediction"),
        [looks[step] for step in sorted(looks)],
        [drives[step] for step in sorted(drives)],
        [said for _, said in problems],
        rates,
        skipped,
    )
