"""A small data set of every kind that is read, each through the command line."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.optional import needs

needs("transformers")

from typer.testing import CliRunner, Result

from dynamics.__main__ import app
from dynamics.language_model import tiny_model
from tests.dynamics.language_model.saved import products, read_lines, write_lines
from tests.dynamics.language_model.tokenizers import CHAT, byte_tokenizer

RUNNER = CliRunner(env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})
CALLING = CHAT.replace(
    "{{ m['content'] }}", "{{ m['content'] or '' }}{% for c in m.tool_calls or [] %}{{ c.function.name }}{% endfor %}"
)
TEXTS = products(2)
ASKED, FOUR, FIVE = "2 + 2?", "4", "5"


def says(text: str | None, role: str = "assistant", **others: Any) -> dict[str, Any]:
    return {"role": role, "content": text, **others}


def conversation(chosen: Any) -> dict[str, Any]:
    return {"prompt": [says(ASKED, "user")], "chosen": chosen, "rejected": [says(FIVE)]}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calling")
    tiny_model(vocabulary=258).save_pretrained(folder)
    byte_tokenizer(chat_template=CALLING).save_pretrained(folder)
    return folder


def run(*words: object) -> Result:
    return RUNNER.invoke(app, [str(word) for word in words])


def audit(model: Path, data: Path, *options: object) -> list[dict[str, Any]]:
    out = data.with_name("out.jsonl")
    result = run("pairs", "--model", model, "--data", data, "--out", out, "--only-own", *options)
    assert result.exit_code == 0, result.output
    return read_lines(out)


@pytest.fixture(scope="module")
def of_texts(model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return audit(model, write_lines(tmp_path_factory.mktemp("texts") / "data", TEXTS))


@pytest.fixture(scope="module")
def of_messages(model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return audit(model, write_lines(tmp_path_factory.mktemp("messages") / "data", [conversation([says(FOUR)])]))


def write(place: Path, kind: str) -> None:
    if kind == "array":
        place.write_text(json.dumps(TEXTS), encoding="utf-8")
    elif kind == "csv":
        with place.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(TEXTS[0]))
            writer.writeheader()
            writer.writerows(TEXTS)
    elif kind == "gz":
        place.write_bytes(gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in TEXTS)))
    else:
        table = pytest.importorskip("datasets").Dataset.from_list(TEXTS)
        table.to_parquet(str(place)) if kind == "parquet" else table.save_to_disk(str(place))


@pytest.mark.parametrize("kind", ["array", "csv", "gz", "parquet", "saved"])
def test_every_container_has_the_results_of_json_lines(
    model: Path, of_texts: list[dict[str, Any]], tmp_path: Path, kind: str
) -> None:
    data = tmp_path / ("data.csv" if kind == "csv" else "data")  # CSV is known by its name, others by what they hold
    write(data, kind)
    assert audit(model, data) == of_texts
    assert len(of_texts) == len(TEXTS)
    assert all("skipped" not in line for line in of_texts)


PARTS = [{"type": "text", "text": text} for text in ASKED.partition("+")]
SAME: dict[str, dict[str, Any]] = {
    "sharegpt": {
        "prompt": [{"from": "human", "value": ASKED}],
        "chosen": [{"from": "gpt", "value": FOUR}],
        "rejected": [{"from": "gpt", "value": FIVE}],
    },
    "parts": {**conversation([says(FOUR)]), "prompt": [{"role": "user", "content": PARTS}]},
}


@pytest.mark.parametrize("kind", SAME)
def test_other_forms_of_messages_have_their_results(
    model: Path, of_messages: list[dict[str, Any]], tmp_path: Path, kind: str
) -> None:
    (wanted,), (found,) = of_messages, audit(model, write_lines(tmp_path / "data", [SAME[kind]]))
    assert "norm_chosen" in wanted
    assert {**found, "digest": ""} == {**wanted, "digest": ""}  # the digest is of the row as it stands in the file


def test_a_tool_call_and_several_turns_are_read(model: Path, of_messages: list[dict[str, Any]], tmp_path: Path) -> None:
    call = says(None, tool_calls=[{"type": "function", "function": {"name": "add", "arguments": {}}}])
    turns = [says(FOUR), says("Sure?", "user"), says("Yes.")]
    rows = [conversation(chosen) for chosen in ([call], turns, turns[1:2])]
    called, several, none = audit(model, write_lines(tmp_path / "data", rows))
    assert called["tokens_chosen"] == len("add") + 1  # and EOS
    assert called["norm_rejected"] == pytest.approx(of_messages[0]["norm_rejected"])
    assert several["tokens_chosen"] == len("4<user>Sure?<assistant>Yes.") + 3  # three times EOS; the user's turn counts
    assert several["remarks"] == ["several-turns"]
    assert several["norm_rejected"] == pytest.approx(of_messages[0]["norm_rejected"])
    assert "no turn of the assistant follows the shared turns" in none["skipped"]


def test_messages_need_a_chat_template_which_a_file_or_another_model_may_have(
    model: Path, of_messages: list[dict[str, Any]], tmp_path: Path
) -> None:
    bare, template, rows = tmp_path / "bare", tmp_path / "chat.jinja", [conversation([says(FOUR)])]
    tiny_model(vocabulary=258).save_pretrained(bare)
    byte_tokenizer().save_pretrained(bare)
    template.write_text(CALLING, encoding="utf-8")
    data = write_lines(tmp_path / "data", rows)
    words = ("pairs", "--model", bare, "--data", data, "--out", tmp_path / "out.jsonl")
    refused = run(*words)
    assert refused.exit_code == 2
    assert "this tokenizer has no chat template" in refused.stderr
    assert "--chat-template FILE" in refused.stderr
    shown = run("pairs", "--model", bare, "--data", data, "--show", 1, "--chat-template", template)
    assert "<user>2 + 2?<|end|><assistant>" in shown.output
    assert audit(bare, data, "--chat-template", template) == of_messages
    kept = run("keep", "True", "--results", tmp_path / "out.jsonl", "--data", data, "--out", tmp_path / "kept.jsonl")
    assert f'tokenizer.chat_template = open("{template}").read()' in kept.output
    template.write_text(CALLING.replace("<assistant>", "<bot>"), encoding="utf-8")  # is another tokenizer
    another = " ".join(run(*words, "--only-own", "--chat-template", template).stderr.split())
    assert "model was" in another
    assert "(of its weights, tokenizer and chat template, one of which is another)" in another
    page = tmp_path / "report.html"
    assert run("report", tmp_path / "out.jsonl", page).exit_code == 0
    assert f"<dt>Chat template</dt><dd>{template}</dd>" in page.read_text(encoding="utf-8")
    (tmp_path / "again").mkdir()
    assert audit(bare, write_lines(tmp_path / "again" / "data", rows), "--chat-template", model) == of_messages
    for name, says_what in ((bare, "has no chat template"), (tmp_path / "none.jinja", "there is no file")):
        assert says_what in run(*words, "--chat-template", name).stderr
    ids = write_lines(tmp_path / "ids", [{"prompt_ids": [5, 6], "chosen_ids": [7, 1], "rejected_ids": [8, 1]}])
    of_ids = run("pairs", "--model", bare, "--data", ids, "--out", tmp_path / "i", "--chat-template", template)
    assert "the rows hold token ids" in of_ids.stderr
