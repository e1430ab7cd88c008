"""The factor of GRPO's expected gradient against a softmax policy whose groups are all run through."""

import itertools
import math

import pytest
import torch

from theory.wu2025.group_size import multiple


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_the_factor_is_that_of_a_softmax(size: int) -> None:
    logits = torch.tensor([0.3, -0.4, 0.9], dtype=torch.float64, requires_grad=True)
    log_p = torch.log_softmax(logits, 0)
    right = [True, False, True]  # two answers of three are right
    scores = [torch.autograd.grad(log_p[k], logits, retain_graph=True)[0] for k in range(3)]
    accuracy = sum(log_p[k].exp() for k in range(3) if right[k])
    (slope,) = torch.autograd.grad(accuracy, logits)
    expected = torch.zeros(3, dtype=torch.float64)
    for group in itertools.product(range(3), repeat=size):
        rewards = torch.tensor([float(right[k]) for k in group], dtype=torch.float64)
        deviation = rewards.std(correction=0)
        if deviation == 0:
            continue
        chance = math.prod(float(log_p[k].detach().exp()) for k in group)
        advantages = (rewards - rewards.mean()) / deviation
        expected += chance * sum(a * scores[k] for a, k in zip(advantages, group, strict=True)) / size
    factor = float(multiple(float(accuracy.detach()), size))
    assert expected.tolist() == pytest.approx((factor * slope).tolist(), abs=1e-12)
