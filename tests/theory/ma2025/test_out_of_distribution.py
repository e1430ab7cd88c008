import random

import pytest
import torch

from theory.ma2025 import out_of_distribution as ood
from theory.ma2025.concentration import any_utility


@pytest.mark.parametrize("balanced", [False, True])
def test_the_rate_is_that_of_a_vanishing_response(balanced: bool) -> None:
    source = random.Random(7)
    for _ in range(20):
        world = any_utility(source)
        tiny = 1e-9
        p = torch.tensor([float(a) * (1 - tiny) for a in world.p] + [tiny], dtype=torch.float64)
        w = torch.tensor([float(a) for a in world.fitness] + [0.0], dtype=torch.float64)
        s = p.log().requires_grad_()
        if balanced:  # the balanced step is the policy gradient with reward w
            (push,) = torch.autograd.grad((s.softmax(0) * w).sum(), s)
        else:
            push = w
        _, rate = torch.autograd.functional.jvp(lambda x: x.log_softmax(0), s.detach(), push)
        scale = 1 / len(world.p) if balanced else 1.0
        assert float(rate[-1]) / scale == pytest.approx(float(ood.ood_rate(world, balanced)), abs=1e-7)


def test_independence_is_recognised() -> None:
    assert ood.are_independent([1, 1, 2, 2, 2, 2], [5, 6, 5, 6, 5, 6])
    assert not ood.are_independent([1, 1, 2, 2], [5, 6, 6, 6])
    assert not ood.are_independent([1, 2], [1, 2])
