"""Kernels, steps and summaries for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dynamics.language_model.kernel.sequence_kernel import SequenceKernel
from dynamics.language_model.pair_audit.data import Row
from dynamics.language_model.pair_audit.reading import Reading
from dynamics.language_model.pair_audit.results import settings_file, summary_file
from dynamics.language_model.pair_audit.summary import AuditSummary
from dynamics.language_model.pair_audit.tokens import REMARKS, TokenizedPair, cut_sentence
from dynamics.language_model.prediction.model_step import ModelStep
from dynamics.language_model.tokens import TokenSequence
from dynamics.losses import PreferenceLoss

TEXT = 24  # characters of a response that are shown where there is room
LEAST_TEXT = 8
NUMBERS = 28  # columns that tokens, log pi and |g| take up
COSINE = 7
NAMED = 10  # skipped rows that are shown


def shorten(text: str, limit: int = TEXT) -> str:
    """Return a text on one line, cut to a width.

    Example:
        >>> shorten("one line, and then another one"), shorten("a b")
        ("'one line, and then an…'", "'a b'")
    """
    shown = repr(text)
    return shown if len(shown) <= limit else shown[: limit - 2] + "…" + shown[-1]


def print_kernel(
    console: Console, account: SequenceKernel, names: Sequence[str], texts: Sequence[str], lengths: Sequence[int]
) -> None:
    """Print log-probabilities, norms and as many columns of cosines as there is room for.

    Args:
        console: where to.
        account: the kernel.
        names: of the sequences, such as ``"3w"``.
        texts: of the responses.
        lengths: their tokens.
    """
    room = console.width - NUMBERS - max(map(len, names))
    shown = min(len(names), max(2, (room - LEAST_TEXT) // COSINE))
    limit = max(LEAST_TEXT, min(TEXT, room - shown * COSINE))
    table = _table()
    for header in ("row", "response"):
        table.add_column(header, no_wrap=True)
    for header in ("tokens", "log pi", "|g|", *names[:shown]):
        table.add_column(header, justify="right", no_wrap=True)
    cosine, norms = account.cosine(), account.norms()
    for i, name in enumerate(names):
        cosines = [f"{float(value):+.2f}" for value in cosine[i, :shown]]
        own = f"{float(account.log_probs[i]):.2f}", f"{float(norms[i]):.4g}"
        table.add_row(name, escape(shorten(texts[i], limit)), str(lengths[i]), *own, *cosines)
    console.print(table)
    left = "" if shown == len(names) else f" (the first {shown} of {len(names)} columns; --out writes all)"
    console.print(
        "w: chosen, l: rejected response of the row; log pi in nats; |g|: norm of its gradient; "
        f"then the cosines with the gradients of the responses named above{left}",
        soft_wrap=True,
    )


def print_step(
    console: Console,
    row: Row,
    pair: tuple[TokenSequence, TokenSequence],
    loss: PreferenceLoss,
    learning_rates: Sequence[float],
    steps: Sequence[ModelStep],
    optimizer: str,
) -> None:
    """Print one step for each learning rate.

    Args:
        console: where to.
        row: the row of the pair.
        pair: its sequences.
        loss: the loss.
        learning_rates: of the steps.
        steps: their accounts.
        optimizer: ``"sgd"`` or ``"adamw"``.
    """
    first = steps[0]
    if row.pair is None:
        raise ValueError("a step is taken on a pair")
    for side, (name, text) in enumerate(zip(("chosen", "rejected"), row.pair.texts, strict=True)):
        own = f"{pair[side].length} tokens, log pi {float(first.log_probs[side]):.4f}"
        drive = f"drive {float(first.drive[0, side]):+.5g}"
        console.print(f"{name:<9}{shorten(text, 48)}  {own}, {drive}", markup=False, soft_wrap=True)
    about = f"{loss}, margin {float(first.margin[0]):.4g}, urgency {float(first.urgency[0]):.4g}"
    console.print(
        f"{about}: to first order an SGD step {_moves(float(first.chosen_push[0]))} log pi of the chosen response",
        markup=False,
        soft_wrap=True,
    )
    if optimizer != "sgd":
        console.print(
            f"that sentence is about SGD; the table is about the first step of {optimizer}, whose direction is another",
            markup=False,
            soft_wrap=True,
        )
    table = _table()
    headers = ("learning rate", "chosen: predicted", "actual", "rejected: predicted", "actual", "largest error")
    for header in headers:
        table.add_column(header, justify="right")
    for rate, step in zip(learning_rates, steps, strict=True):
        cells = [
            f"{float(v):+.4e}"
            for side in (0, 1)
            for v in (step.predicted_log_change[side], step.actual_log_change[side])
        ]
        table.add_row(f"{rate:g}", *cells, per_cent(float(step.relative_error.max())))
    console.print(table)
    console.print(
        "changes of log pi in nats; the error is the largest |actual - predicted| / |actual|; it grows with the "
        "learning rate, as what the first order leaves out does",
        soft_wrap=True,
    )


def per_cent(error: float) -> str:
    """Write a relative error for people.

    Example:
        >>> per_cent(0.05112), per_cent(12.0), per_cent(float("nan"))
        ('5.1%', '1200%', '-')
    """
    if not math.isfinite(error):
        return "-"
    return f"{100 * error:.0f}%" if error > 1 else f"{100 * error:.2g}%"


def _moves(push: float) -> str:
    if push == 0:
        return "does not move"
    return "raises" if push > 0 else "lowers"


def print_summary(console: Console, summary: AuditSummary, loss: PreferenceLoss, out: Path) -> None:
    """Print what an audit found.

    Args:
        console: where to.
        summary: its numbers.
        loss: the loss of the steps that "displaced" is about.
        out: where the rows are.
    """
    lines = [("rows", str(summary.rows)), ("pairs audited", str(summary.audited))]
    if summary.audited:
        share = f" ({100 * summary.displaced / summary.audited:.1f}%)"
        lines += [
            (
                "displaced",
                f"{summary.displaced}{share}: under {loss}, a small SGD step on the pair alone lowers log pi(chosen)",
            ),
            ("chosen more probable", f"{summary.chosen_more_probable}: log pi(chosen) > log pi(rejected)"),
            ("cosine of g_w, g_l", _spread(summary.cosine)),
            ("drive of chosen", _spread(summary.drive_chosen)),
            ("CHES and that drive", _correlation(summary)),
            ("lowest drives", "rows " + ", ".join(map(str, summary.lowest))),
        ]
    lines += [(remark, f"{count}: {REMARKS[remark]}") for remark, count in summary.remarks.items()]
    lines.append(("prompt cut", _cut(summary)))
    lines.append(("skipped", str(summary.skipped)))
    for name, value in lines:
        console.print(f"{name:<22}{value}", markup=False, soft_wrap=True)
    for _, why in summary.skipped_rows[:NAMED]:
        console.print(f"  {why}", markup=False, soft_wrap=True)
    if summary.skipped > NAMED:
        console.print(f"  and {summary.skipped - NAMED} more", markup=False)
    console.print(
        f"written: {out}, {summary_file(out).name} and {settings_file(out).name}", markup=False, soft_wrap=True
    )


def print_reading(console: Console, reading: Reading) -> None:
    """Print which columns are read and which are not.

    Args:
        console: where to.
        reading: of the data set.
    """
    for line in reading.lines():
        console.print(line, markup=False, soft_wrap=True)


def print_remarks(console: Console, pairs: Sequence[tuple[Row, TokenizedPair]]) -> None:
    """Print what is noteworthy about the tokens of some rows.

    Args:
        console: where to.
        pairs: rows and their sequences.
    """
    for row, pair in pairs:
        for sentence in pair.sentences():
            console.print(f"note on {row.place}: {sentence}", markup=False, soft_wrap=True)


def _cut(summary: AuditSummary) -> str:
    if not summary.cut:
        return "0"
    share = f"{summary.cut} ({100 * summary.cut / summary.audited:.1f}%)"
    return f"{share}: {cut_sentence(summary.left_out, summary.cut_by)}"


def _spread(values: dict[str, float]) -> str:
    if not values:
        return "-"
    low, middle, high = (values[q] for q in ("0.05", "0.5", "0.95"))
    return f"median {middle:.4g}; 5% to 95%: {low:.4g} to {high:.4g}"


def _correlation(summary: AuditSummary) -> str:
    if summary.ches_pearson is None or summary.ches_spearman is None:
        return "- (fewer than three pairs, or all alike)"
    return (
        f"Spearman {summary.ches_spearman:+.2f}, Pearson {summary.ches_pearson:+.2f} (near -1: CHES ranks as drives do)"
    )


def _table() -> Table:
    return Table(box=None, pad_edge=False, header_style="bold")
