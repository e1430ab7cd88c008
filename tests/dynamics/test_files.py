"""Files are complete or absent, whatever happened before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dynamics import InvalidArgument
from dynamics.files import JsonLines, write_atomically


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


def test_lines_are_appended_and_a_line_cut_short_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.jsonl"
    with JsonLines(path) as file:
        assert file.read() == ([], b"")
        file.append({"a": 1})
        file.append([2.5, "é"])
    with path.open("ab") as raw:
        raw.write(b'{"half": ')
    with JsonLines(path) as file:
        assert file.read() == ([{"a": 1}, [2.5, "é"]], b'{"half": ')
        file.remove_rest()
        file.append(3)
    assert path.read_bytes() == b'{"a": 1}\n[2.5, "\\u00e9"]\n3\n'


def test_a_second_writer_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    hold = "import sys; from dynamics.files import JsonLines; from pathlib import Path\n"
    hold += "file = JsonLines(Path(sys.argv[1])); print('locked', flush=True); sys.stdin.read()"
    other = subprocess.Popen([sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"locked\n"
    with pytest.raises(InvalidArgument, match=r"^path: .*no other process is writing"):
        JsonLines(path)
    other.kill()  # not closed: the lock goes with the process
    other.communicate()
    with JsonLines(path) as file, pytest.raises(InvalidArgument, match="no other process"):
        JsonLines(file.path)
    JsonLines(path).close()
