from fractions import Fraction as F

from theory.ma2025 import label_noise as n


def test_even_noise_adds_its_variance_times_the_mean_square() -> None:
    assert n.EVEN.excess(0) == F(1, 64)
    assert n.EVEN.excess(1) == F(1, 64) * F(5, 16)


def test_the_counterexamples_by_hand() -> None:
    assert n.DRAWN.excess(0) * F(5, 16) == F(25, 1024)
    assert n.DRAWN.excess(1) == F(20, 1024)
    assert n.UNEVEN.excess(0) * F(5, 16) == F(5, 32)
    assert n.UNEVEN.excess(1) == F(1, 32)
