from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, strategies as st

from dynamics import InvalidArgument
from dynamics.language_model.pair_audit.reading.columns import COLUMNS, find_reading
from dynamics.language_model.pair_audit.reading.rows import Pair, digest, parse_pair

USER = {"role": "user", "content": "7 x 8?"}
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


def says(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}


def test_every_form_of_a_row_is_the_same_pair() -> None:
    """Messages as prompt, as part of both conversations, as text beside conversations, and all of these at once."""
    wanted = Pair((USER,), (says("56"),), (says("54"),))
    turns = {"chosen": [says("56")], "rejected": [says("54")]}
    whole = {"chosen": [USER, says("56")], "rejected": [USER, says("54")]}
    forms = [
        {"prompt": [USER], **turns},
        {"prompt": [USER], "chosen": "56", "rejected": "54"},
        {"prompt": USER["content"], **turns},
        {"prompt": USER["content"], **whole},
        {"prompt": [USER], **whole},
        {"prompt": None, **whole},
        whole,
        {"score": 1.0, **whole},
    ]
    for form in forms:
        assert replace(parse_pair(form), repeated=False) == wanted, form


def test_fields_that_a_table_fills_with_nothing_are_left_out() -> None:
    padded = {"role": "user", "content": "7 x 8?", "name": None}
    assert parse_pair({"prompt": [padded], "chosen": "56", "rejected": "54"}).prompt == (USER,)


@given(texts, texts, texts)
def test_texts_with_a_prompt_are_taken_as_they_are(prompt: str, chosen: str, rejected: str) -> None:
    assume(chosen != rejected)
    assert parse_pair({"prompt": prompt, "chosen": chosen, "rejected": rejected}) == Pair(prompt, chosen, rejected)


@given(texts, texts, texts)
def test_texts_without_a_prompt_are_split_where_they_first_differ(prompt: str, chosen: str, rejected: str) -> None:
    """Nothing is lost, the responses differ in their first character (after a space that both begin with)."""
    assume(chosen[0] != rejected[0])
    found = parse_pair({"chosen": prompt + chosen, "rejected": prompt + rejected})
    assert found.prompt + found.chosen == prompt + chosen
    assert found.prompt + found.rejected == prompt + rejected
    space = " " if prompt.endswith(" ") else ""
    assert found == Pair(prompt.removesuffix(" "), space + chosen, space + rejected)


def test_a_conversation_of_several_turns_is_split_before_the_last() -> None:
    shared = [USER, says("Let me see."), {"role": "user", "content": "And?"}]
    found = parse_pair({"chosen": [*shared, says("56")], "rejected": [*shared, says("54")]})
    assert found == Pair(tuple(shared), (says("56"),), (says("54"),))


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"prompt": "a", "chosen": "b"}, "columns: there is no column rejected, only prompt, chosen"),
    ({"question": "a"}, "columns: there is no column chosen, only question"),
    ({}, "columns: there is no column chosen, only none"),
    ({"prompt": "a", "chosen": "b", "rejected": None}, "rejected: got None; allowed: text, or a list of messages"),
    ({"prompt": "a", "chosen": "", "rejected": "b"}, "chosen: the response is empty"),
    ({"prompt": "a", "chosen": "b", "rejected": ""}, "rejected: the response is empty"),
    ({"prompt": "a", "chosen": "b", "rejected": "b"}, "this response is the same as the chosen one"),
    ({"prompt": "a", "chosen": 3, "rejected": "b"}, 'chosen: this is the number 3; write it as text, "3"'),
    (
        {"prompt": "a", "chosen": says("c"), "rejected": says("b")},
        "chosen: this is a single message; put it into a list",
    ),
    ({"prompt": 3, "chosen": "c", "rejected": "b"}, "prompt: this is the number 3"),
    ({"prompt": [], "chosen": "c", "rejected": "b"}, "prompt"),
    ({"prompt": "a", "chosen": [{"role": "user"}], "rejected": [says("b")]}, "allowed: text, or a list of messages"),
    (
        {"prompt": [{"role": "user", "content": [{"type": "image"}]}], "chosen": "c", "rejected": "b"},
        "the content of a message has parts of the kind image; only texts can be read",
    ),
    (
        {"prompt": [{"role": "user", "content": []}], "chosen": "c", "rejected": "b"},
        "the content of a message has parts of the kind nothing",
    ),
    (
        {"prompt": "a", "chosen": [says("c")], "rejected": "b"},
        "chosen: this response is a list of messages, and rejected is a string; both must be",
    ),
    ({"prompt": "a", "chosen": "\ud800", "rejected": "b"}, "character 0 is half of a surrogate pair"),
    ({"chosen": "c", "rejected": "b"}, "prompt: there is no column named prompt"),
    ({"chosen": [says("c")], "rejected": [says("b")]}, "prompt: there is no column named prompt"),
    ({"prompt": [USER], "chosen": [USER, says("a")], "rejected": [says("b")]}, "prompt: only one of the two responses"),
    ({"chosen": "ab", "rejected": "a"}, "rejected: this text is the beginning of the chosen one"),
    ({"chosen": [USER], "rejected": [USER, says("b")]}, "prompt: there is no column named prompt, and the two"),
    (
        {"chosen": [USER, USER], "rejected": [USER, says("b")]},
        "chosen: no turn of the assistant follows the shared turns; what follows are turns of: user",
    ),
    (
        {"chosen": [USER, says("a"), USER], "rejected": [USER, says("a"), USER, says("b")]},
        "chosen: no turn of the assistant follows the shared turns; what follows are turns of: user",
    ),
]


