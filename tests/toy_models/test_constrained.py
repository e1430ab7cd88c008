"""The constrained worlds against the ledger's own computations, against search, and by their defining properties."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logit

from dynamics import InvalidArgument
from tests.toy_models import searched_region
from theory.wipf2024 import modes as theory_modes
from theory.wipf2024.constraints import tied_prompts as exact_tied_prompts, tied_responses as exact_tied_responses
from toy_models.constrained import (
    TiedPrompts,
    TwoResponses,
    dpo,
    forward_kl,
    moments,
    rlhf,
    tied_prompts,
    tied_responses,
    trust_region,
    two_modes,
    two_responses,
)
from toy_models.constrained.objectives import DPO, FORWARD, RLHF, Smooth

NAMES = ("rlhf", "dpo", "forward")
LOSSES = {"rlhf": rlhf, "dpo": dpo, "forward": forward_kl}
share = st.floats(0.02, 0.98)


def draw_policy(seed: int, responses: int = 5) -> np.ndarray:
    return log_softmax(np.random.default_rng(seed).normal(size=responses))


# --- objectives -------------------------------------------------------------------------------------------------------


def slow_dpo(log_pi: np.ndarray, log_target: np.ndarray) -> float:
    """Pair by pair, from odds."""
    p, q = np.exp(log_pi), np.exp(log_target)
    pairs = [(i, j) for i in range(len(p)) for j in range(i)]
    terms = [
        -(q[i] / (q[i] + q[j])) * np.log(p[i] / (p[i] + p[j])) - (q[j] / (q[i] + q[j])) * np.log(p[j] / (p[i] + p[j]))
        for i, j in pairs
    ]
    return float(np.mean(terms))


@given(st.integers(0, 10**6))
def test_dpo_is_the_mean_over_pairs(seed: int) -> None:
    log_pi, target = draw_policy(seed), draw_policy(seed + 1)
    assert dpo(log_pi, target) == pytest.approx(slow_dpo(log_pi, target), rel=1e-12)


@given(share, share)
def test_with_two_responses_dpo_is_the_forward_divergence_and_a_constant(p: float, q: float) -> None:
    log_pi, target = np.log([p, 1 - p]), np.log([q, 1 - q])
    assert dpo(log_pi, target) - dpo(target, target) == pytest.approx(forward_kl(log_pi, target), abs=1e-12)


def test_with_three_it_is_not() -> None:
    log_pi, target = draw_policy(0, 3), draw_policy(1, 3)
    assert abs(dpo(log_pi, target) - dpo(target, target) - forward_kl(log_pi, target)) > 1e-2


@pytest.mark.parametrize("objective", [RLHF, DPO, FORWARD])
@given(st.integers(0, 10**6))
def test_gradient_and_hessian_are_the_derivatives_in_the_logits(objective: Smooth, seed: int) -> None:
    logits, target = draw_policy(seed), draw_policy(seed + 1)

    def at(shift: np.ndarray) -> np.ndarray:
        return log_softmax(logits + shift)

    step = 1e-5 * np.eye(len(logits))
    gradient = [(objective.value(at(e), target) - objective.value(at(-e), target)) / 2e-5 for e in step]
    hessian = [(objective.gradient(at(e), target) - objective.gradient(at(-e), target)) / 2e-5 for e in step]
    assert np.abs(gradient - objective.gradient(at(0 * logits), target)).max() < 1e-8
    assert np.abs(np.array(hessian) - objective.hessian(at(0 * logits), target)).max() < 1e-8
    assert abs(objective.gradient(at(0 * logits), target).sum()) < 1e-12


# --- two modes --------------------------------------------------------------------------------------------------------


def test_figure_1_agrees_with_the_ledgers_search() -> None:
    ours, searched = two_modes(), theory_modes.constrained_optima()
    assert np.array_equal(ours.responses, theory_modes.GRID)
    for name in ("target", *NAMES):
        assert np.abs(np.exp(getattr(ours, name)) - np.exp(getattr(searched, name))).max() < 1e-7, name
    printed = {"rlhf": (1.597, 0.505), "dpo": (0.135, 1.472), "forward": (0.480, 1.606)}
    for name, expected in printed.items():
        assert moments(ours.responses, getattr(ours, name)) == pytest.approx(expected, abs=6e-4)


WORLDS = st.tuples(st.floats(0.05, 0.95), st.floats(0.0, 3.0), st.floats(0.3, 2.0))


@settings(max_examples=25, deadline=None)
@given(WORLDS)
def test_without_a_constraint_both_choose_the_target(world: tuple[float, float, float]) -> None:
    made = two_modes(*world)
    for found in (made.free_rlhf, made.free_dpo):
        assert np.abs(np.exp(found) - np.exp(made.target)).max() < 1e-9


def quadratic(world: tuple[float, float, float], name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the grid, what a bump adds to a flat policy, and the coefficients of its x and x^2."""
    made = two_modes(*world)
    x, log_pi = made.responses, getattr(made, name)
    return x, log_pi, np.polynomial.polynomial.polyfit(x, log_pi, 2)[1:]


