"""Run the claim ledger: ``python -m theory [KEYS...]``."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dynamics.progress import progress_bar

if TYPE_CHECKING:
    from theory.claim import Claim, Outcome
    from theory.record import Row

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
WIDE = 120  # columns from which the table has room for what the papers call a claim
LEAST_PLACE = 10  # least columns for the place in the paper; with fewer, the list leaves it out
BESIDE_A_KEY = 48  # columns that verdict, strength and seconds take beside a key, so that a strength takes few lines
COLOURS = {
    "holds": "green",
    "first-order": "green",
    "conditional": "yellow",
    "misprint": "yellow",
    "false": "red",
    "vacuous": "magenta",
}


@app.command()
def main(
    keys: Annotated[
        list[str] | None,
        typer.Argument(help="Keys of claims, patterns such as 'jian2025.theorem-*', or a paper; all if none is given."),
    ] = None,
    paper: Annotated[str | None, typer.Option(help="Only the claims of one paper, such as ma2025.")] = None,
    place: Annotated[
        str | None, typer.Option("--eq", "--at", metavar="PLACE", help="Only claims about an equation or 'Theorem 1'.")
    ] = None,
    verdict: Annotated[str | None, typer.Option(help="Only claims with a verdict, such as false.")] = None,
    strength: Annotated[
        str | None,
        typer.Option(
            help="Only claims of this strength: proved, unrefuted, numerical, or part of its words, such as smt."
        ),
    ] = None,
    worlds: Annotated[int, typer.Option(min=1, help="Random cases for each search.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random cases.")] = 0,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Number of processes; one for each core if not given.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write outcomes and evidence as JSON.")] = None,
    markdown_file: Annotated[
        Path | None, typer.Option("--markdown", help="Write the claims that are run as one page of Markdown.")
    ] = None,
    update: Annotated[
        Path | None,
        typer.Option(
            help="Write the pages of the ledger, theory/LEDGER.md and those of the papers, with the claims that are "
            "run."
        ),
    ] = None,
    explain: Annotated[str | None, typer.Option(metavar="KEY", help="Run and explain one claim.")] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="Write the proofs by the solver as SMT-LIB files into this folder.")
    ] = None,
    list_only: Annotated[
        bool, typer.Option("--list", help="List the claims as the ledger's pages record them, without running any.")
    ] = False,
) -> None:
    """Run the evidence of every claim and compare what it earns with the verdict written down.

    python -m theory decide 'drive(w) >= 0' decides a conjecture of your own (decide --help).

    The exit code is 1 if any verdict is not reproduced, 2 for a key or a paper that does not exist.
    """
    from dynamics.errors import InvalidArgument, check_count  # noqa: PLC0415 - not needed for --help

    console = Console(highlight=False)
    asked = (keys or [] if explain is None else [explain], paper, place, verdict, strength)
    try:
        if list_only:
            _print_list(console, _listed(*asked))
            return
        from theory.ledger import select_claims  # noqa: PLC0415 - loads every claim

        claims = select_claims(*asked)
        for name, value in {"worlds": worlds, "seed": seed, "jobs": 1 if jobs is None else jobs}.items():
            check_count(name, value, minimum=0)
        _check_places(json_file, markdown_file, update)  # first, since the run takes minutes
    except InvalidArgument as problem:
        console.print(f"[red]error[/red] {escape(str(problem))}", soft_wrap=True)
        raise typer.Exit(2) from None
    except (OSError, ValueError) as problem:
        console.print(f"[red]error[/red] cannot write: {escape(str(problem))}", soft_wrap=True)
        raise typer.Exit(2) from None
    if certificate is not None:
        _certify(console, claims, certificate)
        return
    outcomes = _run(console, claims, worlds, seed, jobs)
    if explain is not None:
        _explain(console, claims, outcomes)
    else:
        _print_table(console, claims, outcomes)
    settings = {"worlds": worlds, "seed": seed}
    try:
        _write(claims, outcomes, settings, json_file, markdown_file)
        if update is not None:
            _update(update, outcomes)
    except InvalidArgument as problem:
        console.print(f"[red]error[/red] {escape(str(problem))}", soft_wrap=True)
        raise typer.Exit(2) from None
    except OSError as problem:
        console.print(f"[red]error[/red] cannot write: {escape(str(problem))}", soft_wrap=True)
        raise typer.Exit(2) from None
    if any(outcome.status != "reproduced" for outcome in outcomes.values()):
        raise typer.Exit(1)


def _check_places(json_file: Path | None, markdown_file: Path | None, update: Path | None) -> None:
    from dynamics.errors import InvalidArgument  # noqa: PLC0415

    for path in filter(None, (json_file, markdown_file, update)):
        _check_place(path)
    if update is not None and not update.is_file():
        raise InvalidArgument("update", str(update), "the ledger's first page, theory/LEDGER.md")


def _check_place(path: Path) -> None:
    """Raise the error that writing a file there would raise, without leaving a file."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder")
    probe = path.with_name(f".{path.name}.probe")
    probe.touch()
    probe.unlink()