@pytest.mark.parametrize(("record", "message"), BROKEN)
def test_what_is_wrong_with_a_row_is_named(record: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse_pair(record)
    assert message in str(refused.value)


def test_conversations_that_became_text_in_a_table_are_read_back() -> None:
    whole = {"chosen": [USER, says("it's 56")], "rejected": [USER, says('"54"')]}
    wanted = parse_pair(whole)
    for write in (json.dumps, str, lambda turns: "  " + json.dumps(turns, indent=1) + "\n"):
        found = parse_pair({side: write(turns) for side, turns in whole.items()})
        assert found == replace(wanted, written=True)
    prompt = {"prompt": str([USER]), "chosen": "56", "rejected": "54"}
    assert parse_pair(prompt) == Pair((USER,), (says("56"),), (says("54"),), written=True)
    assert not wanted.written


@pytest.mark.parametrize(
    "text",
    [
        "[{'content': 'a', 'role': 'user'}\n {'content': 'b', 'role': 'assistant'}]",  # as NumPy prints a list
        "array([{'content': 'a', 'role': 'user'}], dtype=object)",
        "[{'role': 'user', 'content': open('secret')}]",
        "[{'role': 'user', 'content': 'and so o...",
        "[{'role': 'user', 'content': " + "[" * 5000,
    ],
)
def test_what_cannot_be_read_back_is_not_taken_for_text(text: str) -> None:
    with pytest.raises(InvalidArgument, match="chosen: messages written as text that cannot be read back"):
        parse_pair({"prompt": "a", "chosen": text, "rejected": "b"})


def test_texts_about_lists_stay_texts() -> None:
    for text in ("[{", "[1, 2]", "[{'colour': 'red'}]", "see [{'role': 'user', 'content': 'a'}]"):
        assert parse_pair({"prompt": "a", "chosen": text, "rejected": "b"}).chosen == text


def test_a_response_that_begins_the_other_is_called_that() -> None:
    asked = "\n\nHuman: Shall I?\n\nAssistant: No."
    for short, long in (("chosen", "rejected"), ("rejected", "chosen")):
        with pytest.raises(InvalidArgument, match=f"{short}: this text is the beginning of the {long} one"):
            parse_pair({short: asked, long: asked + " But do it."})
    # with a prompt of its own, or as the content of the last turn, it is a response like any other
    assert parse_pair({"prompt": "Shall I?", "chosen": "No.", "rejected": "No. But do it."}).chosen == "No."
    assert parse_pair({"chosen": [USER, says("No.")], "rejected": [USER, says("No. But")]}).chosen == (says("No."),)


TEMPLATE: list[tuple[dict[str, Any], str]] = [
    ({"tools": "not JSON"}, "tools: this text is not JSON, as it must be here: not JSON"),
    ({"tools": {"name": "f"}}, "a list of tools"),
    ({"tools": 3}, "a list of tools"),
    ({"chat_template_kwargs": [1]}, "an object of names and values"),
    ({"chat_template_kwargs": "[1]"}, "an object of names and values"),
]


@pytest.mark.parametrize(("given", "words"), TEMPLATE)
def test_tools_and_arguments_of_another_form_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse_pair({"prompt": "a", "chosen": "c", "rejected": "b", **given})
    assert words in str(refused.value)


@pytest.mark.parametrize("nothing", [None, "", " "])
def test_no_tools_are_no_tools(nothing: Any) -> None:
    row = {"prompt": "a", "chosen": "c", "rejected": "b"}
    assert parse_pair({**row, "tools": nothing, "chat_template_kwargs": nothing}) == parse_pair(row)


def test_responses_are_shown_by_what_they_say() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"name": "calculator"}]}
    assert parse_pair({"prompt": [USER], "chosen": [call], "rejected": [says("54")]}).texts == (
        'tool call [{"name": "calculator"}]',
        "54",
    )


@given(st.dictionaries(st.sampled_from(COLUMNS), texts), st.sampled_from(COLUMNS), texts)
def test_a_digest_changes_with_what_is_read_and_with_nothing_else(record: Any, column: str, text: str) -> None:
    assert digest(record) == digest({"id": 3, **json.loads(json.dumps(record))})
    if record.get(column) != text:
        assert digest(record) != digest({**record, column: text})
    assert digest({"chosen": "a", "rejected": "b"}) != digest({"chosen": "b", "rejected": "a"})


