import random
from fractions import Fraction as F

import numpy as np
import torch
from hypothesis import given, settings, strategies as st

from theory.ma2025.balanced_update import (
    NO_MEAN,
    WRONG_SIGN,
    Urgencies,
    copies,
    exact_push,
    exact_update,
    printed_update,
    relative_error,
    urgencies,
)
from theory.ma2025.replicator import Selection, dpo_step, selection

exactly = settings(derandomize=True, deadline=None, max_examples=60)
seeds = st.integers(0, 10**9).map(random.Random)


@exactly
@given(seeds)
def test_the_push_is_the_gradient_of_the_mean_fitness(source: random.Random) -> None:
    case = selection(source)
    p, w = (np.array([float(a) for a in v]) for v in (case.p, case.w))
    s = torch.tensor(np.log(p), requires_grad=True)
    (gradient,) = torch.autograd.grad(torch.softmax(s, 0) @ torch.tensor(w), s)
    np.testing.assert_allclose(gradient, [float(a) for a in exact_push(case)], rtol=0, atol=1e-14)


@exactly
@given(seeds, st.integers(1, 6))
def test_splitting_responses_divides_both_updates_and_nothing_else(source: random.Random, parts: int) -> None:
    case = selection(source)
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


@exactly
@given(seeds)
def test_fitness_of_urgencies_sums_to_zero_and_counts_both_roles(source: random.Random) -> None:
    case = urgencies(source)
    assert sum(case.fitness) == 0
    once = Urgencies((F(1, 2), F(1, 2)), ((F(0), F(3)), (F(1), F(0))))
    assert once.fitness == (2, -2)


def test_relative_error_is_the_mean_fitness_and_stays() -> None:
    errors = [relative_error(n, with_mean=False)[0] for n in (30, 300)]
    assert min(errors) > 0.5
    assert relative_error(30, with_mean=True)[0] < 1e-12


def test_dpo_step_is_a_real_step_with_the_fitness_it_returns() -> None:
    p, w, after = dpo_step(4, 0.5, seed=3)
    grown = p * np.exp(0.5 * w)
    np.testing.assert_allclose(after, grown / grown.sum(), rtol=0, atol=1e-14)
    assert abs(after - p).max() > 1e-2


def test_selection_knows_velocity_and_variance() -> None:
    case = Selection((F(1, 2), F(1, 2)), (F(1), F(-1)), (F(1), F(0)))
    assert case.velocity == (F(1, 2), F(-1, 2))
    assert case.variance == 1
