"""Every conjecture is decided as it should be, with an exact world where it is refuted."""

from pathlib import Path

import pytest

import theory
from tests.theory.decision.conjectures import ALL, FALSE, LITTLE, OTHER_WORLDS, TRUE, Conjecture
from theory.decision.decide import WORK
from theory.proof import holds_at

WORDS = {10: "ten", 11: "eleven", 12: "twelve", 13: "thirteen", 14: "fourteen"}


@pytest.mark.parametrize("conjecture", ALL, ids=lambda conjecture: conjecture.words)
def test_it_is_decided_as_it_should_be(conjecture: Conjecture) -> None:
    decision = conjecture.decide(worlds=30, work=conjecture.work)
    assert decision.verdict == conjecture.verdict, decision
    if decision.case is not None:
        assert holds_at(conjecture.predicate, decision.case, conjecture.given) is conjecture.exists
        assert decision.sides or "len(" in decision.text or "responses" in conjecture.words
    else:
        assert decision.by == "smt"


def test_there_are_ten_of_each_and_the_readme_counts_them() -> None:
    assert min(len(TRUE), len(FALSE), len(OTHER_WORLDS)) >= 10
    said = (Path(theory.__file__).parent / "decision" / "README.md").read_text("utf-8")
    counted = f"decides {len(ALL)} conjectures"
    kinds = (
        f"{WORDS[len(TRUE)]} true and subtle, {WORDS[len(FALSE)]} false and subtle, {WORDS[len(OTHER_WORLDS)]} about"
    )
    assert counted in said
    assert kinds in said
    assert f"all but {sum(c.work != LITTLE for c in ALL)} are decided with {LITTLE:,} units" in said
    assert f"the default is {WORK:,}" in said
