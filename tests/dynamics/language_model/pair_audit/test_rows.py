from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given, strategies as st

from dynamics import InvalidArgument
from dynamics.language_model.pair_audit.reading import COLUMNS
from dynamics.language_model.pair_audit.rows import Pair, digest, parse_pair

USER = {"role": "user", "content": "7 x 8?"}
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


def says(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}


def test_every_form_of_a_row_is_the_same_pair() -> None:
    """Messages as prompt, as part of both conversations, as text beside conversations, and all of these at once."""
    wanted = Pair((USER,), says("56"), says("54"))
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
        assert parse_pair(form) == wanted, form


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
    assert found == Pair(tuple(shared), says("56"), says("54"))


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"prompt": "a", "chosen": "b"}, "columns: got prompt, chosen; allowed: among them rejected"),
    ({"question": "a"}, "columns: got question; allowed: among them chosen"),
    ({}, "columns: got none"),
    ({"prompt": "a", "chosen": "b", "rejected": None}, "rejected: got None; allowed: text, or a list of messages"),
    ({"prompt": "a", "chosen": "", "rejected": "b"}, "chosen: got an empty response"),
    ({"prompt": "a", "chosen": "b", "rejected": ""}, "rejected: got an empty response"),
    ({"prompt": "a", "chosen": "b", "rejected": "b"}, "the chosen response again"),
    ({"prompt": "a", "chosen": 3, "rejected": "b"}, "chosen: got 3; allowed: text, or a list of messages"),
    ({"prompt": 3, "chosen": "c", "rejected": "b"}, "prompt: got 3"),
    ({"prompt": [], "chosen": "c", "rejected": "b"}, "prompt"),
    ({"prompt": "a", "chosen": [{"role": "user"}], "rejected": [says("b")]}, "allowed: text, or a list of messages"),
    ({"prompt": "a", "chosen": [says("c")], "rejected": "b"}, "a list and a text; allowed: two texts"),
    ({"prompt": "a", "chosen": "\ud800", "rejected": "b"}, "half a surrogate pair at character 0"),
    ({"chosen": "c", "rejected": "b"}, "prompt: got none"),
    ({"chosen": [says("c")], "rejected": [says("b")]}, "prompt: got none"),
    ({"chosen": "ab", "rejected": "a"}, "rejected: got a text that the chosen one begins with"),
    ({"chosen": [USER, says("a"), USER], "rejected": [USER, says("b")]}, "assistant, user after the shared turns"),
    ({"chosen": [USER], "rejected": [USER, says("b")]}, "chosen: got a conversation that the rejected one begins with"),
    ({"chosen": [USER, USER], "rejected": [USER, says("b")]}, "got user after the shared turns"),
]


@pytest.mark.parametrize(("record", "message"), BROKEN)
def test_what_is_wrong_with_a_row_is_named(record: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse_pair(record)
    assert message in str(refused.value)


@given(st.dictionaries(st.sampled_from(COLUMNS), texts), st.sampled_from(COLUMNS), texts)
def test_a_digest_changes_with_what_is_read_and_with_nothing_else(record: Any, column: str, text: str) -> None:
    assert digest(record) == digest({"id": 3, **json.loads(json.dumps(record))})
    if record.get(column) != text:
        assert digest(record) != digest({**record, column: text})
    assert digest({"chosen": "a", "rejected": "b"}) != digest({"chosen": "b", "rejected": "a"})
