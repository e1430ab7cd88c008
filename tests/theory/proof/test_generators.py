"""Identities by polynomials: what is proved is true at random points; what only looks true is not proved."""

from typing import Any

import pytest
import sympy as sp
from hypothesis import given, settings, strategies as st

from theory.proof import generators
from theory.proof.generators import vanishes

X, Y = sp.symbols("x y", positive=True)
Z, U = sp.symbols("z u", real=True)
B, C = sp.symbols("b c")  # any complex numbers
N = sp.Symbol("n", integer=True)
F = sp.Function("f")
E, L, R = sp.exp, sp.log, sp.sqrt

TRUE = [
    1 / X + 1 / Y - (X + Y) / (X * Y),
    1 / (1 + E(-Z)) - E(Z) / (1 + E(Z)),
    L(1 + E(Z)) - Z - L(1 + E(-Z)),
    L(X * Y / 6) - L(X) - L(Y) + L(2) + L(3),
    L((1 + X) ** 3 / (Y + Y**2)) - 3 * L(1 + X) + L(Y) + L(1 + Y),
    X**Z * X - X ** (Z + 1),
    X**Z * Y**Z - (X * Y) ** Z,
    E(Z / 2) * E(Z / 3) - E(5 * Z / 6),
    E(Z * L(X)) - X**Z,
    E(-L(1 + X)) - 1 / (1 + X),
    R(X + Y) ** 3 / (X + Y) - R(X + Y),
    1 / (R(X) + R(Y)) - (R(X) - R(Y)) / (X - Y),
    R(8 * X**3) - 2 * X * R(2 * X),
    R(1 + 2 * E(Z) + E(2 * Z)) - 1 - E(Z),
    R(E(Z)) - E(Z / 2),
    R(Z**2 + 1) ** 2 - Z**2 - 1,
    B**N * B - B ** (N + 1),
    E(B + C) - E(B) * E(C),
    E(L(B)) - B,
    R(B) ** 2 - B,
    F(X) ** 2 - 1 - (F(X) - 1) * (F(X) + 1),
    sp.diff(F(X) * E(X), X) - E(X) * (F(X) + F(X).diff(X)),
]
DECEPTIVE = [
    R(Z**2) - Z,
    R(B**2) - B,
    R((Z - U) ** 2) - (Z - U),
    R(X**2 - 2 * X * Y + Y**2) - (X - Y),
    R(Z * U) - R(Z) * R(U),
    R(-Z) - sp.I * R(Z),
    L(Z**2) - 2 * L(Z),
    L(B * C) - L(B) - L(C),
    L(Z * U) - L(Z) - L(U),
    L(Z / U) - L(Z) + L(U),
    L((Z - 1) ** 2) - 2 * L(Z - 1),
    L(E(B)) - B,
    L(X - Y) - L(X) + L(Y),
    (B**2) ** Z - B ** (2 * Z),
    (B * C) ** Z - B**Z * C**Z,
    (Z**2) ** sp.Rational(1, 3) - Z ** sp.Rational(2, 3),
    E(Z * U) - E(Z) * E(U),
    E(X + Y) - E(X) - E(Y),
    X ** (Z * U) - X**Z * X**U,
    F(Z) - F(-Z),
    F(Z + U) - F(Z) - F(U),
    F(2 * Z) - 2 * F(Z),
    F(Z).diff(Z) - F(Z),
    (X - X * Y / Y) / ((X + 1) ** 2 - X**2 - 2 * X - 1),
    1 / ((X + 1) ** 2 - X**2 - 2 * X - 1) - 1 / ((X + 2) ** 2 - X**2 - 4 * X - 4),
    1 / (E(X + Y) - E(X) * E(Y)),
    1 / (R(X + Y) ** 2 - X - Y) - 1 / (R(X + Y) ** 2 - X - Y) ** 2,
    sp.Float(1) * X - X * sp.Float("1.0000001"),
    R(2) + R(3) - R(5),
    L(2) * L(3) - L(6),
    sp.Rational(1, 10**40) * X,
]


@pytest.mark.parametrize("difference", TRUE, ids=str)
def test_it_is_proved(difference: Any) -> None:
    assert vanishes(difference)
    assert not vanishes(difference + sp.Rational(1, 10**30))
    assert not vanishes(difference + X / 10**30)


