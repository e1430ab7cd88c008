"""AdamW whose preconditioner is held, also where an optimizer has no second moment yet."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.optional import needs

needs("transformers")

from dynamics import DPO, AdamW, InvalidArgument
from dynamics.language_model import tiny_model, train
from dynamics.losses import SFT
from tests.dynamics.language_model.prediction.linear_model import (
    BATCHES,
    OTHERS,
    PAIRS,
    Linear,
    by_hand,
    loss_of,
    predicted,
    smooth_model,
)


class Held(torch.optim.Optimizer):
    """AdamW whose second moment does not change."""

    def __init__(self, theta: Tensor, first: Tensor, second: Tensor, updates: int, decay: float) -> None:
        super().__init__([theta], {"lr": 0.0})
        self.first, self.updates, self.decay = first, updates, decay
        self.scale = 1 / ((second / (1 - 0.999**updates)).sqrt() + 1e-8)

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        (theta,) = self.param_groups[0]["params"]
        rate = self.param_groups[0]["lr"]
        self.updates += 1
        self.first = 0.9 * self.first + 0.1 * theta.grad
        with torch.no_grad():
            theta -= rate * (self.scale * self.first / (1 - 0.9**self.updates) + self.decay * theta)


@pytest.mark.parametrize("every", [None, 2])
def test_adamw_with_a_held_preconditioner_in_the_middle_of_a_training(every: int | None) -> None:
    model = smooth_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    train(model, PAIRS, 5, optimizer=optimizer)
    states = [optimizer.state[p] for p in model.parameters()]
    first, second = (torch.cat([s[key].flatten() for s in states]) for key in ("exp_avg", "exp_avg_sq"))
    wanted = by_hand(model, DPO(beta=0.5), lambda theta: Held(theta, first, second, 5, 0.1), every)
    how = {"loss": DPO(beta=0.5), "optimizer": optimizer, "every": every}
    found = predicted(model, preconditioner="held", **how)
    assert float((found - wanted).abs().max()) < 1e-8
    assert float((predicted(model, preconditioner="reread", **how) - wanted).abs().max()) > 1e-6


class HeldAtFirst(torch.optim.Optimizer):
    """AdamW in which the second moment of every number is held from the first step in which it has a gradient."""

    def __init__(self, theta: Tensor, second: Tensor, updates: int) -> None:
        super().__init__([theta], {"lr": 0.0})
        self.second, self.updates = second / (1 - 0.999**updates or 1.0), updates
        self.first = torch.zeros_like(theta)

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        (theta,) = self.param_groups[0]["params"]
        self.updates += 1
        new = theta.grad.square() * 0.001 / (1 - 0.999**self.updates)
        self.second = torch.where(self.second == 0, new, self.second)
        self.first = 0.9 * self.first + 0.1 * theta.grad
        towards = self.first / (1 - 0.9**self.updates) / (self.second.sqrt() + 1e-8)
        with torch.no_grad():
            theta -= self.param_groups[0]["lr"] * torch.where(self.second > 0, towards, 0.0)


FLAT = {"loss": SFT(), "batches": [[0], [1], [2], [0, 1]], "learning_rate": [1e-4] * 4, "preconditioner": "held"}


def untied() -> Any:
    """Return a model whose input embeddings have no gradient but for the tokens of the batch."""
    return tiny_model("gpt2", width=8, layers=1, heads=2, vocabulary=11, tie_word_embeddings=False)


def held_at_first(model: Any, second: Tensor | None = None, updates: int = 0) -> Tensor:
    linear = Linear(model)
    theta = torch.cat([t.flatten() for t in linear.theta]).requires_grad_()
    optimizer = HeldAtFirst(theta, torch.zeros_like(theta) if second is None else second, updates)
    rows, origin = [linear.log_probs], theta.detach().clone()
    for batch in FLAT["batches"]:
        optimizer.param_groups[0]["lr"] = 1e-4
        optimizer.zero_grad()
        moved = linear.log_probs + linear.scores @ (theta - origin)
        loss_of(SFT(), moved, linear.log_probs, batch).backward()
        optimizer.step()
        rows.append((linear.log_probs + linear.scores @ (theta - origin)).detach())
    return torch.stack(rows)


def test_a_number_without_a_second_moment_is_held_at_its_first_gradient() -> None:
    """The embeddings of the tokens of later batches: 1 / eps would move them by 1e8 times their gradient."""
    model = untied()
    wanted = held_at_first(model)
    found = predicted(model, optimizer=AdamW(weight_decay=0.0), **FLAT)
    assert float((found - wanted).abs().max()) < 1e-9
    assert float((wanted[-1] - wanted[0]).abs().max()) > 1e-3
    reread = predicted(model, optimizer=AdamW(weight_decay=0.0), **(FLAT | {"preconditioner": "reread"}))
    assert float((found - reread).abs().max()) < 1.0  # nothing blows up


def test_moments_that_are_zero_in_part_are_held_likewise() -> None:
    model = untied()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=0.0)
    train(model, PAIRS[:1], 2, optimizer=optimizer)
    states = [optimizer.state[p] for p in model.parameters()]
    for state in states:
        state["exp_avg"].zero_()  # so that only the second moment is remembered
    second = torch.cat([state["exp_avg_sq"].flatten() for state in states])
    assert 0 < int((second == 0).sum()) < len(second)
    wanted = held_at_first(model, second, 2)
    found = predicted(model, optimizer=optimizer, **FLAT)
    assert float((found - wanted).abs().max()) < 1e-9


def test_parameters_that_were_not_updated_as_often_are_refused_by_name() -> None:
    model = smooth_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    train(model, PAIRS, 2, optimizer=optimizer, parameters="*mlp*")
    says = r"preconditioner: the optimizer has updated \S*mlp\S* 2 times and \S+ 0 times.*use 'reread'"
    with pytest.raises(InvalidArgument, match=says):
        predicted(model, optimizer=optimizer, preconditioner="held", learning_rate=None)
    for group in optimizer.param_groups:
        group["lr"] = 1e-5
    found = predicted(model, optimizer=optimizer, preconditioner="reread", learning_rate=None, every=1)
    other, rule = copy.deepcopy((model, optimizer))
    actual = train(other, PAIRS, len(BATCHES), others=OTHERS, batches=BATCHES, optimizer=rule)
    assert float((found - actual.log_probs).abs().max()) < 0.02 * float(actual.change.abs().max())
