from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from dynamics import InvalidArgument
from dynamics.language_model.pair_audit.results.processes import Processes
from dynamics.language_model.pair_audit.results.store import FORMAT, Results

SETTINGS = {"model": "a", "dtype": "float32"}


def fill(results: Results, rows: list[int], processes: Processes | None = None) -> None:
    with results.writer(processes) as append:
        append({"row": row, "digest": str(row)} for row in rows)


def fill_part(results: Results, number: int, rows: list[int]) -> None:
    lines = (json.dumps({"row": row, "digest": str(row)}) + "\n" for row in rows)
    results.part(number).write_text("".join(lines), encoding="utf-8")


def rows(results: Results) -> list[int]:
    return [record["row"] for record in results.read()]


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "out.jsonl")


def test_a_batch_is_whole_lines(results: Results) -> None:
    fill(results, [0, 1])
    fill(results, [2])
    assert results.path.read_text(encoding="utf-8").splitlines()[2] == '{"row": 2, "digest": "2"}'
    with results.writer() as append, pytest.raises(ValueError, match="not JSON compliant"):
        append([{"row": 3}, {"row": 4, "norm": float("nan")}])
    assert rows(results) == [0, 1, 2]


def test_settings_are_written_once_and_compared(results: Results) -> None:
    for _ in range(2):
        with results.begin(SETTINGS):
            pass
        assert json.loads(results.settings_path.read_text(encoding="utf-8")) == {"format": FORMAT, **SETTINGS}
        assert results.read_settings() == SETTINGS
    with pytest.raises(InvalidArgument, match="model was a and is b"), results.begin({**SETTINGS, "model": "b"}):
        pass
    with pytest.raises(InvalidArgument, match="loss was None and is dpo"), results.begin({**SETTINGS, "loss": "dpo"}):
        pass
    results.settings_path.write_text("{", encoding="utf-8")
    with pytest.raises(InvalidArgument, match="cannot be read as the settings"), results.begin(SETTINGS):
        pass


def test_a_file_of_somebody_else_is_not_touched(tmp_path: Path) -> None:
    out = tmp_path / "notes.txt"
    out.write_text("dear diary", encoding="utf-8")
    with pytest.raises(InvalidArgument, match="no audit wrote it"), Results(out).begin(SETTINGS):
        pass
    assert out.read_text(encoding="utf-8") == "dear diary"
    assert names(tmp_path) == ["notes.txt"]


@given(st.lists(st.sets(st.integers(0, 30)), max_size=4))
@settings(deadline=None)
def test_parts_are_merged_in_the_order_of_rows_and_each_row_once(
    tmp_path_factory: pytest.TempPathFactory, written: list[set[int]]
) -> None:
    results = Results(tmp_path_factory.mktemp("parts") / "out[1].jsonl")
    for number, some in enumerate(written):
        if number == 0:
            fill(results, sorted(some))
        else:
            fill_part(results, number * 7, sorted(some))
    wanted = sorted(set().union(*written))
    assert rows(results) == wanted
    results.merge()
    assert rows(results) == wanted
    assert results.parts() == []


def test_every_run_of_several_processes_begins_files_of_its_own(results: Results, tmp_path: Path) -> None:
    fill(results, [0])
    assert names(tmp_path) == ["out.jsonl"]
    both = [Processes(rank, 2) for rank in (0, 1)]
    with results.writer(both[0]) as first, results.writer(both[1]) as second:
        second([{"row": 2}])
        first([{"row": 1}])
        assert [path.name for path in results.parts()] == ["out.jsonl.part-0", "out.jsonl.part-1"]
    assert names(tmp_path) == ["out.jsonl"]  # merged
    fill_part(results, 10, [4])
    fill(results, [6], Processes(1, 2))  # the second process leaves the merging to the first
    assert results.parts()[-1].name == "out.jsonl.part-12"
    with results.writer() as append:  # a process alone, beside parts that an interrupted run left
        append([{"row": 5}])
        assert results.parts()[-1].name == "out.jsonl.part-13"
    assert names(tmp_path) == ["out.jsonl"]
    assert rows(results) == [0, 1, 2, 4, 5, 6]


def test_an_interrupted_run_merges_nothing(results: Results, tmp_path: Path) -> None:
    def interrupted() -> None:
        with results.writer(Processes(0, 2)) as append:
            append([{"row": 1}])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert names(tmp_path) == ["out.jsonl.part-0"]
    assert rows(results) == [1]


def test_lines_that_come_after_the_call_are_not_seen_nor_is_a_torn_one(results: Results) -> None:
    fill(results, [0])
    lines = results.read()
    fill(results, [1])
    fill_part(results, 0, [2])
    assert [record["row"] for record in lines] == [0]
    with results.path.open("ab") as file:
        file.write(b'{"row": 5')
    assert rows(results) == [0, 1, 2]


