"""Identities by SymPy: what is false is never proved, however close; what two ways find at a point agrees."""

from fractions import Fraction as F
from typing import Any

import flint
import pytest
import sympy as sp
from hypothesis import given, settings, strategies as st

from theory.proof import calculus
from theory.proof.calculus import prove_identity, same
from theory.proof.intervals import Formula

X, Y = sp.symbols("x y", positive=True)
PARTS = st.recursive(
    st.sampled_from([X, Y, sp.Integer(1), sp.Rational(2, 3)]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: pair[0] + pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] * pair[1]),
        inner.map(lambda e: 1 / (1 + e)),
        inner.map(sp.log),
        inner.map(lambda e: sp.exp(-e)),
    ),
    max_leaves=5,
)

TRUE: list[tuple[str, Any]] = [
    ("a fraction", lambda x, y: same(1 / x + 1 / y, (x + y) / (x * y))),
    ("a sigmoid", lambda x: same(1 / (1 + sp.exp(-x)), sp.exp(x) / (1 + sp.exp(x)))),
    ("a derivative", lambda x, y: same(sp.diff(x / (x + y), x), y / (x + y) ** 2)),
    ("logarithms", lambda x, y: same(sp.log(x * y), sp.log(x) + sp.log(y))),
    ("roots", lambda x, y: same(sp.sqrt(x * y) ** 2 / x, y)),
]
NEAR = sp.Rational(1, 10**30)
FALSE: list[tuple[str, Any]] = [
    ("a fraction", lambda x, y: same(1 / x + 1 / y, (x + y) / (x * y) + NEAR)),
    ("a sigmoid", lambda x: same(1 / (1 + sp.exp(-x)), (1 + NEAR) * sp.exp(x) / (1 + sp.exp(x)))),
    ("a derivative", lambda x, y: same(sp.diff(x / (x + y), x), y / (x + y + NEAR) ** 2)),
    ("logarithms", lambda x, y: same(sp.log(x * y), sp.log(x) + (1 + NEAR) * sp.log(y))),
    ("far", lambda x, y: same(x / y, y / x)),
]
NOWHERE: list[tuple[str, Any]] = [
    ("0 / 0", lambda x: same(x / ((x + 1) ** 2 - x**2 - 2 * x - 1), 2 * x / ((x + 1) ** 2 - x**2 - 2 * x - 1))),
    (
        "1 / 0 twice",
        lambda x: same(1 / ((x + 1) ** 2 - x**2 - 2 * x - 1), (x + 1) / x / (x**2 + 2 * x + 1 - (x + 1) ** 2)),
    ),
]


@pytest.mark.parametrize(("name", "statement"), TRUE, ids=[name for name, _ in TRUE])
def test_what_is_true_is_proved(name: str, statement: Any) -> None:
    assert prove_identity(statement).verdict == "proved", name


@pytest.mark.parametrize(("name", "statement"), FALSE + NOWHERE, ids=[name for name, _ in FALSE + NOWHERE])
def test_what_is_false_or_says_nothing_is_not_proved(name: str, statement: Any) -> None:
    assert prove_identity(statement).verdict != "proved", name


def test_intervals_that_are_always_content_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The points are tried to refute; what is proved rests on the algebra."""
    monkeypatch.setattr(Formula, "at", lambda *_: flint.arb(0))
    for name, statement in FALSE:
        assert prove_identity(statement).verdict == "undecided", name


@pytest.mark.parametrize(("name", "statement"), TRUE, ids=[name for name, _ in TRUE])
def test_without_the_polynomials_sympy_comes_to_the_same(name: str, statement: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(calculus, "vanishes", lambda _: False)
    assert prove_identity(statement).verdict == "proved", name


@settings(max_examples=25, deadline=None)
@given(PARTS, PARTS, st.integers(0, 5))
def test_the_intervals_of_a_point_agree_with_sympy(left: Any, right: Any, point: int) -> None:
    for difference in (left - right, sp.expand(left * right) - left * right):
        values = calculus._values(difference, point)
        fast, slow = (calculus._size(difference, values, form) for form in (calculus._formula(difference), None))
        assert (fast is None) == (slow is None)
        assert fast is None or abs(fast - slow) <= sp.Float(calculus.AGREE) + slow * sp.Float("1e-14")


@given(st.integers(1, 10**6))
@settings(max_examples=20, deadline=None)
def test_the_intervals_see_a_small_difference(n: int) -> None:
    difference = sp.log(X * Y) - sp.log(X) - sp.log(Y) + sp.Rational(F(1, n * 10**30))
    size = calculus._size(difference, calculus._values(difference, 0), Formula(difference))
    assert size > sp.Float(calculus.AGREE)
