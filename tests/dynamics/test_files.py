"""Files are complete or absent, whatever happened before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import portalocker
import pytest
from hypothesis import given, settings, strategies as st

from dynamics import InvalidArgument
from dynamics.files import JsonLines, lock, remove_unfinished_line, write_atomically


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
    with pytest.raises(InvalidArgument, match=r"^path: another process is writing .*; wait"):
        JsonLines(path)
    other.kill()  # not closed: the lock goes with the process
    other.communicate()
    with JsonLines(path) as file, pytest.raises(InvalidArgument, match="another process is writing"):
        JsonLines(file.path)
    JsonLines(path).close()


@given(st.binary(max_size=40), st.integers(0, 3))
@settings(deadline=None)
def test_what_follows_the_last_line_break_is_cut(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, more: int
) -> None:
    path = tmp_path_factory.mktemp("torn") / "out"
    data += b"x" * (more << 16)  # an unfinished line may be longer than what is read at once
    path.write_bytes(data)
    with path.open("rb+") as file:
        remove_unfinished_line(file)
    assert path.read_bytes() == data[: data.rfind(b"\n") + 1]


def test_one_process_holds_a_lock_until_it_ends_however_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    hold = "import sys; from dynamics.files import lock; from pathlib import Path\n"
    hold += "with lock(Path(sys.argv[1])): print('locked', flush=True); sys.stdin.read()"
    other = subprocess.Popen([sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"locked\n"
    with pytest.raises(BlockingIOError), lock(path):
        pass
    assert path.exists()  # the refused one does not remove the file of the other
    other.kill()
    other.communicate()
    assert path.exists()
    with lock(path), pytest.raises(BlockingIOError), lock(path):
        pass
    assert names(tmp_path) == set()


def test_a_lock_whose_file_was_removed_in_between_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Open, wait while the holder removes the file, then lock: a third process could lock a new file of that name."""
    path = tmp_path / "a.lock"
    real = portalocker.lock

    def late(file: Any, flags: Any) -> None:
        path.unlink()
        real(file, flags)

    monkeypatch.setattr(portalocker, "lock", late)
    with pytest.raises(BlockingIOError), lock(path):
        pass
