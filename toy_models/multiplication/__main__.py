"""Train the toy and probe it: ``python -m toy_models.multiplication train | probe``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dynamics.errors import InvalidArgument
from toy_models.multiplication.shipped import QUESTION, WEIGHTS

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)
console = Console(highlight=False)


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(
        *columns,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _threads(threads: int | None) -> None:
    import torch  # noqa: PLC0415 - not needed for --help

    if threads is not None:
        torch.set_num_threads(threads)
    try:
        import transformers  # noqa: PLC0415
    except ImportError:
        console.print("[red]error[/red] this needs the extra lm: pip install 'preference-dynamics\\[lm]'")
        raise typer.Exit(2) from None
    transformers.utils.logging.disable_progress_bar()


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="Folder for weights, tokenizer and model card.")],
    seed: Annotated[int, typer.Option(help="Of the initial weights and of the corpus.")] = 0,
    steps: Annotated[int, typer.Option(min=1, help="Number of updates.")] = 1200,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads; torch's own choice if not given.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a folder that is there.")] = False,
) -> None:
    """Train a model from nothing (a few minutes) and write it with its model card.

    The exit code is 2 if the folder is there already, or cannot be written.
    """
    _threads(threads)
    import torch  # noqa: PLC0415

    from toy_models.multiplication import training  # noqa: PLC0415
    from toy_models.multiplication.card import measure, write_card  # noqa: PLC0415

    if out.exists() and not force:
        console.print(f"[red]error[/red] {escape(str(out))} is there already; --force replaces it")
        raise typer.Exit(2)
    settings = training.TrainingSettings(seed=seed, steps=steps)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)  # refused before minutes are spent
        with _bar() as progress:
            task = progress.add_task("training", total=steps)

            def watch(step: int, loss: float) -> None:
                progress.update(task, completed=step, description=f"loss {loss:.3f}")

            model, tokenizer, _ = training.train(settings, watch)
        measured = measure(model, tokenizer)
        card = write_card(settings, measured, sum(p.numel() for p in model.parameters()), torch.get_num_threads())
        training.save(model, tokenizer, out, card)
    except OSError as problem:
        console.print(f"[red]error[/red] cannot write to {escape(f'{out}: {problem}')}", soft_wrap=True)
        raise typer.Exit(2) from None
    for name, value in measured.table().items():
        console.print(f"{name:<42} {escape(value)}")


@app.command()
def probe(
    model: Annotated[str, typer.Option(help="Folder or hub name of a causal language model.")] = str(WEIGHTS),
    question: Annotated[str, typer.Option(help="What is asked.")] = QUESTION,
    answer: Annotated[int, typer.Option(help="The right answer: the last whole number of a correct response.")] = 132,
    rejected: Annotated[
        str | None,
        typer.Option(help="How D_l is taken: top, weighted, uniform, or pinned (the shipped model's, the default)."),
    ] = None,
    rejected_seed: Annotated[int, typer.Option(help="Of that draw.")] = 0,
    samples: Annotated[int, typer.Option(min=1)] = 500,
    temperature: Annotated[float, typer.Option(help="Of the sampling.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the sampling.")] = 0,
    beta: Annotated[float, typer.Option(help="Of DPO.")] = 0.5,
    nll: Annotated[float, typer.Option(help="Weight of a log-likelihood term on D_w beside DPO.")] = 0.0,
    optimizer: Annotated[str, typer.Option(help="adamw or sgd.")] = "adamw",
    learning_rate: Annotated[float, typer.Option()] = 1e-5,
    steps: Annotated[int, typer.Option(min=0)] = 50,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads; torch's own choice if not given.")] = None,
) -> None:
    """Train with DPO on responses to one question and show where the mass goes (jian2025, Figure 2a)."""
    _threads(threads)
    from dynamics import DPO, SFT  # noqa: PLC0415
    from toy_models.multiplication import probe as probing  # noqa: PLC0415
    from toy_models.multiplication.report import print_report  # noqa: PLC0415
    from toy_models.multiplication.shipped import PINNED_REJECTED, answers, as_prompt, load  # noqa: PLC0415

    if rejected is None:
        rejected = "pinned" if model == str(WEIGHTS) and question == QUESTION else "weighted"
    try:
        settings = probing.ProbeSettings(
            samples=samples,
            temperature=temperature,
            sample_seed=seed,
            rejected=PINNED_REJECTED if rejected == "pinned" else rejected,  # type: ignore[arg-type]
            rejected_seed=rejected_seed,
            loss=DPO(beta=beta) + nll * SFT() if nll else DPO(beta=beta),
            optimizer=optimizer,  # type: ignore[arg-type]
            learning_rate=learning_rate,
            steps=steps,
        )
        policy, tokenizer = load(model)
        with _bar() as progress:
            task = progress.add_task("probing", total=steps)
            run = probing.run_probe(
                policy,
                tokenizer,
                as_prompt(tokenizer, question),
                partial(answers, answer),
                settings,
                lambda step: progress.update(task, completed=step),
            )
    except InvalidArgument as problem:
        console.print(f"[red]error[/red] {escape(str(problem))}", soft_wrap=True)
        raise typer.Exit(2) from None
    print_report(run, question, console)


if __name__ == "__main__":
    app()
