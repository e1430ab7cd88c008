"""No seed of the random cases changes what a claim's searches find, and none makes them raise (one of 60 seeds)."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

import pytest

from tests.theory.seeds import problem, problems
from theory.claim import CLAIMS, Claim
from theory.ledger import load_claims
from theory.proof.family import Family
from theory.proof.searched import search
from theory.worlds import World, tabular

load_claims()
SEEDS = (9,)  # the one that once divided by zero; make seeds tries 60
WORLDS = 15


@pytest.mark.parametrize("key", list(CLAIMS))
def test_no_seed_changes_what_a_search_finds(key: str) -> None:
    assert problems(CLAIMS[key], SEEDS, WORLDS) == []


def drawn(draw: Callable[[random.Random], object]) -> Family:
    return Family("worlds", "", (), draw)


def test_a_seed_that_raises_and_one_that_refutes_and_one_that_is_blind_are_seen() -> None:
    def divides(w: World) -> bool:  # by 0 with two responses, as feng2024.softmax-rates once did
        return w.p[w.chosen] / (1 - w.p[w.chosen] - w.p[w.rejected]) > 0

    def rarely_false(w: World) -> bool:
        return len(w.p) < 8

    worlds = drawn(tabular)
    assert problem(partial(search, rarely_false, worlds), None, 9, 40).startswith("refuted among")
    assert problem(partial(search, lambda _: True, worlds), partial(search, lambda _: True, worlds), 9, 4)
    assert problem(partial(search, lambda _: True, worlds, given=lambda _: False), None, 9, 4)
    assert problem(partial(search, lambda _: True, worlds), partial(search, rarely_false, worlds), 9, 4) == ""

    def raises(w: World) -> bool:
        return {}[w.chosen]

    def claim(w: World) -> None: ...

    claim.searches = [(partial(search, raises, worlds), None), (partial(search, divides, worlds), None)]  # type: ignore[attr-defined]
    told = problems(Claim("jian2025.example", "nowhere", "0 = 0", "proved", claim), [9], 40)  # type: ignore[arg-type]
    assert "KeyError" in told[0]
    assert "refuted" in told[1]  # a statement that divides by zero is not true
