import random
from fractions import Fraction as F

from theory.ma2025 import label_noise as n


def test_even_noise_adds_its_variance_times_the_mean_square() -> None:
    source = random.Random(3)
    drawn = [n.noisy_data(source) for _ in range(200)]
    even = [data for data in drawn if data.is_even]
    assert 50 < len(even) < 180
    for data in even:
        variance = sum(e * e * chance for e, chance in data.noise[0])
        assert data.excess(0) == variance
        assert data.excess(1) == variance * data.mean_square(data.subset)
    for data in drawn:
        assert data.mean_square(data.subset) >= data.mean_square(data.everything)  # Eq. (21)


def test_the_counterexamples_by_hand() -> None:
    assert n.DRAWN.excess(0) * F(5, 16) == F(25, 1024)
    assert n.DRAWN.excess(1) == F(20, 1024)
    assert n.UNEVEN.excess(0) * F(5, 16) == F(5, 32)
    assert n.UNEVEN.excess(1) == F(1, 32)


def test_antisymmetric_noise_keeps_the_sum_of_fitness() -> None:
    data = n.FlippedLabels(n.QUARTERS, F(1, 8))
    assert (data.mean_excess(0), data.mean_excess(1)) == (F(1, 64), F(1, 256))
