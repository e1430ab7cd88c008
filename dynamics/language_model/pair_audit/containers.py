"""From a file, a folder or a data set of the hub to a stream of records, whatever the format."""

from __future__ import annotations

import bz2
import csv
import gzip
import hashlib
import io
import json
import lzma
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from dynamics.errors import InvalidArgument
from dynamics.language_model.loading import require
from dynamics.language_model.pair_audit.reading import COLUMNS

LONGEST_LINE = 64 << 20
LARGEST_WHOLE = 2 << 30  # bytes of a file that has to be read whole
FORMS = (
    "a file of JSON lines, a JSON array, CSV or Parquet, a folder or a data set of the hub (owner/name or "
    "owner/name:subset)"
)
ENDINGS = (".jsonl", ".json", ".ndjson", ".parquet", ".pq", ".csv", ".tsv", ".txt", ".gz", ".bz2", ".xz", ".zst")

_OPENERS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_UNREADABLE = {
    b"PK\x03\x04": "a zip archive or a spreadsheet; unpack it, or save the table as CSV",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; decompress it first (zstd -d), or put it into a folder of its own",
    b"ARROW1": "an Arrow file; give the folder that save_to_disk wrote, or put the file into a folder of its own",
    b"\xff\xff\xff\xff": "an Arrow stream; give the folder that save_to_disk wrote, or put it into a folder of its own",
    b"SQLite": "a database; export the table as CSV",
}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BROKEN = (EOFError, OSError, zlib.error, lzma.LZMAError, UnicodeDecodeError)


@dataclass(frozen=True)
class Record:
    """One record of a data set: a line of JSON, or a row of a table.

    Attributes:
        number: position from 0; in JSON lines every line counts, also a blank one.
        place: the position for people, such as ``"line 7"``.
        value: what was read; if the record could not be read, the bytes of its line.
        problem: why it could not be read; empty otherwise.
    """

    number: int
    place: str
    value: Any
    problem: str = ""


@dataclass(frozen=True)
class RecordSource:
    """Records that can be read again and again.

    Attributes:
        name: the name that the user gave.
        fingerprint: identifies the data: the SHA-256 of a file, or name and split of another data set.
        rows: the largest possible number of records, if it is known.
        columns: the names of the columns of a table; None for JSON.
        read: returns an iterator over the records, from the first; of a table, only over the given columns.
    """

    name: str
    fingerprint: str
    rows: int | None
    columns: tuple[str, ...] | None
    read: Callable[[Sequence[str] | None], Iterator[Record]]


def open_records(data: str | Path, split: str = "train") -> RecordSource:
    """Open a data set. The format of a file is recognised by its content; only CSV and TSV go by the file's ending.

    JSON lines, CSV and Parquet are streamed in constant memory; JSON lines and CSV may be compressed with gzip, bzip2
    or xz, and are UTF-8 or UTF-16. A JSON array, or an object that holds one, is read into memory.

    The ``datasets`` library reads folders and the hub. It is not used for files: it gives up a whole file for one bad
    line, and guesses other types for a column than the file has.

    Args:
        data: a file; a folder that ``datasets`` can load or has saved; or ``owner/name`` on the hub, with
            ``owner/name:subset`` for one of its configurations.
        split: the split of a folder or of a data set of the hub.

    Raises:
        InvalidArgument: there are no data of this name, or their format cannot be read.
        MissingExtra: the package that reads this format is not installed.
    """
    text, path = str(data), Path(data).expanduser()
    if path.is_file():
        return _open_file(text, path)
    if path.is_dir() or not (isinstance(data, Path) or _looks_like_file(text)):
        return _open_saved(text, path, split) if _is_saved(path) else _open_dataset(text, path, split)
    raise InvalidArgument("data", f"there is no file {text}; give {FORMS}")


def _open_file(name: str, path: Path) -> RecordSource:
    with path.open("rb") as file:
        head = file.read(16)
        file.seek(0)
        fingerprint = hashlib.file_digest(file, "sha256").hexdigest()
    suffix = Path(path.name.removesuffix(path.suffix)).suffix if _opener(head) else path.suffix
    if head.startswith(b"PAR1") or suffix.lower() in {".parquet", ".pq"}:
        return _open_parquet(name, path, fingerprint)
    for magic, what in _UNREADABLE.items():
        if head.startswith(magic):
            raise InvalidArgument("data", f"{name} is {what}")
    if suffix.lower() in {".csv", ".tsv"}:
        return _open_csv(name, path, fingerprint)
    whole = _read_whole(name, path)
    if whole is not None:
        made = [Record(number, f"row {number}", value) for number, value in enumerate(whole)]
        return RecordSource(name, fingerprint, len(made), None, lambda _: iter(made))
    rows = None if _opener(head) or head[:2] in _UTF16 else _count_lines(path)
    return RecordSource(name, fingerprint, rows, None, lambda _: _read_lines(path))


