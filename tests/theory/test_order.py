"""Claims stand in the order of their papers: sections, theorems and what proves them, equations."""

from __future__ import annotations

import random

import pytest

from theory.ledger import load_claims, select_claims
from theory.order import OUTLINES, PLACES, in_order, is_ours, outline, place_of, section_of, sort_keys, unplaced

SOURCES = {key: made.source for key, made in load_claims().items()}
EQUATIONS = {"jian2025": 85, "wipf2024": 27, "feng2024": 6, "sun2025": 49, "ma2025": 86}


@pytest.mark.parametrize("paper", OUTLINES)
def test_every_equation_has_one_place(paper: str) -> None:
    names = [name for name in outline(paper) if name.startswith("Eq. ")]
    assert sorted(int(name[4:]) for name in names) == list(range(1, EQUATIONS[paper] + 1))
    entries = [" ".join(part.split()) for part in OUTLINES[paper].split(";")]
    assert len(entries) == len(set(entries))


@pytest.mark.parametrize("paper", PLACES)
def test_sections_are_in_order(paper: str) -> None:
    sections = [name.split()[1] for name in outline(paper) if name.startswith("Section ")]
    assert sections == sorted(sections, key=lambda number: [int(part) for part in number.split(".")])


def test_every_claim_in_a_paper_says_where() -> None:
    assert list(unplaced(SOURCES)) == []
    assert list(unplaced({"jian2025.x": "somewhere in print", "jian2025.y": "not in the paper"})) == ["jian2025.x"]


def test_the_order_is_that_of_the_papers() -> None:
    keys = sort_keys(SOURCES)
    chosen = [made.key for made in select_claims()]
    assert [keys[key] for key in chosen] == sorted(keys.values())
    assert chosen == in_order(SOURCES)
    by_paper = [key.split(".")[0] for key in chosen]
    assert list(dict.fromkeys(by_paper)) == [p for p in PLACES if p in by_paper]
    assert len(chosen) == len(SOURCES)


def test_the_order_of_printed_claims_does_not_depend_on_the_modules() -> None:
    printed = [key for key, source in SOURCES.items() if not is_ours(source)]
    mixed = random.Random(0).sample(printed, len(printed))
    places = {key: place_of(key.split(".")[0], SOURCES[key]) for key in printed}

    def order(keys: list[str]) -> list[int | None]:
        return [places[key] for key in in_order({key: SOURCES[key] for key in keys})]

    assert order(mixed) == order(printed)


def test_theorem_1_comes_first_and_its_proof_under_it() -> None:
    chosen = [made.key for made in select_claims(["jian2025"])]
    at = {
        key: chosen.index(f"jian2025.{key}")
        for key in ("theorem-1", "eq-27", "corollary-2", "log-margin", "eq-49")
        if f"jian2025.{key}" in chosen
    }
    assert list(at) == sorted(at, key=at.__getitem__)
    assert at["theorem-1"] < 5
    assert chosen.index("jian2025.eq-84") > chosen.index("jian2025.eq-47")


def test_a_step_is_found_inside_a_range() -> None:
    assert "jian2025.eq-48" in [made.key for made in select_claims(["jian2025"], place="44")]
    assert section_of("ma2025", outline("ma2025")["Eq. 58"]) == "Section 4.3.2"


def test_claims_of_your_own_come_last_and_stop_nothing() -> None:
    sources = {"mine.first": "my notes, Eq. (3)", "jian2025.log-margin": "Corollary 2", "mine.second": "my notes"}
    assert in_order(sources) == ["jian2025.log-margin", "mine.first", "mine.second"]
