"""``python -m dynamics pairs``: the audit of a whole data set."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from dynamics.commands.inputs import find_max_tokens, open_data_and_model, printing_memory, tokenize_row
from dynamics.commands.printing import print_lines, print_remarks
from dynamics.commands.report import check_report_place, report_command
from dynamics.commands.shared import Options
from dynamics.commands.training_plan import TrainingPlan
from dynamics.errors import InvalidArgument
from dynamics.language_model.loading import DTYPES
from dynamics.language_model.pair_audit.measuring.audit import Audit, AuditSettings
from dynamics.language_model.pair_audit.measuring.batch_run import Batches, run_in_batches
from dynamics.language_model.pair_audit.measuring.duration import Work, estimate_seconds, say_seconds
from dynamics.language_model.pair_audit.measuring.influences import Influences, find_influences
from dynamics.language_model.pair_audit.measuring.run import refuse, run_audit
from dynamics.language_model.pair_audit.measuring.set_run import run_set
from dynamics.language_model.pair_audit.measuring.token_pulls import read_token_pulls
from dynamics.language_model.pair_audit.measuring.trial_run import Trial, count_steps, run_trials
from dynamics.language_model.pair_audit.reading.data import check_rows
from dynamics.language_model.pair_audit.reading.examples import read_examples
from dynamics.language_model.pair_audit.reading.relations import find_relations
from dynamics.language_model.pair_audit.reading.tokens import REMARKS, cut_sentence
from dynamics.language_model.pair_audit.report.comparisons import compare_groups
from dynamics.language_model.pair_audit.report.page import count_pushers
from dynamics.language_model.pair_audit.report.summary import AuditSummary, say_step, summarise, worst_rows
from dynamics.language_model.pair_audit.results.fingerprint import model_digest
from dynamics.language_model.pair_audit.results.joined import batch_results, optimizer_of_set, set_results
from dynamics.language_model.pair_audit.results.processes import Processes, join_processes
from dynamics.language_model.pair_audit.results.store import Results
from dynamics.language_model.pair_audit.statistics import FEWEST
from dynamics.losses import PreferenceLoss
from dynamics.progress import Advance, progress_bar

NAMED = 10  # skipped rows that are shown
WORTH_TIMING = 200  # with fewer rows it is not said how long the audit takes


def pairs_command(
    options: Options,
    console: Console,
    out: Path,
    settings: AuditSettings,
    plan: TrainingPlan,
    report: Path | None = None,
) -> AuditSummary:
    """Audit a data set, print the summary, and write it beside the results.

    Args:
        options: the shared options.
        console: where to print; of several processes only the first prints.
        out: file for the results, one line for each row.
        settings: how to audit.
        plan: the training that is planned.
        report: file for the report, if one is wanted.
    """
    processes = join_processes(options.device)
    results = Results(out)
    spoken = console if processes.rank == 0 else Console(quiet=True)
    try:
        if report is not None:
            check_report_place(report)
        summary = _audit(options, spoken, results, settings, plan, processes)
        if report is not None and processes.rank == 0:
            report_command(spoken, out, report)
        return summary
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_stopped(results)) from None
    finally:
        processes.leave()


def _audit(
    options: Options,
    console: Console,
    results: Results,
    settings: AuditSettings,
    plan: TrainingPlan,
    processes: Processes,
) -> AuditSummary:
    results.read_settings()  # refuses a file that is not for results before the model is loaded
    begun = time.time()
    source, loaded = open_data_and_model(options, console, processes.device)
    loaded = plan.adapt(loaded)
    max_tokens = find_max_tokens(loaded.model.config, options)
    first = check_rows(source, lambda row: tokenize_row(loaded, row, max_tokens, settings.truncation))
    print_remarks(console, [(first, tokenize_row(loaded, first, max_tokens, settings.truncation))])
    parameters = options.parameters or (["adapter"] if plan.lora_rank else [])
    reference, referred = plan.load_reference(options, str(next(loaded.model.parameters()).device))
    depends_on = {
        "model": model_digest(loaded),
        "reference": referred,
        "data": source.fingerprint,
        "columns": source.reading.settings(),
        "parameters": parameters,
        "dtype": options.dtype,
        "max_tokens": max_tokens,
        "truncation": asdict(settings.truncation),
        "loss": str(settings.loss),  # with its beta
    }
    settings = replace(settings, parameters=parameters or None, dtype=DTYPES[options.dtype], max_tokens=max_tokens)
    rule = plan.rule(loaded, settings.parameters)
    rows = source.rows if settings.first is None else min(settings.first, source.rows or settings.first)
    audit = Audit(loaded, source, results, settings, depends_on, processes)
    with results.begin(depends_on, processes):
        if processes.rank == 0:
            _say_duration(console, audit, plan.work(reference), rows)
        with printing_memory(console, once=True), progress_bar(rows, "each pair alone", console) as advance:
            run_audit(audit, advance, reference)
        if not plan.only_own:
            with progress_bar(rows, "gradient of all pairs", console) as advance:
                pairs = run_set(audit, rule, (advance, _moving(advance, "changes by all pairs")))
        if plan.batches is not None:
            with progress_bar(plan.batches.count(len(pairs)), "each pair in its batch", console) as advance:
                run_in_batches(audit, pairs, plan.batches, rule, advance)
        influences = Influences({})
        if plan.influences:
            with progress_bar(rows, "who pushes whom", console) as advance:
                told = advance, _moving(advance, "who pushes whom, exactly")
                influences = find_influences(audit, pairs, plan.influences, told)
        summary = summarise(results)
        if processes.rank == 0:
            trials: list[Trial] = []
            if plan.verify and summary.audited:
                with progress_bar(count_steps(len(pairs)), "training steps on a copy", console) as advance:
                    trials = run_trials(audit, pairs, rule, progress=advance, reference=reference)
            plan = _with_earlier(plan, summary, results)
            found = {"model": options.model, "data": options.data, "settings": depends_on, **plan.described()}
            found |= {"chat_template": options.chat_template, "split": options.split}
            found |= {"seconds": round(time.time() - begun, 1), "trials": [asdict(trial) for trial in trials]}
            found |= _describe(audit, influences)
            results.write_summary({**asdict(summary), **found})
            print_summary(console, summary, settings.loss, plan, results)
            print_lines(console, (_say_trial(trial, plan) for trial in trials))
        processes.wait()
    if summary.skipped and settings.strict:
        raise refuse(summary.skipped_rows[0][1])
    if not summary.audited:
        raise InvalidArgument("data", f"no row could be audited; {summary.skipped_rows[0][1]}")
    return summary


def _moving(advance: Advance, label: str) -> Callable[..., None]:
    """Return a function that moves a progress bar under another label."""

    def move(done: int, total: int | None = None) -> None:
        advance(done, label, total)

    return move


def _with_earlier(plan: TrainingPlan, summary: AuditSummary, results: Results) -> TrainingPlan:
    """Return the plan with the optimizer and the batches of an earlier run, whose changes the summary is about."""
    optimizer = optimizer_of_set(results) if plan.only_own else None
    if optimizer is not None:
        state = (results.read_summary() or {}).get("optimizer_state") if optimizer == "adamw" else None
        plan = replace(plan, optimizer=optimizer, optimizer_state=state)
    made = batch_results(results).read_settings()
    if plan.batches is None and summary.displaced_by_batch is not None and made is not None:
        plan = replace(plan, only_own=False, batches=Batches(made["size"], made["seed"]))
    return plan


def _describe(audit: Audit, influences: Influences) -> dict[str, Any]:
    """Return what the report says besides the summary: groups of pairs, and the worst pairs with their tokens."""
    pushers = [row for row, _ in count_pushers(influences.pushes)]
    worst, source = sorted({*worst_rows(audit.results), *pushers}), audit.source
    pulls = read_token_pulls(audit, worst)
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "relations": find_relations(source).summary(),
        "comparisons": asdict(compare_groups(audit.results)),
        "examples": [{**example, "pulls": pulls.get(example["row"])} for example in read_examples(source, worst)],
        "influences": influences.pushes,
        "influence_error": influences.error and asdict(influences.error),
    }


def _say_duration(console: Console, audit: Audit, work: Work, rows: int | None) -> None:
    """Print how long the audit will take, unless it is short enough to wait for."""
    if rows is not None:
        rows -= sum(1 for _ in audit.results.read())
    if rows is not None and rows < WORTH_TIMING:
        return
    seconds = estimate_seconds(audit, work, rows or 1000)
    if seconds is not None:
        many = f"{rows} rows" if rows is not None else "every 1000 rows"
        print_lines(console, [f"this will take about {say_seconds(seconds)} for {many}, on one process"])


def print_summary(
    console: Console, summary: AuditSummary, loss: PreferenceLoss, plan: TrainingPlan, results: Results
) -> None:
    """Print what an audit found.

    Args:
        console: where to print.
        summary: its numbers.
        loss: the loss of the steps that "displaced" is about.
        plan: the training that is planned.
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
            *_set_lines(summary, plan),
            *_batch_lines(summary, plan),
            *_rescue_lines(summary),
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
    of_set = [] if summary.displaced_by_set is None else [set_results(results).path.name]
    of_set += [] if summary.displaced_by_batch is None else [batch_results(results).path.name]
    beside = ", ".join([*of_set, results.summary_path.name, results.settings_path.name])
    print_lines(console, [f"written: {results.path}, {beside}"])


