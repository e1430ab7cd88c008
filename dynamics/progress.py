"""One progress bar for every command: on a terminal, and gone when the work is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Advance(Protocol):
    """Moves a progress bar."""

    def __call__(self, completed: int | None = None, label: str | None = None, total: int | None = None) -> None:
        """Move the bar to a number of finished pieces of work, or by one; a label replaces the text before it.

        Another total begins another piece of work, whose time is estimated anew.
        """


@contextmanager
def progress_bar(total: int | None, label: str = "", console: Console | None = None) -> Iterator[Advance]:
    """Show a progress bar during a ``with`` block; nothing is shown where the output is not a terminal.

    Args:
        total: number of pieces of work; None if it is not known.
        label: text before the bar.
        console: where to show it; the standard output if not given. Lines printed to this console during the block
            appear above the bar.

    Returns:
        A function that moves the bar: ``advance()`` by one, ``advance(completed)`` to a number, ``label=`` changes the
        text before it, and ``total=`` the number of pieces of work.

    Example:
        >>> with progress_bar(3, "squares") as advance:
        ...     for n in range(3):
        ...         advance(label=f"{n}^2")
    """
    place = console or Console()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, *times, console=place, transient=True, disable=not place.is_terminal) as progress:
        task = progress.add_task(label, total=total)

        def advance(completed: int | None = None, label: str | None = None, total: int | None = None) -> None:
            step = 1 if completed is None else None
            progress.update(task, completed=completed, advance=step, description=label, total=total)

        yield advance
