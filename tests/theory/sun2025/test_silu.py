"""What a statement computes with, and the expressions that SymPy differentiates, are the same functions."""

from fractions import Fraction as F

import pytest
import sympy as sp
from hypothesis import given, settings, strategies as st

from theory.proof import Ball, log
from theory.proof.balls import midpoint
from theory.sun2025 import silu

numbers = st.fractions(-30, 30, max_denominator=1000)
SETTINGS = settings(derandomize=True, deadline=None, max_examples=40)


@given(numbers)
@SETTINGS
def test_balls_hold_the_values_of_the_expressions(x: F) -> None:
    at = sp.Rational(*x.as_integer_ratio())
    pairs = [(getattr(silu, name)(x), getattr(silu, name)(at)) for name in ("sigma", "softplus", "silu")]
    pairs.append((silu.silu_slope(x), sp.diff(silu.silu(silu.X), silu.X).subs(silu.X, at)))
    for ball, expression in pairs:
        assert midpoint(ball) == pytest.approx(float(sp.N(expression, 40)), rel=1e-14)


@given(numbers)
@SETTINGS
def test_relu_and_ln_2(x: F) -> None:
    assert silu.relu(x) == max(x, 0)
    assert abs(Ball.of(silu.ln_2(x)) - log(2)) < F(1, 10**30)