@pytest.mark.parametrize("difference", DECEPTIVE, ids=str)
def test_it_is_not_proved(difference: Any) -> None:
    assert difference == 0 or not vanishes(difference)


@pytest.mark.parametrize(
    "value", [sp.oo, sp.zoo, sp.nan, sp.I * X, sp.oo * X, sp.Symbol("a", commutative=False)], ids=str
)
def test_what_is_no_number_is_left_to_sympy(value: Any) -> None:
    assert not vanishes(value)


def nested(inner: Any) -> Any:
    functions = (
        lambda e: 1 / (1 + e),
        E,
        L,
        R,
        lambda e: e**2,
        lambda e: e ** sp.Rational(2, 3),
        lambda e: L(e**2),
        lambda e: R(e**2),
        lambda e: E(-e / 2),
    )
    return st.one_of(
        st.tuples(inner, inner).map(lambda pair: pair[0] + pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] - pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] * pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] ** pair[1]),
        st.tuples(inner, st.sampled_from(functions)).map(lambda pair: pair[1](pair[0])),
    )


EXPRESSIONS = st.recursive(st.sampled_from([X, Y, Z, U, sp.Integer(2), sp.Rational(-1, 3)]), nested, max_leaves=5)
REWRITTEN = (
    sp.expand,
    sp.together,
    sp.powsimp,
    lambda e: sp.expand_log(e, force=True),  # false where an argument is not positive
    lambda e: sp.powdenest(e, force=True),
    lambda e: sp.logcombine(e, force=True),
    lambda e: e.subs(Z, -Z),
    sp.factor_terms,
)


@settings(max_examples=150, deadline=None)
@given(EXPRESSIONS, st.sampled_from(REWRITTEN))
def test_what_is_proved_is_true_at_every_point_with_a_value(expression: Any, rewrite: Any) -> None:
    if expression.has(sp.I, sp.zoo, sp.nan, sp.oo):
        return
    difference = expression - rewrite(expression)
    if not vanishes(difference):
        return
    for k in range(4):
        signs = [(-1) ** k, (-1) ** (k // 2)]
        values = {
            X: sp.Rational(2, 7 + k),
            Y: sp.Rational(5 + k, 3),
            Z: signs[0] * sp.Rational(3, 4),
            U: signs[1] * sp.Rational(7, 5),
        }
        number = sp.N(difference.subs(values), 40)
        assert number in (sp.nan, sp.zoo) or abs(number) < sp.Float("1e-30")


def test_an_expression_that_is_too_large_is_left_to_sympy(monkeypatch: pytest.MonkeyPatch) -> None:
    large = (X + Y + Z + U) ** 5 - sp.expand((X + Y + Z + U) ** 5)
    assert vanishes(large)
    monkeypatch.setattr(generators, "MOST_TERMS", 20)
    assert not vanishes(large)


def test_there_may_be_more_generators_than_variables_at_first() -> None:
    numbers = sp.symbols("a0:20", positive=True)
    left, right = sp.Mul(*numbers), sp.Add(*(L(a) for a in numbers))
    assert vanishes(L(left) - right)
    assert not vanishes(L(left) - right + L(numbers[3]) / 10**9)


def test_without_the_check_of_signs_false_identities_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list above would catch it."""
    monkeypatch.setattr(generators._Ring, "_is", lambda _, __, polynomial: polynomial.leading_coefficient() > 0)
    wrong = [difference for difference in DECEPTIVE if difference != 0 and vanishes(difference)]
    assert len(wrong) > 4


def test_points_of_the_deceptive_ones_are_not_zero() -> None:
    values = {X: sp.Rational(2, 7), Y: sp.Rational(5, 3), Z: sp.Rational(-3, 4), U: sp.Rational(-7, 5)}
    elementary = [d for d in DECEPTIVE if not d.has(F, sp.I, sp.Float, sp.nan, B, C) and d != 0]
    numbers = [sp.N(d.subs(values), 30) for d in elementary]
    assert sum(number.is_complex is True and bool(abs(number) > sp.Float("1e-15")) for number in numbers) > 12
