"""How the pairs of a data set are related: seen twice, contradicting each other, nearly equal."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from dataclasses import dataclass

from dynamics.language_model.pair_audit.reading.data import PairSource
from dynamics.language_model.pair_audit.reading.examples import prompt_text

RELATIONS = {
    "opposite": "another row prefers the two responses to this prompt the other way round",
    "repeated": "another row holds the same prompt and the same two responses",
    "repeated-earlier": "an earlier row holds the same prompt and the same two responses",
    "chosen-rejected-elsewhere": "the chosen response is the rejected one of another row with the same prompt",
    "rejected-chosen-elsewhere": "the rejected response is the chosen one of another row with the same prompt",
    "near-duplicate": "another row differs in upper and lower case, punctuation and white space only",
    "tie": "chosen and rejected differ in upper and lower case, punctuation and white space only",
}
"""What a relation means, by its key."""

MOST = 1000  # rows of each kind that are listed


@dataclass(frozen=True)
class Relations:
    """Which rows are related to which kind of other rows.

    Attributes:
        rows: for each kind of ``RELATIONS`` that occurs, the numbers of the rows.
    """

    rows: dict[str, list[int]]

    def summary(self) -> dict[str, dict[str, object]]:
        """Return for each kind its meaning, how many rows have it, and at most 1000 of them."""
        return {
            kind: {"meaning": RELATIONS[kind], "count": len(rows), "rows": rows[:MOST]}
            for kind, rows in self.rows.items()
        }


def find_relations(source: PairSource) -> Relations:
    """Read a data set once and find related rows, from digests of 8 bytes of their texts.

    Args:
        source: the data set.

    Example:
        >>> from dynamics.language_model.pair_audit.reading.data import Row, make_row
        >>> from dynamics.language_model.pair_audit.reading.records import Record
        >>> texts = (("2+2?", "4", "5"), ("2+2?", "5", "4"))
        >>> records = [dict(zip(("prompt", "chosen", "rejected"), t)) for t in texts]
        >>> rows = [make_row(Record(n, "", r)) for n, r in enumerate(records)]
        >>> find_relations(PairSource("", "", 2, lambda: iter(rows))).rows["opposite"]
        [0, 1]
    """
    pairs: list[tuple[int, bytes, bytes, bytes]] = []
    ties: list[int] = []
    nearly: defaultdict[bytes, list[int]] = defaultdict(list)
    for row in source.read():
        if row.pair is None:
            continue
        texts = (prompt_text(row.pair), *row.pair.texts)
        plain = [_plain(text) for text in texts]
        pairs.append((row.number, *(_digest(text) for text in texts)))  # type: ignore[arg-type]
        if plain[1] == plain[2]:
            ties.append(row.number)
        nearly[_digest("\0".join(plain))].append(row.number)
    whole: defaultdict[tuple[bytes, bytes, bytes], int] = defaultdict(int)
    chosen, rejected = set(), set()
    for _, prompt, w, other in pairs:
        whole[prompt, w, other] += 1
        chosen.add((prompt, w))
        rejected.add((prompt, other))
    found: dict[str, list[int]] = {kind: [] for kind in RELATIONS}
    met: set[tuple[bytes, bytes, bytes]] = set()
    for number, prompt, w, other in pairs:
        if (prompt, other, w) in whole:
            found["opposite"].append(number)
        if whole[prompt, w, other] > 1:
            found["repeated"].append(number)
            if (prompt, w, other) in met:
                found["repeated-earlier"].append(number)
            met.add((prompt, w, other))
        if (prompt, w) in rejected:
            found["chosen-rejected-elsewhere"].append(number)
        if (prompt, other) in chosen:
            found["rejected-chosen-elsewhere"].append(number)
    same = set(found["repeated"])
    found["near-duplicate"] = sorted(
        number for rows in nearly.values() if len(rows) > 1 for number in rows if number not in same
    )
    found["tie"] = ties
    return Relations({kind: rows for kind, rows in found.items() if rows})


def _plain(text: str) -> str:
    """Return a text without case, white space and punctuation; signs of arithmetic are no punctuation."""
    return " ".join(re.findall(r"\w+|[<>=+*/^%$]|-(?=\s*\d)", text.casefold())) or text.strip()


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=8).digest()