def _set_lines(summary: AuditSummary, plan: TrainingPlan) -> list[tuple[str, str]]:
    """Say what a step on the whole set does to the chosen responses."""
    if summary.displaced_by_set is None:
        return []
    what = f"{say_step(plan.optimizer, plan.optimizer_state)} on all pairs at once lowers log pi(chosen)"
    lines = [("displaced by the set", f"{_share(summary.displaced_by_set, summary)}: {what}")]
    if summary.own_share:
        lines.append(("own share of the push", _quantiles(summary.own_share)))
    return lines


def _batch_lines(summary: AuditSummary, plan: TrainingPlan) -> list[tuple[str, str]]:
    """Say what a step on the batch of each pair does to its chosen response."""
    if summary.displaced_by_batch is None or plan.batches is None:
        return []
    batch = f"the batch of {plan.batches.size} in which the trainer draws the pair (seed {plan.batches.seed})"
    what = f"{say_step(plan.optimizer, plan.optimizer_state)} on {batch} lowers log pi(chosen)"
    return [("displaced by a batch", f"{_share(summary.displaced_by_batch, summary)}: {what}")]


def _rescue_lines(summary: AuditSummary) -> list[tuple[str, str]]:
    """Say which weight of an added SFT term keeps the chosen responses of displaced pairs from falling."""
    if not summary.sft_weight:
        return []
    weight = summary.sft_weight["0.9"]
    averaged = weight * summary.mean_tokens_chosen
    which = f"of summed log pi; {averaged:.2g} of the mean over tokens"
    what = f"a weight of {weight:.2g} ({which}) rescues at least 90% of the displaced pairs, each in its own step"
    return [("added SFT term", what)]


def _say_trial(trial: Trial, plan: TrainingPlan) -> str:
    correlation = "undefined"
    if trial.rank_correlation is not None:
        interval = f"of fewer than {FEWEST} pairs, which say little"
        if trial.interval is not None:
            interval = f"95%: {trial.interval[0]:.2f} to {trial.interval[1]:.2f}"
        correlation = f"{trial.rank_correlation:.2f} ({interval})"
    name = "SGD" if plan.optimizer == "sgd" else "AdamW"
    optimizer = name if plan.optimizer_state is None else f"the {name} saved in {plan.optimizer_state}"
    steps = f"{trial.steps} step{'s' * (trial.steps != 1)} of {optimizer}"
    return (
        f"{trial.trainer}, {steps} at {trial.learning_rate:g}: of {trial.pairs} chosen responses, "
        f"predicted to fall {trial.predicted_to_fall}, fell {trial.fell}, both {trial.both}; rank correlation "
        f"{correlation}; size of the change / prediction {trial.size:.2g} (median)"
    )


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
