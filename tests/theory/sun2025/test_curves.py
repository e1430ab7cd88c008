import random
from fractions import Fraction as F

import mpmath
import pytest
import sympy as sp
from hypothesis import given, settings, strategies as st
from scipy.special import expit

from theory.sun2025 import curves
from theory.sun2025.curves import M, X

numbers = st.fractions(-30, 30, max_denominator=1000)
SETTINGS = settings(derandomize=True, deadline=None, max_examples=60)


@given(numbers)
@SETTINGS
def test_expressions_and_forty_digits_agree(x: F) -> None:
    exact = sp.Rational(*x.as_integer_ratio())
    with mpmath.workdps(curves.DIGITS):
        value = curves.exact(x)
        seen = [curves.mp_sigma(value), curves.mp_softplus(value), curves.mp_silu(value)]
    for number, function in zip(seen, (curves.sigma, curves.softplus, curves.silu), strict=True):
        reference = mpmath.mpf(str(sp.N(function(exact), 45)))
        assert abs(number - reference) <= abs(reference) * mpmath.mpf(10) ** -14


@given(numbers)
@SETTINGS
def test_slope_of_silu_is_its_derivative(x: F) -> None:
    with mpmath.workdps(curves.DIGITS):
        value = curves.exact(x)
        assert abs(mpmath.diff(curves.mp_silu, value) - curves.mp_silu_slope(value)) < mpmath.mpf(10) ** -15


def test_float_formula_agrees() -> None:
    assert float(curves.mp_sigma(mpmath.mpf(2))) == pytest.approx(float(expit(2.0)))


def test_same_proves_and_refutes() -> None:
    assert curves.same(curves.silu(X) + curves.silu(-X), X * (curves.sigma(X) - curves.sigma(-X)))
    assert curves.same(curves.logistic_loss(M), curves.softplus(-M))
    assert not curves.same(curves.logistic_loss(M), curves.softplus(M))
    assert not curves.same(curves.silu(X), curves.softplus(X))
    assert not curves.same(curves.silu(X), curves.silu(X) + sp.Rational(1, 10**9))


def test_precise_sets_and_restores_the_digits() -> None:
    @curves.precise
    def third() -> object:
        return mpmath.mpf(1) / 3

    before = mpmath.mp.dps
    assert abs(third() * 3 - 1) < mpmath.mpf(10) ** -15
    with mpmath.workdps(60):
        assert mpmath.mpf(10) ** -45 < abs(third() * 3 - 1) < mpmath.mpf(10) ** -39
    assert mpmath.mp.dps == before


def test_sampler_draws_zero_small_and_large_numbers() -> None:
    source = random.Random(1)
    drawn = [curves.any_number(source) for _ in range(2000)]
    assert 0 in drawn
    assert max(map(abs, drawn)) <= 30
    assert sum(abs(x) < 1 for x in drawn) > 300
    assert sum(abs(x) > 10 for x in drawn) > 300
