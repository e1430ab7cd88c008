import random
from fractions import Fraction as F

import pytest

from theory.jian2025.theorem_2 import Curved, change_of_pair, change_of_rest, displaced, displaced_of_three, falls, rest
from theory.jian2025.theorem_2_proof import SMALL_BUT_STEEP, Clipped, reach
from theory.worlds import World


@pytest.mark.parametrize("sampler", [displaced, displaced_of_three])
def test_samplers_draw_displaced_worlds_and_not_always_the_same(sampler):
    source = random.Random(1)
    worlds = [sampler(source) for _ in range(100)]
    assert all(w.change(w.chosen) < 0 for w in worlds)
    assert len(set(worlds)) > 50


def test_falls_is_the_sign_of_the_change():
    for world in (World.log_linear([[1], [0], [2]], at=[x]) for x in (F(1, 2), F(1), F(2))):
        assert falls(world) == (world.change(0) < 0)


def test_parts_of_the_change_sum_to_zero():
    source = random.Random(2)
    for _ in range(50):
        w = displaced(source)
        assert change_of_pair(w) + change_of_rest(w) + w.change(w.greedy) == 0
        assert set(rest(w)) == set(w.responses) - {w.chosen, w.rejected, w.greedy}
        assert abs(change_of_rest(w)) <= reach(w)


def test_a_straight_curve_is_log_linear():
    curve = Curved((2, 3, 0), (0, 0, 0))
    assert [curve.change(y) for y in range(3)] == [curve.start().exact_change(y, 2) for y in range(3)]


def test_clipping_scales_all_changes_alike():
    loose, tight = (Clipped(SMALL_BUT_STEEP, largest) for largest in (F(100), F(1, 10)))
    assert [loose.change(y) for y in range(4)] == [SMALL_BUT_STEEP.change(y) for y in range(4)]
    assert [tight.change(y) for y in range(4)] == [SMALL_BUT_STEEP.change(y) / 10 for y in range(4)]
