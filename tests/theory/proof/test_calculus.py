"""Identities by SymPy: what is false is never proved, however close; what two ways find at a point agrees."""

from fractions import Fraction as F
from typing import Any

import flint
import pytest
import sympy as sp
from hypothesis import given, settings, strategies as st

from theory.proof import calculus, points
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


ZEROS: tuple[Any, ...] = (  # which are 0 for every x, as nobody sees at once
    lambda x: sp.log(3 * x) - sp.log(x) - sp.log(3),
    lambda x: sp.sqrt(x + 2 * sp.sqrt(x) + 1) - sp.sqrt(x) - 1,
    lambda x: sp.sin(x) ** 2 + sp.cos(x) ** 2 - 1,
    lambda x: sp.LambertW(x) * sp.exp(sp.LambertW(x)) - x,
    lambda x: (x + 1) ** 2 - x**2 - 2 * x - 1,
)
POLES: list[tuple[str, Any]] = [
    ("1 / 0", lambda zero: 1 / zero),
    ("log 0", sp.log),
    ("a power", lambda zero: zero ** sp.Rational(-1, 3)),
    ("gamma", sp.gamma),
    ("tangent", lambda zero: sp.tan(zero + sp.pi / 2)),
    ("1 / 0 below", lambda zero: 1 / (1 + 1 / zero)),
]
NO_VALUE = [(pole, ZEROS[0]) for _, pole in POLES] + [(POLES[0][1], zero) for zero in ZEROS[1:]]


def twice(pole: Any, kept: int = 1) -> Any:
    return lambda x, a: same((1 + a) * pole(x), pole(x) + kept * a * pole(x))


@pytest.mark.parametrize(("pole", "zero"), NO_VALUE, ids=[name for name, _ in POLES] + ["1 / 0"] * len(ZEROS[1:]))
def test_an_identity_that_has_no_value_is_not_decided(pole: Any, zero: Any) -> None:
    """Its parts that have no value cancel, so that it looks true, or like a large number, so that it looks false."""
    for kept in (1, 2):
        assert prove_identity(twice(lambda x: pole(zero(x)), kept)).verdict == "undecided"


@pytest.mark.parametrize(("name", "pole"), POLES, ids=[name for name, _ in POLES])
def test_the_same_is_proved_where_it_has_a_value(name: str, pole: Any) -> None:
    assert prove_identity(twice(lambda x: pole(ZEROS[0](x) + x))).verdict == "proved", name


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
        values = points.values_at(difference, point)
        assert values is not None
        fast, slow = (points.size_at(difference, values, form) for form in (points.formula_of(difference), None))
        assert (fast is None) == (slow is None)
        assert fast is None or abs(fast - slow) <= sp.Float(points.AGREE) + slow * sp.Float("1e-14")


@given(st.integers(1, 10**6))
@settings(max_examples=20, deadline=None)
def test_the_intervals_see_a_small_difference(n: int) -> None:
    difference = sp.log(X * Y) - sp.log(X) - sp.log(Y) + sp.Rational(F(1, n * 10**30))
    values = points.values_at(difference, 0)
    assert values is not None
    size = points.size_at(difference, values, Formula(difference))
    assert size > sp.Float(points.AGREE)
