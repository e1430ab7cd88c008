"""From a row of a preference data set to a prompt and two responses, in any of the forms that such data sets have."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from dynamics.errors import InvalidArgument, shorten
from dynamics.language_model.pair_audit.reading.columns import (
    COLUMNS,
    RESPONSES,
    Reading,
    begins_an_answer,
    ends_a_question,
    holds_prompt,
)
from dynamics.language_model.pair_audit.reading.messages import read_value, say_turn, say_turns
from dynamics.language_model.tokens import Messages, as_turns, common_beginning

NO_PROMPT = "there is no column named prompt, and the two responses have no common beginning"
ONE_REPEATS = "only one of the two responses repeats the prompt; both must begin with it, or neither"

Ids = tuple[int, ...]
"""Token ids."""


@dataclass(frozen=True)
class Pair:
    """A prompt and two responses to it.

    Attributes:
        prompt: a text, or messages, or token ids.
        chosen: y_w: a text if the prompt is a text, messages if the prompt is messages (mostly one, of the assistant),
            and token ids if the prompt is token ids.
        rejected: y_l, likewise.
        template_arguments: what the chat template gets besides the messages, such as ``tools``.
        repeated: whether both texts repeat the prompt; it is then taken once.
        written: whether the messages were written as text (as CSV files hold them) and read back.
        begun: whether the prompt, which is what both texts begin with, holds the first words of the answer.
    """

    prompt: str | Messages | Ids
    chosen: str | Messages | Ids
    rejected: str | Messages | Ids
    template_arguments: Mapping[str, Any] = field(default_factory=dict)
    repeated: bool = False
    written: bool = False
    begun: bool = False

    @property
    def texts(self) -> tuple[str, str]:
        """Return both responses to be read by people: a text, what a turn or several turns say, or ids."""
        return _shown(self.chosen), _shown(self.rejected)

    @property
    def turns(self) -> tuple[Messages, Messages] | None:
        """Return the turns of both responses if they are messages."""
        if isinstance(self.prompt, str) or self.ids is not None:
            return None
        return self.chosen, self.rejected  # type: ignore[return-value]

    @property
    def ids(self) -> tuple[Ids, Ids, Ids] | None:
        """Return prompt, chosen and rejected if they are token ids."""
        if are_ids(self.chosen):  # parse_pair makes all three of token ids, or none
            return self.prompt, self.chosen, self.rejected  # type: ignore[return-value]
        return None


def parse_pair(record: Mapping[str, Any], reading: Reading | None = None) -> Pair:
    """Return the pair of a row.

    The responses are texts, or conversations: lists of ``{"role": ..., "content": ...}``. If there is no prompt, or a
    text prompt beside conversations, the prompt is what both responses have in common: the shared first turns of
    conversations, or the longest common beginning of texts, cut before a space, as TRL's ``extract_prompt`` does. The
    turns after the prompt are the response, also if there are several, such as a tool call, its result and the answer.
    Where one conversation is the beginning of the other, its last turn is its response, as in TRL.

    Two combinations that TRL does not read are read here: a text prompt beside conversations that do not begin with a
    turn of the user (the text becomes that turn, after a system prompt that both share), and a prompt of messages
    beside text responses (each becomes a turn of the assistant).

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
        InvalidArgument: a column is missing, None, empty or of another form; the responses are equal; one text begins
            with the whole other one; no turn of the assistant follows the prompt.

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
    chosen, rejected = (read_value(column, read[column]) for column in RESPONSES)
    prompt = None if read.get("prompt") is None else read_value("prompt", read["prompt"])
    if isinstance(chosen, str) != isinstance(rejected, str):
        text, other = ("chosen", "rejected") if isinstance(chosen, str) else ("rejected", "chosen")
        problem = f"this response is a list of messages, and {text} is a string"
        raise InvalidArgument(other, f"{problem}; both must be strings, or both lists of messages")
    if chosen == rejected:
        raise InvalidArgument("rejected", "this response is the same as the chosen one")
    repeated = False
    parts: tuple[str | Messages, str | Messages, str | Messages]
    if isinstance(chosen, str) and isinstance(rejected, str):
        _refuse_empty(chosen, rejected)
        repeated = how.repeated and isinstance(prompt, str) and holds_prompt(prompt, chosen, rejected)
        parts = _split_texts(prompt, chosen, rejected, how, repeated)
    else:
        repeated, parts = _split_turns(prompt, chosen, rejected)
    values = {"chosen": chosen, "rejected": rejected, "prompt": prompt}
    written = any(isinstance(read.get(name), str) and not isinstance(value, str) for name, value in values.items())
    _refuse_empty(parts[1], parts[2])
    found = isinstance(parts[0], str) and not (isinstance(prompt, str) and prompt.startswith(parts[0]))
    begun = found and begins_an_answer(str(parts[0]))
    return Pair(*parts, _template_arguments(read), repeated, written, begun)


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