def test_a_torn_line_is_cut_off_before_a_run_continues(results: Results) -> None:
    with results.begin(SETTINGS):
        fill(results, [0])
        fill_part(results, 3, [1])
    for path in (results.path, results.part(3)):
        with path.open("ab") as file:
            file.write(b'{"row": 5')
    with results.begin(SETTINGS):
        assert results.path.read_bytes().endswith(b"}\n")
        assert results.part(3).read_bytes().endswith(b"}\n")
    assert rows(results) == [0, 1]


def test_a_line_that_is_no_result_is_named(results: Results) -> None:
    results.path.write_text('{"row": 0}\n{"line": 1}\n', encoding="utf-8")
    with pytest.raises(InvalidArgument, match=r"out.jsonl, line 2, is not a line"):
        rows(results)


def test_changed_data_and_changed_settings_are_told_apart(results: Results) -> None:
    with results.begin({"data": "a" * 64, "batch": 8}):
        pass
    for changed, told in (
        ({"data": "b" * 64, "batch": 8}, r"\(the data are not those of that run\)"),
        ({"data": "a" * 64, "batch": 4}, r"\(batch was 8 and is 4\)"),
    ):
        with pytest.raises(InvalidArgument, match=told), results.begin(changed):
            pass


def test_one_run_at_a_time(results: Results, tmp_path: Path) -> None:
    with results.begin(SETTINGS):
        with pytest.raises(InvalidArgument, match="another run is writing"), results.begin(SETTINGS):
            pass
        assert rows(results) == []
    with results.begin(SETTINGS):
        assert "out.jsonl.lock" in names(tmp_path)
    assert names(tmp_path) == ["out.jsonl", "out.jsonl.settings.json"]


def test_numbers_that_json_does_not_know_are_refused_and_the_old_summary_stays(results: Results) -> None:
    results.write_summary({"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        results.write_summary({"a": float("nan")})
    assert json.loads(results.summary_path.read_text(encoding="utf-8")) == {"a": 1}


def test_the_processes_that_are_not_the_first_wait_for_it(results: Results, tmp_path: Path) -> None:
    waited: list[list[str]] = []
    second = Processes(1, 2, wait=lambda: waited.append(names(tmp_path)))
    with results.begin(SETTINGS, second):
        pass
    assert waited == [[]]
    assert names(tmp_path) == []


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refused_after(results: Results, work: Callable[[], object]) -> None:
    """Begin a run, let it do something and then refuse it."""

    def run() -> None:
        with results.begin(SETTINGS):
            work()
            raise InvalidArgument("one", "a", "b")

    with pytest.raises(InvalidArgument, match="one: got a"):
        run()


def test_what_is_refused_before_a_row_leaves_nothing_behind(results: Results, tmp_path: Path) -> None:
    seen: list[list[str]] = []
    for _ in range(2):
        refused_after(results, lambda: seen.append(names(tmp_path)))
        assert names(tmp_path) == []
    assert seen == [["out.jsonl", "out.jsonl.lock", "out.jsonl.settings.json"]] * 2


def test_what_is_refused_after_a_row_keeps_it(results: Results) -> None:
    refused_after(results, lambda: fill(results, [0]))
    assert rows(results) == [0]
    with pytest.raises(InvalidArgument, match="model was a and is b"), results.begin({**SETTINGS, "model": "b"}):
        pass
    assert rows(results) == [0]
    assert results.read_settings() == SETTINGS


def test_the_part_of_another_process_keeps_what_is_refused_in_the_first(results: Results) -> None:
    refused_after(results, lambda: fill_part(results, 1, [3]))
    assert rows(results) == [3]
    assert results.settings_path.exists()


def test_an_empty_file_that_was_there_stays(results: Results, tmp_path: Path) -> None:
    results.path.touch()
    refused_after(results, lambda: None)
    assert names(tmp_path) == ["out.jsonl"]


def test_nothing_is_written_where_there_is_no_folder_and_for_a_look(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"the folder .*deep does not exist"):
        Results(tmp_path / "deep" / "out.jsonl").read_settings()
    with pytest.raises(InvalidArgument, match="is a folder; give the name of a file in it"):
        Results(tmp_path).read_settings()
    assert Results(tmp_path / "out.jsonl").read_settings() is None
    assert names(tmp_path) == []


def test_results_of_an_earlier_format_are_refused_and_kept(results: Results) -> None:
    fill(results, [0])
    for before in (SETTINGS, {**SETTINGS, "format": FORMAT + 1}):
        results.settings_path.write_text(json.dumps(before), encoding="utf-8")
        with (
            pytest.raises(InvalidArgument, match=rf"in format {before.get('format', 1)}, and this version writes"),
            results.begin(SETTINGS),
        ):
            pass
    assert rows(results) == [0]


def test_a_writer_that_writes_nothing_makes_no_file(results: Results, tmp_path: Path) -> None:
    with results.writer():
        pass
    assert names(tmp_path) == []
