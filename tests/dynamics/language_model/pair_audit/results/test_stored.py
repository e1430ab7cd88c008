"""What another version wrote is refused in a sentence, whichever key of whichever file is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dynamics import InvalidArgument
from dynamics.commands.keep import keep_command
from dynamics.commands.pairs import pairs_command
from dynamics.commands.report import report_command
from dynamics.commands.shared import Options
from dynamics.commands.training_plan import TrainingPlan
from dynamics.language_model.pair_audit.measuring.audit import AuditSettings
from dynamics.language_model.pair_audit.measuring.batch_run import Batches
from dynamics.language_model.pair_audit.measuring.set_run import SetChange
from dynamics.language_model.pair_audit.results.joined import SET_COLUMNS
from dynamics.language_model.pair_audit.results.stored import StoredRecord, read_json
from tests.dynamics.language_model.saved import products, save_tiny, write_lines

QUIET = Console(quiet=True)
Place = tuple[str, ...]


def pairs(folder: Path, influences: int = 2) -> None:
    options = Options(model=str(folder / "model"), data=str(folder / "pairs.jsonl"))
    plan = TrainingPlan(influences=influences, batches=Batches(4))
    pairs_command(options, QUIET, folder / "audit.jsonl", AuditSettings(), plan)


def report(folder: Path) -> None:
    report_command(QUIET, folder / "audit.jsonl", folder / "report.html")


def keep(folder: Path) -> None:
    out = folder / "kept.jsonl"
    try:
        keep_command(QUIET, "tokens_chosen > 0", folder / "audit.jsonl", str(folder / "pairs.jsonl"), out)
    finally:
        for path in (out, out.with_name("kept.jsonl.rows.jsonl")):
            path.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the finished audit of eight pairs, some of them displaced."""
    folder = tmp_path_factory.mktemp("stored")
    save_tiny(folder / "model")
    write_lines(folder / "pairs.jsonl", [*products(8), "{"])
    pairs(folder)
    report(folder)
    keep(folder)
    return folder


def names_of(value: Any, above: Place = ()) -> Iterator[Place]:
    """Yield the place of every key, also inside of others; what is in a list is named by its first object."""
    if isinstance(value, dict):
        for key, inside in value.items():
            yield (*above, key)
            yield from names_of(inside, (*above, key))
    elif isinstance(value, list):
        yield from names_of(next((entry for entry in value if isinstance(entry, dict)), None), above)


def without(value: Any, place: Place) -> Any:
    if isinstance(value, list):
        return [without(entry, place) for entry in value]
    if not isinstance(value, dict):
        return value
    if len(place) == 1:
        return {key: inside for key, inside in value.items() if key != place[0]}
    return {key: without(inside, place[1:]) if key == place[0] else inside for key, inside in value.items()}


FILES = {  # how many keys, at least, cannot be done without
    "audit.jsonl.summary.json": (report, 50),
    "audit.jsonl.settings.json": (keep, 6),
    "audit.jsonl": (report, 11),
    "audit.jsonl.set": (report, 5),
    "audit.jsonl.batch": (keep, 4),
}

OTHERWISE = ("row", "format", "skipped")  # the sentence is another one


@pytest.mark.parametrize("name", FILES)
def test_a_key_that_an_earlier_version_did_not_write_is_named(audited: Path, name: str) -> None:
    command, needed = FILES[name]
    place = audited / name
    text = place.read_text(encoding="utf-8")
    content: list[Any] = [json.loads(part) for part in ([text] if name.endswith(".json") else text.splitlines())]
    refused = 0
    for key in dict.fromkeys(key for value in content for key in names_of(value)):
        place.write_text("".join(json.dumps(without(value, key)) + "\n" for value in content), encoding="utf-8")
        try:
            command(audited)
        except InvalidArgument as problem:
            said = str(problem)
            assert "\n" not in said
            assert str(audited / "audit.jsonl") in said, key
            assert (
                f"{place}, which another version of this program wrote, lacks {key[-1]!r}; " in said
                or key[-1] in OTHERWISE
            ), (key, said)
            refused += 1
        finally:
            place.write_text(text, encoding="utf-8")
    assert refused >= needed
    command(audited)


def test_a_run_that_continues_names_what_the_pushes_lack(audited: Path) -> None:
    place = audited / "audit.jsonl.pushes"
    text = place.read_text(encoding="utf-8")
    lines = [without(json.loads(line), ("digest",)) for line in text.splitlines()]
    place.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    with pytest.raises(InvalidArgument, match=r"audit.jsonl.pushes, .* lacks 'digest'; remove the file and run"):
        pairs(audited)
    place.unlink()
    pairs(audited)
    assert place.read_text(encoding="utf-8") == text


def test_a_summary_that_is_none_is_refused(audited: Path) -> None:
    place = audited / "audit.jsonl.summary.json"
    text = place.read_text(encoding="utf-8")
    for spoilt in (text[:-20], "3", ""):
        place.write_text(spoilt, encoding="utf-8")
        with pytest.raises(InvalidArgument, match="cannot be read as the summary of an audit; remove it and run"):
            report(audited)
    place.write_text(text, encoding="utf-8")
    report(audited)


def test_the_columns_of_the_set_are_those_that_are_written() -> None:
    assert tuple(field.name for field in fields(SetChange)) == SET_COLUMNS


def test_batches_of_an_earlier_run_are_kept_with_their_size_and_not_mixed_with_another_optimizer(
    tmp_path: Path,
) -> None:
    save_tiny(tmp_path / "model")
    write_lines(tmp_path / "pairs.jsonl", products(4))
    options = Options(model=str(tmp_path / "model"), data=str(tmp_path / "pairs.jsonl"))
    place = tmp_path / "audit.jsonl"

    def summary(plan: TrainingPlan) -> Any:
        pairs_command(options, QUIET, place, AuditSettings(), plan)
        report(tmp_path)
        return json.loads(place.with_name("audit.jsonl.summary.json").read_text(encoding="utf-8"))

    first = summary(TrainingPlan(batches=Batches(2, 7)))
    for again in (summary(TrainingPlan()), summary(TrainingPlan(only_own=True))):
        assert again["displaced_by_batch"] == first["displaced_by_batch"] is not None
        assert again["batches"] == first["batches"] == {"size": 2, "seed": 7}
    other = summary(TrainingPlan("adamw"))
    assert other["displaced_by_batch"] is None
    assert other["batches"] is None


def test_a_stored_record_is_a_dictionary_that_knows_its_file() -> None:
    found = read_json('{"a": [{"b": 1}], "c": null}', Path("x.set"))
    assert found == {"a": [{"b": 1}], "c": None}
    assert found.get("d") is None
    for lacking in (found, found["a"][0], found | {"e": 2}, StoredRecord({}, Path("x.set"))):
        assert "d" not in lacking
        with pytest.raises(InvalidArgument, match=r"x\.set.* lacks 'd'; remove the file"):
            lacking["d"]
