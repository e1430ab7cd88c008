"""The texts of a few rows of a data set, for people to read."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

from dynamics.language_model.pair_audit.reading.data import PairSource
from dynamics.language_model.pair_audit.reading.messages import say_turns
from dynamics.language_model.pair_audit.reading.rows import Pair
from dynamics.language_model.tokens import Messages

LONGEST = 4000
"""Most characters of a text that are kept."""


def read_examples(source: PairSource, rows: Collection[int]) -> list[dict[str, Any]]:
    """Return row, place, prompt, chosen and rejected of some rows, in the order of the rows; long texts are cut.

    Args:
        source: the data set.
        rows: their numbers.
    """
    found: list[dict[str, Any]] = []
    wanted = set(rows)
    for row in source.read() if wanted else ():
        if row.number in wanted and row.pair is not None:
            chosen, rejected = (shorten_text(text) for text in row.pair.texts)
            texts = {"prompt": shorten_text(prompt_text(row.pair)), "chosen": chosen, "rejected": rejected}
            found.append({"row": row.number, "place": row.place, **texts})
        if row.number >= max(wanted):
            break
    return found


def prompt_text(pair: Pair) -> str:
    """Return the prompt of a pair for people to read: a text, the turns with their roles, or token ids."""
    if pair.ids is not None:
        return " ".join(map(str, pair.ids[0]))
    return pair.prompt if isinstance(pair.prompt, str) else say_turns(cast("Messages", pair.prompt))


def shorten_text(text: str) -> str:
    """Return a text, or its beginning with the number of characters that are left out.

    Example:
        >>> shorten_text("x" * 4010)[-25:]
        'xx … (10 characters more)'
    """
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST} characters more)"
