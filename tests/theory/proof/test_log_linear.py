"""What the prover is told of an exact step of a log-linear policy: true in exact worlds, and no more than true."""

import math
import random
from fractions import Fraction as F

import pytest

from theory.decision.decide import decide
from theory.proof import LOG_LINEAR, beside, prove, with_step
from theory.proof.families import draw_policy
from theory.proof.symbols import NotAStatement
from theory.worlds import World

STEP = with_step(LOG_LINEAR)
TWO_STEPS = beside(STEP, "a further step")(lambda numbers: 1 + numbers.positive("further"))


def each_response(w):
    return [w.chosen, w.rejected, w.y] if len(w.p) > 2 else [w.chosen, w.rejected]


def test_the_bounds_hold_in_exact_worlds() -> None:
    source = random.Random(1)
    for _ in range(200):
        w = draw_policy(source)
        factor = 1 + F(source.randint(1, 12), source.choice((1, 3, 10)))
        v, size = w.after(factor), math.log(factor)
        partition = math.fsum(float(p) * math.exp(size * float(w.drive(y))) for y, p in enumerate(w.p))
        shift = w.A_w - v.A_w
        moved = any(w.drive(y) for y in w.responses)
        assert all(w.drive(y) - v.drive(y) == shift for y in w.responses)
        assert partition >= 1 - 1e-12
        assert math.exp(size * float(shift)) >= partition * (1 - 1e-12)
        assert (shift > 0) == moved
        assert shift >= 0
        for y in each_response(w):
            growth = math.exp(size * float(w.drive(y)))
            assert float(v.p[y]) == pytest.approx(float(w.p[y]) * growth / partition, rel=1e-9)


def falls_on(case, flip=1):
    w, E = case
    return not flip * w.A_y <= 0 or flip * w.after(E).p_y <= flip * w.p_y


def no_way_back(case):
    (w, E), G = case
    v = w.after(E)
    return not v.p_w < w.p_w or v.after(G).p_w < v.p_w


@pytest.mark.parametrize(
    ("over", "true"),
    [
        (STEP, falls_on),
        (STEP, lambda case: case[0].after(case[1]).A_y <= case[0].A_y),
        (STEP, lambda case: case[0].after(case[1]).p_w * case[0].p_l >= case[0].p_w * case[0].after(case[1]).p_l),
        (STEP, lambda case: case[0].after(case[1]).dd == case[0].dd),
        (TWO_STEPS, no_way_back),
    ],
)
def test_what_is_true_of_every_step_is_proved(over, true) -> None:
    assert prove(true, over).verdict == "proved"


DECEPTIVE = {
    "a rise stays a rise": lambda case: falls_on(case, flip=-1),
    "the chosen response rises": lambda case: case[0].after(case[1]).p_w >= case[0].p_w,
    "something always moves": lambda case: case[0].after(case[1]).A_w < case[0].A_w,
    "its drive stays": lambda case: case[0].after(case[1]).A_w == case[0].A_w,
    "the others stay": lambda case: case[0].after(case[1]).p_y == case[0].p_y,
    "the pair keeps its mass": lambda case: (
        case[0].after(case[1]).p_w + case[0].after(case[1]).p_l == case[0].p_w + case[0].p_l
    ),
    "the margin grows by s": lambda case: (
        case[0].after(case[1]).p_w * case[0].p_l == case[1] * case[0].p_w * case[0].after(case[1]).p_l
    ),
    "likely responses gain": lambda case: case[0].p_y < F(1, 2) or case[0].after(case[1]).p_y >= case[0].p_y,
}


@pytest.mark.parametrize("name", list(DECEPTIVE))
def test_what_is_false_of_some_step_is_refuted(name: str) -> None:
    proof = prove(DECEPTIVE[name], STEP)
    assert proof.verdict == "refuted"
    assert isinstance(proof.counterexample[0], World)


def test_there_is_no_kernel_after_a_step() -> None:
    with pytest.raises(NotAStatement, match="no kernel"):
        prove(lambda case: case[0].after(case[1]).wl >= 0, STEP)


def test_a_step_back_has_no_value() -> None:
    assert prove(lambda case: case[0].after(1 / case[1]).p_w > 0, STEP).verdict != "proved"


@pytest.mark.parametrize(
    ("statement", "verdict"),
    [
        (lambda w: w.after(2).after(F(1, 2)).p_w == w.p_w, "proved"),
        (lambda w: w.after(2).after(3).after(F(1, 6)).A_w == w.A_w, "proved"),
        (lambda w: w.after(4).after(F(1, 2)).p_y == w.after(2).p_y, "proved"),
        (lambda w: w.after(1).p_w == w.p_w, "proved"),
        (lambda w: w.after(4).after(F(1, 2)).p_w == w.after(3).p_w, "refuted"),
        (lambda w: w.after(2).after(F(1, 3)).p_w == w.p_w, "refuted"),
        (lambda w: w.after(F(3, 2)).p_w == w.p_w, "refuted"),
    ],
)
def test_a_step_back_by_a_number_undoes_a_part_of_the_step_before(statement, verdict: str) -> None:
    found = decide(statement, LOG_LINEAR, worlds=30)
    assert found.verdict == verdict
    assert found.by == ("smt" if verdict == "proved" else "exact evaluation")
