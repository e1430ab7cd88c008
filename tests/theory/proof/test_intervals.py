"""SymPy's expressions in intervals: they hold the values that SymPy finds, and there are none where it finds none."""

from typing import Any

import pytest
import sympy as sp
from hypothesis import given, settings, strategies as st

from theory.proof.intervals import Formula

X, Y = sp.symbols("x y", positive=True)
Z = sp.Symbol("z", real=True)
FUNCTIONS = (
    sp.exp,
    sp.log,
    sp.sqrt,
    sp.erf,
    sp.gamma,
    lambda e: 1 / e,
    lambda e: e**3,
    lambda e: e ** sp.Rational(-2, 3),
)
EXPRESSIONS = st.recursive(
    st.sampled_from([X, Y, Z, sp.Integer(2), sp.Rational(-2, 3), sp.pi, sp.E]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: pair[0] + pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] * pair[1]),
        st.tuples(inner, st.sampled_from([X, Z])).map(lambda pair: pair[0] ** pair[1]),
        st.tuples(inner, st.sampled_from(FUNCTIONS)).map(lambda pair: pair[1](pair[0])),
    ),
    max_leaves=4,
)
VALUES = {X: sp.Rational(2, 7), Y: sp.Rational(5, 3), Z: sp.Rational(-3, 4)}


@settings(max_examples=60, deadline=None)
@given(EXPRESSIONS)
def test_they_hold_what_sympy_finds(expression: Any) -> None:
    if expression.has(sp.I, sp.zoo, sp.nan, sp.oo):
        return
    ball = Formula(expression).at(VALUES)
    if ball is None:
        return
    number = sp.N(expression.subs(VALUES), 40)
    assert number.is_Float or number.is_Rational, "a real number was found where there is none"
    assert abs(sp.Float(ball.mid().str(45, radius=False), 40) - number) <= sp.Float("1e-35") * (1 + abs(number))


@pytest.mark.parametrize(
    "expression", [sp.log(Z), sp.sqrt(Z), 1 / (Z + sp.Rational(3, 4)), Z**X, sp.gamma(4 * Z)], ids=str
)
def test_where_there_is_no_real_number_there_is_no_ball(expression: Any) -> None:
    assert Formula(expression).at(VALUES) is None


@pytest.mark.parametrize("expression", [sp.Function("f")(X), sp.sin(X), sp.Max(X, Y), sp.I * X, sp.oo], ids=str)
def test_other_functions_are_left_to_sympy(expression: Any) -> None:
    with pytest.raises(NotImplementedError, match="no intervals for"):
        Formula(expression)
