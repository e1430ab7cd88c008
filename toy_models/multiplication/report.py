"""Reports of the probe, as texts and tables."""

from __future__ import annotations

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table

from dynamics import DPO
from dynamics.language_model import StablePO
from dynamics.losses import WeightedSum
from toy_models.multiplication.compare import Comparison, Draws
from toy_models.multiplication.methods import Method
from toy_models.multiplication.probe import CHOSEN, GROUPS, REJECTED, ProbeRun
from toy_models.multiplication.survey import Survey

NAMES = ("D_w", "D_l", "y*")

NEARLY_NLL = (
    "With gamma = 0 and so small an inner learning rate Stable PO is nearly DPO + lambda NLL: the lower level acts "
    "through term (b) alone, which is at most {:.1%} of the whole gradient here. --compare shows both."
)
EQUAL_STEP = (
    "At equal step a method with more terms has moved less along DPO's direction, since AdamW's steps are about "
    "equally long whatever the gradient is made of; comparing at equal margin removes that effect."
)
SEARCHED = (
    "This D_l was selected by a search, so the pattern is not a general fact. With unselected draws of D_l, the kernel "
    "of the untrained model raises y* in the first step of plain DPO in {}; --draws 10 trains on some."
)


def describe(method: Method) -> str:
    """Return a short description of a method.

    Example:
        >>> describe(StablePO(gamma=0.01))
        'Stable PO (lambda 1, gamma 0.01, K 1, beta 0.5), AdamW, learning rate 1e-05'
    """
    name = "AdamW" if method.optimizer == "adamw" else "SGD"
    if isinstance(method, StablePO):
        what = f"lambda {method.penalty:g}, gamma {method.gamma:g}, K {method.inner_steps}, beta {method.beta:g}"
        return f"Stable PO ({what}), {name}, learning rate {method.learning_rates[1]:g}"
    terms = method.loss.terms if isinstance(method.loss, WeightedSum) else ((1.0, method.loss),)
    words = []
    for weight, term in terms:
        what = f"DPO (beta {term.beta:g})" if isinstance(term, DPO) else type(term).__name__.replace("SFT", "NLL")
        words.append(what if weight == 1 else f"{weight:g} {what}")
    return f"{' + '.join(words)}, {name}, learning rate {method.learning_rate:g}"


def write_survey(surveyed: Survey, question: str) -> list[str]:
    """Return a report of the model's responses before training."""
    y_star, p_star = escape(surveyed.texts[surveyed.y_star]), np.exp(surveyed.log_probs[surveyed.y_star])
    certainty = "by exact search" if surveyed.y_star_is_exact else "among the samples; the search gave up"
    right = "RIGHT" if surveyed.is_void else "wrong"
    lines = [
        f"[bold]{escape(question)}[/bold]",
        f"y*, the most probable response: {y_star!r} ({right}), probability {p_star:.4f} ({certainty})",
        f"{len(surveyed.responses)} distinct responses are followed, {int(surveyed.correct.sum())} of them correct; "
        f"{surveyed.truncated} samples were cut off",
    ]
    if surveyed.is_void:
        lines.append("[yellow]y* is right, so this probe cannot show a wrong y* that gains from DPO.[/yellow]")
    return lines


def write_report(run: ProbeRun, question: str) -> Group:
    """Return the report of a probe."""
    return Group(
        *write_survey(run.survey, question),
        "D_w (chosen) against D_l (rejected), pair by pair; y* is in neither",
        f"Trained with {describe(run.settings.method)}",
        "",
        _pairs(run),
        "",
        _changes(run),
        "",
        _masses(run),
        "",
        *_first_move(run),
        *_stable_po(run),
        verdict(run),
    )