def _certify(console: Console, claims: list[Claim], folder: Path) -> None:
    """Run the claims and write every query to the solver as a file, with its assumptions in words."""
    from theory.claim import run_claim  # noqa: PLC0415
    from theory.proof.certificate import Certificate  # noqa: PLC0415

    for made in claims:
        kept = Certificate()
        outcome = run_claim(made, record=kept.record)
        assumes = "; ".join(dict.fromkeys(f.assumes for f in outcome.findings if f.kind in ("smt", "induction")))
        try:
            paths = kept.write(folder, made.key, made.says, "\n".join(filter(None, (assumes, made.assumes))))
        except OSError as problem:
            console.print(f"[red]error[/red] cannot write: {escape(str(problem))}", soft_wrap=True)
            raise typer.Exit(2) from None
        if paths:
            console.print(f"{made.key}: {len(paths)} files, {outcome.strength}", soft_wrap=True)
        else:
            console.print(f"{made.key}: no proof by the solver ({outcome.strength})", soft_wrap=True)


def _run(console: Console, claims: list[Claim], worlds: int, seed: int, jobs: int | None) -> dict[str, Outcome]:
    from theory.ledger import collect_less_garbage, run_ledger  # noqa: PLC0415

    outcomes: dict[str, Outcome] = {}
    collect_less_garbage()
    with progress_bar(len(claims), console=console) as advance:
        for outcome in run_ledger(claims, worlds, seed, jobs):
            outcomes[outcome.key] = outcome
            advance(label=outcome.key)
    return outcomes


def _listed(
    keys: list[str], paper: str | None, place: str | None, verdict: str | None, strength: str | None
) -> list[Row]:
    """Return what to list: from the pages, which takes milliseconds, or from the claims if the pages lack one."""
    from theory.record import matching, rows  # noqa: PLC0415

    ledger = rows()
    if ledger is None:
        from theory.ledger import list_claims  # noqa: PLC0415

        ledger = list_claims()
    return matching(ledger, keys, paper, place, verdict, strength)


def _print_list(console: Console, ledger: list[Row]) -> None:
    """Print one line for each claim: key and verdict in full, strength and place as far as the width allows."""
    longest = max((len(row.key) for row in ledger), default=0)
    verdicts = max((len(row.verdict) for row in ledger), default=0)
    room = console.width - longest - verdicts - 4
    grades = max((len(_grade(row)) for row in ledger), default=0)
    with_grade = room > grades + LEAST_PLACE
    room -= grades + 2 if with_grade else 0
    for row in ledger:
        verdict = f"[{COLOURS[row.verdict]}]{row.verdict:<{verdicts}}[/]"
        grade = f"{_grade(row):<{grades}}  " if with_grade else ""
        place = shorten(row.source, room, placeholder=" …") if room > LEAST_PLACE else ""
        console.print(f"{row.key:<{longest}}  {verdict}  {grade}{escape(place)}".rstrip(), soft_wrap=True)


