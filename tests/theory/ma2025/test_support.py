import math
import random
from fractions import Fraction as F

import pytest
import torch

from dynamics import DPO
from theory.ma2025 import support


def test_exponential_steps_are_gradient_steps_of_dpo() -> None:
    source = random.Random(4)
    for _ in range(20):
        case = support.exact_step(source)
        ref = torch.tensor([float(p) for p in case.ref], dtype=torch.float64).log()
        phi = torch.tensor(case.features, dtype=torch.float64)
        theta = torch.zeros(phi.shape[1], dtype=torch.float64, requires_grad=True)
        log_p = (ref + phi @ theta).log_softmax(0)
        (gradient,) = torch.autograd.grad(DPO(beta=1.0)(log_p[0], log_p[1], ref[0], ref[1]), theta)
        moved = -gradient * 2 * case.step * math.log(2)  # the urgency is 1/2
        after = (ref + phi @ moved).softmax(0)
        assert after.tolist() == pytest.approx([float(p) for p in case.after()], abs=1e-12)


def test_the_affine_step_is_a_gradient_step_of_dpo() -> None:
    case = support.ESCAPE
    theta = torch.zeros((), dtype=torch.float64, requires_grad=True)
    p = [float(a) + theta * float(v) for a, v in zip(case.ref, case.direction, strict=True)]
    logs = [math.log(float(a)) for a in case.ref[:2]]
    (gradient,) = torch.autograd.grad(DPO(beta=1.0)(p[0].log(), p[1].log(), *logs), theta)
    moved = -2 * float(case.step) * float(gradient)
    assert [float(a) + moved * float(v) for a, v in zip(case.ref, case.direction, strict=True)] == pytest.approx(
        [float(a) for a in case.after()]
    )


def test_affine_policies_stay_on_the_simplex() -> None:
    source = random.Random(6)
    for _ in range(300):
        after = support.policy(source).after()
        assert sum(after) == 1
        assert min(after) >= 0


def test_a_response_outside_the_pair_can_grow_almost_fivefold() -> None:
    lopsided = support.Exponential((F(1, 100), F(49, 50), F(1, 100)), support.TABLE, step=3)
    bound = 0.01 / (2 * math.sqrt(0.0098) + 0.01)
    assert 0.046 < float(lopsided.after()[2]) < bound == pytest.approx(0.0481, abs=1e-4)
