"""A row of a preference data set as a prompt and two responses, in any of the forms that such data sets have."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynamics.errors import InvalidArgument
from dynamics.language_model.sequences import Messages, TokenSequence, tokenize

COLUMNS = ("prompt", "chosen", "rejected")
"""Columns that are read; ``prompt`` may be absent where chosen and rejected hold the whole conversation."""


@dataclass(frozen=True)
class Pair:
    """A prompt and two responses to it.

    Attributes:
        prompt: text, or messages.
        chosen: text of y_w.
        rejected: text of y_l.
    """

    prompt: str | Messages
    chosen: str
    rejected: str


def parse_pair(record: Mapping[str, Any]) -> Pair:
    """Return the pair of a row.

    Responses are texts, or conversations (lists of ``{"role": ..., "content": ...}``). Without a prompt, or with a
    text prompt beside conversations, the prompt is what both have in common: the shared first turns; of two texts the
    longest common beginning, cut before a space, as the trainers of the field do.

    Args:
        record: a row; columns other than ``COLUMNS`` are ignored.

    Raises:
        InvalidArgument: a column that is missing, empty or of another form; equal responses; a conversation that goes
            on for more than one turn after the prompt.

    Example:
        >>> parse_pair({"chosen": "Q: 2 + 2? A: 4", "rejected": "Q: 2 + 2? A: 5"})
        Pair(prompt='Q: 2 + 2? A:', chosen=' 4', rejected=' 5')
        >>> turn = {"role": "user", "content": "2 + 2?"}
        >>> answers = ([turn, {"role": "assistant", "content": text}] for text in ("4", "5"))
        >>> parse_pair(dict(zip(("chosen", "rejected"), answers, strict=True))).prompt
        ({'role': 'user', 'content': '2 + 2?'},)
    """
    chosen, rejected = (_response(record, column) for column in ("chosen", "rejected"))
    prompt = record.get("prompt")
    if prompt is not None and not isinstance(prompt, str):
        prompt = _messages("prompt", prompt)
    if isinstance(chosen, str) != isinstance(rejected, str):
        kinds = [type(record[column]).__name__ for column in ("chosen", "rejected")]
        raise InvalidArgument("chosen, rejected", " and ".join(kinds), "two texts, or two lists of messages")
    if chosen == rejected:
        raise InvalidArgument("rejected", "the chosen response again", "a response that differs from the chosen one")
    if isinstance(chosen, str) and isinstance(rejected, str):
        pair = _split_texts(chosen, rejected) if prompt is None else Pair(prompt, chosen, rejected)
    else:
        pair = _split_turns(prompt, chosen, rejected)
    for column, text in (("chosen", pair.chosen), ("rejected", pair.rejected)):
        if not text:
            raise InvalidArgument(column, "an empty response", "a response of at least one character")
    return pair


def tokenize_pair(tokenizer: Any, pair: Pair, longest: int | None = None) -> tuple[TokenSequence, TokenSequence]:
    """Tokenise chosen and rejected.

    Args:
        tokenizer: a Hugging Face tokenizer.
        pair: prompt and responses.
        longest: most tokens that prompt and response may have together.

    Raises:
        InvalidArgument: what ``tokenize`` refuses, a sequence that is too long, responses of the same tokens.
    """
    made = tokenize(tokenizer, pair.prompt, pair.chosen), tokenize(tokenizer, pair.prompt, pair.rejected)
    for column, sequence in zip(("chosen", "rejected"), made, strict=True):
        if longest is not None and len(sequence.ids) > longest:
            got = f"{len(sequence.ids)} tokens with its prompt"
            raise InvalidArgument(
                column, got, f"at most {longest} (--max-tokens; by default what the model is made for)"
            )
    if made[0].ids == made[1].ids:
        raise InvalidArgument("rejected", "the tokens of the chosen response", "a response of other tokens")
    return made


def digest(record: object) -> str:
    """Return 16 hex digits that identify the columns of a row that are read (or the bytes of a line).

    Example:
        >>> digest({"chosen": "a", "rejected": "b"}) == digest({"rejected": "b", "chosen": "a", "score": 3})
        True
    """
    if isinstance(record, Mapping):
        record = json.dumps([record.get(column) for column in COLUMNS], sort_keys=True, default=str).encode()
    data = record if isinstance(record, bytes) else repr(record).encode("utf-8", "backslashreplace")
    return hashlib.sha256(data).hexdigest()[:16]


def _response(record: Mapping[str, Any], column: str) -> str | Messages:
    if record.get(column) is None:
        there = ", ".join(map(str, record)) or "none"
        raise InvalidArgument("columns", there, f"among them {column} (chosen and rejected are needed)")
    value = record[column]
    return _text(column, value) if isinstance(value, str) else _messages(column, value)


def _text(column: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as problem:
        raise InvalidArgument(column, f"half a surrogate pair at character {problem.start}", "text") from problem
    return value


def _messages(column: str, value: Any) -> Messages:
    wanted = "text, or a list of messages {'role': ..., 'content': ...} with texts"
    if not isinstance(value, Sequence) or not value:
        raise InvalidArgument(column, value, wanted)
    turns = []
    for turn in value:
        if not isinstance(turn, Mapping) or not all(isinstance(turn.get(key), str) for key in ("role", "content")):
            raise InvalidArgument(column, turn, wanted)
        _text(column, turn["content"])
        turns.append({str(key): entry for key, entry in turn.items() if entry is not None})
    return tuple(turns)


def _split_texts(chosen: str, rejected: str) -> Pair:
    differ = (n for n, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b)
    shared = next(differ, min(len(chosen), len(rejected)))
    if shared == 0:
        raise InvalidArgument("prompt", "none", "a column prompt, or conversations that begin in the same way")
    shared -= chosen[shared - 1] == " "
    return Pair(chosen[:shared], chosen[shared:], rejected[shared:])


def _split_turns(prompt: str | Messages | None, chosen: Any, rejected: Any) -> Pair:
    explicit = prompt if prompt is not None and not isinstance(prompt, str) else ()
    if explicit and all(turns[: len(explicit)] != explicit for turns in (chosen, rejected)):
        before = tuple(explicit)
        after = chosen, rejected
    else:
        differ = (n for n, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b)
        shared = next(differ, min(len(chosen), len(rejected)))
        before = chosen[:shared]
        after = chosen[shared:], rejected[shared:]
        if not before and isinstance(prompt, str) and prompt:
            before = ({"role": "user", "content": _text("prompt", prompt)},)
    if not before:
        raise InvalidArgument("prompt", "none", "a column prompt, or conversations that begin in the same way")
    for column, turns in zip(("chosen", "rejected"), after, strict=True):
        if len(turns) != 1 or turns[0]["role"] != "assistant":
            got = ", ".join(turn["role"] for turn in turns) or "no turn"
            raise InvalidArgument(column, f"{got} after the shared turns", "one turn of the assistant")
    return Pair(before, after[0][0]["content"], after[1][0]["content"])
