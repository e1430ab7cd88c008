"""Worlds are exact, and are what ``dynamics`` computes in floating point."""

import math
import random
from fractions import Fraction as F

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from dynamics import DPO, kernel, score, step
from dynamics.errors import InvalidArgument
from theory.worlds import (
    BASE_MEASURE_KIND,
    LOG_LINEAR_KIND,
    TABULAR_KIND,
    World,
    any_world,
    base_measure,
    log_linear,
    one_feature,
    sign_with_root,
    tabular,
    two_responses,
    world_strategy,
)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(world_strategy())
def test_score_identity_and_conservation_hold_exactly(world: World) -> None:
    for k in range(len(world.features[0])):
        assert sum(p * g[k] for p, g in zip(world.p, world.scores, strict=True)) == 0
    assert sum(world.change(y) for y in world.responses) == 0


@settings(max_examples=50, derandomize=True, deadline=None)
@given(world_strategy())
def test_worlds_agree_with_the_float_policy(world: World) -> None:
    policy = world.policy()
    theta = torch.zeros(policy.parameters, dtype=torch.float64)
    assert np.allclose(policy.log_probs(theta).exp(), [float(p) for p in world.p], atol=1e-14)
    assert np.allclose(score(policy, theta), [[float(a) for a in g] for g in world.scores], atol=1e-12)
    gram = [[float(world.kernel(y, z)) for z in world.responses] for y in world.responses]
    assert np.allclose(kernel(policy, theta), gram, atol=1e-11)
    account = step(policy, theta, world.chosen, world.rejected, loss=DPO(beta=1.0), learning_rate=1.0)
    assert np.allclose(account.drive, [float(world.drive(y)) for y in world.responses], atol=1e-11)
    urgency = float(account.urgency)
    assert np.allclose(account.predicted, [urgency * float(world.change(y)) for y in world.responses], atol=1e-11)


@settings(max_examples=50, derandomize=True, deadline=None)
@given(world_strategy(max_responses=4), st.sampled_from([F(2), F(3), F(1, 2)]))
def test_exact_steps_agree_with_the_float_policy(world: World, factor: F) -> None:
    policy = world.policy()
    direction = np.array([float(a - b) for a, b in zip(world.features[0], world.features[1], strict=True)])
    after = policy.log_probs(torch.as_tensor(math.log(factor) * direction)).exp()
    assert np.allclose(after, [float(p) for p in world.after(factor).p], atol=1e-10)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(world_strategy(), st.sampled_from([F(2), F(3, 7), F(1, 2), F(1)]))
def test_an_exact_step_multiplies_and_normalises_and_is_its_own_for_each_factor(world: World, factor: F) -> None:
    d = [a - b for a, b in zip(world.features[world.chosen], world.features[world.rejected], strict=True)]
    weights = [
        q * factor ** int(sum(a * b for a, b in zip(phi, d, strict=True)))
        for q, phi in zip(world.p, world.features, strict=True)
    ]
    later = world.after(factor)
    assert later.p == tuple(weight / sum(weights) for weight in weights)
    assert world.after(factor) == later
    moves = any(world._drives)
    assert (world.after(2 * factor) != later) == moves
    assert later.after(1 / factor).p == world.p


def test_y_is_the_same_response_after_a_step() -> None:
    """It once was the most probable one after the step, so that "y falls" compared two responses."""
    ladder = World.log_linear([[2], [1], [0], [3]], at=[F(1, 2)])  # a step on the pair lifts the last one most
    later = ladder.after(9)
    assert (ladder.y, later.y, later.greedy) == (2, 2, 3)
    assert later.p_y < ladder.p_y < later.p[3]
    assert World.tabular([F(1, 3), F(2, 3)]).after(2).other is None


def test_an_exact_step_needs_whole_exponents() -> None:
    world = World.with_base([1, 1], [[F(1, 2)], [0]])
    with pytest.raises(InvalidArgument, match="whole number"):
        world.after(2)


@pytest.mark.parametrize(
    ("sampler", "kind"), [(tabular, TABULAR_KIND), (log_linear, LOG_LINEAR_KIND), (base_measure, BASE_MEASURE_KIND)]
)
def test_samplers_draw_their_kind_with_two_to_eight_responses(sampler, kind: str) -> None:
    source = random.Random(0)
    worlds = [sampler(source) for _ in range(300)]
    assert {w.kind for w in worlds} == {kind}
    assert {len(w.p) for w in worlds} == set(range(2, 9))
    assert len({(w.chosen, w.rejected) for w in worlds}) > 20


def test_mixed_samplers() -> None:
    source = random.Random(0)
    assert {any_world(source).kind for _ in range(50)} == {TABULAR_KIND, LOG_LINEAR_KIND, BASE_MEASURE_KIND}
    assert {len(one_feature(source).features[0]) for _ in range(20)} == {1}
    assert {len(two_responses(source).p) for _ in range(20)} == {2}


def test_displacement_occurs_among_worlds_with_one_feature() -> None:
    source = random.Random(0)
    falls = sum(w.drive(w.chosen) < 0 for w in (one_feature(source) for _ in range(300)))
    assert falls > 10  # otherwise searches under that premise would look at nothing


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"p": (F(1, 2), F(1, 3)), "features": ((F(1),), (F(0),))}, "p"),
        ({"p": (F(1), F(0)), "features": ((F(1),), (F(0),))}, "p"),
        ({"p": (F(1, 2), F(1, 2)), "features": ((F(1),),)}, "features"),
        ({"p": (F(1, 2), F(1, 2)), "features": ((F(1),), (F(0), F(1)))}, "features"),
        ({"p": (F(1, 2), F(1, 2)), "features": ((F(1),), (F(0),)), "rejected": 0}, "chosen"),
        ({"p": (F(1, 2), F(1, 2)), "features": ((F(1),), (F(0),)), "rejected": 2}, "chosen"),
    ],
)
def test_bad_worlds_are_refused(arguments: dict, names: str) -> None:
    with pytest.raises(InvalidArgument, match=names):
        World(**arguments)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(0, 50))
def test_sign_with_root_is_the_sign(a: int, b: int, c: int) -> None:
    value = a + b * math.sqrt(c)
    if abs(value) > 1e-9:
        assert sign_with_root(a, b, c) == (1 if value > 0 else -1)
    else:
        assert sign_with_root(a, b, c) == 0 or math.isqrt(c) ** 2 != c


def test_sign_with_root_sees_what_floats_cannot() -> None:
    assert sign_with_root(-(10**40), 1, F(10**80 + 1)) == 1
    assert sign_with_root(-(10**40), 1, F(10**80)) == 0


def test_greedy_and_others() -> None:
    world = World.tabular([F(1, 10), F(2, 10), F(3, 10), F(4, 10)], chosen=3, rejected=0)
    assert world.greedy == 2
    assert world.others == (1, 2)
    assert World.tabular([F(1, 2), F(1, 2)]).greedy is None
