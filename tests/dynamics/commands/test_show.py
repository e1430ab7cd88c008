from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from dynamics.commands.show import show_rows
from dynamics.language_model.pair_audit.reading.data import open_pairs, tokenize_rows
from tests.dynamics.language_model.saved import write_lines
from tests.dynamics.language_model.tokenizers import CHAT, byte_tokenizer, sentencepiece_tokenizer

TURNS = {s: [{"role": "assistant", "content": t}] for s, t in (("chosen", "56"), ("rejected", "It is\t54 "))}


def shown(tmp_path: Path, tokenizer: Any, rows: list[Any], width: int = 80, count: int = 9) -> list[str]:
    out = io.StringIO()
    source = open_pairs(write_lines(tmp_path / "pairs.jsonl", rows))
    made = tokenize_rows(source, tokenizer, 400)
    show_rows(Console(file=out, width=width, highlight=False), made, tokenizer, count)
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    return lines


def test_a_row_is_shown_with_its_special_tokens_white_space_and_counts(tmp_path: Path) -> None:
    row = {"prompt": [{"role": "user", "content": "7 x 8?\n"}], **TURNS}
    lines = shown(tmp_path, byte_tokenizer(chat_template=CHAT), [row, "{", row], count=2)
    assert lines[: len(lines) - 3] == [
        "row 0 (line 1)",
        "  prompt  25 tokens",
        "          │ <user>7 x 8?⏎",
        "          │ <|end|><assistant>",
        "  chosen  3 tokens",
        "          │ 56<|end|>",
        "rejected  10 tokens",
        "          │ It is⇥54 <|end|>",
        "",
        "row 1 (line 2)",
        " skipped  not JSON: Expecting property name enclosed in double quotes (column 1)",
        "",
    ]


def test_spaces_at_the_border_are_seen_and_what_is_cut_is_said(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer(merges=(("\u0120", "t"),))
    lines = shown(tmp_path, tokenizer, [{"prompt": "is it ", "chosen": "9", "rejected": "the"}])
    assert "          │ is it" in lines
    assert "          │ ·9<|end|>" in lines
    assert "          │ ·the<|end|>" in lines
    assert any(line.startswith("    note  the end of the prompt, ' ', merges") for line in lines)
    whole = shown(tmp_path, tokenizer, [{"prompt": "is it ", "chosen": "9", "rejected": "8"}])
    assert "          │ is it·" in whole
    assert not any("note" in line for line in whole)


def test_the_space_that_a_response_begins_with_is_not_lost_in_decoding(tmp_path: Path) -> None:
    tokenizer = sentencepiece_tokenizer(tmp_path)
    lines = shown(tmp_path, tokenizer, [{"prompt": "the price is", "chosen": " 46", "rejected": " now"}])
    assert "          │ ·46</s>" in lines
    assert "          │ ·now</s>" in lines


def test_long_texts_are_cut_in_the_middle_and_narrow_terminals_hold_them(tmp_path: Path) -> None:
    prompt = "".join(f"line {number}\n" for number in range(40))
    lines = shown(
        tmp_path, byte_tokenizer(), [{"prompt": prompt, "chosen": "x" * 60, "rejected": "\x1b[31m"}], width=40
    )
    assert "          │ … 28 more lines …" in lines
    assert [line for line in lines if "line 0⏎" in line or "line 39⏎" in line] != []
    assert any("\\x1b[31m<|end|>" in line for line in lines)  # nothing of the data reaches the terminal as a command
