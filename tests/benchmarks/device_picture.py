"""The picture of a report of ``device.py``: seconds and bytes against the number of sequences, and the errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def draw(report: dict[str, Any], path: Path) -> None:
    """Draw seconds and bytes against the number of sequences, and the errors."""
    import matplotlib.pyplot as plt

    from dynamics.files import write_atomically
    from figures.style import PAGE_WIDTH, paper_style

    parts = {name: part.get("found") for name, part in report["parts"].items()}
    rows, errors = parts.get("kernel"), parts.get("accuracy")
    if not rows or not errors:
        print("no picture without the parts kernel and accuracy")
        return
    title = report["device"] if "tiny" in report["device"] else f"{report['device']}, Qwen2.5-0.5B's dimensions"
    with paper_style():
        drawing, (seconds, memory, accuracy) = plt.subplots(1, 3, figsize=(PAGE_WIDTH, 2.6), layout="constrained")
        count = [row["sequences"] for row in rows]
        seconds.plot(count, [min(row["floor"]) for row in rows], "k--", marker="o", label="forward + backward")
        for name, marker in (("graph", "s"), ("layerwise", "^")):
            fits = [row for row in rows if "seconds" in row.get(name, {})]
            label = {"graph": "kernel, one graph", "layerwise": "kernel, layer by layer"}[name]
            at = [row["sequences"] for row in fits]
            seconds.plot(at, [min(row[name]["seconds"]) for row in fits], marker=marker, label=label)
            (line,) = memory.plot(at, [row[name]["extra_bytes"] / 1e9 for row in fits], marker=marker, label=label)
            guess = [(row[name]["expected_bytes"] or 0) / 1e9 for row in fits]
            memory.plot(at, guess, color=line.get_color(), linestyle=":", marker=marker, markerfacecolor="none")
        seconds.set(xscale="log", yscale="log", xlabel="sequences of 100 tokens", ylabel="seconds")
        memory.set(xscale="log", yscale="log", xlabel="sequences of 100 tokens", ylabel="GB besides the model")
        memory.set_title("dotted: estimated before the run", fontsize=7)
        for axes in (seconds, memory):
            axes.set_xticks(count, [str(one) for one in count])
            axes.minorticks_off()
        seconds.margins(y=0.25)  # room for the legend above the curves
        seconds.legend(fontsize=6.5, loc="upper left")
        for place, (_, error) in enumerate(reversed(errors.items())):
            accuracy.plot([error], [place], "o", color="black" if error <= 1e-5 else "tab:red")
        accuracy.axvline(1e-5, color="grey", linewidth=0.8)
        accuracy.set_yticks(
            range(len(errors)), [name.replace(", ", "\n", 1) for name in reversed(errors)], fontsize=5.5
        )
        accuracy.set(xscale="log", xlabel=r"$|\Delta K_{ij}|\,/\sqrt{K_{ii} K_{jj}}$; grey: $10^{-5}$")
        drawing.suptitle(title, fontsize=8)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, drawing.savefig)
        plt.close(drawing)
    print(f"drawn to {path}")
