"""Integrals hold the number, and boxes that are left over hold every place that is looked for."""

from fractions import Fraction as F

import pytest
from hypothesis import given, settings, strategies as st

from theory.proof import Ball, Undecided, exp, integral, leftovers, omega
from theory.proof.balls import midpoint

fractions = st.fractions(-3, 3, max_denominator=12)
SETTINGS = settings(derandomize=True, deadline=None, max_examples=20)


def holds(ball: Ball, number: F) -> bool:
    """Return whether a ball holds a number: neither end can be told from it."""
    difference = (ball - number).arb
    return bool(difference.contains(0))


@given(fractions, fractions, fractions, st.integers(1, 40))
@SETTINGS
def test_an_integral_holds_the_area_under_a_parabola(a: F, b: F, c: F, pieces: int) -> None:
    area = integral(lambda x: a * x * x + b * x + c, -1, 2, pieces)
    exact = 3 * a + F(3, 2) * b + 3 * c
    assert holds(area, exact)
    assert not holds(area + 100, exact)


def test_an_integral_over_a_pole_is_undecided() -> None:
    with pytest.raises(Undecided):
        integral(lambda x: 1 / x, -1, 1, 7)


def differs(left: Ball, right: F) -> bool:
    try:
        return left != right
    except Undecided:
        return False


@pytest.mark.parametrize("apart", [F(0), F(1, 3), F(-1), F(7, 5), F(3, 2), F(5, 2)])
def test_no_meeting_point_is_lost(apart: F) -> None:
    """The circle of radius 2 meets the line x - y = 2 apart where x = t + apart, y = t - apart, t^2 = 2 - apart^2."""
    boxes = leftovers(
        lambda x, y: differs(x * x + y * y, F(4)) or differs(x - y, 2 * apart), (-3, 3), (-3, 3), finest=10
    )
    t = float(2 - apart**2) ** 0.5 if apart**2 < 2 else None
    places = [] if t is None else [(sign * t + float(apart), sign * t - float(apart)) for sign in (1, -1)]
    found = [(midpoint(x), midpoint(y)) for x, y in boxes]
    assert bool(found) == bool(places)
    assert all(any(abs(x - a) + abs(y - b) < 0.1 for a, b in places) for x, y in found)
    assert all(any(abs(x - a) + abs(y - b) < 0.02 for x, y in found) for a, b in places)


def test_too_many_boxes_are_undecided() -> None:
    with pytest.raises(Undecided, match="boxes"):
        leftovers(lambda _: False, (0, 1), finest=30, most=1000)


@pytest.mark.parametrize("x", [F(-40), F(-1), F(0), F(1, 3), F(50)])
def test_omega_encloses_its_equation(x: F) -> None:
    w = omega(x)
    assert (w * exp(w) - exp(x)).arb.contains(0)
    assert w > 0
    assert w < omega(x + F(1, 100))
