import random
from dataclasses import replace
from fractions import Fraction as F
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from theory.ma2025.bandits import Bandit
from theory.ma2025.extrema import (
    BELLS,
    LATE_DROP,
    SECOND_HUMP,
    Hump,
    Landscape,
    discrete_extremes,
    gaussians,
    landscape,
    part_1,
    part_2,
    part_3,
)
from theory.ma2025.extrema_proof import Jet, bells, condition_48, fitness_on_grid
from toy_models.gaussian_preferences import GaussianWorld, fitness, printed_update

quickly = settings(derandomize=True, deadline=None, max_examples=50)
seeds = st.integers(0, 10**9).map(random.Random)


def derivative(function, y: np.ndarray, h: float = 1e-5) -> np.ndarray:
    return (function(y + h) - function(y - h)) / (2 * h)


@quickly
@given(seeds)
def test_slopes_are_derivatives(source: random.Random) -> None:
    case = landscape(source)
    y = np.array([source.uniform(-3, case.count + 2) for _ in range(5)])
    for curve in (case.policy, case.utility):
        np.testing.assert_allclose(derivative(curve.log, y), curve.log_slope(y), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(derivative(case.fitness, y), case.fitness_slope(y), rtol=1e-6, atol=1e-6)
    product = derivative(lambda x: case.fitness(x) * np.exp(case.policy.log(x) - case.policy.log(y)), y)
    np.testing.assert_allclose(product, case.product_slope(y), rtol=1e-5, atol=1e-5)


def test_slopes_of_a_curve_with_two_humps_are_derivatives() -> None:
    y = np.linspace(-2, 10, 30)
    curve = SECOND_HUMP.policy
    np.testing.assert_allclose(derivative(curve.log, y), curve.log_slope(y), rtol=1e-6, atol=1e-6)
    assert float(curve.log(np.array(0.0))) > float(curve.log(np.array(4.0)))  # its highest point is the first


@quickly
@given(seeds)
def test_a_hump_rises_to_its_mode_and_falls_after_it(source: random.Random) -> None:
    hump = landscape(source).policy
    assert isinstance(hump, Hump)
    away = np.linspace(0.01, 12, 200)
    assert (hump.log_slope(hump.mode - away) > 0).all()
    assert (hump.log_slope(hump.mode + away) < 0).all()


@quickly
@given(seeds)
def test_mirroring_turns_fitness_over_and_twice_is_nothing(source: random.Random) -> None:
    case = landscape(source)
    y = np.linspace(-2, case.count + 1, 11)
    np.testing.assert_allclose(case.mirrored().fitness(-y), -case.fitness(y), rtol=0, atol=1e-12)
    assert case.mirrored().mirrored() == case


@pytest.mark.parametrize("means", [(45, 55), (30, 70), (48, 52)])
def test_extremes_of_figure_1_lie_next_to_those_on_its_grid(means: tuple[int, int]) -> None:
    case = Landscape(Hump(means[0], 0.01), Hump(means[1], 0.01), 0, 100)
    world = GaussianWorld(*means)
    w = fitness(world.log_policy, world.log_utility)
    for curve, places in ((w, case.of_fitness), (printed_update(world.log_policy, w), case.of_product)):
        found = [int(curve.argmin()), int(curve.argmax())]
        assert len(places) == 2
        assert np.abs(places - found).max() < 1
    np.testing.assert_allclose(case.fitness(np.arange(100.0)), w, rtol=0, atol=1e-10)


def test_the_witness_is_a_maximum_below_zero_with_a_rising_product() -> None:
    (peak,) = (y for y in LATE_DROP.of_fitness if 1 < y < 3)
    assert peak == pytest.approx(1.8173630, abs=1e-6)
    assert float(LATE_DROP.fitness(np.array(peak))) == pytest.approx(-0.1093859, abs=1e-6)
    assert (LATE_DROP.product_slope(np.linspace(0, peak, 500)) > 0).all()


def test_the_three_statements_tell_good_cases_from_bad_ones() -> None:
    assert part_1(BELLS)
    assert part_2(BELLS)
    assert part_3(BELLS)
    assert not part_1(SECOND_HUMP)
    assert not part_2(LATE_DROP)
    assert not part_3(LATE_DROP.mirrored())
    assert part_3(LATE_DROP)


@quickly
@given(seeds)
def test_gaussians_meet_all_three_statements(source: random.Random) -> None:
    case = gaussians(source)
    assert len(case.of_fitness) >= 1
    assert part_1(case)
    assert part_2(case)
    assert part_3(case)


@quickly
@given(st.lists(st.fractions(-5, 5), min_size=3, max_size=8))
def test_discrete_extremes_are_where_differences_change_sign(values: list[F]) -> None:
    steps = [b - a for a, b in pairwise(values)]
    expected = [k + 1 for k in range(len(steps) - 1) if steps[k] * steps[k + 1] < 0]
    assert discrete_extremes(tuple(values)) == expected


@quickly
@given(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))
def test_bells_have_the_value_and_slope_of_autograd(y: int, policy_mode: int, utility_mode: int) -> None:
    at = bells(y, policy_mode, utility_mode, 6)
    grid = torch.arange(6, dtype=torch.float64)
    x = torch.tensor(float(y), dtype=torch.float64, requires_grad=True)
    others = grid[grid != y]
    ratios = [2 ** ((others - mode) ** 2 - (x - mode) ** 2) for mode in (utility_mode, policy_mode)]
    parts = [r / (r + 1) for r in ratios]
    w = (parts[0] - parts[1]).sum()
    (slope,) = torch.autograd.grad(w, x)
    assert float(at.fitness.value) == pytest.approx(w.item(), abs=1e-12)
    assert float(at.fitness.slope[0]) == pytest.approx(slope.item() / np.log(2), abs=1e-12)


@pytest.mark.parametrize("own", [False, True])
def test_the_two_false_steps_of_the_proof_do_not_hang_on_the_response_at_y_itself(own: bool) -> None:
    near, far = bells(1, 0, 1, 4, base=F(3, 2)), bells(3, 0, 3, 4)
    if own:
        near, far = (replace(case, others=(*case.others, (case.p, case.q))) for case in (near, far))
    assert near.fitness.value < 0
    assert condition_48(far) < 0


def test_fitness_on_a_grid_is_that_of_the_objective() -> None:
    p, q = (F(1, 2), F(1, 3), F(1, 6)), (F(1), F(4), F(2))
    assert fitness_on_grid(p, q) == Bandit(p, q).fitness


def test_condition_48_vanishes_where_the_product_is_stationary() -> None:
    flat = Jet(F(1), F(0), F(2), F(0), ((F(1), F(3)),))
    assert condition_48(flat) == 0 == flat.product.slope[0]
    tilted = Jet(F(1), F(1), F(2), F(0), ((F(1), F(3)),))
    assert condition_48(tilted) == tilted.product.slope[0] / tilted.p != 0
