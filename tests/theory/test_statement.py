"""A claim that rests on another is as strong as that one, and falls with it."""

from collections.abc import Iterator
from fractions import Fraction as F
from typing import Any

import pytest

from theory.claim import BROKEN, CLAIMS, FALSE, PROVED, REPRODUCED, run_claim
from theory.proof import world_of
from theory.proof.certificate import Certificate
from theory.statement import claims_of

ANY = world_of("x real", x="real")


@pytest.fixture
def claim() -> Iterator[Any]:
    before = set(CLAIMS)
    yield claims_of("trial")
    for key in set(CLAIMS) - before:
        del CLAIMS[key]


def square(case: Any, least: Any = 0) -> Any:
    """x^2\\ge 0"""
    return case.x**2 >= least


def fourth(case: Any) -> Any:
    """x^4\\ge 0"""
    return case.x**4 >= 0


def test_it_takes_over_the_strength(claim: Any) -> None:
    lemma = claim("lemma", "here", PROVED)(square).proved(over=ANY, wrong={"least": 1}, lemma="monotone")
    outcome = run_claim(claim("rests", "here", PROVED)(fourth).rests_on(lemma).claim)
    assert (outcome.status, outcome.strength) == (REPRODUCED, "proved by smt, modulo monotone, parts joined in prose")
    assert "trial.lemma" in outcome.findings[0].detail


def test_a_lemma_that_is_only_searched_makes_no_proof(claim: Any) -> None:
    lemma = claim("lemma", "here", PROVED)(square).unrefuted(ANY, wrong={"least": 1}, ranges="any fraction")
    proved = claim("rests", "here", PROVED)(fourth).proved(over=ANY, wrong=lambda case: case.x >= 0)
    assert run_claim(proved.rests_on(lemma).claim).strength.startswith("unrefuted")


@pytest.mark.parametrize(("least", "wrong"), [(F(1), F(2)), (F(-1), F(-2))])
def test_it_falls_with_a_lemma_that_is_not_reproduced_or_cannot_fail(claim: Any, least: F, wrong: F) -> None:
    def shifted(case: Any, least: Any = least) -> Any:
        """x^2\\ge c"""
        return square(case, least)

    lemma = claim("lemma", "here", PROVED)(shifted).proved(over=ANY, wrong={"least": wrong})
    outcome = run_claim(claim("rests", "here", PROVED)(fourth).rests_on(lemma).claim)
    assert outcome.status == BROKEN


def test_a_false_claim_is_no_lemma(claim: Any) -> None:
    lemma = claim("lemma", "here", FALSE)(square).refuted(over=ANY, unlike=fourth, least=1)
    assert run_claim(claim("rests", "here", PROVED)(fourth).rests_on(lemma).claim).status == BROKEN


def test_a_certificate_holds_the_questions_of_the_lemma(claim: Any) -> None:
    lemma = claim("lemma", "here", PROVED)(square).proved(over=ANY, wrong={"least": 1})
    rests = claim("rests", "here", PROVED)(fourth).rests_on(lemma)
    run_claim(rests.claim)
    certificate = Certificate()
    run_claim(rests.claim, record=certificate.record)
    assert certificate.impossible()
