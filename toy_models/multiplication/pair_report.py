"""A report of a run on a single pair."""

from __future__ import annotations

import numpy as np
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from toy_models.multiplication.report import plain_table
from toy_models.multiplication.single_pair import L, PairRun, Theorem1Errors, W


def write_pair(run: PairRun, errors: Theorem1Errors) -> Group:
    """Return the report of a run on one pair and of single steps on it, as texts and tables."""
    settings, rise = run.settings, run.rise
    shape = "rises, then falls below its start" if rise.is_rise_then_fall else "does not rise and fall below its start"
    crossing = np.flatnonzero(run.chosen_term < 0)
    crossed = f"first negative at step {run.at[crossing[0]]}" if len(crossing) else "never negative"
    sides = np.sign(run.predicted[:, :2]) == np.sign(run.actual[:, :2])
    return Group(
        f"[bold]{escape(settings.question)}[/bold]",
        f"y_w = {escape(settings.chosen)!r}, y_l = {escape(settings.rejected)!r}, y* = {escape(run.texts[2])!r}",
        f"DPO (beta {settings.beta:g}), plain gradient descent, learning rate {settings.learning_rate:g}",
        "",
        _curves(run),
        "",
        f"log pi(y_w) {shape}: highest at step {rise.peak_step} ({rise.peak:+.3f}), {rise.end:+.3f} at the end.",
        f"||g_w||^2 - g_w.g_l is {crossed} (checked every {settings.every} steps); "
        f"g_w.g_l - ||g_l||^2 is {'always' if (run.rejected_term < 0).all() else 'not always'} negative.",
        f"Theorem 1 has the sign of the next change of y_w in {int(sides[:, W].sum())} and of y_l in "
        f"{int(sides[:, L].sum())} of {len(sides)} steps that were checked.",
        "",
        _errors(errors),
        f"log-log slopes: {', '.join(f'{s:.3f}' for s in errors.slope)} (1 for a first-order prediction)",
    )


def _curves(run: PairRun, rows: int = 7) -> Table:
    shown = sorted({round(i) for i in np.linspace(0, len(run.at) - 1, rows)})
    table = plain_table("at step", *(str(run.at[i]) for i in shown))
    for name, column in zip(("log pi(y_w)", "log pi(y_l)", "log pi(y*)"), run.log_probs.T, strict=False):
        table.add_row(name, *(f"{column[run.at[i]]:.3f}" for i in shown))
    terms = {"||g_w||^2 - g_w.g_l": run.chosen_term, "g_w.g_l - ||g_l||^2": run.rejected_term}
    for name, term in (terms | {"g*.(g_w - g_l)": run.y_star_term}).items():
        table.add_row(name, *(f"{term[i]:.0f}" for i in shown))
    table.add_row("margin", *(f"{run.margin[run.at[i]]:.3f}" for i in shown))
    return table


def _errors(errors: Theorem1Errors) -> Table:
    table = plain_table("relative error of one step at learning rate", "y_w", "y_l", "y*")
    for rate, row in zip(errors.learning_rates, errors.relative_error, strict=True):
        table.add_row(f"{rate:g}", *(f"{x:.1e}" for x in row))
    return table