def verdict(run: ProbeRun) -> str:
    """Return in one line which pattern was seen, at the end and during training."""
    change = run.change
    directions = [
        f"{name} {'up' if moved > 0 else 'down'} ({moved:+.2f})" for name, moved in zip(NAMES, change[-1], strict=True)
    ]
    peak = int(change[:, 2].argmax())
    seen = "the pattern of jian2025's Figure 2a" if run.is_pattern else "not the pattern of jian2025's Figure 2a"
    highest = f"y* highest at step {peak} ({change[peak, 2]:+.2f})"
    return f"After {len(change) - 1} steps: {', '.join(directions)}; {highest}: {seen}."


def write_comparison(comparison: Comparison, question: str) -> Group:
    """Return a report of several methods side by side."""
    first = comparison.runs[0]
    last = len(first.log_probs) - 1
    lines: list[RenderableType] = [*write_survey(first.survey, question)]
    lines.append("Stable PO is named with its lambda, gamma and K. Changes of log pi are means, in nats.")
    ends = np.array([run.margin[-1] for run in comparison.runs])
    for title, change, mass, heading, extra in (
        (f"After {last} steps", comparison.change_at_step, comparison.mass_at_step, "margin", ends),
        (
            f"At margin {comparison.margin:.2f}, the change of D_w less that of D_l",
            comparison.change_at_margin,
            comparison.mass_at_margin,
            "at step",
            comparison.step_at_margin,
        ),
    ):
        moves = plain_table("change of log pi", *NAMES, heading)
        masses = plain_table("probability", *GROUPS)
        masses.add_row("at the start", *(f"{x:.4f}" for x in first.mass[0]))
        for i, name in enumerate(comparison.names):
            moves.add_row(escape(name), *(_number(x, "{:+.3f}") for x in change[i]), _number(extra[i], "{:.1f}"))
            masses.add_row(escape(name), *(_number(x, "{:.4f}") for x in mass[i]))
        lines += ["", f"[bold]{title}[/bold]", moves, masses]
    table = plain_table("first move of y* (nats)", "kernel, plain step", "predicted", "actual", "sign predicted")
    for name, run in zip(comparison.names, comparison.runs, strict=True):
        if run.first_move is not None:
            move = run.first_move
            row = [f"{x[2]:+.3e}" for x in (move.plain, move.predicted, move.actual)]
            table.add_row(escape(name), *row, "yes" if move.sign_is_predicted[2] else "no")
    notes = [EQUAL_STEP, *(_nearly_nll(run) for run in comparison.runs if run.accounts)][:2]
    return Group(*lines, "", table, "", *notes)


def write_draws(draws: Draws, question: str) -> Group:
    """Return a report of the spread over draws of the rejected responses."""
    table = plain_table("draw", "P(D_l)", "y* predicted", *NAMES, "y* at peak", "y* at margin")
    for i, rule in enumerate(draws.rules):
        table.add_row(
            str(rule),
            f"{draws.rejected_mass[i]:.4f}",
            f"{draws.predicted[i, 2]:+.1e}",
            *(f"{x:+.3f}" for x in draws.change[i]),
            f"{draws.peak[i]:+.3f}",
            _number(draws.change_at_margin[i, 2], "{:+.3f}"),
        )
    counts = draws.counts()
    kinds = list(next(iter(counts.values())))
    tally = plain_table(f"of {len(draws.rules)} draws", *kinds)
    for when, count in counts.items():
        tally.add_row(when, *(str(count[kind]) for kind in kinds))
    up = counts["at the last step"]["y* up"]
    return Group(
        *write_survey(draws.survey, question),
        f"Trained with {describe(draws.method)}, once for each draw of D_l; predicted is y*'s first move in a plain "
        "gradient step, from the kernel before training; the other columns are changes of log pi at the last step",
        "",
        table,
        "",
        tally,
        "",
        f"The margin is {draws.margin:.2f} nats. The kernel of the untrained model predicted the sign of y*'s first "
        f"move in {draws.predicted_signs} of {len(draws.rules)} draws.",
        f"y* ended up in {up} of {len(draws.rules)} draws that were not selected by a search.",
    )


