"""Files that are whole or not there."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from pathlib import Path


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it: a reader sees all of it or nothing.

    What a killed process left of an earlier attempt is removed.

    Args:
        path: where the file is to be; its folder must be there.
        write: writes the temporary file whose path it is given, which has the suffix of ``path``.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomically(Path(folder) / "a.txt", lambda temporary: temporary.write_text("whole"))
        ...     [(found.name, found.read_text()) for found in Path(folder).iterdir()]
        [('a.txt', 'whole')]
    """
    for left in path.parent.glob(glob.escape(f".{path.name}.") + "*"):
        if not _runs(left.name.removesuffix(path.suffix).rpartition(".")[2]):
            left.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{path.suffix}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _runs(process: str) -> bool:
    """Return whether a process of this number may be running; what is no number is not ours, and left alone."""
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OSError):
        return True
    return True
