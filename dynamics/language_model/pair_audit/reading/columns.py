"""Decide from the first rows of a data set which of its columns are read, and as what."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynamics.errors import InvalidArgument
from dynamics.language_model.tokens import common_beginning

RESPONSES = ("chosen", "rejected")
TEMPLATE = ("tools", "chat_template_kwargs")
"""Columns that are passed to the chat template, as TRL's DPOTrainer does."""
COLUMNS = ("prompt", *RESPONSES, *TEMPLATE)
"""The columns that are read; the column of the prompt is renamed to ``prompt`` if it has another name."""

IDS = {"prompt_ids": "prompt", "chosen_ids": "chosen", "rejected_ids": "rejected"}
"""The names that TRL gives to columns of token ids, and the plain ones."""

CHANGING = ("system", "system_prompt", "images", "image", "videos", "audios")
"""Columns that would change the prompt, but that trainers of text do not read. A data set with one gets a warning."""
QUESTIONS = (
    *("instruction", "question", "query", "problem", "task", "user", "user_prompt", "user_input", "request"),
    *("input", "inputs", "post", "prompts", "prompt_text", "conversation", "conversations", "messages", "history"),
    *("dialogue", "context", "text", "title"),
)
"""Names that public data sets give to the column of the question, the likeliest first."""
METADATA = (
    *("id", "uuid", "model", "source", "dataset", "category", "language", "license", "annotator", "url"),
    *("date", "time", "timestamp", "split", "subset", "type", "topic", "tag", "tags", "label"),
)
"""Names of columns whose text says something about the pair and is not part of it."""
IMPLICIT = "none"
"""The value of ``--prompt-column`` that means: the prompt is what both responses begin with."""

_MARK = r"\s*(?:[:>\]|]|<)|\s*\n"
_ASKS = re.compile(
    rf"\[INST\]|(?<!\w)(?:human|user|question|q|instruction|prompter|customer)(?:{_MARK})", re.IGNORECASE
)
_ANSWERS = re.compile(
    rf"\[/INST\]|(?<!\w)(?:assistant|answer|a|response|output|ai|bot|model|gpt|chatgpt)(?:{_MARK})", re.IGNORECASE
)


@dataclass(frozen=True)
class Reading:
    """How the rows of a data set are read.

    Attributes:
        prompt: the columns that hold the prompt; several texts are joined by line breaks. Empty if no column does.
        implicit: whether the prompt of a pair of texts may be what both responses begin with.
        repeated: whether both responses of a pair of texts repeat the prompt, so that it must not be put before them
            again.
        repeating: number of first rows that repeat the prompt.
        looked_at: number of first rows that were looked at.
        ignored: columns that exist and are not read.
        template: columns that are passed to the chat template.
        marked: whether a common beginning counts as a prompt only if it has the mark of a question (``Human:``) and
            after it that of an answer (``Assistant:``), because another column could be the prompt.
    """

    prompt: tuple[str, ...] = ("prompt",)
    implicit: bool = True
    repeated: bool = False
    repeating: int = 0
    looked_at: int = 0
    ignored: tuple[str, ...] = ()
    template: tuple[str, ...] = ()
    marked: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names, in the data, of the columns that are read."""
        return (*self.prompt, *RESPONSES, *self.template)

    def settings(self) -> dict[str, Any]:
        """Return the part of this that the results of an audit depend on."""
        named = {"prompt": list(self.prompt), "implicit": self.implicit}
        return {**named, "marked": self.marked, "repeated": self.repeated}

    def rename(self, record: Mapping[str, Any]) -> dict[str, Any]:
        r"""Return the columns of a row that are read, under the names of ``COLUMNS``.

        Raises:
            InvalidArgument: several columns make up the prompt, and one of them is not text.

        Example:
            >>> Reading(("instruction", "input")).rename({"instruction": "Add.", "input": "2, 3", "chosen": "5"})
            {'prompt': 'Add.\n2, 3', 'chosen': '5'}
        """
        record = plain_names(record)
        found = {column: record[column] for column in (*RESPONSES, *TEMPLATE) if column in record}
        if len(self.prompt) == 1 and self.prompt[0] in record:
            return {"prompt": record[self.prompt[0]], **found}
        parts = [record[column] for column in self.prompt if column in record] if len(self.prompt) > 1 else []
        for part in parts:
            if not isinstance(part, (str, type(None))):
                raise InvalidArgument("prompt", part, f"texts in the columns {' and '.join(self.prompt)}")
        return {"prompt": "\n".join(part for part in parts if part) or None, **found} if parts else found

    def lines(self) -> list[str]:
        """Return sentences for people about what is read and what is not.

        Example:
            >>> for line in Reading(("question",), ignored=("id", "system")).lines():
            ...     print(line)
            columns read: question (as the prompt), chosen, rejected; not read: id, system
            warning: not read, nor by trainers of text: system; if this belongs to the prompt, put it there
        """
        named = " and ".join(self.prompt) + " (as the prompt)" if self.prompt not in {(), ("prompt",)} else "prompt"
        read = ", ".join([*([named] if self.prompt else []), *RESPONSES, *self.template])
        found = [f"columns read: {read}; not read: {', '.join(self.ignored) or 'none'}"]
        if not self.prompt:
            found.append("there is no prompt column: the prompt is what chosen and rejected have in common")
        changing = [column for column in self.ignored if column.lower() in CHANGING]
        if changing:
            found.append(
                f"warning: not read, nor by trainers of text: {', '.join(changing)}; if this belongs to the prompt, "
                "put it there"
            )
        if self.repeated:
            found.append(
                f"warning: both responses repeat the prompt in {self.repeating} of the first {self.looked_at} rows; "
                "here it is taken once, but a trainer puts it before them again: remove it from the responses"
            )
        elif self.repeating:
            found.append(
                f"note: both responses begin with the words of the prompt in {self.repeating} of the first "
                f"{self.looked_at} rows; these words are taken as part of the responses"
            )
        return found


def plain_names(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row with the columns of token ids that TRL makes under the plain names prompt, chosen and rejected.

    Example:
        >>> plain_names({"prompt_ids": [1], "chosen_ids": [2], "rejected_ids": [3]})
        {'prompt': [1], 'chosen': [2], 'rejected': [3]}
    """
    if set(RESPONSES) & set(record) or not set(IDS) <= set(record):
        return record
    return {IDS.get(str(column), column): value for column, value in record.items()}


