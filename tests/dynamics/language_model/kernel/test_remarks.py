"""The padding token among the inputs: the results of an audit say so, for the rows that it concerns."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from dynamics.__main__ import app
from dynamics.language_model import TokenSequence, tiny_model
from dynamics.language_model.kernel.remarks import input_tokens, padding_embeddings
from tests.dynamics.language_model.saved import read_lines, write_lines
from tests.dynamics.language_model.tokenizers import byte_tokenizer

ROWS = [  # token ids; the last token of a sequence is no input
    {"prompt": [5, 6], "chosen": [7, 9, 1], "rejected": [8, 1]},
    {"prompt": [5, 6], "chosen": [7, 1], "rejected": [8, 9]},
    {"prompt": [5, 9], "chosen": [7, 1], "rejected": [8, 1]},
]


@pytest.mark.parametrize("tied", [True, False])
def test_the_results_of_pairs_say_which_rows_read_the_padding_token(tied: bool, tmp_path: Path) -> None:
    tiny_model("qwen2", tied=tied, vocabulary=258, pad_token_id=9).save_pretrained(tmp_path / "model")  # type: ignore[attr-defined]
    byte_tokenizer().save_pretrained(tmp_path / "model")
    data, runner = write_lines(tmp_path / "pairs.jsonl", ROWS), CliRunner(env={"COLUMNS": "200", "TERM": "dumb"})

    def remarks(*options: str) -> list[list[str]]:
        out = tmp_path / f"audit{len(options)}.jsonl"
        result = runner.invoke(
            app, ["pairs", "--model", str(tmp_path / "model"), "--data", str(data), "--out", str(out), *options]
        )
        assert result.exit_code == 0, result.output
        assert ("padding-row" in result.output) == (not options)
        return [line.get("remarks", []) for line in read_lines(out) if "row" in line]

    assert remarks() == [["padding-row"], [], ["padding-row"]]
    assert remarks("--parameters", "!*embed*") == [[], [], []]  # the row of the embedding is not among these


def test_only_selected_embeddings_with_a_padding_index_count() -> None:
    model = tiny_model("qwen2", pad_token_id=9)
    assert list(padding_embeddings(model, None)) == ["model.embed_tokens"]
    assert padding_embeddings(model, "*mlp*") == {}
    assert padding_embeddings(tiny_model("qwen2"), None) == {}
    assert input_tokens([TokenSequence((5, 9), 1)]) == {5}
