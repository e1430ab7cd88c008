"""The goals of the benchmarks: what was measured, whether the goal is met, and if it is missed, why.

    python tests/benchmarks/targets.py [--folder out/benchmarks]      # one table of all reports in a folder

``make bench`` prints this table at its end.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Column, Table

CONSOLE = Console(width=120)
REPORTS = ("trajectory", "language_model_kernel", "language_model_kernel_large", "language_model_pairs", "wall_times")


@dataclass(frozen=True)
class Target:
    """A number with its goal.

    Attributes:
        what: what was measured.
        value: what came out.
        relation: which side of the goal is wanted.
        goal: the goal.
        reason: one sentence that says what keeps the number from the goal; shown where the goal is missed.
    """

    what: str
    value: float
    relation: Literal["<=", ">=", "<"]
    goal: float
    reason: str = ""

    @property
    def met(self) -> bool:
        """Return whether the goal is met; a number that is not one meets none."""
        holds = {"<=": self.value <= self.goal, "<": self.value < self.goal, ">=": self.value >= self.goal}
        return holds[self.relation]


def show_targets(targets: Sequence[Target]) -> list[dict[str, Any]]:
    """Print goal, number, and met or MISS for every target, with the reason of every miss; return them for a report."""
    table = Table(Column("work", ratio=1), "goal", "measured", "")
    for one in targets:
        table.add_row(one.what, f"{one.relation} {one.goal:g}", f"{one.value:.3g}", "met" if one.met else "MISS")
    CONSOLE.print(table)
    for one in targets:
        if not one.met:
            CONSOLE.print(f"MISS  {one.what}: {one.reason or 'no reason is known'}", markup=False, highlight=False)
    return [
        {
            "what": one.what,
            "value": one.value,
            "wanted": f"{one.relation} {one.goal:g}",
            "pass": one.met,
            "reason": "" if one.met else one.reason,
        }
        for one in targets
    ]


def read_targets(folder: Path) -> list[Target]:
    """Return the targets of all reports in a folder."""
    found = []
    for name in REPORTS:
        path = folder / f"{name}.json"
        report = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        for one in report.get("targets", ()):
            relation, goal = one["wanted"].split()
            found.append(Target(one["what"], one["value"], relation, float(goal), one.get("reason", "")))
        limits = report.get("limits", {})
        found += [
            Target(f"{what}, seconds", took, "<=", limits[what], "the machine may be busy: the load is in the report")
            for what, took in report.get("seconds", {}).items()
            if what in limits
        ]
    return found


def main() -> None:
    """Print the table of a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("out/benchmarks"))
    folder = parser.parse_args().folder
    targets = read_targets(folder)
    if not targets:
        raise SystemExit(f"{folder} holds no reports with goals; make bench writes them")
    show_targets(targets)


if __name__ == "__main__":
    main()
