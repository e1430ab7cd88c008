"""CSV, TSV and Parquet files as records."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from dynamics.errors import InvalidArgument
from dynamics.language_model.loading import require
from dynamics.language_model.pair_audit.reading.columns import COLUMNS
from dynamics.language_model.pair_audit.reading.records import (
    BROKEN,
    LONGEST_LINE,
    Record,
    RecordSource,
    first_line,
    open_text,
)


def open_csv(name: str, path: Path, fingerprint: str) -> RecordSource:
    """Open a CSV or TSV file, whose first line names the columns; the separator is the commonest of , ; and tab there.

    Raises:
        InvalidArgument: a file that cannot be read, or two columns of one name.
    """
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))
    try:
        with open_text(path, newline="", errors="surrogateescape") as file:
            head = file.readline(LONGEST_LINE)
    except BROKEN as problem:
        raise InvalidArgument("data", f"{name} cannot be read ({problem})") from problem
    mark = max(",;\t", key=head.count)
    columns = tuple(next(csv.reader([head], delimiter=mark), []))
    twice = sorted({column for column in columns if columns.count(column) > 1} & set(COLUMNS))
    if twice:
        raise InvalidArgument("data", f"{name} has more than one column {' and '.join(twice)}")
    return RecordSource(name, fingerprint, None, columns, lambda _: _read_csv(path, mark), "csv")


def _read_csv(path: Path, mark: str) -> Iterator[Record]:
    number = 0
    try:
        with open_text(path, newline="", errors="surrogateescape") as file:
            rows = csv.reader(file, delimiter=mark)
            columns = next(rows, [])
            while True:
                try:
                    cells = next(rows, None)
                    problem = ""
                except csv.Error as broken:
                    cells, problem = [], f"not CSV: {broken}"
                if cells is None:
                    return
                if cells or problem:
                    yield _parse_cells(number, columns, cells, problem)
                    number += 1
    except BROKEN as problem:
        yield Record(number, f"row {number}", b"", f"the file cannot be read any further ({problem})")


def _parse_cells(number: int, columns: Sequence[str], cells: Sequence[str], problem: str) -> Record:
    if not problem and len(cells) != len(columns):
        problem = f"the row has {len(cells)} fields, but the first line names {len(columns)} columns"
    if not problem and any("\udc80" <= letter <= "\udcff" for cell in cells for letter in cell):
        problem = "the row is not UTF-8; save the file as UTF-8"
    raw = json.dumps(cells).encode()
    return Record(number, f"row {number}", raw if problem else dict(zip(columns, cells, strict=True)), problem)


def open_parquet(name: str, path: Path, fingerprint: str) -> RecordSource:
    """Open a Parquet file.

    Raises:
        InvalidArgument: a file that cannot be read.
        MissingExtra: pyarrow is not installed.
    """
    parquet, arrow = require("pyarrow.parquet"), require("pyarrow")
    try:
        with parquet.ParquetFile(path) as file:
            there, rows = tuple(file.schema_arrow.names), file.metadata.num_rows
    except (arrow.ArrowException, OSError) as problem:
        raise InvalidArgument("data", f"{name} cannot be read as Parquet ({first_line(problem)})") from problem

    def read(columns: Sequence[str] | None) -> Iterator[Record]:
        wanted = None if columns is None else [column for column in columns if column in there]
        with parquet.ParquetFile(path) as file:
            batches = file.iter_batches(batch_size=256, columns=wanted)
            for number, value in enumerate(value for batch in batches for value in batch.to_pylist()):
                yield Record(number, f"row {number}", value)

    return RecordSource(name, fingerprint, rows, there, read, "parquet")
