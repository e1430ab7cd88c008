"""From a row of a preference data set to a prompt and two responses, in any of the forms that such data sets have."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dynamics.errors import InvalidArgument, shorten
from dynamics.language_model.pair_audit.reading.columns import (
    COLUMNS,
    RESPONSES,
    Reading,
    ends_a_question,
    holds_prompt,
)
from dynamics.language_model.tokens import Message, Messages, common_beginning

MESSAGES = "text, or a list of messages {'role': ..., 'content': ...} with texts"
NO_PROMPT = "there is no column named prompt, and the two responses have no common beginning"
ONE_REPEATS = "only one of the two responses repeats the prompt; both must begin with it, or neither"
SHAREGPT = {"human": "user", "user": "user", "gpt": "assistant", "chatgpt": "assistant", "bing": "assistant"}
"""Roles of the turns of ShareGPT by the names of messages; other names are kept."""
LONGEST_LITERAL = 1 << 20  # most characters of a list of messages that is read back from its text

_WRITTEN = re.compile(r"\s*(?:array\(\s*)?\[\s*\{\s*(['\"])(?:role|content)\1\s*:")


Ids = tuple[int, ...]
"""Token ids."""


@dataclass(frozen=True)
class Pair:
    """A prompt and two responses to it.

    Attributes:
        prompt: a text, or messages, or token ids.
        chosen: y_w: a text if the prompt is a text, a message of the assistant if the prompt is messages, and token ids
            if the prompt is token ids.
        rejected: y_l, likewise.
        template_arguments: what the chat template gets besides the messages, such as ``tools``.
        repeated: whether both texts repeat the prompt; it is then taken once.
        written: whether the messages were written as text (as CSV files hold them) and read back.
    """

    prompt: str | Messages | Ids
    chosen: str | Message | Ids
    rejected: str | Message | Ids
    template_arguments: Mapping[str, Any] = field(default_factory=dict)
    repeated: bool = False
    written: bool = False

    @property
    def texts(self) -> tuple[str, str]:
        """Return both responses to be read by people: a text, the content of a message, its tool calls, or ids."""
        return _shown(self.chosen), _shown(self.rejected)

    @property
    def ids(self) -> tuple[Ids, Ids, Ids] | None:
        """Return prompt, chosen and rejected if they are token ids."""
        if isinstance(self.chosen, tuple):  # parse_pair makes all three of token ids, or none
            return self.prompt, self.chosen, self.rejected  # type: ignore[return-value]
        return None


def parse_pair(record: Mapping[str, Any], reading: Reading | None = None) -> Pair:
    """Return the pair of a row.

    The responses are texts, or conversations: lists of ``{"role": ..., "content": ...}``. If there is no prompt, or a
    text prompt beside conversations, the prompt is what both responses have in common: the shared first turns of
    conversations, or the longest common beginning of texts, cut before a space, as TRL's ``extract_prompt`` does.

    Two combinations that TRL does not read are read here: a text prompt beside conversations without shared turns (the
    text becomes a turn of the user), and a prompt of messages beside text responses (each becomes a turn of the
    assistant).

    Turns of ShareGPT, ``{"from": ..., "value": ...}``, are read as messages, and a content that is a list of texts as
    one text.

    Other fields of a message than role and content (``tool_calls``, ``reasoning_content``) are passed to the chat
    template as they are, unless they are None.

    Three lists of token ids are taken as they are: the responses are those after the prompt, with EOS if it is to be
    part of them. They may have the names that TRL gives them: ``prompt_ids``, ``chosen_ids`` and ``rejected_ids``.

    Args:
        record: the row, by the names of its columns.
        reading: which columns are read. By default the prompt is the column ``prompt``, or else what both responses
            begin with.

    Raises:
        InvalidArgument: a column is missing, None, empty or of another form; the responses are equal; one response
            begins with the whole other one; more than one turn follows the prompt.

    Example:
        >>> pair = parse_pair({"chosen": "Q: 2 + 2? A: 4", "rejected": "Q: 2 + 2? A: 5"})
        >>> pair.prompt, pair.chosen, pair.rejected
        ('Q: 2 + 2? A:', ' 4', ' 5')
        >>> turn = {"role": "user", "content": "2 + 2?"}
        >>> answers = ([turn, {"role": "assistant", "content": text}] for text in ("4", "5"))
        >>> parse_pair(dict(zip(("chosen", "rejected"), answers, strict=True))).prompt
        ({'role': 'user', 'content': '2 + 2?'},)
        >>> parse_pair({"prompt_ids": [5, 6], "chosen_ids": [7, 1], "rejected_ids": [8, 1]}).ids
        ((5, 6), (7, 1), (8, 1))
    """
    how = reading or Reading()
    read = how.rename(record)
    if any(are_ids(read.get(column)) for column in RESPONSES):
        return _pair_of_ids(read)
    for column in RESPONSES:
        if column not in read:
            there = ", ".join(map(str, record)) or "none"
            raise InvalidArgument(
                "columns", f"there is no column {column}, only {there}; chosen and rejected are needed"
            )
    chosen, rejected = (_value(column, read[column]) for column in RESPONSES)
    prompt = None if read.get("prompt") is None else _value("prompt", read["prompt"])
    if isinstance(chosen, str) != isinstance(rejected, str):
        text, other = ("chosen", "rejected") if isinstance(chosen, str) else ("rejected", "chosen")
        problem = f"this response is a list of messages, and {text} is a string"
        raise InvalidArgument(other, f"{problem}; both must be strings, or both lists of messages")
    if chosen == rejected:
        raise InvalidArgument("rejected", "this response is the same as the chosen one")
    repeated = False
    parts: tuple[str | Messages, str | Message, str | Message]
    if isinstance(chosen, str) and isinstance(rejected, str):
        _refuse_empty(chosen, rejected)
        repeated = how.repeated and isinstance(prompt, str) and holds_prompt(prompt, chosen, rejected)
        parts = _split_texts(prompt, chosen, rejected, how, repeated)
    else:
        parts = _split_turns(prompt, chosen, rejected)
    values = {"chosen": chosen, "rejected": rejected, "prompt": prompt}
    written = any(isinstance(read.get(name), str) and not isinstance(value, str) for name, value in values.items())
    _refuse_empty(parts[1], parts[2])
    return Pair(*parts, _template_arguments(read), repeated, written)


def are_ids(value: object) -> bool:
    """Return whether a value is a list of whole numbers, which are taken for token ids.

    Example:
        >>> are_ids([5, 6]), are_ids("56"), are_ids([]), are_ids([True])
        (True, False, False, False)
    """
    if not isinstance(value, (list, tuple)) or not value:
        return False
    return all(isinstance(token, int) and not isinstance(token, bool) for token in value)


def _pair_of_ids(read: Mapping[str, Any]) -> Pair:
    for column in ("prompt", *RESPONSES):
        if not are_ids(read.get(column)):
            wanted = "token ids, as in the other columns: a list of at least one whole number"
            raise InvalidArgument(column, read.get(column), wanted)
        if min(read[column]) < 0:
            raise InvalidArgument(column, min(read[column]), "token ids >= 0")
    if list(read["chosen"]) == list(read["rejected"]):
        raise InvalidArgument("rejected", "this response is the same as the chosen one")
    prompt, chosen, rejected = (tuple(read[column]) for column in ("prompt", *RESPONSES))
    return Pair(prompt, chosen, rejected)


def digest(record: object) -> str:
    """Return 16 hex digits that identify the values of the columns ``COLUMNS`` of a row, or the bytes of a line.

    Example:
        >>> digest({"chosen": "a", "rejected": "b"}) == digest({"rejected": "b", "chosen": "a", "score": 3})
        True
    """
    if isinstance(record, Mapping):
        record = json.dumps([record.get(column) for column in COLUMNS], sort_keys=True, default=str).encode()
    data = record if isinstance(record, bytes) else repr(record).encode("utf-8", "backslashreplace")
    return hashlib.sha256(data).hexdigest()[:16]


def _value(column: str, value: Any) -> str | Messages:
    """Return a text or messages; also messages that are written as text, as CSV files hold them."""
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


def _answer(text: str) -> Message:
    return {"role": "assistant", "content": text}


def _template_arguments(read: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the chat template gets besides the messages, as TRL does it."""
    tools, others = (_from_json(column, read.get(column)) for column in ("tools", "chat_template_kwargs"))
    if tools is not None and (not isinstance(tools, Sequence) or isinstance(tools, str)):
        raise InvalidArgument("tools", read["tools"], "a list of tools, also as JSON text")
    if others is not None and not isinstance(others, Mapping):
        raise InvalidArgument("chat_template_kwargs", others, "an object of names and values, also as JSON text")
    return {**({} if tools is None else {"tools": tools}), **(others or {})}


