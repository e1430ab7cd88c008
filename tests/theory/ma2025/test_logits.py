import random
from fractions import Fraction as F

import torch
from hypothesis import given, settings, strategies as st

from dynamics import DPO
from dynamics.losses import pair_log_probs
from theory.ma2025.logits import LinearLogits, any_logits, orthogonal_logits, pull
from theory.worlds import dot

exactly = settings(derandomize=True, deadline=None, max_examples=40)
seeds = st.integers(0, 10**9).map(random.Random)


@exactly
@given(seeds, st.booleans())
def test_a_step_of_linear_logits_is_a_step_of_autograd(source: random.Random, orthogonal: bool) -> None:
    case = (orthogonal_logits if orthogonal else any_logits)(source)
    world = case.world
    jacobian = torch.tensor([[float(a) for a in row] for row in case.jacobian], dtype=torch.float64)
    bias = torch.tensor([float(p) for p in world.p], dtype=torch.float64).log()
    reference = torch.tensor([float(p) for p in world.ref], dtype=torch.float64).log()
    theta = torch.zeros(jacobian.shape[1], dtype=torch.float64, requires_grad=True)
    log_p = torch.log_softmax(bias + jacobian @ theta, 0)
    loss = DPO(beta=float(world.beta)).value(pair_log_probs(*log_p[:2], *reference[:2]))
    (gradient,) = torch.autograd.grad(loss, theta)
    found = [float(a) for a in case.step(world.pair_logit_gradient(0, 1))]
    torch.testing.assert_close(torch.tensor(found, dtype=torch.float64), jacobian @ -gradient, rtol=1e-12, atol=1e-12)


@exactly
@given(seeds)
def test_orthogonal_logits_meet_the_assumptions_and_any_logits_do_not(source: random.Random) -> None:
    rows = orthogonal_logits(source).jacobian
    gram = {(i, j): dot(a, b) for i, a in enumerate(rows) for j, b in enumerate(rows)}
    assert len({gram[i, i] for i in range(len(rows))}) == 1
    assert all(value == 0 for (i, j), value in gram.items() if i != j)


def test_any_logits_overlap() -> None:
    source = random.Random(0)
    assert any(dot(*any_logits(source).jacobian[:2]) != 0 for _ in range(20))


@exactly
@given(seeds)
def test_pull_follows_the_chain_rule(source: random.Random) -> None:
    world = any_logits(source).world
    margin = world.p[0] - world.p[1]
    plain = pull(world)
    assert pull(world, lambda m: 2 * m**3) == tuple(6 * margin**2 * a for a in plain)
    assert sum(plain) == 0


def test_a_case_prints_its_matrix() -> None:
    source = random.Random(0)
    world = any_logits(source).world
    text = str(LinearLogits(world, ((F(1), F(-2)),) * len(world.p)))
    assert text.splitlines()[1].startswith("J = [1, -2; 1, -2")
