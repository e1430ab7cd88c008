"""Objects that are read back from the files of an audit, which another version may have written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dynamics.errors import InvalidArgument

BESIDE = (".set", ".batch", ".pushes", ".sketch")
"""Ends of the names of files that an audit computes again if they are not there."""


class StoredRecord(dict[str, Any]):
    """A JSON object of a file of an audit. Reading a key that it lacks is an error that says so.

    ``get`` and ``in`` are those of every dictionary, for keys that need not be there.

    Example:
        >>> StoredRecord({"row": 3}, Path("audit.jsonl"))["cosine"]
        Traceback (most recent call last):
            ...
        dynamics.errors.InvalidArgument: results: audit.jsonl, which another version of this program wrote, lacks...
    """

    __slots__ = ("_file",)

    def __init__(self, values: Mapping[str, Any], file: Path) -> None:
        super().__init__(values)
        self._file = file

    def __missing__(self, key: str) -> Any:
        """Refuse a key that is not there.

        Raises:
            InvalidArgument: always; the sentence says how the file is made again.
        """
        why = f"{self._file}, which another version of this program wrote, lacks {key!r}"
        raise InvalidArgument("results", f"{why}; {_remedy(self._file)}")

    def __or__(self, other: Mapping[str, Any]) -> StoredRecord:  # type: ignore[override]
        """Return the union, which still knows its file."""
        return StoredRecord({**self, **other}, self._file)


def read_json(text: str | bytes, file: Path) -> Any:
    """Return what a text in JSON says, with every object, also inside of others, as a ``StoredRecord``.

    Args:
        text: the text.
        file: where it stands, for errors.

    Raises:
        ValueError: the text is not JSON.
    """
    return json.loads(text, object_hook=lambda values: StoredRecord(values, file))


def _remedy(file: Path) -> str:
    if file.name.endswith(".summary.json"):
        return "run the same pairs command again, which computes no finished row again and writes a new summary"
    if file.name.endswith(BESIDE):
        return "remove the file and run the same pairs command again, which computes only what is missing"
    return "run the same pairs command again with the name of a new file (--out)"
