"""A row of a preference data set as a prompt and two responses, in any of the forms that such data sets have."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dynamics.errors import InvalidArgument
from dynamics.language_model.pair_audit.reading import COLUMNS, RESPONSES, Reading, ends_a_question, holds_prompt
from dynamics.language_model.tokens import Message, Messages, common_beginning

MESSAGES = "text, or a list of messages {'role': ..., 'content': ...} with texts"
LONGEST_LITERAL = 1 << 20  # characters of a list of messages that is read back from its text

_WRITTEN = re.compile(r"\s*(?:array\(\s*)?\[\s*\{\s*(['\"])(?:role|content)\1\s*:")


@dataclass(frozen=True)
class Pair:
    """A prompt and two responses to it.

    Attributes:
        prompt: text, or messages.
        chosen: y_w: a text after a text, a message of the assistant after messages.
        rejected: y_l, likewise.
        template_arguments: what the chat template is given besides the messages, such as ``tools``.
        repeated: whether both texts repeated the prompt, which is read once.
        written: whether messages were read back from the text of a list, as tables without lists hold them.
    """

    prompt: str | Messages
    chosen: str | Message
    rejected: str | Message
    template_arguments: Mapping[str, Any] = field(default_factory=dict)
    repeated: bool = False
    written: bool = False

    @property
    def texts(self) -> tuple[str, str]:
        """Return both responses for people: a text, the content of a message, or its tool calls."""
        return _shown(self.chosen), _shown(self.rejected)


def parse_pair(record: Mapping[str, Any], reading: Reading | None = None) -> Pair:
    """Return the pair of a row.

    Responses are texts, or conversations (lists of ``{"role": ..., "content": ...}``). Without a prompt, or with a
    text prompt beside conversations, the prompt is what both have in common: the shared first turns; of two texts the
    longest common beginning, cut before a space, as TRL's ``extract_prompt`` does. TRL reads no text prompt beside
    conversations without shared turns, nor a prompt of messages beside texts; here a text is a turn, of the user in the
    prompt and of the assistant in a response.

    Fields of a message other than role and content (``tool_calls``, ``reasoning_content``) go to the chat template as
    they are; those that a table fills with None are left out.

    Args:
        record: a row, with the columns that it was found with.
        reading: which columns are read; by default ``prompt``, or what both responses begin with.

    Raises:
        InvalidArgument: a column that is missing, None, empty or of another form; equal responses; a response that
            begins the other; a conversation that goes on for more than one turn after the prompt.

    Example:
        >>> pair = parse_pair({"chosen": "Q: 2 + 2? A: 4", "rejected": "Q: 2 + 2? A: 5"})
        >>> pair.prompt, pair.chosen, pair.rejected
        ('Q: 2 + 2? A:', ' 4', ' 5')
        >>> turn = {"role": "user", "content": "2 + 2?"}
        >>> answers = ([turn, {"role": "assistant", "content": text}] for text in ("4", "5"))
        >>> parse_pair(dict(zip(("chosen", "rejected"), answers, strict=True))).prompt
        ({'role': 'user', 'content': '2 + 2?'},)
    """
    how = reading or Reading()
    read = how.rename(record)
    for column in RESPONSES:
        if column not in read:
            there = ", ".join(map(str, record)) or "none"
            raise InvalidArgument("columns", there, f"among them {column} (chosen and rejected are needed)")
    chosen, rejected = (_value(column, read[column]) for column in RESPONSES)
    prompt = None if read.get("prompt") is None else _value("prompt", read["prompt"])
    if isinstance(chosen, str) != isinstance(rejected, str):
        kinds = ["a text" if isinstance(value, str) else "a list" for value in (chosen, rejected)]
        raise InvalidArgument("chosen, rejected", " and ".join(kinds), "two texts, or two lists of messages")
    if chosen == rejected:
        raise InvalidArgument("rejected", "the chosen response again", "a response that differs from the chosen one")
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
    pair = Pair(*parts, _template_arguments(read), repeated, written)
    _refuse_empty(pair.chosen, pair.rejected)
    return pair


def digest(record: object) -> str:
    """Return 16 hex digits that identify what is read of a row under the names of ``COLUMNS``, or the bytes of a line.

    Example:
        >>> digest({"chosen": "a", "rejected": "b"}) == digest({"rejected": "b", "chosen": "a", "score": 3})
        True
    """
    if isinstance(record, Mapping):
        record = json.dumps([record.get(column) for column in COLUMNS], sort_keys=True, default=str).encode()
    data = record if isinstance(record, bytes) else repr(record).encode("utf-8", "backslashreplace")
    return hashlib.sha256(data).hexdigest()[:16]


def _value(column: str, value: Any) -> str | Messages:
    """Return a text or messages; messages also from the text of a list, which is what CSV makes of them."""
    if isinstance(value, str):
        text = _text(column, value)
        return text if _WRITTEN.match(text) is None else _messages(column, _read_back(column, text))
    return _messages(column, value)


def _text(column: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as problem:
        raise InvalidArgument(column, f"half a surrogate pair at character {problem.start}", "text") from problem
    return value


def _read_back(column: str, text: str) -> Any:
    """Return the list whose text this is, as JSON or as Python writes it."""
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text.strip()) if len(text) <= LONGEST_LITERAL else None
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list):
            return found
    raise InvalidArgument(
        column, text, "messages as a list; this is the text of one, which cannot be read back: keep them in JSON lines"
    )


def _messages(column: str, value: Any) -> Messages:
    if not isinstance(value, Sequence) or isinstance(value, (bytes, bytearray)) or not value:
        raise InvalidArgument(column, value, MESSAGES)
    turns = []
    for turn in value:
        if not isinstance(turn, Mapping) or not isinstance(turn.get("role"), str):
            raise InvalidArgument(column, turn, MESSAGES)
        content, calls = turn.get("content"), turn.get("tool_calls")
        if isinstance(content, Sequence) and not isinstance(content, str):
            raise InvalidArgument(column, "a message whose content is a list of parts", "content that is one text")
        if not isinstance(content, str) and not (content is None and calls):
            raise InvalidArgument(column, turn, MESSAGES)
        _text(column, content or "")
        kept = {str(key): entry for key, entry in turn.items() if entry is not None or key == "content"}
        turns.append({"role": kept.pop("role"), "content": None, **kept})
    return tuple(turns)


def _answer(text: str) -> Message:
    return {"role": "assistant", "content": text}


def _template_arguments(read: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what goes to the chat template besides the messages, as TRL puts it together."""
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
        raise InvalidArgument(column, value, "JSON, where it is text") from problem


