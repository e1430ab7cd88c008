"""Regenerate the figures: ``python -m figures [list | gallery] [NAMES...]``."""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from dynamics.errors import InvalidArgument
from dynamics.progress import progress_bar

if TYPE_CHECKING:
    from figures.export import Look
    from figures.regenerate import Drawn
    from figures.registry import Figure

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
MOST_JOBS = 10_000


@app.command()
def main(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Keys, or patterns such as 'feng2024-*'; all figures if none is given. After the word 'list' they "
            "are listed but not drawn; after 'gallery' an HTML page of them is written too."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for arrays, pictures and manifests.")] = Path("out"),
    force: Annotated[bool, typer.Option("--force", help="Draw figures again even if they are up to date.")] = False,
    jobs: Annotated[int, typer.Option(help="Number of processes; -1 for one on each core.")] = 1,
    model: Annotated[
        str, typer.Option(help="Hub id or folder of a language model, for the figures that take one.")
    ] = "",
    device: Annotated[str, typer.Option(help="Where that model runs, such as cuda.")] = "",
    formats: Annotated[
        str,
        typer.Option("--format", help="Formats with commas: png, pdf, svg; for tables csv, tex; for two figures gif."),
    ] = "png,pdf",
    width: Annotated[
        float | None, typer.Option(help="Width of the pictures in inches; text keeps its size. [default: 3.4 or 7]")
    ] = None,
    serif: Annotated[bool, typer.Option("--serif", help="Set text and mathematics in a Times-like typeface.")] = False,
    replay: Annotated[
        Path | None, typer.Option(help="KEY.json of an earlier run: draw that figure again and compare the arrays.")
    ] = None,
) -> None:
    """Compute, check and draw the figures of the papers.

    Every figure is written as KEY.npz (the arrays), KEY.png, KEY.pdf and KEY.json (settings, checks, versions), and the
    captions of all of them as captions.md. A figure for a page of two columns: --format svg --width 7 --serif.
    The exit code is 1 if a check of a figure fails or a replay differs, and 2 for an unknown name.
    """
    import figures.catalog  # noqa: F401, PLC0415 - torch and matplotlib are not needed for --help
    from figures.export import Look, parse_formats  # noqa: PLC0415
    from figures.registry import select_figures  # noqa: PLC0415

    console = Console(highlight=False)
    word, *rest = names or [""]
    try:
        if not (jobs == -1 or 1 <= jobs <= MOST_JOBS):
            raise InvalidArgument("jobs", jobs, f"1 to {MOST_JOBS} processes, or -1 for one on each core")
        if word == "list":
            _list(console, select_figures(rest))
            return
        if replay is not None:
            good = _replay(console, replay, out)
        else:
            chosen = _with_model(select_figures(rest if word == "gallery" else names or []), model, device)
            look = Look(parse_formats(formats), width, serif)
            if word == "gallery" and "png" not in look.formats:
                raise InvalidArgument("format", formats, "a list with png, which the page of the gallery shows")
            good = not _regenerate(console, chosen, out, force, jobs, look)
            if word == "gallery":
                _write_gallery(console, chosen, out)
    except InvalidArgument as problem:
        console.print(f"[red]error[/red] {escape(str(problem))}", soft_wrap=True)
        raise typer.Exit(2) from None
    except OSError as problem:
        console.print(f"[red]error[/red] cannot write to {escape(f'{out}: {problem}')}", soft_wrap=True)
        raise typer.Exit(2) from None
    if not good:
        raise typer.Exit(1)


def _with_model(chosen: list[Figure], model: str, device: str) -> list[Figure]:
    """Return those figures that take a model, set to this one; if no model is given, return all figures unchanged."""
    given = {name: value for name, value in (("model", model), ("device", device)) if value}
    if not given:
        return chosen
    able = [spec for spec in chosen if given.keys() <= spec.settings.keys()]
    if not able:
        from figures.registry import FIGURES  # noqa: PLC0415

        takers = ", ".join(key for key, spec in FIGURES.items() if "model" in spec.settings)
        raise InvalidArgument("names", f"none of these figures takes a model; those that do: {takers}")
    return [spec.with_settings(**given) for spec in able]


