"""The printed recipe, run: TRL prepares the tokens that were audited, whatever the form of the rows."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from tests.optional import needs

needs("transformers")

from dynamics.commands.recipe import recipe, why_not_by_trl
from dynamics.language_model.pair_audit.reading.data import open_pairs
from tests.dynamics.commands.test_decision import run
from tests.dynamics.language_model.pair_audit.reading.test_trl import ours, trained
from tests.dynamics.language_model.saved import save_tiny, write_lines
from tests.dynamics.language_model.tokenizers import CHAT, byte_tokenizer

SYSTEM, ASKED = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"}
FOUR, FIVE = ({"role": "assistant", "content": text} for text in ("4", "5"))
AGAIN = [{"role": "user", "content": "Sure?"}, {"role": "assistant", "content": "Yes."}]
FORMS: dict[str, dict[str, Any]] = {
    "texts": {"prompt": "2 + 2 = ", "chosen": "4", "rejected": "5"},
    "texts that begin alike": {"chosen": "2 + 2 = 4", "rejected": "2 + 2 = 5"},
    "a question": {"question": "2 + 2 = ", "chosen": "4", "rejected": "5"},
    "system and question": {"system": "Be brief.", "question": "2 + 2 = ", "chosen": "4", "rejected": "5"},
    "messages": {"prompt": [ASKED], "chosen": [FOUR], "rejected": [FIVE]},
    "conversations": {"chosen": [ASKED, FOUR], "rejected": [ASKED, FIVE]},
    "ultrafeedback": {"prompt": "2 + 2?", "chosen": [SYSTEM, ASKED, FOUR], "rejected": [SYSTEM, ASKED, FIVE]},
    "a repeated prompt": {"prompt": [ASKED], "chosen": [ASKED, FOUR], "rejected": [ASKED, FIVE]},
    "a text and messages": {"prompt": "2 + 2?", "chosen": [FOUR], "rejected": [FIVE]},
    "messages and texts": {"prompt": [ASKED], "chosen": "4", "rejected": "5"},
    "several turns": {"prompt": [ASKED], "chosen": [FOUR, *AGAIN], "rejected": [FIVE]},
}


def prepared(row: dict[str, Any], shown: dict[str, Any] | None, place: Path) -> tuple[list[Any], list[Any]]:
    """Return the tokens that TRL makes after the recipe for a row of the form that is shown, and those of the audit."""
    datasets = pytest.importorskip("datasets")
    columns = tuple(column for column in ("system", "question") if column in row)
    data, tokenizer = write_lines(place / "kept.jsonl", [row, row]), byte_tokenizer(chat_template=CHAT)
    reading = open_pairs(data, "train", columns).reading
    lines = recipe({"loss": "DPO(beta=0.1)", "max_tokens": 64, "columns": reading.settings()}, str(data), row=shown)
    loading = next(line for line in lines if "train_dataset = " in line).partition(" = ")[2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", place / "cache")
        found = eval(loading, {"datasets": datasets})  # the line is ours
    return list(trained(tokenizer, found.to_list())), list(ours(tokenizer, [row, row], columns))


@pytest.mark.parametrize("form", FORMS)
def test_the_recipe_makes_the_tokens_that_were_audited(form: str, tmp_path: Path) -> None:
    found, audited = prepared(FORMS[form], FORMS[form], tmp_path)
    assert found == audited


@pytest.mark.parametrize("form", ["ultrafeedback", "a text and messages", "messages and texts"])
def test_without_it_trl_cannot_read_these_rows(form: str, tmp_path: Path) -> None:
    with pytest.raises((TypeError, AttributeError)):
        prepared(FORMS[form], None, tmp_path)


SHAREGPT = [{"from": "human", "value": "2 + 2?"}, {"from": "gpt", "value": "4"}]
PARTS = [{"role": "assistant", "content": [{"type": "text", "text": "4"}]}]


@pytest.mark.parametrize("form", FORMS)
def test_rows_of_one_form_are_trained_on_by_trl(form: str) -> None:
    row = FORMS[form]
    columns = tuple(column for column in ("system", "question") if column in row) or ("prompt",)
    assert why_not_by_trl([row, row], columns) is None


@pytest.mark.parametrize(
    "chosen", [["4", [FOUR]], [SHAREGPT], [str([FOUR])], [json.dumps([FOUR])], [PARTS], ["4", None]]
)
@pytest.mark.parametrize("column", ["prompt", "chosen", "rejected"])
def test_rows_that_trl_reads_otherwise_are_told(chosen: list[Any], column: str) -> None:
    """In whatever column: a prompt of another form than the first one would follow the recipe for the first."""
    rows = [FORMS["texts"] | {column: value} for value in chosen]
    assert (why_not_by_trl(rows) or "").startswith("TRL ")
    assert why_not_by_trl(rows[:1]) is None or len(rows) == 1


def test_no_recipe_is_printed_for_rows_that_trl_reads_otherwise(tmp_path: Path) -> None:
    rows = [b"{broken", FORMS["texts"], FORMS["messages"]]
    model, data = save_tiny(tmp_path / "model"), write_lines(tmp_path / "pairs.jsonl", rows)
    audited = run("pairs", "--model", model, "--data", data, "--out", tmp_path / "audit.jsonl", "--only-own")
    assert audited.exit_code == 0, audited.output
    how = ["--results", tmp_path / "audit.jsonl", "--data", data]
    found = run("keep", "row > 0", *how, "--out", tmp_path / "kept.jsonl")
    assert "1 hold texts and 1 hold messages" in " ".join(found.output.split())
    assert "load_dataset" not in found.output
    one = run("keep", "row == 1", *how, "--out", tmp_path / "one.jsonl", "--keep-skipped")
    assert one.exit_code == 0, one.output
    assert "load_dataset" in one.output


@pytest.mark.parametrize("name", [r"C:\new\table.jsonl", 'the "best" pairs.jsonl', "Übung.jsonl", "a\nb.jsonl"])
def test_names_are_strings_of_python_whatever_is_in_them(name: str) -> None:
    settings = {"loss": "DPO(beta=0.1)", "max_tokens": 512, "columns": {"prompt": [name, "more"]}}
    lines = recipe(settings, name, template=name)[1:]
    code = ast.parse("\n".join(line.strip() for line in lines))
    literals = [node.value for node in ast.walk(code) if isinstance(node, ast.Constant)]
    assert literals.count(name) == 3  # the file, the template, the column
