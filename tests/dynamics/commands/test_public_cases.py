"""What people met with their own data, one test for each case, through the command line as they would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from dynamics.__main__ import app
from dynamics.language_model import tiny_model
from tests.dynamics.language_model.saved import read_lines, write_lines
from tests.dynamics.language_model.tokenizers import trained_tokenizer

SHIPPED = Path(__file__).parents[3] / "toy_models" / "multiplication" / "weights"
TURNS = "{% for m in messages %}{{ '<|s|>' + m['role'] + '\n' + m['content'] + '<|e|>\n' }}{% endfor %}"
ASK = "{% if add_generation_prompt %}{{ '<|s|>assistant\n' }}{% endif %}"
TEMPLATES = {
    "plain": None,
    "roles": "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate, user first') }}{% endif %}{% endfor %}" + TURNS + ASK,
    "think": TURNS + ASK.replace("assistant\n", "assistant\n<think>\n"),
    "tools": "{% if tools %}{{ '<|s|>system\nTools: ' + (tools | tojson) + '<|e|>\n' }}{% endif %}" + TURNS + ASK,
    "bos": TURNS + ASK,
}
runner = CliRunner(env={"COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1"})


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for kind, template in TEMPLATES.items():
        tokenizer = trained_tokenizer("bytes", bos=kind == "bos")
        tokenizer.chat_template = template
        tokenizer.save_pretrained(folder / kind)
        tiny_model(vocabulary=len(tokenizer)).save_pretrained(folder / kind)
    return folder


def pairs(model: Path, data: Path, *options: object) -> Result:
    return runner.invoke(app, ["pairs", "--model", str(model), "--data", str(data), *map(str, options)])


def audit(model: Path, folder: Path, rows: list[Any], *options: object) -> tuple[str, list[dict[str, Any]]]:
    """Audit rows and return what was printed and what was written."""
    out = folder / "out.jsonl"
    for left in folder.glob("out.jsonl*"):
        left.unlink()
    result = pairs(model, write_lines(folder / "in.jsonl", rows), "--out", out, *options)
    assert result.exit_code == 0, result.output
    return result.output, read_lines(out)


def refused(result: Result, folder: Path) -> str:
    """Return the one line of a refusal that leaves nothing behind."""
    assert result.exit_code == 2, result.output
    assert len(result.stderr.splitlines()) == 1
    assert list(folder.glob("out.jsonl*")) == []
    return result.stderr


def chat(question: str, chosen: Any, rejected: Any, **columns: Any) -> dict[str, Any]:
    sides = {"chosen": chosen, "rejected": rejected}
    made = {s: [{"role": "assistant", "content": v} if isinstance(v, str) else v] for s, v in sides.items()}
    return {"prompt": [{"role": "user", "content": question}], **made, **columns}


def numbers(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key.startswith(("log_prob", "tokens", "drive"))}


def test_02_a_template_that_refuses_a_role(models: Path, tmp_path: Path) -> None:
    system = chat("Hi", "Hello", "No")
    system["prompt"].insert(0, {"role": "system", "content": "Be brief."})
    rows = [chat("3 + 4?", "7", "8"), system, chat("3 + 5?", "8", "9")]
    printed, found = audit(models / "roles", tmp_path, rows)
    assert ["skipped" in record for record in found] == [False, True, False]
    assert "it says: roles must alternate, user first" in found[1]["skipped"]
    assert "roles must alternate, user first" in printed
    (tmp_path / "strict").mkdir()
    data, model = tmp_path / "in.jsonl", models / "roles"
    said = refused(pairs(model, data, "--out", tmp_path / "strict" / "out.jsonl", "--strict"), tmp_path / "strict")
    assert "line 2: messages: the model's chat template does not accept the turns of system, user" in said
    assert "roles must alternate, user first" in said
    common = ["--model", str(model), "--data", str(data)]
    for command in (["kernel", *common, "--rows", "0,1"], ["step", *common, "--row", "1"]):
        assert "roles must alternate, user first" in refused(runner.invoke(app, command), tmp_path / "strict")


def test_03_a_question_in_another_column(models: Path, tmp_path: Path) -> None:
    answers = {"chosen": "The largest one is Jupiter.", "rejected": "The largest one is Mars."}
    data, empty = tmp_path / "asked.jsonl", tmp_path / "empty"
    empty.mkdir()
    for others, columns in (
        ({"instruction": "Name it.", "input": "The largest planet"}, "instruction,input"),
        ({"system": "Be brief.", "question": "Which planet is the largest?"}, "question"),
    ):
        write_lines(data, [{**others, **answers}])
        nowhere = tmp_path / "no-such-model"  # it is refused before the model is looked for
        said = refused(pairs(nowhere, data, "--out", empty / "out.jsonl"), empty)
        assert f"--prompt-column {columns}, if the prompt is there" in said
        printed, (found,) = audit(models / "plain", tmp_path, [{**others, **answers}], "--prompt-column", columns)
        prompt = "\n".join(others[column] for column in columns.split(","))
        _, (wanted,) = audit(models / "plain", tmp_path, [{"prompt": prompt, **answers}])
        assert numbers(found) == numbers(wanted)
        assert f"columns read: {' and '.join(columns.split(','))} (as the prompt), chosen, rejected" in printed


def test_04_responses_that_repeat_the_prompt(tmp_path: Path) -> None:
    asked = "6 x 9 = ?\n"
    once = {"prompt": asked, "chosen": "6 x 9 = 54", "rejected": "6 x 9 = 56"}
    twice = {"prompt": asked, "chosen": asked + once["chosen"], "rejected": asked + once["rejected"]}
    _, (wanted,) = audit(SHIPPED, tmp_path, [once])
    printed, (found,) = audit(SHIPPED, tmp_path, [twice])
    assert numbers(found) == numbers(wanted)
    assert found["remarks"] == ["repeated-prompt"]
    assert "remarks" not in wanted
    assert "repeat the prompt in 1 of the first 1 rows" in printed


def test_05_a_border_token_in_one_response_only(models: Path, tmp_path: Path) -> None:
    row = {"prompt": "Human: how much is it? Assistant: ", "chosen": "9 now", "rejected": "the price is high"}
    printed, (found,) = audit(models / "plain", tmp_path, [row])
    moved = {"prompt": row["prompt"].rstrip(), "chosen": " 9 now", "rejected": " the price is high"}
    _, (wanted,) = audit(models / "plain", tmp_path, [moved])
    assert numbers(found) == numbers(wanted)
    assert (found["cut"], found["left_out"], found["cut_by"]) == (True, " ", "merge")
    assert wanted["cut"] is False
    assert "prompt cut            1 (100.0%): the end of the prompt, ' ', merges" in printed


def test_06_a_prompt_that_is_no_beginning(models: Path, tmp_path: Path) -> None:
    printed, found = audit(models / "think", tmp_path, [chat("3 + 4?", "7", "8"), chat("3 + 5?", "8", "9")])
    assert [(record["cut"], record["left_out"], record["cut_by"]) for record in found] == [
        (True, "<think>\n", "template"),
    ] * 2
    assert "prompt cut            2 (100.0%): the chat template ends a prompt with '<think>\\n'" in printed
    assert "note on line 1: the chat template ends a prompt with '<think>\\n'" in printed
    summary = json.loads((tmp_path / "out.jsonl.summary.json").read_text(encoding="utf-8"))
    assert (summary["cut"], summary["left_out"]) == (2, "<think>\n")
    printed, found = audit(models / "tools", tmp_path, [chat("3 + 4?", "7", "8")])
    assert found[0]["cut"] is False
    assert "prompt cut            0\n" in printed


def test_07_tools(models: Path, tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "price", "parameters": {}}}
    call = {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": {"name": "price"}}]}
    rows = [
        chat("How much?", "46", "now"),
        chat("How much?", "46", "now", tools=[tool]),
        chat("How much?", "46", "now", tools=json.dumps([tool])),
        chat("How much?", call, "now"),
        chat("How much?", "46", "now", chat_template_kwargs={"tools": [tool]}),
    ]
    printed, found = audit(models / "tools", tmp_path, rows, "--max-tokens", 400)
    bare, listed, written, called, argued = found
    assert listed["log_prob_chosen"] == pytest.approx(written["log_prob_chosen"], rel=1e-6)
    assert listed["log_prob_chosen"] == pytest.approx(argued["log_prob_chosen"], rel=1e-6)
    assert abs(listed["log_prob_chosen"] - bare["log_prob_chosen"]) > 1e-3
    assert "a tool call without content" in called["skipped"]
    assert "columns read: prompt, chosen, rejected, tools, chat_template_kwargs; not read: none" in printed


def test_09_conversations_that_went_through_csv(models: Path, tmp_path: Path) -> None:
    row = chat("3 + 4?", "7", "it's 8")
    _, (wanted,) = audit(models / "tools", tmp_path, [row])
    printed, (found,) = audit(models / "tools", tmp_path, [{column: str(value) for column, value in row.items()}])
    assert numbers(found) == numbers(wanted)
    assert found["remarks"] == ["messages-as-text"]
    assert "messages-as-text      1: " in printed


def test_10_bos_and_end_of_turn_twice(models: Path, tmp_path: Path) -> None:
    rendered = "<|bos|><|s|>user\n3 + 4?<|e|>\n<|s|>assistant\n"
    row = {"prompt": rendered, "chosen": "7<|e|>\n", "rejected": "8<|e|>\n"}
    printed, (found,) = audit(models / "bos", tmp_path, [row])
    assert found["remarks"] == ["two-bos", "two-ends"]
    assert "two-bos               1: BOS comes twice at the beginning" in printed
    assert "two-ends              1: a response ends twice" in printed
    clean = {"prompt": rendered.removeprefix("<|bos|>"), "chosen": "7<|e|>", "rejected": "8<|e|>"}
    _, (found,) = audit(models / "bos", tmp_path, [clean])
    assert "remarks" not in found


def test_rows_can_be_looked_at_first(models: Path, tmp_path: Path) -> None:
    data = write_lines(tmp_path / "in.jsonl", [chat("3 + 4?", "7", "8")] * 3)
    result = pairs(models / "think", data, "--show", 2)
    assert result.exit_code == 0, result.output
    assert "columns read: prompt, chosen, rejected; not read: none" in result.output
    assert result.output.count("  chosen  3 tokens") == 2
    assert "          │ <|s|>user⏎" in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl"]


def test_a_refused_audit_leaves_nothing_behind(models: Path, tmp_path: Path) -> None:
    data = write_lines(tmp_path / "in.jsonl", [chat("3 + 4?", "7", "8")])
    out = tmp_path / "out.jsonl"
    assert "parameters" in refused(pairs(models / "tools", data, "--out", out, "--parameters", "[none]"), tmp_path)
    assert "at most 2" in refused(pairs(models / "tools", data, "--out", out, "--max-tokens", 2), tmp_path)
    nowhere = tmp_path / "deep" / "out.jsonl"
    assert "does not exist" in refused(pairs(tmp_path / "no-model", data, "--out", nowhere), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl"]
