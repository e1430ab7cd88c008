"""Policies: distributions, scores, batches, and each class against a slow independent version of itself."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from dynamics import (
    DPO,
    MLP,
    SGD,
    AdamW,
    InvalidArgument,
    LogLinear,
    Policy,
    PrefixTree,
    Tabular,
    pairs,
    score,
    simulate,
    step,
    tabular_theta,
)
from dynamics.gradient import response_lengths
from tests.dynamics.strategies import KINDS, World, close, make_policy, tensor, worlds


@given(worlds())
def test_probabilities_sum_to_one_and_scores_average_to_zero(world: World) -> None:
    policy, theta = world.policy, world.theta
    assert isinstance(policy, Policy)
    p = policy.log_probs(theta).exp()
    assert p.shape == policy.shape
    close(p.sum(-1), torch.ones(policy.shape[:-1]))
    g = score(policy, theta)
    assert g.shape == (*policy.shape, policy.parameters)
    close((p.unsqueeze(-1) * g).sum(-2), torch.zeros(*policy.shape[:-1], policy.parameters))


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_equals_its_members_one_by_one(kind: str) -> None:
    policy, _ = make_policy(kind)
    thetas = tensor(np.random.default_rng(1).normal(size=(2, 3, policy.parameters)))
    together = policy.log_probs(thetas)
    assert together.shape == (2, 3, *policy.shape)
    for i, j in itertools.product(range(2), range(3)):
        close(together[i, j], policy.log_probs(thetas[i, j]))


@pytest.mark.parametrize("kind", KINDS)
def test_first_and_second_derivatives_are_those_of_finite_differences(kind: str) -> None:
    policy, theta = make_policy(kind, responses=3)
    theta = theta.requires_grad_()
    assert torch.autograd.gradcheck(policy.log_probs, theta)
    assert torch.autograd.gradgradcheck(policy.log_probs, theta)


@given(st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=6))
def test_tabular_is_the_softmax_of_its_logits(logits: list[float]) -> None:
    x = np.array(logits)
    want = x - (x.max() + np.log(np.exp(x - x.max()).sum()))
    close(Tabular(len(logits)).log_probs(tensor(logits)), want)


@given(st.lists(st.integers(0, 5), min_size=2, max_size=6).filter(any))
def test_tabular_theta_gives_back_its_probabilities(counts: list[int]) -> None:
    p = np.array(counts) / sum(counts)
    got = Tabular(len(p)).log_probs(tabular_theta(p)).exp()
    close(got, p)
    assert (got[tensor(p) == 0] == 0).all()


def test_log_linear_weighs_the_exponential_by_its_base_measure() -> None:
    phi = np.array([[1.0, 0.5], [-0.5, 2.0], [0.0, 1.0]])
    base, theta = np.array([0.5, 0.0, 3.0]), np.array([0.3, -0.8])
    weight = base * np.exp(phi @ theta)
    close(LogLinear(phi, base_measure=base).log_probs(tensor(theta)).exp(), weight / weight.sum())


def test_log_linear_with_one_hot_features_is_tabular() -> None:
    theta = tensor([0.3, -1.0, 2.0])
    close(LogLinear(np.eye(3)).log_probs(theta), Tabular(3).log_probs(theta))


# ---------------------------------------------------------------- prefix tree


def slow_tree(sequences: list[str], logits: dict[tuple[str, str], float], response: str) -> float:
    """log pi of a response, token by token: a softmax over what may follow each prefix."""
    if not response:
        return 0.0
    total, prefix = 0.0, ""
    for token in response:
        following = {s[len(prefix)] for s in sequences if s.startswith(prefix)}
        total += logits[prefix, token] - math.log(sum(math.exp(logits[prefix, t]) for t in following))
        prefix += token
    return total


sentences = st.lists(st.text("abc", max_size=3).map(lambda s: s + "$"), min_size=2, max_size=8, unique=True)


@given(sentences, st.integers(0, 1000))
def test_prefix_tree_equals_a_slow_product_of_softmaxes(sequences: list[str], seed: int) -> None:
    tree = PrefixTree(sequences)
    theta = 2 * np.random.default_rng(seed).normal(size=tree.parameters)
    logits = {("".join(prefix), token): x for (prefix, token), x in zip(tree.edges, theta, strict=True)}
    assert len(logits) == tree.parameters
    want = [slow_tree(sequences, logits, s) for s in sequences]
    close(tree.log_probs(tensor(theta)), want)
    close(response_lengths(tree), [len(s) for s in sequences])


def test_prefix_tree_of_depth_one_is_tabular() -> None:
    theta = tensor([0.3, -1.0, 2.0])
    close(PrefixTree(["a", "b", "c"]).log_probs(theta), Tabular(3).log_probs(theta))


def test_responses_of_a_common_prefix_move_together() -> None:
    tree = PrefixTree(["ab", "ac", "b"])
    account = step(tree, torch.zeros(4), chosen=0, rejected=2, loss=DPO(beta=1.0), learning_rate=1e-3)
    # "ac" is never mentioned, and rises with its prefix against "b"; a tabular bystander would not
    assert account.actual[1] != 0
    assert step(Tabular(3), tabular_theta([0.25, 0.25, 0.5]), 0, 2).log_ratio_change > 0


def test_edges_are_in_the_same_order_however_hashing_falls() -> None:
    tree = PrefixTree([(1, "1"), (1, 1), ("1", 2)])  # tokens that print alike
    assert tree.edges == PrefixTree([(1, "1"), (1, 1), ("1", 2)]).edges
    assert tree.edges[0] == ((), 1)


# ---------------------------------------------------------------- MLP


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_mlp_equals_torch_nn(activation: str) -> None:
    inputs = tensor(np.random.default_rng(0).normal(size=(5, 3)))
    policy = MLP(inputs, responses=4, hidden=7, activation=activation)
    layers = torch.nn.Sequential(
        torch.nn.Linear(3, 7), torch.nn.ReLU() if activation == "relu" else torch.nn.Tanh(), torch.nn.Linear(7, 4)
    ).double()
    theta = torch.cat([p.detach().flatten() for p in layers.parameters()])
    assert theta.numel() == policy.parameters
    close(policy.log_probs(theta), torch.log_softmax(layers(inputs), -1).detach())


def test_mlp_starts_as_torch_nn_starts() -> None:
    policy = MLP(prompts=3, responses=4, hidden=200)
    draws = policy.initial(torch.Generator().manual_seed(0), (50,))
    assert draws.shape == (50, policy.parameters)
    first, second = draws[:, :600], draws[:, 800:1600]
    # uniform on +-1/sqrt(fan in): never outside, and of variance 1 / (3 fan in)
    for part, fan_in in ((first, 3), (second, 200)):
        assert part.abs().max() <= fan_in**-0.5
        assert abs(float(part.var()) * 3 * fan_in - 1) < 0.05
    again = policy.initial(torch.Generator().manual_seed(0), (50,))
    assert torch.equal(draws, again)


def test_one_hot_prompts_are_the_default() -> None:
    theta = torch.randn(MLP(3, 4).parameters, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    close(MLP(3, 4).log_probs(theta), MLP(np.eye(3), 4).log_probs(theta))


# ---------------------------------------------------------------- masked responses

MASKED = [
    (Tabular(4), tensor([0.3, -math.inf, 0.0, 1.0]), 1),
    (Tabular(2, prompts=2), tensor([0.0, 1.0, -math.inf, 0.5]), 2),
    (PrefixTree(["aa", "ab", "b", "c"]), tensor([0.1, 0.2, -math.inf, 0.4, 0.5]), 3),
    (LogLinear([[1.0], [2.0], [0.0]], base_measure=[1.0, 1.0, 0.0]), tensor([0.3]), 2),
]


@pytest.mark.parametrize(("policy", "theta", "dead"), MASKED)
@pytest.mark.parametrize("optimizer", [SGD(), AdamW()])
def test_a_masked_response_stays_at_probability_zero(policy: Policy, theta: torch.Tensor, dead: int, optimizer) -> None:
    chosen, rejected = (0, 1) if dead != 1 else (0, 2)
    alive = torch.arange(math.prod(policy.shape)) != dead
    before = policy.log_probs(theta).flatten()
    assert before[dead] == -math.inf
    assert torch.isfinite(before[alive]).all()
    account = step(policy, theta, chosen, rejected, learning_rate=0.5, optimizer=optimizer)
    for change in (account.actual, account.predicted, account.second_order):
        assert torch.isfinite(change).all()
        assert change.flatten()[dead] == 0
        close(change.sum(-1), torch.zeros(policy.shape[:-1]))
    assert account.actual.abs().max() > 0
    run = simulate(
        policy, theta, pairs(chosen, rejected, shape=policy.shape), steps=5, learning_rate=0.5, optimizer=optimizer
    )
    final = run.log_probs[-1, 0, 0, 0].flatten()
    assert final[dead] == -math.inf
    assert torch.isfinite(final[alive]).all()


def test_a_pair_of_a_masked_response_is_refused() -> None:
    theta = [-math.inf, 0.0, 0.0]
    with pytest.raises(InvalidArgument, match=r"^chosen: the policy gives .* the probability 0"):
        step(Tabular(3), theta, 0, 1)
    with pytest.raises(InvalidArgument, match=r"^rejected: the policy gives .* the probability 0"):
        simulate(Tabular(3), theta, pairs(1, 0, shape=(3,)))
    never_asked = pairs([0, 1], [1, 2], shape=(3,), weight=[0.0, 1.0])
    assert torch.isfinite(step(Tabular(3), theta, preferences=never_asked).actual).all()


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: Tabular(1), "responses"),
        (lambda: Tabular(2.0), "responses"),
        (lambda: Tabular(3, prompts=0), "prompts"),
        (lambda: LogLinear([1.0, 2.0]), "features"),
        (lambda: LogLinear([[1.0]]), "features"),
        (lambda: LogLinear([[1.0], [math.nan]]), "features"),
        (lambda: LogLinear([[1.0], [2.0, 3.0]]), "features"),
        (lambda: LogLinear([[1.0], [2.0]], base_measure=[1.0]), "base_measure"),
        (lambda: LogLinear([[1.0], [2.0]], base_measure=[0.0, 0.0]), "base_measure"),
        (lambda: LogLinear([[1.0], [2.0]], base_measure=[2.0, -1.0]), "base_measure"),
        (lambda: PrefixTree(["a"]), "responses"),
        (lambda: PrefixTree(["a", "a"]), "responses"),
        (lambda: PrefixTree(["a", ""]), "responses"),
        (lambda: PrefixTree(["a", "ab"]), "responses"),
        (lambda: MLP(0, 3), "prompts"),
        (lambda: MLP([1.0, 2.0], 3), "prompts"),
        (lambda: MLP([[math.inf]], 3), "prompts"),
        (lambda: MLP(2, 1), "responses"),
        (lambda: MLP(2, 3, hidden=0), "hidden"),
        (lambda: MLP(2, 3, activation="gelu"), "activation"),
        (lambda: tabular_theta([0.5, 0.6]), "probabilities"),
        (lambda: tabular_theta([0.5, math.nan]), "probabilities"),
        (lambda: tabular_theta([1.5, -0.5]), "probabilities"),
        (lambda: score(Tabular(3), [0.0, 0.0]), "theta"),
        (lambda: score(Tabular(3), [0.0, 0.0, math.nan]), "theta"),
        (lambda: score(Tabular(3), [0.0, 0.0, math.inf]), "theta"),
        (lambda: score(Tabular(2), [-math.inf, -math.inf]), "theta"),
        (lambda: score(LogLinear([[1.0], [0.0]]), [-math.inf]), "theta"),
        (lambda: score(Tabular(3), "abc"), "theta"),
    ],
)
def test_bad_input_is_named(make, argument: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        make()
    assert caught.value.argument == argument


@settings(max_examples=50)
@given(worlds())
def test_float32_policies_compute_in_float32(world: World) -> None:
    if isinstance(world.policy, Tabular):
        policy = Tabular(world.policy.responses, world.policy.prompts, dtype=torch.float32)
        account = step(policy, world.theta, world.chosen, world.rejected, prompt=world.prompt)
        wanted = step(world.policy, world.theta, world.chosen, world.rejected, prompt=world.prompt)
        assert account.actual.dtype == torch.float32
        close(account.actual, wanted.actual, 1e-5)
