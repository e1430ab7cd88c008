"""The byte tokenizer: every text comes back, also after a save and a load by AutoTokenizer."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

transformers = pytest.importorskip("transformers")

from toy_models.multiplication.tokenizer import byte_tokenizer

TEXTS = [
    "11 x 12 = ?\n",
    "What is 11 x 12?\n\n  two  spaces ",
    "\t\r\n",
    "grüße, \u4e16\u754c \U0001f600",
    "don't we'LL",
    "",
]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from toy_models.multiplication.training import new_model

    folder: Path = tmp_path_factory.mktemp("tokenizer")
    byte_tokenizer().save_pretrained(folder)
    new_model().config.save_pretrained(folder)  # AutoTokenizer goes by the type of the model
    return transformers.AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("text", TEXTS)
def test_text_comes_back_through_autotokenizer(loaded: Any, text: str) -> None:
    ids = loaded(text)["input_ids"]
    assert loaded.decode(ids) == text
    assert ids == byte_tokenizer()(text)["input_ids"]
    assert len(ids) == len(text.encode())


@given(st.text(max_size=40))
def test_any_text_comes_back(text: str) -> None:
    tokenizer = _shared()
    composed = unicodedata.normalize("NFC", text)
    try:
        data = composed.encode()
    except UnicodeEncodeError:  # half a surrogate pair is no text
        return
    ids = tokenizer(composed, add_special_tokens=False)["input_ids"]
    assert len(ids) == len(data)
    assert tokenizer.decode(ids) == composed


def test_vocabulary(loaded: Any) -> None:
    assert len(loaded) == 258
    assert loaded.pad_token_id == 0
    assert loaded.eos_token_id == 1
    assert len(set(loaded.get_vocab().values())) == 258
    assert max(loaded.get_vocab().values()) == 257


def test_a_vocabulary_of_ascii_alone_drops_what_it_does_not_know() -> None:
    """Why there are 256 bytes: the same tokenizer with fewer loses text without a word."""
    few = {"<|pad|>": 0, "<|endoftext|>": 1, **{chr(c): c for c in range(33, 127)}}
    poor = transformers.Qwen2Tokenizer(vocab=few, merges=[])
    assert poor.decode(poor("a\u00e9b")["input_ids"]) != "a\u00e9b"


_SHARED: list[Any] = []


def _shared() -> Any:
    if not _SHARED:
        _SHARED.append(byte_tokenizer())
    return _SHARED[0]
