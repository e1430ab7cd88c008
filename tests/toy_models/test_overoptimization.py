"""The tiny language model and its training against plain loops."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from dynamics import SGD, InvalidArgument, SelfPO, SimPO, simulate
from dynamics.grid import sweep
from dynamics.policies import Policy
from toy_models.overoptimization import (
    ACTIVATIONS,
    COUNTS,
    LENGTHS,
    LOSSES,
    SATURATED,
    SharedBigrams,
    descend,
    draw_worlds,
    loss_of,
    pair_averages,
    rate_factors,
    train,
)

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


@pytest.mark.parametrize(("cost", "prompts"), [(0.0, 8), (1.0, 24)])
def test_what_a_world_promises(cost: float, prompts: int) -> None:
    worlds = draw_worlds(range(6), pairs=64, nonsense_cost=cost, prompts=prompts)
    p = worlds.policy.log_probs(worlds.theta).exp()
    assert ((p * worlds.reward).sum(-1)).abs().max() < 1e-12
    sound = worlds.reward + cost * worlds.nonsense[:, None]
    deviation = (p * (sound - (p * sound).sum(-1, keepdim=True)) ** 2).sum(-1).sqrt()
    assert (deviation - 1).abs().max() < 1e-12
    assert (p * worlds.nonsense[:, None]).sum(-1).mean() < 0.15  # of 2 to 3 bigrams, hardly any
    responses = len(COUNTS)
    assert worlds.policy.shape[0] == prompts + 8
    assert (worlds.train.prompt == torch.arange(64) % prompts).all()
    assert (worlds.held_out.prompt >= prompts).all()
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
    for arguments in (([],), ([0], 0), ([0], 8, -1.0), ([-1],), ([0], 8, 1.0, 0)):
        with pytest.raises(InvalidArgument):
            draw_worlds(*arguments)


def test_the_listed_responses_are_those_of_the_policy() -> None:
    worlds = draw_worlds([2, 5], pairs=12, prompts=3)
    theta = worlds.theta + 0.3 * torch.randn(2, 100, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    every = worlds.policy.log_probs(theta).flatten(1)
    listed = worlds.listed(slice(4, 9))
    sides = [side[:, 4:9] for side in (worlds.train.chosen, worlds.train.rejected)]
    torch.testing.assert_close(listed.log_probs(theta), torch.stack([every.gather(1, side) for side in sides], -1))
    average = every / worlds.policy.lengths
    sides = [side[:, -2:] for side in (worlds.train.chosen, worlds.train.rejected)]
    expected = torch.stack([average.gather(1, side) for side in sides], -1)
    torch.testing.assert_close(pair_averages(worlds, theta, count=2), expected)
    assert pair_averages(worlds, theta).shape == (2, 12, 2)


def test_picked_worlds_are_the_worlds() -> None:
    worlds = draw_worlds([2, 5], pairs=12)
    picked = worlds.pick([1, 0, 1])
    for name in ("theta", "reward", "nonsense"):
        assert torch.equal(getattr(picked, name), getattr(worlds, name)[[1, 0, 1]])
    assert torch.equal(picked.train.chosen, worlds.train.chosen[[1, 0, 1]])
    assert torch.equal(picked.held_out.rejected, worlds.held_out.rejected[[1, 0, 1]])
    expected = worlds.policy.log_probs(worlds.theta)[[1, 0, 1], -8:]
    torch.testing.assert_close(picked.held_out_policy().log_probs(picked.theta), expected)


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


MINIBATCH, PAIRS, PROMPTS, STEPS = 6, 24, 5, 20  # five epochs of four minibatches
SHORT = {"pairs": PAIRS, "prompts": PROMPTS, "minibatch": MINIBATCH, "epochs": 5, "records": STEPS + 1}


def plain_loop(
    name: str, seed: int, beta: float, gamma: float, rate: float, adam: bool, cosine: bool
) -> dict[str, list[float]]:
    """One run in torch's own modules: its optimizers, its autograd, one pair of log-probabilities at a time."""
    worlds = draw_worlds([seed], pairs=PAIRS, prompts=PROMPTS)
    features, theta = worlds.policy.features[0], worlds.theta[0].clone().requires_grad_()
    policy = SharedBigrams(features)
    lengths = torch.from_numpy(LENGTHS)
    own = {"silu": torch.nn.functional.silu, "simpo": torch.nn.functional.softplus, "square": torch.square}[name]
    optimizer = torch.optim.AdamW([theta], rate, weight_decay=0.0) if adam else torch.optim.SGD([theta], rate)
    both = list(zip(worlds.train.chosen[0].tolist(), worlds.train.rejected[0].tolist(), strict=True))
    seen: dict[str, list[float]] = {"chosen": [], "reward": [], "entropy": [], "divergence": [], "largest_margin": []}
    start = policy.log_probs(theta).detach()
    for t in range(STEPS + 1):
        log_probs = policy.log_probs(theta)
        gaps, chosen = [], []
        for w, loser in both:
            x, y = divmod(w, 341)
            chosen.append(log_probs[x, y] / lengths[y])
            gaps.append(beta * (chosen[-1] - log_probs[x, loser % 341] / lengths[loser % 341]) - gamma)
        p = log_probs.detach().exp()[PROMPTS:]
        seen["chosen"].append(float(torch.stack(chosen).mean().detach()))
        seen["largest_margin"].append(float(torch.stack(gaps).max().detach()))
        seen["reward"].append(float((p * worlds.reward[0, PROMPTS:]).sum()) / 8)
        seen["entropy"].append(float(torch.distributions.Categorical(p).entropy().mean()))
        seen["divergence"].append(float((p * (log_probs.detach() - start)[PROMPTS:]).sum()) / 8)
        first = t * MINIBATCH % PAIRS
        loss = own(-torch.stack(gaps[first : first + MINIBATCH])).mean()
        optimizer.zero_grad()
        loss.backward()
        if cosine:  # two steps up, and then half a cosine down
            factor = (t + 1) / 2 if t < 2 else 0.5 + 0.5 * math.cos(math.pi * (t - 2) / (STEPS - 2))
            optimizer.param_groups[0]["lr"] = factor * rate
        optimizer.step()
    return seen


