"""From a data set to a report and to a filtered data set: the commands pairs, report and keep on a tiny model."""

from __future__ import annotations

import csv
import gzip
import html
import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.optional import needs

needs("transformers")

from typer.testing import CliRunner, Result

from dynamics.__main__ import app
from dynamics.language_model.pair_audit.measuring.influences import find_targets
from dynamics.language_model.pair_audit.report.page import COLUMNS, explain, make_page, read_columns
from dynamics.language_model.pair_audit.results.store import Results
from tests.browser import accessibility_problems, launch, open_page
from tests.dynamics.language_model.saved import products, read_lines, save_tiny, write_lines

RUNNER = CliRunner(env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})
HOSTILE = "</script><script>document.title=1</script>{{7*7}}"
ROWS: list[Any] = [
    *products(6),
    {"prompt": HOSTILE, "chosen": "<img src=x>y", "rejected": "\u202e</p>n"},
    "{broken <b>",
    {"prompt": "2 x 3? ", "chosen": "It is 7", "rejected": "6"},  # the first row, the other way round
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, data, the results of an audit, and its report."""
    folder = tmp_path_factory.mktemp("audit")
    save_tiny(folder / "model")
    write_lines(folder / "pairs.jsonl", ROWS)
    result = run(
        *("pairs", "--model", folder / "model", "--data", folder / "pairs.jsonl", "--out", folder / "audit.jsonl"),
        *("--report", folder / "report.html", "--influences", 2, "--verify"),
    )
    assert result.exit_code == 0, result.output
    assert "report.html (0.0" in result.output
    assert result.output.count(", 1 step of SGD at 1e-0") == 2
    assert result.output.count("(of fewer than 10 pairs, which say little)") == 2
    assert (folder / "report.html").read_text(encoding="utf-8").count("(fewer than 10 pairs, which say little)") == 2
    return folder


def run(*words: object) -> Result:
    return RUNNER.invoke(app, [str(word) for word in words])


def keep(place: Path, expression: str, out: Path, *options: object, data: str = "pairs.jsonl") -> Result:
    results = place / ("audit.jsonl" if data == "pairs.jsonl" else f"{data}.audit")
    return run("keep", expression, "--results", results, "--data", place / data, "--out", out, *options)


def refused(result: Result, words: str) -> None:
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def records(place: Path) -> list[dict[str, Any]]:
    both = zip(read_lines(place / "audit.jsonl"), read_lines(place / "audit.jsonl.set"), strict=True)
    return [one | other for one, other in both if "skipped" not in one]


# ---------------------------------------------------------------- the report


def test_the_report_answers_first_and_is_made_from_the_results_alone(place: Path, tmp_path: Path) -> None:
    text = (place / "report.html").read_text(encoding="utf-8")
    found = records(place)
    by_set = sum(record["displaced_by_set"] for record in found)
    assert text.count("pushed down most by") == len(find_targets(Results(place / "audit.jsonl"))) > 0
    assert f"lowers the chosen response of {by_set} (" in text
    again = run("report", place / "audit.jsonl", tmp_path / "again.html")
    assert again.exit_code == 0, again.output
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == text
    for address in ("http://", "https://", "//cdn", "src=", "@import"):
        assert address not in text.replace("<img src=x", "").replace("&lt;img src=x", "")


def test_the_pairs_that_push_most_others_down_are_named(place: Path) -> None:
    """Not for pushing themselves, and not for pushing a single one."""
    text = (place / "report.html").read_text(encoding="utf-8")
    influences = json.loads((place / "audit.jsonl.summary.json").read_text(encoding="utf-8"))["influences"]
    down = [(int(row), other) for row, sides in influences.items() for other, _ in sides["down"]]
    pushed = {other: sum(other == entry and row != other for row, entry in down) for _, other in down}
    assert max(pushed.values()) > 1
    for row, count in pushed.items():
        card = text[text.index(f'<article data-row="{row}"') :].partition("</article>")[0]
        assert (f"row {row} ({count} times)" in text) == (f"pushes {count} others down" in card) == (count > 1)
    every = [(int(row), entry) for row, sides in influences.items() for side in sides.values() for entry, _ in side]
    assert text.count(", the pair itself (") == sum(row == entry for row, entry in every) > 0


def test_the_command_of_the_report_can_be_pasted_into_a_shell(place: Path, tmp_path: Path) -> None:
    summary = json.loads((place / "audit.jsonl.summary.json").read_text(encoding="utf-8"))
    columns = read_columns(Results(place / "audit.jsonl"))
    page = make_page(summary | {"data": "my data/it's.jsonl", "split": "test"}, columns, "my results.jsonl")
    text = html.unescape(re.sub("<[^>]*>", "", page[page.index("<pre ") :].partition("</pre>")[0]))
    words = ["--results", "my results.jsonl", "--data", "my data/it's.jsonl", "--split", "test", "--out", "kept.jsonl"]
    assert shlex.split(text) == ["python", "-m", "dynamics", "keep", "not displaced", *words]
    assert "--split" not in make_page(summary, columns, "audit.jsonl")


@pytest.mark.parametrize(("named", "says"), [((5,), "only one pair is named"), ((5, 7), "the pairs that are named")])
def test_one_pair_that_pushes_others_is_spoken_of_as_one(place: Path, named: tuple[int, ...], says: str) -> None:
    summary = json.loads((place / "audit.jsonl.summary.json").read_text(encoding="utf-8"))
    influences = {str(row): {"down": [(other, -1.0) for other in named], "up": []} for row in (1, 2)}
    page = make_page(summary | {"influences": influences}, read_columns(Results(place / "audit.jsonl")), "audit.jsonl")
    assert says in page
    assert ("the first two of them" in page) == (len(named) > 1)


def test_text_of_the_data_is_text(place: Path) -> None:
    text = (place / "report.html").read_text(encoding="utf-8")
    assert "<script>document.title" not in text
    assert "<img src=x" not in text
    assert "&lt;script&gt;document.title" in text
    assert "{{7*7}}" in text
    assert "{broken <b>" not in text


def test_the_page_in_a_browser(place: Path) -> None:
    with launch() as browser:
        view, complaints = open_page(browser, place / "report.html", viewport={"width": 390, "height": 800})
        assert view.title() == "Audit of pairs.jsonl"
        assert view.evaluate("document.documentElement.scrollWidth") <= 390
        assert accessibility_problems(view) == []
        rows = "Array.from(document.querySelectorAll('#all tbody tr td:first-child')).map(c => Number(c.textContent))"
        found = records(place)
        by_set = [r["row"] for r in sorted(found, key=lambda r: np.float32(r["set_chosen_change"]))]
        assert view.evaluate(rows) == by_set
        view.get_by_role("button", name="chosen, own step").click()
        own = [r["row"] for r in sorted(found, key=lambda r: np.float32(r["own_chosen_change"]))]
        assert view.evaluate(rows) == own
        view.get_by_role("button", name="chosen, own step").click()
        assert view.evaluate(rows) == own[::-1]
        view.locator("#row").fill("6")
        assert view.evaluate(rows) == [6]
        view.locator("#row").fill("")
        view.locator("#filter").select_option("2")
        assert sorted(view.evaluate(rows)) == [r["row"] for r in found if r["displaced_by_set"]]
        view.locator("#search").fill("document.title")
        assert view.get_by_text("1 of 8 pairs").is_visible()
        view.locator("#plot").focus()
        view.keyboard.press("ArrowRight")
        assert view.locator("#says").inner_text().startswith(f"Row {own[0]}")
        assert view.title() == "Audit of pairs.jsonl"  # nothing of the data was run
        assert complaints == []


def test_sixty_thousand_pairs_are_less_than_five_megabytes(place: Path) -> None:
    summary = json.loads((place / "audit.jsonl.summary.json").read_text(encoding="utf-8"))
    count, noise = 60_000, np.random.default_rng(0)
    columns: dict[str, Any] = {name: noise.normal(size=count).astype("<f4") for name in COLUMNS}
    columns |= {"row": np.arange(count, dtype="<i4"), "norm_ratio": np.exp(noise.normal(size=count)).astype("<f4")}
    columns |= {"flags": noise.integers(0, 4, count).astype("u1")}
    assert 3e6 < len(make_page({**summary, "audited": count}, columns, "audit.jsonl")) < 5e6


def test_a_pair_is_explained_by_its_gradients() -> None:
    numbers = {"flags": 1.0, "cosine": 0.5, "norm_ratio": 0.25}
    assert "(cosine 0.500) and that of the rejected one is 4 times as long" in explain(numbers)
    assert "by the weights that the loss gives" in explain({**numbers, "cosine": 0.2})
    assert explain({**numbers, "flags": 3.0}).endswith("The step on all pairs lowers it too.")
    assert "other pairs together" in explain({**numbers, "flags": 2.0})
    assert explain({**numbers, "flags": 0.0}) == "Its chosen response does not fall."


def test_a_report_of_nothing_is_refused(place: Path, tmp_path: Path) -> None:
    refused(run("report", tmp_path / "none.jsonl", tmp_path / "r.html"), "there is no file")
    refused(run("report", place / "audit.jsonl", tmp_path), "is a folder")
    refused(run("report", place / "audit.jsonl", tmp_path / "no" / "r.html"), "does not exist")
    refused(run("report", place / "pairs.jsonl", tmp_path / "r.html"), "no audit wrote it")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- the decision


def test_pairs_are_kept_byte_by_byte_and_every_row_has_a_reason(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "kept.jsonl"
    result = keep(place, "not displaced and not opposite", out)
    assert result.exit_code == 0, result.output
    raw = (place / "pairs.jsonl").read_bytes().splitlines(keepends=True)
    displaced = {record["row"] for record in records(place) if record["displaced"]}
    wanted = [n for n in range(9) if n not in {0, 7, 8} | displaced]
    assert out.read_bytes() == b"".join(raw[n] for n in wanted)
    lines = read_lines(tmp_path / "kept.jsonl.rows.jsonl")
    assert [line["row"] for line in lines] == list(range(9))
    assert [line["row"] for line in lines if line["kept"]] == wanted
    reasons = {line["row"]: line["reason"] for line in lines if not line["kept"]}
    assert reasons[7].startswith("the audit skipped it: line 8: not JSON")
    assert all("is true" in reasons[n] for n in reasons if n != 7)
    assert f"kept {len(wanted)} of 9 rows, dropped {9 - len(wanted)}" in result.output
    assert 'trl.DPOConfig(loss_type="sigmoid", beta=0.1' in result.output


def test_weights_are_numbers_over_the_columns(place: Path, tmp_path: Path) -> None:
    result = keep(place, "True", tmp_path / "k.jsonl", "--weight", "1 / tokens_chosen", "--keep-skipped")
    assert result.exit_code == 0, result.output
    lines = read_lines(tmp_path / "k.jsonl.rows.jsonl")
    found = {line["row"]: line["weight"] for line in lines}
    assert found == {record["row"]: 1 / record["tokens_chosen"] for record in records(place)} | {7: 1.0}
    refused(keep(place, "True", tmp_path / "other.jsonl", "--weight", "drive_rejected"), "it must be a number >= 0")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["k.jsonl", "k.jsonl.rows.jsonl"]


def test_what_cannot_be_decided_is_refused_and_nothing_is_left(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "kept.jsonl"
    refused(keep(place, "not displace", out), "there is no column displace; the columns are ")
    refused(keep(place, "__import__('os')", out), "is not allowed")
    refused(keep(place, "cosine > 2", out), "holds for no pair")
    refused(keep(place, "True", tmp_path / "no" / "kept.jsonl"), "does not exist")
    write_lines(tmp_path / "other.jsonl", products(3))
    refused(
        run("keep", "True", "--results", place / "audit.jsonl", "--data", tmp_path / "other.jsonl", "--out", out),
        "has results of other data",
    )
    refused(
        run("keep", "True", "--results", out, "--data", place / "pairs.jsonl", "--out", out), "there are no results"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["other.jsonl"]
    out.write_text("mine", encoding="utf-8")
    refused(keep(place, "True", out), "exists; give a new name")
    assert out.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("form", ["array", "object", "csv", "tsv", "gz", "parquet", "saved"])
def test_the_kept_pairs_come_in_the_format_of_the_data(place: Path, tmp_path: Path, form: str) -> None:
    rows = [{"id": n, **row, "note": f'"{n}",\n é'} for n, row in enumerate(products(5))]
    name = {"csv": "t.csv", "tsv": "t.tsv", "gz": "t.jsonl.gz", "parquet": "t.parquet", "saved": "t"}.get(
        form, "t.json"
    )
    data = place / f"{form}-{name}"
    if form in ("array", "object"):
        data.write_text(json.dumps(rows if form == "array" else {"version": 1, "data": rows}), encoding="utf-8")
    elif form in ("csv", "tsv"):
        with data.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="," if form == "csv" else "\t")
            writer.writeheader()
            writer.writerows(rows)
    elif form == "gz":
        data.write_bytes(gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in rows)))
    else:
        datasets = pytest.importorskip("datasets")
        table = datasets.Dataset.from_list(rows)
        table.to_parquet(str(data)) if form == "parquet" else table.save_to_disk(str(data))
    results = place / f"{data.name}.audit"
    words = ("pairs", "--model", place / "model", "--data", data, "--out", results, "--only-own")
    assert run(*words).exit_code == 0
    out = tmp_path / f"kept-{name}"
    result = keep(place, "row_number == row_number or tokens_chosen == 1", out, data=data.name)
    refused(result, "there is no column row_number")
    result = keep(place, "tokens_chosen == 3", out, data=data.name)  # two digits and EOS
    assert result.exit_code == 0, result.output
    wanted = [row for row in rows if len(row["chosen"]) == 2]
    assert 0 < len(wanted) < 5
    if form == "array":
        assert json.loads(out.read_text(encoding="utf-8")) == wanted
    elif form == "object":
        assert json.loads(out.read_text(encoding="utf-8")) == {"version": 1, "data": wanted}
    elif form in ("csv", "tsv"):
        with out.open(newline="", encoding="utf-8") as file:
            found = list(csv.DictReader(file, delimiter="," if form == "csv" else "\t"))
        assert found == [{key: str(value) for key, value in row.items()} for row in wanted]
    elif form == "gz":
        assert [json.loads(line) for line in gzip.decompress(out.read_bytes()).splitlines()] == wanted
    else:
        kept = datasets.Dataset.from_parquet(str(out)) if form == "parquet" else datasets.load_from_disk(str(out))
        assert kept.to_list() == wanted
        assert kept.features == table.features
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())


# ---------------------------------------------------------------- the plan


def test_lora_adamw_and_a_reference_are_heeded_and_belong_to_the_results(place: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    out, base = tmp_path / "audit.jsonl", ("pairs", "--model", place / "model", "--data", place / "pairs.jsonl")
    plan = ("--lora-rank", 2, "--lora-target", "q_proj,v_proj", "--optimizer", "adamw", "--loss", "simpo")
    result = run(*base, "--out", out, *plan)
    assert result.exit_code == 0, result.output
    assert "a small first step of AdamW on all pairs at once" in result.output
    summary = json.loads((tmp_path / "audit.jsonl.summary.json").read_text(encoding="utf-8"))
    assert summary["settings"]["parameters"] == ["adapter"]
    full = {record["row"]: record for record in records(place)}
    for record in records(tmp_path):
        assert record["log_prob_chosen"] == pytest.approx(full[record["row"]]["log_prob_chosen"], rel=1e-5)
        assert record["norm_chosen"] < full[record["row"]]["norm_chosen"]  # fewer parameters
    refused(run(*base, "--out", out, "--loss", "simpo"), "model was")
    again = run(*base, "--out", out, *plan[:4], "--loss", "simpo", "--only-own")
    assert "a small first step of AdamW on all pairs at once" in again.output  # what is there is about AdamW
    refused(run(*base, "--out", tmp_path / "n", "--lora-target", "q_proj"), "give --lora-rank too")
    refused(run(*base, "--out", tmp_path / "n", "--optimizer", "lion"), "sgd or adamw")
    refused(run(*base, "--out", tmp_path / "n", "--lora-rank", 2, "--lora-target", "nothing"), "linear maps")
    save_tiny(tmp_path / "reference", seed=4)
    referred = run(*base, "--out", tmp_path / "r.jsonl", "--reference", tmp_path / "reference", "--only-own")
    assert referred.exit_code == 0, referred.output
    line = read_lines(tmp_path / "r.jsonl")[0]
    assert line["reference_chosen"] != line["log_prob_chosen"] == full[0]["log_prob_chosen"]
    refused(run(*base, "--out", tmp_path / "r.jsonl", "--only-own"), "reference was")


def test_an_audit_that_ended_early_keeps_nothing(place: Path, tmp_path: Path) -> None:
    """Rows that were never audited are neither kept nor dropped for a reason."""
    data, results = place / "pairs.jsonl", tmp_path / "first.jsonl"
    first = run("pairs", "--model", place / "model", "--data", data, "--out", results, "--first", 3, "--only-own")
    assert first.exit_code == 0, first.output
    kept = run("keep", "True", "--results", results, "--data", data, "--out", tmp_path / "kept.jsonl")
    refused(kept, f"{len(ROWS) - 3} rows of {data}, the first of them row 3, are not in")
    assert not (tmp_path / "kept.jsonl").exists()
