from __future__ import annotations

import gc
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from dynamics import InvalidArgument
from dynamics.language_model.pair_audit.reading import json_records
from dynamics.language_model.pair_audit.reading.columns import find_reading
from dynamics.language_model.pair_audit.reading.data import PairSource, check_rows, make_row, open_pairs
from dynamics.language_model.pair_audit.reading.records import Record
from dynamics.language_model.pair_audit.reading.rows import Pair
from tests.dynamics.language_model.saved import products, write_lines

GOOD = {"prompt": "7 x 8 = ", "chosen": "56", "rejected": "54"}
USER = {"role": "user", "content": "7 x 8?"}
CHAT = {side: [USER, {"role": "assistant", "content": text}] for side, text in (("chosen", "56"), ("rejected", "54"))}


def problems(source: PairSource) -> dict[str, str]:
    return {row.place: row.problem for row in source.read() if row.pair is None}


def test_broken_lines_are_told_by_their_number_and_the_others_are_read(tmp_path: Path) -> None:
    lines = [
        GOOD,
        '{"prompt": "a", ',
        b'{"prompt": "\xff"}',
        "",
        "[1, 2]",
        "3",
        {"prompt": "a", "chosen": "b"},
        "[" * 100_000,
        {**GOOD, "prompt": "9 \u00d7 6 \u2028 \U0001f600"},
    ]
    source = open_pairs(write_lines(tmp_path / "pairs.jsonl", lines))
    found = problems(source)
    assert [row.number for row in source.read()] == [0, 1, 2, 4, 5, 6, 7, 8]  # a blank line is no row, but counts
    assert [row.place for row in source.read() if row.pair] == ["line 1", "line 9"]
    assert found["line 2"].startswith("not JSON: ")
    assert "byte 13 of the line is not UTF-8" in found["line 3"]
    assert "row: this is not an object with the columns prompt, chosen, rejected: [" in found["line 5"]
    assert "row: this is not an object with the columns prompt, chosen, rejected: 3" in found["line 6"]
    assert "there is no column rejected" in found["line 7"]
    assert "nested too deeply" in found["line 8"]
    *_, last = source.read()
    assert last.pair == Pair("9 \u00d7 6 \u2028 \U0001f600", "56", "54")
    assert source.rows == 9


def test_line_endings_a_byte_order_mark_and_a_missing_last_line_break_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    plain = write_lines(path, [GOOD, GOOD])
    wanted = [(row.pair, row.digest) for row in open_pairs(plain).read()]
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode() + b"\r\n" + json.dumps(GOOD).encode())
    assert [(row.pair, row.digest) for row in open_pairs(path).read()] == wanted
    assert open_pairs(path).rows == 2


