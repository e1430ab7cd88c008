"""The lines of Python that train with TRL on the pairs that are kept."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dynamics.errors import InvalidArgument
from dynamics.language_model.pair_audit.reading.messages import read_value
from dynamics.losses import TRL_NAMES, get_loss

WRITTEN, SHAREGPT, PARTS = (
    "messages that are stored as text",
    "turns of ShareGPT (from, value)",
    "contents that are lists of texts",
)
IN_TRL = {"beta", "label_smoothing"}  # fields of a loss that are settings of the same name in DPOConfig


def recipe(
    settings: Mapping[str, Any],
    data: str,
    form: str = "lines",
    template: str | None = None,
    row: Mapping[str, Any] | None = None,
) -> list[str]:
    r"""Return lines of Python that train with TRL on the kept pairs under the loss of the audit.

    Args:
        settings: what the results depend on.
        data: the new data set.
        form: its format, as ``open_records`` names it.
        template: the chat template that the audit was given, if any.
        row: a row of the data set, which shows the form of its rows.

    Example:
        >>> for line in recipe({"loss": "DPO(beta=0.1)", "max_tokens": 512}, "kept.jsonl"):
        ...     print(line)
        to train on it with TRL's DPOTrainer:
          train_dataset = datasets.load_dataset("json", data_files="kept.jsonl", split="train")
          args = trl.DPOConfig(loss_type="sigmoid", beta=0.1, max_length=512)
        >>> columns = {"prompt": ["system", "question"]}
        >>> print(recipe({"loss": "DPO(beta=0.1)", "max_tokens": 512, "columns": columns}, "kept.jsonl")[1][-87:])
        .map(lambda row: {"prompt": "\n".join(filter(None, [row["system"], row["question"]]))})
        >>> recipe({"loss": "SimPO(beta=2.0, gamma=0.5)", "max_tokens": 512}, "kept.jsonl")
        ["TRL's DPOTrainer has no loss_type and settings that are known to be SimPO(beta=2.0, gamma=0.5)"]
    """
    names = {type(get_loss(name)).__name__: trl for trl, name in reversed(TRL_NAMES.items())}
    name, _, inside = settings["loss"].partition("(")
    numbers = dict(re.findall(r"(\w+)=([^,()]+)", inside))
    if name not in names or not set(numbers) <= IN_TRL:
        return [f"TRL's DPOTrainer has no loss_type and settings that are known to be {settings['loss']}"]
    given = [f'loss_type="{names[name]}"', *(f"{field}={value}" for field, value in numbers.items())]
    truncation = settings.get("truncation") or {"max_length": None, "mode": "keep_start"}
    given.append(f"max_length={truncation['max_length'] or settings['max_tokens']}")
    if truncation["mode"] != "keep_start":
        given.append(f'truncation_mode="{truncation["mode"]}"')
    kind = {"csv": "csv", "parquet": "parquet"}.get(form, "json")
    separator = ', sep="\\t"' if kind == "csv" and ".tsv" in data else ""
    loader = f'datasets.load_dataset("{kind}", data_files={_literal(data)}, split="train"{separator})'
    if form == "saved":
        loader = f"datasets.load_from_disk({_literal(data)})"
    loader += _as_trl_reads(settings.get("columns", {}).get("prompt", ["prompt"]), row or {})
    lines = [
        "to train on it with TRL's DPOTrainer:",
        f"  train_dataset = {loader}",
        f"  args = trl.DPOConfig({', '.join(given)})",
    ]
    if template is not None:
        read = f"open({_literal(template)}).read()"
        if not Path(template).expanduser().is_file():
            read = f"transformers.AutoTokenizer.from_pretrained({_literal(template)}).chat_template"
        lines.append(f"  tokenizer.chat_template = {read}  # and processing_class=tokenizer for the trainer")
    return lines


def why_not_by_trl(rows: Iterable[Mapping[str, Any]], prompt: Sequence[str] = ("prompt",)) -> str | None:
    """Return why TRL would not read the kept rows as the audit did; None if it does.

    TRL takes all rows to be of the form of the first: to texts it adds EOS, to messages it does not. It reads neither
    turns of ShareGPT nor messages that are stored as text.

    Args:
        rows: the kept rows, as they stand in the data set.
        prompt: the columns of the prompt.

    Example:
        >>> text, message = "4", [{"role": "assistant", "content": "4"}]
        >>> why_not_by_trl([{"chosen": text, "rejected": text}, {"chosen": text, "rejected": text}])
        >>> print(why_not_by_trl([{"chosen": text, "rejected": text}, {"chosen": message, "rejected": message}]))
        TRL takes all rows to be of the form of the first one, but in the column 'chosen' 1 hold texts and
        1 hold messages
        >>> why_not_by_trl([{"chosen": [{"from": "gpt", "value": "4"}]}])
        'TRL does not read turns of ShareGPT (from, value), which 1 of the kept rows hold'
    """
    columns = [*(prompt if len(prompt) == 1 else ()), "chosen", "rejected"]
    found: dict[str, Counter[str]] = {column: Counter() for column in columns}
    for row in rows:
        for column, forms in found.items():
            forms[_form(row.get(column))] += 1
    for forms in found.values():
        for form in (WRITTEN, SHAREGPT, PARTS):
            if form in forms:
                return f"TRL does not read {form}, which {forms[form]} of the kept rows hold"
    for column, forms in found.items():
        if len(forms) > 1:
            held = " and ".join(f"{count} hold {form}" for form, count in forms.items())
            return f"TRL takes all rows to be of the form of the first one, but in the column {column!r} {held}"
    return None


def _form(response: Any) -> str:
    if response is None:
        return "nothing"
    if isinstance(response, str):
        try:
            return "texts" if isinstance(read_value("chosen", response), str) else WRITTEN
        except InvalidArgument:
            return "texts"
    turns = response if isinstance(response, (list, tuple)) else [response]
    if any(isinstance(turn, Mapping) and "role" not in turn and "from" in turn for turn in turns):
        return SHAREGPT
    if any(isinstance(turn, Mapping) and isinstance(turn.get("content"), (list, tuple)) for turn in turns):
        return PARTS
    return "messages" if _are_messages(response) else "something else"


def _as_trl_reads(prompt: Sequence[str], row: Mapping[str, Any]) -> str:
    """Return the calls that bring a data set into the form that TRL reads, if it has another one."""
    asked: Any = row.get(prompt[0]) if len(prompt) == 1 else None
    chosen: Any = row.get("chosen")
    if _are_messages(chosen):
        repeated = _are_messages(asked) and list(chosen[: len(asked)]) == list(asked)
        held = isinstance(asked, str) and next((t["role"] for t in chosen if t["role"] != "system"), "") == "user"
        if repeated or held or not asked:  # the conversations hold the prompt, and TRL finds it if no column does
            return '.remove_columns("prompt")' if "prompt" in row else ""
        if isinstance(asked, str):
            turn = f'[{{"role": "user", "content": row[{_literal(prompt[0])}]}}]'
            return f'.map(lambda row: {{"prompt": {turn}}})'
    calls = ""
    if len(prompt) == 1 and prompt[0] != "prompt":
        calls = f'.rename_column({_literal(prompt[0])}, "prompt")'
    elif len(prompt) > 1:
        columns = ", ".join(f"row[{_literal(column)}]" for column in prompt)
        calls = f'.map(lambda row: {{"prompt": "\\n".join(filter(None, [{columns}]))}})'
    if _are_messages(asked) and isinstance(chosen, str):
        turn = '[{"role": "assistant", "content": row[side]}]'
        calls += f'.map(lambda row: {{side: {turn} for side in ("chosen", "rejected")}})'
    return calls


def _literal(name: str) -> str:
    """Return a name as a string of Python, whatever quotes and backslashes are in it."""
    return json.dumps(name, ensure_ascii=False)


def _are_messages(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and isinstance(value[0], Mapping) and "role" in value[0]
