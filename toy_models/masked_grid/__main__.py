"""Table 1 of ma2025, measured: ``python -m toy_models.masked_grid``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from dynamics.errors import InvalidArgument

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(highlight=False)


@app.command()
def main(
    seeds: Annotated[int, typer.Option(min=2, help="Number of seeds for every method and mask rate.")] = 24,
    jobs: Annotated[int, typer.Option(help="Number of processes; -1 for one on each core.")] = 1,
    folder: Annotated[
        Path | None, typer.Option(help="Folder for finished batches; an interrupted run is resumed from it.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="The row that is the baseline: reference, dpo-scratch or dpo (trained on).")
    ] = None,
    pairs: Annotated[
        str | None, typer.Option(help="How pairs are drawn: uniform, reference, online or concentrated.")
    ] = None,
    fixed_pairs: Annotated[
        int | None, typer.Option(help="Size of a data set that is drawn once; 0 for fresh pairs in every update.")
    ] = None,
    labels: Annotated[str | None, typer.Option(help="Labels of the pairs: bradley-terry or certain.")] = None,
    policy: Annotated[str | None, typer.Option(help="Class of the policy: tabular or mlp.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adam or sgd.")] = None,
    steps: Annotated[int | None, typer.Option(help="Number of updates of every method.")] = None,
    reference_steps: Annotated[
        int | None, typer.Option(help="Number of updates of DPO that train the reference.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Learning rate of the optimizer.")] = None,
    minibatch: Annotated[int | None, typer.Option(help="Number of pairs in one update.")] = None,
    concentration: Annotated[
        float | None, typer.Option(help="How close concentrated pairs are to the diagonal.")
    ] = None,
    beta: Annotated[float | None, typer.Option(help="Beta of every loss.")] = None,
    clip: Annotated[float | None, typer.Option(help="How far the imbalance ratio of nbDPO may rise above 1.")] = None,
) -> None:
    """Measure Table 1 of ma2025 under five readings and set it beside the printed numbers (two minutes).

    0.36(2) is 0.36 with a standard error of 0.02 over seeds; differences are paired by seed; "=" marks a difference
    that has the printed sign by over two standard errors, "x" one that has the opposite sign. The last lines say what
    a reader of the paper may conclude.

    With any option from --baseline on, measure the one reading that the options describe instead.
    """
    from toy_models.masked_grid.table_1 import (  # noqa: PLC0415 - not for --help
        READINGS,
        Reading,
        compare,
        conclusions,
        measure,
        regenerate,
    )
    from toy_models.masked_grid.training import Setting  # noqa: PLC0415

    named = {
        "pairs": pairs,
        "fixed_pairs": fixed_pairs,
        "labels": labels,
        "policy": policy,
        "optimizer": optimizer,
        "steps": steps,
        "reference_steps": reference_steps,
        "learning_rate": learning_rate,
        "minibatch": minibatch,
        "concentration": concentration,
        "beta": beta,
        "clip": clip,
    }
    given: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    progress = console.is_terminal
    readings: tuple[Reading, ...] = READINGS
    try:
        if given or baseline is not None:
            readings = (Reading("your reading", Setting(**given), baseline or "dpo"),)
            path = None if folder is None else folder / "own-reading.jsonl"
            table = measure(readings[0].setting, range(seeds), jobs=jobs, path=path, progress=progress)
            console.print(_rewards(compare([table], readings, "reward_1"), 0, readings, "R1"))
            found = compare([table], readings)
        else:
            found = regenerate(range(seeds), jobs=jobs, folder=folder, progress=progress)
    except InvalidArgument as problem:
        console.print(f"[red]error[/red] {escape(str(problem))}", soft_wrap=True)
        raise typer.Exit(2) from None
    settings = [reading.setting for reading in readings]
    for index in sorted({settings.index(setting) for setting in settings}):  # once for each setting
        console.print(_rewards(found, index, readings, "R2"))
    for index in range(len(readings)):
        console.print(_differences(found, index, readings))
    console.print("\n[bold]What a reader of the paper may conclude[/bold]")
    for line in conclusions(found, readings):
        console.print(escape(line), soft_wrap=True)


def _grid(title: str, columns: tuple[str, ...]) -> Grid:
    from toy_models.masked_grid.table_1 import MASKS  # noqa: PLC0415

    grid = Grid(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    grid.add_column("")
    for column in columns:
        for mask in MASKS:
            grid.add_column(f"{column} {mask:g}".strip(), justify="right", no_wrap=True)
    return grid


def _rewards(found: Any, index: int, readings: Any, reward: str) -> Grid:
    """Return a table of the rewards of a reading beside the printed ones."""
    from toy_models.masked_grid.table_1 import BASELINES, MASKS, NAMES, PRINTED, ROWS, with_error  # noqa: PLC0415

    grid = _grid(f"{reward}, {readings[index].name}: {_settings(readings[index].setting)}", ("print", "here"))
    for row, name in enumerate(ROWS):
        printed = PRINTED.get("baseline" if name in BASELINES else name)
        numbers = [f"{value:.2f}" for value in printed] if printed else [""] * len(MASKS)
        measured = [with_error(*pair) for pair in zip(found.mean[index, row], found.error[index, row], strict=True)]
        grid.add_row(NAMES[name], *numbers, *measured)
    return grid


def _differences(found: Any, index: int, readings: Any) -> Grid:
    """Return a reading's paired differences beside print, marked where they have the printed sign or the opposite."""
    from toy_models.masked_grid.table_1 import COMPARISONS, with_error  # noqa: PLC0415

    name = readings[index].name
    grid = _grid(f"paired differences, {name} (Kendall tau {found.tau[index]:.2f})", ("print", "here"))
    marks = {1.0: "[green]{} =[/]", -1.0: "[red]{} x[/]"}
    for row, comparison in enumerate(COMPARISONS):
        printed = ["" if np.isnan(value) else f"{value:+.2f}" for value in found.printed[row]]
        cells = zip(
            found.difference[index, row], found.difference_error[index, row], found.verdict[index, row], strict=True
        )
        measured = [
            marks.get(said, "{}  ").format(with_error(mean, error, "+")) if not np.isnan(mean) else ""
            for mean, error, said in cells
        ]
        grid.add_row(comparison.name, *printed, *measured)
    return grid


def _settings(setting: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in asdict(setting).items())


if __name__ == "__main__":
    app()
