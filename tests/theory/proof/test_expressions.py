"""A derivative that SymPy takes counts where its function has a value, and for one formula only."""

from fractions import Fraction as F
from typing import Any

import pytest
import sympy as sp

from theory.proof import NotAStatement, checked, derivative, exp, holds_at, log, power, prove, same, world_of
from theory.proof.floating import run_and_find_floats
from theory.proof.lemmas import SYMPY, noting
from theory.proof.symbols import NoValue

REAL = world_of("x real", x="real")
POSITIVE = world_of("x > 0", x="positive")


def one(x):
    return x / x


def nothing(x):
    return 0 * x


def cancelled(x):
    return exp(log(x))


def inverse(x):
    return 1 / x


FORGOTTEN = [
    (log, inverse, lambda c, d: c.x == 0 or d(c.x) * c.x == 1),  # at x < 0
    (cancelled, lambda x: 1 + 0 * x, lambda c, d: d(c.x) == 1),  # at x <= 0
    (one, nothing, lambda c, d: d(c.x) == 0),  # at 0
    (lambda x: x**2 * (1 / x), lambda x: 1 + 0 * x, lambda c, d: d(c.x) == 1),  # at 0
    (lambda x: power(x, 2), lambda x: 2 * x, lambda c, d: d(c.x) == 2 * c.x),  # at x <= 0
]


@pytest.mark.parametrize(("function", "written", "holds"), FORGOTTEN)
def test_where_a_function_has_no_value_it_has_no_derivative(function, written, holds) -> None:
    slope = derivative(function, written)
    assert prove(lambda c: holds(c, slope), POSITIVE).verdict == "proved"
    assert prove(lambda c: holds(c, slope), REAL).verdict != "proved"
    assert prove(lambda c: holds(c, written), REAL).verdict == "proved"  # but for the function
    where = F(-1) if holds_at(lambda c: holds(c, slope), REAL.cases[0].rebuild({"x": F(-1)})) is False else F(0)
    with pytest.raises((NoValue, ZeroDivisionError)):
        slope(where)


def jumps(x):
    return 5 + x if x == 1 else x


def kink(x):
    return x * (x == 3) + x


def calls_one_that_jumps(x):
    return jumps(x) + 1


@pytest.mark.parametrize("function", [jumps, kink, calls_one_that_jumps, lambda x: next(k for k in (x,) if k != 1)])
def test_a_function_that_asks_a_question_is_no_formula(function) -> None:
    """SymPy's symbol is equal to no number, so that it would see only the side on which it is not."""
    with pytest.raises(NotAStatement, match="asks a question"):
        derivative(function, lambda x: 1 + 0 * x)


def caught(x):
    try:
        return 2 * x + 0 * len(x.free_symbols)
    except AttributeError:
        return 5 + 2 * x


ASKED = [  # each is 2 x for a symbol, and something else for some number
    lambda x: 2 * (x or 1),
    lambda x: 2 * x if x else 1,
    lambda x: 2 * x + 7 * (not x),
    lambda x: [2 * x, 7][not x],
    lambda x: {0: 5}.get(x, 2 * x),
    lambda x: 2 * x + 7 * [x].count(0),
    lambda x: 2 * x + 7 - 7 * (0, 1, x).index(x) / F(2),
    lambda x: len({x, 0}) * x,
    caught,
]


@pytest.mark.parametrize("function", ASKED)
def test_a_question_is_refused_in_whatever_way_it_is_asked(function) -> None:
    x = sp.Symbol("x", real=True)
    assert sp.nsimplify(function(x) - 2 * x) == 0
    with pytest.raises(NotAStatement, match="asks a question"):
        derivative(lambda x: x * x, function)


@pytest.mark.parametrize("function", [abs, lambda x: max(x, 0 * x), lambda x: x * F(1, 2) * 2 + 1])
def test_what_is_not_the_derivative_is_refused(function) -> None:
    with pytest.raises((NotAStatement, TypeError)):
        derivative(function, lambda x: 1 + F(1, 100) + 0 * x)


def test_it_is_by_the_first_number_and_can_be_taken_again() -> None:
    def curve(x, b):
        return exp(-b * x)

    def slope(x, b):
        return -b * exp(-b * x)

    once = derivative(curve, slope)
    twice = derivative(once, lambda x, b: b**2 * exp(-b * x))
    assert (once(F(0), F(3)), twice(F(0), F(3))) == (-3, 9)
    with pytest.raises(NotAStatement, match="SymPy does not prove"):
        derivative(curve, lambda x, b: -x * exp(-b * x))


def square(x: Any) -> Any:
    return x * x


def of_products(a: Any, b: Any) -> Any:
    return same(square(a * b), square(a) * square(b))


def of_sums(a: Any, b: Any) -> Any:
    return same(square(a + b), square(a) + square(b))


def of_anything_real(a: Any) -> Any:
    return same(sp.sqrt(square(a)), a)


def square_but_for_three(a: Any) -> Any:
    return a * a if a != 3 else 0


def of_products_but_for_three(a: Any, b: Any) -> Any:
    return same(square_but_for_three(a * b), square_but_for_three(a) * square_but_for_three(b))


def test_a_function_that_asks_a_question_is_not_checked() -> None:
    with pytest.raises(NotAStatement, match="asks a question"):
        checked(square_but_for_three, of_products_but_for_three)


def test_a_function_is_checked_by_what_is_true_of_it_only() -> None:
    assert checked(square, of_products) is square
    with pytest.raises(NotAStatement, match="does not prove of_sums"):
        checked(square, of_sums)


def test_an_identity_is_proved_for_the_symbols_that_are_named() -> None:
    assert checked(square, of_anything_real) is square  # of positive numbers
    with pytest.raises(NotAStatement):
        checked(square, of_anything_real, a="real")


def test_it_is_noted_each_time_and_its_proof_is_no_computation_in_floats() -> None:
    for _ in range(2):  # proved once, and remembered
        with noting() as noted:
            assert run_and_find_floats(lambda: checked(square, of_products)(F(1, 2)) == F(1, 4)) == (True, "")
        assert (SYMPY, None) in noted


def test_an_identity_that_does_not_call_the_function_checks_nothing() -> None:
    def square(x):
        return x * x

    def cube(x):
        return x**3

    def is_even(x):
        return same(square(x), square(-x))

    assert checked(square, is_even)(F(3)) == 9
    with pytest.raises(NotAStatement, match="is_even says nothing of cube"):
        checked(cube, is_even)
