"""Preferences: weights, matrices as weighted pairs, and minibatches whose gradient is right on average."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from dynamics import DPO, InvalidArgument, Preferences, Tabular, bradley_terry, pairs, preference_matrix
from dynamics.gradient import objective_gradient
from tests.dynamics.strategies import close, tensor

sizes = st.integers(2, 5)


def random_matrix(n: int, seed: int, prompts: int | None = None) -> np.ndarray:
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.uniform(size=(n, n) if prompts is None else (prompts, n, n)), 1)
    lower = np.swapaxes(np.triu(np.ones((n, n)), 1) - upper, -1, -2)
    return upper + lower + np.eye(n) / 2


@given(sizes, st.integers(0, 1000), st.floats(0.05, 2))
def test_expected_dpo_gradient_is_beta_times_the_mean_of_preference_less_belief(n: int, seed: int, beta: float) -> None:
    rng = np.random.default_rng(seed)
    table, theta, reference = random_matrix(n, seed), rng.normal(size=n), rng.normal(size=n)
    kappa = 1 / (1 + np.exp(-beta * np.subtract.outer(theta - reference, theta - reference)))
    compared = n * (n - 1) / 2
    want = beta * (table - kappa).sum(1) / compared  # the diagonal is 1/2 - 1/2
    base = torch.log_softmax(tensor(reference), -1)
    got = -objective_gradient(Tabular(n), tensor(theta), preference_matrix(table), DPO(beta=beta), base)
    close(got, want)


@given(sizes, st.integers(0, 1000))
def test_a_matrix_gives_every_ordered_pair_its_weight(n: int, seed: int) -> None:
    table = random_matrix(n, seed, prompts=2)
    sampling = np.random.default_rng(seed).uniform(size=(2, n, n))
    sampling = sampling + np.swapaxes(sampling, -1, -2)
    found = preference_matrix(table, sampling=sampling)
    assert found.shape == (2, n)
    assert len(found.weight) == 2 * n * (n - 1)
    for flat_i, flat_j, weight in zip(found.chosen, found.rejected, found.weight, strict=True):
        (x, i), (y, j) = divmod(int(flat_i), n), divmod(int(flat_j), n)
        assert x == y
        assert math.isclose(float(weight), sampling[x, i, j] * table[x, i, j])


def test_pairs_that_are_never_asked_are_left_out() -> None:
    found = preference_matrix([[0.5, 1.0], [0.0, 0.5]])
    assert found.chosen.tolist() == [0]
    assert found.rejected.tolist() == [1]


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=5))
def test_bradley_terry(rewards: list[float]) -> None:
    r = np.array(rewards)
    table = bradley_terry(rewards)
    close(table, np.exp(r)[:, None] / (np.exp(r)[:, None] + np.exp(r)[None, :]))
    preference_matrix(table)  # is one


def test_pairs_of_prompts_have_flat_indices() -> None:
    found = pairs([0, 1], [2, 0], shape=(2, 3), prompt=[0, 1], weight=[1.0, 0.5])
    assert found.chosen.tolist() == [0, 4]
    assert found.rejected.tolist() == [2, 3]
    assert found.prompt.tolist() == [0, 1]
    assert found.weight.tolist() == [1.0, 0.5]
    assert pairs(0, [1, 2], shape=(3,)).chosen.tolist() == [0, 0]


# ---------------------------------------------------------------- minibatches

THETA = tensor([0.5, -0.3, 0.0, 1.0])
WEIGHTED = pairs([0, 1, 2, 3, 0], [1, 2, 3, 0, 2], shape=(4,), weight=[0.1, 2.0, 0.0, 0.7, 0.3])


def gradients(preferences: Preferences) -> torch.Tensor:
    reference = torch.log_softmax(torch.zeros(4, dtype=torch.float64), -1)
    runs = preferences.chosen.shape[:-1]
    return objective_gradient(Tabular(4), THETA.expand(*runs, 4), preferences, DPO(beta=1.0), reference)


def worst_deviation(samples: torch.Tensor, mean: torch.Tensor) -> float:
    """Largest deviation of the mean of samples from a value, in standard errors."""
    error = samples.std(0) / math.sqrt(len(samples))
    return float(((samples.mean(0) - mean).abs() / error).max())


@pytest.mark.parametrize("size", [1, 3])
def test_minibatch_gradient_is_unbiased(size: int) -> None:
    batch = WEIGHTED.sample(size, torch.Generator().manual_seed(0), runs=(40_000,))
    assert batch.chosen.shape == (40_000, size)
    samples = gradients(batch)
    assert worst_deviation(samples, gradients(WEIGHTED)) < 4
    # the check sees a bias: pairs drawn without regard to their weight
    flat = dataclasses.replace(WEIGHTED, weight=torch.full_like(WEIGHTED.weight, float(WEIGHTED.weight.mean())))
    assert (
        worst_deviation(gradients(flat.sample(size, torch.Generator().manual_seed(0), (40_000,))), gradients(WEIGHTED))
        > 20
    )


def test_pairs_of_weight_zero_are_never_drawn() -> None:
    batch = WEIGHTED.sample(10_000, torch.Generator().manual_seed(0))
    drawn = set(zip(batch.chosen.tolist(), batch.rejected.tolist(), strict=True))
    assert drawn == {(0, 1), (1, 2), (3, 0), (0, 2)}
    assert set(batch.weight.tolist()) == {1.0}


def test_each_run_may_have_its_own_weights() -> None:
    weight = tensor([[1.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 2.0, 2.0]])
    batch = dataclasses.replace(WEIGHTED, weight=weight).sample(200, torch.Generator().manual_seed(0), (2,))
    assert set(batch.chosen[0].tolist()) == {0}
    assert set(zip(batch.chosen[1].tolist(), batch.rejected[1].tolist(), strict=True)) == {(3, 0), (0, 2)}
    assert batch.weight.tolist() == [[1.0] * 200] * 2


def test_each_run_may_have_its_own_pairs() -> None:
    lists = Preferences(torch.tensor([[0, 1], [2, 3]]), torch.tensor([[1, 2], [3, 0]]), tensor([[1.0, 1.0]] * 2), (4,))
    batch = lists.sample(50, torch.Generator().manual_seed(0), (2,))
    assert set(zip(batch.chosen[0].tolist(), batch.rejected[0].tolist(), strict=True)) == {(0, 1), (1, 2)}
    assert set(zip(batch.chosen[1].tolist(), batch.rejected[1].tolist(), strict=True)) == {(2, 3), (3, 0)}


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: pairs(3, 0, shape=(3,)), "chosen"),
        (lambda: pairs(0, -1, shape=(3,)), "rejected"),
        (lambda: pairs(0.0, 1, shape=(3,)), "chosen"),
        (lambda: pairs([[0], [1, 2]], 0, shape=(3,)), "chosen"),
        (lambda: pairs(1, 1, shape=(3,)), "rejected"),
        (lambda: pairs([0, 1], [2, 1], shape=(3,)), "rejected"),
        (lambda: pairs(0, 1, shape=(3,), prompt=1), "prompt"),
        (lambda: pairs(0, 1, shape=(2, 3), prompt=2), "prompt"),
        (lambda: pairs(0, 1, shape=(3,), weight=-1.0), "weight"),
        (lambda: pairs(0, 1, shape=(3,), weight=math.nan), "weight"),
        (lambda: pairs(0, 1, shape=(3,), weight=0.0), "weight"),
        (lambda: pairs([0, 1], 2, shape=(3,), weight=[1e308, 1e308]), "weight"),
        (lambda: pairs([0, 1], [2, 2, 2], shape=(3,)), "chosen, rejected, prompt, weight"),
        (lambda: pairs([[0, 1]], [[2, 2]], shape=(3,)), "chosen"),
        (lambda: preference_matrix([0.5, 0.5]), "probabilities"),
        (lambda: preference_matrix([[0.5]]), "probabilities"),
        (lambda: preference_matrix([[0.5, 0.7], [0.2, 0.5]]), "probabilities"),
        (lambda: preference_matrix([[0.5, 1.2], [-0.2, 0.5]]), "probabilities"),
        (lambda: preference_matrix([[0.5, math.nan], [0.2, 0.5]]), "probabilities"),
        (lambda: preference_matrix([[0.5, 0.5], [0.5, 0.5]], sampling=-1.0), "sampling"),
        (lambda: preference_matrix([[0.5, 0.5], [0.5, 0.5]], sampling=0.0), "sampling"),
        (lambda: preference_matrix([[0.5, 0.5], [0.5, 0.5]], sampling=[1.0, 1.0]), "sampling"),
        (lambda: preference_matrix([[0.5, 0.5], [0.5, 0.5]], sampling=[[1.0, 2.0], [1.0, 1.0]]), "sampling"),
        (lambda: preference_matrix([[0.5, 0.5], [0.5, 0.5]], sampling=np.ones((3, 3))), "sampling"),
        (lambda: bradley_terry([0.0, math.inf]), "rewards"),
        (lambda: WEIGHTED.sample(0, torch.Generator()), "size"),
    ],
)
def test_bad_input_is_named(make, argument: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        make()
    assert caught.value.argument == argument
