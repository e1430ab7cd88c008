import math
from fractions import Fraction as F

import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit

from theory.jian2025.penalty import eq_8_regularizer, in_an_inner_step
from theory.proof import Named


@pytest.mark.parametrize("penalty", [5.0, 50.0, 500.0])
def test_the_penalised_minimum_is_not_feasible_and_of_order_one_over_lambda(penalty):
    def loss(w):
        sft = -0.5 * (math.log(expit(w)) + math.log(expit(-w)))
        return float(-math.log(expit(0.5 * w)) + penalty * sft)

    found = minimize_scalar(loss, bounds=(0, 5), method="bounded", options={"xatol": 1e-12}).x
    assert 0 < expit(found) - 0.5 <= 0.5 / (2 * penalty)
    assert abs(found - 2 * 0.5 / penalty) < 2 / penalty**2


@pytest.mark.parametrize("gamma", [F(1, 2), F(7, 10), F(4, 5), F(2)])
def test_two_values_of_the_objectives_in_float64(gamma):
    even, ahead = (-math.log(p) + float(gamma) * (2 * p - 1) for p in (0.5, 0.8))
    assert eq_8_regularizer(Named(gamma=gamma)) == (ahead < even)


@pytest.mark.parametrize("rate", [1, 8, 12, 16])
def test_one_inner_step_in_float64(rate):
    def loss(phi):
        return math.log1p(math.exp(-phi)) + math.log1p(math.exp(phi))

    start = math.log(2)
    end = start - rate * (2 / 3 - 1 / 2)
    assert in_an_inner_step(Named(odds=F(2), rate=rate)) == (loss(start) >= loss(end))
