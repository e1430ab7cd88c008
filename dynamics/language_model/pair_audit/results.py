"""A growing file of results that outlives interruptions: whole lines, the settings beside it, parts of processes."""

from __future__ import annotations

import fcntl
import glob
import heapq
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

from dynamics.errors import InvalidArgument
from dynamics.files import write_atomically

FORMAT = 2
"""Of the lines, and of how rows are read. 2: one prompt for both responses of a pair, and whether it was cut."""


def settings_file(out: Path) -> Path:
    """Return where the settings of a results file stand."""
    return out.with_name(f"{out.name}.settings.json")


def summary_file(out: Path) -> Path:
    """Return where the summary of a results file stands."""
    return out.with_name(f"{out.name}.summary.json")


def part_file(out: Path, number: int) -> Path:
    """Return a file that one of several processes writes until all are merged."""
    return out.with_name(f"{out.name}.part-{number}")


def parts(out: Path) -> list[Path]:
    """Return the parts that are there, in the order of their numbers."""
    found = out.parent.glob(f"{glob.escape(out.name)}.part-*")
    numbered = [path for path in found if path.name.rpartition("-")[2].isdigit()]
    return sorted(numbered, key=lambda path: int(path.name.rpartition("-")[2]))


def write_json(path: Path, content: object) -> None:
    """Write a file of JSON, whole or not at all; numbers that JSON does not know are refused."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep other runs away from a results file, which is created if it is not there; the lock ends with the process.

    Args:
        out: the results.

    Raises:
        InvalidArgument: another run is at work on it, or has just removed what it began.
    """
    with out.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidArgument("out", str(out), "a file that no other run is writing") from None
        if not out.exists() or not os.path.samestat(os.fstat(file.fileno()), out.stat()):
            raise InvalidArgument("out", f"{out}, which another run removed just now", "the same command again")
        yield


@contextmanager
def begun(out: Path, settings: Mapping[str, Any]) -> Iterator[None]:
    """Lock and prepare a results file; what is refused before a row is written leaves nothing behind.

    Args:
        out: the results.
        settings: as for ``prepare``.

    Raises:
        InvalidArgument: as for ``locked`` and ``prepare``.
    """
    made = [path for path in (out, settings_file(out)) if not path.exists()]
    with locked(out):
        try:
            prepare(out, settings)
            yield
        except Exception:
            if not parts(out) and not out.stat().st_size:
                for path in made:
                    path.unlink(missing_ok=True)
            raise


def look(out: Path) -> dict[str, Any] | None:
    """Return the settings of the results that are there, None where there are none; nothing is written.

    Args:
        out: the results.

    Raises:
        InvalidArgument: a folder, a file in a folder that is not there or cannot be written, a file that nobody can
            tell the settings of, results of an earlier format.
    """
    if out.is_dir() or not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        what = (
            "a folder"
            if out.is_dir()
            else f"{out}, whose folder " + ("cannot be written" if out.parent.is_dir() else "is not there")
        )
        raise InvalidArgument("out", what, "a file in a folder that exists and can be written")
    beside = settings_file(out)
    if not beside.exists():
        if (out.exists() and out.stat().st_size) or parts(out):
            raise InvalidArgument(
                "out", f"{out}, a file without {beside.name} beside it", "a new file, or one of a run"
            )
        return None
    try:
        found = json.loads(beside.read_text(encoding="utf-8"))
        before = {**found}
    except (ValueError, TypeError) as problem:
        raise InvalidArgument("out", str(beside), "settings as a run writes them; remove it and start") from problem
    if before.get("format") != FORMAT:
        got = f"{out}, results in format {before.get('format', 1)}"
        raise InvalidArgument("out", got, f"a new file: this version reads rows otherwise and writes format {FORMAT}")
    return before


