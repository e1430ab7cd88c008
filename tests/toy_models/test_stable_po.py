"""The tasks: what is sampled, that they are independent of one another, and that DPO and SFT are as they should be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dynamics import DPO, SFT, AdamW, InvalidArgument, LogLinear, Preferences, pairs, simulate
from dynamics.finite.bilevel import stable_po
from toy_models.stable_po import (
    ManyLogLinear,
    accuracy,
    preference_tasks,
    train_dpo_and_sft,
    train_stable_po,
)


def test_overlap_and_common_direction() -> None:
    tasks = preference_tasks(3, tasks=40, overlap=0.8, prompts=10)
    features = tasks.policy.features[..., 2:]  # behind the adapter's two
    w, y = features[:, :, 0], features[:, :, 1]
    cosine = (w * y).sum(-1) / (w.norm(dim=-1) * y.norm(dim=-1))
    np.testing.assert_allclose(cosine, 0.8, rtol=0, atol=1e-12)
    np.testing.assert_allclose(w.norm(dim=-1), y.norm(dim=-1), rtol=1e-12)
    # the correct answers have a direction in common, of length sqrt(8); the other answers have none
    assert float(w.mean(1).norm(dim=-1).mean()) == pytest.approx(3.0, abs=0.4)
    assert float(features[:, :, 2].mean(1).norm(dim=-1).mean()) < 1.5


def test_fine_tuning_raises_the_correct_answers() -> None:
    before, after = (preference_tasks(0, tasks=20, fine_tuning=steps) for steps in (0, 50))
    assert torch.equal(before.policy.features, after.policy.features)
    assert bool((after.start[:, :2] == 0).all())
    shares = [tasks.policy.log_probs(tasks.start)[:, :16, 0].mean(1) for tasks in (before, after)]
    assert bool((shares[1] > shares[0]).all())


def test_tasks_do_not_see_one_another() -> None:
    """One of three tasks alone, on a plain log-linear policy with the draws that it had among the three."""
    tasks = preference_tasks(5, tasks=3, prompts=4)
    runs = train_stable_po(tasks, 9, penalty=0.7, gamma=0.2, minibatch=2, steps=5)
    source = torch.Generator().manual_seed(9)
    draws = [tasks.preferences.sample(2, source, runs=(3,)) for _ in range(5)]
    which = 1

    class Replay(Preferences):
        """Preferences that hand out recorded minibatches."""

        def sample(self, size: int, generator: torch.Generator, runs: tuple[int, ...] = ()) -> Preferences:
            batch = draws.pop(0)
            assert batch.chosen.shape[-1] == size
            rows = [value[which : which + 1] for value in (batch.chosen, batch.rejected, batch.weight)]
            return Preferences(*rows, batch.shape)

    told = tasks.preferences
    alone = stable_po(
        LogLinear(tasks.policy.features[which]),
        tasks.start[which],
        Replay(told.chosen, told.rejected, told.weight, told.shape),
        lower=tasks.lower,
        penalty=0.7,
        gamma=0.2,
        loss=DPO(beta=0.5),
        learning_rate=0.01,
        inner_learning_rate=0.01,
        minibatch=2,
        generator=torch.Generator(),
        optimizer=AdamW(weight_decay=0.0),
        steps=5,
    )
    torch.testing.assert_close(runs.log_probs[:, 0, 0, which], alone.log_probs[:, 0, 0, 0], rtol=0, atol=1e-10)
    assert float((runs.log_probs[-1, 0, 0, 0] - runs.log_probs[-1, 0, 0, 1]).abs().max()) > 0.01


def test_without_weights_it_is_dpo_on_both_blocks() -> None:
    tasks = preference_tasks(2, tasks=3, prompts=4)
    runs = train_stable_po(tasks, 4, penalty=[0.0, 1.0], steps=6)
    plain = simulate(
        tasks.policy,
        tasks.start,
        tasks.preferences,
        loss=DPO(beta=0.5),
        learning_rate=0.01,
        steps=6,
        seeds=3,
        minibatch=4,
        generator=torch.Generator().manual_seed(4),
        optimizer=AdamW(weight_decay=0.0),
    )
    torch.testing.assert_close(runs.log_probs[:, 0, 0], plain.log_probs[:, 0, 0], rtol=0, atol=1e-12)
    assert float((runs.log_probs[-1, 1, 0] - plain.log_probs[-1, 0, 0]).abs().max()) > 1e-3


def test_one_level_differs_by_what_sft_does_to_the_adapter() -> None:
    """With lambda = 0 the two are one; with lambda = 1 they are not, but nearly."""
    tasks = preference_tasks(2, tasks=3, prompts=4)
    gaps = []
    for penalty in (0.0, 1.0):
        bilevel = train_stable_po(tasks, 4, penalty=penalty, steps=10).log_probs[-1, 0, 0]
        single = train_dpo_and_sft(tasks, 4, penalty=penalty, steps=10).log_probs[-1, 0, 0]
        gaps.append(float((bilevel - single).abs().max()))
    assert gaps[0] < 1e-12
    assert 1e-4 < gaps[1] < 0.5


def test_many_log_linear_are_log_linear() -> None:
    features = torch.randn(3, 2, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    theta = torch.randn(6, 3, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    together = ManyLogLinear(features).log_probs(theta)
    for t in range(3):
        torch.testing.assert_close(together[:, t], LogLinear(features[t]).log_probs(theta[:, t]), rtol=0, atol=1e-13)
    of_prompt = pairs([0, 1], [1, 2], shape=(2, 4), prompt=[0, 1])
    runs = simulate(ManyLogLinear(features), theta[0], of_prompt, loss=SFT(), seeds=3, steps=4)
    single = simulate(LogLinear(features[2]), theta[0, 2], of_prompt, loss=SFT(), steps=4)
    torch.testing.assert_close(runs.log_probs[:, 0, 0, 2], single.log_probs[:, 0, 0, 0], rtol=0, atol=1e-12)


def test_accuracy() -> None:
    p = torch.tensor([[0.2, 0.3, 0.5]], dtype=torch.float64)
    assert float(accuracy(p.log(), temperature=1.0)) == pytest.approx(0.2)
    assert float(accuracy(p.log(), temperature=0.5)) == pytest.approx(0.04 / 0.38)
    assert float(accuracy(p.log())) == pytest.approx(0.2 ** (1 / 0.7) / (p ** (1 / 0.7)).sum().item())
    with pytest.raises(InvalidArgument, match="temperature"):
        accuracy(p.log(), temperature=0.0)


@pytest.mark.parametrize(
    ("arguments", "at"),
    [
        ({"overlap": 1.0}, "overlap"),
        ({"tasks": 0}, "tasks"),
        ({"prompts": 0}, "prompts"),
        ({"responses": 1}, "responses"),
        ({"fine_tuning": -1}, "fine_tuning"),
    ],
)
def test_tasks_that_make_no_sense_are_refused(arguments: dict[str, Any], at: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        preference_tasks(0, **arguments)
    assert refused.value.argument == at
