import math
from fractions import Fraction as F

import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit

from theory.jian2025.penalty import descent, excess_loss, penalised_minimum


@pytest.mark.parametrize("penalty", [1.0, 5.0, 50.0])
def test_penalised_minimum_against_a_minimiser(penalty):
    def loss(w):
        sft = -0.5 * (math.log(expit(w)) + math.log(expit(-w)))
        return float(-math.log(expit(0.5 * w)) + penalty * sft)

    found = minimize_scalar(loss, bounds=(0, 5), method="bounded", options={"xatol": 1e-10})
    assert penalised_minimum(penalty) == pytest.approx(found.x, abs=1e-6)


def test_excess_loss_is_a_divergence():
    half, third = (F(1, 2), F(1, 2)), (F(1, 3), F(2, 3))
    assert excess_loss({"q": half, "p": half}) == 0
    assert float(excess_loss({"q": half, "p": third})) == pytest.approx(0.0588915, abs=1e-7)


def test_descent_counts_from_the_start():
    start = {"q": F(1, 2), "phi": F(0), "K": 3, "rate": F(1)}
    assert descent(start) == 0  # already at the minimiser
    assert descent({**start, "phi": F(1)}) > 0
