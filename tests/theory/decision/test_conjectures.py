"""Every conjecture is decided as it should be, with an exact world where it is refuted."""

import time

import pytest

from tests.theory.decision.conjectures import ALL, FALSE, OTHER_WORLDS, TRUE, Conjecture
from theory.proof import holds_at

LONGEST = 6.0  # seconds of CPU; a typical one takes a tenth of a second


@pytest.mark.parametrize("conjecture", ALL, ids=lambda conjecture: conjecture.words)
def test_it_is_decided_as_it_should_be(conjecture: Conjecture) -> None:
    start = time.process_time()
    decision = conjecture.decide(worlds=30)
    assert time.process_time() - start < LONGEST
    assert decision.verdict == conjecture.verdict, decision
    if decision.case is not None:
        assert holds_at(conjecture.predicate, decision.case, conjecture.given) is conjecture.exists
        assert decision.sides or "len(" in decision.text or "responses" in conjecture.words
    else:
        assert decision.by == "smt"


def test_there_are_ten_of_each() -> None:
    assert min(len(TRUE), len(FALSE), len(OTHER_WORLDS)) >= 10
