from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given, strategies as st

from dynamics import InvalidArgument
from dynamics.language_model import TokenSequence, tokenize
from tests.dynamics.language_model.tokenizers import CHAT, byte_tokenizer


@cache
def plain() -> Any:
    """Return a tokenizer of characters, made when it is first used, because that imports transformers."""
    return byte_tokenizer()


@cache
def merging() -> Any:
    """Return a tokenizer in which "ab" and " a" are one token each."""
    return byte_tokenizer(merges=(("a", "b"), ("\u0120", "a")))


LATIN = st.characters(max_codepoint=0x24F)  # where NFC, which the tokenizer applies, changes nothing
END = 1  # the id of <|end|>


@given(st.text(LATIN, min_size=1, max_size=12), st.text(LATIN, max_size=12))
def test_prompt_and_response_are_the_tokens_of_the_text(prompt: str, response: str) -> None:
    s = tokenize(plain(), prompt, response)
    assert plain().decode(s.ids[:-1], clean_up_tokenization_spaces=False) == prompt + response
    assert plain().decode(s.prompt, clean_up_tokenization_spaces=False) == prompt
    assert s.ids[-1] == END
    assert s.prompt + s.response == s.ids
    assert s.length == len(s.response) >= 1
    assert not s.cut


def test_a_longer_response_is_another_event() -> None:
    short, long = tokenize(plain(), "? ", "132"), tokenize(plain(), "? ", "132.")
    assert short.ids != long.ids[: len(short.ids)]
    bare, bare_long = (tokenize(plain(), "? ", r, eos=False) for r in ("132", "132."))
    assert bare.ids == bare_long.ids[: len(bare.ids)]  # without EOS it is not


def test_eos_is_not_doubled() -> None:
    assert tokenize(plain(), "?", "1<|end|>").ids == tokenize(plain(), "?", "1").ids
    # the prompt's own EOS does not end the response
    assert tokenize(plain(), "?<|end|>", "").response == (END,)


def test_a_token_across_the_border_is_cut_and_said() -> None:
    s = tokenize(merging(), "xa", "bc")
    assert s.cut
    assert merging().decode(s.prompt) == "x"  # the a of the prompt went into the response's first token
    assert merging().decode(s.response) == "abc<|end|>"
    assert not tokenize(merging(), "x", "abc").cut
    assert tokenize(merging(), "x", "abc").ids == s.ids
    spaced = tokenize(merging(), "x ", "a")
    assert spaced.cut
    assert spaced.prompt_tokens == 1


def test_nothing_of_the_prompt_left() -> None:
    with pytest.raises(InvalidArgument, match="begin the prompt with BOS"):
        tokenize(merging(), "a", "b")
    with pytest.raises(InvalidArgument, match="begin the prompt with BOS"):
        tokenize(plain(), "", "3")


def test_messages_go_through_the_chat_template() -> None:
    chat = byte_tokenizer()
    chat.chat_template = CHAT
    s = tokenize(chat, [{"role": "user", "content": "11 x 12"}], "132")
    assert chat.decode(s.prompt) == "<user>11 x 12<|end|><assistant>"
    assert chat.decode(s.response) == "132<|end|>"
    assert not s.cut
    with pytest.raises(InvalidArgument, match="no chat template"):
        tokenize(plain(), [{"role": "user", "content": "hi"}], "132")


def test_a_template_whose_generation_prompt_is_not_in_the_whole_is_said() -> None:
    chat = byte_tokenizer()
    chat.chat_template = CHAT.replace("%}<assistant>{%", "%}<assistant><think>{%")
    s = tokenize(chat, [{"role": "user", "content": "?"}], "132")
    assert s.cut
    assert chat.decode(s.response) == "132<|end|>"


def test_no_eos_token() -> None:
    with pytest.raises(InvalidArgument, match="eos=False"):
        tokenize(byte_tokenizer(eos_token=None), "?", "1")


@pytest.mark.parametrize(
    ("ids", "prompt", "message"),
    [
        ((1, 2), 0, "the prompt is empty"),
        ((1, 2), 2, "the response needs at least one"),
        ((1, -2), 1, ">= 0"),
        ((1, 2.0), 1, ">= 0"),
    ],
)
def test_sequences_are_checked(ids: tuple[int, ...], prompt: int, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        TokenSequence(ids, prompt)
