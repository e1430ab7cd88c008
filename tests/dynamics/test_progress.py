"""The one progress bar: shown on a terminal, nowhere else."""

from __future__ import annotations

import io

from rich.console import Console

from dynamics.progress import progress_bar


def shown(terminal: bool) -> str:
    place = io.StringIO()
    console = Console(file=place, force_terminal=terminal, width=80)
    with progress_bar(4, "rows", console) as advance:
        advance()
        console.print("a line in between")
        advance(3, "[0,1] of rows")
        advance()
    return place.getvalue()


def test_a_bar_is_shown_on_a_terminal_and_moves() -> None:
    found = shown(True)
    assert "4/4" in found
    assert "[0,1] of rows" in found  # not taken for markup
    assert "a line in between" in found


def test_elsewhere_only_lines_are_printed() -> None:
    assert shown(False) == "a line in between\n"


def test_another_total_is_another_piece_of_work() -> None:
    console = Console(file=io.StringIO(), force_terminal=True)
    with progress_bar(4, console=console) as advance:
        advance(4)
        advance(2, "exactly", 3)
    assert "2/3" in console.file.getvalue()  # type: ignore[attr-defined]


def test_the_number_of_pieces_may_be_unknown() -> None:
    console = Console(file=io.StringIO(), force_terminal=True)
    with progress_bar(None, console=console) as advance:
        advance(7)
    assert "7/?" in console.file.getvalue()  # type: ignore[attr-defined]
