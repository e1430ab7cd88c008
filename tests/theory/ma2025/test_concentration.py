import random
from fractions import Fraction as F

from theory.ma2025 import concentration as c
from theory.ma2025.bandits import Bandit


def test_lemma_2_gives_the_fitness_of_a_uniform_reference() -> None:
    source = random.Random(1)
    for _ in range(50):
        world = c.any_utility(source)
        assert world.fitness == tuple(b - a for a, b in zip(c.alpha(world), c.beta(world), strict=True))


def test_the_smallest_counterexample_by_hand() -> None:
    assert [str(w) for w in c.SMALLEST.fitness] == ["-1/12", "1/12"]
    assert c.variance_excess(c.SMALLEST.fitness, c.SMALLEST.p) == F(4, 2304) - F(5, 2304)


def is_aligned(world: Bandit) -> bool:
    pairs = ((i, j) for i in world.responses for j in world.responses)
    return all((world.p[i] - world.p[j]) * (world.q[i] - world.q[j]) >= 0 for i, j in pairs)


def test_samplers_draw_what_they_promise() -> None:
    source = random.Random(2)
    assert all(is_aligned(c.aligned(source)) for _ in range(50))
    assert not all(is_aligned(c.any_utility(source)) for _ in range(50))
    assert is_aligned(c.DISPERSED)
    assert is_aligned(c.SMALLEST)
