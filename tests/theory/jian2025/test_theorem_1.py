"""torch's AdamW and SGD on the pair of jian2025.theorem-1-adam; positive preconditioners on any pair."""

import random
from fractions import Fraction as F

import pytest
import torch

from dynamics.policies import LogLinear
from theory.jian2025.theorem_1 import OPPOSED_SIGNS, sign_under_adam
from theory.worlds import any_world, dot


@pytest.mark.parametrize(("optimizer", "falls"), [(torch.optim.AdamW, True), (torch.optim.SGD, False)])
def test_adamw_lowers_what_gradient_descent_raises(optimizer: type[torch.optim.Optimizer], falls: bool) -> None:
    policy = LogLinear([[float(a) for a in phi] for phi in OPPOSED_SIGNS.features])
    theta = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    before = policy.log_probs(theta).detach()
    change = policy.log_probs(theta) - before
    loss = -torch.nn.functional.logsigmoid(0.5 * (change[0] - change[1]))
    (theta.grad,) = torch.autograd.grad(loss, theta)
    optimizer([theta], lr=1e-3).step()  # type: ignore[call-arg]
    assert bool(policy.log_probs(theta.detach())[0] < before[0]) == falls
    assert not sign_under_adam(OPPOSED_SIGNS)


def moves_apart(semidefinite: bool) -> bool:
    source = random.Random(0)
    for _ in range(200):
        w = any_world(source)
        k = len(w.features[0])
        matrix = [[F(source.randint(-2, 2)) for _ in range(k)] for _ in range(k)]
        step = [a - b for a, b in zip(w.scores[w.chosen], w.scores[w.rejected], strict=True)]
        if semidefinite:
            step = [dot(column, step) for column in zip(*matrix, strict=True)]
        step = [dot(row, step) for row in matrix]
        chosen, rejected = (dot(w.scores[y], step) for y in (w.chosen, w.rejected))
        if not (chosen >= rejected and (chosen >= 0 or rejected < 0)):
            return False
    return True


def test_a_semidefinite_preconditioner_moves_the_pair_apart_and_an_indefinite_one_need_not() -> None:
    assert moves_apart(semidefinite=True)
    assert not moves_apart(semidefinite=False)
