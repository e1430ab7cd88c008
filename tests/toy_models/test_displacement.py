"""The ladder in exact fractions and against dynamics; the named worlds show what they say."""

from __future__ import annotations

import math
from fractions import Fraction as F

import numpy as np
import pytest
import torch
from hypothesis import assume, find, given, strategies as st

from dynamics import DPO, SGD, AdamW, InvalidArgument, LogLinear, Tabular, drives, kernel, pairs, step
from toy_models.displacement import (
    LADDER,
    LADDER_CROSSOVER,
    WORLDS,
    DisplacementWorld,
    ladder_change,
    ladder_drives,
    ladder_first_order,
    ladder_probabilities,
    log_ratio_of_changes,
    run_pair,
)

FEATURES = (1, 0, 2)
positive = st.fractions(min_value=F(1, 1000), max_value=1000, max_denominator=1000)
growth = st.fractions(min_value=1, max_value=100, max_denominator=100).filter(lambda f: f > 1)


def by_definition(x: F) -> tuple[list[F], list[F]]:
    """Probabilities x^phi / sum and drives (phi_y - mean phi) (phi_w - phi_l), from the features alone."""
    total = sum(x**phi for phi in FEATURES)
    p = [x**phi / total for phi in FEATURES]
    mean = sum(a * b for a, b in zip(p, FEATURES, strict=True))
    return p, [(phi - mean) * (FEATURES[0] - FEATURES[1]) for phi in FEATURES]


@given(positive)
def test_closed_forms_are_the_definitions(x: F) -> None:
    p, drive = by_definition(x)
    assert list(ladder_probabilities(x)) == p
    assert list(ladder_drives(x)) == drive
    assert list(ladder_first_order(x)) == [a * b for a, b in zip(p, drive, strict=True)]


@given(positive)
def test_exact_identities(x: F) -> None:
    p, drive, first = ladder_probabilities(x), ladder_drives(x), ladder_first_order(x)
    assert sum(p) == 1
    assert sum(first) == 0
    assert drive[0] - drive[1] == 1
    assert first[0] - first[1] == x * (2 + 2 * x - x * x) / (1 + x + x * x) ** 2
    # p_w is the same at x and 1 / x: its peak lies at x = 1
    assert p[0] == ladder_probabilities(1 / x)[0] <= F(1, 3)


@given(positive)
def test_signs_in_each_phase(x: F) -> None:
    change_w, change_l, change_o = ladder_first_order(x)
    assert (change_w > 0) == (x < 1)
    assert change_l < 0 < change_o
    # x < 1 + sqrt 3 without the root: (x - 1)^2 < 3 or x < 1
    assert (change_w > change_l) == (x < 1 or (x - 1) ** 2 < 3)


def test_the_watersheds_are_the_roots() -> None:
    at_peak, at_crossover = ladder_first_order(1.0), ladder_first_order(LADDER_CROSSOVER)
    assert at_peak[0] == 0
    assert at_crossover[0] == pytest.approx(at_crossover[1], rel=1e-14)


@given(positive, growth)
def test_where_the_drive_is_not_positive_every_step_size_lowers(x: F, factor: F) -> None:
    change_w, change_l, change_o = ladder_change(x, factor)
    assert change_w + change_l + change_o == 0
    assert change_l < 0 < change_o
    assert x < 1 or change_w < 0
    # p_w(x) = 1 / (1 + x + 1/x): it rises exactly as long as the step does not reach 1 / x
    assert (change_w > 0) == (x * x * factor < 1)


def test_where_the_drive_is_positive_a_long_step_may_lower() -> None:
    x, factor = find(
        st.tuples(positive, growth), lambda case: ladder_drives(case[0])[0] > 0 and ladder_change(*case)[0] < 0
    )
    assert x < 1 < x * factor
    assert ladder_change(F(1, 2), F(4))[0] == 0
    assert ladder_change(F(1, 2), F(8))[0] == F(4, 21) - F(2, 7)


def test_exact_changes_of_the_audited_steps() -> None:
    assert ladder_change(F(1), F(2)) == (F(-1, 21), F(-4, 21), F(5, 21))
    assert ladder_change(F(3), F(3)) == (F(-12, 91), F(-6, 91), F(18, 91))
    assert ladder_first_order(F(3)) == (F(-24, 169), F(-21, 169), F(45, 169))