@settings(max_examples=25, deadline=None)
@given(WORLDS, st.sampled_from(NAMES), st.tuples(st.floats(-1, 1), st.floats(-1, 1)), st.floats(-4, 0))
def test_no_bump_near_or_far_is_better(
    world: tuple[float, float, float], name: str, direction: tuple[float, float], log_size: float
) -> None:
    made = two_modes(*world)
    x, log_pi, (a, b) = quadratic(world, name)
    assert np.abs(log_pi - log_softmax(a * x + b * x**2)).max() < 1e-8
    assert b <= 1e-9
    size = 10.0**log_size
    other = log_softmax((a + size * direction[0]) * x + min(b + size * direction[1], 0.0) * x**2)
    loss = LOSSES[name]
    assert loss(log_pi, made.target) <= loss(other, made.target) + 1e-12


@settings(max_examples=25, deadline=None)
@given(WORLDS)
def test_the_forward_divergence_keeps_the_moments_it_can(world: tuple[float, float, float]) -> None:
    made = two_modes(*world)
    bend = np.diff(made.forward, 2)[40]
    mean, deviation = moments(made.responses, made.target)
    own_mean, own_deviation = moments(made.responses, made.forward)
    assert own_mean == pytest.approx(mean, abs=1e-7)
    if bend < -1e-9:
        assert own_deviation == pytest.approx(deviation, abs=1e-7)
    else:  # no bump is as wide as the target: the flat one is the edge of the family
        assert own_deviation <= deviation + 1e-7


def test_a_target_wider_than_any_bump_has_its_choice_on_the_edge() -> None:
    made = two_modes(0.5, 3.0, 0.3)
    assert np.abs(np.exp(made.forward) - 1 / 81).max() < 1e-9
    assert np.abs(np.exp(made.dpo) - 1 / 81).max() < 1e-9
    assert abs(moments(made.responses, made.rlhf)[0]) > 2.9  # RLHF still follows a mode


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weight", 0.0),
        ("weight", 1.0),
        ("distance", -0.1),
        ("distance", 3.1),
        ("deviation", 0.29),
        ("deviation", 2.1),
        *((name, float("nan")) for name in ("weight", "distance", "deviation")),
    ],
)
def test_two_modes_names_what_it_refuses(name: str, value: float) -> None:
    with pytest.raises(InvalidArgument, match=name):
        two_modes(**{name: value})


# --- two responses ----------------------------------------------------------------------------------------------------

gaps, references, betas = st.floats(-30, 30), st.floats(0.01, 0.99), st.floats(0.05, 5)


