from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from dynamics.language_model.pair_audit.reading.data import PairSource, make_row
from dynamics.language_model.pair_audit.reading.records import Record
from dynamics.language_model.pair_audit.reading.relations import RELATIONS, find_relations

TEXTS = st.tuples(st.sampled_from(["p", "q"]), st.sampled_from("xyz"), st.sampled_from("xyz")).filter(
    lambda t: t[1] != t[2]
)


def source(*texts: tuple[str, str, str]) -> PairSource:
    records: list[Any] = [dict(zip(("prompt", "chosen", "rejected"), row, strict=True)) for row in texts]
    return PairSource("", "", None, lambda: (make_row(Record(n, "", r)) for n, r in enumerate(records)))


@given(st.lists(TEXTS, max_size=8))
def test_relations_are_those_of_the_definition(texts: list[tuple[str, str, str]]) -> None:
    found = find_relations(source(*texts)).rows
    others = [[t for m, t in enumerate(texts) if m != n] for n in range(len(texts))]
    wanted = {
        "opposite": [n for n, (p, w, r) in enumerate(texts) if (p, r, w) in others[n]],
        "repeated": [n for n, t in enumerate(texts) if t in others[n]],
        "repeated-earlier": [n for n, t in enumerate(texts) if t in texts[:n]],
        "chosen-rejected-elsewhere": [
            n for n, (p, w, _) in enumerate(texts) if any((p, w) == (o[0], o[2]) for o in others[n])
        ],
        "rejected-chosen-elsewhere": [
            n for n, (p, _, r) in enumerate(texts) if any((p, r) == o[:2] for o in others[n])
        ],
    }
    assert {kind: found.get(kind, []) for kind in wanted} == wanted


def test_letters_and_marks_alone_make_a_near_duplicate_or_a_tie() -> None:
    found = find_relations(
        source(
            ("Hi?", "Yes.", "no"),
            ("hi", "yes", "No!"),
            ("hi", "yes", "maybe"),
            ("k", "A b", "a  B!"),
            ("k", "5", "-5"),
            ("k", "2 < 3", "2 > 3"),
        )
    )
    assert found.rows == {"near-duplicate": [0, 1], "tie": [3]}
    summary = found.summary()
    assert summary["tie"] == {"meaning": RELATIONS["tie"], "count": 1, "rows": [3]}


def test_signs_of_arithmetic_are_no_punctuation() -> None:
    assert find_relations(source(("k", "5", "-5"), ("m", "2 < 3", "2 > 3"), ("n", "2+2", "2-2"))).rows == {}


@pytest.mark.parametrize("text", ["…", "日本"])
def test_any_text_has_relations(text: str) -> None:
    assert find_relations(source((text, "a", "b"), (text, "b", "a"))).rows["opposite"] == [0, 1]


def test_a_row_that_is_refused_has_none() -> None:
    assert find_relations(source(("\ud800", "a", "b"), ("\ud800", "b", "a"))).rows == {}