CASES = [("silu", "adamw", 0.02, "cosine"), ("simpo", "adamw", 0.02, "constant"), ("square", "sgd", 0.1, "cosine")]


@pytest.mark.parametrize(("name", "optimizer", "rate", "schedule"), CASES)
def test_a_batched_run_is_a_plain_loop(name: str, optimizer: str, rate: float, schedule: str) -> None:
    cosine = schedule == "cosine"
    rates = np.array([rate, 0.5 * rate])
    batch = {
        "loss": name,
        "optimizer": optimizer,
        "schedule": schedule,
        "warmup": 0.1 * cosine,
        "learning_rate": rates,
        "seed": np.array([1, 4]),
        "beta": np.array([2.5, 1.2]),
        "gamma": np.array([0.8, 0.1]),
    }
    batched = train(SHORT | batch)
    for row, (seed, beta, gamma) in enumerate([(1, 2.5, 0.8), (4, 1.2, 0.1)]):
        alone = plain_loop(name, seed, beta, gamma, rates[row], optimizer == "adamw", cosine)
        for result, values in alone.items():
            np.testing.assert_allclose(batched[result][row], values, rtol=1e-7, atol=1e-9, err_msg=result)


def test_training_is_what_simulate_does() -> None:
    """The listed responses alone give the path that all responses of all prompts give."""
    worlds = draw_worlds([2, 9])
    run = simulate(worlds.policy, worlds.theta, worlds.train, loss=SimPO(2.5, 0.8), steps=20, seeds=2)
    rate = torch.full((2, 1), 0.1, dtype=torch.float64)
    path = descend(worlds, SimPO(2.5, 0.8), rate, SGD(), [1.0] * 20, minibatch=64, records=21)
    torch.testing.assert_close(worlds.policy.log_probs(path), run.log_probs[:, 0, 0], rtol=1e-10, atol=1e-10)


