"""The records of a data set before their columns are known, and the files that hold them, decompressed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

LONGEST_LINE = 64 << 20
"""Most bytes of a line that is read."""
OPENERS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
"""How to open a compressed file, by its first bytes."""
UTF16 = (b"\xff\xfe", b"\xfe\xff")
"""The first two bytes of a text file in UTF-16."""
BROKEN = (EOFError, OSError, zlib.error, lzma.LZMAError, UnicodeDecodeError)
"""The errors of a file that ends too early, or whose bytes are damaged."""


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
        form: ``"lines"`` (of JSON), ``"array"`` (a single JSON value), ``"csv"``, ``"parquet"``, ``"saved"`` (a folder
            that ``save_to_disk`` wrote) or ``"stream"`` (what the ``datasets`` library reads otherwise).
    """

    name: str
    fingerprint: str
    rows: int | None
    columns: tuple[str, ...] | None
    read: Callable[[Sequence[str] | None], Iterator[Record]]
    form: str = "stream"


def opener(head: bytes) -> Callable[..., Any] | None:
    """Return the function that opens a file with these first bytes, or None for a file that is not compressed."""
    return next((opener for magic, opener in OPENERS.items() if head.startswith(magic)), None)


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for its bytes, decompressed."""
    with path.open("rb") as file:
        decompressing = opener(file.read(16))
    return path.open("rb") if decompressing is None else decompressing(path)


def open_text(path: Path, **options: Any) -> io.TextIOWrapper:
    """Open a file for its text: UTF-16 by its mark, else UTF-8."""
    with open_bytes(path) as file:
        head = file.read(2)
    encoding = "utf-16" if head in UTF16 else "utf-8-sig"
    return io.TextIOWrapper(open_bytes(path), encoding=encoding, **options)


def first_line(problem: Exception) -> str:
    """Return the first line of an error's message, or the name of its class."""
    return next(iter(str(problem).strip().splitlines()), type(problem).__name__)
