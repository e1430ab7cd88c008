"""No false predicate is proved, every refutation is an exact world, and what is true by a hair is proved."""

from functools import cache

import pytest

from tests.theory.proof.deceptive import BY_NAME, FALSE, TRUE, TRUE_BY_NAME, Trap
from theory.proof import Impure, NotAStatement, Proof, holds_at, prove, search

GIVEN_UP = {"gave_up", "gave_up_on_the_statement"}


@cache
def decided(name: str) -> Proof | None:
    """Return what the prover says of a predicate of either list, asked once."""
    return decide((BY_NAME | TRUE_BY_NAME)[name])


def decide(trap: Trap) -> Proof | None:
    """Return what the prover says; None if it refuses the predicate."""
    options = {} if trap.work is None else {"work": trap.work}
    try:
        return prove(trap.predicate, trap.over, given=trap.given, **options, **trap.change)
    except (Impure, NotAStatement, TypeError):
        return None


@pytest.mark.parametrize("trap", FALSE, ids=lambda trap: trap.name)
def test_a_false_predicate_is_never_proved(trap: Trap) -> None:
    proof = decided(trap.name)
    if proof is None:
        return
    assert proof.verdict != "proved", proof
    if proof.verdict == "refuted" and proof.counterexample is not None:
        assert holds_at(trap.predicate, proof.counterexample, trap.given, **trap.change) is False


def test_most_of_them_are_refuted_by_an_exact_world() -> None:
    proofs = {trap.name: decided(trap.name) for trap in FALSE}
    refused = {name for name, proof in proofs.items() if proof is None}
    shown = {name for name, proof in proofs.items() if proof is not None and proof.counterexample is not None}
    open_ = set(proofs) - refused - shown
    assert open_ == {*GIVEN_UP, "no_such_world", "empty_premise", "root_of_two_is_rational"}, open_
    assert len(proofs) == len(FALSE) >= 90
    assert not set(proofs) & set(TRUE_BY_NAME)
    assert len(refused) == 22, sorted(refused)


@pytest.mark.parametrize("trap", TRUE, ids=lambda trap: trap.name)
def test_what_is_true_is_proved(trap: Trap) -> None:
    proof = decided(trap.name)
    assert proof is not None
    assert proof.verdict == "proved", proof
    assert search(trap.predicate, trap.over, given=trap.given, worlds=100).counterexample is None
