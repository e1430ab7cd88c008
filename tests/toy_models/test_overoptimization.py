"""The tiny language model and its training against plain loops; the attractor against closed forms."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from dynamics import SGD, InvalidArgument, SelfPO, SimPO, simulate
from dynamics.grid import sweep
from dynamics.policies import Policy
from theory.sun2025 import margins
from theory.sun2025.floor import FLOOR_CURVATURE, FLOOR_MARGIN, W
from theory.sun2025.margins import LIMIT_OF_STEPS, push, shared_floor
from toy_models.overoptimization import (
    ACTIVATIONS,
    COUNTS,
    LENGTHS,
    LOSSES,
    RECORDS,
    SharedBigrams,
    descend,
    descend_margins,
    draw_worlds,
    flow_margins,
    loss_of,
    shared_margins,
    train,
)

SHORT = 40  # steps

# ---------------------------------------------------------------- the policy


def random_theta(seed: int, *runs: int) -> torch.Tensor:
    return torch.randn(*runs, 50, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


POLICY = SharedBigrams(torch.tensor([[1.0, 0.5], [1.0, -1.5], [1.0, 0.0]], dtype=torch.float64))


def by_hand(theta: torch.Tensor, features: torch.Tensor, words: tuple[int, ...]) -> float:
    """Log-probability of a response of words 0..3 at one prompt, token by token."""
    weights = theta.reshape(2, 5, 5)
    tokens = (*words, 4) if len(words) < 4 else words
    total, before = 0.0, 4
    for token in tokens:
        logits = [float(sum(features[k] * weights[k, before, t] for k in range(2))) for t in range(5)]
        total += logits[token] - math.log(sum(math.exp(x) for x in logits))
        before = token
    return total


@given(st.integers(0, 10**6), st.integers(0, 2), st.lists(st.integers(0, 3), max_size=4))
@settings(max_examples=30)
def test_a_response_is_the_product_of_its_tokens(seed: int, prompt: int, words: list[int]) -> None:
    theta = random_theta(seed)
    every = [w for n in range(5) for w in itertools.product(range(4), repeat=n)]
    seen = POLICY.log_probs(theta)[prompt, every.index(tuple(words))]
    assert float(seen) == pytest.approx(by_hand(theta, POLICY.features[prompt], tuple(words)), abs=1e-12)


def test_it_is_a_policy_of_all_responses() -> None:
    assert isinstance(POLICY, Policy)
    assert POLICY.shape == (3, 341)
    assert LENGTHS.min() == 1
    assert LENGTHS.max() == 4
    assert POLICY.lengths.shape == (3 * 341,)
    log_probs = POLICY.log_probs(random_theta(0, 6))
    assert log_probs.shape == (6, 3, 341)
    assert (log_probs.exp().sum(-1) - 1).abs().max() < 1e-12
    with pytest.raises(InvalidArgument, match="features"):
        SharedBigrams(torch.ones(3, dtype=torch.float64))


def test_a_pair_teaches_about_other_prompts() -> None:
    """What a tree of separate logits cannot: the gradient of one response at one prompt moves all others."""
    theta = random_theta(1).requires_grad_()
    log_probs = POLICY.log_probs(theta)
    (gradient,) = torch.autograd.grad(log_probs[0, 100], theta, retain_graph=True)
    moved = torch.func.jvp(POLICY.log_probs, (theta.detach(),), (gradient,))[1]
    assert (moved[1:].abs() > 1e-6).double().mean() > 0.5


# ---------------------------------------------------------------- the worlds


def test_a_world_depends_on_its_seed_alone() -> None:
    alone, among = draw_worlds([7], pairs=16), draw_worlds([3, 7], pairs=16)
    torch.testing.assert_close(alone.reward[0], among.reward[1], rtol=0, atol=0)
    torch.testing.assert_close(alone.train.chosen[0], among.train.chosen[1], rtol=0, atol=0)
    assert not torch.equal(among.theta[0], among.theta[1])


@pytest.mark.parametrize("cost", [0.0, 1.0])
def test_what_a_world_promises(cost: float) -> None:
    worlds = draw_worlds(range(6), pairs=64, nonsense_cost=cost)
    p = worlds.policy.log_probs(worlds.theta).exp()
    assert ((p * worlds.reward).sum(-1)).abs().max() < 1e-12
    sound = worlds.reward + cost * worlds.nonsense[:, None]
    deviation = (p * (sound - (p * sound).sum(-1, keepdim=True)) ** 2).sum(-1).sqrt()
    assert (deviation - 1).abs().max() < 1e-12
    assert (p * worlds.nonsense[:, None]).sum(-1).mean() < 0.15  # of 2 to 3 bigrams, hardly any
    responses, half = len(COUNTS), worlds.policy.shape[0] // 2
    assert (worlds.train.prompt < half).all()
    assert (worlds.held_out.prompt >= half).all()
    assert (worlds.train.chosen != worlds.train.rejected).all()
    assert (worlds.train.chosen // responses == worlds.train.rejected // responses).all()
    assert bool((worlds.train.weight == 1).all())
    reward = worlds.reward.flatten(1)
    lead = reward.gather(-1, worlds.held_out.chosen) - reward.gather(-1, worlds.held_out.rejected)
    assert (lead > 0).all()
    noisy = reward.gather(-1, worlds.train.chosen) > reward.gather(-1, worlds.train.rejected)
    assert 0.6 < noisy.double().mean() < 0.95


def test_pairs_are_draws_of_the_reference() -> None:
    worlds = draw_worlds([5], pairs=20000)
    drawn = torch.cat([worlds.train.chosen[0], worlds.train.rejected[0]])
    p = worlds.policy.log_probs(worlds.theta)[0].exp()
    here = drawn[drawn < len(COUNTS)]  # the first prompt: 2500 pairs
    share = torch.bincount(here, minlength=len(COUNTS)) / len(here)
    # a pair without replacement: the first is y with p_y, the second with p_y sum of p_z / (1 - p_z) over other z
    odds = p[0] / (1 - p[0])
    expected = (p[0] + p[0] * (odds.sum() - odds)) / 2
    assert (share - expected).abs().max() < 5 * math.sqrt(0.25 / len(here))
    assert (share - 1 / 341).abs().max() > 0.05


def test_impossible_worlds_are_refused() -> None:
    for arguments in (([],), ([0], 0), ([0], 8, -1.0), ([-1],)):
        with pytest.raises(InvalidArgument):
            draw_worlds(*arguments)


# ---------------------------------------------------------------- the losses and the training


@given(st.sampled_from(ACTIVATIONS), st.floats(-6, -0.1), st.floats(-6, -0.1), st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=60)
def test_the_gradient_is_that_of_the_activation(name: str, chosen: float, rejected: float, n: int, m: int) -> None:
    """Autograd through torch's own activations, not through the closed forms of ``dynamics``."""
    own = {
        "silu": torch.nn.functional.silu,
        "gelu": torch.nn.functional.gelu,
        "relu": torch.relu,
        "square": torch.square,
        "identity": torch.clone,
    }
    logs = torch.tensor([chosen, rejected], dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(own[name](-(2.5 * logs[0] / n - 2.5 * logs[1] / m - 0.8)), logs)
    again = logs.detach().clone().requires_grad_()
    (seen,) = torch.autograd.grad(loss_of(name, 2.5, 0.8)(again[0], again[1], 0.0, 0.0, n, m), again)
    torch.testing.assert_close(seen, expected, rtol=1e-9, atol=1e-12)


def test_losses_by_name() -> None:
    assert isinstance(loss_of("simpo", 2.0, 0.5), SimPO)
    assert loss_of("relu", 2.0, 0.5) == SelfPO(2.0, 0.5, "relu")
    with pytest.raises(InvalidArgument, match="loss"):
        loss_of("dpo", 2.0, 0.5)


def plain_loop(name: str, seed: int, beta: float, gamma: float, rate: float, adam: bool) -> dict[str, list[float]]:
    """One run in torch's own modules: its optimizers, its autograd, one pair of log-probabilities at a time."""
    worlds = draw_worlds([seed], pairs=24)
    features, theta = worlds.policy.features[0], worlds.theta[0].clone().requires_grad_()
    policy = SharedBigrams(features)
    lengths = torch.from_numpy(LENGTHS)
    own = {"silu": torch.nn.functional.silu, "simpo": torch.nn.functional.softplus, "square": torch.square}[name]
    optimizer = torch.optim.AdamW([theta], rate, weight_decay=0.0) if adam else torch.optim.SGD([theta], rate)
    seen: dict[str, list[float]] = {"chosen": [], "reward": [], "entropy": [], "largest_margin": []}
    for _ in range(SHORT + 1):
        log_probs = policy.log_probs(theta)
        gaps, chosen = [], []
        for w, loser in zip(worlds.train.chosen[0].tolist(), worlds.train.rejected[0].tolist(), strict=True):
            x, y = divmod(w, 341)
            chosen.append(log_probs[x, y] / lengths[y])
            gaps.append(beta * (chosen[-1] - log_probs[x, loser % 341] / lengths[loser % 341]) - gamma)
        p = log_probs.detach().exp()
        seen["chosen"].append(float(torch.stack(chosen).mean().detach()))
        seen["largest_margin"].append(float(torch.stack(gaps).max().detach()))
        seen["reward"].append(float((p[8:] * worlds.reward[0, 8:]).sum()) / 8)
        seen["entropy"].append(float(torch.distributions.Categorical(p).entropy().mean()))
        loss = own(-torch.stack(gaps)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return seen


CASES = [("silu", "adamw", 0.02), ("simpo", "adamw", 0.02), ("square", "sgd", 0.1)]


@pytest.mark.parametrize(("name", "optimizer", "rate"), CASES)
def test_a_batched_run_is_a_plain_loop(name: str, optimizer: str, rate: float) -> None:
    settings = {"loss": name, "optimizer": optimizer, "steps": SHORT, "pairs": 24}
    rates = np.array([rate, 0.5 * rate])
    batch = settings | {
        "learning_rate": rates,
        "seed": np.array([1, 4]),
        "beta": np.array([2.5, 1.2]),
        "gamma": np.array([0.8, 0.1]),
    }
    batched = train(batch)
    for row, (seed, beta, gamma) in enumerate([(1, 2.5, 0.8), (4, 1.2, 0.1)]):
        alone = plain_loop(name, seed, beta, gamma, rates[row], optimizer == "adamw")
        for result, values in alone.items():
            np.testing.assert_allclose(batched[result][row], values, rtol=1e-7, atol=1e-9, err_msg=result)


def test_training_is_what_simulate_does() -> None:
    """The trained prompts alone give the path that all prompts give, with whole responses enumerated."""
    worlds = draw_worlds([2, 9])
    run = simulate(worlds.policy, worlds.theta, worlds.train, loss=SimPO(2.5, 0.8), steps=SHORT, seeds=2)
    rate = torch.full((2, 1), 0.1, dtype=torch.float64)
    path = descend(worlds, SimPO(2.5, 0.8), rate, SGD(), SHORT)
    torch.testing.assert_close(worlds.policy.log_probs(path), run.log_probs[:, 0, 0], rtol=1e-10, atol=1e-10)


def test_it_is_a_function_for_sweep() -> None:
    grid = {"loss": ["silu", "simpo"], "steps": [SHORT], "gamma": [0.0, 0.8]}
    table = sweep(train, grid, [0, 1], static=["loss", "steps"], batch_size=3, jobs=1)
    assert table["reward"].shape == (8, RECORDS)
    assert (table["step"] == np.arange(RECORDS)).all()
    row = table.where(loss="simpo", gamma=0.8, seed=1)
    alone = train({"loss": "simpo", "steps": SHORT, "gamma": 0.8, "seed": np.array([1])})
    for result in alone:
        np.testing.assert_allclose(row[result], alone[result], rtol=1e-9, atol=1e-12)


def test_every_run_of_a_seed_starts_at_one_reference() -> None:
    starts = [train({"loss": name, "steps": SHORT, "seed": np.array([3])}) for name in LOSSES]
    for result in ("chosen", "rejected", "reward", "divergence", "entropy", "nonsense"):
        assert len({float(start[result][0, 0]) for start in starts}) == 1
    assert all(abs(start["divergence"][0, 0]) < 1e-12 for start in starts)
    assert all((start["divergence"] >= -1e-12).all() for start in starts)


WRONG = [
    {"steps": SHORT},  # no seed
    {"seed": np.array([0]), "tau": 1.0},
    {"seed": np.array([0]), "steps": 41},
    {"seed": np.array([0]), "steps": 39},
    {"seed": np.array([0]), "learning_rate": -0.1},
    {"seed": np.array([0]), "pairs": np.array([8])},
    {"seed": np.array([0]), "optimizer": "lion"},
    {"seed": np.array([0]), "loss": "dpo"},
    {"seed": np.array([0]), "beta": -1.0},
]


@pytest.mark.parametrize("batch", WRONG)
def test_impossible_runs_are_refused(batch: dict) -> None:
    with pytest.raises(InvalidArgument):
        train(batch)


# ---------------------------------------------------------------- the attractor


def slope(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def test_where_and_how_fast_it_settles() -> None:
    """Audit S-26: 1 + W, and 0.21781 = W / (1 + W) for both sides."""
    late = np.array([0.0, 60.0, 70.0])
    distance = flow_margins([-3.0, 1.2, 2.0], late) - FLOOR_MARGIN
    rate = np.log(distance[1] / distance[2]) / 10
    np.testing.assert_allclose(rate, FLOOR_CURVATURE, rtol=2e-3)
    assert pytest.approx(0.217812, abs=1e-6) == FLOOR_CURVATURE
    assert np.abs(flow_margins([-3.0, 5.0], [0.0, 300.0])[-1] - 1.278464542761074).max() < 1e-8


def test_one_step_is_one_unit_of_the_flow() -> None:
    """First order: a step of size s moves the margin by s push(m), the flow by the same, to the order of s^2."""
    sizes = np.geomspace(1e-3, 1e-1, 5)
    for start in (-2.0, 0.5, 3.0):
        ends = descend_margins([start], sizes.tolist(), 1)[-1, :, 0]
        np.testing.assert_allclose(ends - start, sizes * push(start), rtol=1e-9)
        flow = np.array([flow_margins([start], [0.0, float(s)])[-1, 0] for s in sizes])
        assert slope(sizes, np.abs(flow - ends)) == pytest.approx(2.0, abs=0.05)


def test_near_the_floor_a_step_multiplies_the_distance() -> None:
    """By 1 - s W / (1 + W), to the second order in the distance."""
    off = np.geomspace(1e-4, 1e-2, 5)
    for size in (1.0, 5.0, 9.0):
        after = descend_margins((FLOOR_MARGIN + off).tolist(), [size], 1)[-1, 0] - FLOOR_MARGIN
        rest = np.abs(after - (1 - size * FLOOR_CURVATURE) * off)
        assert slope(off, rest) == pytest.approx(2.0, abs=0.1)


def test_descent_agrees_with_one_margin_at_a_time() -> None:
    starts, sizes = [-10.0, -2.0, 4.0], [0.5, 8.0, 20.0]
    seen = descend_margins(starts, sizes, 60)[-1]
    expected = [[margins.descend(start, size, 60) for start in starts] for size in sizes]
    np.testing.assert_allclose(seen, expected, rtol=1e-5)  # steps of size 20 magnify the last bit


@pytest.mark.parametrize(("share", "settles"), [(0.95, True), (1.1, False)])
def test_the_limit_of_the_step_size(share: float, settles: bool) -> None:
    end = descend_margins([FLOOR_MARGIN + 1e-3], [share * LIMIT_OF_STEPS], 1500)[-1, 0, 0]
    assert bool(abs(end - FLOOR_MARGIN) < 1e-9) is settles
    assert pytest.approx(9.1822, abs=1e-4) == LIMIT_OF_STEPS


def test_a_large_step_jumps_the_floor() -> None:
    """Audit S-26: from -10 with size 20 to 10 in one step; 5.4 after 1e4 (8.6 after 100)."""
    path = descend_margins([-10.0], [20.0], 101)[:, 0, 0]
    assert path[1] == pytest.approx(10.0, abs=0.05)
    assert path[101] == pytest.approx(8.6, abs=0.05)
    assert margins.descend(-10.0, 20.0, 10001) < 5.4


def test_the_way_back_is_slow_and_the_basin_is_everything() -> None:
    starts = [-30.0, -5.0, 6.0, 7.0]
    path = flow_margins(starts, [0.0, 50.0, 900.0])
    assert np.abs(path[-1] - FLOOR_MARGIN).max() < 1e-6
    assert path[1, 2] > 5
    assert path[1, 3] > 6.5


def test_shared_parameters_carry_a_pair() -> None:
    """Audit S-26: (N, c) = (100, 10) gives 12.78, (1e4, 20) gives 25.57; alone, the pair is held near the floor."""
    many, scales = [100, 10_000, 1, 3], [10.0, 20.0, 1.0, 4.0]
    theta, last = shared_margins(many, scales, time=400.0).T
    assert last[:2] == pytest.approx([12.784, 25.569], abs=1e-3)
    expected = [shared_floor(n, c) for n, c in zip(many, scales, strict=True)]
    np.testing.assert_allclose(theta, expected, rtol=1e-7)
    np.testing.assert_allclose(last, theta * scales, rtol=1e-12)
    assert last[2] == pytest.approx(1 + W, abs=1e-8)


def test_the_logistic_loss_never_settles() -> None:
    times = np.array([0.0, 10.0, 1000.0])
    margin = flow_margins([-0.7], times, "simpo")[:, 0]
    np.testing.assert_allclose(margin + np.exp(margin), -0.7 + math.exp(-0.7) + times, rtol=1e-8, atol=1e-9)


def test_impossible_pairs_are_refused() -> None:
    with pytest.raises(InvalidArgument):
        descend_margins([0.0], [-1.0], 3)
    with pytest.raises(InvalidArgument):
        flow_margins([math.nan], [0.0, 1.0])
    with pytest.raises(InvalidArgument):
        shared_margins([0], [1.0])
    with pytest.raises(InvalidArgument):
        shared_margins([1], [-1.0])
