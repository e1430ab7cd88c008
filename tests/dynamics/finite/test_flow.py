"""Continuous time: the limit of small steps, closed forms, invariants, hitting times."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from dynamics import (
    BDPO,
    DPO,
    IPO,
    InvalidArgument,
    LogLinear,
    Tabular,
    bradley_terry,
    gradient_flow,
    logistic_hitting_time,
    logistic_margin,
    pairs,
    preference_matrix,
    ratio_field,
    ratio_flow,
    ratio_hitting_time,
    ratio_loss,
    replicator_fitness,
    replicator_flow,
    simulate,
    tabular_theta,
)
from tests.dynamics.strategies import KINDS, close, make_policy, slope, tensor

# ---------------------------------------------------------------- gradient flow and replicator


@pytest.mark.parametrize("kind", KINDS)
def test_sgd_tends_to_the_flow_in_proportion_to_the_learning_rate(kind: str) -> None:
    policy, theta = make_policy(kind, scale=0.5)
    asked = pairs([0, 1], [1, 2], shape=policy.shape, weight=[1.0, 0.5])
    time, counts = 2.0, [16, 32, 64, 128]
    flow = gradient_flow(policy, theta, asked, [time], loss=DPO(beta=1.0))
    assert flow.theta is not None
    errors = []
    for n in counts:
        run = simulate(policy, theta, asked, loss=DPO(beta=1.0), learning_rate=time / n, steps=n, record_every=n)
        errors.append(float((run.theta[0, 0, 0] - tensor(flow.theta[-1])).abs().max()))
    assert abs(slope(time / np.array(counts), np.array(errors)) - 1) < 0.07
    # and would not tend to the flow of another time
    late = gradient_flow(policy, theta, asked, [1.1 * time], loss=DPO(beta=1.0)).theta
    assert late is not None
    assert float((run.theta[0, 0, 0] - tensor(late[-1])).abs().max()) > 5 * errors[-1]


@pytest.mark.parametrize("loss", [DPO(beta=1.0), IPO(beta=0.5), BDPO(beta=1.0)])
def test_gradient_flow_of_logits_is_the_replicator_flow_of_its_fitness(loss) -> None:
    p = np.array([0.1, 0.2, 0.3, 0.4])
    asked = preference_matrix(bradley_terry([1.0, -0.5, 0.3, 0.0]))
    reference = np.log([0.25, 0.4, 0.2, 0.15])
    times = [0.0, 0.5, 2.0, 5.0]
    one = gradient_flow(Tabular(4), np.log(p), asked, times, loss=loss, reference=reference)
    two = replicator_flow(p, lambda log_p: replicator_fitness(log_p, asked, loss, reference).numpy(), times)
    close(one.log_probs, two.log_probs, 1e-8)
    assert np.abs(one.log_probs[-1] - one.log_probs[0]).max() > 0.1
    assert two.theta is None


@settings(max_examples=50)
@given(st.integers(2, 6), st.integers(0, 1000), st.floats(0.01, 20))
def test_constant_fitness_tilts_exponentially(n: int, seed: int, time: float) -> None:
    rng = np.random.default_rng(seed)
    p, w = rng.dirichlet(np.ones(n)), rng.normal(size=n)
    flow = replicator_flow(p, w, [0.0, time])
    want = torch.log_softmax(tensor(np.log(p) + time * w), -1)
    close(flow.log_probs[-1], want, 1e-8)
    close(flow.log_probs[0], np.log(p))


def test_probability_zero_stays_zero() -> None:
    flow = replicator_flow([0.5, 0.0, 0.5], [0.0, 100.0, 1.0], [0.0, 1.0, 10.0])
    assert (np.exp(flow.log_probs)[:, 1] == 0).all()
    close(flow.log_probs[:, 2] - flow.log_probs[:, 0], [0.0, 1.0, 10.0], 1e-8)
    policy = LogLinear([[1.0], [2.0], [0.0]], base_measure=[1.0, 1.0, 0.0])
    masked = gradient_flow(policy, [0.0], pairs(0, 1, shape=(3,)), [0.0, 5.0], loss=DPO(beta=1.0))
    assert (np.exp(masked.log_probs)[:, 2] == 0).all()
    assert np.isfinite(masked.log_probs[:, :2]).all()


def test_a_single_pair_leaves_the_log_ratios_of_bystanders_on_logits() -> None:
    theta = np.array([0.3, -0.2, 1.0, 0.1])
    flow = gradient_flow(Tabular(4), theta, pairs(0, 1, shape=(4,)), [0.0, 3.0, 30.0], loss=DPO(beta=1.0))
    close(flow.log_probs[:, 2] - flow.log_probs[:, 3], np.full(3, 0.9), 1e-9)
    # both probabilities do move, and shared features break the invariant
    assert abs(flow.log_probs[-1, 2] - flow.log_probs[0, 2]) > 0.05
    shared = gradient_flow(
        LogLinear([[1.0], [0.0], [2.0], [-1.0]]), [0.0], pairs(0, 1, shape=(4,)), [0.0, 3.0], loss=DPO(beta=1.0)
    )
    assert abs(np.diff(shared.log_probs[:, 2] - shared.log_probs[:, 3])[0]) > 0.5


@pytest.mark.parametrize("beta", [0.1, 1.0, 3.0])
def test_margin_of_a_single_pair_in_closed_form(beta: float) -> None:
    times = np.array([0.0, 0.5, 3.0, 40.0])
    policy = LogLinear([[1.0, 0.0], [0.5, -2.0], [0.3, 1.0]], base_measure=[1.0, 0.4, 2.0])
    squared = float((policy.features[0] - policy.features[1]).square().sum())
    for flow, rate in (
        (gradient_flow(policy, [0.2, -0.1], pairs(0, 1, shape=(3,)), times, loss=DPO(beta=beta)), squared),
        (gradient_flow(Tabular(3), [0.2, -0.1, 1.0], pairs(0, 1, shape=(3,)), times, loss=DPO(beta=beta)), 2.0),
    ):
        ratio = flow.log_probs[:, 0] - flow.log_probs[:, 1]
        z = beta * (ratio - ratio[0])
        close(z + np.exp(z), 1 + beta**2 * rate * times, 1e-8)
        close(z, logistic_margin(times, rate=beta**2 * rate), 1e-8)


# ---------------------------------------------------------------- where a flow stops


def test_until_stops_at_the_hitting_time() -> None:
    rate, level = 2.0, 1.5
    flow = gradient_flow(
        Tabular(2),
        [0.0, 0.0],
        pairs(0, 1, shape=(2,)),
        [0.0, 1.0, 100.0],
        loss=DPO(beta=1.0),
        until=lambda log_p: log_p[0] - log_p[1] - level,
    )
    assert flow.hitting_time is not None
    assert math.isclose(flow.hitting_time, logistic_hitting_time(level, rate), rel_tol=1e-8)
    assert flow.times.tolist() == [0.0, 1.0, flow.hitting_time]
    close(flow.log_probs[-1, 0] - flow.log_probs[-1, 1], level, 1e-8)
    assert flow.theta is not None
    assert len(flow.theta) == len(flow.log_probs) == 3


def test_until_of_a_replicator_flow() -> None:
    # p_0 = sigmoid(t) reaches 0.9 at log 9
    flow = replicator_flow([0.5, 0.5], [1.0, 0.0], [1.0, 50.0], until=lambda log_p: log_p[0] - math.log(0.9))
    assert flow.hitting_time is not None
    assert math.isclose(flow.hitting_time, math.log(9), rel_tol=1e-8)
    before_the_first_time = replicator_flow([0.5, 0.5], [1.0, 0.0], [20.0], until=lambda log_p: log_p[0] + 0.2)
    assert before_the_first_time.times.tolist() == [before_the_first_time.hitting_time]


def test_a_flow_that_never_crosses_has_no_hitting_time() -> None:
    flow = replicator_flow([0.5, 0.5], [1.0, 0.0], [0.0, 3.0], until=lambda log_p: log_p[0])
    assert flow.hitting_time is None
    assert flow.times.tolist() == [0.0, 3.0]
    start_only = gradient_flow(Tabular(2), [0.0, 1.0], pairs(0, 1, shape=(2,)), [0.0])
    assert start_only.theta is not None
    assert start_only.theta.tolist() == [[0.0, 1.0]]


# ---------------------------------------------------------------- logistic margin


@given(st.floats(-30, 30), st.floats(0, 1e12), st.floats(0.01, 10))
def test_logistic_margin_solves_its_equation(start: float, time: float, rate: float) -> None:
    with mpmath.workdps(50):
        total = mpmath.mpf(start) + mpmath.exp(start) + mpmath.mpf(rate) * time
        # Newton on m + e^m = total
        m = mpmath.log(total) if total > 1 else total
        for _ in range(60):
            m -= (m + mpmath.exp(m) - total) / (1 + mpmath.exp(m))
    got = float(logistic_margin(time, rate, start))
    assert abs(got - float(m)) < 1e-12 * max(1.0, abs(float(m)))


@given(st.floats(-5, 5), st.floats(0, 20), st.floats(0.1, 10))
def test_logistic_hitting_time_is_the_inverse(start: float, rise: float, rate: float) -> None:
    time = logistic_hitting_time(start + rise, rate, start)
    close(logistic_margin(time, rate, start), start + rise, 1e-9)


# ---------------------------------------------------------------- ratio coordinates (feng2024)

ratio = st.floats(0.05, 5)
betas = st.floats(0.05, 4)


def exact_time(x1: float, x2: float, beta: float, until: float = 0.0) -> float:
    """Time to fall from x2 to ``until``: the integral of dx2 / speed along the circle, at 30 digits."""
    with mpmath.workdps(30):
        b, squared = mpmath.mpf(beta), mpmath.mpf(x1) ** 2 + mpmath.mpf(x2) ** 2

        def slowness(x: mpmath.mpf) -> mpmath.mpf:
            return (mpmath.sqrt(squared - x**2) ** b + x**b) / (b * x ** (b - 1))

        return float(mpmath.quad(slowness, [until, (until + x2) / 2, x2]))


@given(ratio, ratio, betas)
def test_ratio_field_is_minus_the_gradient_of_the_loss_and_tangential(x1: float, x2: float, beta: float) -> None:
    a, b = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (x1, x2))
    loss = DPO(beta=beta)
    value = loss.of_margin(beta * (a.log() - b.log()))
    grad = torch.autograd.grad(value, (a, b))
    field = ratio_field(x1, x2, beta)
    close(ratio_loss(x1, x2, beta), value.detach())
    close(field[0], -grad[0])
    close(field[1], -grad[1])
    close(x1 * field[0] + x2 * field[1], 0.0, 1e-13)
    h = 1e-6
    close((ratio_loss(x1 + h * x1, x2, beta) - ratio_loss(x1 - h * x1, x2, beta)) / (2 * h * x1), -field[0], 1e-7)


@settings(max_examples=40)
@given(ratio, ratio, betas, st.floats(0.01, 5))
def test_ratio_flow_stays_on_its_circle_and_keeps_time(x1: float, x2: float, beta: float, time: float) -> None:
    path = ratio_flow(x1, x2, beta, [0.0, time])
    close(path[0], [x1, x2])
    close((path**2).sum(-1), np.full(2, x1**2 + x2**2), 1e-11)
    assert path[1, 1] < x2
    if path[1, 1] > 1e-3:
        close(exact_time(x1, x2, beta, path[1, 1]), time, 1e-7)
    elif beta < 2:
        assert time > 0.9 * ratio_hitting_time(x1, x2, beta)


@pytest.mark.parametrize(("beta", "want"), [(0.1, 10.368), (0.5, 2.4875), (1.0, 1 + math.pi / 4), (1.5, 2.4006)])
def test_hitting_times_from_the_reference(beta: float, want: float) -> None:
    got = ratio_hitting_time(1.0, 1.0, beta)
    assert abs(got - want) < (1e-12 if beta == 1 else 5e-4 if beta == 0.1 else 5e-5)
    close(got, exact_time(1.0, 1.0, beta), 1e-8)
    # the flow gets there then and not before
    path = ratio_flow(1.0, 1.0, beta, [0.999 * got, got, 2 * got])
    assert path[0, 1] > 0
    close(path[1:], [[math.sqrt(2), 0.0]] * 2)


@settings(max_examples=30)
@given(ratio, ratio, st.floats(0.1, 1.8))
def test_hitting_time_against_an_independent_quadrature(x1: float, x2: float, beta: float) -> None:
    got = ratio_hitting_time(x1, x2, beta)
    close(got, exact_time(x1, x2, beta), 1e-6 if beta > 1.5 else 1e-8)


def test_at_beta_two_the_decay_is_exponential() -> None:
    times = np.array([0.0, 0.7, 3.0, 20.0])
    for x1, x2 in ((1.0, 1.0), (0.3, 2.0)):
        close(ratio_flow(x1, x2, 2.0, times)[:, 1], x2 * np.exp(-2 * times / (x1**2 + x2**2)), 1e-9)
    assert ratio_hitting_time(1.0, 1.0, 2.0) == math.inf


@pytest.mark.parametrize("beta", [2.0, 2.5, 4.0])
def test_beyond_beta_two_the_loser_never_arrives(beta: float) -> None:
    assert ratio_hitting_time(1.0, 1.0, beta) == math.inf
    path = ratio_flow(1.0, 1.0, beta, [0.0, 10.0, 20.0])[:, 1]
    assert (np.diff(path) < 0).all()
    assert path[-1] > 1e-9


def test_beyond_beta_two_the_decay_is_a_power_law() -> None:
    # close to the axis dx2/dt = -beta x2^(beta - 1) / R^beta, so x2^(2 - beta) grows linearly
    times = np.array([1e4, 2e4, 4e4])
    decay = slope(times, ratio_flow(1.0, 1.0, 4.0, times)[:, 1])
    assert abs(decay + 1 / 2) < 0.01


def test_a_nearly_vanishing_winner_keeps_its_digits() -> None:
    for beta in (1.0, 3.0):
        path = ratio_flow(1e-6, 1.0, beta, [0.0, 1e-3])
        assert path[0, 0] == pytest.approx(1e-6, rel=1e-12)
        assert exact_time(1e-6, 1.0, beta, path[1, 1]) == pytest.approx(1e-3, rel=1e-6)


# ---------------------------------------------------------------- bad input

GOOD = (Tabular(3), [0.0, 0.0, 0.0], pairs(0, 1, shape=(3,)))


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: gradient_flow(GOOD[0], [0.0, 0.0], GOOD[2], [0.0, 1.0]), "theta"),
        (lambda: gradient_flow(GOOD[0], [0.0, 0.0, -math.inf], GOOD[2], [0.0, 1.0]), "theta"),
        (lambda: gradient_flow(*GOOD, [1.0, 0.5]), "times"),
        (lambda: gradient_flow(*GOOD, []), "times"),
        (lambda: gradient_flow(*GOOD, [-1.0, 1.0]), "times"),
        (lambda: gradient_flow(*GOOD, [0.0, math.inf]), "times"),
        (lambda: gradient_flow(*GOOD, "soon"), "times"),
        (lambda: gradient_flow(*GOOD, [1.0], reference=[0.0, 0.0]), "reference"),
        (lambda: gradient_flow(*GOOD, [1.0], reference=[0.0, 0.0, 0.0]), "exp(reference)"),
        (lambda: gradient_flow(Tabular(4), torch.zeros(4), GOOD[2], [1.0]), "preferences"),
        (lambda: replicator_flow([0.5, 0.6], [0.0, 0.0], [1.0]), "probabilities"),
        (lambda: replicator_flow([[0.5, 0.5]], [0.0, 0.0], [1.0]), "probabilities"),
        (lambda: replicator_flow([0.5, 0.5], [0.0, math.nan], [1.0]), "fitness"),
        (lambda: replicator_flow([0.5, 0.5], [0.0, 0.0, 0.0], [1.0]), "fitness"),
        (lambda: replicator_flow([0.5, 0.5], lambda log_p: np.zeros(3), [1.0]), "fitness"),
        (lambda: replicator_fitness(np.log([0.5, 0.5]), GOOD[2]), "log_probs"),
        (lambda: replicator_fitness([0.0, 0.0, 0.0], GOOD[2]), "exp(log_probs)"),
        (lambda: replicator_fitness(np.log([0.2, 0.3, 0.5]), GOOD[2], reference=[0.0]), "reference"),
        (lambda: ratio_loss(0.0, 1.0, 1.0), "x1"),
        (lambda: ratio_field(1.0, -1.0, 1.0), "x2"),
        (lambda: ratio_field(1.0, 1.0, 0.0), "beta"),
        (lambda: ratio_flow(1.0, math.nan, 1.0, [1.0]), "x2"),
        (lambda: ratio_flow(1.0, 1.0, 1.0, [[1.0]]), "times"),
        (lambda: ratio_hitting_time(math.inf, 1.0, 1.0), "x1"),
        (lambda: ratio_hitting_time(1.0, 1.0, math.nan), "beta"),
        (lambda: logistic_margin(1.0, rate=0.0), "rate"),
        (lambda: logistic_hitting_time(-1.0, rate=1.0), "margin"),
        (lambda: logistic_hitting_time(1.0, rate=-1.0), "rate"),
        (lambda: tabular_theta([0.2, 0.2]), "probabilities"),
    ],
)
def test_bad_input_is_named(make, argument: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        make()
    assert caught.value.argument == argument


def test_the_ratio_flow_outlives_the_squares_of_its_coordinates() -> None:
    # at t = 400 x2 is e^-400 at beta = 2, so that x2^2 is 0 in floating point
    x2 = ratio_flow(1.0, 1.0, 2.0, [300.0, 400.0, 600.0])[:, 1]
    close(np.log(x2), [-300.0, -400.0, -600.0], 1e-6)