def test_parquet_and_a_folder_hold_what_the_lines_hold(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    records: list[dict[str, Any]] = [*products(300), {**GOOD, "chosen": ""}]
    lines = list(open_pairs(write_lines(tmp_path / "pairs.jsonl", records)).read())
    parquet.write_table(
        arrow.Table.from_pylist([{**r, "id": n} for n, r in enumerate(records)]), tmp_path / "p.parquet"
    )
    source = open_pairs(str(tmp_path / "p.parquet"))
    found = list(source.read())
    assert source.rows == 301
    assert [(r.number, r.digest, r.pair, r.problem) for r in found] == [
        (r.number, r.digest, r.pair, r.problem) for r in lines
    ]
    assert found[300].place == "row 300"


def test_chat_rows_in_parquet(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(arrow.Table.from_pylist([CHAT]), tmp_path / "p.parquet")
    (row,) = open_pairs(tmp_path / "p.parquet").read()
    chosen, rejected = ({"role": "assistant", "content": text} for text in ("56", "54"))
    assert row.pair == Pair((USER,), (chosen,), (rejected,))


def test_a_folder_is_read_through_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "data"
    folder.mkdir()
    records = products(5)
    lines = list(open_pairs(write_lines(folder / "train.jsonl", records)).read())
    source = open_pairs(folder)
    assert [(r.digest, r.pair) for r in source.read()] == [(r.digest, r.pair) for r in lines]
    assert [r.place for r in source.read()][:2] == ["row 0", "row 1"]
    with pytest.raises(InvalidArgument, match=r"split validation.*train"):
        open_pairs(folder, "validation")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.jsonl", None, "there is no file "),
        ("empty.jsonl", b"", "holds no rows"),
        ("blank.jsonl", b"\n\n", "holds no rows"),
        ("other.csv", b"a,b\n1,2\n", "has the columns 'a', 'b'; columns named chosen and rejected are needed"),
        (
            "columns.jsonl",
            b'{"question": 1, "answer": 2}\n' * 3,
            "line 1: columns: there is no column chosen, only question, answer",
        ),
        ("array.json", b"[\n{}\n]\n", "row 0: columns: there is no column chosen, only none"),
        ("torn.json", b"[\n{}\n", "is the array or object not complete? Write one object on each line"),
        ("broken.parquet", b"PAR1 no more", "cannot be read as Parquet"),
    ],
)
def test_a_file_that_holds_no_pairs_is_refused(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidArgument) as refused:
        check_rows(open_pairs(tmp_path / name))
    assert message in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_parquet_without_the_columns_is_refused(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(arrow.Table.from_pylist([{"prompt": "a", "chosen": "b"}]), tmp_path / "p.parquet")
    with pytest.raises(InvalidArgument, match="has the columns 'prompt', 'chosen'; columns named"):
        open_pairs(tmp_path / "p.parquet")


def test_a_good_row_after_some_broken_ones_is_found_but_not_after_a_hundred(tmp_path: Path) -> None:
    late = write_lines(tmp_path / "late.jsonl", ["{"] * 99 + [GOOD])
    assert check_rows(open_pairs(late)).place == "line 100"
    with pytest.raises(InvalidArgument, match="line 1: not JSON"):
        check_rows(open_pairs(write_lines(tmp_path / "never.jsonl", ["{"] * 100 + [GOOD])))


def test_the_fingerprint_is_that_of_the_content(tmp_path: Path) -> None:
    one, same, other = (
        write_lines(tmp_path / f"{n}.jsonl", [{**GOOD, "prompt": prompt}]) for n, prompt in enumerate("aab")
    )
    prints = [open_pairs(path).fingerprint for path in (one, same, other)]
    assert prints[0] == prints[1] != prints[2]


def test_a_file_is_not_read_into_memory(tmp_path: Path) -> None:
    """40 MB pass through less than 4; the control keeps the rows and needs more."""
    path = write_lines(tmp_path / "large.jsonl", [{**GOOD, "prompt": "x" * 100_000}] * 400)

    def peak(keep: bool) -> int:
        gc.collect()
        tracemalloc.start()
        kept = [row for row in open_pairs(path).read() if keep or row.pair is None]
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(kept) == (400 if keep else 0)
        return found

    assert peak(keep=False) < 4 << 20 < peak(keep=True)


def test_a_line_without_end_is_skipped_and_the_next_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_records, "LONGEST_LINE", 1000)
    path = write_lines(tmp_path / "pairs.jsonl", ["x" * 5000, GOOD, "y" * 999, GOOD])
    source = open_pairs(path)
    assert [row.place for row in source.read() if row.pair] == ["line 2", "line 4"]
    assert "longer than" in problems(source)["line 1"]
    assert "not JSON" in problems(source)["line 3"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "tool_calls", "name"]), inner, max_size=4)
    ),
    max_leaves=8,
)
NAMES = ("prompt", "chosen", "rejected", "tools", "chat_template_kwargs", "question", "system")


@settings(max_examples=50)
@given(st.lists(JSON | st.dictionaries(st.sampled_from(NAMES), JSON), max_size=4))
def test_whatever_a_row_is_it_is_a_pair_or_has_a_reason(rows: list[Any]) -> None:
    try:
        reading = find_reading("rows", rows)
    except InvalidArgument:  # a question in another column
        reading = find_reading("rows", rows, ["none"])
    for number, value in enumerate(rows):
        row = make_row(Record(number, f"row {number}", value), reading)
        assert (row.pair is None) == bool(row.problem)
        assert len(row.problem.splitlines()) <= 1
        assert len(row.digest) == 16
