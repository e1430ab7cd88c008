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
    jobs: Annotated[int, typer.Option(help="Processes; -1 for one on each core.")] = 1,
    folder: Annotated[
        Path | None, typer.Option(help="Folder for finished batches; an interrupted run is resumed from it.")
    ] = None,
    pairs: Annotated[
        str | None, typer.Option(help="How pairs are drawn: uniform, reference, online or concentrated.")
    ] = None,
    policy: Annotated[str | None, typer.Option(help="Class of the policy: tabular or mlp.")] = None,
    steps: Annotated[int | None, typer.Option(help="Updates of every method.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of Adam.")] = None,
    concentration: Annotated[
        float | None, typer.Option(help="How close concentrated pairs are to the diagonal.")
    ] = None,
) -> None:
    """Measure Table 1 of ma2025 under three readings and set it beside the printed numbers (a minute or two).

    0.36(2) is 0.36 with a standard error of 0.02 over seeds; differences are paired by seed.

    With any of the last five options, measure that one reading instead, R1 and R2 both.
    """
    from toy_models.masked_grid.table_1 import READINGS, measure, regenerate, report  # noqa: PLC0415 - not for --help
    from toy_models.masked_grid.training import Setting  # noqa: PLC0415

    given = {
        "pairs": pairs,
        "policy": policy,
        "steps": steps,
        "learning_rate": learning_rate,
        "concentration": concentration,
    }
    given = {name: value for name, value in given.items() if value is not None}
    progress = console.is_terminal
    try:
        if given:
            setting = Setting(**given)  # type: ignore[arg-type]
            path = None if folder is None else folder / "own-reading.jsonl"
            table = measure(setting, range(seeds), jobs=jobs, path=path, progress=progress)
            for reward in ("reward_1", "reward_2"):
                console.print(_own_reading(table, setting, reward))
            return
        found = regenerate(range(seeds), jobs=jobs, folder=folder, progress=progress)
    except InvalidArgument as problem:
        console.print(f"[red]error[/red] {escape(str(problem))}", soft_wrap=True)
        raise typer.Exit(2) from None
    for index in (0, len(READINGS) - 1):
        console.print(_rewards(found, index))
    for index in range(len(READINGS)):
        console.print(_differences(found, index))
    for line in report(found):
        console.print(escape(line), soft_wrap=True)


def _grid(title: str, columns: tuple[str, ...]) -> Grid:
    from toy_models.masked_grid.table_1 import MASKS  # noqa: PLC0415

    grid = Grid(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    grid.add_column("")
    for column in columns:
        for mask in MASKS:
            grid.add_column(f"{column} {mask:g}".strip(), justify="right", no_wrap=True)
    return grid


def _rewards(found: Any, index: int) -> Grid:
    """Return a table of the rewards of a reading beside the printed ones."""
    from toy_models.masked_grid.table_1 import MASKS, NAMES, PRINTED, READINGS, ROWS, with_error  # noqa: PLC0415

    grid = _grid(f"R2, {READINGS[index].name}: {_settings(READINGS[index].setting)}", ("print", "here"))
    for row, name in enumerate(ROWS):
        printed = PRINTED.get("baseline" if name in ("reference", "dpo") else name)
        numbers = [f"{value:.2f}" for value in printed] if printed else [""] * len(MASKS)
        measured = [with_error(*pair) for pair in zip(found.mean[index, row], found.error[index, row], strict=True)]
        grid.add_row(NAMES[name], *numbers, *measured)
    return grid


def _differences(found: Any, index: int) -> Grid:
    """Return a reading's paired differences beside print: green for the printed sign, red for the opposite."""
    from toy_models.masked_grid.table_1 import COMPARISONS, READINGS, with_error  # noqa: PLC0415

    name = READINGS[index].name
    grid = _grid(f"paired differences, {name} (Kendall tau {found.tau[index]:.2f})", ("print", "here"))
    colors = {1.0: "green", -1.0: "red"}
    for row, comparison in enumerate(COMPARISONS):
        printed = ["" if np.isnan(value) else f"{value:+.2f}" for value in found.printed[row]]
        cells = zip(
            found.difference[index, row], found.difference_error[index, row], found.verdict[index, row], strict=True
        )
        measured = [
            f"[{colors.get(said, 'default')}]{with_error(mean, error, '+')}[/]" if not np.isnan(mean) else ""
            for mean, error, said in cells
        ]
        grid.add_row(comparison.name, *printed, *measured)
    return grid


def _own_reading(table: Any, setting: Any, reward: str) -> Grid:
    from toy_models.masked_grid.table_1 import MASKS, NAMES, ROWS, paired, rewards_by_seed, with_error  # noqa: PLC0415

    grid = _grid(f"{reward} and its paired difference to DPO trained on: {_settings(setting)}", ("", "difference"))
    for name in ROWS:
        own = [rewards_by_seed(table, name, mask, reward) for mask in MASKS]
        base = [rewards_by_seed(table, "dpo", mask, reward) for mask in MASKS]
        means = [with_error(*paired(x, 0 * x)) for x in own]
        differences = [with_error(*paired(x, y), "+") if name != "dpo" else "" for x, y in zip(own, base, strict=True)]
        grid.add_row(NAMES[name], *means, *differences)
    return grid


def _settings(setting: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in asdict(setting).items())


if __name__ == "__main__":
    app()
