import random

import pytest
import sympy as sp
from scipy.optimize import minimize_scalar

from theory.jian2025.envelope import PHI, THETA, contraction, lower_level, slopes_at_minimisers


def test_lower_level_derivatives_by_finite_differences():
    source = random.Random(3)
    for _ in range(20):
        level = lower_level(source)
        theta, phi, h = source.uniform(-1, 1), source.uniform(-1, 1), 1e-5
        by_theta = (level.loss(theta + h, phi) - level.loss(theta - h, phi)) / (2 * h)
        by_phi = (level.loss(theta, phi + h) - level.loss(theta, phi - h)) / (2 * h)
        mixed = (level.slope_theta(theta, phi + h) - level.slope_theta(theta, phi - h)) / (2 * h)
        assert level.slope_theta(theta, phi) == pytest.approx(by_theta, abs=1e-8)
        assert level.slope_phi(theta, phi) == pytest.approx(by_phi, abs=1e-8)
        assert level.mixed(theta, phi) == pytest.approx(mixed, abs=1e-8)


def test_best_phi_against_a_minimiser():
    source = random.Random(4)
    for _ in range(20):
        level = lower_level(source)
        found = minimize_scalar(lambda phi, level=level: level.loss(0.3, phi), bracket=(-1, 1))
        assert level.best_phi(0.3) == pytest.approx(found.x, abs=1e-5)


def test_one_well_or_two():
    assert slopes_at_minimisers(-((PHI**2 - 1) ** 2) - THETA * PHI) == {sp.Rational(1, 2), -sp.Rational(1, 2)}
    assert slopes_at_minimisers(-((PHI - 2) ** 2) - THETA * PHI) == {sp.Integer(1)}


def test_contraction_is_false_for_a_rate_that_diverges():
    case = {"share": 0.5, "phi": 0.7, "K": 2, "rate": 2.0}
    assert contraction(case)
    assert not contraction({**case, "rate": 30.0}, factor=0.0)
