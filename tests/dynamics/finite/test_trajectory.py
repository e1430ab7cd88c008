"""Many runs at once: equal to one at a time, to steps one by one, and to the replicator's log-ratio form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

import dynamics.finite.run_settings
from dynamics import (
    BDPO,
    DPO,
    IPO,
    SFT,
    SGD,
    AdamW,
    Hinge,
    InvalidArgument,
    NaiveBDPO,
    NaiveBDPOv2,
    Preferences,
    SelfPO,
    SimPO,
    Tabular,
    bradley_terry,
    pairs,
    preference_matrix,
    replicator_fitness,
    simulate,
    step,
)
from tests.dynamics.strategies import KINDS, close, make_policy, tensor

MIXED = [
    DPO(beta=0.1),
    DPO(beta=1.0),
    IPO(beta=0.5),
    SelfPO(beta=1.0),
    SelfPO(beta=2.0, gamma=0.1),
    SelfPO(beta=1.0, activation="square"),
    SimPO(),
    BDPO(beta=0.5),
    BDPO(beta=0.5, detach=True),
    NaiveBDPO(beta=0.3),
    NaiveBDPO(beta=0.3, symmetric=True),
    NaiveBDPOv2(beta=0.3, clip=0.2),
    NaiveBDPOv2(beta=0.3, clip=0.9),
    Hinge(beta=0.2),
    DPO(beta=0.1) + 0.2 * SFT(),
    DPO(beta=0.1) + 0.3 * SFT(),
    DPO(beta=0.7),
]
RATES = [0.05, 0.3]
SEEDS = 3


def starts(policy, seeds: int = SEEDS) -> torch.Tensor:
    return tensor(np.random.default_rng(5).normal(size=(seeds, policy.parameters)))


def some_pairs(shape: tuple[int, ...]) -> Preferences:
    prompts = [0, shape[0] - 1, 0] if len(shape) == 2 else 0
    return pairs([0, 2, 1], [1, 0, 3], shape=shape, prompt=prompts, weight=[1.0, 0.5, 0.25])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("optimizer", [SGD(), AdamW(eps=1e-4)])  # the default eps turns rounding of 1e-17 into 1e-9
def test_a_batch_of_runs_equals_its_runs_one_by_one(kind: str, optimizer) -> None:
    policy, _ = make_policy(kind)
    thetas, asked = starts(policy), some_pairs(policy.shape)
    options = {"steps": 4, "optimizer": optimizer}
    together = simulate(policy, thetas, asked, loss=MIXED, learning_rate=RATES, seeds=SEEDS, **options)
    assert together.log_probs.shape == (5, len(MIXED), 2, SEEDS, *policy.shape)
    for i, loss in enumerate(MIXED):
        for j, rate in enumerate(RATES):
            alone = simulate(policy, thetas[1], asked, loss=loss, learning_rate=rate, **options)
            close(together.log_probs[:, i, j, 1], alone.log_probs[:, 0, 0, 0])
            close(together.theta[i, j, 1], alone.theta[0, 0, 0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("optimizer", [SGD(), AdamW()])
def test_a_run_equals_repeated_steps(kind: str, optimizer) -> None:
    policy, theta = make_policy(kind)
    asked = some_pairs(policy.shape)
    run = simulate(policy, theta, asked, loss=DPO(beta=0.5), learning_rate=0.2, steps=5, optimizer=optimizer)
    reference, now, moments = policy.log_probs(theta), theta, None
    for t in range(5):
        close(run.log_probs[t, 0, 0, 0], policy.log_probs(now))
        account = step(
            policy,
            now,
            preferences=asked,
            loss=DPO(beta=0.5),
            learning_rate=0.2,
            reference=reference,
            optimizer=optimizer,
            moments=moments,
        )
        now, moments = account.new_theta, account.moments
    close(run.theta[0, 0, 0], now)
    assert (now - theta).abs().max() > 1e-3


# ---------------------------------------------------------------- minibatches


def generator(seed: int = 7) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", KINDS)
def test_minibatch_runs_equal_steps_on_the_same_draws(kind: str) -> None:
    policy, _ = make_policy(kind)
    thetas, asked = starts(policy), some_pairs(policy.shape)
    run = simulate(
        policy,
        thetas,
        asked,
        loss=[IPO(beta=0.5), DPO(beta=1.0)],
        steps=4,
        seeds=SEEDS,
        minibatch=2,
        generator=generator(),
    )
    draws, now = generator(), list(thetas)
    for _ in range(4):
        batch = asked.sample(2, draws, runs=(SEEDS,))
        for s in range(SEEDS):
            mine = Preferences(batch.chosen[s], batch.rejected[s], batch.weight[s], batch.shape)
            reference = policy.log_probs(thetas[s])
            now[s] = step(policy, now[s], preferences=mine, loss=DPO(beta=1.0), reference=reference).new_theta
    for s in range(SEEDS):
        close(run.theta[1, 0, s], now[s])


def minibatch_run(seed: int = 7, **options: object):
    asked = preference_matrix(bradley_terry([1.0, 0.5, 0.0, -0.5]))
    settings_ = {"steps": 10, "seeds": 4, "minibatch": 3, "learning_rate": 0.5, "loss": DPO(beta=1.0)} | options
    return simulate(Tabular(4), torch.zeros(4), asked, generator=generator(seed), **settings_)


def test_a_run_is_reproduced_by_its_seed_and_by_no_other() -> None:
    assert torch.equal(minibatch_run(7).log_probs, minibatch_run(7).log_probs)
    assert not torch.allclose(minibatch_run(7).log_probs, minibatch_run(8).log_probs)


def test_every_loss_and_learning_rate_sees_the_same_draws_and_every_seed_its_own() -> None:
    twins = minibatch_run(loss=[DPO(beta=1.0), IPO(), DPO(beta=1.0)], learning_rate=[0.5, 0.2, 0.5])
    # to rounding: a sum over a short row may be taken in another order at another place of the batch
    close(twins.log_probs[:, 0], twins.log_probs[:, 2])
    close(twins.log_probs[:, :, 0], twins.log_probs[:, :, 2])
    close(twins.log_probs[:, :1, :1], minibatch_run().log_probs)
    final = twins.log_probs[-1, 0, 0]
    assert all(not torch.equal(final[i], final[j]) for i in range(4) for j in range(i))


def test_without_minibatches_seeds_differ_by_their_start_alone() -> None:
    run = simulate(Tabular(3), torch.zeros(3), pairs(0, 1, shape=(3,)), seeds=2, steps=3)
    assert torch.equal(run.log_probs[:, :, :, 0], run.log_probs[:, :, :, 1])


def test_minibatches_average_to_the_expected_gradient() -> None:
    one = minibatch_run(steps=1, seeds=20_000)
    full = simulate(
        Tabular(4), torch.zeros(4), preference_matrix(bradley_terry([1.0, 0.5, 0.0, -0.5])),
        loss=DPO(beta=1.0), learning_rate=0.5, steps=1,
    )  # fmt: skip
    moved = one.theta[0, 0]
    deviation = (moved.mean(0) - full.theta[0, 0, 0]).abs() / (moved.std(0) / math.sqrt(20_000))
    assert deviation.max() < 4


# ---------------------------------------------------------------- replicator form


@settings(max_examples=50)
@given(st.integers(0, 1000), st.floats(0.05, 2), st.floats(0.01, 10), st.sampled_from([DPO, IPO, BDPO]))
def test_full_batch_on_logits_moves_log_ratios_by_differences_of_fitness(
    seed: int, beta: float, learning_rate: float, make
) -> None:
    rng = np.random.default_rng(seed)
    loss = make(beta=beta)
    asked = preference_matrix(bradley_terry(rng.normal(size=4)))
    reference = torch.log_softmax(tensor(rng.normal(size=4)), -1)
    run = simulate(
        Tabular(4), rng.normal(size=4), asked, loss=loss, learning_rate=learning_rate, steps=3, reference=reference
    )
    for t in range(3):
        before, after = run.log_probs[t, 0, 0, 0], run.log_probs[t + 1, 0, 0, 0]
        w = replicator_fitness(before, asked, loss, reference)
        close(w.sum() / max(1.0, float(w.abs().max())), 0.0)
        scale = max(1.0, float(after.abs().max()), learning_rate * float(w.abs().max()))
        for i in range(4):
            for j in range(4):
                got, want = after[i] - after[j], before[i] - before[j] + learning_rate * (w[i] - w[j])
                close(got / scale, want / scale)


# ---------------------------------------------------------------- records


@pytest.mark.parametrize(
    ("every", "want"), [(1, [0, 1, 2, 3, 4, 5, 6, 7]), (3, [0, 3, 6, 7]), (7, [0, 7]), (50, [0, 7])]
)
def test_record_every(every: int, want: list[int]) -> None:
    asked = pairs(0, 1, shape=(3,))
    sparse = simulate(Tabular(3), torch.zeros(3), asked, steps=7, record_every=every)
    dense = simulate(Tabular(3), torch.zeros(3), asked, steps=7)
    assert sparse.steps.tolist() == want
    assert torch.equal(sparse.log_probs, dense.log_probs[want])
    assert torch.equal(sparse.theta, dense.theta)


def test_no_steps_record_the_start() -> None:
    run = simulate(Tabular(3), [0.0, 1.0, 2.0], pairs(0, 1, shape=(3,)), steps=0)
    close(run.log_probs[0, 0, 0, 0], torch.log_softmax(tensor([0.0, 1.0, 2.0]), -1))
    assert run.theta.flatten().tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("prompts", [None, 2])
def test_long_table_has_a_row_for_every_number(prompts: int | None) -> None:
    policy = Tabular(3, prompts)
    run = simulate(
        policy, torch.zeros(policy.parameters), pairs(0, 1, shape=policy.shape),
        loss=[DPO(), IPO()], learning_rate=RATES, steps=4, seeds=2, record_every=2,
    )  # fmt: skip
    table = run.table()
    assert tuple(table) == (*run.axes, "log_prob")
    assert {len(column) for column in table.values()} == {run.log_probs.numel()}
    assert set(table["step"]) == {0, 2, 4}
    assert set(table["loss"]) == {repr(DPO()), repr(IPO())}
    row = (
        (table["step"] == 4)
        & (table["loss"] == repr(IPO()))
        & (table["learning_rate"] == 0.3)
        & (table["seed"] == 1)
        & (table["response"] == 2)
    )
    if prompts:
        row &= table["prompt"] == 1
        want = run.log_probs[2, 1, 1, 1, 1, 2]
    else:
        want = run.log_probs[2, 1, 1, 1, 2]
    assert table["log_prob"][row].tolist() == [float(want)]


def test_log_ratio() -> None:
    run = simulate(
        Tabular(3, prompts=2), torch.zeros(6), pairs(0, 1, shape=(2, 3), prompt=1), steps=2, learning_rate=1.0
    )
    close(run.log_ratio(0, 1, prompt=1), run.log_probs[..., 1, 0] - run.log_probs[..., 1, 1])
    assert run.log_ratio(0, 1).abs().max() == 0
    assert run.log_ratio(0, 1, prompt=1)[-1].min() > 0
    for arguments, name in (((3, 0), "chosen"), ((0, -1), "rejected"), ((0, 1, 2), "prompt")):
        with pytest.raises(InvalidArgument, match=f"^{name}"):
            run.log_ratio(*arguments)


def test_a_run_leaves_its_arguments_alone() -> None:
    theta = torch.zeros(3, dtype=torch.float64)
    run = simulate(Tabular(3), theta, pairs(0, 1, shape=(3,)), steps=3)
    assert theta.tolist() == [0.0, 0.0, 0.0]
    assert not theta.requires_grad
    assert run.theta.abs().max() > 0


def test_losses_that_print_alike_are_not_merged() -> None:
    nearly = [DPO(beta=torch.tensor(b, dtype=torch.float64)) for b in (0.10001, 0.10002)]
    run = simulate(Tabular(3), torch.zeros(3), pairs(0, 1, shape=(3,)), loss=nearly, steps=20, learning_rate=5.0)
    assert run.log_ratio(0, 1)[-1].flatten().diff().abs() > 1e-6


def test_learning_rates_may_be_an_array() -> None:
    run = simulate(Tabular(3), torch.zeros(3), pairs(0, 1, shape=(3,)), learning_rate=np.array([0.1, 0.2]), steps=1)
    assert run.learning_rates == (0.1, 0.2)


def test_each_seed_may_have_its_own_weights_and_reference() -> None:
    policy, asked = Tabular(3), pairs([0, 1], [1, 2], shape=(3,))
    weight = tensor([[1.0, 0.0], [0.3, 0.7]])
    reference = torch.log_softmax(tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 2.0]]), -1)
    own = Preferences(asked.chosen, asked.rejected, weight, (3,))
    run = simulate(policy, torch.zeros(3), own, seeds=2, steps=4, learning_rate=1.0, reference=reference)
    for s in range(2):
        alone = simulate(
            policy, torch.zeros(3), pairs([0, 1], [1, 2], shape=(3,), weight=weight[s]),
            steps=4, learning_rate=1.0, reference=reference[s],
        )  # fmt: skip
        close(run.log_probs[:, 0, 0, s], alone.log_probs[:, 0, 0, 0])


# ---------------------------------------------------------------- bad input

BAD = [
    ({"loss": []}, "loss"),
    ({"loss": "dpo"}, "loss"),
    ({"loss": [DPO(), 1.0]}, "loss"),
    ({"learning_rate": []}, "learning_rate"),
    ({"learning_rate": "fast"}, "learning_rate"),
    ({"learning_rate": -0.1}, "learning_rate"),
    ({"learning_rate": [0.1, math.nan]}, "learning_rate"),
    ({"steps": -1}, "steps"),
    ({"steps": 1.5}, "steps"),
    ({"seeds": 0}, "seeds"),
    ({"record_every": 0}, "record_every"),
    ({"minibatch": 2}, "generator"),
    ({"minibatch": 0, "generator": torch.Generator()}, "minibatch"),
    ({"preferences": pairs(0, 1, shape=(4,))}, "preferences"),
    ({"preferences": Preferences(torch.tensor([0]), torch.tensor([1]), torch.ones(3, 1), (3,))}, "preferences.weight"),
    ({"theta": [0.0, 0.0]}, "theta"),
    ({"theta": [math.nan, 0.0, 0.0]}, "theta"),
    ({"theta": np.zeros((5, 3)), "seeds": 2}, "theta"),
    ({"reference": [0.0, 0.0, 0.0]}, "exp(reference)"),
    ({"reference": np.full((5, 3), -math.log(3)), "seeds": 2}, "reference"),
]


@pytest.mark.parametrize(("bad", "argument"), BAD, ids=lambda v: str(v)[:40])
def test_bad_input_is_named(bad: dict, argument: str) -> None:
    good = {"theta": [0.0, 0.0, 0.0], "preferences": pairs(0, 1, shape=(3,)), "steps": 1}
    simulate(Tabular(3), **good)
    with pytest.raises(InvalidArgument) as caught:
        simulate(Tabular(3), **(good | bad))
    assert caught.value.argument == argument


def test_a_record_that_would_not_fit_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamics.finite.run_settings, "LARGEST_RECORD", 1000)
    simulate(Tabular(3), torch.zeros(3), pairs(0, 1, shape=(3,)), steps=30)
    with pytest.raises(
        InvalidArgument,
        match=r"^record_every: 61 records need .* GiB, where at most .* are allowed; use a larger record_every",
    ):
        simulate(Tabular(3), torch.zeros(3), pairs(0, 1, shape=(3,)), steps=60)
