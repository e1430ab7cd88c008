"""A statement must be the same in symbols, fractions and intervals; where Python would let it differ, it is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction as F

import pytest

from tests.theory.proof import deceptive_reading
from tests.theory.proof.deceptive_reading import OPEN, REFUSED, any_natural
from theory.proof import LOG_LINEAR, POLICY, TABULAR, Family, Impure, NotAStatement, prove, search
from theory.proof.balls import Ball, constant, everywhere
from theory.proof.floating import run_and_find_floats
from theory.proof.induction import by_induction
from theory.proof.reading import floats, representation
from theory.proof.settings import setting


@pytest.mark.parametrize("over", [POLICY, TABULAR, LOG_LINEAR], ids=lambda family: family.name)
@pytest.mark.parametrize("predicate", REFUSED, ids=lambda f: f.__name__)
def test_what_reads_otherwise_in_symbols_is_an_error(predicate: Callable, over: Family) -> None:
    deceptive_reading.KEPT.clear()
    for _ in range(2):  # the second time too, when something was kept from the first
        with pytest.raises((NotAStatement, Impure, TypeError)):
            prove(predicate, over)


def test_a_step_in_symbols_has_no_inside_either() -> None:
    """``vars(world)`` would tell symbols from fractions."""
    with pytest.raises(TypeError):
        prove(lambda w: "p" not in vars(w.after(2)), LOG_LINEAR)


@pytest.mark.parametrize("number", range(len(OPEN)))
def test_a_false_statement_is_not_proved(number: int) -> None:
    predicate, over, given = OPEN[number]
    assert prove(predicate, over, given=given, witness=False).verdict != "proved"  # type: ignore[arg-type]


def test_a_named_helper_and_none_may_be_asked_for() -> None:
    assert representation(lambda w, least=None, of=max: (least is None) == (of is max)) == ""
    assert representation(lambda w: w.p_w is w.p_l) != ""


def test_floats_are_found_in_helpers_defaults_and_closures() -> None:
    half = math.exp

    def helper(x):
        return half(x) > 1

    assert "exp" in floats(lambda x: not helper(x))
    assert "exp" in floats(lambda x, f=helper: f(x))
    assert "0.5" in floats(lambda x: x > 0.5)
    assert floats(lambda x: x > F(1, 2) and math.comb(4, 2) == 6) == ""


def test_the_same_code_is_read_with_what_its_names_mean() -> None:
    """A code is taken apart once; two functions that share it may mean different things by a name."""

    def below(bound):
        return lambda x: x < bound(2)

    exact, floating = below(F), below(math.sqrt)
    assert exact.__code__ == floating.__code__
    assert floats(exact) == ""
    assert "math.sqrt" in floats(floating)
    assert floats(exact) == ""


def test_the_same_quotient_is_a_fraction_or_a_float() -> None:
    def half(x):
        def computed():
            y = x / 2
            return y > 0

        return computed

    assert run_and_find_floats(half(F(1))) == (True, "")
    assert "float" in run_and_find_floats(half(1))[1]
    assert run_and_find_floats(half(F(1))) == (True, "")


FLOATING = [lambda x: math.sin(100 * x) < F(999, 1000), lambda x: float(x) != 3, lambda x: x > 0.1]


@pytest.mark.parametrize("number", range(len(FLOATING)))
def test_an_interval_is_not_looked_at_by_its_midpoint(number: int) -> None:
    with pytest.raises((NotAStatement, TypeError)):
        everywhere(FLOATING[number], F(1, 3), 4)


def test_an_interval_has_no_float_even_where_the_code_is_not_seen() -> None:
    with pytest.raises(TypeError, match="interval"):
        float(Ball.between(0, 1))


def test_constants_are_not_compared_in_floating_point() -> None:
    with pytest.raises(NotAStatement, match=r"math\.log"):
        constant(lambda: math.log(2) < 1)
    with pytest.raises(NotAStatement, match=r"math\.log"):
        prove(lambda w: w.dd >= 0 and math.log(2) < 1, POLICY)


def test_no_fraction_refutes_a_statement_about_whole_numbers() -> None:
    def never_half(n):
        return 2 * n != 5

    assert search(never_half, any_natural).counterexample is None
    assert prove(never_half, any_natural, witness=False).verdict == "undecided"
    assert prove(lambda n: n != 5, any_natural, witness=False).verdict == "refuted"


def test_a_world_without_y_is_not_counted_as_proved() -> None:
    assert prove(lambda w: w.p_y < 1, POLICY).cases == ("n >= 4", "n = 3")
    assert prove(lambda w: w.p_w < 1, POLICY).cases == ("n = 2", "n >= 3")


def induction(after: Callable) -> list[str]:
    def below_one(state):
        return state[0] < 1

    return [proof.verdict for proof in by_induction(below_one, first, one_more, after=after)]


@setting("0 < q < 1")
def first(numbers):
    """One term."""
    return (numbers.between("q", 0, 1),)


@setting("a sum and one more term 0 < q < 1")
def one_more(numbers) -> tuple:
    """A sum and one more term."""
    return numbers.positive("sum"), numbers.between("q", 0, 1)


def test_a_step_that_adds_nothing_is_no_induction() -> None:
    with pytest.raises(NotAStatement, match="it must return the state with one more term"):
        induction(lambda state: state[:1])
    assert induction(lambda state: (state[0] + state[1],)) == ["proved", "refuted"]
