"""``python -m dynamics pairs``: the audit of a whole data set."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console

from dynamics.commands.inputs import find_max_tokens, open_data_and_model, printing_memory, tokenize_row
from dynamics.commands.printing import print_lines, print_remarks
from dynamics.commands.shared import Options
from dynamics.errors import InvalidArgument
from dynamics.language_model.loading import DTYPES
from dynamics.language_model.pair_audit.data import check_rows
from dynamics.language_model.pair_audit.fingerprint import model_digest
from dynamics.language_model.pair_audit.processes import Processes, join_processes
from dynamics.language_model.pair_audit.results import Results
from dynamics.language_model.pair_audit.run import AuditSettings, refuse, run_audit
from dynamics.language_model.pair_audit.summary import AuditSummary, summarise
from dynamics.language_model.pair_audit.tokens import REMARKS, cut_sentence
from dynamics.losses import PreferenceLoss
from dynamics.progress import progress_bar

NAMED = 10  # skipped rows that are shown


def pairs_command(options: Options, console: Console, out: Path, settings: AuditSettings) -> AuditSummary:
    """Audit a data set, print the summary, and write it beside the results.

    Args:
        options: the shared options.
        console: where to print; of several processes only the first prints.
        out: file for the results, one line for each row.
        settings: how to audit.
    """
    processes = join_processes(options.device)
    results = Results(out)
    try:
        return _audit(options, console if processes.rank == 0 else Console(quiet=True), results, settings, processes)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_stopped(results)) from None
    finally:
        processes.leave()


def _audit(
    options: Options, console: Console, results: Results, settings: AuditSettings, processes: Processes
) -> AuditSummary:
    results.read_settings()  # refuses a file that is not for results before the model is loaded
    source, loaded = open_data_and_model(options, console, processes.device)
    max_tokens = find_max_tokens(loaded.model.config, options)
    first = check_rows(source, lambda row: tokenize_row(loaded, row, max_tokens))
    print_remarks(console, [(first, tokenize_row(loaded, first, max_tokens))])
    depends_on = {
        "model": model_digest(loaded),
        "data": source.fingerprint,
        "columns": source.reading.settings(),
        "parameters": options.parameters or [],
        "dtype": options.dtype,
        "max_tokens": max_tokens,
        "loss": str(settings.loss),  # with its beta
    }
    settings = replace(settings, parameters=options.parameters, dtype=DTYPES[options.dtype], max_tokens=max_tokens)
    rows = source.rows if settings.first is None else min(settings.first, source.rows or settings.first)
    with results.begin(depends_on, processes):
        with printing_memory(console, once=True), progress_bar(rows, "rows", console) as advance:
            run_audit(loaded, source, results, settings, processes, advance)
        summary = summarise(results)
        if processes.rank == 0:
            described = {"model": options.model, "data": options.data, "settings": depends_on}
            results.write_summary({**asdict(summary), **described})
            print_summary(console, summary, settings.loss, results)
    if summary.skipped and settings.strict:
        raise refuse(summary.skipped_rows[0][1])
    if not summary.audited:
        raise InvalidArgument("data", f"no row could be audited; {summary.skipped_rows[0][1]}")
    return summary


def print_summary(console: Console, summary: AuditSummary, loss: PreferenceLoss, results: Results) -> None:
    """Print what an audit found.

    Args:
        console: where to print.
        summary: its numbers.
        loss: the loss of the steps that "displaced" is about.
        results: where the lines are.
    """
    lines = [("rows", str(summary.rows)), ("pairs audited", str(summary.audited))]
    if summary.audited:
        lines += [
            (
                "displaced",
                f"{_share(summary.displaced, summary)}: under {loss}, a small SGD step on the pair alone lowers "
                "log pi(chosen)",
            ),
            ("chosen more probable", f"{summary.chosen_more_probable}: log pi(chosen) > log pi(rejected)"),
            ("cosine of g_w, g_l", _quantiles(summary.cosine)),
            ("drive of chosen", _quantiles(summary.drive_chosen)),
            ("CHES and that drive", _correlation(summary)),
            ("lowest drives", "rows " + ", ".join(map(str, summary.lowest))),
        ]
    lines += [(remark, f"{count}: {REMARKS[remark]}") for remark, count in summary.remarks.items()]
    cut = f"{_share(summary.cut, summary)}: {cut_sentence(summary.left_out, summary.cut_by)}" if summary.cut else "0"
    lines += [("prompt cut", cut), ("skipped", str(summary.skipped))]
    print_lines(console, (f"{name:<22}{value}" for name, value in lines))
    print_lines(console, (f"  {reason}" for _, reason in summary.skipped_rows[:NAMED]))
    if summary.skipped > NAMED:
        print_lines(console, [f"  and {summary.skipped - NAMED} more"])
    beside = f"{results.summary_path.name} and {results.settings_path.name}"
    print_lines(console, [f"written: {results.path}, {beside}"])


def _stopped(results: Results) -> str:
    """Say what an interrupted audit leaves behind."""
    if results.parts() or (results.path.is_file() and results.path.stat().st_size):
        return f"stopped; the finished rows are in {results.path}, and the same command continues with the others"
    return "stopped before a row was finished"


def _share(count: int, summary: AuditSummary) -> str:
    return f"{count} ({100 * count / summary.audited:.1f}%)"


def _quantiles(values: dict[str, float]) -> str:
    if not values:
        return "-"
    low, middle, high = (values[q] for q in ("0.05", "0.5", "0.95"))
    return f"median {middle:.4g}; 5% to 95%: {low:.4g} to {high:.4g}"


def _correlation(summary: AuditSummary) -> str:
    if summary.ches_pearson is None or summary.ches_spearman is None:
        return "- (fewer than three pairs, or all alike)"
    spearman, pearson = f"Spearman {summary.ches_spearman:+.2f}", f"Pearson {summary.ches_pearson:+.2f}"
    return f"{spearman}, {pearson} (-1: the higher CHES, the lower the drive)"
