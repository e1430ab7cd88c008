"""No seed of the random cases changes what a claim's searches find, and none makes them raise (one of 60 seeds)."""

from __future__ import annotations

import pytest

from tests.theory.seeds import problem, problems
from theory.claim import CLAIMS, Claim
from theory.evidence import Evidence
from theory.ledger import load_claims
from theory.worlds import World, tabular

load_claims()
SEEDS = (9,)  # the one that once divided by zero; make seeds tries 60
WORLDS = 15


@pytest.mark.parametrize("key", list(CLAIMS))
def test_no_seed_changes_what_a_search_finds(key: str) -> None:
    assert problems(CLAIMS[key], SEEDS, WORLDS) == []


def made(evidence: object) -> Claim:
    return Claim("jian2025.example", "nowhere", "0 = 0", "proved", evidence)  # type: ignore[arg-type]


def test_a_seed_that_raises_and_one_that_refutes_are_seen() -> None:
    def rarely_true(evidence: Evidence) -> None:
        evidence.holds(lambda w: len(w.p) < 8, tabular, control=lambda w: False)

    def pair(w: World) -> bool:
        return w.p[w.chosen] / (1 - w.p[w.chosen] - w.p[w.rejected]) > 0

    def divides(evidence: Evidence) -> None:  # by 0 with two responses, as feng2024.softmax-rates once did
        evidence.holds(pair, tabular, control=lambda w: False)

    assert "ZeroDivisionError" in problems(made(divides), [9], 40)[0]
    assert "not found" in problems(made(rarely_true), [9], 40)[0]
    assert (
        problem(made(lambda evidence: evidence.proves(lambda: True, control=lambda: False, by="sight")), 9, 40) is None
    )
