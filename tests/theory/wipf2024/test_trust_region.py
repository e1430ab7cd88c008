"""Constrained optima computed in floats: the trust region and the bumps of Figure 1."""

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

from dynamics.errors import InvalidArgument
from tests.toy_models.searched_region import TrustRegion, backward_kl, forward_kl, pairwise
from theory.wipf2024 import modes

UNIFORM = np.full(3, 1 / 3)
targets = st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20)).map(
    lambda weights: tuple(w / sum(weights) for w in weights)
)


@given(targets, st.floats(0.001, 0.35), st.floats(0, 2 * np.pi))
def test_the_boundary_has_the_radius(target: tuple[float, float, float], radius: float, angle: float) -> None:
    assume(backward_kl(np.array(target), UNIFORM) > radius)
    policy = TrustRegion(target, radius).boundary(angle)
    assert policy.sum() == pytest.approx(1, abs=1e-12)
    assert policy.min() > 0
    assert backward_kl(policy, UNIFORM) == pytest.approx(radius, abs=1e-12)


@settings(max_examples=25)
@given(targets, st.floats(0.005, 0.2))
def test_the_optimum_of_rlhf_is_the_tempered_target(target: tuple[float, float, float], radius: float) -> None:
    assume(backward_kl(np.array(target), UNIFORM) > radius + 1e-3)
    region = TrustRegion(target, radius)
    assert np.abs(region.optimum(backward_kl) - region.tempered()).max() < 1e-6


@settings(max_examples=10)
@given(targets, st.floats(0.005, 0.2), st.floats(0, 2 * np.pi), st.floats(0, 1))
def test_no_policy_of_the_region_beats_the_optimum(
    target: tuple[float, float, float], radius: float, angle: float, share: float
) -> None:
    assume(backward_kl(np.array(target), UNIFORM) > radius + 1e-3)
    region = TrustRegion(target, radius)
    inside = share * region.boundary(angle) + (1 - share) * UNIFORM
    for loss in (backward_kl, forward_kl, pairwise):
        assert loss(inside, np.array(target)) >= loss(region.optimum(loss), np.array(target)) - 1e-10


def test_pairwise_is_least_at_the_target() -> None:
    target = np.array([0.6, 0.3, 0.1])
    at_target = pairwise(target, target)
    for shift in ([0.01, -0.01, 0], [0, 0.01, -0.01], [-0.01, 0, 0.01]):
        assert pairwise(target + np.array(shift), target) > at_target


@pytest.mark.parametrize(
    ("target", "radius", "name"),
    [((0.6, 0.3, 0.1), 0.5, "radius"), ((0.6, 0.3, 0.1), 0.0, "radius"), ((0.4, 0.3, 0.3), 0.1, "target")],
)
def test_bad_regions_are_refused(target: tuple[float, float, float], radius: float, name: str) -> None:
    with pytest.raises(InvalidArgument, match=name):
        TrustRegion(target, radius)


def test_the_expected_loss_on_a_grid_is_the_mean_over_pairs() -> None:
    rng = np.random.default_rng(0)
    log_pi, target = (np.log(rng.dirichlet(np.ones(4))) for _ in range(2))
    total = 0.0
    for i in range(4):
        for j in range(i):
            wins = 1 / (1 + np.exp(target[j] - target[i]))
            beats = 1 / (1 + np.exp(log_pi[j] - log_pi[i]))
            total -= wins * np.log(beats) + (1 - wins) * np.log(1 - beats)
    assert modes.expected_dpo(log_pi, target) == pytest.approx(total / 6, abs=1e-12)


def test_the_bumps_are_minima_and_the_target_is_better_without_constraint() -> None:
    optima = modes.constrained_optima()
    target = optima.target
    assert np.exp(target).sum() == pytest.approx(1, abs=1e-12)
    assert modes.expected_dpo(target, target) < modes.expected_dpo(optima.dpo, target)
    best = modes.expected_dpo(optima.dpo, target)
    for other in (optima.rlhf, optima.forward):
        assert modes.expected_dpo(other, target) > best
    pi = np.exp(optima.rlhf)
    backward = float(pi @ (optima.rlhf - target))
    for mean in np.linspace(-3, 3, 25):
        for deviation in np.geomspace(0.2, 3, 12):
            bump = modes.bump(mean, deviation)
            assert modes.expected_dpo(bump, target) >= best
            assert float(np.exp(bump) @ (bump - target)) >= backward