def test_it_is_a_function_for_sweep() -> None:
    grid = {"loss": ["silu", "simpo"], "gamma": [0.0, 0.8]} | {name: [value] for name, value in SHORT.items()}
    table = sweep(train, grid, [0, 1], static=list(SHORT), batch_size=3, jobs=1)
    assert table["reward"].shape == (8, STEPS + 1)
    assert (table["step"] == np.arange(STEPS + 1)).all()
    row = table.where(loss="simpo", gamma=0.8, seed=1)
    alone = train(SHORT | {"loss": "simpo", "gamma": 0.8, "seed": np.array([1])})
    for result in alone:
        np.testing.assert_allclose(row[result], alone[result], rtol=1e-9, atol=1e-12)


def test_every_run_of_a_seed_starts_at_one_reference() -> None:
    starts = [train(SHORT | {"loss": name, "seed": np.array([3])}) for name in LOSSES]
    for result in ("chosen", "rejected", "reward", "divergence", "entropy", "nonsense"):
        assert len({float(start[result][0, 0]) for start in starts}) == 1
    assert all(abs(start["divergence"][0, 0]) < 1e-12 for start in starts)
    assert all((start["divergence"] >= -1e-12).all() for start in starts)


def test_an_epoch_sees_every_pair_once_and_many_epochs_the_same_pairs() -> None:
    """One pair of a data set left out changes a run after its own step only, be it in the first or the second epoch."""
    worlds = draw_worlds([6], pairs=8, prompts=4)
    rate = torch.full((1, 1), 0.3, dtype=torch.float64)
    run = partial(descend, loss=SimPO(2.5, 0.8), rate=rate, optimizer=SGD(), minibatch=2, records=9)
    swapped_pair = torch.arange(8) == 5  # in the third minibatch
    chosen = worlds.train.chosen.where(~swapped_pair, worlds.train.rejected)
    rejected = worlds.train.rejected.where(~swapped_pair, worlds.train.chosen)
    other = replace(worlds, train=replace(worlds.train, chosen=chosen, rejected=rejected))
    apart = (run(worlds, factors=[1.0] * 8) - run(other, factors=[1.0] * 8)).abs().amax((-1, -2))
    assert (apart[:3] == 0).all()
    assert (apart[3:] > 1e-3).all()


def test_the_schedule() -> None:
    factors = rate_factors("cosine", 0.1, 200)
    assert factors[:20] == [(t + 1) / 20 for t in range(20)]
    assert max(factors) == 1
    assert factors[110] == pytest.approx(0.5)
    assert 0 < factors[-1] < 1e-3
    assert (np.diff(factors[20:]) < 0).all()
    assert rate_factors("constant", 0.0, 3) == [1.0, 1.0, 1.0]
    assert rate_factors("cosine", 1.0, 4) == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(("optimizer", "cost"), [("adamw", 0.0), ("sgd", 1.0)])
def test_the_saturated_fall_needs_costly_nonsense_and_large_steps(optimizer: str, cost: float) -> None:
    """With the same 64 pairs 400 times the true reward falls, but hardly if one of two things is different."""
    seeds = np.arange(8)
    rate = 0.02 if optimizer == "adamw" else 1.0
    changed = train(SATURATED | {"seed": seeds, "optimizer": optimizer, "nonsense_cost": cost, "learning_rate": rate})
    as_it_is = train(SATURATED | {"seed": seeds})
    falls = [run["reward"].mean(0).max() - run["reward"].mean(0)[-1] for run in (changed, as_it_is)]
    assert falls[0] < falls[1] / 3
    assert falls[1] > 0.3


WRONG = [
    {},  # no seed
    {"tau": 1.0},
    {"minibatch": 7},
    {"records": 8},
    {"records": 1},
    {"learning_rate": -0.1},
    {"pairs": np.array([8])},
    {"pairs": 0},
    {"prompts": 0},
    {"epochs": 0},
    {"optimizer": "lion"},
    {"schedule": "linear"},
    {"warmup": 1.5},
    {"warmup": math.nan},
    {"loss": "dpo"},
    {"beta": -1.0},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_impossible_runs_are_refused(wrong: dict) -> None:
    with pytest.raises(InvalidArgument):
        train(SHORT | wrong | ({"seed": np.array([0])} if wrong else {}))
