from collections.abc import Callable
from fractions import Fraction as F
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from theory.ma2025.bandits import Bandit
from theory.ma2025.extrema import (
    AT_MODE,
    BELLS,
    LATE,
    LATE_DROP,
    SECOND_HUMP,
    WIDE,
    Curve,
    Landscape,
    bells_meet_the_statements,
    discrete_extremes,
    extremes_of_bells,
    theorem_3_on_a_grid,
)
from theory.ma2025.extrema_proof import FLAT, bells, fitness_on_grid, term
from theory.proof import Named
from theory.proof.balls import midpoint

quickly = settings(derandomize=True, deadline=None, max_examples=30)


def derivative(function: Callable[[F], Any], y: F, h: F = F(1, 10**6)) -> float:
    return midpoint((function(y + h) - function(y - h)) / (2 * h))


def log_of(curve: Curve, y: F) -> Any:
    return curve(y)[0]


@quickly
@given(st.sampled_from([LATE_DROP, SECOND_HUMP]), st.fractions(-3, 8, max_denominator=50))
def test_slopes_are_derivatives(case: Landscape, y: F) -> None:
    for curve in (case.policy, case.utility):
        assert derivative(partial(log_of, curve), y) == pytest.approx(midpoint(curve(y)[1]), abs=1e-6)
    assert derivative(case.fitness, y) == pytest.approx(midpoint(case.fitness_slope(y)), abs=1e-6)
    log_slope = midpoint(case.policy(y)[1])
    product = derivative(case.fitness, y) + log_slope * midpoint(case.fitness(y))
    assert midpoint(case.product_slope(y)) == pytest.approx(product, abs=1e-6)


def test_the_witness_is_a_maximum_below_zero_with_a_rising_product() -> None:
    at = F(18173630, 10**7)
    assert midpoint(LATE_DROP.fitness_slope(at)) == pytest.approx(0, abs=1e-6)
    assert midpoint(LATE_DROP.fitness(at)) == pytest.approx(-0.1093859, abs=1e-6)


@pytest.mark.parametrize("means", [(3.0, 5.5), (2.0, 9.0)])
def test_the_scan_finds_the_extremes_of_an_independent_computation(means: tuple[float, float]) -> None:
    modes, curvatures, count = np.array(means), np.array([0.2, 0.3]), 12
    y = torch.linspace(-6, count + 5, 4001, dtype=torch.float64, requires_grad=True)
    grid = torch.arange(count, dtype=torch.float64)
    logs = [-a * (x[:, None] - m) ** 2 / 2 for x in (y, grid) for m, a in zip(modes, curvatures, strict=True)]
    p, q, p_j, q_j = logs[0], logs[1], logs[2].T, logs[3].T
    w = (torch.sigmoid(q - q_j) - torch.sigmoid(p - p_j)).sum(1)
    product = w * torch.exp(p[:, 0] - p[:, 0].max())
    for values, found in zip((w, product), extremes_of_bells(modes, curvatures, count), strict=True):
        (slope,) = torch.autograd.grad(values.sum(), y, retain_graph=True)
        change = np.nonzero(np.diff(np.sign(slope.numpy())))[0]
        assert found == pytest.approx(y.detach().numpy()[change], abs=0.02)


def test_the_scan_tells_a_wrong_statement() -> None:
    assert bells_meet_the_statements(cases=20)
    assert not bells_meet_the_statements(nearer=True, cases=20)


@quickly
@given(st.lists(st.fractions(-5, 5), min_size=3, max_size=8))
def test_discrete_extremes_are_where_differences_change_sign(values: list[F]) -> None:
    steps = [b - a for a, b in pairwise(values)]
    expected = [k + 1 for k in range(len(steps) - 1) if steps[k] * steps[k + 1] < 0]
    assert discrete_extremes(tuple(values)) == expected


def test_the_grids_are_log_concave_with_modes_at_responses() -> None:
    for grid in (WIDE, AT_MODE, LATE, BELLS):
        for log in (grid.log_p, grid.log_q):
            falls = [a - b for a, b in pairwise(log)]
            assert falls == sorted(set(falls))
    assert all(theorem_3_on_a_grid(WIDE, part) for part in range(3))


@quickly
@given(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))
def test_bells_have_the_value_and_slope_of_autograd(y: int, policy_mode: int, utility_mode: int) -> None:
    at = bells(y, policy_mode, utility_mode, 6)
    grid = torch.arange(6, dtype=torch.float64)
    x = torch.tensor(midpoint(y), dtype=torch.float64, requires_grad=True)
    others = grid[grid != y]
    ratios = [2 ** ((others - mode) ** 2 - (x - mode) ** 2) for mode in (utility_mode, policy_mode)]
    parts = [r / (r + 1) for r in ratios]
    w = (parts[0] - parts[1]).sum()
    (slope,) = torch.autograd.grad(w, x)
    assert midpoint(at.w) == pytest.approx(w.item(), abs=1e-12)
    assert midpoint(at.slope) == pytest.approx(slope.item() / np.log(2), abs=1e-12)


@pytest.mark.parametrize("own", [False, True])
def test_the_two_false_steps_of_the_proof_do_not_hang_on_the_response_at_y_itself(own: bool) -> None:
    near, far = bells(1, 0, 1, 4, base=F(3, 2)), bells(3, 0, 3, 4)
    extra = [term(case.fixed, case.fixed.p, case.fixed.q) if own else Named(w=0, of_48=0) for case in (near, far)]
    assert near.w + extra[0].w < 0
    assert far.of_48 + extra[1].of_48 < 0


def test_fitness_on_a_grid_is_that_of_the_objective() -> None:
    p, q = (F(1, 2), F(1, 3), F(1, 6)), (F(1), F(4), F(2))
    assert fitness_on_grid(p, q) == Bandit(p, q).fitness


def test_where_both_curves_are_flat_everything_vanishes() -> None:
    assert FLAT.of_48 == FLAT.of_46 == FLAT.slope == 0 != FLAT.w
