"""A picture of the reports that the benchmarks left: each ratio and wall time against its limit.

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


def read(path: Path) -> dict[str, Any]:
    """Return a report, or nothing if it was not measured."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def main() -> None:
    """Draw what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("out/benchmarks"))
    folder = parser.parse_args().folder
    walls = read(folder / "wall_times.json")
    kernel = read(folder / "language_model_kernel.json")
    runs = read(folder / "trajectory.json")
    if not (walls or kernel or runs):
        raise SystemExit(f"{folder} holds no reports; make bench writes them")
    with paper_style():
        drawing, (left, right) = plt.subplots(1, 2, figsize=(PAGE_WIDTH, 3.2), layout="constrained")
        times = walls.get("seconds", {})
        for place, (name, took) in enumerate(reversed(times.items())):
            limit = walls["limits"].get(name)
            color = OTHERS if limit is None else EXACT_COLOR if took <= limit else REJECTED
            left.barh(place, took, color=color)
            if limit is not None:
                left.plot([limit, limit], [place - 0.4, place + 0.4], color="black", linewidth=1.2)
        left.set_yticks(range(len(times)), list(reversed(times)))
        left.set(xscale="log", xlabel="wall time (s); black: its limit")
        ratios = {
            target["what"].replace(" / ", "\n/ "): (target["value"], float(target["wanted"].split()[1]), target["pass"])
            for target in kernel.get("targets", [])
            if target["what"].startswith(("time", "memory"))
        }
        if runs:
            ratios["plain loop\n/ batched trajectories"] = (runs["ratio"], None, True)
        for place, (measured, wanted, passed) in enumerate(reversed(ratios.values())):
            right.barh(place, measured, color=OTHERS if wanted is None else EXACT_COLOR if passed else REJECTED)
            if wanted is not None:
                right.plot([wanted, wanted], [place - 0.4, place + 0.4], color="black", linewidth=1.2)
        right.set_yticks(range(len(ratios)), list(reversed(ratios)), fontsize=7)
        right.set(xscale="log", xlabel="ratio; black: its limit")
        path = folder / "benchmarks.png"
        write_atomically(path, drawing.savefig)
    print(f"written to {path}")


if __name__ == "__main__":
    main()
