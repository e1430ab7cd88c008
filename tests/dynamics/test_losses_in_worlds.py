"""Losses of a whole batch in the finite world: a policy's gradient and its runs see the batch."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings, strategies as st

from dynamics import DPO, LogLinear, PreferenceLoss, Tabular, pairs, simulate
from dynamics.gradient import objective_gradient, pair_quantities, response_lengths
from dynamics.losses import AOT, BetaDPO, SFTPerToken
from tests.dynamics.strategies import close, tensor
from tests.dynamics.test_losses_batch import BATCH


@settings(max_examples=20)
@given(st.sampled_from(BATCH), st.integers(0, 1000))
def test_the_gradient_of_a_policy_sees_the_batch(loss: PreferenceLoss, seed: int) -> None:
    rng = np.random.default_rng(seed)
    policy, theta = LogLinear(rng.normal(size=(2, 4, 3))), tensor(rng.normal(size=3))
    asked = pairs([0, 1, 2, 3], [1, 2, 0, 0], prompt=[0, 0, 1, 1], weight=[1.0, 2.0, 0.5, 0.0], shape=(2, 4))
    reference = policy.log_probs(tensor(rng.normal(size=3))).flatten()
    moved = theta.clone().requires_grad_()
    quantities = pair_quantities(policy.log_probs(moved).flatten(), reference, asked, response_lengths(policy))
    total = loss.total(quantities, asked.weight)
    scale = objective_gradient(policy, theta, asked, DPO(), reference)
    alone = DPO().total(quantities, asked.weight)
    # whatever the objective divides the sum by, it is the same for every loss
    (want,) = torch.autograd.grad(total, moved, retain_graph=True)
    (unit,) = torch.autograd.grad(alone, moved)
    close(objective_gradient(policy, theta, asked, loss, reference) * unit[0], want * scale[0], 1e-10)


def test_runs_of_batch_losses_do_not_mix() -> None:
    asked = pairs([0, 1], [1, 2], shape=(3,))
    losses = [AOT(beta=0.1), AOT(beta=2.0), BetaDPO(beta=0.5), SFTPerToken()]
    together = simulate(Tabular(3), [0.5, 0.0, 1.0], asked, loss=losses, learning_rate=[0.1, 1.0], steps=5)
    for i, loss in enumerate(losses):
        alone = simulate(Tabular(3), [0.5, 0.0, 1.0], asked, loss=loss, learning_rate=[0.1, 1.0], steps=5)
        close(together.log_probs[:, i], alone.log_probs[:, 0])
