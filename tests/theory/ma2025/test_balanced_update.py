import random
from fractions import Fraction as F

import numpy as np
import torch
from hypothesis import given, settings, strategies as st

from dynamics import ProbabilityMargin, bradley_terry, preference_matrix, replicator_fitness
from theory.ma2025.balanced_update import NO_MEAN, WRONG_SIGN, copies, exact_update, printed_update
from theory.ma2025.bandits import normalised
from theory.ma2025.replicator import Selection

exactly = settings(derandomize=True, deadline=None, max_examples=40)


@st.composite
def selections(draw: st.DrawFn) -> Selection:
    source, n = random.Random(draw(st.integers(0, 10**9))), draw(st.integers(2, 8))
    return Selection(
        normalised([source.randint(1, 12) for _ in range(n)]), tuple(F(source.randint(-9, 9), 4) for _ in range(n))
    )


@exactly
@given(selections())
def test_the_exact_update_is_that_of_the_gradient_of_the_mean_fitness(case: Selection) -> None:
    p, w = (torch.tensor([float(a) for a in v], dtype=torch.float64) for v in case)
    s = p.log().requires_grad_()
    (push,) = torch.autograd.grad(torch.softmax(s, 0) @ w, s)
    _, change = torch.autograd.functional.jvp(lambda x: torch.softmax(x, 0), s.detach(), push)
    np.testing.assert_allclose(change, [float(a) for a in exact_update(case)], rtol=0, atol=1e-14)


@exactly
@given(selections(), st.integers(1, 6))
def test_splitting_responses_divides_both_updates_and_nothing_else(case: Selection, parts: int) -> None:
    split = copies(case, parts)
    assert sum(split.p) == 1
    assert split.mean == case.mean
    for update in (exact_update, printed_update):
        assert update(split) == tuple(u / parts**2 for u in update(case) for _ in range(parts))


def test_the_wrong_sign_needs_the_mean_fitness() -> None:
    assert WRONG_SIGN.mean == F(-1, 2)
    assert exact_update(WRONG_SIGN)[0] * printed_update(WRONG_SIGN)[0] < 0
    assert NO_MEAN.mean == 0
    assert exact_update(NO_MEAN) == printed_update(NO_MEAN)


def test_the_push_of_the_real_loss_is_the_policy_gradient() -> None:
    draw = torch.Generator().manual_seed(0)
    log_p = torch.log_softmax(torch.randn(6, generator=draw, dtype=torch.float64), 0)
    label = bradley_terry(torch.randn(6, generator=draw, dtype=torch.float64))
    p, asked = log_p.exp(), preference_matrix(label)
    w = (label - bradley_terry(2.0 * p)).sum(1)
    push = asked.weight.sum() * replicator_fitness(log_p, asked, ProbabilityMargin(scale=2.0))
    torch.testing.assert_close(push, 2.0 * p * (w - p @ w), rtol=0, atol=1e-14)
