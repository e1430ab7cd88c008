"""Stable PO against simulate in its limits, against the printed formulas, and against a second implementation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from dynamics import DPO, InvalidArgument, LogLinear, Policy, Preferences, Tabular, pairs
from dynamics.finite.bilevel import longer_chosen, longer_rejected, negative_drive, stable_po
from tests.dynamics.finite.two_blocks import Step, TwoBlockPolicy
from tests.dynamics.strategies import KINDS, make_policy

LOSS = DPO(beta=0.5)
REGULARIZERS = {"eq-7": longer_rejected, "remark-2": longer_chosen, "displaced": negative_drive}


def some_pairs(policy: Policy) -> Preferences:
    """Two pairs, of different prompts where there are prompts."""
    prompt = [0, policy.shape[0] - 1] if len(policy.shape) == 2 else 0
    return pairs([0, 2], [1, 3], shape=policy.shape, prompt=prompt, weight=[0.7, 1.3])


# --- a second implementation: one run, one number to minimise, autograd on it ---


def objective(policy: Policy, theta: Tensor, fixed: Tensor, batch: Preferences, how: dict[str, Any]) -> Tensor:
    """L of Eq. 9 with phi'^(K) = ``fixed``, from its definition."""
    log_probs = policy.log_probs(theta).flatten()
    upper = how["upper"]
    at_inner = torch.where(upper, theta, fixed)  # theta is alive in L_sft(theta, phi'^(K)), phi'^(K) is not
    inner = policy.log_probs(at_inner).flatten()
    scores = torch.func.jacrev(lambda t: policy.log_probs(t).flatten())(theta)[:, upper]
    total = torch.zeros((), dtype=policy.dtype)
    shares = (batch.weight / batch.weight.sum()).tolist()
    for w, y, weight in zip(batch.chosen.tolist(), batch.rejected.tolist(), shares, strict=True):
        z = 0.5 * (log_probs[w] - log_probs[y] - how["reference"][w] + how["reference"][y])
        a, b = scores[w], scores[y]
        delta = {
            "eq-7": b.square().sum().sqrt() - a.square().sum().sqrt(),
            "remark-2": a.square().sum().sqrt() - b.square().sum().sqrt(),
            "displaced": a @ b - a @ a,
        }[how["regularizer"]]
        hinge = delta if delta > 0 else torch.zeros(())
        total = total + weight * (torch.log1p(torch.exp(-z)) + how["gamma"] * hinge)
        if how["sft"] is None:
            total = total - how["penalty"] * weight * (log_probs[w] - inner[w])
    if how["sft"] is not None:
        total = total - how["penalty"] * (how["sft"].flatten() * (log_probs - inner)).sum() / how["sft"].sum()
    return total


def by_hand(policy: Policy, theta: Tensor, batches: list[Preferences], whole: Preferences, **how: Any) -> list[Tensor]:
    """Run Algorithm 1 on one run, step by step; return log pi before every step and at the end."""
    upper = torch.ones(policy.parameters, dtype=torch.bool)
    upper[how["lower"]] = False
    how = {**how, "upper": upper, "reference": policy.log_probs(theta).flatten().detach()}
    found = [policy.log_probs(theta).flatten().detach()]
    for batch in batches:
        fixed = theta.clone()
        for _ in range(how["inner_steps"]):
            at = fixed.clone().requires_grad_()
            log_probs = policy.log_probs(at).flatten()
            if how["sft"] is None:
                nll = -(whole.weight * log_probs[whole.chosen]).sum() / whole.weight.sum()
            else:
                nll = -(how["sft"].flatten() * log_probs).sum() / how["sft"].sum()
            nll.backward()
            fixed = torch.where(upper, fixed, fixed - how["inner_learning_rate"] * at.grad)
        at = theta.clone().requires_grad_()
        objective(policy, at, fixed, batch, how).backward()
        rates = torch.tensor(how["rates"], dtype=policy.dtype)[(~upper).long()]
        theta = theta - rates * at.grad
        found.append(policy.log_probs(theta).flatten().detach())
    return found


