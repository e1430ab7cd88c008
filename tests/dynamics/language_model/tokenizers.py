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


LINES = (
    *("the price is 46 and the answer is now here", "it is what it is, the cost of it", "$46 now, 46 then"),
    "Human: how much is it? Assistant: the price is high or the price is low",
)
SPECIAL = ["<|pad|>", "<|bos|>", "<|s|>", "<|e|>", "<think>"]
NAMES = {"pad_token": "<|pad|>", "bos_token": "<|bos|>", "eos_token": "<|e|>"}


def trained_tokenizer(kind: str, bos: bool = False, eos: bool = False, vocabulary: int = 340) -> Any:
    """Return a tokenizer trained on a few lines, so that words and their spaces are tokens of several letters.

    Args:
        kind: "bytes" is a byte-level BPE (GPT-2, Llama 3, Qwen), "metaspace" a BPE that writes a mark for a space, also
            before the text (Llama 2), "unigram" a unigram model with such marks (T5, Gemma).
        bos: add BOS to every text.
        eos: add EOS to every text.
        vocabulary: most tokens.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    alphabet = (
        pre_tokenizers.ByteLevel.alphabet() if kind == "bytes" else sorted(set("".join(map(chr, range(32, 127)))))
    )
    raw = Tokenizer(models.Unigram() if kind == "unigram" else models.BPE())
    raw.pre_tokenizer = (
        pre_tokenizers.ByteLevel(add_prefix_space=False) if kind == "bytes" else pre_tokenizers.Metaspace()
    )
    raw.decoder = decoders.ByteLevel() if kind == "bytes" else decoders.Metaspace()
    made = {"vocab_size": vocabulary, "special_tokens": SPECIAL, "show_progress": False, "initial_alphabet": alphabet}
    if kind == "unigram":
        trainer: Any = trainers.UnigramTrainer(unk_token="<|pad|>", **made)
    else:
        trainer = trainers.BpeTrainer(**made)
    raw.train_from_iterator(LINES * 50, trainer)
    if bos or eos:
        single = "<|bos|> " * bos + "$A" + " <|e|>" * eos
        raw.post_processor = processors.TemplateProcessing(
            single=single, special_tokens=[(token, SPECIAL.index(token)) for token in ("<|bos|>", "<|e|>")]
        )
    return PreTrainedTokenizerFast(tokenizer_object=raw, **NAMES)


def sentencepiece_tokenizer(folder: Any) -> Any:
    """Return a tokenizer that reads a file of the sentencepiece library, which is trained here."""
    import sentencepiece
    from transformers import BertGenerationTokenizer

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES * 50),
        model_prefix=str(folder / "pieces"),
        vocab_size=90,
        hard_vocab_limit=False,
        character_coverage=1.0,
        minloglevel=2,
        num_threads=1,
        pad_id=3,
    )
    return BertGenerationTokenizer(str(folder / "pieces.model"))
