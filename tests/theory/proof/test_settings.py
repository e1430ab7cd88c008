"""A world of independent numbers, each of a kind, is the same in a proof and in a search."""

import random

import pytest

from theory.proof import prove, search, world_of

KINDS = {
    "positive": (lambda c: c.x > 0, lambda c: c.x > 1),
    "negative": (lambda c: c.x < 0, lambda c: c.x < -1),
    "nonnegative": (lambda c: c.x >= 0, lambda c: c.x > 0),
    "share": (lambda c: 0 < c.x < 1, lambda c: 2 * c.x >= 1),
    "real": (lambda c: c.x * c.x >= 0, lambda c: c.x >= 0),
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_number_is_of_its_kind_and_of_no_narrower_one(kind: str) -> None:
    family = world_of("a number", x=kind)
    holds, fails = KINDS[kind]
    assert prove(holds, family).verdict == "proved"
    assert search(holds, family).counterexample is None
    assert prove(fails, family).verdict == "refuted"
    assert search(fails, family).counterexample is not None


def test_further_assumptions_hold_in_every_world() -> None:
    ordered = world_of("a <= b", lambda c: (c.a <= c.b,), a="positive", b="positive")
    source = random.Random(0)
    assert all(case.a <= case.b for case in (ordered.draw(source) for _ in range(50)))
    assert prove(lambda c: c.b >= c.a, ordered).verdict == "proved"
    assert prove(lambda c: c.b > c.a, ordered).verdict == "refuted"


def test_a_kind_that_does_not_exist_is_named() -> None:
    with pytest.raises(TypeError, match="positve"):
        world_of("a number", x="positve")
