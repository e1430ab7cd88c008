"""IPO's optimum of a data set against least squares."""

import numpy as np
import pytest

from theory.azar2023.sampled_loss import ORDER_OF_THREE


def test_the_optimum_of_an_order_of_three_is_that_of_least_squares() -> None:
    design = np.zeros((len(ORDER_OF_THREE.pairs), 3))
    for row, (winner, loser) in zip(design, ORDER_OF_THREE.pairs, strict=True):
        row[winner], row[loser] = 1, -1
    f = np.linalg.lstsq(design, np.ones(len(design)), rcond=None)[0]
    assert design @ f == pytest.approx([float(gap) for gap in ORDER_OF_THREE.gaps()])
    assert ORDER_OF_THREE.is_optimal()