def _opener(head: bytes) -> Callable[..., Any] | None:
    return next((opener for magic, opener in _OPENERS.items() if head.startswith(magic)), None)


def _open_bytes(path: Path) -> BinaryIO:
    """Open a file for its bytes, decompressed."""
    with path.open("rb") as file:
        opener = _opener(file.read(16))
    return path.open("rb") if opener is None else opener(path)


def _open_text(path: Path, **options: Any) -> io.TextIOWrapper:
    """Open a file for its text: UTF-16 by its mark, else UTF-8."""
    with _open_bytes(path) as file:
        head = file.read(2)
    encoding = "utf-16" if head in _UTF16 else "utf-8-sig"
    return io.TextIOWrapper(_open_bytes(path), encoding=encoding, **options)


def _count_lines(path: Path) -> int:
    lines, last = 0, b"\n"
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            lines += piece.count(b"\n")
            last = piece[-1:]
    return lines + (last != b"\n")


def _read_whole(name: str, path: Path) -> list[Any] | None:
    """Return the rows of a file that is a single JSON value; None if it is JSON lines or no JSON."""
    try:
        with _open_bytes(path) as file:
            first = file.readline(LONGEST_LINE)
            alone = not file.read(1)
    except _BROKEN:
        return None
    start = first.removeprefix(b"\xef\xbb\xbf").strip()
    if first[:2] in _UTF16:
        start = first.decode("utf-16", "ignore").strip().encode("utf-8", "ignore")
    if not start.startswith((b"[", b"{")) and not (start == b"" and path.suffix == ".json"):
        return None
    try:
        row = json.loads(start)
    except (ValueError, RecursionError):
        row = None
    if isinstance(row, dict) and (not alone or {"chosen", "rejected"} <= set(row)):
        return None
    if path.stat().st_size > LARGEST_WHOLE:
        raise InvalidArgument(
            "data", f"{name} is a single JSON value of more than 2 GiB; write JSON lines, which need no memory"
        )
    try:
        with _open_text(path) as text:
            return _rows_of(json.load(text))
    except (ValueError, RecursionError, *_BROKEN):
        return None


def _rows_of(found: Any) -> list[Any] | None:
    """Return the rows in a JSON value: a list itself, a single row, or the only list of objects in an object."""
    if isinstance(found, list):
        return found
    if not isinstance(found, dict) or {"chosen", "rejected"} <= set(found):
        return None if not isinstance(found, dict) else [found]
    lists = [value for value in found.values() if isinstance(value, list) and value and isinstance(value[0], dict)]
    return lists[0] if len(lists) == 1 else None


def _read_lines(path: Path) -> Iterator[Record]:
    number = -1
    try:
        for number, line in enumerate(_lines(path)):
            if line is None or line.strip():
                yield _parse_line(number, line)
    except _BROKEN as problem:
        yield Record(number + 1, f"line {number + 2}", b"", f"the file cannot be read any further ({problem})")


def _lines(path: Path) -> Iterator[bytes | None]:
    """Yield the bytes of every line as UTF-8, and None for a line that is too long to be read."""
    with _open_bytes(path) as file:
        wide = file.read(2) in _UTF16
    opened: Any = _open_text(path, newline="\n") if wide else _open_bytes(path)
    with opened as file:
        read: Callable[[], bytes] = (
            (lambda: file.readline(LONGEST_LINE).encode()) if wide else partial(file.readline, LONGEST_LINE)
        )
        while line := read():
            if line.endswith(b"\n") or len(line) < LONGEST_LINE:
                yield line
                continue
            while (more := read()) and not more.endswith(b"\n"):
                pass
            yield None


def _parse_line(number: int, line: bytes | None) -> Record:
    place = f"line {number + 1}"
    if line is None:
        return Record(number, place, b"", f"the line is longer than {LONGEST_LINE >> 20} MiB")
    try:
        return Record(number, place, json.loads(line.decode("utf-8-sig" if number == 0 else "utf-8")))
    except UnicodeDecodeError as problem:
        reason = f"byte {problem.start + 1} of the line is not UTF-8; save the file as UTF-8"
        return Record(number, place, line, reason)
    except (ValueError, RecursionError) as problem:
        begun = line.lstrip(b"\xef\xbb\xbf \t").startswith((b"[", b"{")) and number == 0
        hint = "; is the array or object not complete? Write one object on each line" if begun else ""
        reason = getattr(problem, "msg", "nested too deeply")
        column = f" (column {problem.colno})" if isinstance(problem, json.JSONDecodeError) else ""
        return Record(number, place, line, f"not JSON: {reason}{column}{hint}")