def prepare(out: Path, settings: Mapping[str, Any]) -> None:
    """Make sure that a run with these settings may go on with a results file, or begin one.

    A torn last line is cut off.

    Args:
        out: the results.
        settings: what results depend on; written beside them, with the format, when they begin.

    Raises:
        InvalidArgument: results of other settings, or what ``look`` refuses.
    """
    before, settings = look(out), {"format": FORMAT, **settings}
    if before is not None:
        differ = [key for key in {**settings, **before} if settings.get(key) != before.get(key)]
        if differ:
            told = "; ".join(f"{key} was {before.get(key)} and is {settings.get(key)}" for key in differ)
            raise InvalidArgument("out", f"{out} of another run", f"another file, or the same settings ({told})")
    else:
        write_json(settings_file(out), settings)
    for path in (out, *parts(out)):
        cut_torn_line(path)


def cut_torn_line(path: Path) -> None:
    """Cut off what stands after the last line break: a line that a sudden end left unfinished."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        size = end = file.seek(0, os.SEEK_END)
        whole = 0
        while end > 0 and whole == 0:
            start = max(0, end - (1 << 16))
            file.seek(start)
            place = file.read(end - start).rfind(b"\n")
            whole = start + place + 1 if place >= 0 else 0
            end = start
        if whole < size:
            file.truncate(whole)


class Writer:
    """Appends records to a file: whole lines, each batch in one piece and on the disk before the next.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with Writer(Path(folder) / "out.jsonl") as writer:
        ...         writer.append([{"row": 0}, {"row": 1}])
        ...     print(writer.path.read_text(), end="")
        {"row": 0}
        {"row": 1}
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: FileIO | None = None

    def append(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Append one batch; the first creates the file if it is not there."""
        data = b"".join(json.dumps(record, allow_nan=False).encode() + b"\n" for record in records)
        if self._file is None:
            self._file = self.path.open("ab", buffering=0)
        while data:
            data = data[self._file.write(data) :]
        os.fsync(self._file.fileno())

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._file is not None:
            self._file.close()
        cut_torn_line(self.path)


def next_file(out: Path, rank: int, processes: int) -> Path:
    """Return the file that a process is to append to, so that every file stays in the order of the rows.

    A single process goes on with the results themselves, unless parts of an interrupted run of several are about.

    Args:
        out: the results.
        rank: number of the process.
        processes: how many there are.
    """
    there = parts(out)
    if processes == 1 and not there:
        return out
    return part_file(out, rank + (int(there[-1].name.rpartition("-")[2]) + 1 if there else 0))


def read_lines(out: Path) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Read the records of results and their parts in the order of the rows, each with its line; each row once.

    What is appended after the call is not seen.

    Raises:
        InvalidArgument: a line that is not a result.
    """
    there = [(path, path.stat().st_size) for path in (out, *parts(out)) if path.exists()]
    files = [_numbered(path, size) for path, size in there]
    return _once(heapq.merge(*files, key=lambda entry: entry[0]))


def merge(out: Path) -> None:
    """Put results and parts into one file in the order of the rows."""
    there = parts(out)
    if not there:
        return

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            for _, line in read_lines(out):
                file.write(line)
            file.flush()
            os.fsync(file.fileno())  # the parts are removed afterwards

    write_atomically(out, write)
    for path in there:
        path.unlink()


def _once(lines: Iterable[tuple[int, dict[str, Any], bytes]]) -> Iterator[tuple[dict[str, Any], bytes]]:
    before = -1
    for row, record, line in lines:
        if row > before:  # an end between moving the merged file and removing its parts leaves rows in both
            yield record, line
        before = row


def _numbered(path: Path, size: int) -> Iterator[tuple[int, dict[str, Any], bytes]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            size -= len(line)
            if size < 0 or not line.endswith(b"\n"):
                return
            try:
                record = json.loads(line)
                row = int(record["row"])
            except (ValueError, KeyError, TypeError) as problem:
                raise InvalidArgument("out", f"{path}, line {number}", "results as a run writes them") from problem
            yield row, record, line