@given(st.floats(min_value=-20, max_value=20), st.floats(min_value=0, max_value=30))
def test_remainder_of_the_first_order(theta: float, move: float) -> None:
    """|Delta - c D| <= c^2 rho^2 / 8 with the spread rho = 2 of phi . d."""
    x = math.exp(theta)
    exact, first = np.array(ladder_change(x, math.exp(move))), np.array(ladder_first_order(x))
    assert (np.abs(exact - move * first) <= move**2 / 2 + 1e-14).all()


@given(st.floats(min_value=-8, max_value=8), st.floats(min_value=0.1, max_value=2), st.floats(min_value=0, max_value=2))
def test_closed_forms_are_what_dynamics_computes(theta: float, beta: float, learning_rate: float) -> None:
    x = math.exp(theta)
    account = step(LADDER.policy, [theta], 0, 1, loss=DPO(beta=beta), learning_rate=learning_rate)
    move = learning_rate * beta / 2  # the reference is the start: sigma(0) = 1/2
    np.testing.assert_allclose(account.log_probs.exp(), ladder_probabilities(x), rtol=1e-12, atol=0)
    np.testing.assert_allclose(account.drive, ladder_drives(x), rtol=0, atol=1e-12)
    np.testing.assert_allclose(account.predicted, move * np.array(ladder_first_order(x)), rtol=0, atol=1e-12)
    np.testing.assert_allclose(account.actual, ladder_change(x, math.exp(move)), rtol=0, atol=1e-12)
    assert bool(account.displaced) == (ladder_drives(x)[0] < 0)


def test_arrays_go_through_the_closed_forms() -> None:
    x = np.array([0.25, 1.0, 8.0])
    for form in (ladder_probabilities, ladder_drives, ladder_first_order):
        by_array = np.stack(form(x), axis=1)
        assert by_array == pytest.approx(np.array([form(float(v)) for v in x]), rel=1e-15)


@pytest.mark.parametrize("x", [1e-300, 1e150])
def test_extremes_are_finite(x: float) -> None:
    assert sum(ladder_probabilities(x)) == pytest.approx(1, abs=1e-15)
    assert ladder_drives(x) == pytest.approx((1, 0, 2) if x < 1 else (-1, -2, 0), abs=1e-12)
    assert np.isfinite(ladder_first_order(x)).all()


@pytest.mark.parametrize("x", [0.0, -1.0, math.nan, math.inf, 1e200, F(0), F(-1, 2), np.array([1.0, -1.0])])
def test_x_out_of_range_is_refused(x: object) -> None:
    for form in (ladder_probabilities, ladder_drives, ladder_first_order):
        with pytest.raises(InvalidArgument, match="x: got"):
            form(x)  # type: ignore[type-var]


@pytest.mark.parametrize("name", WORLDS)
def test_a_run_is_its_steps(name: str) -> None:
    """Every row of a run against the account of that step: kernel, drives, exact and predicted changes."""
    world, steps = WORLDS[name], 6
    run = run_pair(world, beta=0.7, learning_rate=1.5, steps=steps)
    policy, theta = world.policy, torch.tensor(world.theta, dtype=torch.float64)
    reference = policy.log_probs(theta)
    for t in range(steps):
        account = step(policy, theta, 0, 1, loss=DPO(beta=0.7), learning_rate=1.5, reference=reference)
        for got, wanted in (
            (run.log_probs[t], account.log_probs),
            (run.log_probs[t + 1], account.new_log_probs),
            (run.drive[t], account.drive),
            (run.actual[t], account.actual),
            (run.predicted[t], account.predicted),
            (run.margin[t], account.margin),
            (run.margin[t + 1], account.new_margin),
            (run.speed[t], 1.5 * 0.7 * account.urgency),
            (run.drive[t + 1], drives(kernel(policy, account.new_theta), pairs(0, 1, shape=policy.shape))[0]),
        ):
            np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-12)
        gram = account.kernel
        assert run.score_gap[t] == pytest.approx(float(gram[0, 0] + gram[1, 1] - 2 * gram[0, 1]), abs=1e-12)
        theta = account.new_theta


