import random
from fractions import Fraction as F

import pytest
import torch

from dynamics.losses import DPO, PreferenceLoss
from dynamics.losses.balanced import ProbabilityMargin
from theory.ma2025 import appendix_c as c
from theory.proof import Named
from theory.worlds import dot


@pytest.mark.parametrize("loss", [DPO(beta=1.0), ProbabilityMargin()])
def test_the_changes_are_those_of_a_gradient_step_on_theta(loss: PreferenceLoss) -> None:
    source = random.Random(9)
    for n in (2, 3, 4, 6):
        weights = [source.randint(1, 12) for _ in range(n)]
        p, shift = [F(a, sum(weights)) for a in weights], F(source.randint(1, 10), 10 * n)
        rows = torch.eye(n, dtype=torch.float64) - float(shift)  # equally long, with one cosine between any two
        g2 = (1 - shift) ** 2 + (n - 1) * shift**2
        lam = -((n - 2) * shift**2 - 2 * shift * (1 - shift)) / g2
        assert rows[0].dot(rows[1]).item() == pytest.approx(-float(lam * g2))
        assert lam * (n - 1) <= 1
        base = torch.tensor([float(q) for q in p], dtype=torch.float64).log()
        theta = torch.zeros(n, dtype=torch.float64, requires_grad=True)
        log_p = (base + rows @ theta).log_softmax(0)
        value = loss(log_p[0], log_p[1], base[0].item(), base[1].item())
        urgency = float(-torch.expm1(-value.detach()))  # 1 - e^{-L}
        (gradient,) = torch.autograd.grad(value, theta)
        found = -(rows @ gradient) / urgency
        case = Named(w=p[0], l=p[1], g2=g2, lam=lam, urgency=F(1))
        name = c.DPO_LOSS if isinstance(loss, DPO) else c.BALANCED
        assert found[:2].tolist() == pytest.approx([float(s) for s in c.changes(case, name)], abs=1e-12)


def test_three_vectors_at_120_degrees_are_the_witness() -> None:
    (g2,) = {dot(row, row) for row in c.AT_120_DEGREES}
    inner = {dot(a, b) for a in c.AT_120_DEGREES for b in c.AT_120_DEGREES if a != b}
    assert g2 == c.HALVES.g2
    assert inner == {-c.HALVES.lam * g2}
