"""JSON files as records: JSON lines, read one at a time, or a single JSON value that holds all rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from dynamics.errors import InvalidArgument
from dynamics.language_model.pair_audit.reading.records import (
    BROKEN,
    LONGEST_LINE,
    UTF16,
    Record,
    RecordSource,
    open_bytes,
    open_text,
    opener,
)

LARGEST_WHOLE = 2 << 30
"""Most bytes of a file that is a single JSON value, which has to be read whole."""


def open_json(name: str, path: Path, fingerprint: str, head: bytes) -> RecordSource:
    """Open a file of JSON lines, or a single JSON value.

    Args:
        name: the name that the user gave.
        path: the file.
        fingerprint: of the file.
        head: its first bytes.

    Raises:
        InvalidArgument: a single JSON value that is too large to be read whole.
    """
    whole = read_whole(name, path)
    if whole is not None:
        made = [Record(number, f"row {number}", value) for number, value in enumerate(whole)]
        return RecordSource(name, fingerprint, len(made), None, lambda _: iter(made), "array")
    rows = None if opener(head) or head[:2] in UTF16 else _count_lines(path)
    return RecordSource(name, fingerprint, rows, None, lambda _: _read_lines(path), "lines")


def _count_lines(path: Path) -> int:
    lines, last = 0, b"\n"
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            lines += piece.count(b"\n")
            last = piece[-1:]
    return lines + (last != b"\n")


def read_whole(name: str, path: Path) -> list[Any] | None:
    """Return the rows of a file that is a single JSON value; None if it is JSON lines or no JSON."""
    try:
        with open_bytes(path) as file:
            first = file.readline(LONGEST_LINE)
            alone = not file.read(1)
    except BROKEN:
        return None
    start = first.removeprefix(b"\xef\xbb\xbf").strip()
    if first[:2] in UTF16:
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
            "data", f"{name} is a single JSON value of more than 2 GiB; write JSON lines, which are read one at a time"
        )
    try:
        with open_text(path) as text:
            return rows_of(json.load(text))
    except (ValueError, RecursionError, *BROKEN):
        return None


def rows_of(found: Any) -> list[Any] | None:
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
        for number, line in enumerate(read_raw_lines(path)):
            if line is None or line.strip():
                yield _parse_line(number, line)
    except BROKEN as problem:
        yield Record(number + 1, f"line {number + 2}", b"", f"the file cannot be read any further ({problem})")


def read_raw_lines(path: Path) -> Iterator[bytes | None]:
    """Yield the bytes of every line as UTF-8, and None for a line that is too long to be read."""
    with open_bytes(path) as file:
        wide = file.read(2) in UTF16
    opened: Any = open_text(path, newline="\n") if wide else open_bytes(path)
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