def _refuse_empty(chosen: str | Message, rejected: str | Message) -> None:
    for column, response in (("chosen", chosen), ("rejected", rejected)):
        if not (response if isinstance(response, str) else response.get("content") or response.get("tool_calls")):
            raise InvalidArgument(column, "an empty response", "a response of at least one character")


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
        raise InvalidArgument("prompt", None, f"text or messages in {' and '.join(how.prompt)}, as in other rows")
    if how.marked and not ends_a_question(chosen[: common_beginning(chosen, rejected)]):
        allowed = (
            "texts that both begin with a question and the mark of its answer, as in other rows; or --prompt-column"
        )
        raise InvalidArgument("prompt", "none", allowed)
    return _split_where_they_part(chosen, rejected)


def _split_where_they_part(chosen: str, rejected: str) -> tuple[str, str, str]:
    shared = common_beginning(chosen, rejected)
    if shared == 0:
        raise InvalidArgument("prompt", "none", "a column prompt, or conversations that begin in the same way")
    _refuse_prefix(shared, chosen, rejected, "text")
    shared -= chosen[shared - 1] == " "
    return chosen[:shared], chosen[shared:], rejected[shared:]


def _refuse_prefix(shared: int, chosen: Sequence[Any], rejected: Sequence[Any], kind: str) -> None:
    """Refuse a response that begins the other: where the two part, nothing of it is left."""
    for column, one, other in (("chosen", chosen, "rejected"), ("rejected", rejected, "chosen")):
        if shared == len(one):
            got = f"a {kind} that the {other} one begins with, so that nothing of it is left where the two part"
            raise InvalidArgument(column, got, "responses that part before either ends, or a prompt of its own")


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
        raise InvalidArgument("prompt", "none", "a column prompt, or conversations that begin in the same way")
    for column, turns in zip(RESPONSES, after, strict=True):
        if len(turns) != 1 or turns[0]["role"] != "assistant":
            got = ", ".join(turn["role"] for turn in turns) or "no turn"
            raise InvalidArgument(column, f"{got} after the shared turns", "one turn of the assistant")
    return before, after[0][0], after[1][0]


def _shown(response: str | Message) -> str:
    if isinstance(response, str):
        return response
    content = response.get("content") or ""
    calls = response.get("tool_calls")
    return content or (f"tool call {json.dumps(calls, default=str)}" if calls else "")
