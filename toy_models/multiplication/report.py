"""The probe in words and tables."""

from __future__ import annotations

import numpy as np
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table

from toy_models.multiplication.probe import CHOSEN, GROUPS, REJECTED, ProbeRun

NAMES = ("D_w", "D_l", "y*")


def write_report(run: ProbeRun, question: str) -> Group:
    """Return what there is to read of a probe."""
    surveyed = run.survey
    y_star, p_star = escape(surveyed.texts[surveyed.y_star]), np.exp(surveyed.log_probs[surveyed.y_star])
    certainty = "by exact search" if surveyed.y_star_is_exact else "among the samples; the search gave up"
    right = "RIGHT" if surveyed.is_void else "wrong"
    lines = [
        f"[bold]{escape(question)}[/bold]",
        f"y* = {y_star!r} ({right}), probability {p_star:.4f} ({certainty})",
        f"{len(surveyed.responses)} distinct responses are followed, {int(surveyed.correct.sum())} of them correct; "
        f"{surveyed.truncated} samples were cut off",
    ]
    if surveyed.is_void:
        lines.append("[yellow]y* is right: the story of a wrong y* that gains from DPO is void here.[/yellow]")
    return Group(*lines, "", _pairs(run), "", _changes(run), "", _masses(run), "", *_first_move(run), verdict(run))


def verdict(run: ProbeRun) -> str:
    """Return in a line which pattern was seen, at the end and on the way."""
    change = run.change
    directions = [
        f"{name} {'up' if moved > 0 else 'down'} ({moved:+.2f})" for name, moved in zip(NAMES, change[-1], strict=True)
    ]
    peak = int(change[:, 2].argmax())
    pattern = change[-1, 0] > 0 > change[-1, 1] and change[-1, 2] > 0 and not run.survey.is_void
    seen = "the pattern of jian2025's Figure 2a" if pattern else "not the pattern of jian2025's Figure 2a"
    highest = f"y* highest at step {peak} ({change[peak, 2]:+.2f})"
    return f"After {len(change) - 1} steps: {', '.join(directions)}; {highest}: {seen}."


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    return table


def _pairs(run: ProbeRun) -> Table:
    table = _table("response", "group", "log pi at start", "change")
    for group, indices in ((CHOSEN, run.chosen), (REJECTED, run.rejected)):
        for i in indices:
            start, end = run.log_probs[[0, -1], i]
            text = escape(repr(run.survey.texts[i]))
            table.add_row(text, "D_w" if group == CHOSEN else "D_l", f"{start:.3f}", f"{end - start:+.3f}")
    return table


def _shown(run: ProbeRun, rows: int = 6) -> list[int]:
    return sorted({round(step) for step in np.linspace(0, len(run.log_probs) - 1, rows)})


def _changes(run: ProbeRun) -> Table:
    table = _table("mean change of log pi (nats) at step", *(str(step) for step in _shown(run)))
    for name, column in zip(NAMES, run.change.T, strict=True):
        table.add_row(name, *(f"{column[step]:+.3f}" for step in _shown(run)))
    table.add_row("mean log-ratio", *(f"{run.margin[step]:+.3f}" for step in _shown(run)))
    return table


def _masses(run: ProbeRun) -> Table:
    table = _table("probability at step", *(str(step) for step in _shown(run)))
    for name, column in zip(GROUPS, run.mass.T, strict=True):
        table.add_row(name, *(f"{column[step]:.4f}" for step in _shown(run)))
    return table


def _first_move(run: ProbeRun) -> list[Table | str]:
    move = run.first_move
    if move is None:
        return []
    table = _table("first step", "gradient at start", "predicted change", "actual change", "sign foretold by gradient")
    for index, name in enumerate(NAMES):
        agrees = "yes" if move.slope[index] * move.actual[index] > 0 else "no"
        table.add_row(
            name, f"{move.slope[index]:+.4g}", f"{move.predicted[index]:+.3e}", f"{move.actual[index]:+.3e}", agrees
        )
    return [table, ""]


def print_report(run: ProbeRun, question: str, console: Console) -> None:
    """Print the report."""
    console.print(write_report(run, question), soft_wrap=False)
