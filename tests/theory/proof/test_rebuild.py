"""Exact policies with given inner products."""

from fractions import Fraction as F

from hypothesis import given, strategies as st

from theory.proof.rebuild import four_squares, rebuild_policy


@given(st.integers(0, 10**6) | st.integers(0, 10**40))
def test_every_whole_number_is_a_sum_of_four_squares_of_whole_numbers(n: int) -> None:
    parts = four_squares(n)
    assert all(type(a) is int for a in parts)
    assert sum(a * a for a in parts) == n


def test_a_pivot_with_a_large_square_is_rebuilt() -> None:
    values = {"p_w": F(1, 2), "p_l": F(1, 4), "ww": F(7, 9), "ll": F(145, 36), "wl": F(3, 4)}
    w = rebuild_policy(values, 3)
    assert (w.ww, w.ll, w.wl) == (F(7, 9), F(145, 36), F(3, 4))
