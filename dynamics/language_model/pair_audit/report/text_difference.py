"""Which words of two texts differ."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

Parts = list[tuple[str, bool]]
"""Pieces of a text, each with whether it differs from the other text."""


def mark_differences(one: str, other: str) -> tuple[Parts, Parts]:
    """Return two texts in pieces, of which those that are not in the other text are marked.

    Args:
        one: a text.
        other: another text.

    Example:
        >>> mark_differences("it is 56 now", "it is 54 now")
        ([('it is ', False), ('56 ', True), ('now', False)], [('it is ', False), ('54 ', True), ('now', False)])
    """
    words: list[list[str]] = [re.findall(r"\s*\S+\s?|\s+", text) for text in (one, other)]
    parts: tuple[Parts, Parts] = ([], [])
    for kind, start, stop, start_other, stop_other in SequenceMatcher(None, words[0], words[1]).get_opcodes():
        for part, side, (first, last) in zip(parts, words, ((start, stop), (start_other, stop_other)), strict=True):
            if first < last:
                part.append(("".join(side[first:last]), kind != "equal"))
    return parts


Piece = tuple[str, bool, float | None]
"""A piece of a text, whether it differs from the other text, and a number for it."""


def join_marks(parts: Parts, tokens: Sequence[tuple[str, float]]) -> list[Piece]:
    """Return a text in pieces that each lie in one part and in one token.

    Args:
        parts: the text in parts that differ or not.
        tokens: the beginning of the same text in tokens, each with a number.

    Example:
        >>> join_marks([("it is ", False), ("56", True)], [("it", 1.0), (" is 5", 2.0)])
        [('it', False, 1.0), (' is ', False, 2.0), ('5', True, 2.0), ('6', True, None)]
    """
    found: list[Piece] = []
    left: list[list[Any]] = [list(token) for token in tokens]
    for text, differs in parts:
        rest = text
        while rest:
            token: list[Any] = left[0] if left else [rest, None]
            size = min(len(rest), len(token[0]))
            if size:
                found.append((rest[:size], differs, token[1]))
            rest, token[0] = rest[size:], token[0][size:]
            if left and not token[0]:
                left.pop(0)
    return found
