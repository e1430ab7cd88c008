"""An induction is searched in states that it reaches, and its control must be false in one of them."""

import random
from fractions import Fraction as F

import pytest

from theory.claim import BROKEN, CLAIMS, PROVED, REPRODUCED, run_claim
from theory.proof import Named, sums_of
from theory.proof.induction import by_induction, reachable
from theory.statement import claims_of


@sums_of("q > 0, any x", fixed=lambda numbers: numbers.positive("scale"))
def points(numbers, scale):
    q, x = numbers.positive("q"), numbers.real("x")
    return Named(q=q, again=q, qx=q * x, qxx=scale * q * x * x)


def cauchy_schwarz(s, times=1):
    return s.q > 0 and s.qxx >= 0 and times * s.fixed * s.qx**2 <= s.q * s.qxx


def true_of_sums_but_not_inductive(s):
    return s.q * s.again >= 0


@pytest.fixture
def statement():
    before = set(CLAIMS)
    yield claims_of("trial")("cauchy-schwarz", "not in the paper", PROVED)(_says)
    for key in set(CLAIMS) - before:
        del CLAIMS[key]


def _says(s):
    r"""\Bigl(\sum qx\Bigr)^2\le\sum q\sum qx^2"""
    return cauchy_schwarz(s)


def test_states_are_sums_of_terms_with_the_same_fixed_number() -> None:
    source = random.Random(0)
    draw = reachable(points["base"], points["after"], points["more"])
    states = [draw(source) for _ in range(60)]
    assert all(s.q == s.again > 0 and s.fixed > 0 for s in states)
    assert all(cauchy_schwarz(s) for s in states)
    single = [s for s in states if s.qxx * s.q == s.fixed * s.qx**2]
    assert 0 < len(single) < len(states)


def test_a_false_control_is_found_in_a_state_that_is_reached(statement) -> None:
    outcome = run_claim(statement.by_induction(of=cauchy_schwarz, **points, wrong={"times": F(11, 10)}).claim)
    assert outcome.status == REPRODUCED
    assert "no counterexample in 100 exact cases" in outcome.findings[0].detail


def test_a_control_that_is_true_but_not_inductive_is_not_rejected(statement) -> None:
    proofs = by_induction(true_of_sums_but_not_inductive, **points)
    assert [proof.verdict for proof in proofs] == ["proved", "refuted"]
    outcome = run_claim(statement.by_induction(of=cauchy_schwarz, **points, wrong=true_of_sums_but_not_inductive).claim)
    assert outcome.status == BROKEN
    assert "control" in outcome.problem
