"""Regenerate the figures: ``python -m figures [list | gallery] [NAMES...]``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from dynamics.errors import InvalidArgument

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Keys or globs such as 'feng2024-*'; all figures if none is given. With 'list' before them, they are "
            "named and not drawn; with 'gallery', a page of them is written too."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for arrays, pictures and manifests.")] = Path("out"),
    force: Annotated[bool, typer.Option("--force", help="Draw again what is up to date.")] = False,
) -> None:
    """Compute, check and draw the figures of the papers.

    Every figure is written as KEY.npz (the arrays), KEY.png, KEY.pdf and KEY.json (settings, checks, versions).
    The exit code is 1 if a figure does not show what it must, 2 for a name that no figure has.
    """
    import figures.catalog  # noqa: F401, PLC0415 - torch and matplotlib are not needed for --help

    console = Console(highlight=False)
    try:
        word, *rest = names or [""]
        if word == "list":
            _list(console, rest)
            return
        chosen = rest if word == "gallery" else names or []
        failed = _regenerate(console, chosen, out, force)
        if word == "gallery":
            _write_gallery(console, chosen, out)
    except InvalidArgument as problem:
        console.print(f"[red]error[/red] {escape(str(problem))}", soft_wrap=True)
        raise typer.Exit(2) from None
    except OSError as problem:
        console.print(f"[red]error[/red] cannot write to {escape(f'{out}: {problem}')}", soft_wrap=True)
        raise typer.Exit(2) from None
    if failed:
        raise typer.Exit(1)


def _list(console: Console, names: list[str]) -> None:
    from figures.registry import select  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("key", "source", "shows"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "key")
    for spec in select(names):
        table.add_row(spec.key, spec.source, spec.title)
    console.print(table)


def _write_gallery(console: Console, names: list[str], out: Path) -> None:
    from figures.gallery import write_gallery  # noqa: PLC0415
    from figures.registry import select  # noqa: PLC0415
    from theory.ledger import load  # noqa: PLC0415

    path = write_gallery(select(names), out, load())
    console.print(f"the page of them is {escape(str(path))}", soft_wrap=True)


def _regenerate(console: Console, names: list[str], out: Path, force: bool) -> int:
    import matplotlib.pyplot as plt  # noqa: PLC0415

    from figures.registry import select  # noqa: PLC0415
    from figures.store import is_current, save  # noqa: PLC0415
    from figures.style import paper_style  # noqa: PLC0415

    plt.switch_backend("agg")
    chosen = select(names)
    out.mkdir(parents=True, exist_ok=True)  # a folder that cannot be is refused before anything is computed
    begun, drawn, failed = time.perf_counter(), 0, 0
    columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stdout.isatty()) as progress:
        task = progress.add_task("", total=len(chosen))
        for spec in chosen:
            progress.update(task, description=spec.key)
            if force or not is_current(spec, out):
                start = time.perf_counter()
                arrays = spec.compute()
                with paper_style():
                    drawing = spec.drawers[0](arrays)
                    manifest = save(spec, arrays, drawing, out)
                    plt.close(drawing)
                missed = [name for name, seen in manifest["checks"].items() if not seen]
                drawn, failed = drawn + 1, failed + bool(missed)
                verdict = "[red]FAILED[/red]" if missed else "[green]ok[/green]"
                seen = f"{len(spec.checks) - len(missed)} of {len(spec.checks)} checks"
                took = time.perf_counter() - start
                progress.console.print(f"{verdict:<4} {spec.key:<22} {seen}, {took:.1f} s", soft_wrap=True)
                for name in missed:
                    progress.console.print(f"       not seen: {escape(manifest['must be seen'][name])}", soft_wrap=True)
            progress.advance(task)
    took = time.perf_counter() - begun
    console.print(
        f"{drawn} drawn, {len(chosen) - drawn} up to date, {failed} failed in {took:.1f} s; "
        f"pictures, arrays and manifests in {escape(str(out))}/",
        soft_wrap=True,
    )
    return failed


if __name__ == "__main__":
    app(prog_name="python -m figures")
