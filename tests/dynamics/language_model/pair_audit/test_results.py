from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from dynamics import InvalidArgument
from dynamics.language_model.pair_audit.results import (
    FORMAT,
    Writer,
    begun,
    cut_torn_line,
    locked,
    look,
    merge,
    next_file,
    part_file,
    parts,
    prepare,
    read_lines,
    settings_file,
    write_json,
)

SETTINGS = {"model": "a", "dtype": "float32"}


def fill(path: Path, rows: list[int]) -> None:
    with Writer(path) as writer:
        writer.append({"row": row, "digest": str(row)} for row in rows)


def rows(out: Path) -> list[int]:
    return [record["row"] for record, _ in read_lines(out)]


@given(st.binary(max_size=40), st.integers(0, 3))
@settings(deadline=None)
def test_what_follows_the_last_line_break_is_cut(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, more: int
) -> None:
    path = tmp_path_factory.mktemp("torn") / "out"
    data += b"x" * (more << 16)  # a torn line may be longer than what is read at once
    path.write_bytes(data)
    cut_torn_line(path)
    assert path.read_bytes() == data[: data.rfind(b"\n") + 1]


def test_a_batch_is_whole_lines(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    fill(out, [0, 1])
    fill(out, [2])
    assert out.read_text(encoding="utf-8").splitlines()[2] == '{"row": 2, "digest": "2"}'
    with Writer(out) as writer, pytest.raises(ValueError, match="not JSON compliant"):
        writer.append([{"row": 3}, {"row": 4, "norm": float("nan")}])
    assert rows(out) == [0, 1, 2]


def test_settings_are_written_once_and_compared(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    prepare(out, SETTINGS)
    assert json.loads(settings_file(out).read_text(encoding="utf-8")) == {"format": FORMAT, **SETTINGS}
    prepare(out, SETTINGS)
    with pytest.raises(InvalidArgument, match="model was a and is b"):
        prepare(out, {**SETTINGS, "model": "b"})
    with pytest.raises(InvalidArgument, match="loss was None and is dpo"):
        prepare(out, {**SETTINGS, "loss": "dpo"})
    settings_file(out).write_text("{", encoding="utf-8")
    with pytest.raises(InvalidArgument, match="settings as a run writes them"):
        prepare(out, SETTINGS)


def test_a_file_of_somebody_else_is_not_touched(tmp_path: Path) -> None:
    out = tmp_path / "notes.txt"
    out.write_text("dear diary", encoding="utf-8")
    with pytest.raises(InvalidArgument, match="without"):
        prepare(out, SETTINGS)
    assert out.read_text(encoding="utf-8") == "dear diary"
    assert not settings_file(out).exists()


@given(st.lists(st.sets(st.integers(0, 30)), max_size=4))
@settings(deadline=None)
def test_parts_are_merged_in_the_order_of_rows_and_each_row_once(
    tmp_path_factory: pytest.TempPathFactory, written: list[set[int]]
) -> None:
    out = tmp_path_factory.mktemp("parts") / "out[1].jsonl"
    for number, some in enumerate(written):
        fill(out if number == 0 else part_file(out, number * 7), sorted(some))
    wanted = sorted(set().union(*written))
    assert rows(out) == wanted
    merge(out)
    assert rows(out) == wanted
    assert parts(out) == []


def test_every_run_of_several_processes_begins_files_of_its_own(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert next_file(out, 0, 1) == out
    assert [next_file(out, rank, 2) for rank in (0, 1)] == [part_file(out, 0), part_file(out, 1)]
    fill(part_file(out, 9), [3])
    fill(part_file(out, 10), [4])
    assert next_file(out, 0, 1) == part_file(out, 11)
    assert [next_file(out, rank, 2) for rank in (0, 1)] == [part_file(out, 11), part_file(out, 12)]


def test_lines_that_come_after_the_call_are_not_seen_nor_is_a_torn_one(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    fill(out, [0])
    lines = read_lines(out)
    fill(out, [1])
    fill(part_file(out, 0), [2])
    assert [record["row"] for record, _ in lines] == [0]
    with out.open("ab") as file:
        file.write(b'{"row": 5')
    assert rows(out) == [0, 1, 2]


def test_a_line_that_is_no_result_is_named(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text('{"row": 0}\n{"line": 1}\n', encoding="utf-8")
    with pytest.raises(InvalidArgument, match="line 2"):
        rows(out)


def test_one_run_at_a_time(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with locked(out), pytest.raises(InvalidArgument, match="no other run"), locked(out):
        pass
    with locked(out):
        pass


def test_numbers_that_json_does_not_know_are_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["summary.json"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refused_after(out: Path, work: Callable[[], object]) -> None:
    """Begin a run, let it do something and then refuse it."""

    def run() -> None:
        with begun(out, SETTINGS):
            work()
            raise InvalidArgument("one", "a", "b")

    with pytest.raises(InvalidArgument, match="one: got a"):
        run()


def test_what_is_refused_before_a_row_leaves_nothing_behind(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    seen: list[list[str]] = []
    for _ in range(2):
        refused_after(out, lambda: seen.append(names(tmp_path)))
        assert names(tmp_path) == []
    assert seen == [["out.jsonl", "out.jsonl.settings.json"]] * 2


def test_what_is_refused_after_a_row_keeps_it(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    refused_after(out, lambda: fill(out, [0]))
    assert rows(out) == [0]
    with pytest.raises(InvalidArgument, match="model was a and is b"), begun(out, {**SETTINGS, "model": "b"}):
        pass
    assert rows(out) == [0]
    assert look(out) == {"format": FORMAT, **SETTINGS}


def test_the_part_of_another_process_keeps_what_is_refused_in_the_first(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    refused_after(out, lambda: fill(part_file(out, 1), [3]))
    assert rows(out) == [3]
    assert settings_file(out).exists()


def test_an_empty_file_that_was_there_stays(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.touch()
    refused_after(out, lambda: None)
    assert names(tmp_path) == ["out.jsonl"]


def test_nothing_is_written_where_there_is_no_folder_and_for_a_look(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="whose folder is not there; allowed: a file in a folder that exists"):
        look(tmp_path / "deep" / "out.jsonl")
    with pytest.raises(InvalidArgument, match="out: got a folder"):
        look(tmp_path)
    assert look(tmp_path / "out.jsonl") is None
    assert names(tmp_path) == []


def test_results_of_an_earlier_format_are_refused_and_kept(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    fill(out, [0])
    for before in (SETTINGS, {**SETTINGS, "format": FORMAT + 1}):
        write_json(settings_file(out), before)
        with pytest.raises(InvalidArgument, match=rf"in format {before.get('format', 1)}; allowed: a new file"):
            prepare(out, SETTINGS)
    assert rows(out) == [0]


def test_a_writer_that_writes_nothing_makes_no_file(tmp_path: Path) -> None:
    with Writer(tmp_path / "out.jsonl"):
        pass
    assert names(tmp_path) == []
