"""The results of an audit on the disk: one JSON line for each row, with the settings and the summary beside them."""

from __future__ import annotations

import glob
import heapq
import json
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynamics.errors import InvalidArgument
from dynamics.files import lock, remove_unfinished_line, write_atomically
from dynamics.language_model.pair_audit.results.processes import Processes
from dynamics.language_model.pair_audit.results.stored import StoredRecord, read_json

FORMAT = 6
"""Version of the lines and of how rows are read. 6: responses of several turns, chats tokenised in two ways."""
OF_DIGEST = {"model": " (of its weights, tokenizer and chat template, one of which is another)"}
"""What to say of a setting that is a digest, which tells a reader nothing by itself."""

Append = Callable[[Iterable[Mapping[str, Any]]], None]
"""Appends the lines of one batch, and returns when they are on the disk."""


@dataclass(frozen=True)
class Results:
    """The results of an audit: a file of JSON lines that grows, is resumed after an interruption, and is never torn.

    Beside ``audit.jsonl`` stand ``audit.jsonl.settings.json`` (what the results depend on) and, at the end,
    ``audit.jsonl.summary.json``. Several processes write ``audit.jsonl.part-0``, ``.part-1``, ... until ``merge`` makes
    one file of them. ``audit.jsonl.lock`` is there during a run.

    Attributes:
        path: the file of the lines.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     results = Results(Path(folder) / "audit.jsonl")
        ...     with results.begin({"loss": "DPO"}), results.writer() as append:
        ...         append([{"row": 0}, {"row": 1}])
        ...     print(results.path.read_text(), end="")
        {"row": 0}
        {"row": 1}
    """

    path: Path

    @property
    def settings_path(self) -> Path:
        """Return the file of the settings."""
        return self.path.with_name(f"{self.path.name}.settings.json")

    @property
    def summary_path(self) -> Path:
        """Return the file of the summary."""
        return self.path.with_name(f"{self.path.name}.summary.json")

    def part(self, number: int) -> Path:
        """Return the file of one part."""
        return self.path.with_name(f"{self.path.name}.part-{number}")

    def parts(self) -> list[Path]:
        """Return the parts that exist, in the order of their numbers."""
        found = self.path.parent.glob(f"{glob.escape(self.path.name)}.part-*")
        return sorted((path for path in found if path.name.rpartition("-")[2].isdecimal()), key=_number)

    def read_settings(self) -> dict[str, Any] | None:
        """Return the settings of results that exist, or None if there are no results yet. Nothing is written.

        Raises:
            InvalidArgument: the path is a folder, or its folder does not exist or cannot be written; the file exists
                and no audit wrote it; the results have the format of another version.
        """
        path = self.path
        if path.is_dir():
            raise InvalidArgument("out", f"{path} is a folder; give the name of a file in it")
        beside = self.settings_path
        if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
            why = "cannot be written" if path.parent.is_dir() else "does not exist"
            raise InvalidArgument("out", f"{path}: the folder {path.parent} {why}")
        if not beside.exists():
            if (path.exists() and path.stat().st_size) or self.parts():
                raise InvalidArgument(
                    "out", f"{path} exists, but not {beside.name}: no audit wrote it; give the name of a new file"
                )
            return None
        try:
            settings = StoredRecord(read_json(beside.read_text(encoding="utf-8"), beside), beside)
        except (ValueError, TypeError) as problem:
            raise InvalidArgument(
                "out", f"{beside} cannot be read as the settings of an audit; give the name of a new file"
            ) from problem
        version = settings.pop("format", 1)
        if version != FORMAT:
            raise InvalidArgument(
                "out",
                f"{path} has results in format {version}, and this version writes format {FORMAT}; give the name of a "
                "new file",
            )
        return settings

    @contextmanager
    def begin(self, settings: Mapping[str, Any], processes: Processes | None = None) -> Iterator[None]:
        """Lock the results during a ``with`` block; begin them, or make sure that this run may continue them.

        A line that an earlier run left unfinished is cut off. If the block raises before any row is written, nothing is
        left behind. Of several processes the first does all this, and the others wait for it.

        Args:
            settings: what the results depend on; they are written when the results begin, and compared afterwards.
            processes: this process among those that share the work; alone if not given.

        Raises:
            InvalidArgument: another run is writing the results; they were made with other settings; or what
                ``read_settings`` refuses.
        """
        mine = processes or Processes()
        if mine.rank != 0:
            mine.wait()
            yield
            return
        self.read_settings()  # refuses a folder that is not there, before a lock is put into it
        with ExitStack() as stack:
            try:
                stack.enter_context(lock(self.path.with_name(f"{self.path.name}.lock")))
            except BlockingIOError:
                raise InvalidArgument(
                    "out", f"another run is writing {self.path}; wait until it ends, or give the name of another file"
                ) from None
            made = [path for path in (self.path, self.settings_path) if not path.exists()]
            try:
                self._prepare(settings)
                mine.wait()
                yield
            except Exception:
                if not self.parts() and not self.path.stat().st_size:
                    for path in made:
                        path.unlink(missing_ok=True)
                raise

    def read(self) -> Generator[dict[str, Any], None, None]:
        """Return an iterator over the lines of the results and their parts, in the order of the rows, each row once.

        Lines that are appended after this call are not seen.

        Raises:
            InvalidArgument: a line that is not a result.
        """
        lines = self._lines()

        def records() -> Generator[dict[str, Any], None, None]:
            with closing(lines):
                for record, _ in lines:
                    yield record

        return records()

    @contextmanager
    def writer(self, processes: Processes | None = None) -> Iterator[Append]:
        """Give a ``with`` block a function that appends the lines of one batch; after the block the parts are merged.

        The lines of a batch are written in one piece and are on the disk before the function returns. A single process
        continues the file itself, unless parts of an interrupted run exist; several processes write new parts, so that
        each file stays in the order of the rows. The file is made with the first batch.

        Args:
            processes: this process among those that share the work; alone if not given.
        """
        mine, there = processes or Processes(), self.parts()
        place = self.path
        if mine.count > 1 or there:
            place = self.part(mine.rank + (_number(there[-1]) + 1 if there else 0))
        mine.wait()  # until every process has looked for parts
        with ExitStack() as stack:
            opened: list[Any] = []

            def append(records: Iterable[Mapping[str, Any]]) -> None:
                data = b"".join(json.dumps(record, allow_nan=False).encode() + b"\n" for record in records)
                if not opened:
                    opened.append(stack.enter_context(place.open("ab", buffering=0)))
                while data:
                    data = data[opened[0].write(data) :]
                os.fsync(opened[0].fileno())

            try:
                yield append
            finally:
                stack.close()
                _remove_unfinished_line(place)
        mine.wait()  # until every process has written its part
        if mine.rank == 0:
            self.merge()
        mine.wait()

    def merge(self) -> None:
        """Merge the results and their parts into one file, in the order of the rows."""
        there = self.parts()
        if not there:
            return

        def write(temporary: Path) -> None:
            with temporary.open("wb") as file:
                file.writelines(line for _, line in self._lines())
                file.flush()
                os.fsync(file.fileno())  # the parts are removed afterwards

        write_atomically(self.path, write)
        for path in there:
            path.unlink()

    def read_summary(self) -> dict[str, Any] | None:
        """Return the summary, or None if the audit has not come to its end.

        Raises:
            InvalidArgument: the file is not a summary.
        """
        place = self.summary_path
        if not place.is_file():
            return None
        try:
            return StoredRecord(read_json(place.read_text(encoding="utf-8"), place), place)
        except (ValueError, TypeError) as problem:
            why = f"{place} cannot be read as the summary of an audit; remove it and run the same pairs command again"
            raise InvalidArgument("results", why) from problem

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write the summary, whole or not at all."""
        _write_json(self.summary_path, summary)

    def _prepare(self, settings: Mapping[str, Any]) -> None:
        before, settings = self.read_settings(), json.loads(json.dumps(settings))
        if before is None:
            _write_json(self.settings_path, {"format": FORMAT, **settings})
        elif before != settings:
            changed = [key for key in {**settings, **before} if settings.get(key) != before.get(key)]
            told = "; ".join(
                "the data are not those of that run"
                if key == "data"  # a digest, which tells a reader nothing
                else f"{key} was {before.get(key)} and is {settings.get(key)}{OF_DIGEST.get(key, '')}"
                for key in changed
            )
            raise InvalidArgument(
                "out",
                f"{self.path} has the results of another run ({told}); give the name of another file, or the same "
                "data and settings",
            )
        self.path.touch()
        for path in (self.path, *self.parts()):
            _remove_unfinished_line(path)

    def _lines(self) -> Generator[tuple[dict[str, Any], bytes], None, None]:
        """Return an iterator over the records with their lines; where the files end is looked up now."""
        sizes = [(path, path.stat().st_size) for path in (self.path, *self.parts()) if path.exists()]

        def lines() -> Generator[tuple[dict[str, Any], bytes], None, None]:
            with ExitStack() as stack:  # all files are closed when this ends: Windows replaces no file that is open
                files = [_records(path, stack.enter_context(path.open("rb")), size) for path, size in sizes]
                last = -1
                for row, record, line in heapq.merge(*files, key=lambda entry: entry[0]):
                    if row > last:  # after an end between merging and removing the parts, a row stands in both
                        yield record, line
                    last = row

        return lines()


def _records(path: Path, file: Iterable[bytes], size: int) -> Iterator[tuple[int, dict[str, Any], bytes]]:
    """Yield row, record and line of a file, up to a size that it had before."""
    for number, line in enumerate(file, start=1):
        size -= len(line)
        if size < 0 or not line.endswith(b"\n"):
            return
        try:
            record = read_json(line, path)
            row = int(record["row"])
        except (ValueError, KeyError, TypeError) as problem:
            raise InvalidArgument(
                "out", f"{path}, line {number}, is not a line of an audit's results; give another file"
            ) from problem
        yield row, record, line


def _remove_unfinished_line(path: Path) -> None:
    if path.exists():
        with path.open("rb+") as file:
            remove_unfinished_line(file)


def _number(part: Path) -> int:
    return int(part.name.rpartition("-")[2])


def _write_json(path: Path, content: object) -> None:
    """Write JSON, whole or not at all; numbers that JSON does not know (NaN, infinities) are refused."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
