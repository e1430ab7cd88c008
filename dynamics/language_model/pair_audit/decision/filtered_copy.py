"""A copy of a data set with some of its rows, in the format that it has, written as a whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from dynamics.errors import InvalidArgument
from dynamics.files import write_atomically
from dynamics.language_model.loading import require
from dynamics.language_model.pair_audit.reading.json_records import read_raw_lines, rows_of
from dynamics.language_model.pair_audit.reading.records import RecordSource, open_text, opener

Keep = Callable[[int], bool]


def copy_rows(source: RecordSource, data: str, split: str, keep: Keep, out: Path) -> None:
    """Write the rows that are kept, as they are, with all their columns.

    JSON lines are copied byte by byte (UTF-16 becomes UTF-8), JSON arrays, CSV and Parquet keep their columns, a folder
    that ``save_to_disk`` wrote becomes such a folder, and what the ``datasets`` library streams becomes JSON lines. A
    compressed file becomes one that is compressed in the same way.

    Args:
        source: the data set, opened.
        data: its name.
        split: the split, for a folder with several.
        keep: whether the row of a number is kept.
        out: the new file or folder, which must not exist.

    Raises:
        InvalidArgument: the place exists, or its folder does not.
    """
    if out.exists():
        raise InvalidArgument("out", f"{out} exists; give a new name")
    if not out.parent.is_dir():
        raise InvalidArgument("out", f"{out}: the folder {out.parent} does not exist")
    path = Path(data).expanduser()
    if source.form == "saved":
        _write_saved(path, split, keep, out)
        return
    writers: dict[str, Callable[[Path], None]] = {
        "lines": partial(_write_lines, path, keep),
        "array": partial(_write_array, path, keep),
        "csv": partial(_write_csv, path, keep),
        "parquet": partial(_write_parquet, path, keep),
        "stream": partial(_write_stream, source, keep),
    }
    write_atomically(out, writers[source.form])


def _open_like(path: Path, out: Path) -> Any:
    """Open a file for bytes, compressed as the file that is copied."""
    with path.open("rb") as file:
        compressing = opener(file.read(16))
    return out.open("wb") if compressing is None else compressing(out, "wb")


def _write_lines(path: Path, keep: Keep, out: Path) -> None:
    with _open_like(path, out) as file:
        for number, line in enumerate(read_raw_lines(path)):
            if line is not None and keep(number):
                file.write(line if line.endswith(b"\n") else line + b"\n")


def _write_array(path: Path, keep: Keep, out: Path) -> None:
    with open_text(path) as text:
        whole = json.load(text)
    rows = rows_of(whole) or []
    kept = [row for number, row in enumerate(rows) if keep(number)]
    if isinstance(whole, dict) and rows != [whole]:
        kept = {key: kept if value is rows else value for key, value in whole.items()}  # type: ignore[assignment]
    with _open_like(path, out) as file:
        file.write(json.dumps(kept, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass") + b"\n")


def _write_csv(path: Path, keep: Keep, out: Path) -> None:
    with open_text(path, newline="", errors="surrogateescape") as text:
        head = text.readline()
    mark = max(",;\t", key=head.count)
    with open_text(path, newline="", errors="surrogateescape") as text, _open_like(path, out) as file:
        rows = csv.reader(text, delimiter=mark)
        number = -1  # the line of names
        while True:
            try:
                cells = next(rows, None)
            except csv.Error:
                number += 1
                continue
            if cells is None:
                return
            if cells:
                if number < 0 or keep(number):
                    file.write(_csv_line(cells, mark))
                number += 1


def _csv_line(cells: list[str], mark: str) -> bytes:
    import io  # noqa: PLC0415

    line = io.StringIO(newline="")
    csv.writer(line, delimiter=mark, lineterminator="\n").writerow(cells)
    return line.getvalue().encode("utf-8", "surrogateescape")


def _write_parquet(path: Path, keep: Keep, out: Path) -> None:
    parquet, arrow = require("pyarrow.parquet"), require("pyarrow")
    number = 0
    with parquet.ParquetFile(path) as file, parquet.ParquetWriter(out, file.schema_arrow) as writer:
        for batch in file.iter_batches(batch_size=256):
            wanted = arrow.array([keep(number + n) for n in range(batch.num_rows)], arrow.bool_())
            number += batch.num_rows
            writer.write_batch(batch.filter(wanted))


def _write_saved(path: Path, split: str, keep: Keep, out: Path) -> None:
    found = require("datasets").load_from_disk(str(path))
    found = found[split] if isinstance(found, dict) else found
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        found.select([number for number in range(len(found)) if keep(number)]).save_to_disk(str(temporary))
        os.replace(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_stream(source: RecordSource, keep: Keep, out: Path) -> None:
    with out.open("w", encoding="utf-8") as file:
        for record in source.read(None):
            if keep(record.number):
                file.write(json.dumps(record.value, ensure_ascii=False, default=str) + "\n")
