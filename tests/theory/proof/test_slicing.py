"""Definitions that nothing speaks of are left out of a question, and no others; roots are compared by their squares."""

from fractions import Fraction as F

import pytest
import z3

from theory.proof import POLICY, holds_at, prove, sqrt
from theory.proof.families import draw_policy
from theory.proof.slicing import without_unused

X, Y, ROOT, QUOTIENT = z3.Reals("x y root.3 quotient.4")
DEFINED = [ROOT >= 0, ROOT * ROOT == X, QUOTIENT * Y == X]


def answer(terms) -> str:
    solver = z3.SolverFor("QF_NRA")
    solver.add(*terms)
    return str(solver.check())


@pytest.mark.parametrize(
    ("others", "left"),
    [
        ([X > 0, Y > 0], 2),
        ([X > 0, Y > 0, ROOT < 1], 5),
        ([X > 0, Y > 0, QUOTIENT < 1], 4),
        ([X > 4, Y > 0, ROOT < 1, QUOTIENT > 0], 7),
        ([X > 4, Y > 0, ROOT * QUOTIENT < 1], 6),
    ],
)
def test_what_is_left_out_changes_no_answer(others, left: int) -> None:
    kept = without_unused([*others, *DEFINED])
    assert len(kept) == left
    assert answer(kept) == answer([*others, *DEFINED])


def test_a_definition_by_another_one_goes_with_it() -> None:
    outer = z3.Real("root.5")
    chain = [X > 0, *DEFINED[:2], outer >= 0, outer * outer == ROOT]
    assert without_unused(chain) == [X > 0]
    assert len(without_unused([*chain, outer > 3])) == len(chain) + 1


TRUE = [
    lambda w: abs(w.A_y) <= sqrt(w.yy) * sqrt(w.dd),
    lambda w: abs(w.A_y) <= sqrt(w.yy * w.dd),
    lambda w: w.wl <= sqrt(w.ww) * sqrt(w.ll) and -w.wl <= sqrt(w.ww) * sqrt(w.ll),
    lambda w: sqrt(w.ww) > -1 and sqrt(w.ww) != -1 and (sqrt(w.ww) == -1) == (w.ww < 0),
    lambda w: -w.ww - 1 < sqrt(w.ww) and not sqrt(w.ww) < -1 - w.ll,
    lambda w: (sqrt(w.ww) <= w.ll) == (w.ll >= 0 and w.ww <= w.ll**2),
    lambda w: (sqrt(w.ww) == w.A_w) == (w.A_w >= 0 and w.ww == w.A_w**2),
    lambda w: (sqrt(w.ww) < sqrt(w.ll)) == (w.ww < w.ll) and (sqrt(w.ww) == sqrt(w.ll)) == (w.ww == w.ll),
    lambda w: (w.A_w > sqrt(w.dd)) == (w.A_w >= 0 and w.A_w**2 > w.dd),
    lambda w: not w.A_w < 0 or w.A_w < sqrt(w.ww),
]
FALSE = [
    lambda w: w.A_y <= sqrt(w.yy) * sqrt(w.ww),
    lambda w: sqrt(w.ww) >= w.A_w,
    lambda w: sqrt(w.ww) > 0,
    lambda w: w.A_w <= sqrt(w.dd) * F(99, 100) or w.A_w <= 0,
    lambda w: -sqrt(w.ww) >= w.wl or w.wl >= 0,
    lambda w: sqrt(w.ww) * sqrt(w.ll) != w.wl,
    lambda w: sqrt(w.wl) >= 0,
    lambda w: sqrt(w.ww) == w.A_w,
]


@pytest.mark.parametrize("number", range(len(TRUE)))
def test_roots_are_compared_as_they_are(number: int) -> None:
    assert prove(TRUE[number], POLICY).verdict == "proved"


@pytest.mark.parametrize("number", range(len(FALSE)))
def test_a_false_comparison_of_roots_is_refuted(number: int) -> None:
    proof = prove(FALSE[number], POLICY)
    assert proof.verdict == "refuted"
    if proof.counterexample is not None:
        assert holds_at(FALSE[number], proof.counterexample) is False


def test_exact_worlds_agree() -> None:
    import random

    source = random.Random(5)
    for _ in range(100):
        w = draw_policy(source)
        assert all(holds_at(statement, w) in (True, None) for statement in TRUE)
