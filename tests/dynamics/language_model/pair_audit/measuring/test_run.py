"""Interrupted anywhere, resumed, shared among processes: always the same file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from dynamics import InvalidArgument
from dynamics.language_model import LanguageModel, tiny_model
from dynamics.language_model.pair_audit.measuring import run as pair_run
from dynamics.language_model.pair_audit.measuring.audit import Audit, AuditSettings
from dynamics.language_model.pair_audit.measuring.pair_numbers import NotFinite, audit_pairs
from dynamics.language_model.pair_audit.measuring.run import run_audit
from dynamics.language_model.pair_audit.reading.data import open_pairs
from dynamics.language_model.pair_audit.reading.rows import parse_pair
from dynamics.language_model.pair_audit.reading.tokens import tokenize_pair
from dynamics.language_model.pair_audit.results.fingerprint import model_digest
from dynamics.language_model.pair_audit.results.processes import Processes
from dynamics.language_model.pair_audit.results.store import Results
from tests.dynamics.language_model.saved import products, read_lines, tiny, write_lines

loaded = cache(tiny)  # not while the tests are collected: it imports transformers
ROWS: list[Any] = products(11)
ROWS[4] = "{broken"
ROWS[8] = {**ROWS[8], "chosen": ""}
SETTINGS = AuditSettings(batch_pairs=3)


class Stop(Exception):
    pass


def audit(data: Path, out: Path, settings: AuditSettings = SETTINGS, **options: Any) -> bytes:
    results = Results(out)
    with results.begin({}):
        run_audit(Audit(loaded(), open_pairs(data), results, settings), **options)
    return out.read_bytes()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lines(tmp_path_factory.mktemp("data") / "pairs.jsonl", ROWS)


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return audit(data, tmp_path_factory.mktemp("whole") / "out.jsonl")


def stop_at(row: int) -> Callable[[int], None]:
    def progress(rows: int) -> None:
        if rows >= row:
            raise Stop

    return progress


def test_every_row_has_its_line(data: Path, whole: bytes) -> None:
    found = [json.loads(line) for line in whole.splitlines()]
    assert [record["row"] for record in found] == list(range(11))
    assert [record["row"] for record in found if "skipped" in record] == [4, 8]
    assert found[4]["skipped"].startswith("line 5: not JSON")
    assert found[8]["skipped"].startswith("line 9: chosen: the response is empty")
    for number in (0, 10):
        pair = tokenize_pair(loaded().tokenizer, parse_pair(ROWS[number])).sequences
        (alone,) = audit_pairs(loaded().model, [pair])
        assert found[number]["drive_chosen"] == pytest.approx(alone.drive_chosen, rel=1e-9)
        assert found[number]["log_prob_rejected"] == pytest.approx(alone.log_prob_rejected, rel=1e-12)


@pytest.mark.parametrize("row", [1, 4, 9])
def test_after_an_interruption_between_batches_the_file_is_the_same(
    data: Path, whole: bytes, tmp_path: Path, row: int
) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(Stop):
        audit(data, out, progress=stop_at(row))
    assert whole.startswith(out.read_bytes())
    assert 0 < len(out.read_bytes()) < len(whole)
    assert audit(data, out) == whole
    assert audit(data, out) == whole  # a finished one stays as it is


def test_after_an_end_within_a_batch_or_a_line_the_file_is_the_same(data: Path, whole: bytes, tmp_path: Path) -> None:
    """Cut at any byte: rows that are there are not repeated, and those of a batch do not depend on what was there."""
    out = tmp_path / "out.jsonl"
    with Results(out).begin({}):
        pass
    for size in range(7, len(whole), len(whole) // 9):
        out.write_bytes(whole[:size])
        assert audit(data, out) == whole


def test_a_row_is_not_computed_twice(data: Path, whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counting(model: Any, pairs: Any, **options: Any) -> Any:
        asked.append(len(pairs))
        return audit_pairs(model, pairs, **options)

    monkeypatch.setattr(pair_run, "audit_pairs_that_fit", counting)
    out = tmp_path / "out.jsonl"
    with pytest.raises(Stop):
        audit(data, out, progress=stop_at(6))
    assert asked == [3, 2]
    audit(data, out)
    assert asked == [3, 2, 2, 2]
    audit(data, out)
    assert asked == [3, 2, 2, 2]


def close(record: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether two lines agree to rounding in float64."""
    same = {key: value for key, value in record.items() if not isinstance(value, float)}
    return (
        all(other[key] == value for key, value in same.items())
        and record.keys() == other.keys()
        and all(value == pytest.approx(other[key], rel=1e-9) for key, value in record.items() if key not in same)
    )


