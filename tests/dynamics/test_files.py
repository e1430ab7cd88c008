"""Files are whole or not there, whatever happened before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dynamics.files import write_atomically


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    for problem in (OSError(28, "No space left on device"), KeyboardInterrupt()):

        def fail(temporary: Path, problem: BaseException = problem) -> None:
            temporary.write_text("half")
            raise problem

        with pytest.raises(type(problem)):
            write_atomically(path, fail)
        assert path.read_text() == "old"
    assert names(tmp_path) == {"a.txt"}


def test_while_writing_the_old_file_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def look(temporary: Path) -> None:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.suffix == ".txt"
        assert temporary.parent == path.parent

    write_atomically(path, look)
    assert path.read_text() == "new"


def test_what_a_killed_process_left_is_removed_and_what_another_writes_is_not(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    alive = os.getppid()
    kept = {f".a[1].txt.{alive}.txt", f".b.txt.{ended.pid}.txt", ".a[1].txt.notes.txt"}
    for name in (*kept, f".a[1].txt.{ended.pid}.txt"):
        (tmp_path / name).write_text("half")
    write_atomically(tmp_path / "a[1].txt", lambda temporary: temporary.write_text("whole"))
    assert names(tmp_path) == {*kept, "a[1].txt"}


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "no" / "a.txt", lambda temporary: temporary.write_text(""))
