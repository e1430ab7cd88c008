from fractions import Fraction as F

from theory.jian2025.gradient import along
from theory.jian2025.mass_flow import IN_A_TABLE, LESS_PROBABLE_GAINS, remark_4_of_all_others
from theory.worlds import World


def test_gains_of_others_in_a_table_are_proportional():
    assert remark_4_of_all_others(IN_A_TABLE)
    assert not remark_4_of_all_others(World.tabular([F(1, 10), F(3, 10), F(4, 10), F(2, 10)]), relative=True)
    assert not remark_4_of_all_others(LESS_PROBABLE_GAINS)


def test_logits_of_a_table_grow_for_the_chosen_and_fall_for_the_rejected_response():
    assert along(World.tabular([F(1, 4)] * 4)) == [1, -1, 0, 0]
