"""The Taylor remainder in many digits, and that it is exact where nothing moves."""

import math
from fractions import Fraction as F

import pytest

from theory.jian2025.cases import BOTH_FALL, EVEN_PAIR
from theory.jian2025.gradient import remainders
from theory.jian2025.theorem_1 import NOTHING_MOVES, exact_in_a_step
from theory.proof.balls import midpoint


def test_remainder_of_two_even_responses_is_a_difference_of_sigmoids() -> None:
    size = F(7, 10)
    # the log-odds move by |e_w - e_l|^2 = 2 per unit; the first-order change is size / 2
    expected = 0.7 / 2 - (1 / (1 + math.exp(-1.4)) - 0.5)
    assert abs(midpoint(remainders(EVEN_PAIR, size)[0])) == pytest.approx(expected, abs=1e-14)


def test_remainder_is_of_second_order_in_the_size() -> None:
    coarse, fine = (remainders(BOTH_FALL, F(1, n))[0] for n in (10**6, 2 * 10**6))
    assert midpoint(coarse / fine) == pytest.approx(4, abs=1e-4)


def test_first_order_is_exact_only_where_nothing_moves() -> None:
    assert exact_in_a_step(NOTHING_MOVES)
    assert not exact_in_a_step(BOTH_FALL)
