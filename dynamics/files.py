"""Files that survive an interruption: written as a whole or not at all, or appended to line by line under a lock."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

import portalocker
import psutil

from dynamics.errors import InvalidArgument


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it: a reader sees the old file or the new one.

    Temporary files of earlier attempts whose process has ended are removed.

    Args:
        path: the file; its folder must exist.
        write: writes the temporary file whose path it is given, which has the suffix of ``path``.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomically(Path(folder) / "a.txt", lambda temporary: temporary.write_text("whole"))
        ...     [(found.name, found.read_text()) for found in Path(folder).iterdir()]
        [('a.txt', 'whole')]
    """
    for left in path.parent.glob(glob.escape(f".{path.name}.") + "*"):
        process = left.name.removesuffix(path.suffix).rpartition(".")[2]
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            left.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{path.suffix}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold a lock file during a ``with`` block, and remove it afterwards.

    The lock belongs to the operating system (``portalocker``) and ends with the process, however the process ends. A
    lock file that a killed process left behind is therefore no obstacle.

    Args:
        path: the lock file; its folder must exist.

    Raises:
        BlockingIOError: another process holds the lock.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with lock(Path(folder) / "a.lock"):
        ...         print([found.name for found in Path(folder).iterdir()])
        ...     print([found.name for found in Path(folder).iterdir()])
        ['a.lock']
        []
    """
    with path.open("ab") as file:
        try:
            portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
            if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
                raise portalocker.LockException("the process that held the lock has just removed its file")
        except portalocker.LockException as problem:
            raise BlockingIOError(f"another process holds {path}") from problem
        try:
            yield
        finally:
            with suppress(PermissionError):  # Windows refuses to remove an open file; it is removed below
                path.unlink(missing_ok=True)
            portalocker.unlock(file)
    with suppress(PermissionError):  # another process may have opened the file by now; then it stays
        if os.name == "nt":
            path.unlink(missing_ok=True)


def remove_unfinished_line(file: BinaryIO) -> None:
    """Cut off what follows the last line break of a file: a line that was being written when a process ended.

    Args:
        file: a binary file, open for reading and writing. Only its end is read.
    """
    size = end = file.seek(0, os.SEEK_END)
    whole = 0
    while end > 0 and whole == 0:
        start = max(0, end - (1 << 16))
        file.seek(start)
        place = file.read(end - start).rfind(b"\n")
        whole, end = start + place + 1 if place >= 0 else 0, start
    if whole < size:
        file.truncate(whole)


class JsonLines:
    """An append-only file of JSON lines, locked against a second writer as long as it is open.

    Each line is on the disk before the next one is begun, so that an interruption loses at most the line that was being
    written. The operating system holds the lock (``portalocker``) and releases it when the process ends, however it
    ends.

    Args:
        path: the file; created, with its folder, if it does not exist.

    Raises:
        InvalidArgument: a file that another process is writing.
        OSError: a file that cannot be opened.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with JsonLines(Path(folder) / "a.jsonl") as file:
        ...         file.append({"row": 0})
        ...         file.read()
        ([{'row': 0}], b'')
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file: BinaryIO = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)), "r+b")
        try:
            portalocker.lock(self._file, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
        except portalocker.LockException:
            self._file.close()
            raise InvalidArgument(
                "path", f"another process is writing {path}; wait until it ends, or use another file"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unlock and close the file."""
        portalocker.unlock(self._file)
        self._file.close()

    def read(self) -> tuple[list[Any], bytes]:
        """Return the rows of the complete lines, and what follows the last of them: the rest of an incomplete line.

        Raises:
            ValueError: a complete line that is not JSON.
        """
        self._file.seek(0)
        whole, line_break, rest = self._file.read().rpartition(b"\n")
        return [json.loads(line) for line in (whole + line_break).splitlines()], rest

    def remove_rest(self) -> None:
        """Remove what stands after the last whole line."""
        remove_unfinished_line(self._file)

    def append(self, row: Any) -> None:
        """Append one row and wait until it is on the disk."""
        self._file.seek(0, os.SEEK_END)
        self._file.write(json.dumps(row).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
