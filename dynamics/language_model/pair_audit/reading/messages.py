"""Chat messages in the forms in which data sets hold them, and as people read them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from dynamics.errors import InvalidArgument
from dynamics.language_model.tokens import Message, Messages

MESSAGES = "text, or a list of messages {'role': ..., 'content': ...} with texts"
SHAREGPT = {"human": "user", "user": "user", "gpt": "assistant", "chatgpt": "assistant", "bing": "assistant"}
"""Roles of the turns of ShareGPT by the names of messages; other names are kept."""
LONGEST_LITERAL = 1 << 20  # most characters of a list of messages that is read back from its text

_WRITTEN = re.compile(r"\s*(?:array\(\s*)?\[\s*\{\s*(['\"])(?:role|content)\1\s*:")


def read_value(column: str, value: Any) -> str | Messages:
    """Return a text or messages; also messages that are written as text, as CSV files hold them.

    Turns of ShareGPT, ``{"from": ..., "value": ...}``, are read as messages, and a content that is a list of texts as
    one text.

    Args:
        column: name of the column, for errors.
        value: what stands in it.

    Raises:
        InvalidArgument: it is neither.

    Example:
        >>> read_value("prompt", [{"from": "human", "value": "2 + 2?"}])
        ({'role': 'user', 'content': '2 + 2?'},)
    """
    if isinstance(value, str):
        text = _text(column, value)
        return text if _WRITTEN.match(text) is None else _messages(column, _read_back(column, text))
    return _messages(column, value)


def _text(column: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as problem:
        why = f"character {problem.start} is half of a surrogate pair, which is no character; save the text as UTF-8"
        raise InvalidArgument(column, why) from problem
    return value


def _read_back(column: str, text: str) -> Any:
    """Return a list that was written as text, in the notation of JSON or of Python."""
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text.strip()) if len(text) <= LONGEST_LITERAL else None
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list):
            return found
    raise InvalidArgument(
        column, f"messages written as text that cannot be read back as a list; keep them in JSON lines: {text[:60]}…"
    )


def _messages(column: str, value: Any) -> Messages:
    if isinstance(value, Mapping) and {"from", "value"} <= set(value):
        value = [value]
    if isinstance(value, Mapping) and "role" in value:
        raise InvalidArgument(column, "this is a single message; put it into a list")
    if isinstance(value, (int, float)):
        raise InvalidArgument(column, f'this is the number {value}; write it as text, "{value}"')
    if not isinstance(value, Sequence) or isinstance(value, (bytes, bytearray)) or not value:
        raise InvalidArgument(column, value, MESSAGES)
    turns = []
    for given in value:
        turn = _from_sharegpt(given)
        if not isinstance(turn, Mapping) or not isinstance(turn.get("role"), str):
            raise InvalidArgument(column, turn, MESSAGES)
        content, calls = turn.get("content"), turn.get("tool_calls")
        if isinstance(content, Sequence) and not isinstance(content, str):
            content = _joined_parts(column, content)
            turn = {**turn, "content": content}
        if not isinstance(content, str) and not (content is None and calls):
            raise InvalidArgument(column, turn, MESSAGES)
        _text(column, content or "")
        kept = {str(key): entry for key, entry in turn.items() if entry is not None or key == "content"}
        turns.append({"role": kept.pop("role"), "content": None, **kept})
    return tuple(turns)


def _from_sharegpt(turn: Any) -> Any:
    """Return a turn of ShareGPT, such as {"from": "human", "value": "Hi"}, as a message; other turns as they are."""
    if not isinstance(turn, Mapping) or "role" in turn or not {"from", "value"} <= set(turn):
        return turn
    others = {key: value for key, value in turn.items() if key not in ("from", "value")}
    return {"role": SHAREGPT.get(turn["from"], turn["from"]), "content": turn["value"], **others}


def _joined_parts(column: str, parts: Sequence[Any]) -> str:
    """Return the text of a content that is a list of parts, all of them texts."""
    texts = [part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else None for part in parts]
    if not texts or not all(isinstance(text, str) for text in texts):
        kinds = sorted({str(part.get("type")) if isinstance(part, Mapping) else type(part).__name__ for part in parts})
        said = ", ".join(kinds) or "nothing"
        raise InvalidArgument(column, f"the content of a message has parts of the kind {said}; only texts can be read")
    return "".join(map(str, texts))


def say_turns(turns: Messages) -> str:
    r"""Return several turns for people to read, each with its role.

    Args:
        turns: the messages.

    Example:
        >>> say_turns([{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}])
        'user: 2 + 2?\n\nassistant: 4'
    """
    return "\n\n".join(f"{turn['role']}: {say_turn(turn)}" for turn in turns)


def say_turn(turn: Message) -> str:
    """Return what a message says: its content, or else its tool calls.

    Args:
        turn: the message.
    """
    content, calls = turn.get("content") or "", turn.get("tool_calls")
    return content or (f"tool call {json.dumps(calls, default=str)}" if calls else "")
