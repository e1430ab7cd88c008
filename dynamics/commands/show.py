"""``python -m dynamics pairs --show``: rows as the model will see them, with every special token."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from dynamics.commands.inputs import find_max_tokens, open_data, set_chat_template
from dynamics.commands.printing import print_lines
from dynamics.commands.shared import Options
from dynamics.errors import check_count
from dynamics.language_model.loading import load_tokenizer
from dynamics.language_model.pair_audit.reading.columns import RESPONSES
from dynamics.language_model.pair_audit.reading.data import PairSource, tokenize_rows
from dynamics.language_model.pair_audit.reading.tokens import TokenizedPair, decode, special_ids
from dynamics.language_model.pair_audit.reading.truncation import Truncation

PROMPT_LINES = 12  # lines of a prompt that are shown: its beginning and its end
RESPONSE_LINES = 8
INDENT = 10  # width of the column with "prompt", "chosen", "rejected"

VISIBLE = {"\n": "⏎\n", "\r": "␍", "\t": "⇥", "\u00a0": "⍽"}
"""White space that would be invisible. A space is shown as a dot where a line begins or ends with it."""


def show_command(
    options: Options, console: Console, count: int, out: Path | None = None, truncation: Truncation | None = None
) -> None:
    """Print the first rows as the model will see them; only its tokenizer is loaded.

    Args:
        options: the shared options.
        console: where to print.
        count: how many rows.
        out: the file for results that was given, which is left alone.
        truncation: how the trainer truncates; by default not at all.
    """
    source = open_data(options, console)
    tokenizer, config = load_tokenizer(options.model, revision=options.revision)
    set_chat_template(tokenizer, options)
    console.print()
    made = tokenize_rows(source, tokenizer, find_max_tokens(config, options), truncation)
    show_rows(console, made, tokenizer, check_count("show", count))
    if out is not None:
        print_lines(console, [f"Nothing was audited, and nothing was written to {out}: leave out --show for that."])


def show_rows(console: Console, source: PairSource, tokenizer: Any, count: int) -> None:
    """Print the first rows of a data set as the model will see them, and of a row that will be skipped the reason.

    Args:
        console: where to print.
        source: the data set, tokenised.
        tokenizer: a Hugging Face tokenizer.
        count: how many rows.
    """
    for row in islice(source.read(), count):
        console.print(Text(f"row {row.number}" + f" ({row.place})" * (row.place != f"row {row.number}"), style="bold"))
        if row.tokens is None:
            _line(console, "skipped", Text(row.problem))
        else:
            _show_pair(console, tokenizer, row.tokens)
        console.print()
    console.print(
        "⏎ line break, ⇥ tab, · space at the end of a line; special tokens as the tokenizer writes them. A "
        "log-probability is the sum over the tokens of a response, given those of the prompt."
    )


def _show_pair(console: Console, tokenizer: Any, pair: TokenizedPair) -> None:
    chosen = pair.sequences.chosen
    prompt = decode(tokenizer, chosen.prompt)
    _line(console, "prompt", _count(chosen.prompt_tokens))
    _text(console, tokenizer, prompt, PROMPT_LINES)
    for name, sequence in zip(RESPONSES, pair.sequences, strict=True):
        _line(console, name, _count(sequence.length))
        whole = decode(tokenizer, sequence.ids)
        known = whole.startswith(prompt)  # alone, some tokenizers drop the space that a response begins with
        response = whole[len(prompt) :] if known else decode(tokenizer, sequence.response)
        _text(console, tokenizer, response, RESPONSE_LINES)
    for sentence in pair.sentences():
        _line(console, "note", Text(sentence, style="yellow"))


def _count(tokens: int) -> Text:
    return Text(f"{tokens} token" + "s" * (tokens != 1), style="dim")


def _line(console: Console, name: str, text: Text) -> None:
    """Print a name and a text beside it, whose further lines stand under the first."""
    lines = text.wrap(console, max(20, console.width - INDENT))
    for number, line in enumerate(lines):
        line.rstrip()
        name_or_not = name if number == 0 else ""
        console.print(Text(f"{name_or_not:>{INDENT - 2}}  ").append_text(line))


def _text(console: Console, tokenizer: Any, text: str, most: int) -> None:
    """Print a text of the model beside a bar, cut in its middle where it is long."""
    styled = Text(_visible(text).removesuffix("\n"))
    special = sorted(map(str, tokenizer.convert_ids_to_tokens(sorted(special_ids(tokenizer)))), key=len, reverse=True)
    if special:
        styled.highlight_regex("|".join(map(re.escape, special)), style="bold cyan")
    styled.highlight_regex("[⏎␍⇥⍽]", style="dim")
    lines = list(styled.wrap(console, max(20, console.width - INDENT - 2)))
    left = len(lines) - most
    if left > 1:
        middle = Text(f"… {left} more lines …", style="dim italic")
        lines = [*lines[: (most + 1) // 2], middle, *lines[len(lines) - most // 2 :]]
    for line in lines:
        line.rstrip()
        console.print(Text(" " * INDENT).append("│ ", style="dim").append_text(line))


def _visible(text: str) -> str:
    shown = re.sub(r"^ +| +(?=\n)| +$", lambda found: "·" * len(found[0]), text, flags=re.MULTILINE)
    return "".join(VISIBLE.get(letter, letter if letter.isprintable() else f"\\x{ord(letter):02x}") for letter in shown)