def _grade(row: Row) -> str:
    return f"{row.grade}, modulo" if "modulo" in row.strength else row.grade


def _print_table(console: Console, claims: list[Claim], outcomes: dict[str, Outcome]) -> None:
    wide = console.width >= WIDE
    longest = max((len(made.key) for made in claims), default=0)
    table = Table(box=None, pad_edge=False, header_style="bold")
    # a key that is broken into two lines cannot be copied
    table.add_column("claim", overflow="fold", no_wrap=console.width >= longest + BESIDE_A_KEY)
    table.add_column("verdict earned", no_wrap=True)
    if wide:
        table.add_column("in print", overflow="fold")
    table.add_column("strength", overflow="fold")
    table.add_column("s", justify="right")
    for made in claims:
        outcome = outcomes[made.key]
        verdict = f"[{COLOURS[made.verdict]}]{outcome.earned}[/]"
        if outcome.status != "reproduced":
            verdict = f"[bold red]{outcome.status.upper()}[/]"
        source = [made.source] if wide else []
        table.add_row(made.key, verdict, *source, outcome.strength, f"{outcome.seconds:.1f}")
    console.print(table)
    for outcome in outcomes.values():
        if outcome.status != "reproduced":
            console.print(f"[bold red]{outcome.status}[/] {outcome.key}: {outcome.problem}", soft_wrap=True)
    counted = Counter(made.verdict for made in claims)
    good = sum(outcome.status == "reproduced" for outcome in outcomes.values())
    console.print(
        f"\n{good} of {len(claims)} verdicts reproduced: " + ", ".join(f"{n} {v}" for v, n in counted.items())
    )


def _explain(console: Console, claims: list[Claim], outcomes: dict[str, Outcome]) -> None:
    from theory.ledger import load_claims  # noqa: PLC0415
    from theory.report import explanation  # noqa: PLC0415

    for made in claims:
        text = explanation(made, outcomes[made.key], load_claims(), console.width)
        console.print(text, markup=False, soft_wrap=True)


def _update(door: Path, outcomes: dict[str, Outcome]) -> None:
    """Write all pages again: the claims that were run now with their new results, the others unchanged."""
    from dynamics.files import write_atomically  # noqa: PLC0415
    from theory.ledger import select_claims  # noqa: PLC0415
    from theory.pages import write_texts  # noqa: PLC0415
    from theory.record import recorded_sections  # noqa: PLC0415

    for file, text in write_texts(select_claims(), outcomes, recorded_sections(door.parent), door).items():
        file.parent.mkdir(exist_ok=True)
        write_atomically(file, lambda path, text=text: path.write_text(text, encoding="utf-8"))  # type: ignore[misc]


def _write(
    claims: list[Claim], outcomes: dict[str, Outcome], settings: dict[str, int], json_file: Path | None, md: Path | None
) -> None:
    from dynamics.files import write_atomically  # noqa: PLC0415
    from theory.report import as_json, markdown  # noqa: PLC0415

    texts = []
    if json_file:
        texts.append((json_file, json.dumps(as_json(claims, outcomes, settings), indent=2) + "\n"))
    if md:
        texts.append((md, markdown(claims, outcomes)))
    for path, text in texts:
        write_atomically(path, lambda temporary, text=text: temporary.write_text(text, encoding="utf-8"))  # type: ignore[misc]


def run(arguments: list[str]) -> None:
    """Run the ledger, or with ``decide`` first decide a conjecture."""
    if arguments[:1] == ["decide"]:
        from theory.decision.command import app as decide_app  # noqa: PLC0415

        decide_app(arguments[1:], prog_name="python -m theory decide")
    else:
        app(arguments, prog_name="python -m theory")


if __name__ == "__main__":
    run(sys.argv[1:])
