"""The normal distribution in balls, beside scipy's and beside its own derivative."""

from fractions import Fraction as F

import pytest
from scipy.stats import norm

from theory.proof import Ball, normal_cdf, normal_density
from theory.proof.balls import midpoint


@pytest.mark.parametrize("x", [F(-6), F(-1, 3), F(0), F(7, 5), F(5)])
def test_values_are_those_of_scipy(x: F) -> None:
    assert midpoint(normal_cdf(x)) == pytest.approx(norm.cdf(float(x)), rel=1e-13)
    assert midpoint(normal_density(x)) == pytest.approx(norm.pdf(float(x)), rel=1e-13)
    step = F(1, 10**9)
    slope = (normal_cdf(x + step) - normal_cdf(x - step)) / (2 * step)
    assert abs(slope - normal_density(x)) < F(1, 10**15)


def test_a_ball_of_arguments_holds_the_values_of_all_of_them() -> None:
    wide = normal_cdf(Ball.between(-1, 1))
    for k in range(-4, 5):
        assert wide.arb.contains(normal_cdf(F(k, 4)).arb)
