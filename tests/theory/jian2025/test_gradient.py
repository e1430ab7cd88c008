"""The Taylor remainder in many digits, and the written-out loss against the library's."""

import math
from fractions import Fraction as F

import pytest
import torch

from dynamics import DPO, step
from theory.jian2025.cases import BOTH_FALL, EVEN_PAIR, Batch
from theory.jian2025.gradient import remainders, weighted_sum_rises
from theory.jian2025.smooth import BETA, change_of_a_step, dpo_gradient, log_probs, other_reference, smooth_policies
from theory.jian2025.theorem_1 import NOTHING_MOVES, exact_in_a_step


def test_remainder_of_two_even_responses_is_a_difference_of_sigmoids() -> None:
    size = F(7, 10)
    # the log-odds move by |e_w - e_l|^2 = 2 per unit; the first-order change is size / 2
    expected = 0.7 / 2 - (1 / (1 + math.exp(-1.4)) - 0.5)
    assert abs(float(remainders(EVEN_PAIR, size)[0])) == pytest.approx(expected, abs=1e-14)


def test_remainder_is_of_second_order_in_the_size() -> None:
    coarse, fine = (remainders(BOTH_FALL, F(1, n))[0] for n in (10**6, 2 * 10**6))
    assert float(coarse / fine) == pytest.approx(4, abs=1e-4)


def test_first_order_is_exact_only_where_nothing_moves() -> None:
    assert exact_in_a_step(NOTHING_MOVES)
    assert not exact_in_a_step(BOTH_FALL)


@pytest.mark.parametrize("name", list(smooth_policies()))
def test_the_written_out_loss_is_the_librarys(name: str) -> None:
    policy, theta = smooth_policies()[name]
    reference = other_reference(policy, theta)
    account = step(
        policy, theta, 0, 1, loss=DPO(beta=BETA), learning_rate=0.1, reference=reference.reshape(policy.shape)
    )
    assert torch.allclose(account.new_theta - theta, -0.1 * dpo_gradient(policy, theta, reference), atol=1e-14)
    change, _ = change_of_a_step(policy, theta, 0.1)
    assert torch.allclose(account.actual.flatten(), change, atol=1e-14)
    assert float(log_probs(policy, theta).exp().sum()) == pytest.approx(1, abs=1e-14)


def test_the_weights_of_the_batch_invariant_matter() -> None:
    one, three = (F(1),), (F(3),)
    opposed = Batch(((one, (F(0),)), ((F(0),), three)), (F(9, 10), F(1, 10)))
    assert weighted_sum_rises(opposed)
    assert not weighted_sum_rises(opposed, weighted=False)