def _open_csv(name: str, path: Path, fingerprint: str) -> RecordSource:
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))
    try:
        with _open_text(path, newline="", errors="surrogateescape") as file:
            head = file.readline(LONGEST_LINE)
    except _BROKEN as problem:
        raise InvalidArgument("data", f"{name} cannot be read ({problem})") from problem
    mark = max(",;\t", key=head.count)
    columns = tuple(next(csv.reader([head], delimiter=mark), []))
    twice = sorted({column for column in columns if columns.count(column) > 1} & set(COLUMNS))
    if twice:
        raise InvalidArgument("data", f"{name} has more than one column {' and '.join(twice)}")
    return RecordSource(name, fingerprint, None, columns, lambda _: _read_csv(path, mark))


def _read_csv(path: Path, mark: str) -> Iterator[Record]:
    number = 0
    try:
        with _open_text(path, newline="", errors="surrogateescape") as file:
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
    except _BROKEN as problem:
        yield Record(number, f"row {number}", b"", f"the file cannot be read any further ({problem})")


def _parse_cells(number: int, columns: Sequence[str], cells: Sequence[str], problem: str) -> Record:
    if not problem and len(cells) != len(columns):
        problem = f"the row has {len(cells)} fields, but the first line names {len(columns)} columns"
    if not problem and any("\udc80" <= letter <= "\udcff" for cell in cells for letter in cell):
        problem = "the row is not UTF-8; save the file as UTF-8"
    raw = json.dumps(cells).encode()
    return Record(number, f"row {number}", raw if problem else dict(zip(columns, cells, strict=True)), problem)


def _open_parquet(name: str, path: Path, fingerprint: str) -> RecordSource:
    parquet, arrow = require("pyarrow.parquet"), require("pyarrow")
    try:
        with parquet.ParquetFile(path) as file:
            there, rows = tuple(file.schema_arrow.names), file.metadata.num_rows
    except (arrow.ArrowException, OSError) as problem:
        raise InvalidArgument("data", f"{name} cannot be read as Parquet ({_first_line(problem)})") from problem

    def read(columns: Sequence[str] | None) -> Iterator[Record]:
        wanted = None if columns is None else [column for column in columns if column in there]
        with parquet.ParquetFile(path) as file:
            batches = file.iter_batches(batch_size=256, columns=wanted)
            for number, value in enumerate(value for batch in batches for value in batch.to_pylist()):
                yield Record(number, f"row {number}", value)

    return RecordSource(name, fingerprint, rows, there, read)


def _is_saved(path: Path) -> bool:
    return any((path / file).is_file() for file in ("state.json", "dataset_dict.json"))


def _open_saved(name: str, path: Path, split: str) -> RecordSource:
    """Open a folder that ``save_to_disk`` wrote, of a data set or of a dictionary of its splits."""
    datasets = require("datasets")
    try:
        found = datasets.load_from_disk(str(path))
    except Exception as problem:  # the library has an exception of its own for every mishap
        raise InvalidArgument("data", f"{name} cannot be loaded from the disk ({_first_line(problem)})") from problem
    if isinstance(found, dict):
        if split not in found:
            raise InvalidArgument("split", split, f"one of the splits of {name}: {', '.join(found)}")
        found = found[split]
    elif split not in {"train", str(found.split)}:
        raise InvalidArgument("split", f"{name} holds only one split, and it is not {split}; leave out --split")
    return _source_of(name, f"{name} {found._fingerprint}", len(found), found)


def _open_dataset(name: str, path: Path, split: str) -> RecordSource:
    datasets = require("datasets")
    folder, _, subset = (str(path), "", "") if path.is_dir() else name.partition(":")
    try:
        found = datasets.load_dataset(folder, subset or None, split=split, streaming=True)
        there = found.column_names or list(next(iter(found), {}))
    except Exception as problem:  # the library has an exception of its own for every mishap
        raise InvalidArgument(
            "data",
            f"the split {split} of {name} cannot be loaded ({type(problem).__name__}: {_first_line(problem)}); give "
            f"{FORMS}",
        ) from problem
    splits = getattr(found.info, "splits", None) or {}
    rows = splits[split].num_examples if split in splits else None
    return _source_of(name, f"{name} split {split}", rows or None, found, there)


def _source_of(
    name: str, fingerprint: str, rows: int | None, found: Any, columns: Sequence[str] | None = None
) -> RecordSource:
    def read(columns: Sequence[str] | None) -> Iterator[Record]:
        for number, value in enumerate(found):
            kept = value if columns is None else {column: value.get(column) for column in columns if column in value}
            yield Record(number, f"row {number}", kept)

    return RecordSource(name, fingerprint, rows, tuple(columns or found.column_names), read)


def _first_line(problem: Exception) -> str:
    return next(iter(str(problem).strip().splitlines()), type(problem).__name__)


def _looks_like_file(text: str) -> bool:
    return text.startswith((".", "/", "~")) or text.count("/") > 1 or text.lower().endswith(ENDINGS)
