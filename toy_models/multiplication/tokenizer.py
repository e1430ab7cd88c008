"""A tokenizer with one token for each byte, which needs no vocabulary file and reads any text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import Qwen2Tokenizer

PAD, END = "<|pad|>", "<|endoftext|>"


def byte_tokenizer() -> Qwen2Tokenizer:
    """Return a native Qwen2 tokenizer without merges: padding (0), end of text (1) and the 256 bytes (2 to 257).

    It is native because ``AutoTokenizer`` reads every tokenizer of a model of type qwen2 as a byte-level BPE,
    whatever it was saved as: a vocabulary of characters would come back without its spaces, and without a warning.
    It has all 256 bytes because a byte-level BPE silently drops what is not in its alphabet. Padding and end of text
    are different tokens, since otherwise the end of a response could not be distinguished from padding.

    Like every Qwen2 tokenizer, it first normalises text to Unicode's composed form (NFC).

    Example:
        >>> tokenizer = byte_tokenizer()
        >>> tokenizer.decode(tokenizer("11 x 12 = ?")["input_ids"])
        '11 x 12 = ?'
    """
    from tokenizers.pre_tokenizers import ByteLevel  # noqa: PLC0415 - of the optional extra lm
    from transformers import Qwen2Tokenizer  # noqa: PLC0415

    symbols = [PAD, END, *sorted(ByteLevel.alphabet())]
    return Qwen2Tokenizer(
        vocab={symbol: index for index, symbol in enumerate(symbols)},
        merges=[],
        unk_token=END,
        eos_token=END,
        pad_token=PAD,
        model_max_length=128,
        clean_up_tokenization_spaces=False,
    )