def in_turn(data: Path, out: Path, count: int, **options: Any) -> None:
    """Run the processes one after the other: the last one merges. Whoever waits has nothing to wait for."""
    results = Results(out)
    with results.begin({}):
        for rank in reversed(range(count)):
            mine = Processes(rank, count)
            run_audit(Audit(loaded(), open_pairs(data), results, SETTINGS, processes=mine), **options)


def test_several_processes_make_the_file_of_one(data: Path, whole: bytes, tmp_path: Path) -> None:
    for count in (2, 3, 5):
        out = tmp_path / f"{count}.jsonl"
        in_turn(data, out, count)
        assert out.read_bytes() == whole
        assert Results(out).parts() == []


def test_an_interrupted_run_of_two_processes_is_finished_by_three_or_by_one(
    data: Path, whole: bytes, tmp_path: Path
) -> None:
    for count in (3, 1):
        out = tmp_path / f"{count}.jsonl"
        results = Results(out)
        with results.begin({}), pytest.raises(Stop):
            run_audit(Audit(loaded(), open_pairs(data), results, SETTINGS, processes=Processes(1, 2)), stop_at(6))
        assert out.read_bytes() == b""
        assert [record["row"] for record in read_lines(results.part(1))] == [3, 4, 5]
        in_turn(data, out, count)
        assert out.read_bytes() == whole


def test_the_batch_size_changes_rounding_only(data: Path, whole: bytes, tmp_path: Path) -> None:
    wanted = [json.loads(line) for line in whole.splitlines()]
    for size in (1, 11):
        audit(data, tmp_path / f"{size}", AuditSettings(batch_pairs=size))
        for found, want in zip(read_lines(tmp_path / f"{size}"), wanted, strict=True):
            assert close(found, want)
    assert not close(wanted[0], wanted[1])


