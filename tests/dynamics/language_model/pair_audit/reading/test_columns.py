from __future__ import annotations

from typing import Any

import pytest

from dynamics import InvalidArgument
from dynamics.language_model.pair_audit.reading.columns import Reading, ends_a_question, find_reading, holds_prompt
from dynamics.language_model.pair_audit.reading.rows import parse_pair

ANSWERS = {"chosen": "The capital is Paris.", "rejected": "The capital is Lyon."}
TALK = {"chosen": "\n\nHuman: Where?\n\nAssistant: In Paris", "rejected": "\n\nHuman: Where?\n\nAssistant: In Lyon"}
TURNS = {side: [{"role": "assistant", "content": text}] for side, text in ANSWERS.items()}
WHOLE = {side: [{"role": "user", "content": "Where?"}, *turns] for side, turns in TURNS.items()}

ELSEWHERE: list[tuple[dict[str, Any], str]] = [
    ({"question": "Where?"}, "question"),
    ({"instruction": "Answer.", "input": "Where?"}, "instruction,input"),
    ({"Instruction": "Answer.", "Input": ""}, "Instruction,Input"),
    ({"instruction": "Where is it?"}, "instruction"),
    ({"system": "You are brief.", "question": "Where is it?"}, "question"),
    ({"query": "Where?", "id": "a1"}, "query"),
    ({"input": "Where is it?"}, "input"),
    ({"messages": [{"role": "user", "content": "Where?"}]}, "messages"),
    ({"asked": "Where is the capital?", "source": "quiz"}, "asked"),
    ({"user_question": "Where is it?", "remark": "a hard one"}, "user_question"),
    ({"prompt": None, "question": "Where?"}, "question"),
    ({"prompt": "", "question": "Where?"}, "question"),
]


@pytest.mark.parametrize("answers", [ANSWERS, TURNS], ids=["texts", "turns"])
@pytest.mark.parametrize(("others", "column"), ELSEWHERE)
def test_answers_whose_question_stands_elsewhere_are_refused(others: Any, column: str, answers: Any) -> None:
    rows = [{**others, **answers}] * 3
    with pytest.raises(InvalidArgument) as refused:
        find_reading("quiz", rows)
    assert f"--prompt-column {column}, " in str(refused.value)
    found = find_reading("quiz", rows, column.split(","))
    asked = parse_pair(rows[0], found).prompt
    said = "\n".join(value for name in column.split(",") if isinstance(value := others[name], str) and value)
    if said:
        assert asked == (said if answers is ANSWERS else ({"role": "user", "content": said},))


@pytest.mark.parametrize(
    "others",
    [{}, {"id": "a1"}, {"score": 3, "chosen_model": "a big one", "rejected_rating": "so so", "source": "a quiz"}],
)
def test_what_both_texts_begin_with_is_the_prompt_where_nothing_else_could_be(others: dict[str, Any]) -> None:
    found = find_reading("quiz", [{**others, **ANSWERS}])
    assert (found.prompt, found.implicit) == ((), True)
    assert parse_pair({**others, **ANSWERS}, found).prompt == "The capital is"


@pytest.mark.parametrize(
    "rows", [TALK, WHOLE, {**WHOLE, "chosen": str(WHOLE["chosen"]), "rejected": str(WHOLE["rejected"])}]
)
def test_conversations_hold_their_question_whatever_stands_beside_them(rows: dict[str, Any]) -> None:
    found = find_reading("quiz", [{"comment": "a good one, this", "question": "Where?", **rows}])
    assert found.implicit
    assert found.ignored == ("comment", "question")


def test_a_row_without_its_question_among_conversations_is_not_split() -> None:
    """Where nothing else could be the question it is, as a trainer splits it."""
    rows = [{"comment": "a good one", **TALK}, {"comment": "a good one", **TALK}, {"comment": "an odd one", **ANSWERS}]
    with pytest.raises(InvalidArgument, match="begin with the same question, up to the marker of its answer"):
        parse_pair(rows[2], find_reading("talk", rows))
    for found in (find_reading("talk", [TALK, TALK, ANSWERS]), find_reading("talk", rows, ["none"])):
        assert parse_pair(rows[2], found).prompt == "The capital is"