@given(gaps, references, betas, share, share)
def test_two_responses_and_an_interval_leave_one_choice(
    gap: float, reference: float, beta: float, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    world = two_responses(gap, reference, beta, low, high, points=1)
    clipped = float(np.clip(world.free_optimum, low, high))
    assert world.rlhf_optimum == pytest.approx(clipped, abs=1e-12)
    assert world.dpo_optimum == pytest.approx(clipped, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.floats(-3, 3), st.floats(0.1, 0.9), st.floats(0.3, 3))
def test_the_curves_are_the_losses_and_turn_at_the_choice(gap: float, reference: float, beta: float) -> None:
    world = two_responses(gap, reference, beta, 0.001, 0.999, points=999)
    p = world.probability
    q = expit(gap)
    expected = -q * np.log(expit(beta * np.log(p * (1 - reference) / ((1 - p) * reference))))
    expected -= (1 - q) * np.log(expit(-beta * np.log(p * (1 - reference) / ((1 - p) * reference))))
    assert np.abs(world.dpo - expected).max() < 1e-10
    kl = p * np.log(p / reference) + (1 - p) * np.log((1 - p) / (1 - reference))
    assert np.abs(world.rlhf - (beta * kl - p * gap)).max() < 1e-10
    for loss, least in ((world.rlhf, world.rlhf_optimum), (world.dpo, world.dpo_optimum)):
        assert abs(p[loss.argmin()] - least) <= p[1] - p[0]


def test_two_responses_as_a_trust_region() -> None:
    """A ball around the reference is an interval when there are two responses: RLHF and DPO agree in it."""

    def excess(p: float) -> float:
        return p * np.log(2 * p) + (1 - p) * np.log(2 * (1 - p)) - 0.05

    grid = np.linspace(0.001, 0.999, 99999)
    inside = grid[excess(grid) <= 0]
    world = two_responses(1.0, 0.5, 1.0, float(inside[0]), float(inside[-1]))
    assert world.free_optimum > inside[-1]
    assert world.rlhf_optimum == world.dpo_optimum == inside[-1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reward_gap", 31.0),
        ("reward_gap", float("nan")),
        ("reference", 0.0),
        ("beta", 0.0),
        ("low", 0.0),
        ("high", 1.0),
        ("high", 0.05),
        ("points", 0),
    ],
)
def test_two_responses_names_what_it_refuses(name: str, value: float) -> None:
    with pytest.raises(InvalidArgument, match=name):
        two_responses(**{name: value})


# --- ties -------------------------------------------------------------------------------------------------------------


