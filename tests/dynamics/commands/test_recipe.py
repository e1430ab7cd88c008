"""The printed recipe, run: TRL prepares the tokens that were audited, whatever the form of the rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.optional import needs

needs("transformers")

from dynamics.commands.recipe import recipe
from dynamics.language_model.pair_audit.reading.data import open_pairs
from tests.dynamics.language_model.pair_audit.reading.test_trl import ours, trained
from tests.dynamics.language_model.saved import write_lines
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
