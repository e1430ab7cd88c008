"""A preference data set as a stream of rows: each with its pair, or with the reason why it has none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from dynamics.errors import InvalidArgument, shorten
from dynamics.language_model.pair_audit.reading.columns import (
    COLUMNS,
    IDS,
    RESPONSES,
    Reading,
    find_reading,
    plain_names,
)
from dynamics.language_model.pair_audit.reading.containers import open_records
from dynamics.language_model.pair_audit.reading.records import Record, RecordSource
from dynamics.language_model.pair_audit.reading.rows import Pair, digest, parse_pair
from dynamics.language_model.pair_audit.reading.tokens import TokenizedPair, tokenize_pair
from dynamics.language_model.pair_audit.reading.truncation import Truncation

SAMPLE = 1 << 20  # the columns are decided from the first rows, up to this many characters
PATIENCE = 100  # if none of this many first rows can be used, the data set is refused


@dataclass(frozen=True)
class Row:
    """One row of a data set.

    Attributes:
        number: position from 0; in JSON lines every line counts, also a blank one.
        place: the position for people, such as ``"line 7"``.
        digest: 16 hex digits that identify what the row holds.
        pair: the pair; None if the row holds none.
        problem: why it holds none, or why its pair cannot be tokenised.
        tokens: the tokens of the pair; None if it holds none, or before it is tokenised.
    """

    number: int
    place: str
    digest: str
    pair: Pair | None
    problem: str = ""
    tokens: TokenizedPair | None = None


@dataclass(frozen=True)
class PairSource:
    """A preference data set that can be read again and again.

    Attributes:
        name: the name that the user gave.
        fingerprint: identifies the data: the SHA-256 of a file, or name and split of another data set.
        rows: the largest possible number of rows, if it is known.
        read: returns an iterator over the rows, from the first.
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
        data: a file of JSON lines, a JSON array, CSV or Parquet, a folder, or ``owner/name`` on the hub, as for
            ``open_records``.
        split: the split of a folder or of a data set of the hub.
        prompt_columns: the columns that hold the prompt, if that is not ``prompt``; as for ``find_reading``.

    Raises:
        InvalidArgument: there are no data of this name; the columns chosen or rejected are missing; another column is
            likely to be the prompt.
        MissingExtra: the package that reads this kind of data is not installed.

    Example:
        >>> open_pairs("./no-such-file.jsonl")
        Traceback (most recent call last):
            ...
        dynamics.errors.InvalidArgument: data: there is no file ./no-such-file.jsonl; give a file...
    """
    records = open_records(data, split)
    columns = None if records.columns is None else plain_names(dict.fromkeys(records.columns))
    if columns is not None and not set(RESPONSES) <= set(columns):
        there = ", ".join(map(repr, columns))
        raise InvalidArgument(
            "data", f"{records.name} has the columns {there}; columns named chosen and rejected are needed"
        )
    reading = find_reading(records.name, _first_values(records), prompt_columns)
    given = {plain: name for name, plain in IDS.items()} if columns != dict.fromkeys(records.columns or ()) else {}
    wanted = None if columns is None else tuple(given.get(column, column) for column in reading.columns)

    def read() -> Iterator[Row]:
        return (make_row(record, reading) for record in records.read(wanted))

    return PairSource(records.name, records.fingerprint, records.rows, read, reading)


def tokenize_rows(
    source: PairSource,
    tokenizer: Any,
    longest: int | None = None,
    truncation: Truncation | None = None,
    wanted: Callable[[int], bool] | None = None,
) -> PairSource:
    """Return a data set whose rows have tokens; a pair that cannot be tokenised becomes the row's problem.

    Args:
        source: the data set.
        tokenizer: as for ``tokenize_pair``.
        longest: as there.
        truncation: as there.
        wanted: whether the row of a number is tokenised; the others stay as they are. By default all are.
    """

    def tokenize(row: Row) -> Row:
        if row.pair is None or not (wanted is None or wanted(row.number)):
            return row
        try:
            return replace(row, tokens=tokenize_pair(tokenizer, row.pair, longest, truncation))
        except InvalidArgument as problem:
            return replace(row, problem=str(problem))

    return replace(source, read=lambda: map(tokenize, source.read()))


def _first_values(records: RecordSource) -> list[Any]:
    """Return the values of the first rows: at most 100, and fewer if they are long."""
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
    """Return the first row that can be used, or refuse the data set if none of its first 100 rows can.

    Args:
        source: the data set.
        use: a function that raises InvalidArgument for a row whose pair cannot be used.

    Raises:
        InvalidArgument: the data set has no rows, or none of the first 100 can be used; says why the first cannot.
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
        raise InvalidArgument("data", f"{source.name} holds no rows")
    raise InvalidArgument("data", f"none of the first rows of {source.name} can be used; {first}")


def make_row(record: Record, reading: Reading | None = None) -> Row:
    """Return the row of a record: its pair, or the reason why it has none."""
    value, how = record.value, reading or Reading()
    known, found, problem = value, None, record.problem
    if not problem:
        try:
            if not isinstance(value, dict):
                columns = ", ".join(COLUMNS[:3])
                raise InvalidArgument("row", f"this is not an object with the columns {columns}: {shorten(value)}")
            known = how.rename(value)
            found = parse_pair(value, how)
        except InvalidArgument as refused:
            problem = str(refused)
    return Row(record.number, record.place, digest(known), found, problem)
