"""ma2025's Gaussian world against exact fractions, high precision, dynamics, and recorded numbers."""

from __future__ import annotations

import math
from fractions import Fraction as F
from itertools import permutations

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import find, given, strategies as st
from scipy.optimize import minimize_scalar

from dynamics import DPO, InvalidArgument, ProbabilityMargin, replicator_fitness
from dynamics.losses import pair_log_probs
from toy_models.gaussian_preferences import (
    GaussianWorld,
    balanced_update,
    fitness,
    imbalance,
    pair_log_weights,
    preferences,
    printed_update,
)

MEANS = ((45, 55), (30, 70), (48, 52))
SAMPLING = ("uniform", "shiftless")
masses = st.lists(st.integers(1, 50), min_size=2, max_size=7)


@st.composite
def fractions_of_worlds(draw: st.DrawFn) -> tuple[list[F], list[F]]:
    """A policy and a utility on the same few responses, as exact fractions."""
    p = draw(masses)
    u = draw(st.lists(st.integers(1, 50), min_size=len(p), max_size=len(p)))
    return [F(x, sum(p)) for x in p], [F(x) for x in u]


def logs(values: list[F]) -> list[float]:
    return [math.log(v) for v in values]


def exact_fitness(p: list[F], u: list[F], sampling: str) -> list[F]:
    n = range(len(p))
    asked = [[F(1) if sampling == "uniform" else p[i] * p[j] for j in n] for i in n]
    return [sum(asked[i][j] * (u[i] / (u[i] + u[j]) - p[i] / (p[i] + p[j])) for j in n) for i in n]


@given(fractions_of_worlds(), st.sampled_from(SAMPLING))
def test_fitness_in_exact_fractions(world: tuple[list[F], list[F]], sampling: str) -> None:
    p, u = world
    w = exact_fitness(p, u, sampling)
    assert sum(w) == 0
    np.testing.assert_allclose(fitness(logs(p), logs(u), sampling), [float(x) for x in w], rtol=0, atol=1e-14 * len(p))


@given(fractions_of_worlds(), st.sampled_from(SAMPLING))
def test_fitness_is_the_gradient_of_dpo(world: tuple[list[F], list[F]], sampling: str) -> None:
    p, u = map(logs, world)
    asked = preferences(p, u, sampling)
    from_loss = asked.weight.sum() * replicator_fitness(p, asked, DPO(beta=1.0))
    np.testing.assert_allclose(fitness(p, u, sampling), from_loss, rtol=0, atol=1e-13)


def test_only_a_uniform_reference_gives_lemma_2() -> None:
    """The lemma's unstated assumption: with the policy itself as reference, w starts from 1/2, not from the policy."""
    p = logs([F(3, 4), F(1, 4)])
    even = [0.0, 0.0]
    assert fitness(p, even).tolist() == pytest.approx([-0.25, 0.25])
    from_policy = replicator_fitness(p, preferences(p, even), DPO(beta=1.0), reference=p)
    assert from_policy.tolist() == pytest.approx([0, 0], abs=1e-15)


@given(fractions_of_worlds())
def test_policy_equal_to_utility_is_at_rest(world: tuple[list[F], list[F]]) -> None:
    p = logs(world[0])
    shifted = [x + 3.5 for x in p]
    assert fitness(p, shifted).abs().max() < 1e-14


@given(fractions_of_worlds())
def test_uniform_fitness_changes_sign_when_policy_and_utility_trade_places(world: tuple[list[F], list[F]]) -> None:
    p, u = world
    q = logs([x / sum(u) for x in u])
    np.testing.assert_allclose(fitness(logs(p), q), -fitness(q, logs(p)), rtol=0, atol=1e-13)


@given(st.floats(-500, 500), st.floats(-500, 500))
def test_two_responses_keep_their_digits_in_the_tails(a: float, b: float) -> None:
    """One pair: w = sigma(a) - sigma(b), to full relative accuracy where both are near 0 or 1."""
    log_p = torch.log_softmax(torch.tensor([b, 0.0], dtype=torch.float64), 0)
    held = float(log_p[0] - log_p[1])
    with mpmath.workdps(500):
        wanted = 1 / (1 + mpmath.exp(-mpmath.mpf(a))) - 1 / (1 + mpmath.exp(-mpmath.mpf(held)))
    got = float(fitness(log_p, [a, 0.0])[0])
    assert got == pytest.approx(float(wanted), rel=1e-12, abs=0)