def _list(console: Console, chosen: list[Figure]) -> None:
    """Print a line for every figure below the title of its paper; a terminal cuts long lines, a pipe does not."""
    from theory.report import PAPERS  # noqa: PLC0415

    widest = max(len(spec.key) for spec in chosen)
    group = ""
    for spec in chosen:
        paper = spec.key.partition("-")[0]
        if paper != group:
            console.print(f"[bold]{escape(PAPERS.get(paper, 'Not in the papers'))}[/bold]", soft_wrap=True)
            group = paper
        line = Text(f"  {spec.key:<{widest}}  {spec.title}")
        if console.is_terminal:
            line.truncate(console.width, overflow="ellipsis")
        console.print(line, soft_wrap=True)


def _write_gallery(console: Console, chosen: list[Figure], out: Path) -> None:
    from figures.gallery import write_gallery  # noqa: PLC0415
    from theory.ledger import load_claims  # noqa: PLC0415

    path = write_gallery(chosen, out, load_claims())
    console.print(f"the page of them is {escape(str(path))}", soft_wrap=True)


def _regenerate(console: Console, chosen: list[Figure], out: Path, force: bool, jobs: int, look: Look) -> int:
    from figures.export import write_captions  # noqa: PLC0415
    from figures.regenerate import regenerate  # noqa: PLC0415
    from figures.store import is_current  # noqa: PLC0415

    out.mkdir(parents=True, exist_ok=True)  # an impossible folder is refused before anything is computed
    begun, failed = time.perf_counter(), 0
    if find_spec("transformers") is None:
        for spec in chosen:
            if "model" in spec.settings:
                why = "it needs the extra lm; pip install 'preference-dynamics[lm]'"
                console.print(f"skipped {spec.key}: {escape(why)}", soft_wrap=True)
        chosen = [spec for spec in chosen if "model" not in spec.settings]
    stale = [spec for spec in chosen if force or not is_current(spec, out, look)]
    with progress_bar(len(stale), "figures", console) as advance:
        for drawn in regenerate(stale, out, jobs, look):
            failed += bool(drawn.not_seen)
            _tell(console, drawn)
            advance()
    write_captions([spec.key for spec in chosen], out)
    took = time.perf_counter() - begun
    console.print(
        f"{len(stale)} drawn, {len(chosen) - len(stale)} up to date, {failed} failed in {took:.1f} s; "
        f"pictures, arrays, manifests and captions in {escape(str(out))}/",
        soft_wrap=True,
    )
    return failed


def _tell(console: Console, drawn: Drawn) -> None:
    verdict = "[red]FAILED[/red]" if drawn.not_seen else "[green]ok[/green]"
    checks = len(drawn.manifest["checks"])
    seen = f"{checks - len(drawn.not_seen)} of {checks} checks"
    console.print(f"{verdict:<4} {drawn.key:<22} {seen}, {drawn.seconds:.1f} s", soft_wrap=True)
    if drawn.manifest["remark"]:
        console.print(f"       {escape(drawn.manifest['remark'])}", soft_wrap=True)
    for words in drawn.not_seen:
        console.print(f"       not seen: {escape(words)}", soft_wrap=True)


def _replay(console: Console, manifest: Path, out: Path) -> bool:
    from figures.regenerate import replay  # noqa: PLC0415

    found = replay(manifest, out)
    _tell(console, found.drawn)
    for name, (before, now) in found.changed.items():
        console.print(f"       {name}: {escape(before)} then, {escape(now)} now", soft_wrap=True)
    if found.same:
        console.print("the arrays are the same, bit for bit")
    for name, size in found.differences.items():
        console.print(f"[red]differs[/red] {escape(name)}: by up to {size:.3g}", soft_wrap=True)
    return found.same


if __name__ == "__main__":
    app(prog_name="python -m figures")
