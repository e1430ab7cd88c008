import math

import numpy as np
import pytest
import torch
from scipy.special import expit

from theory.sun2025.activations import distance, gelu


def test_gelu_is_torch_s_gelu() -> None:
    x = torch.linspace(-8, 8, 101, dtype=torch.float64)
    assert np.allclose(gelu(x.numpy()), torch.nn.functional.gelu(x).numpy(), rtol=1e-12, atol=1e-15)


def test_gelu_keeps_its_digits_far_below_zero() -> None:
    assert float(gelu(-10.0)) == pytest.approx(-10 * math.erfc(10 / math.sqrt(2)) / 2, rel=1e-14)


@pytest.mark.parametrize("scale", [1.0, 1.702, 1.773, 2.5])
def test_distance_bounds_a_finer_grid_and_is_attained(scale: float) -> None:
    grid = np.linspace(-9.0, 9.0, 360_001)
    gap = np.abs(gelu(grid) - grid * expit(scale * grid)).max()
    assert distance(scale) == pytest.approx(gap, rel=1e-6)
    assert distance(scale) >= gap - 1e-12