@given(fractions_of_worlds())
def test_balanced_update_is_the_policy_gradient(world: tuple[list[F], list[F]]) -> None:
    p, u = map(logs, world)
    w = fitness(p, u)
    logits = torch.tensor(p, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(torch.softmax(logits, 0) @ w, logits)
    exact = balanced_update(p, w)
    np.testing.assert_allclose(exact, gradient, rtol=0, atol=1e-14)
    np.testing.assert_allclose(exact, balanced_update(p, w + 7), rtol=0, atol=1e-13)
    assert abs(float(exact.sum())) < 1e-14


@given(fractions_of_worlds(), st.sampled_from(SAMPLING), st.floats(0.1, 5))
def test_balanced_update_is_the_gradient_of_a_balanced_loss(
    world: tuple[list[F], list[F]], sampling: str, scale: float
) -> None:
    """-log sigma(C (pi_w - pi_l)): C times the balanced update, with the fitness of that loss's own kappa."""
    p, u = world
    log_p, log_u = torch.tensor(logs(p), dtype=torch.float64), torch.tensor(logs(u), dtype=torch.float64)
    label = torch.sigmoid(log_u.unsqueeze(1) - log_u)
    kappa = torch.sigmoid(scale * (log_p.exp().unsqueeze(1) - log_p.exp()))
    w = (pair_log_weights(log_p, sampling).exp() * (label - kappa)).sum(1)
    asked = preferences(log_p, log_u, sampling)
    from_loss = asked.weight.sum() * replicator_fitness(log_p, asked, ProbabilityMargin(scale=scale))
    np.testing.assert_allclose(from_loss, scale * balanced_update(log_p, w), rtol=0, atol=1e-13)


def test_printed_update_lacks_the_mean() -> None:
    """The twin: w pi depends on a constant in w and does not sum to zero; the audited world of three responses."""
    p, w = logs([F(1, 2), F(1, 4), F(1, 4)]), [-1.0, 1.0, 0.0]
    exact, printed = balanced_update(p, w), printed_update(p, w)
    assert float(printed.sum()) == pytest.approx(-1 / 4)
    assert exact.tolist() == pytest.approx([-3 / 8, 5 / 16, 1 / 16])
    # Eq. 14 and its mended form, the changes of the probabilities: both updates enter the replicator equation
    assert balanced_update(p, exact).tolist() == pytest.approx([-9 / 64, 13 / 128, 5 / 128])
    assert balanced_update(p, printed).tolist() == pytest.approx([-5 / 32, 7 / 64, 3 / 64])


GOLDEN_FITNESS = {
    (45, 55): (-10.026205, -21.797324, 0.000045, 21.801187, 12.027723),
    (30, 70): (-42.044033, -57.953694, 0.075858, 58.962531, 44.249795),
    (48, 52): (-3.862764, -8.813311, 0.000009, 8.813760, 5.371189),
}
GOLDEN_EXTREMES = {
    ((45, 55), "uniform"): ((24, 76), (37, 58), (35, 55)),
    ((30, 70), "uniform"): ((20, 80), (28, 54), (25, 44)),
    ((48, 52), "uniform"): ((25, 75), (38, 60), (38, 59)),
    ((45, 55), "shiftless"): ((37, 56), (39, 53), (39, 53)),
    ((30, 70), "shiftless"): ((24, 41), (25, 39), (25, 38)),
    ((48, 52), "shiftless"): ((39, 58), (41, 56), (41, 55)),
}
GOLDEN_SHARES = {
    ((45, 55), "uniform"): (0.579, 0.050),
    ((30, 70), "uniform"): (0.198, 0.019),
    ((48, 52), "uniform"): (0.669, 0.070),
    ((45, 55), "shiftless"): (0.013, 0.002),
    ((30, 70), "shiftless"): (0.008, 0.001),
    ((48, 52), "shiftless"): (0.026, 0.003),
}
GOLDEN_IMBALANCE = {
    ((45, 55), "uniform"): 10.97,
    ((30, 70), "uniform"): 56.83,
    ((48, 52), "uniform"): 2.70,
    ((45, 55), "shiftless"): 1.51,
    ((30, 70), "shiftless"): 5.81,
    ((48, 52), "shiftless"): 1.083,
}
GOLDEN_EQ_14_ERROR = {
    ((45, 55), "uniform"): 0.28,
    ((30, 70), "uniform"): 2.10,
    ((48, 52), "uniform"): 0.12,
    ((45, 55), "shiftless"): 0.05,
    ((30, 70), "shiftless"): 0.08,
    ((48, 52), "shiftless"): 0.02,
}
PANELS = list(GOLDEN_EXTREMES)


@pytest.mark.parametrize("means", MEANS)
def test_golden_fitness(means: tuple[int, int]) -> None:
    world = GaussianWorld(*means)
    w = fitness(world.log_policy, world.log_utility)
    np.testing.assert_allclose(w[[0, 25, 50, 75, 99]], GOLDEN_FITNESS[means], rtol=0, atol=5.1e-7)
    highest = {(45, 55): 21.827, (30, 70): 60.18, (48, 52): 8.814}[means]
    assert float(w.max()) == pytest.approx(highest, abs=5.1e-3 if means == (30, 70) else 5.1e-4)


@pytest.mark.parametrize(("means", "sampling"), PANELS)
def test_golden_shapes(means: tuple[int, int], sampling: str) -> None:
    world = GaussianWorld(*means)
    log_p = world.log_policy
    w = fitness(log_p, world.log_utility, sampling)
    curves = (w, printed_update(log_p, w), balanced_update(log_p, w))
    assert tuple((int(c.argmin()), int(c.argmax())) for c in curves) == GOLDEN_EXTREMES[means, sampling]
    assert float(w.sum().abs() / w.abs().sum()) < 1e-14
    i = np.arange(100)
    outside = torch.from_numpy((i < means[0] - 20) | (i > means[1] + 20))
    shares = [float(c[outside].abs().sum() / c.abs().sum()) for c in curves[:2]]
    assert shares == pytest.approx(GOLDEN_SHARES[means, sampling], abs=5.1e-4)


@pytest.mark.parametrize(("means", "sampling"), PANELS)
def test_golden_imbalance(means: tuple[int, int], sampling: str) -> None:
    world = GaussianWorld(*means)
    golden = GOLDEN_IMBALANCE[means, sampling]
    assert imbalance(world.log_policy, world.log_utility, sampling) == pytest.approx(golden, abs=5.1e-3)


@pytest.mark.parametrize(("means", "sampling"), PANELS)
def test_golden_error_of_eq_14(means: tuple[int, int], sampling: str) -> None:
    """Relative L1 distance between the printed and the exact change of the probabilities."""
    world = GaussianWorld(*means)
    log_p = world.log_policy
    w = fitness(log_p, world.log_utility, sampling)
    exact = balanced_update(log_p, balanced_update(log_p, w))
    printed = balanced_update(log_p, printed_update(log_p, w))
    error = float((printed - exact).abs().sum() / exact.abs().sum())
    assert error == pytest.approx(GOLDEN_EQ_14_ERROR[means, sampling], abs=5.1e-3)


@pytest.mark.parametrize(
    ("means", "of_w", "of_printed"),
    [
        ((45, 55), (24.0890, 75.9387), (37.0183, 58.2704)),
        ((30, 70), (20.4565, 79.5584), (28.3988, 53.9874)),
        ((48, 52), (24.9633, 75.0412), (38.3242, 59.7478)),
    ],
)
def test_extremes_between_grid_points(means: tuple[int, int], of_w: tuple, of_printed: tuple) -> None:
    """Where the extremes lie if the response is a real number and its rivals stay on the grid."""
    grid = np.arange(100.0)

    def sigmoid_gap(y: float, mean: float) -> np.ndarray:
        return 1 / (1 + np.exp(((y - mean) ** 2 - (grid - mean) ** 2) / 200))

    def w(y: float) -> float:
        return float((sigmoid_gap(y, means[1]) - sigmoid_gap(y, means[0])).sum())

    def printed(y: float) -> float:
        return w(y) * math.exp(-((y - means[0]) ** 2) / 200)

    for curve, places in ((w, of_w), (printed, of_printed)):
        for sign, place in zip((1, -1), places, strict=True):
            found = minimize_scalar(
                lambda y, curve=curve, sign=sign: sign * curve(y),
                bounds=(place - 4, place + 4),
                method="bounded",
                options={"xatol": 1e-7},
            )
            assert found.x == pytest.approx(place, abs=1e-4)


half_integers = st.integers(20, 180).map(lambda n: n / 2)


@given(half_integers, half_integers, st.floats(1, 400))
def test_no_extreme_of_w_between_the_modes(one: float, other: float, variance: float) -> None:
    """ma2025 Theorem 3, first item, pairs drawn uniformly: w grows all the way from mu_P to mu_Q."""
    mu_p, mu_q = sorted((one, other))
    world = GaussianWorld(mu_p, mu_q, variance)
    w = fitness(world.log_policy, world.log_utility)
    between = w[math.ceil(mu_p) : math.floor(mu_q) + 1]
    assert bool((between.diff() > -1e-9).all())


def test_extremes_may_lie_between_the_modes_when_pairs_come_from_the_policy() -> None:
    """The twin without uniform sampling."""

    def inside(case: tuple[float, float]) -> bool:
        world = GaussianWorld(*case)
        w = fitness(world.log_policy, world.log_utility, "shiftless")
        return case[0] < int(w.argmax()) < case[1]

    assert inside((30, 70))
    found = find(st.tuples(half_integers, half_integers).filter(lambda c: c[0] < c[1]), inside)
    assert found[1] - found[0] > 10  # it takes a gap of more than a sigma


@given(fractions_of_worlds(), st.sampled_from(SAMPLING))
def test_imbalance_by_brute_force(world: tuple[list[F], list[F]], sampling: str) -> None:
    """The two expectations as sums of the loss's own partials, in probabilities taken as free."""
    p, u = world
    chosen = rejected = 0.0
    for i, j in permutations(range(len(p)), 2):
        weight = float((p[i] * p[j] if sampling == "shiftless" else 1) * u[i] / (u[i] + u[j]))
        partials = DPO(beta=1.0).partials(pair_log_probs(math.log(p[i]), math.log(p[j])))
        chosen += weight * abs(float(partials.chosen)) / float(p[i])
        rejected += weight * abs(float(partials.rejected)) / float(p[j])
    assert imbalance(logs(p), logs(u), sampling) == pytest.approx(chosen / rejected, rel=1e-12)


def test_imbalance_of_one_pair_is_the_odds_of_the_rejected() -> None:
    """ma2025 Eq. 2; Corollary 1 is right where pi_w > pi_l, and wrong where pi_w < pi_l."""
    certain = [60.0, 0.0]
    assert imbalance(logs([F(3, 4), F(1, 4)]), certain) == pytest.approx(1 / 3, rel=1e-12)
    assert imbalance(logs([F(1, 4), F(3, 4)]), certain) == pytest.approx(3, rel=1e-12)


@pytest.mark.parametrize(("means", "variance"), [((0, 99), 0.05), ((-1e4, 1e4), 100.0), ((50, 50), 1e12)])
@pytest.mark.parametrize("sampling", SAMPLING)
def test_extreme_worlds_are_finite(means: tuple[float, float], variance: float, sampling: str) -> None:
    world = GaussianWorld(*means, variance=variance)
    w = fitness(world.log_policy, world.log_utility, sampling)
    for curve in (w, printed_update(world.log_policy, w), balanced_update(world.log_policy, w)):
        assert bool(torch.isfinite(curve).all())
    assert float(w.sum().abs()) <= 1e-12 * max(1.0, float(w.abs().sum()))


@pytest.mark.parametrize(
    ("call", "at"),
    [
        (lambda: GaussianWorld(math.nan, 0), "policy_mean"),
        (lambda: GaussianWorld(0, math.inf), "preference_mean"),
        (lambda: GaussianWorld(0, 0, variance=0.0), "variance"),
        (lambda: GaussianWorld(0, 0, responses=1), "responses"),
        (lambda: fitness([0.0, 0.0], [0.0, 0.0]), "exp(log_policy)"),
        (lambda: fitness([0.0, -math.inf], [0.0, 0.0]), "log_policy"),
        (lambda: fitness([0.0], [0.0]), "log_policy"),
        (lambda: fitness([-math.log(2)] * 2, [0.0]), "log_utility"),
        (lambda: imbalance([-math.log(2)] * 2, [0.0, math.nan]), "log_utility"),
        (lambda: balanced_update([-math.log(2)] * 2, [0.0] * 3), "fitness_"),
        (lambda: pair_log_weights([-math.log(2)] * 2, "greedy"), "sampling"),
    ],
)
def test_bad_input_is_named(call: object, at: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        call()
    assert refused.value.argument == at
