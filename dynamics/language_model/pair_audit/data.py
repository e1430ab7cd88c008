"""Preference data sets, row after row: JSON lines, Parquet, or a data set of the hub. Nothing is read into memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from dynamics.errors import InvalidArgument
from dynamics.language_model.loading import require
from dynamics.language_model.pair_audit.rows import COLUMNS, Pair, digest, parse_pair

LONGEST_LINE = 64 << 20
PATIENCE = 100  # rows without a single pair after which the file is taken to be another kind of file
FORMS = "a file of JSON lines, a .parquet file, a folder or a data set of the hub"


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
    """

    name: str
    fingerprint: str
    rows: int | None
    read: Callable[[], Iterator[Row]]


def open_pairs(data: str | Path, split: str = "train") -> PairSource:
    """Find out what kind of data set a name means.

    Args:
        data: a file of JSON lines or Parquet, a folder that ``datasets`` can load, or ``owner/name`` on the hub
            (``owner/name:subset`` for one of its configurations).
        split: of a folder or a data set of the hub.

    Raises:
        InvalidArgument: nothing there, nothing in it, or the wrong columns.
        MissingExtra: the package that reads this kind is not installed.

    Example:
        >>> open_pairs("./no-such-file.jsonl")
        Traceback (most recent call last):
            ...
        dynamics.errors.InvalidArgument: data: got ./no-such-file.jsonl; allowed: a file that exists...
    """
    text, path = str(data), Path(data).expanduser()
    if path.is_file():
        found = _open_parquet(text, path) if path.suffix == ".parquet" else _open_lines(text, path)
    elif path.is_dir() or not (isinstance(data, Path) or _looks_like_file(text)):
        found = _open_dataset(text, split)
    else:
        raise InvalidArgument("data", text, f"a file that exists: {FORMS}")
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


def make_row(number: int, place: str, record: Any) -> Row:
    """Make a row of a record, whatever it is."""
    try:
        if not isinstance(record, dict):
            raise InvalidArgument("row", type(record).__name__, "an object with the columns " + ", ".join(COLUMNS))
        return Row(number, place, digest(record), parse_pair(record))
    except InvalidArgument as problem:
        return Row(number, place, digest(record), None, str(problem))


def _open_lines(name: str, path: Path) -> PairSource:
    hashed, lines, last = hashlib.sha256(), 0, b"\n"
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            hashed.update(piece)
            lines += piece.count(b"\n")
            last = piece[-1:]

    def read() -> Iterator[Row]:
        with path.open("rb") as file:
            for number, line in enumerate(_lines(file)):
                if line is None or line.strip():
                    yield _parse_line(number, line)

    return PairSource(name, hashed.hexdigest(), lines + (last != b"\n"), read)


def _lines(file: BinaryIO) -> Iterator[bytes | None]:
    """Yield lines, and None for one that is too long to be one."""
    while line := file.readline(LONGEST_LINE):
        if line.endswith(b"\n") or len(line) < LONGEST_LINE:
            yield line
            continue
        while (more := file.readline(LONGEST_LINE)) and not more.endswith(b"\n"):
            pass
        yield None


def _parse_line(number: int, line: bytes | None) -> Row:
    place = f"line {number + 1}"
    if line is None:
        return Row(number, place, "", None, f"longer than {LONGEST_LINE >> 20} MiB: not JSON lines")
    try:
        text = line.decode("utf-8-sig" if number == 0 else "utf-8")
        record = json.loads(text)
    except UnicodeDecodeError as problem:
        return Row(number, place, digest(line), None, f"not UTF-8 (byte {problem.start + 1} of the line)")
    except (ValueError, RecursionError) as problem:
        array = line.lstrip(b"\xef\xbb\xbf \t").startswith(b"[") and number == 0
        hint = "; an array over several lines? Write one object on each line" if array else ""
        reason = getattr(problem, "msg", "nested too deeply")
        column = f" (column {problem.colno})" if isinstance(problem, json.JSONDecodeError) else ""
        return Row(number, place, digest(line), None, f"not JSON: {reason}{column}{hint}")
    return make_row(number, place, record)


def _open_parquet(name: str, path: Path) -> PairSource:
    parquet, arrow = require("pyarrow.parquet"), require("pyarrow")
    try:
        with parquet.ParquetFile(path) as file:
            there, rows = list(file.schema_arrow.names), file.metadata.num_rows
    except (arrow.ArrowException, OSError) as problem:
        raise InvalidArgument("data", name, f"a Parquet file that can be read ({problem})") from problem
    _check_columns(name, there)
    with path.open("rb") as opened:
        fingerprint = hashlib.file_digest(opened, "sha256").hexdigest()

    def read() -> Iterator[Row]:
        with parquet.ParquetFile(path) as file:
            batches = file.iter_batches(batch_size=256, columns=[column for column in COLUMNS if column in there])
            records = (record for batch in batches for record in batch.to_pylist())
            for number, record in enumerate(records):
                yield make_row(number, f"row {number}", record)

    return PairSource(name, fingerprint, rows, read)


def _open_dataset(name: str, split: str) -> PairSource:
    datasets = require("datasets")
    folder, _, subset = (name, "", "") if Path(name).is_dir() else name.partition(":")
    try:
        found = datasets.load_dataset(folder, subset or None, split=split, streaming=True)
        there = found.column_names
    except Exception as problem:  # the library has an exception of its own for every mishap
        first = next(iter(str(problem).strip().splitlines()), "")
        allowed = f"{FORMS}, and a split of it ({type(problem).__name__}: {first})"
        raise InvalidArgument("data", f"{name}, split {split}", allowed) from problem
    if there is not None:
        _check_columns(name, there)
    splits = getattr(found.info, "splits", None) or {}
    rows = splits[split].num_examples if split in splits else None

    def read() -> Iterator[Row]:
        for number, record in enumerate(found):
            yield make_row(number, f"row {number}", {column: record.get(column) for column in COLUMNS})

    return PairSource(name, f"{name} split {split}", rows or None, read)


def _check_columns(name: str, there: list[str]) -> None:
    if not {"chosen", "rejected"} <= set(there):
        raise InvalidArgument("data", f"{name} with columns {', '.join(there)}", "columns prompt, chosen, rejected")


def _looks_like_file(text: str) -> bool:
    endings = (".jsonl", ".json", ".parquet", ".ndjson", ".csv", ".txt")
    return text.startswith((".", "/", "~")) or text.count("/") > 1 or text.endswith(endings)