def recursion(steps: int) -> np.ndarray:
    """The ladder from theta = -3 with beta = learning rate = 1/2, as one number: theta += eta beta sigma(-z)."""
    theta = np.empty(steps + 1)
    theta[0] = -3
    for t in range(steps):
        theta[t + 1] = theta[t] + 0.25 / (1 + math.exp(0.5 * (theta[t] + 3)))
    return np.exp(theta)


def test_the_run_on_the_ladder_is_a_recursion_in_one_number() -> None:
    x, run = recursion(180), run_pair(LADDER)
    np.testing.assert_allclose(np.exp(run.log_probs), np.stack(ladder_probabilities(x), axis=1), rtol=1e-12)
    np.testing.assert_allclose(run.drive, np.stack(ladder_drives(x), axis=1), rtol=0, atol=1e-12)
    np.testing.assert_allclose(run.score_gap, 1, rtol=0, atol=1e-12)
    np.testing.assert_allclose(run.margin, 0.5 * (np.log(x) + 3), rtol=0, atol=1e-12)
    np.testing.assert_allclose(run.actual, np.diff(np.stack(ladder_probabilities(x), axis=1), axis=0), atol=1e-13)


def test_golden_numbers_of_the_ladder_run() -> None:
    """Peak, crossing and shares of the three phases of a run of 4000 steps."""
    x = recursion(4000)
    p, drive = np.stack(ladder_probabilities(x)), np.stack(ladder_drives(x))
    assert p[0].argmax() == 39
    assert (drive[0] < 0).argmax() == 40
    assert drive[1].max() == pytest.approx(-0.0520254214, abs=1e-10)
    change = np.diff(p, axis=1)
    literal = log_ratio_of_changes(change[0], change[1])
    assert np.isnan(literal).mean() == 39 / 4000
    assert (literal < 0).mean() == 28 / 4000
    assert (literal > 0).mean() == 3933 / 4000
    assert (literal > 0).argmax() == 67
    assert (np.diff(literal[39:]) > 0).all()


@given(st.lists(st.integers(-4, 4), min_size=3, max_size=3), positive, growth)
def test_single_pair_runs_never_come_back(features: list[int], x: F, factor: F) -> None:
    """On any one-parameter world: drives never grow along a step, so what falls to first order falls for good."""
    assume(features[0] != features[1])
    gap = features[0] - features[1]

    def drive_of(at: F) -> list[F]:
        weights = [at**phi for phi in features]
        mean = sum(F(phi) * weight for phi, weight in zip(features, weights, strict=True)) / sum(weights)
        return [(phi - mean) * gap for phi in features]

    before, after = drive_of(x), drive_of(x * factor if gap > 0 else x / factor)
    assert all(b <= a for a, b in zip(before, after, strict=True))
    assert before[0] - before[1] == after[0] - after[1] == gap**2


def first_order(name: str) -> np.ndarray:
    account = step(
        WORLDS[name].policy, list(WORLDS[name].theta), 0, 1, loss=DPO(beta=1.0), learning_rate=2.0
    )  # learning rate * beta * urgency = 1
    return account.predicted.numpy()


def test_certainty_shows_displacement_at_every_step_size() -> None:
    world = WORLDS["certainty"]
    np.testing.assert_allclose(first_order("certainty"), [-1 / 9, -4 / 9, 5 / 9], rtol=1e-12)
    for rate in (1e-6, 1e-2, 1.0, 1e2):
        account = step(world.policy, [0.0], 0, 1, loss=DPO(beta=0.5), learning_rate=rate)
        assert account.displaced
        assert account.actual[0] < 0
        assert account.actual[1] < 0
    run = run_pair(world, learning_rate=20.0, steps=60)
    assert (np.diff(run.log_probs[:, :2], axis=0) < 0).all()
    assert np.exp(run.log_probs[-1, 2]) > 0.99


def test_rejected_rises() -> None:
    np.testing.assert_allclose(first_order("rejected-rises"), [4 / 9, 1 / 9, -5 / 9], rtol=1e-12)
    assert (run_pair(WORLDS["rejected-rises"], steps=1).actual[0, :2] > 0).all()


def test_rejected_gains_more() -> None:
    np.testing.assert_allclose(first_order("rejected-gains-more"), np.array([21, 24, -45]) / 169, rtol=1e-12)
    run = run_pair(WORLDS["rejected-gains-more"], steps=1)
    assert 0 < run.actual[0, 0] < run.actual[0, 1]
    assert np.diff(run.log_probs[:, 0] - run.log_probs[:, 1])[0] > 0


