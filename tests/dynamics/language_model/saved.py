"""A tiny model in a folder, and files of preference pairs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dynamics.language_model import LanguageModel, tiny_model
from tests.dynamics.language_model.tokenizers import CHAT, byte_tokenizer


def tiny(seed: int = 0, **options: Any) -> LanguageModel:
    """Return a tiny model that reads bytes, with a chat template."""
    return LanguageModel(tiny_model(vocabulary=258, seed=seed, **options), byte_tokenizer(chat_template=CHAT))


def save_tiny(folder: Path, seed: int = 0) -> Path:
    loaded = tiny(seed)
    loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    return folder


def products(count: int) -> list[dict[str, Any]]:
    """Return pairs of lengths that differ from row to row."""
    made = []
    for n in range(count):
        left, right = n % 7 + 2, n % 5 + 3
        answer = {"chosen": f"{left * right}", "rejected": f"It is {left * right + n % 3 + 1}"}
        made.append({"prompt": f"{left} x {right}{'?' * (n % 4 + 1)} ", **answer})
    return made


def write_lines(path: Path, records: Iterable[Any]) -> Path:
    """Write JSON lines; texts and bytes go in as they are."""
    lines = [
        r if isinstance(r, bytes) else r.encode() if isinstance(r, str) else json.dumps(r).encode() for r in records
    ]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]