@settings(deadline=None, max_examples=30)
@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 1000),
    inner_steps=st.integers(0, 3),
    regularizer=st.sampled_from(list(REGULARIZERS)),
    soft=st.booleans(),
)
def test_against_a_second_implementation(kind: str, seed: int, inner_steps: int, regularizer: str, soft: bool) -> None:
    policy, theta = make_policy(kind, seed)
    preferences = some_pairs(policy)
    rng = np.random.default_rng(seed)
    lower = rng.permutation(policy.parameters)[: max(1, policy.parameters // 2)]
    sft = torch.tensor(rng.uniform(0, 1, policy.shape)) if soft else None
    runs = stable_po(
        policy,
        theta,
        preferences,
        lower=lower,
        penalty=[0.0, 0.8],
        gamma=[0.0, 0.4],
        loss=LOSS,
        learning_rate=(0.3, 0.2),
        inner_steps=inner_steps,
        inner_learning_rate=0.25,
        regularizer=REGULARIZERS[regularizer],
        sft=sft,
        steps=4,
    )
    for i, penalty in enumerate(runs.penalties):
        for j, gamma in enumerate(runs.gammas):
            wanted = by_hand(
                policy,
                theta,
                [preferences] * 4,
                preferences,
                lower=torch.as_tensor(lower),
                penalty=penalty,
                gamma=gamma,
                inner_steps=inner_steps,
                inner_learning_rate=0.25,
                regularizer=regularizer,
                sft=sft,
                rates=(0.3, 0.2),
            )
            got = runs.log_probs[:, i, j, 0].flatten(start_dim=1)
            torch.testing.assert_close(got, torch.stack(wanted), rtol=0, atol=1e-10)


def test_minibatches_and_seeds_against_a_second_implementation() -> None:
    policy, _ = make_policy("log_linear_prompts", 3)
    preferences = some_pairs(policy)
    starts = torch.randn(3, policy.parameters, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    runs = stable_po(
        policy,
        starts,
        preferences,
        lower=[0],
        penalty=0.8,
        gamma=0.4,
        loss=LOSS,
        learning_rate=0.2,
        inner_learning_rate=0.25,
        steps=5,
        seeds=3,
        minibatch=2,
        generator=torch.Generator().manual_seed(7),
    )
    source = torch.Generator().manual_seed(7)
    draws = [preferences.sample(2, source, runs=(3,)) for _ in range(5)]
    how: dict[str, Any] = {"penalty": 0.8, "gamma": 0.4, "inner_steps": 1, "inner_learning_rate": 0.25, "sft": None}
    for s in range(3):
        batches = [Preferences(d.chosen[s], d.rejected[s], d.weight[s], d.shape) for d in draws]
        lower = torch.tensor([0])
        wanted = by_hand(
            policy, starts[s], batches, preferences, lower=lower, regularizer="eq-7", rates=(0.2, 0.2), **how
        )
        got = runs.log_probs[:, 0, 0, s].flatten(start_dim=1)
        torch.testing.assert_close(got, torch.stack(wanted), rtol=0, atol=1e-10)
    assert float((runs.log_probs[-1, 0, 0, 0] - runs.log_probs[-1, 0, 0, 1]).abs().max()) > 1e-2


# --- against Eqs. 13 and 14 as printed, built from scores and Hessians ---


@dataclass(frozen=True)
class Joined:
    """The reference's policy in two blocks, as a policy of dynamics with both in one vector."""

    blocks: TwoBlockPolicy
    dtype: torch.dtype = torch.float64
    device: str = "cpu"

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.blocks.a),)

    @property
    def parameters(self) -> int:
        return self.blocks.a.shape[1] + self.blocks.b.shape[1]

    def log_probs(self, theta: Tensor) -> Tensor:
        return self.blocks.log_probs(*theta.split([self.blocks.a.shape[1], self.blocks.b.shape[1]], -1))


def distance_to_formulas(seed: int, inner_steps: int, *, in_turn: bool = False, gamma: float = 0.4) -> float:
    """Five steps on both sides; the largest difference of a parameter."""
    policy = TwoBlockPolicy.random(seed)
    theta, phi = policy.point(seed)
    joined = Joined(policy)
    assert isinstance(joined, Policy)
    start = torch.cat([theta, phi])
    log_ref = torch.log_softmax(torch.tensor([0.3, 0.0, -0.2, 0.1], dtype=torch.float64), -1)
    step = Step(policy, float(log_ref[0] - log_ref[1]), inner_steps=inner_steps, in_turn=in_turn)
    for _ in range(5):
        theta, phi = step(theta, phi)
    runs = stable_po(
        joined,
        start,
        pairs(0, 1, shape=joined.shape),
        lower=[2, 3, 4],
        penalty=0.7,
        gamma=gamma,
        loss=LOSS,
        learning_rate=(0.1, 0.05),
        inner_steps=inner_steps,
        inner_learning_rate=0.2,
        reference=log_ref,
        steps=5,
    )
    return float((runs.theta[0, 0, 0] - torch.cat([theta, phi])).abs().max())


@pytest.mark.parametrize("inner_steps", [0, 1, 3])
def test_against_the_printed_formulas(inner_steps: int) -> None:
    assert max(distance_to_formulas(seed, inner_steps) for seed in range(4)) < 1e-12


def test_the_printed_formulas_tell_other_methods_apart() -> None:
    """Updating in turn, another gamma, another K: each is seen."""
    assert max(distance_to_formulas(seed, 1, in_turn=True) for seed in range(4)) > 1e-4
    assert max(distance_to_formulas(seed, 1, gamma=0.3) for seed in range(4)) > 1e-4
    policy = TwoBlockPolicy.random(0)
    moved = [Step(policy, 0.3, inner_steps=k)(*policy.point(0))[0] for k in (1, 2)]
    assert float((moved[0] - moved[1]).abs().max()) > 1e-4


# --- one program for many runs ---


def test_axes_and_records() -> None:
    policy, theta = make_policy("mlp", 0)
    runs = stable_po(
        policy,
        theta,
        some_pairs(policy),
        lower=[0],
        penalty=(0.0, 1.0, 2.0),
        gamma=np.array([0.0, 0.5]),
        steps=7,
        record_every=3,
    )
    assert runs.axes == ("step", "penalty", "gamma", "seed", "prompt", "response")
    assert runs.log_probs.shape == (4, 3, 2, 1, 2, 4)
    assert runs.excess.shape == (4, 3, 2, 1)
    assert runs.steps.tolist() == [0, 3, 6, 7]
    assert (runs.penalties, runs.gammas) == ((0.0, 1.0, 2.0), (0.0, 0.5))
    torch.testing.assert_close(policy.log_probs(runs.theta), runs.log_probs[-1], rtol=0, atol=0)
    full = stable_po(policy, theta, some_pairs(policy), lower=[0], penalty=2.0, gamma=0.5, steps=7)
    torch.testing.assert_close(runs.log_probs[:, 2, 1], full.log_probs[[0, 3, 6, 7], 0, 0], rtol=0, atol=1e-13)


def test_scores_of_length_zero_do_not_spread_nan() -> None:
    """Two responses with the same features: both scores vanish at the start."""
    policy = LogLinear([[1.0, 0.5], [1.0, -0.5]])
    runs = stable_po(policy, [0.0, 0.0], pairs(0, 1, shape=(2,)), lower=[1], gamma=1.0, steps=3)
    assert bool(torch.isfinite(runs.log_probs).all())
    assert abs(float(runs.theta[0, 0, 0, 0])) < 1e-15  # equal scores in theta: nothing to learn


def test_regularizers_of_two_scores() -> None:
    chosen, rejected = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(longer_rejected(chosen, rejected), -longer_chosen(chosen, rejected))
    falls = (chosen * (chosen - rejected)).sum(-1) < 0
    assert torch.equal(negative_drive(chosen, rejected) > 0, falls)
    # displacement needs a longer rejected score (Remark 2 would forbid the opposite)
    assert bool((longer_rejected(chosen, rejected)[falls] > 0).all())


@pytest.mark.parametrize(
    ("arguments", "at"),
    [
        ({"lower": []}, "lower"),
        ({"lower": [0, 1, 2]}, "lower"),
        ({"lower": [3]}, "lower"),
        ({"penalty": -1.0}, "penalty"),
        ({"penalty": []}, "penalty"),
        ({"gamma": [0.0, math.nan]}, "gamma"),
        ({"gamma": True}, "gamma"),
        ({"inner_steps": -1}, "inner_steps"),
        ({"inner_learning_rate": math.inf}, "inner_learning_rate"),
        ({"learning_rate": (0.1, -0.1)}, "learning_rate"),
        ({"learning_rate": (0.1, 0.1, 0.1)}, "learning_rate"),
        ({"steps": -1}, "steps"),
        ({"minibatch": 1}, "generator"),
        ({"minibatch": 1, "generator": 7}, "generator"),
        ({"loss": "dpo"}, "loss"),
        ({"preferences": [(0, 1)]}, "preferences"),
        ({"sft": [1.0, 1.0]}, "sft"),
        ({"sft": [1.0, -1.0, 0.0]}, "sft"),
        ({"reference": [0.0, 0.0, 0.0]}, "exp(reference)"),
        ({"theta": [[0.0] * 3] * 2}, "theta"),
        ({"theta": [0.0, 0.0, -math.inf]}, "theta"),
        ({"preferences": pairs(0, 1, shape=(2,))}, "preferences"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, Any], at: str) -> None:
    good: dict[str, Any] = {"theta": [0.0] * 3, "preferences": pairs(0, 1, shape=(3,)), "lower": [2], "steps": 1}
    policy = Tabular(3)
    assert stable_po(policy, **good).log_probs.shape == (2, 1, 1, 1, 3)
    with pytest.raises(InvalidArgument) as refused:
        stable_po(policy, **{**good, **arguments})
    assert refused.value.argument == at
