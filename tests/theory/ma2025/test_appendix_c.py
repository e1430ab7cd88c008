import random

import pytest
import torch

from dynamics.losses import DPO, PreferenceLoss
from dynamics.losses.balanced import ProbabilityMargin
from theory.ma2025 import appendix_c as c


def test_the_step_is_a_gradient_step_on_theta() -> None:
    source = random.Random(9)
    for _ in range(30):
        case = c.correlated(source)
        rows = torch.tensor([[float(a) for a in row] for row in case.rows], dtype=torch.float64)
        base = torch.tensor([float(p) for p in case.p], dtype=torch.float64).log()
        theta = torch.zeros(rows.shape[1], dtype=torch.float64, requires_grad=True)
        loss: PreferenceLoss = DPO(beta=1.0) if case.loss == c.DPO_LOSS else ProbabilityMargin()
        log_p = (base + rows @ theta).log_softmax(0)
        value = loss(log_p[0], log_p[1], base[0].item(), base[1].item())
        urgency = float(torch.special.expit(torch.log(torch.expm1(value.detach()))))  # 1 - e^{-L}
        (gradient,) = torch.autograd.grad(value, theta)
        change = -(rows @ gradient) / urgency * float(case.urgency)
        assert change.tolist() == pytest.approx([float(s) for s in case.change], abs=1e-9)


def test_lengths_and_cosines_are_equal() -> None:
    source = random.Random(10)
    for _ in range(50):
        case = c.correlated(source)
        rows = case.rows
        assert {c.dot(row, row) for row in rows} == {case.squared_norm}
        inner = {c.dot(a, b) for k, a in enumerate(rows) for b in rows[:k]}
        assert inner == {-case.decorrelation * case.squared_norm}
        assert 0 < case.decorrelation * (len(rows) - 1) <= 1