def test_bystander() -> None:
    run = run_pair(WORLDS["bystander"], steps=400)
    p = np.exp(run.log_probs)
    assert p[0, 3] > 50 * p[0, 2]  # the most probable other response ...
    assert run.actual[0, 3] > 0  # ... gains at first ...
    assert p[-1, 3] < 1e-3  # ... and loses all in the end ...
    assert p[-1, 2] > 0.98  # ... to the one that agrees with the step


def test_chosen_falls_more() -> None:
    np.testing.assert_allclose(first_order("chosen-falls-more"), np.array([-30, -26, 56]) / 121, rtol=1e-12)
    # an exact step to theta = -ln 4, whose length is ln 2
    account = step(WORLDS["chosen-falls-more"].policy, [-math.log(2)], 0, 1, loss=DPO(1.0), learning_rate=math.log(4))
    np.testing.assert_allclose(account.actual, np.array([-94, -58, 152]) / 759, rtol=1e-12)


def test_greedy_gains_more() -> None:
    np.testing.assert_allclose(first_order("greedy-gains-more"), np.array([6, -16, 10]) / 49, rtol=1e-12)


def test_greedy_falls() -> None:
    world = WORLDS["greedy-falls"]
    np.testing.assert_allclose(first_order("greedy-falls"), np.array([-1, -9, -4, 14]) / 64, rtol=1e-12)
    p = world.policy.log_probs(torch.tensor(world.theta, dtype=torch.float64)).exp()
    np.testing.assert_allclose(p, [1 / 8, 1 / 8, 1 / 2, 1 / 4], rtol=1e-12)


def test_adam_turns_the_first_step_around() -> None:
    world = WORLDS["adam"]
    moved = [
        step(world.policy, list(world.theta), 0, 1, loss=DPO(0.5), learning_rate=1e-3, optimizer=optimizer).actual[0]
        for optimizer in (SGD(), AdamW(weight_decay=0.0))
    ]
    assert moved[0] > 0 > moved[1]


def test_tabular_is_never_displaced() -> None:
    world = WORLDS["tabular"]
    theta = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    assert torch.equal(world.policy.log_probs(theta), Tabular(3).log_probs(theta))
    run = run_pair(world, learning_rate=30.0, steps=40)
    assert (run.actual[:, 0] > 0).all()
    assert (run.actual[:, 1] < 0).all()


def test_worlds_are_told_apart_by_what_they_show() -> None:
    """Displacement at the first step in three worlds only: the assertions above are not all alike."""
    displaced = {name for name, world in WORLDS.items() if run_pair(world, steps=1).drive[0, 0] < 0}
    assert displaced == {"certainty", "chosen-falls-more", "greedy-falls"}
    assert len({world.shows for world in WORLDS.values()}) == len(WORLDS)


def test_log_ratio_of_changes() -> None:
    chosen = np.array([2.0, -2.0, 2.0, -2.0, 0.0, 1.0, 0.0])
    rejected = np.array([1.0, -4.0, -1.0, 1.0, -1.0, 0.0, 0.0])
    ln2 = math.log(2)
    np.testing.assert_allclose(log_ratio_of_changes(chosen, rejected), [ln2, -ln2, *[math.nan] * 5], atol=1e-15)
    assert float(log_ratio_of_changes(np.array(-1e-300), np.array(-1e-320))) == pytest.approx(
        20 * math.log(10), rel=1e-3
    )


@pytest.mark.parametrize(
    ("arguments", "at"),
    [
        ({"theta": (0.0, 0.0)}, "theta"),
        ({"features": ((1.0,), (1.0,), (2.0,))}, "features"),
        ({"chosen": 3}, "chosen"),
        ({"rejected": -1}, "rejected"),
    ],
)
def test_worlds_that_make_no_sense_are_refused(arguments: dict, at: str) -> None:
    good = {"features": LADDER.features, "theta": LADDER.theta, "shows": "a test"}
    assert isinstance(DisplacementWorld(**good).policy, LogLinear)
    with pytest.raises(InvalidArgument) as refused:
        DisplacementWorld(**{**good, **arguments})
    assert refused.value.argument == at
