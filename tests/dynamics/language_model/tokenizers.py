"""Tokenizers that need no download."""

from __future__ import annotations

from typing import Any

CHAT = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def byte_tokenizer(merges: tuple[tuple[str, str], ...] = (), **options: Any) -> Any:
    """Return a byte-level Qwen2 tokenizer: one token for each ASCII character, plus merges."""
    from tokenizers import pre_tokenizers
    from transformers import Qwen2Tokenizer

    symbols = ["<|pad|>", "<|end|>", *sorted(pre_tokenizers.ByteLevel.alphabet()), *(a + b for a, b in merges)]
    vocabulary = {symbol: number for number, symbol in enumerate(symbols)}
    special = {"eos_token": "<|end|>", "pad_token": "<|pad|>", "unk_token": None}
    return Qwen2Tokenizer(vocab=vocabulary, merges=list(merges), **(special | options))


def character_tokenizer() -> Any:
    """Return a tokenizer of characters, stored in a class that AutoTokenizer does not restore for qwen2."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    symbols = ["<u>", "<e>", *map(chr, range(32, 127)), "\n"]
    tokenizer = Tokenizer(models.WordLevel({c: n for n, c in enumerate(symbols)}, unk_token="<u>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<e>", unk_token="<u>")
