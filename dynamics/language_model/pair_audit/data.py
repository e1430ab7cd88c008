"""Preference data sets, row after row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from dynamics.errors import InvalidArgument
from dynamics.language_model.pair_audit.containers import Record, RecordSource, open_records
from dynamics.language_model.pair_audit.reading import COLUMNS, RESPONSES, Reading, find_reading
from dynamics.language_model.pair_audit.rows import Pair, digest, parse_pair

SAMPLE = 1 << 20  # characters of the first rows after which no more are looked at
PATIENCE = 100  # rows without a single pair after which the file is taken to be another kind of file


@dataclass(frozen=True)
class Row:
    """A row as it was found.

    Attributes:
        number: position from 0; in JSON lines every line counts, blank ones too.
        place: the same for people, such as ``"line 7"``.
        digest: identifies what stands there.
        pair: the pair, or None.
        problem: why there is none.
    """

    number: int
    place: str
    digest: str
    pair: Pair | None
    problem: str = ""


@dataclass(frozen=True)
class PairSource:
    """A preference data set that can be read again and again.

    Attributes:
        name: as it was given.
        fingerprint: what must be the same for it to be the same data: SHA-256 of a file, name and split of others.
        rows: how many rows there are at the most, if that is known.
        read: starts to read from the beginning.
        reading: which columns are read, and as what.
    """

    name: str
    fingerprint: str
    rows: int | None
    read: Callable[[], Iterator[Row]]
    reading: Reading = field(default_factory=Reading)


def open_pairs(data: str | Path, split: str = "train", prompt_columns: Sequence[str] = ()) -> PairSource:
    """Open a data set, and decide from its first 100 rows which columns are read.

    Args:
        data: what ``open_records`` opens: a file of JSON lines, a JSON array, CSV or Parquet, a folder, or
            ``owner/name`` on the hub.
        split: of a folder or a data set of the hub.
        prompt_columns: columns that hold the prompt, where it is not ``prompt``; as for ``find_reading``.

    Raises:
        InvalidArgument: nothing there, nothing in it, the wrong columns, or a prompt that is likely to be in another
            column.
        MissingExtra: the package that reads this kind is not installed.

    Example:
        >>> open_pairs("./no-such-file.jsonl")
        Traceback (most recent call last):
            ...
        dynamics.errors.InvalidArgument: data: got ./no-such-file.jsonl; allowed: a file that exists...
    """
    records = open_records(data, split)
    if records.columns is not None and not set(RESPONSES) <= set(records.columns):
        there = ", ".join(records.columns)
        raise InvalidArgument("data", f"{records.name} with columns {there}", "columns prompt, chosen, rejected")
    reading = find_reading(records.name, _first_values(records), prompt_columns)
    wanted = None if records.columns is None else reading.columns

    def read() -> Iterator[Row]:
        return (make_row(record, reading) for record in records.read(wanted))

    return PairSource(records.name, records.fingerprint, records.rows, read, reading)


def _first_values(records: RecordSource) -> list[Any]:
    """Return the first rows, fewer where they are large."""
    found: list[Any] = []
    size = 0
    for record in islice(records.read(None), PATIENCE):
        if not record.problem:
            found.append(record.value)
            size += len(str(record.value))
        if size > SAMPLE:
            break
    return found


def check_rows(source: PairSource, use: Callable[[Row], object] = lambda row: row) -> Row:
    """Return the first row that can be used, or refuse the data set if none of the first rows can.

    Args:
        source: the data.
        use: raises InvalidArgument for a row with a pair that cannot be used.

    Raises:
        InvalidArgument: no row at all, or none among the first 100 that can be used; with the reason of the first.
    """
    first = ""
    for row in islice(source.read(), PATIENCE):
        problem = row.problem
        if row.pair is not None:
            try:
                use(row)
                return row
            except InvalidArgument as refused:
                problem = str(refused)
        first = first or f"{row.place}: {problem}"
    if not first:
        raise InvalidArgument("data", f"{source.name}, which holds no rows", "a data set of preference pairs")
    raise InvalidArgument("data", f"{source.name}, of whose first rows none can be used", f"preference pairs; {first}")


def make_row(record: Record, reading: Reading | None = None) -> Row:
    """Make a row of a record, whatever it is."""
    value, how = record.value, reading or Reading()
    known, found, problem = value, None, record.problem
    if not problem:
        try:
            if not isinstance(value, dict):
                allowed = "an object with the columns " + ", ".join(COLUMNS[:3])
                raise InvalidArgument("row", type(value).__name__, allowed)
            known = how.rename(value)
            found = parse_pair(value, how)
        except InvalidArgument as refused:
            problem = str(refused)
    return Row(record.number, record.place, digest(known), found, problem)
