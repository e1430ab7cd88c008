"""Preference pairs under a language model: ``python -m dynamics kernel | step | pairs``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from dynamics.commands.commands import Options

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)

Model = Annotated[
    str, typer.Option(help="Folder or hub id of a causal language model, such as toy_models/multiplication/weights.")
]
Data = Annotated[
    str,
    typer.Option(
        help="Preference pairs with columns prompt, chosen, rejected: JSON lines or array, CSV, Parquet, a folder or a "
        "data set of the hub (owner/name or owner/name:subset). Texts or chat messages; both responses may hold the "
        "prompt. tools and chat_template_kwargs go to the chat template; other columns are not read."
    ),
]
PromptColumn = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Column that holds the prompt, if it is not prompt: question, or instruction,input (joined by a line "
        "break; can be repeated). none: it is what both responses begin with.",
    ),
]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a model on the hub.")]
Split = Annotated[str, typer.Option(help="Of a folder or a data set of the hub.")]
Parameters = Annotated[
    list[str] | None, typer.Option(metavar="GLOB", help="Only gradients by these parameters; can be repeated.")
]
Dtype = Annotated[str, typer.Option(help="float32 or float64.")]
Device = Annotated[str | None, typer.Option(help="Such as cpu or cuda:0; a GPU if there is one, if not given.")]
MaxTokens = Annotated[
    int | None, typer.Option(min=2, help="Longest prompt and response together; the model's own limit if not given.")
]
Loss = Annotated[str, typer.Option(help="Name of a preference loss: dpo, ipo, simpo, ...")]
Beta = Annotated[float | None, typer.Option(help="Of the loss; its own default if not given.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads; torch's own choice if not given.")]


@app.callback()
def main() -> None:
    """How preference pairs move the log-probabilities of a language model.

    The exit code is 2 if something cannot be done (one line on stderr says what and why), 130 after Ctrl-C.
    """


@app.command()
def kernel(
    model: Model,
    data: Data,
    first: Annotated[int, typer.Option(min=1, help="Take so many of the first rows that hold a pair.")] = 3,
    rows: Annotated[str | None, typer.Option(help="Take these rows instead, counted from 0, such as 0,3,17.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write kernel, log_probs and names to this .npz file.")] = None,
    revision: Revision = None,
    split: Split = "train",
    prompt_column: PromptColumn = None,
    parameters: Parameters = None,
    dtype: Dtype = "float32",
    device: Device = None,
    max_tokens: MaxTokens = None,
    threads: Threads = None,
) -> None:
    """Print the exact kernel of grad log pi between the responses of a few rows: norms and cosines."""
    with _reporting():
        from dynamics.commands.commands import kernel_command  # noqa: PLC0415 - not needed for --help

        options = _options(model, data, revision, split, prompt_column, parameters, dtype, device, max_tokens, threads)
        kernel_command(options, Console(highlight=False), first, _numbers(rows), out)


@app.command()
def step(
    model: Model,
    data: Data,
    row: Annotated[int, typer.Option(min=0, help="Row of the pair, counted from 0.")] = 0,
    learning_rate: Annotated[
        list[float] | None, typer.Option(help="Can be repeated; 1e-7 to 1e-3 in tens if not given.")
    ] = None,
    loss: Loss = "dpo",
    beta: Beta = None,
    optimizer: Annotated[str, typer.Option(help="sgd, or adamw taking its first step.")] = "sgd",
    revision: Revision = None,
    split: Split = "train",
    prompt_column: PromptColumn = None,
    parameters: Parameters = None,
    dtype: Dtype = "float64",
    device: Device = None,
    max_tokens: MaxTokens = None,
    threads: Threads = None,
) -> None:
    """Step on one pair and compare the change of log pi with its prediction; the model is put back."""
    with _reporting():
        from dynamics.commands.commands import step_command  # noqa: PLC0415

        options = _options(model, data, revision, split, prompt_column, parameters, dtype, device, max_tokens, threads)
        rates = tuple(learning_rate or (1e-7, 1e-6, 1e-5, 1e-4, 1e-3))
        step_command(options, Console(highlight=False), row, rates, loss, beta, optimizer)


@app.command()
def pairs(
    model: Model,
    data: Data,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File for the results, in a folder that is there: one JSON line for each row. It is gone on with if "
            "it is there. Needed unless --show is given."
        ),
    ] = None,
    show: Annotated[
        int | None,
        typer.Option(min=1, help="Print so many of the first rows as the model will see them, and audit nothing."),
    ] = None,
    first: Annotated[int | None, typer.Option(min=1, help="Only so many rows; all if not given.")] = None,
    batch_pairs: Annotated[int, typer.Option(min=1, help="Rows computed and written together.")] = 8,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at a row that cannot be used (else: skip it).")
    ] = False,
    loss: Loss = "dpo",
    beta: Beta = None,
    revision: Revision = None,
    split: Split = "train",
    prompt_column: PromptColumn = None,
    parameters: Parameters = None,
    dtype: Dtype = "float32",
    device: Device = None,
    max_tokens: MaxTokens = None,
    threads: Threads = None,
) -> None:
    """Audit a data set: norms, cosine, drives and CHES of every pair, and whether a step lowers its chosen response.

    Look at the rows with --show 3 first. The same command again goes on after an interruption. On several GPUs:
    accelerate launch -m dynamics pairs ...
    """
    with _reporting(f"stopped; {out} holds whole lines, and the same command goes on with it"):
        from dynamics.commands.commands import choose_loss, pairs_command, show_command  # noqa: PLC0415
        from dynamics.errors import InvalidArgument  # noqa: PLC0415
        from dynamics.language_model.pair_audit.run import AuditSettings  # noqa: PLC0415

        options = _options(model, data, revision, split, prompt_column, parameters, dtype, device, max_tokens, threads)
        if show is not None:
            show_command(options, Console(highlight=False), show)
            return
        if out is None:
            raise InvalidArgument("out", out, "a file for the results, --out audit.jsonl; or --show 3 to look first")
        settings = AuditSettings(batch_pairs=batch_pairs, first=first, strict=strict, loss=choose_loss(loss, beta))
        pairs_command(options, Console(highlight=False), out, settings)


def _options(
    model: str,
    data: str,
    revision: str | None,
    split: str,
    prompt_column: list[str] | None,
    parameters: list[str] | None,
    dtype: str,
    device: str | None,
    max_tokens: int | None,
    threads: int | None,
) -> Options:
    from dynamics.commands.commands import Options  # noqa: PLC0415

    columns = tuple(part.strip() for names in prompt_column or () for part in names.split(","))
    globs = tuple(parameters or ())
    return Options(model, data, revision, split, globs, dtype, device, max_tokens, threads, columns)


def _numbers(text: str | None) -> tuple[int, ...]:
    from dynamics.errors import InvalidArgument  # noqa: PLC0415

    if text is None:
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InvalidArgument("rows", text, "whole numbers with commas between them, such as 0,3,17") from None


@contextmanager
def _reporting(stopped: str = "stopped") -> Iterator[None]:
    """Turn what a user can mend into one line on stderr and an exit code."""
    console = Console(stderr=True, highlight=False)
    try:
        from dynamics.errors import InvalidArgument  # noqa: PLC0415

        try:
            yield
        except (InvalidArgument, ImportError, OSError) as problem:
            console.print("[red]error[/red]", escape(" ".join(str(problem).split())), soft_wrap=True)
            raise typer.Exit(2) from None
    except KeyboardInterrupt:
        console.print(stopped, markup=False, soft_wrap=True)
        raise typer.Exit(130) from None


if __name__ == "__main__":
    app(prog_name="python -m dynamics")