def test_turns_of_sharegpt_and_parts_of_content_are_read_as_messages() -> None:
    """The same pair in four forms; the responses of ShareGPT are single turns."""
    plain = {
        "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"}],
        "chosen": [{"role": "assistant", "content": "4"}],
        "rejected": [{"role": "assistant", "content": "5"}],
    }
    sharegpt = {
        "prompt": [{"from": "system", "value": "Be brief."}, {"from": "human", "value": "2 + 2?"}],
        "chosen": {"from": "gpt", "value": "4"},
        "rejected": {"from": "gpt", "value": "5"},
    }
    parts = {
        side: [{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in turns]
        for side, turns in plain.items()
    }
    split = [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}]
    several = {**plain, "prompt": [{"role": "system", "content": split}, plain["prompt"][1]]}
    wanted = parse_pair(plain)
    for record in (sharegpt, parts, several):
        assert parse_pair(record) == wanted
    assert find_reading("data", [{**sharegpt, "id": "x"}]).prompt == ("prompt",)
    conversations = {
        "conversations": sharegpt["prompt"],
        "chosen": sharegpt["chosen"],
        "rejected": sharegpt["rejected"],
    }
    with pytest.raises(InvalidArgument, match="give --prompt-column conversations"):
        find_reading("data", [conversations])
    assert parse_pair(conversations, find_reading("data", [conversations], ["conversations"])) == wanted


def test_the_turns_after_the_prompt_are_the_response_however_many_they_are() -> None:
    sure = [says("4"), {"role": "user", "content": "Sure?"}, says("Yes.")]
    pair = parse_pair({"prompt": [USER], "chosen": sure, "rejected": [says("5")]})
    assert pair == Pair((USER,), tuple(sure), (says("5"),))
    assert pair.texts == ("assistant: 4\n\nuser: Sure?\n\nassistant: Yes.", "5")
    assert parse_pair({"chosen": [USER, *sure], "rejected": [USER, says("5")]}) == pair
    # turns that both share belong to the prompt, unless there is one of its own
    other = [*sure[:2], says("No.")]
    implicit = parse_pair({"chosen": [USER, *sure], "rejected": [USER, *other]})
    assert implicit == Pair((USER, *sure[:2]), (says("Yes."),), (says("No."),))
    assert parse_pair({"prompt": [USER], "chosen": sure, "rejected": other}).chosen == tuple(sure)
    # of a conversation that the other one begins with, the last turn is the response
    short = parse_pair({"chosen": [USER, says("4")], "rejected": [USER, *sure]})
    assert short == Pair((USER,), (says("4"),), tuple(sure))


def test_a_text_prompt_is_the_question_of_conversations_that_have_none() -> None:
    system = {"role": "system", "content": "Be brief."}
    turns = {"chosen": [system, says("56")], "rejected": [system, says("54")]}
    assert parse_pair({"prompt": USER["content"], **turns}) == Pair((system, USER), (says("56"),), (says("54"),))
    more = [says("Let me see."), {"role": "user", "content": "And?"}]
    longer = {"prompt": USER["content"], "chosen": [*more, says("56")], "rejected": [*more, says("54")]}
    assert parse_pair(longer) == Pair((USER,), (*more, says("56")), (*more, says("54")))
    asked = {side: [turns[side][0], USER, turns[side][1]] for side in turns}  # not twice
    assert parse_pair({"prompt": "7 x 8 is what?", **asked}).prompt == (system, USER)


def test_a_prompt_of_messages_that_both_conversations_repeat_is_taken_once() -> None:
    whole = {"chosen": [USER, says("56")], "rejected": [USER, says("54")]}
    assert parse_pair({"prompt": [USER], **whole}) == replace(parse_pair(whole), repeated=True)
    assert not parse_pair(whole).repeated
    assert not parse_pair({"prompt": USER["content"], **whole}).repeated  # a trainer reads no such row


def test_words_of_the_answer_in_the_prompt_are_noticed() -> None:
    """The prompt of two texts is what both begin with, which may be more than the question."""
    asked = "\n\nHuman: Shall I?\n\nAssistant:"
    begun = parse_pair({"chosen": asked + " I would not.", "rejected": asked + " I would."})
    assert (begun.prompt, begun.begun) == (asked + " I would", True)
    assert not parse_pair({"chosen": asked + " No.", "rejected": asked + " Yes."}).begun
    # of the last answer, and after the last question
    again = asked + " No.\n\nHuman: Sure?\n\nAssistant:"
    assert not parse_pair({"chosen": again + " Yes.", "rejected": again + " No."}).begun
    assert parse_pair({"chosen": again + " I am.", "rejected": again + " I think so."}).begun
    # a column for the prompt says where it ends
    row = {"prompt": asked + " I", "chosen": " do", "rejected": " go"}
    assert not parse_pair(row).begun
