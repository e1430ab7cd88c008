import random

from theory.jian2025.theorem_2 import change_of_rest, curved
from theory.worlds import any_world


def test_parts_of_the_change_sum_to_zero():
    source = random.Random(2)
    for w in (any_world(source) for _ in range(50)):
        if w.greedy is not None:
            rest = [y for y in w.others if y != w.greedy]
            assert change_of_rest(w) == sum(w.change(y) for y in rest)


def test_a_straight_curve_is_a_step_of_a_log_linear_policy():
    before, after = curved((2, 3, 0), (0, 0, 0))
    assert after.p == before.after(2).p


def test_y_is_the_most_probable_response_outside_the_pair_unless_another_is_named():
    source = random.Random(3)
    worlds = [w for w in (any_world(source) for _ in range(50)) if w.others]
    assert worlds
    assert all(w.y == w.greedy for w in worlds)
