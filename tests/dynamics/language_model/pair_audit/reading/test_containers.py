"""The same rows out of every container, and a sentence where one cannot be read."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dynamics import InvalidArgument
from dynamics.language_model.pair_audit.reading.containers import open_records
from dynamics.language_model.pair_audit.reading.data import check_rows, open_pairs
from dynamics.language_model.pair_audit.reading.records import LONGEST_LINE
from tests.dynamics.language_model.saved import products, write_lines

ROWS: list[dict[str, Any]] = [*products(5), {"prompt": "9 × 6\nis ", "chosen": '"54", 54', "rejected": "😀"}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
ARRAY = json.dumps(ROWS)


def write_csv(path: Path, mark: str = ",", encoding: str = "utf-8") -> None:
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, list(ROWS[0]), delimiter=mark)
        writer.writeheader()
        writer.writerows(ROWS)


def write_parquet(path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.Table.from_pylist(ROWS), path)


CONTAINERS: dict[str, Callable[[Path], object]] = {
    "lines.jsonl": lambda path: path.write_text(LINES, encoding="utf-8"),
    "lines.txt": lambda path: path.write_text("\ufeff" + LINES, encoding="utf-8"),
    "lines16.jsonl": lambda path: path.write_text(LINES, encoding="utf-16"),
    "lines.jsonl.gz": lambda path: path.write_bytes(gzip.compress(LINES.encode())),
    "lines.jsonl.bz2": lambda path: path.write_bytes(bz2.compress(LINES.encode())),
    "lines.xz": lambda path: path.write_bytes(lzma.compress(LINES.encode())),
    "one-line.json": lambda path: path.write_text(ARRAY, encoding="utf-8"),
    "many-lines.json": lambda path: path.write_text(json.dumps(ROWS, indent=2), encoding="utf-8"),
    "array16.json": lambda path: path.write_text(json.dumps(ROWS, indent=2), encoding="utf-16"),
    "blank-first.json": lambda path: path.write_text("\n\n" + ARRAY, encoding="utf-8"),
    "array.json.gz": lambda path: path.write_bytes(gzip.compress(ARRAY.encode())),
    "object.json": lambda path: path.write_text(json.dumps({"version": 2, "data": ROWS}), encoding="utf-8"),
    "object-lines.json": lambda path: path.write_text(json.dumps({"data": ROWS}, indent=1), encoding="utf-8"),
    "table.csv": write_csv,
    "marked.csv": lambda path: write_csv(path, encoding="utf-8-sig"),
    "semicolons.csv": lambda path: write_csv(path, ";"),
    "wide.csv": lambda path: write_csv(path, "\t", "utf-16"),
    "tabs.tsv": lambda path: write_csv(path, "\t"),
    "table.parquet": write_parquet,
    "table.pq": write_parquet,
    "table.data": write_parquet,
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_holds_the_same_rows(tmp_path: Path, name: str) -> None:
    CONTAINERS[name](tmp_path / name)
    wanted = list(open_pairs(write_lines(tmp_path / "wanted", ROWS)).read())
    source = open_pairs(tmp_path / name)
    found = list(source.read())
    assert [(row.number, row.pair, row.digest, row.problem) for row in found] == [
        (row.number, row.pair, row.digest, "") for row in wanted
    ]
    assert source.rows in (6, None)
    assert list(open_pairs(str(tmp_path / name)).read()) == found  # again, from the beginning


def test_a_csv_of_other_bytes_or_fields_loses_those_rows_alone(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    rows = [b"2 x 3 = ,6,5", b"2 x 4 = ,8", b"\xe9,b,c", b"a,b,c,d", b"2 x 5 = ,10,9", b"", b'"an open quote,1,2']
    path.write_bytes(b"\n".join([b"prompt,chosen,rejected", *rows]))
    found = list(open_pairs(path).read())
    assert [row.place for row in found if row.pair] == ["row 0", "row 4"]
    problems = [row.problem for row in found if row.pair is None]
    assert problems[0] == "the row has 2 fields, but the first line names 3 columns"
    assert problems[1] == "the row is not UTF-8; save the file as UTF-8"
    assert problems[2] == "the row has 4 fields, but the first line names 3 columns"
    assert len(problems) == 4


def test_a_compressed_file_that_is_torn_says_so_after_what_can_be_read(tmp_path: Path) -> None:
    whole = gzip.compress(("".join(json.dumps(row) + "\n" for row in products(400))).encode())
    path = tmp_path / "pairs.jsonl.gz"
    path.write_bytes(whole[: len(whole) // 2])
    *rows, last = open_pairs(path).read()
    assert len(rows) > 50
    assert all(row.pair is not None for row in rows)
    assert "the file cannot be read any further" in last.problem


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("pairs.xlsx", b"PK\x03\x04....", "is a zip archive or a spreadsheet; unpack it"),
        ("pairs.xlsx", b"PK\x03\x04....", "save the table as CSV"),
        ("pairs.jsonl.zst", b"\x28\xb5\x2f\xfd....", "decompress it first"),
        ("data.arrow", b"ARROW1\x00\x00", "put the file into a folder of its own"),
        ("data.arrow", b"\xff\xff\xff\xff\x00\x00", "give the folder that save_to_disk wrote"),
        ("pairs.pq", b"no", "cannot be read as Parquet"),
        ("pairs.csv.gz", b"\x1f\x8b no", "cannot be read ("),
        ("pairs.jsonl.gz", b"\x1f\x8b no", "the file cannot be read any further"),
        ("pairs.json", b"[1, 2", "is the array or object not complete?"),
        ("pairs.json", b'{"a": 1,\n "b": 2}', "Write one object on each line"),
        ("pairs.bin", bytes(range(128, 256)), "not UTF-8"),
        ("pairs.json", "[{}]".encode("utf-16-le"), "none of the first rows of "),
        ("pairs.csv", b"prompt,chosen,chosen,rejected\na,b,c,d\n", "has more than one column chosen"),
        (
            "pairs.csv",
            b"prompt, chosen, rejected\na,b,c\n",
            "has the columns 'prompt', ' chosen', ' rejected'; columns named",
        ),
    ],
)
@pytest.mark.parametrize("depth", [0, 1, 8])
def test_what_cannot_be_read_says_what_to_do(tmp_path: Path, name: str, content: bytes, words: str, depth: int) -> None:
    """However long the path is: the folder of a test is longer if several processes run the tests."""
    folder = tmp_path.joinpath(*["a folder with a long name"] * depth)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    with pytest.raises(InvalidArgument) as refused:
        check_rows(open_pairs(folder / name))
    assert words in str(refused.value)
    assert name in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_what_save_to_disk_wrote_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    wanted = [(row.digest, row.pair) for row in open_pairs(write_lines(tmp_path / "wanted", ROWS)).read()]
    data = datasets.Dataset.from_list(ROWS)
    data.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": data.select([0]), "test": data}).save_to_disk(tmp_path / "splits")
    for source in (open_pairs(tmp_path / "one"), open_pairs(tmp_path / "splits", "test")):
        assert [(row.digest, row.pair) for row in source.read()] == wanted
        assert source.rows == 6
    with pytest.raises(InvalidArgument, match=r"one of the splits of .*splits: train, test"):
        open_pairs(tmp_path / "splits", "validation")
    with pytest.raises(InvalidArgument, match="holds only one split, and it is not validation"):
        open_pairs(tmp_path / "one", "validation")
    changed = datasets.Dataset.from_list([*ROWS[:5], {**ROWS[5], "chosen": "55"}])
    changed.save_to_disk(tmp_path / "other")
    assert open_pairs(tmp_path / "other").fingerprint != open_pairs(tmp_path / "one").fingerprint


def test_only_the_columns_that_are_read_are_taken_out_of_a_table(tmp_path: Path) -> None:
    write_parquet(tmp_path / "p.parquet")
    source = open_records(tmp_path / "p.parquet")
    assert source.columns == ("prompt", "chosen", "rejected")
    assert [list(record.value) for record in source.read(["chosen", "id"])] == [["chosen"]] * 6


def test_a_field_of_csv_may_be_long(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text(f"prompt,chosen,rejected\n{'x' * 200_000},a,b\n", encoding="utf-8")
    assert csv.field_size_limit() <= LONGEST_LINE
    (row,) = open_pairs(path).read()
    assert row.pair is not None
    assert len(row.pair.prompt) == 200_000


@pytest.mark.parametrize(
    ("kind", "cached", "words"),
    [
        (
            "RepositoryNotFoundError",
            False,
            "no file or folder someone/pairs, and the hub has no such data set",
        ),
        ("GatedRepoError", False, "no file or folder someone/pairs, and it is gated on the hub"),
        ("ConnectError", False, "there is no file or folder someone/pairs, and the hub was not reached; give a file"),
        ("ConnectError", True, "datasets was asked"),
        ("SomethingElse", False, "datasets was asked"),
    ],
)
def test_the_hub_is_asked_once_before_the_library_asks_for_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, cached: bool, words: str
) -> None:
    datasets, hub = pytest.importorskip("datasets"), pytest.importorskip("huggingface_hub")

    def answer(*_: object, **how: Any) -> None:
        assert how["timeout"] == 10
        base = type("RepositoryNotFoundError", (Exception,), {}) if kind == "GatedRepoError" else Exception
        raise type(kind, (base,), {})("no")

    def load(*_: object, **__: object) -> None:
        raise RuntimeError("datasets was asked")

    monkeypatch.setattr(hub.HfApi, "dataset_info", answer)
    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    if cached:
        (tmp_path / "someone___pairs").mkdir()
    with pytest.raises(InvalidArgument, match=words):
        open_records("someone/pairs:subset")
