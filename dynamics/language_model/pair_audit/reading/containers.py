"""Open a preference data set whatever its format: a file, a folder, or a data set of the Hugging Face hub."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dynamics.errors import InvalidArgument
from dynamics.hub import why_no_data
from dynamics.language_model.loading import require
from dynamics.language_model.pair_audit.reading.json_records import open_json
from dynamics.language_model.pair_audit.reading.records import Record, RecordSource, first_line, opener
from dynamics.language_model.pair_audit.reading.table_records import open_csv, open_parquet

FORMS = (
    "a file of JSON lines, a JSON array, CSV or Parquet, a folder or a data set of the hub (owner/name or "
    "owner/name:subset)"
)
ENDINGS = (".jsonl", ".json", ".ndjson", ".parquet", ".pq", ".csv", ".tsv", ".txt", ".gz", ".bz2", ".xz", ".zst")

_UNREADABLE = {
    b"PK\x03\x04": "a zip archive or a spreadsheet; unpack it, or save the table as CSV",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; decompress it first (zstd -d), or put it into a folder of its own",
    b"ARROW1": "an Arrow file; give the folder that save_to_disk wrote, or put the file into a folder of its own",
    b"\xff\xff\xff\xff": "an Arrow stream; give the folder that save_to_disk wrote, or put it into a folder of its own",
    b"SQLite": "a database; export the table as CSV",
}


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
    suffix = Path(path.name.removesuffix(path.suffix)).suffix if opener(head) else path.suffix
    if head.startswith(b"PAR1") or suffix.lower() in {".parquet", ".pq"}:
        return open_parquet(name, path, fingerprint)
    for magic, what in _UNREADABLE.items():
        if head.startswith(magic):
            raise InvalidArgument("data", f"{name} is {what}")
    if suffix.lower() in {".csv", ".tsv"}:
        return open_csv(name, path, fingerprint)
    return open_json(name, path, fingerprint, head)


def _is_saved(path: Path) -> bool:
    return any((path / file).is_file() for file in ("state.json", "dataset_dict.json"))


def _open_saved(name: str, path: Path, split: str) -> RecordSource:
    """Open a folder that ``save_to_disk`` wrote, of a data set or of a dictionary of its splits."""
    datasets = require("datasets")
    try:
        found = datasets.load_from_disk(str(path))
    except Exception as problem:  # the library raises exceptions of many types
        raise InvalidArgument("data", f"{name} cannot be loaded from the disk ({first_line(problem)})") from problem
    if isinstance(found, dict):
        if split not in found:
            raise InvalidArgument("split", split, f"one of the splits of {name}: {', '.join(found)}")
        found = found[split]
    elif split not in {"train", str(found.split)}:
        raise InvalidArgument("split", f"{name} holds only one split, and it is not {split}; leave out --split")
    return _source_of(name, f"{name} {found._fingerprint}", len(found), found, form="saved")


def _open_dataset(name: str, path: Path, split: str) -> RecordSource:
    datasets = require("datasets")
    folder, _, subset = (str(path), "", "") if path.is_dir() else name.partition(":")
    cached = Path(datasets.config.HF_DATASETS_CACHE) / folder.replace("/", "___")
    why = "" if path.is_dir() or cached.is_dir() else why_no_data(folder)
    if why:
        raise InvalidArgument("data", f"there is no file or folder {folder}, and {why}; give {FORMS}")
    try:
        found = datasets.load_dataset(folder, subset or None, split=split, streaming=True)
        there = found.column_names or list(next(iter(found), {}))
    except Exception as problem:  # the library raises exceptions of many types
        raise InvalidArgument(
            "data",
            f"the split {split} of {name} cannot be loaded ({type(problem).__name__}: {first_line(problem)}); give "
            f"{FORMS}",
        ) from problem
    splits = getattr(found.info, "splits", None) or {}
    rows = splits[split].num_examples if split in splits else None
    return _source_of(name, f"{name} split {split}", rows or None, found, there)


def _source_of(
    name: str,
    fingerprint: str,
    rows: int | None,
    found: Any,
    columns: Sequence[str] | None = None,
    form: str = "stream",
) -> RecordSource:
    def read(columns: Sequence[str] | None) -> Iterator[Record]:
        for number, value in enumerate(found):
            kept = value if columns is None else {column: value.get(column) for column in columns if column in value}
            yield Record(number, f"row {number}", kept)

    return RecordSource(name, fingerprint, rows, tuple(columns or found.column_names), read, form)


def _looks_like_file(text: str) -> bool:
    return text.startswith((".", "/", "~")) or text.count("/") > 1 or text.lower().endswith(ENDINGS)
