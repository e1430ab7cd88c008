from fractions import Fraction as F

import pytest

from theory.feng2024.reach import DISPLACED, UNDISPLACED, moved
from theory.worlds import World


def test_steps_from_the_reference_by_hand() -> None:
    # weights 2^1, 2^0, 2^3 of 11 against 1 of 3 each
    assert moved(DISPLACED) == (F(6, 11), F(3, 11))
    assert moved(DISPLACED, 1) == (1, 1)
    assert moved(UNDISPLACED)[0] > 1


@pytest.mark.parametrize("world", [DISPLACED, UNDISPLACED])
def test_the_two_policies_of_the_similarity_argument_start_alike(world: World) -> None:
    assert world.p == (F(1, 3), F(1, 3), F(1, 3))
