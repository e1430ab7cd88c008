import random
from fractions import Fraction as F

import pytest

from theory.ma2025 import concentration as c


def test_lemma_2_gives_the_fitness_of_a_uniform_reference() -> None:
    source = random.Random(1)
    for _ in range(50):
        world = c.any_utility(source)
        assert world.fitness == tuple(b - a for a, b in zip(c.alpha(world), c.beta(world), strict=True))


def test_the_smallest_counterexample_by_hand() -> None:
    assert [str(w) for w in c.SMALLEST.fitness] == ["-1/12", "1/12"]
    assert c.variance_excess(c.SMALLEST) == F(4, 2304) - F(5, 2304)


def test_samplers_draw_what_they_promise() -> None:
    source = random.Random(2)
    assert all(c.is_aligned(c.aligned(source)) for _ in range(50))
    assert not all(c.is_aligned(c.any_utility(source)) for _ in range(50))


@pytest.mark.parametrize(
    ("row", "uniform", "shiftless"), [((45, 55), 0.261, 2.32), ((30, 70), 0.802, 2.46), ((48, 52), 0.195, 2.23)]
)
def test_dispersion_in_figure_1(row: tuple[int, int], uniform: float, shiftless: float) -> None:
    assert c.dispersion(row, shiftless=False) == pytest.approx(uniform, abs=6e-4)
    assert c.dispersion(row, shiftless=True) == pytest.approx(shiftless, abs=6e-3)