def test_some_rows_first_and_the_others_later(data: Path, whole: bytes, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    audit(data, out, AuditSettings(batch_pairs=3, first=4))
    assert len(read_lines(out)) == 4
    audit(data, out, AuditSettings(batch_pairs=3, first=2))
    assert len(read_lines(out)) == 4
    audit(data, out)
    for found, want in zip(read_lines(out), map(json.loads, whole.splitlines()), strict=True):
        assert close(found, want)


@pytest.mark.parametrize("change", ["row", "fewer"])
def test_results_of_other_data_are_refused(data: Path, tmp_path: Path, change: str) -> None:
    out = tmp_path / "out.jsonl"
    audit(data, out)
    before = out.read_bytes()
    other = [*ROWS[:5], {**ROWS[5], "chosen": "other"}, *ROWS[6:]] if change == "row" else ROWS[:9]
    with pytest.raises(InvalidArgument, match=r"row (5|9) is not the row"):
        audit(write_lines(tmp_path / "other.jsonl", other), out)
    assert out.read_bytes() == before


def test_strict_stops_at_the_first_row_that_cannot_be_used(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(InvalidArgument, match="line 5: not JSON"):
        audit(data, out, AuditSettings(batch_pairs=2, strict=True))
    assert [record["row"] for record in read_lines(out)] == [0, 1, 2, 3]


def test_pairs_that_are_too_long_are_skipped(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    audit(data, out, AuditSettings(max_tokens=17, first=3))
    assert [("skipped" in record) for record in read_lines(out)] == [False, False, True]


def with_broken_token(character: str) -> LanguageModel:
    loaded = tiny(tied=False)
    with torch.no_grad():
        loaded.model.model.embed_tokens.weight[loaded.tokenizer.encode(character)[0]] = float("nan")
    return loaded


def test_a_pair_that_is_not_finite_is_skipped_and_ends_nothing(tmp_path: Path) -> None:
    rows = [{**row, "prompt": row["prompt"].replace("?", "")} for row in products(7)]
    bad = [*rows[:4], {**rows[4], "chosen": "@" + rows[4]["chosen"]}, *rows[5:]]
    loaded, found = with_broken_token("@"), {}
    for name, data in (("bad", bad), ("without", [*rows[:4], "{", *rows[5:]])):
        results = Results(tmp_path / name)
        with results.begin({}):
            source = open_pairs(write_lines(tmp_path / f"{name}.jsonl", data))
            run_audit(Audit(loaded, source, results, SETTINGS))
        found[name] = read_lines(results.path)
    assert [record["row"] for record in found["bad"]] == list(range(7))
    (skipped,) = [record for record in found["bad"] if "skipped" in record]
    assert skipped["skipped"].startswith("line 5: model: the log-probability, the gradient or the hidden states")
    assert set(skipped) == {"row", "digest", "skipped"}
    assert [r for r in found["bad"] if r["row"] != 4] == [r for r in found["without"] if r["row"] != 4]
    strict, source = replace(SETTINGS, strict=True), open_pairs(tmp_path / "bad.jsonl")
    with pytest.raises(InvalidArgument, match="line 5: model"):
        run_audit(Audit(loaded, source, Results(tmp_path / "s"), strict))


def test_a_model_that_is_never_finite_is_not_tried_on_a_whole_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pair_run.PATIENCE == 100
    monkeypatch.setattr(pair_run, "PATIENCE", 10)
    loaded, results = with_broken_token("x"), Results(tmp_path / "out")  # every product holds an x
    source = open_pairs(write_lines(tmp_path / "data.jsonl", products(23)))
    with pytest.raises(NotFinite):
        run_audit(Audit(loaded, source, results, AuditSettings(batch_pairs=5)))
    assert len(read_lines(results.path)) == 10


def test_tokens_that_the_model_does_not_know_are_named(tmp_path: Path) -> None:
    """A tokenizer of bytes, and a model that knows all but the largest ones."""
    loaded = LanguageModel(tiny_model(vocabulary=223), tiny().tokenizer)
    rows = [{**row, "rejected": row["rejected"] + "\x7f" * (n == 1)} for n, row in enumerate(products(3))]
    results = Results(tmp_path / "out")
    known = max(max(loaded.tokenizer.encode(text)) for row in products(3) for text in row.values())
    assert known < 223 == max(loaded.tokenizer.encode(rows[1]["rejected"]))
    source = open_pairs(write_lines(tmp_path / "data.jsonl", rows))
    run_audit(Audit(loaded, source, results, AuditSettings()))
    skipped = {record["row"]: record["skipped"] for record in read_lines(results.path) if "skipped" in record}
    assert list(skipped) == [1]
    assert "it makes token 223, but the model knows only the tokens 0 to 222" in skipped[1]


def test_settings_that_make_no_sense_are_refused() -> None:
    for options in ({"batch_pairs": 0}, {"first": 0}, {"max_tokens": -1}):
        with pytest.raises(InvalidArgument, match=next(iter(options))):
            AuditSettings(**options)  # type: ignore[arg-type]


def test_the_digest_of_a_model_changes_with_a_weight_the_dtype_and_the_tokenizer() -> None:
    digest = model_digest(loaded())
    assert digest == model_digest(tiny())
    changed = [tiny(seed=1), tiny(dtype=torch.float32), tiny()._replace(tokenizer=tiny().tokenizer)]
    changed[2].tokenizer.chat_template += " "
    nudged = tiny()
    with torch.no_grad():
        nudged.model.model.norm.weight[3] += 1e-12
    assert len({digest, *(model_digest(loaded) for loaded in (*changed, nudged))}) == 5
