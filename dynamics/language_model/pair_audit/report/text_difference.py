"""Which words of two texts differ."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

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
