"""Preference pairs under a language model: ``python -m dynamics kernel | step | pairs | report | keep``."""

# Heavy imports stand in the commands: --help needs none of them.
# ruff: noqa: PLC0415

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dynamics.commands.shared import Options, command

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)

Loss = Annotated[str, typer.Option(help="Name of a preference loss: dpo, ipo, simpo, ...")]
Beta = Annotated[float | None, typer.Option(help="The beta of the loss. By default the loss's own.")]


@app.callback()
def main() -> None:
    """How preference pairs move the log-probabilities of a language model.

    Exit codes: 2 if something cannot be done (one line on the standard error says what and why), 130 after Ctrl-C.
    """


@command(app)
def kernel(
    options: Options,
    first: Annotated[int, typer.Option(min=1, help="Take this many rows, the first ones that hold a pair.")] = 3,
    rows: Annotated[str | None, typer.Option(help="Take these rows instead, counted from 0, such as 0,3,17.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write kernel, log_probs and names to this .npz file.")] = None,
) -> None:
    """Print norms and cosines of the scores, the gradients of log pi, of the responses of a few rows."""
    from dynamics.commands.kernel import kernel_command

    kernel_command(options, Console(highlight=False), first, rows, out)


@command(app, dtype="float64")
def step(
    options: Options,
    row: Annotated[int, typer.Option(min=0, help="Row of the pair, counted from 0.")] = 0,
    learning_rate: Annotated[
        list[float] | None,
        typer.Option(
            help="Learning rate of a step; can be given several times. By default 1e-7, 1e-6, ..., 1e-3.",
            show_default=False,
        ),
    ] = None,
    loss: Loss = "dpo",
    beta: Beta = None,
    optimizer: Annotated[
        str, typer.Option(help="Optimizer: sgd, or adamw in its first step, without weight decay.")
    ] = "sgd",
) -> None:
    """Take one step on one pair and compare the change of log pi with its prediction; the model is not changed."""
    from dynamics.commands.step import step_command

    rates = tuple(learning_rate or (1e-7, 1e-6, 1e-5, 1e-4, 1e-3))
    step_command(options, Console(highlight=False), row, rates, loss, beta, optimizer)


