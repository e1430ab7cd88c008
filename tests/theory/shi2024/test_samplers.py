"""The recursion of the gaps against gradient descent on two logits."""

from fractions import Fraction as F

import pytest
import torch

from theory.shi2024.samplers import gaps


@pytest.mark.parametrize("sampler", ["uniform", "mix-r", "mix-p"])
@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_a_gap_is_that_of_two_logits_that_are_trained(sampler: str, beta: float) -> None:
    reward, steps = 1.0, 4
    rate = 1 / (beta**2 * 2)
    theta = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    share = torch.sigmoid(torch.tensor(reward, dtype=torch.float64))
    found = []
    for _ in range(steps):
        gap = theta[0] - theta[1]
        model = float(beta * gap.detach())
        weight = {
            "uniform": 4.0,
            "mix-r": 2 + 2 * torch.tensor(reward).cosh(),
            "mix-p": 2 + 2 * torch.tensor(model).cosh(),
        }
        logs = torch.nn.functional.logsigmoid(beta * gap), torch.nn.functional.logsigmoid(-beta * gap)
        # 2 rate alpha pi^s beta^2 Delta is weight Delta: alpha pi^s is the weight at this rate
        loss = -float(weight[sampler]) * (share * logs[0] + (1 - share) * logs[1])
        (slope,) = torch.autograd.grad(loss, theta)
        theta = (theta - rate * slope).detach().requires_grad_()
        found.append(reward - beta * float((theta[0] - theta[1]).detach()))
    for delta, trained in zip(gaps(sampler, F(1), steps), found, strict=True):
        assert abs(delta - F(trained)) < F(1, 10**6)
