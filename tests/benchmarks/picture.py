"""A picture of the reports that the benchmarks left: each wall time, and each number with a goal, against it.

python tests/benchmarks/picture.py [--folder out/benchmarks]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from dynamics.files import write_atomically
from figures.style import EXACT_COLOR, OTHERS, PAGE_WIDTH, REJECTED, paper_style

REPORTS = ("trajectory", "language_model_kernel", "language_model_kernel_large", "language_model_pairs")


def read(path: Path) -> dict[str, Any]:
    """Return a report, or nothing if it was not measured."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def is_drawn(target: dict[str, Any]) -> bool:
    """Return whether a target is of speed or memory; errors lie many orders of magnitude below their limits."""
    return "error" not in target["what"] and "difference" not in target["what"]


def against_goal(target: dict[str, Any]) -> float:
    """Return what was measured over its goal, or the inverse where more is wanted: at most 1 if the goal is met.

    Example:
        >>> against_goal({"value": 0.5, "wanted": "<= 0.8"}), against_goal({"value": 30.0, "wanted": ">= 60"})
        (0.625, 2.0)
    """
    relation, goal = target["wanted"].split()
    return float(target["value"]) / float(goal) if relation.startswith("<") else float(goal) / float(target["value"])


def main() -> None:
    """Draw what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("out/benchmarks"))
    folder = parser.parse_args().folder
    walls = read(folder / "wall_times.json")
    reports = [read(folder / f"{name}.json") for name in REPORTS]
    if not (walls or any(reports)):
        raise SystemExit(f"{folder} holds no reports; make bench writes them")
    with paper_style():
        drawing, (left, right) = plt.subplots(1, 2, figsize=(PAGE_WIDTH, 4.0), layout="constrained")
        times = walls.get("seconds", {})
        for place, (name, took) in enumerate(reversed(times.items())):
            limit = walls["limits"].get(name)
            color = OTHERS if limit is None else EXACT_COLOR if took <= limit else REJECTED
            left.barh(place, took, color=color)
            if limit is not None:
                left.plot([limit, limit], [place - 0.4, place + 0.4], color="black", linewidth=1.2)
        left.set_yticks(range(len(times)), list(reversed(times)))
        left.set(xscale="log", xlabel="wall time (s); black: its limit")
        goals = [target for report in reports for target in report.get("targets", []) if is_drawn(target)]
        for place, target in enumerate(reversed(goals)):
            right.barh(place, against_goal(target), color=EXACT_COLOR if target["pass"] else REJECTED)
        labels = [f"{t['what'].replace(' / ', chr(10) + '/ ', 1)}, {t['value']:.3g} ({t['wanted']})" for t in goals]
        right.set_yticks(range(len(goals)), labels[::-1], fontsize=6)
        right.set_title("left of the line: met", fontsize=7)
        right.axvline(1, color="black", linewidth=1.2)
        right.set(xlabel="measured / goal")
        path = folder / "benchmarks.png"
        write_atomically(path, drawing.savefig)
    print(f"written to {path}")


if __name__ == "__main__":
    main()