def test_tied_prompts_in_exact_numbers() -> None:
    world = tied_prompts(0.5, 0.9)
    assert world.rlhf_optimum == pytest.approx(0.75, abs=1e-15)
    assert world.dpo_optimum == pytest.approx(0.7, abs=1e-15)
    for loss, curve in (("rlhf", world.rlhf), ("dpo", world.dpo)):
        start = 99
        for k in (20, 150):
            difference = exact_tied_prompts(loss, F(k + 1, 200)) - exact_tied_prompts(loss, F(start + 1, 200))
            assert curve[k] - curve[start] == pytest.approx(float(difference), abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(share, share, st.floats(0.05, 0.95))
def test_tied_prompts_are_least_where_they_say(first: float, second: float, weight: float) -> None:
    world = tied_prompts(first, second, weight, points=1)

    def loss(name: str) -> Callable[[float], float]:
        def of(p: float) -> float:
            log_pi = np.log([p, 1 - p])
            shares = ((weight, first), (1 - weight, second))
            return sum(w * LOSSES[name](log_pi, np.log([q, 1 - q])) for w, q in shares)

        return of

    for name, claimed in (("rlhf", world.rlhf_optimum), ("dpo", world.dpo_optimum)):
        found = minimize_scalar(loss(name), bounds=(1e-4, 1 - 1e-4), method="bounded", options={"xatol": 1e-10})
        assert claimed == pytest.approx(found.x, abs=1e-6)


@given(share, share)
def test_tied_prompts_agree_only_where_the_two_means_do(first: float, second: float) -> None:
    world = tied_prompts(first, second, points=1)
    apart = abs(world.rlhf_optimum - world.dpo_optimum)
    if abs(first - second) < 1e-12 or abs(first + second - 1) < 1e-12:
        assert apart < 1e-12
    elif abs(first - second) > 0.05 and abs(first + second - 1) > 0.05:
        assert apart > 1e-6
    # the mean of the logits is the more extreme of the two
    assert abs(logit(world.rlhf_optimum)) >= abs(logit(world.dpo_optimum)) - 1e-9


def test_tied_responses_in_exact_numbers() -> None:
    world = tied_responses(1 / 11, 9 / 11)
    found = (world.rlhf_optimum, world.dpo_optimum, world.forward_optimum)
    assert found == pytest.approx((3 / 7, 7 / 17, 5 / 11), abs=1e-15)
    for name, s in zip(NAMES, found, strict=True):
        exact = F(s).limit_denominator(100)
        assert all(
            exact_tied_responses(name, exact) < exact_tied_responses(name, exact + shift)
            for shift in (F(-1, 1000), F(1, 1000))
        )


@settings(max_examples=25, deadline=None)
@given(st.floats(0.05, 0.45), st.floats(0.05, 0.45))
def test_tied_responses_are_least_where_they_say(first: float, second: float) -> None:
    target = np.log([first, second, 1 - first - second])
    world = tied_responses(first, second)
    for name, claimed in zip(NAMES, dataclasses.astuple(world), strict=True):

        def loss(s: float, name: str = name) -> float:
            policy = np.log([s, s, 1 - 2 * s])
            return LOSSES[name](policy, target)

        found = minimize_scalar(loss, bounds=(1e-4, 0.5 - 1e-4), method="bounded", options={"xatol": 1e-10})
        assert claimed == pytest.approx(found.x, abs=1e-6)


@pytest.mark.parametrize("world", [tied_prompts, tied_responses, trust_region])
def test_shares_outside_of_the_simplex_are_named(world: Callable) -> None:
    with pytest.raises(InvalidArgument, match="first"):
        world(first=1.0)
    with pytest.raises(InvalidArgument, match="second"):
        world(second=-0.1)
    if world is not tied_prompts:
        with pytest.raises(InvalidArgument, match="second"):
            world(first=0.6, second=0.4)


# --- trust region -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second", "radius"), [(0.6, 0.3, 0.05), (0.1, 0.2, 0.15), (0.05, 0.9, 0.3)])
def test_trust_region_agrees_with_the_ledgers_search(first: float, second: float, radius: float) -> None:
    ours = trust_region(first, second, radius)
    searched = searched_region.TrustRegion((first, second, 1 - first - second), radius)
    losses = {
        "rlhf": searched_region.backward_kl,
        "dpo": searched_region.pairwise,
        "forward": searched_region.forward_kl,
    }
    for name, loss in losses.items():
        # the search compares values of the loss, which is flat to rounding over about 1e-7
        assert np.abs(getattr(ours, name) - searched.optimum(loss)).max() < 1e-6, name
    assert np.abs(ours.rlhf - searched.tempered()).max() < 1e-12
    spread = (ours.boundary * np.log(3 * ours.boundary)).sum(1)
    assert np.abs(spread - radius).max() < 1e-12
    assert np.abs(ours.boundary.sum(1) - 1).max() < 1e-12


@settings(max_examples=40, deadline=None)
@given(st.floats(0.03, 0.9), st.floats(0.05, 0.95), st.floats(0.005, 0.4), st.floats(0, 2 * np.pi))
def test_no_policy_of_the_region_is_better(first: float, part: float, radius: float, angle: float) -> None:
    second = (1 - first) * part
    world = trust_region(first, second, radius, points=73)
    candidates = [*world.boundary, np.full(3, 1 / 3), *(0.5 * world.boundary + 1 / 6)]
    target = np.log(world.target)
    for name in NAMES:
        own = getattr(world, name)
        assert rlhf(np.log(own), np.log(np.full(3, 1 / 3))) <= radius + 1e-9
        least = min(LOSSES[name](np.log(p), target) for p in candidates)
        assert LOSSES[name](np.log(own), target) <= least + 1e-9


def test_a_target_inside_is_chosen_by_all() -> None:
    world = trust_region(0.35, 0.33, 0.1)
    for name in NAMES:
        assert np.array_equal(getattr(world, name), world.target)


def test_trust_region_refuses_a_target_at_the_rim() -> None:
    with pytest.raises(InvalidArgument, match=r"at least 0\.001"):
        trust_region(0.9, 0.0995)


@pytest.mark.parametrize("radius", [0.0, -1.0, 0.41, float("nan")])
def test_trust_region_names_its_radius(radius: float) -> None:
    with pytest.raises(InvalidArgument, match="radius"):
        trust_region(radius=radius)


# --- sliders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", [two_modes, two_responses, tied_prompts, tied_responses, trust_region])
def test_every_world_is_a_pure_function_of_numbers_with_defaults(world: Callable) -> None:
    first, second = world(), world()
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.target = None
    for field in dataclasses.fields(first):
        one, two = getattr(first, field.name), getattr(second, field.name)
        assert np.array_equal(one, two), field.name
        assert isinstance(one, (float, np.ndarray))


def test_the_types_say_what_they_hold() -> None:
    assert isinstance(two_responses(), TwoResponses)
    assert isinstance(tied_prompts(), TiedPrompts)
