"""e^0 and log 1 are exact numbers, also after a division."""

from fractions import Fraction as F

from theory.proof import Ball, exp, log


def test_half_is_a_fraction_and_no_float() -> None:
    half = 1 / (1 + exp(0))
    assert isinstance(half, F)
    assert half == F(1, 2)
    assert Ball.of(half) * 2 == 1
    assert log(1) == 0
    assert isinstance(log(F(1)), F)
