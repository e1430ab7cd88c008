import math
from fractions import Fraction as F

import pytest
import torch

from dynamics import DPO
from theory.ma2025 import support
from theory.proof import Named


@pytest.mark.parametrize("t", [F(2), F(5, 3)])
def test_the_path_is_that_of_gradient_steps_of_dpo(t: F) -> None:
    world = support.LOPSIDED
    ref = torch.tensor([float(p) for p in world.p], dtype=torch.float64).log()
    s = ref.clone().requires_grad_()
    log_p = s.log_softmax(0)
    (gradient,) = torch.autograd.grad(DPO(beta=1.0)(log_p[0], log_p[1], ref[0], ref[1]), s)
    after = (ref - 2 * math.log(t) * gradient).softmax(0)  # the urgency is 1/2
    case = Named(w=world.p[0], l=world.p[1], y=world.p[2], others=0)
    assert after[2].item() == pytest.approx(float(support.on_the_path(case, t)), abs=1e-14)
    assert after.tolist() == pytest.approx([float(p) for p in world.after(t).p], abs=1e-14)


@pytest.mark.parametrize("case", [support.ESCAPE, support.STAYS])
def test_the_affine_step_is_a_gradient_step_of_dpo(case: support.Affine) -> None:
    theta = torch.zeros((), dtype=torch.float64, requires_grad=True)
    p = [float(a) + theta * float(v) for a, v in zip(case.ref, case.direction, strict=True)]
    logs = [math.log(float(a)) for a in case.ref[:2]]
    (gradient,) = torch.autograd.grad(DPO(beta=1.0)(p[0].log(), p[1].log(), *logs), theta)
    moved = -2 * float(case.step) * float(gradient)
    expected = [float(a) + moved * float(v) for a, v in zip(case.ref, case.direction, strict=True)]
    assert [float(a) for a in case.after] == pytest.approx(expected)
    assert sum(case.after) == 1
    assert min(case.after) >= 0


def test_a_response_outside_the_pair_can_grow_almost_fivefold() -> None:
    after = float(support.LOPSIDED.after(F(2) ** 3).p[2])
    bound = 0.01 / (2 * math.sqrt(0.0098) + 0.01)
    assert 0.046 < after < bound == pytest.approx(0.0481, abs=1e-4)