def test_the_prompt_that_both_begin_with_can_be_asked_for() -> None:
    rows = [{"question": "Where?", **ANSWERS}]
    assert find_reading("quiz", rows, ["none"]).implicit
    with pytest.raises(InvalidArgument, match="prompt-column: got answer; allowed: columns of the data: question"):
        find_reading("quiz", rows, ["answer"])


def test_a_row_without_the_prompt_that_others_have_is_not_split() -> None:
    rows = [{"prompt": "Where?", **ANSWERS}] * 2
    found = find_reading("quiz", rows)
    for row in ({"prompt": None, **ANSWERS}, ANSWERS):
        with pytest.raises(
            InvalidArgument, match="prompt: the column prompt is empty or missing in this row, unlike in other rows"
        ):
            parse_pair(row, found)
    assert parse_pair({"prompt": None, **WHOLE}, found).prompt == ({"role": "user", "content": "Where?"},)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("\n\nHuman: Hi\n\nAssistant:", True),
        ("Q: 2 + 2? A:", True),
        ("### Instruction:\nAdd.\n\n### Response:\n", True),
        ("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", True),
        ("<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>", True),
        ("<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n", True),
        ("[INST] Hi [/INST]", True),
        ("The correct answer is (", False),
        ("The answer: ", False),
        ("Assistant: I would ask the user: ", False),
        ("Let me think. A user would", False),
        ("", False),
    ],
)
def test_marks_of_turns(text: str, wanted: bool) -> None:
    assert ends_a_question(text) == wanted


def test_a_prompt_that_both_responses_repeat_is_read_once() -> None:
    pair = {"prompt": "7 x 8 = ?\n", "chosen": "7 x 8 = ?\n56", "rejected": "7 x 8 = ?\n54"}
    found = find_reading("products", [pair])
    assert found.repeated
    read = parse_pair(pair, found)
    assert (read.prompt, read.chosen, read.rejected, read.repeated) == ("7 x 8 = ?\n", "56", "54", True)
    once = {"prompt": "7 x 8 = ?\n", "chosen": "56", "rejected": "54"}
    assert not parse_pair(once, found).repeated
    written_out = {"prompt": "Where?", **TALK}
    assert find_reading("talk", [written_out]).repeated
    read = parse_pair(written_out, find_reading("talk", [written_out]))
    assert (read.prompt, read.chosen) == ("\n\nHuman: Where?\n\nAssistant: In", " Paris")
    spaced = {"prompt": "7 x 8 = ", "chosen": "7 x 8 = 56", "rejected": "7 x 8 =\n54"}
    read = parse_pair(spaced, find_reading("products", [spaced]))
    assert (read.prompt, read.chosen, read.rejected) == ("7 x 8 =", " 56", "\n54")


def test_responses_that_happen_to_begin_with_the_prompt_keep_their_words() -> None:
    rows = [{"prompt": "Hi", "chosen": "Hi there", "rejected": "Hi!"}, *[{"prompt": "Where?", **ANSWERS}] * 4]
    found = find_reading("talk", rows)
    assert (found.repeated, found.repeating) == (False, 1)
    assert parse_pair(rows[0], found).chosen == "Hi there"
    assert any(
        "in 1 of the first 5 rows; these words are taken as part of the responses" in line for line in found.lines()
    )
    assert not holds_prompt("Hi", "Hi there", "Hello")


def test_what_is_read_and_what_is_not_is_said() -> None:
    row = {
        "id": 1,
        "system": "Be brief.",
        "prompt": [{"role": "user", "content": "?"}],
        **TURNS,
        "tools": None,
        "images": [],
    }
    lines = find_reading("quiz", [row]).lines()
    assert lines[0] == "columns read: prompt, chosen, rejected, tools; not read: id, system, images"
    assert lines[1].startswith("warning: not read, nor by trainers of text: system, images; if this")
    assert find_reading("quiz", [TALK]).lines()[1].startswith("there is no prompt column")
    assert Reading().lines() == ["columns read: prompt, chosen, rejected; not read: none"]


def test_other_things_than_rows_do_not_disturb() -> None:
    found = find_reading("quiz", [3, None, [1], {"prompt": "Where?", **ANSWERS}])
    assert (found.prompt, found.looked_at) == (("prompt",), 1)
    assert find_reading("quiz", []).prompt == ("prompt",)