@command(app)
def pairs(
    options: Options,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File for the results, one JSON line for each row, in a folder that exists. If it holds results of "
            "the same settings, the audit continues with the rows that are missing. Required, unless --show is given."
        ),
    ] = None,
    show: Annotated[
        int | None,
        typer.Option(min=1, help="Print this many of the first rows as the model will see them, and audit nothing."),
    ] = None,
    first: Annotated[int | None, typer.Option(min=1, help="Audit only this many of the first rows.")] = None,
    batch_pairs: Annotated[int, typer.Option(min=1, help="Number of rows that are computed and written together.")] = 8,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at a row that cannot be used, instead of skipping it.")
    ] = False,
    max_length: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Truncate prompt and response together to this many tokens, as the trainer will. (TRL's default is "
            "1024.) By default nothing is truncated.",
        ),
    ] = None,
    truncation_mode: Annotated[
        str, typer.Option(help="What truncation keeps, by TRL's names: keep_start or keep_end.")
    ] = "keep_start",
    loss: Loss = "dpo",
    beta: Beta = None,
    reference: Annotated[
        str | None, typer.Option(help="Reference model of the loss: a folder or hub id. By default the model itself.")
    ] = None,
    optimizer: Annotated[
        str,
        typer.Option(
            help="Optimizer of the steps on all pairs and on batches: sgd, or adamw taking its first step, without "
            "weight decay. A step on a pair alone is always one of SGD."
        ),
    ] = "sgd",
    optimizer_state: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Checkpoint of a trainer of transformers or TRL: the step on all pairs, or on a batch, is the next "
            "one of the AdamW that is saved there. Give the model of the same checkpoint, and --optimizer adamw. "
            "Without clipping of gradients: a trainer that clips (max_grad_norm, 1 by default) takes another step if "
            "the gradient is longer.",
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Compute the step on the batch that each pair is in too, with this many pairs in a batch, drawn as "
            "the trainer draws its first epoch.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the trainer, which shuffles the batches.")] = 42,
    lora_rank: Annotated[
        int | None,
        typer.Option(min=1, help="Train fresh LoRA adapters of this rank, not the model; alpha is twice the rank."),
    ] = None,
    lora_target: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Linear maps that get an adapter. By default q_proj,k_proj,v_proj,o_proj."),
    ] = None,
    only_own: Annotated[
        bool, typer.Option("--only-own", help="Audit each pair alone; leave out the step on all pairs at once.")
    ] = False,
    influences: Annotated[
        int,
        typer.Option(
            min=0,
            help="For the 20 displaced pairs that fall most, find this many pairs that push their chosen response "
            "down most, and up most, in a step of SGD on the mean loss of all pairs. Of n pairs, each pushes with 1/n "
            "of its weight, and a pair pushes itself too. Of more than 2000 pairs, a random sketch finds them for 200 "
            "displaced pairs.",
        ),
    ] = 0,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Train copies of the model on at most 256 of the pairs, once through, at the rates 1e-6 and 1e-5, "
            "and compare the changes of log pi(chosen) with their prediction.",
        ),
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Write a report to this HTML file, which needs no server and no network.")
    ] = None,
) -> None:
    """Audit a data set: what the training that you plan would do to its chosen responses, pair by pair.

    For every pair: norms and cosine of the two scores, drives and CHES, the change of log pi in a step on the pair
    alone and in a step on all pairs at once, and the weight of an SFT term that keeps the chosen response from falling.
    Look at the rows with --show 3 first. After an interruption the same command continues.

    On several GPUs: accelerate launch -m dynamics pairs ...
    """
    from dynamics.errors import InvalidArgument
    from dynamics.language_model.pair_audit.reading.truncation import Truncation

    console, truncation = Console(highlight=False), Truncation(max_length, truncation_mode)
    if show is not None:
        from dynamics.commands.show import show_command

        show_command(options, console, show, out, truncation)
        return
    if out is None:
        raise InvalidArgument("out", "give a file for the results, such as --out audit.jsonl; or look first, --show 3")
    from dynamics.commands.inputs import choose_loss
    from dynamics.commands.pairs import pairs_command
    from dynamics.commands.training_plan import TrainingPlan
    from dynamics.language_model.pair_audit.measuring.audit import AuditSettings
    from dynamics.language_model.pair_audit.measuring.batch_run import Batches

    chosen = choose_loss(loss, beta)
    settings = AuditSettings(truncation=truncation, batch_pairs=batch_pairs, first=first, strict=strict, loss=chosen)
    batches = None if batch is None else Batches(batch, seed)
    plan = TrainingPlan(
        optimizer, reference, lora_rank, lora_target, only_own, influences, verify, batches, optimizer_state
    )
    pairs_command(options, console, out, settings, plan, report)


@app.command()
def report(
    results: Annotated[Path, typer.Argument(help="The file that the command pairs wrote (--out).")],
    out: Annotated[Path, typer.Argument(help="HTML file for the report.")],
    files: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write the numbers (arrays.npz) and the pictures (SVG) to this folder too, for a notebook or a paper.",
        ),
    ] = None,
) -> None:
    """Write the report of a finished audit again, from its results alone: neither model nor data are needed."""
    from dynamics.commands.shared import reporting

    with reporting():
        from dynamics.commands.report import report_command

        report_command(Console(highlight=False), results, out, files)


@app.command()
def keep(
    expression: Annotated[
        str,
        typer.Argument(
            help="Which pairs to keep, by the columns of the results, such as 'not displaced' or "
            "'not displaced_by_set and cosine < 0.9'."
        ),
    ],
    results: Annotated[Path, typer.Option(help="The file that the command pairs wrote (--out).")],
    data: Annotated[str, typer.Option(help="The data set that was audited.")],
    out: Annotated[Path, typer.Option(help="File (or folder) for the kept pairs, in the format of the data.")],
    weight: Annotated[
        str | None, typer.Option(help="Weight of each pair, by the columns, such as 'min(1, norm_chosen)'.")
    ] = None,
    split: Annotated[str, typer.Option(help="Split to read, if the data are a folder or a data set of the hub.")] = (
        "train"
    ),
    keep_skipped: Annotated[
        bool, typer.Option("--keep-skipped", help="Keep the rows that the audit skipped; they are dropped otherwise.")
    ] = False,
) -> None:
    """Write the pairs of an audited data set for which an expression holds, and why each of the others was dropped.

    The results are read, and no model is needed. Beside OUT, OUT.rows.jsonl says of every row whether it was kept, and
    if not, why.
    """
    from dynamics.commands.shared import reporting

    with reporting():
        from dynamics.commands.keep import keep_command

        keep_command(Console(highlight=False), expression, results, data, out, weight, split, keep_skipped)


if __name__ == "__main__":
    app(prog_name="python -m dynamics")