def _from_json(column: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value.strip() else None
    except (ValueError, RecursionError) as problem:
        raise InvalidArgument(column, f"this text is not JSON, as it must be here: {shorten(value)}") from problem


def _refuse_empty(chosen: str | Message, rejected: str | Message) -> None:
    for column, response in (("chosen", chosen), ("rejected", rejected)):
        if not (response if isinstance(response, str) else response.get("content") or response.get("tool_calls")):
            raise InvalidArgument(column, "the response is empty")


def _split_texts(
    prompt: str | Messages | None, chosen: str, rejected: str, how: Reading, repeated: bool
) -> tuple[str | Messages, str | Message, str | Message]:
    """Return the prompt of two texts and what follows it in each."""
    if isinstance(prompt, str):
        for beginning in (prompt, prompt.rstrip()) if repeated else ():
            if chosen.startswith(beginning) and rejected.startswith(beginning):
                return beginning, chosen[len(beginning) :], rejected[len(beginning) :]
        return _split_where_they_part(chosen, rejected) if repeated else (prompt, chosen, rejected)
    if prompt is not None:
        return prompt, _answer(chosen), _answer(rejected)
    if not how.implicit:
        raise InvalidArgument(
            "prompt", f"the column {' or '.join(how.prompt)} is empty or missing in this row, unlike in other rows"
        )
    if how.marked and not ends_a_question(chosen[: common_beginning(chosen, rejected)]):
        raise InvalidArgument(
            "prompt",
            "in other rows chosen and rejected begin with the same question, up to the marker of its answer (such as "
            "'Assistant:'), and in this row they do not; if another column holds the prompt, name it with "
            "--prompt-column",
        )
    return _split_where_they_part(chosen, rejected)


def _split_where_they_part(chosen: str, rejected: str) -> tuple[str, str, str]:
    shared = common_beginning(chosen, rejected)
    if shared == 0:
        raise InvalidArgument("prompt", NO_PROMPT)
    _refuse_prefix(shared, chosen, rejected, "text")
    shared -= chosen[shared - 1] == " "
    return chosen[:shared], chosen[shared:], rejected[shared:]


def _refuse_prefix(shared: int, chosen: Sequence[Any], rejected: Sequence[Any], kind: str) -> None:
    """Refuse a response that the other one begins with: after their common beginning, nothing of it would be left."""
    for column, one, other in (("chosen", chosen, "rejected"), ("rejected", rejected, "chosen")):
        if shared == len(one):
            raise InvalidArgument(
                column,
                f"this {kind} is the beginning of the {other} one, so that after the shared prompt nothing would be "
                "left of this response; put the prompt into a column of its own",
            )


def _split_turns(prompt: str | Messages | None, chosen: Any, rejected: Any) -> tuple[str | Messages, Message, Message]:
    explicit = prompt if prompt is not None and not isinstance(prompt, str) else ()
    if explicit and all(turns[: len(explicit)] != explicit for turns in (chosen, rejected)):
        before = tuple(explicit)
        after = chosen, rejected
    else:
        shared = common_beginning(chosen, rejected)
        _refuse_prefix(shared, chosen, rejected, "conversation")
        before = chosen[:shared]
        after = chosen[shared:], rejected[shared:]
        if not before and isinstance(prompt, str) and prompt:
            before = ({"role": "user", "content": prompt},)
    if not before:
        raise InvalidArgument("prompt", ONE_REPEATS if explicit else NO_PROMPT)
    for column, turns in zip(RESPONSES, after, strict=True):
        if len(turns) != 1 or turns[0]["role"] != "assistant":
            turns_after = ", ".join(turn["role"] for turn in turns) or "none"
            raise InvalidArgument(
                column,
                f"after the shared turns there must be exactly one turn, of the assistant; they are: {turns_after}",
            )
    return before, after[0][0], after[1][0]


def _shown(response: str | Message | Ids) -> str:
    if isinstance(response, str):
        return response
    if not isinstance(response, Mapping):
        return "ids " + " ".join(map(str, response))
    content = response.get("content") or ""
    calls = response.get("tool_calls")
    return content or (f"tool call {json.dumps(calls, default=str)}" if calls else "")