def searched_note(first_moves: dict[str, np.ndarray]) -> str:
    """Return a note for a D_l that was selected by a search.

    Args:
        first_moves: predicted changes of log pi(y*) in the first step with other draws of D_l: for each rule of
            drawing, an array ``(draws,)``.
    """
    shares = [f"{int((moves > 0).sum())} of {len(moves)} {rule}" for rule, moves in first_moves.items()]
    return SEARCHED.format(" and ".join(shares))


def _nearly_nll(run: ProbeRun) -> str:
    shares = [account.norms["b"] / np.hypot(account.norms["c"], account.norms["d"]) for account in run.accounts]
    return NEARLY_NLL.format(max(shares, default=0.0))


def _number(value: float, form: str) -> str:
    return "never" if np.isnan(value) else form.format(value)


def plain_table(*columns: str) -> Table:
    """Return an empty table whose first column holds text and may be wrapped, and whose other columns hold numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(columns[0])
    for column in columns[1:]:
        table.add_column(column.replace(" ", "\n") if len(column) > 9 else column, justify="right", no_wrap=True)
    return table


def _pairs(run: ProbeRun) -> Table:
    table = plain_table("response", "group", "log pi at start", "change")
    for group, indices in ((CHOSEN, run.chosen), (REJECTED, run.rejected)):
        for i in indices:
            start, end = run.log_probs[[0, -1], i]
            text = escape(repr(run.survey.texts[i]))
            table.add_row(text, "D_w" if group == CHOSEN else "D_l", f"{start:.3f}", f"{end - start:+.3f}")
    return table


def _shown(run: ProbeRun, rows: int = 6) -> list[int]:
    return sorted({round(step) for step in np.linspace(0, len(run.log_probs) - 1, rows)})


def _changes(run: ProbeRun) -> Table:
    table = plain_table("mean change of log pi (nats) at step", *(str(step) for step in _shown(run)))
    for name, column in zip(NAMES, run.change.T, strict=True):
        table.add_row(name, *(f"{column[step]:+.3f}" for step in _shown(run)))
    table.add_row("margin (D_w less D_l)", *(f"{run.margin[step]:+.3f}" for step in _shown(run)))
    return table


def _masses(run: ProbeRun) -> Table:
    table = plain_table("probability at step", *(str(step) for step in _shown(run)))
    for name, column in zip(GROUPS, run.mass.T, strict=True):
        table.add_row(name, *(f"{column[step]:.4f}" for step in _shown(run)))
    return table


def _first_move(run: ProbeRun) -> list[Table | str]:
    move = run.first_move
    if move is None:
        return []
    table = plain_table("first step (nats)", "kernel, plain step", "predicted", "actual", "sign predicted")
    for index, name in enumerate(NAMES):
        row = [f"{x[index]:+.3e}" for x in (move.plain, move.predicted, move.actual)]
        table.add_row(name, *row, "yes" if move.sign_is_predicted[index] else "no")
    return [table, ""]


def _stable_po(run: ProbeRun) -> list[Table | str]:
    method = run.settings.method
    if not run.accounts or not isinstance(method, StablePO):
        return []
    table = plain_table("size of the terms of Eqs. (13), (14)", "first step", "last step")
    about = {
        "a": "(a) DPO, adapters",
        "b": "(b) lower level, adapters",
        "c": "(c) DPO, backbone",
        "d": "(d) SFT, backbone",
        "e_theta": "(e) L_reg, adapters",
        "e_phi": "(e) L_reg, backbone",
    }
    for term in run.accounts[0].norms:
        table.add_row(about[term], *(f"{run.accounts[i].norms[term]:.4g}" for i in (0, -1)))
    if method.gamma:
        note = "L_reg: {:.3g} at the first step, {:.3g} at the last.".format(
            *(run.accounts[i].reg or 0.0 for i in (0, -1))
        )
    else:
        note = _nearly_nll(run)
    return [table, note, ""]


def show(report: Group, console: Console) -> None:
    """Print a report."""
    console.print(report, soft_wrap=False)
