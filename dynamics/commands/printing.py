"""Printing that several commands share: lines, tables, remarks, numbers for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from dynamics.language_model.pair_audit.reading.data import Row
from dynamics.language_model.pair_audit.reading.tokens import TokenizedPair

TEXT = 24  # characters of a response that are shown if there is room


def shorten(text: str, limit: int = TEXT) -> str:
    """Return a text on one line, cut to a width.

    Example:
        >>> shorten("one line, and then another one"), shorten("a b")
        ("'one line, and then an…'", "'a b'")
    """
    shown = repr(text)
    return shown if len(shown) <= limit else shown[: limit - 2] + "…" + shown[-1]


def per_cent(error: float) -> str:
    """Write a relative error for people.

    Example:
        >>> per_cent(0.05112), per_cent(12.0), per_cent(float("nan"))
        ('5.1%', '1200%', '-')
    """
    if not math.isfinite(error):
        return "-"
    return f"{100 * error:.0f}%" if error > 1 else f"{100 * error:.2g}%"


def print_lines(console: Console, lines: Iterable[str]) -> None:
    """Print lines as they are: without markup, and left to the terminal to wrap."""
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def print_remarks(console: Console, pairs: Sequence[tuple[Row, TokenizedPair]]) -> None:
    """Print what is noteworthy about the tokens of some rows.

    Args:
        console: where to print.
        pairs: the rows and their tokens.
    """
    print_lines(console, (f"note on {row.place}: {sentence}" for row, pair in pairs for sentence in pair.sentences()))


def plain_table(*headers: str) -> Table:
    """Return a table without lines, with bold headers over right-justified columns."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in headers:
        table.add_column(header, justify="right")
    return table