def _refuse_empty(chosen: str | Messages, rejected: str | Messages) -> None:
    for column, response in (("chosen", chosen), ("rejected", rejected)):
        if not (response if isinstance(response, str) else any(map(say_turn, response))):
            raise InvalidArgument(column, "the response is empty")


def _split_texts(
    prompt: str | Messages | None, chosen: str, rejected: str, how: Reading, repeated: bool
) -> tuple[str | Messages, str | Messages, str | Messages]:
    """Return the prompt of two texts and what follows it in each."""
    if isinstance(prompt, str):
        for beginning in (prompt, prompt.rstrip()) if repeated else ():
            if chosen.startswith(beginning) and rejected.startswith(beginning):
                return beginning, chosen[len(beginning) :], rejected[len(beginning) :]
        return _split_where_they_part(chosen, rejected) if repeated else (prompt, chosen, rejected)
    if prompt is not None:
        return prompt, as_turns(chosen), as_turns(rejected)
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
    _refuse_prefix(shared, chosen, rejected)
    shared -= chosen[shared - 1] == " "
    return chosen[:shared], chosen[shared:], rejected[shared:]


def _refuse_prefix(shared: int, chosen: str, rejected: str) -> None:
    """Refuse a text that the other one begins with: after their common beginning, nothing of it would be left."""
    for column, one, other in (("chosen", chosen, "rejected"), ("rejected", rejected, "chosen")):
        if shared == len(one):
            raise InvalidArgument(
                column,
                f"this text is the beginning of the {other} one, so that after the shared prompt nothing would be "
                "left of this response; put the prompt into a column of its own",
            )


def _split_turns(
    prompt: str | Messages | None, chosen: Any, rejected: Any
) -> tuple[bool, tuple[Messages, Messages, Messages]]:
    """Return whether both conversations repeat a prompt of messages; the prompt, and the turns that follow it."""
    explicit = prompt if prompt is not None and not isinstance(prompt, str) else ()
    if explicit and all(turns[: len(explicit)] != explicit for turns in (chosen, rejected)):
        before, repeated = tuple(explicit), False
        after = chosen, rejected
    else:
        # where one conversation is the beginning of the other, the last turn that they share is its response
        shared = min(common_beginning(chosen, rejected), len(chosen) - 1, len(rejected) - 1)
        repeated = 0 < len(explicit) <= shared
        before = chosen[:shared]
        if isinstance(prompt, str) and prompt:
            begin = next((n for n, turn in enumerate(before) if turn["role"] in ("user", "assistant")), shared)
            if all(turns[begin]["role"] != "user" for turns in (chosen, rejected)):  # then the text is the question
                before, shared = (*chosen[:begin], {"role": "user", "content": prompt}), begin
        after = chosen[shared:], rejected[shared:]
    if not before:
        raise InvalidArgument("prompt", ONE_REPEATS if explicit else NO_PROMPT)
    for column, turns in zip(RESPONSES, after, strict=True):
        if not any(turn["role"] == "assistant" for turn in turns):
            roles = ", ".join(turn["role"] for turn in turns)
            raise InvalidArgument(
                column, f"no turn of the assistant follows the shared turns; what follows are turns of: {roles}"
            )
    return repeated, (before, *after)


def _shown(response: str | Messages | Ids) -> str:
    if isinstance(response, str):
        return response
    if are_ids(response):
        return "ids " + " ".join(map(str, response))
    turns = cast("Messages", response)
    return say_turn(turns[0]) if len(turns) == 1 else say_turns(turns)
