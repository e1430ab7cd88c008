import math
from fractions import Fraction as F

import numpy as np
import pytest

from theory.jian2025.envelope import FEATURES, SHARES, bound_after, curvature_on_the_segment, exactly
from theory.proof import Named


def gradient_and_curvature(phi):
    rows, shares = np.array(FEATURES, dtype=float), np.array([float(q) for q in SHARES])
    p = shares * np.exp(rows @ phi)
    p /= p.sum()
    centred = rows - p @ rows
    return (p - shares) @ rows, (p[:, None] * centred).T @ centred


def test_curvature_along_the_segment_in_float64():
    eigenvalues = [np.linalg.eigvalsh(gradient_and_curvature(np.full(2, -t))[1]) for t in np.linspace(0, 1, 101)]
    assert 0.158 < np.min(eigenvalues) < np.max(eigenvalues) < 4.7
    assert curvature_on_the_segment(0)
    assert not curvature_on_the_segment(0, least=5)


@pytest.mark.parametrize(("steps", "ratio"), [(1, 0.90), (20, 1.16), (40, 1.44)])
def test_inner_loop_leaves_the_bound_in_float64(steps, ratio):
    phi = np.full(2, -1.0)
    for _ in range(steps):
        phi = phi - gradient_and_curvature(phi)[0] / 5
    found = np.linalg.norm(phi) / (0.97**steps * math.sqrt(2))
    assert found == pytest.approx(ratio, abs=0.01)
    assert bound_after(Named(steps=steps)) == (found <= 1)


@pytest.mark.parametrize("rate", [F(1), F(2)])
def test_one_inner_step_in_float64(rate):
    def sigma(x):
        return 1 / (1 + math.exp(-x))

    moved = sigma(math.log(2)) - sigma(math.log(2) - rate * (2 / 3 - 1 / 2))
    assert moved == pytest.approx(2 / 3 - 1 / (1 + math.exp(rate / 6) / 2), abs=1e-15)
    assert abs(moved - rate / 27) < rate**2 / 100
    assert not exactly(Named(rate=rate))