def find_reading(name: str, rows: Iterable[Any], prompt_columns: Sequence[str] = ()) -> Reading:
    """Decide which columns are read, from the first rows of a data set.

    If there is no column ``prompt``, the prompt is what both responses begin with. This is only allowed if their common
    beginning holds the question: if no other column could be the prompt, or if the common beginning has the mark of a
    question and after it that of an answer.

    Args:
        name: name of the data set.
        rows: its first rows.
        prompt_columns: the columns that hold the prompt; ``("none",)`` if it is what both responses begin with.

    Raises:
        InvalidArgument: a column that was asked for does not exist; or there is no column prompt, and another column
            could be the question.

    Example:
        >>> find_reading("data", [{"question": "What is 2 + 2?", "chosen": "4", "rejected": "5"}])
        Traceback (most recent call last):
            ...
        dynamics.errors.InvalidArgument: prompt: data has no column prompt; give --prompt-column question...
    """
    records = [plain_names(row) for row in rows if isinstance(row, Mapping)]
    columns = tuple(dict.fromkeys(str(column) for record in records for column in record))
    pairs = [
        record
        for record in records
        if all(isinstance(record.get(side), (str, list, tuple, dict)) for side in RESPONSES)
    ]
    prompt = _given(columns, prompt_columns) if records else ("prompt",)
    marked = False
    if prompt is None:
        if all(record.get("prompt") in (None, "", []) for record in pairs):
            _refuse_questions(name, columns, pairs)
        missing = "prompt" not in columns or (pairs and all(record.get("prompt") is None for record in pairs))
        prompt = () if missing else ("prompt",)
        marked = bool(missing) and bool(_likely(columns, pairs))
    template = tuple(column for column in TEMPLATE if column in columns)
    ignored = tuple(column for column in columns if column not in {*prompt, *RESPONSES, *template})
    repeating = sum(_repeats(Reading(prompt), record) for record in pairs)
    texts = sum(isinstance(record["chosen"], str) for record in pairs)
    repeated = repeating > 0 and 2 * repeating >= texts
    return Reading(prompt, not prompt, repeated, repeating, len(pairs), ignored, template, marked)


def ends_a_question(beginning: str) -> bool:
    r"""Return whether a text has the mark of a question, such as ``Human:``, and after it that of an answer.

    Example:
        >>> ends_a_question("\n\nHuman: 2 + 2?\n\nAssistant:"), ends_a_question("The answer is (")
        (True, False)
    """
    asks = _ASKS.search(beginning)
    return asks is not None and _ANSWERS.search(beginning, asks.end()) is not None


