import random
from fractions import Fraction as F

import pytest
import sympy as sp
from hypothesis import given, settings, strategies as st
from mpmath import mp

from theory.feng2024.ratios import BETA, D1, D2, PLANE, X1, X2, Point, anywhere
from theory.proof import prove

rationals = st.fractions(F(1, 12), F(12), max_denominator=12)
points = st.builds(Point, rationals, rationals, st.integers(1, 8), st.integers(1, 4))
SETTINGS = settings(derandomize=True, deadline=None, max_examples=60)


def loss(x1: object, x2: object, point: Point) -> object:
    beta = mp.mpf(point.power) / point.root
    return -mp.log(x1**beta / (x1**beta + x2**beta))


@given(points)
@SETTINGS
def test_exact_slopes_are_the_derivatives_of_the_loss(point: Point) -> None:
    with mp.workdps(40):
        x1, x2 = (mp.mpf(x.numerator) / x.denominator for x in (point.x1, point.x2))
        first, second = mp.diff(lambda x: loss(x, x2, point), x1), mp.diff(lambda x: loss(x1, x, point), x2)
    assert float(first) == pytest.approx(float(point.d1), rel=1e-12)
    assert float(second) == pytest.approx(float(point.d2), rel=1e-12)


@given(points)
@SETTINGS
def test_the_preference_is_e_to_the_minus_loss(point: Point) -> None:
    with mp.workdps(40):
        value = loss(*(mp.mpf(x.numerator) / x.denominator for x in (point.x1, point.x2)), point)
        assert float(mp.exp(-value)) == pytest.approx(float(point.preference), rel=1e-14)


@given(points)
@SETTINGS
def test_the_expressions_take_the_exact_values(point: Point) -> None:
    at = {X1: sp.Rational(*point.x1.as_integer_ratio()), X2: sp.Rational(*point.x2.as_integer_ratio())}
    for expression, value in ((D1, point.d1), (D2, point.d2)):
        seen = expression.subs({**at, BETA: sp.Rational(point.power, point.root)})
        assert sp.simplify(seen - sp.Rational(*value.as_integer_ratio())) == 0


def test_beta_one_by_hand() -> None:
    point = Point(F(1), F(3))  # x2 / (x1 (x1 + x2)) and 1 / (x1 + x2)
    assert (point.d1, point.d2) == (F(-3, 4), F(1, 4))
    assert point.squared_speed == F(10, 16)


def test_samplers_cover_both_sides_and_every_kind_of_beta() -> None:
    source = random.Random(0)
    drawn = [anywhere(source) for _ in range(300)]
    assert {p.x1 > p.x2 for p in drawn} == {True, False}
    assert {p.beta < 1 for p in drawn} == {True, False}
    assert any(p.beta == 1 for p in drawn)


def test_the_plane_knows_of_powers_what_a_point_has_exactly() -> None:
    assert prove(lambda p: (p.a < p.b) == (p.x1 < p.x2), PLANE).verdict == "proved"
    assert prove(lambda p: p.a < p.x1 or p.x1 < 1, PLANE).verdict == "refuted"  # 1^beta = 1, and beta may exceed 1
    assert prove(lambda p: p.a <= p.x1 or p.x1 <= 1 or p.beta > 1, PLANE).verdict == "proved"


def test_long_fractions_are_shown_as_decimals() -> None:
    text = str(Point(F(1), F(1, 10**30)))
    assert "x2 = about 1e-30" in text
    assert "x1 = 1," in text
