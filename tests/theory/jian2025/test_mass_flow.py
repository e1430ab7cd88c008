from fractions import Fraction as F

from theory.jian2025.mass_flow import alignment, gains_of_others
from theory.worlds import World


def test_gains_of_others_in_a_table_are_proportional():
    gains = gains_of_others(World.tabular([F(1, 10), F(3, 10), F(2, 10), F(4, 10)]))
    assert len({gain / p for p, gain in gains}) == 1
    assert gains[0][1] > 0


def test_alignment_of_a_table():
    assert alignment(World.tabular([F(1, 4)] * 4)) == [1, -1, 0, 0]