def begins_an_answer(beginning: str) -> bool:
    r"""Return whether words follow the last marker of an answer, such as ``Assistant:``, that follows a question.

    Args:
        beginning: what two texts begin with.

    Example:
        >>> begins_an_answer("Human: 2 + 2?\n\nAssistant: It is"), begins_an_answer("Human: 2 + 2?\n\nAssistant:")
        (True, False)
    """
    asked = [found.end() for found in _ASKS.finditer(beginning)]
    answered = _ANSWERS.search(beginning, asked[-1]) if asked else None
    return answered is not None and bool(beginning[answered.end() :].strip())


def _given(columns: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...] | None:
    """Return the columns that the user named, or None if the user named none."""
    if not wanted:
        return None
    if tuple(wanted) == (IMPLICIT,) and IMPLICIT not in columns:
        return ()
    missing = [column for column in wanted if column not in columns]
    if missing:
        there = ", ".join(column for column in columns if column not in RESPONSES)
        raise InvalidArgument("prompt-column", ", ".join(missing), f"columns of the data: {there or 'there are none'}")
    return tuple(wanted)


def _refuse_questions(name: str, columns: Sequence[str], pairs: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a data set whose responses do not hold the question, if another column could hold it."""
    without = [record for record in pairs if not _holds_question(record)]
    likely = _likely(columns, pairs)
    if not likely or 2 * len(without) <= len(pairs):
        return
    raise InvalidArgument(
        "prompt",
        f"{name} has no column prompt; give --prompt-column {','.join(likely)}, if the prompt is there, or "
        f"--prompt-column {IMPLICIT}, if chosen and rejected begin with the whole prompt",
    )


def _holds_question(record: Mapping[str, Any]) -> bool:
    chosen, rejected = (record[side] for side in RESPONSES)
    if isinstance(chosen, str) and isinstance(rejected, str):
        return ends_a_question(chosen[: common_beginning(chosen, rejected)]) or chosen.lstrip()[:2] == "[{"
    if isinstance(chosen, Sequence) and isinstance(rejected, Sequence):
        return common_beginning(chosen, rejected) > 0
    return False


def _likely(columns: Sequence[str], pairs: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the columns that are likely to hold the prompt: one of a known name, or else one with sentences."""
    known = {"prompt", *TEMPLATE, *CHANGING, *METADATA}
    others = [c for c in columns if not c.lower().startswith(RESPONSES) and c.lower() not in known]
    named = {c.lower(): c for c in others if c.lower() in QUESTIONS and any(_said(r.get(c)) for r in pairs)}
    beside = [c for c in others if c.lower() == "input" and any(isinstance(r.get(c), str) for r in pairs)]
    if "instruction" in named and beside:  # which is empty in most rows of such data sets
        return named["instruction"], beside[0]
    for question in QUESTIONS:
        if question in named:
            return (named[question],)
    spoken = [c for c in others if 2 * sum(_sentence(r.get(c)) for r in pairs) > len(pairs)]
    hinting = [c for c in spoken if any(word in c.lower() for word in ("prompt", *QUESTIONS[:4]))]
    return tuple((hinting or spoken)[:1])


def _said(value: Any) -> bool:
    return bool(value) and (isinstance(value, str) or (isinstance(value, Sequence) and isinstance(value[0], Mapping)))


def _sentence(value: Any) -> bool:
    return _said(value) and (not isinstance(value, str) or len(value.split()) > 1)


def _repeats(reading: Reading, record: Mapping[str, Any]) -> bool:
    """Return whether both responses of a pair of texts repeat the prompt."""
    try:
        prompt = reading.rename(record).get("prompt")
    except InvalidArgument:
        return False
    chosen, rejected = (record[side] for side in RESPONSES)
    texts = all(isinstance(text, str) for text in (prompt, chosen, rejected))
    return texts and holds_prompt(str(prompt), chosen, rejected)


def holds_prompt(prompt: str, chosen: str, rejected: str) -> bool:
    """Return whether two texts repeat a prompt: both begin with it, or with a conversation that contains it.

    Example:
        >>> holds_prompt("2 + 2 = ", "2 + 2 = 4", "2 + 2 = 5"), holds_prompt("2 + 2 = ", "4", "5")
        (True, False)
    """
    shared = chosen[: common_beginning(chosen, rejected)]
    if not prompt.strip():
        return False
    return shared.startswith(prompt.rstrip()) or (prompt.strip() in shared and ends_a_question(shared))
