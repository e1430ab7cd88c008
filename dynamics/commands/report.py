"""``python -m dynamics report``: the report of a finished audit, from its results alone."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from dynamics.commands.printing import print_lines
from dynamics.errors import InvalidArgument
from dynamics.language_model.pair_audit.report.files import write_files
from dynamics.language_model.pair_audit.report.page import write_report
from dynamics.language_model.pair_audit.results.store import Results


def report_command(console: Console, results: Path, out: Path, files: Path | None = None) -> None:
    """Write the report of an audit.

    Args:
        console: where to print.
        results: the file of the results.
        out: the HTML file.
        files: a folder for arrays and pictures, if they are wanted.
    """
    check_report_place(out)
    if not results.is_file():
        raise InvalidArgument("results", f"there is no file {results}; give the file that pairs wrote (--out)")
    names = [] if files is None else [path.name for path in write_files(Results(results), files)]
    size = write_report(Results(results), out)
    print_lines(console, [f"written: {out} ({size / 1e6:.2g} MB); open it in a browser"])
    if files is not None:
        print_lines(console, [f"written to {files}: {', '.join(names)}"])


def check_report_place(out: Path) -> None:
    """Refuse a place where no report can be written.

    Args:
        out: the HTML file.

    Raises:
        InvalidArgument: it is a folder, or its folder does not exist.
    """
    if out.is_dir():
        raise InvalidArgument("report", f"{out} is a folder; give the name of a file in it")
    if not out.parent.is_dir():
        raise InvalidArgument("report", f"{out}: the folder {out.parent} does not exist")
