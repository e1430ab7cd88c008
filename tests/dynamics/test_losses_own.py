"""A user's own function as a loss, and the functions that are refused."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dynamics import DPO, SFT, InvalidArgument, Tabular, pairs, simulate, step
from dynamics.losses import FunctionLoss, PairLogProbs, pair_log_probs
from tests.dynamics.strategies import close


def exponential(pair: PairLogProbs) -> Tensor:
    return torch.exp(-0.5 * pair.log_ratio)


def test_a_function_is_at_once_usable_everywhere() -> None:
    loss, pair = FunctionLoss(exponential), pair_log_probs([-1.0, -2.0], [-1.5, -0.5], -0.5, -1.0)
    close(loss.partials(pair).chosen, -0.5 * loss.value(pair))
    weights = loss.pair_weights(pair)
    close(weights.chosen_weight, weights.rejected_weight)
    close(loss.urgency(pair), weights.chosen_weight)
    close((loss + 0.5 * SFT()).partials(pair).chosen, loss.partials(pair).chosen - 0.5)
    asked = pairs([0, 1], [1, 2], shape=(3,))
    run = simulate(Tabular(3), [0.0, 0.5, 1.0], asked, loss=[loss, DPO()], learning_rate=0.1, steps=3)
    assert bool(run.log_probs.isfinite().all())
    assert float(step(Tabular(3), [0.0, 0.0, 0.0], 0, 1, loss=loss, learning_rate=0.1).actual[0]) > 0


def test_dpo_written_by_hand_trains_as_dpo() -> None:
    by_hand = FunctionLoss(lambda pair: -torch.nn.functional.logsigmoid(0.5 * pair.log_ratio))
    asked = pairs([0, 1], [1, 2], shape=(3,), weight=[1.0, 0.25])
    runs = [
        simulate(Tabular(3), [0.0, 0.5, 1.0], asked, loss=loss, learning_rate=1.0, steps=10).log_probs
        for loss in (by_hand, DPO(beta=0.5))
    ]
    close(runs[0], runs[1])


def with_a_detached_part(pair: PairLogProbs) -> Tensor:
    return exponential(pair) * pair.rejected.detach()


def test_a_detached_part_is_a_constant() -> None:
    loss, pair = FunctionLoss(with_a_detached_part), pair_log_probs(-1.0, -2.0)
    close(loss.partials(pair).chosen, -0.5 * loss.value(pair))


def numbers(pair: PairLogProbs) -> Tensor:
    return torch.tensor(pair.chosen.detach().tolist(), dtype=pair.chosen.dtype)


def in_place(pair: PairLogProbs) -> Tensor:
    with torch.no_grad():
        pair.chosen.add_(1.0)
    return pair.chosen * 1.0


def centred(pair: PairLogProbs) -> Tensor:
    return pair.chosen - pair.chosen.mean()


REFUSED: list[tuple[object, str]] = [
    ("dpo", "a function of a PairLogProbs"),
    (lambda chosen, rejected: chosen - rejected, "TypeError"),
    (lambda pair: pair.winner, "AttributeError"),
    (
        lambda pair: pair.chosen.mean(),
        r"returned torch.float64 of shape \(\); it must return one number",
    ),
    (lambda pair: pair.chosen.tolist(), r"it returned \[-.*\]; it must return one number"),
    (lambda pair: pair.chosen.double(), "float64 .*float32"),
    (lambda pair: torch.log(pair.chosen), "ordinary pairs are .*, not finite"),
    (lambda pair: pair.chosen * random.random(), "second call"),
    (numbers, "autograd"),
    (lambda pair: pair.chosen.detach(), "autograd"),
    (lambda pair: torch.sqrt((pair.chosen - pair.chosen.detach()) ** 2), "not finite"),
    (in_place, "changes the tensors that it is given"),
    (centred, "depends on the other pairs"),
]


@pytest.mark.parametrize(("function", "says"), REFUSED)
def test_what_is_refused(function: Callable, says: str) -> None:
    with pytest.raises(InvalidArgument, match=says) as caught:
        FunctionLoss(function)
    assert caught.value.argument == "function"
