"""Fast fractions are Python's fractions in all they do, whatever they meet."""

import copy
import math
import operator
import pickle
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from theory.proof.balls import Ball
from theory.proof.exact import Surd
from theory.proof.fast_fractions import FastFraction, fast, fraction
from theory.worlds import World

NUMBERS = st.one_of(
    st.fractions(),
    st.fractions(max_denominator=12),
    st.integers(-30, 30).map(Fraction),
    st.builds(Fraction, st.integers(-(10**40), 10**40), st.integers(1, 10**40)),
)
OTHERS = st.one_of(NUMBERS, NUMBERS.map(fast), st.integers(), st.booleans(), st.just(0))
BOTH = ("add", "sub", "mul", "truediv", "floordiv", "mod", "lt", "le", "gt", "ge", "eq", "ne")
ONE = (
    operator.neg,
    operator.pos,
    abs,
    bool,
    hash,
    str,
    repr,
    float,
    int,
    math.floor,
    math.ceil,
    round,
    copy.copy,
    copy.deepcopy,
)


def outcome(function: Any, *args: Any) -> Any:
    try:
        return function(*args)
    except ZeroDivisionError as problem:
        return str(problem)


@settings(max_examples=400, deadline=None)
@given(NUMBERS, OTHERS, st.sampled_from(BOTH))
def test_two_numbers_make_what_pythons_make(a: Fraction, b: Any, name: str) -> None:
    plain = Fraction(b) if type(b) is FastFraction else b
    for first, second, slow in ((fast(a), b, (a, plain)), (b, fast(a), (plain, a))):
        made, expected = (outcome(getattr(operator, name), *pair) for pair in ((first, second), slow))
        assert made == expected
        assert isinstance(made, type(expected))
        if isinstance(made, Fraction):
            assert math.gcd(made.numerator, made.denominator) == 1
            assert made.denominator > 0
            assert type(made) is FastFraction or name in ("floordiv", "mod") or type(b) is bool


@settings(max_examples=100, deadline=None)
@given(NUMBERS, st.integers(-6, 6))
def test_a_number_alone_is_pythons(a: Fraction, power: int) -> None:
    for function in ONE:
        assert function(fast(a)) == function(a)
    assert outcome(operator.pow, fast(a), power) == outcome(operator.pow, a, power)
    assert pickle.loads(pickle.dumps(fast(a))) == a
    assert (fast(a).numerator, fast(a).denominator) == (a.numerator, a.denominator)
    assert {fast(a)} == {a}


@given(st.integers(), st.integers())
def test_two_whole_numbers_make_a_fraction(above: int, below: int) -> None:
    assert outcome(fraction, above, below) == outcome(Fraction, above, below)


def test_other_numbers_answer_for_themselves() -> None:
    half, root = fraction(1, 2), Surd.sqrt(2)
    assert half + root == root + half == Surd({1: Fraction(1, 2), 2: Fraction(1)})
    assert isinstance(half * Ball.of(1), Ball)
    assert half + 0.25 == 0.75
    assert half**0.5 == 0.5**0.5
    with pytest.raises(TypeError):
        half + "1"
    assert (half == "1/2") is False


def test_exact_worlds_are_made_of_them_and_show_pythons() -> None:
    w = World.tabular([Fraction(1, 4), Fraction(3, 4)])
    assert {type(value) for value in (*w.p, w.ww, w.D_w, w.S2)} == {FastFraction}
    assert repr(w.wl) == "Fraction(-3, 8)"
