"""What SymPy derives is computed with a statement's numbers; a function is checked only if SymPy proves it."""

from collections.abc import Callable
from fractions import Fraction as F
from typing import Any

import pytest
import sympy as sp
from hypothesis import given, settings, strategies as st

from theory.proof import NotAStatement, by_sympy, checked, derivative, exp, log, prove, same, value_of, world_of
from theory.proof.floating import run_and_find_floats
from theory.proof.lemmas import SYMPY, noting

X, Y = sp.symbols("x y", positive=True)
EXPRESSIONS = [X**3 - Y / 2, (X + Y) ** -2, X / (1 + X * Y), sp.sqrt(4 * X**2) - Y, sp.diff(X**4 * Y - 1 / X, X)]
POSITIVE = st.fractions(F(1, 9), 9, max_denominator=9)


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=str)
@given(x=POSITIVE, y=POSITIVE)
@settings(derandomize=True, deadline=None, max_examples=20)
def test_the_value_is_that_of_sympy(expression: sp.Expr, x: F, y: F) -> None:
    expected = expression.subs({X: sp.Rational(x.numerator, x.denominator), Y: sp.Rational(y.numerator, y.denominator)})
    assert value_of(expression, x=x, y=y) == F(int(expected.p), int(expected.q))


def test_the_solver_decides_the_sign_of_a_derivative() -> None:
    slope = sp.diff(sp.log(X) - X, X)
    world = world_of("x > 0", x="positive")
    assert prove(lambda c, at=1: (value_of(slope, x=c.x) > 0) == (c.x < at), world).verdict == "proved"
    assert prove(lambda c, at=2: (value_of(slope, x=c.x) > 0) == (c.x < at), world).verdict == "refuted"


@pytest.mark.parametrize("expression", [X + Y, sp.Float("0.5") * X, sp.sin(X), sp.Integral(X, X)], ids=str)
def test_what_has_no_value_is_refused(expression: sp.Expr) -> None:
    with pytest.raises(NotAStatement, match="has no value"):
        value_of(expression, x=F(1))


def square(x: Any) -> Any:
    return x * x


def e_to_minus(x: Any) -> Any:
    return exp(-x)


@pytest.mark.parametrize(
    ("function", "near", "right"),
    [
        (square, lambda x: F(21, 10) * x, lambda x: 2 * x),
        (e_to_minus, e_to_minus, lambda x: -e_to_minus(x)),
        (lambda x: log(1 + exp(x)), lambda x: 1 / (1 + exp(x)), lambda x: 1 / (1 + exp(-x))),
    ],
)
def test_only_the_derivative_is_the_derivative(
    function: Callable[[Any], Any], near: Callable[[Any], Any], right: Callable[[Any], Any]
) -> None:
    assert derivative(function, right) is right
    with pytest.raises(NotAStatement, match="SymPy does not prove"):
        derivative(function, near)


def test_an_equation_that_is_false_is_not_put_in_the_place_of_another() -> None:
    assert by_sympy((X + 1) ** 2, X**2 + 2 * X + 1) == X**2 + 2 * X + 1
    with pytest.raises(NotAStatement, match="does not prove"):
        by_sympy((X + 1) ** 2, X**2 + 2 * X + sp.Rational(11, 10))


def of_products(a: Any, b: Any) -> Any:
    return same(square(a * b), square(a) * square(b))


def of_sums(a: Any, b: Any) -> Any:
    return same(square(a + b), square(a) + square(b))


def of_anything_real(a: Any) -> Any:
    return same(sp.sqrt(square(a)), a)


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
