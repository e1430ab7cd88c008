import math
import random
from fractions import Fraction as F

import numpy as np
import pytest
from scipy.special import log_expit

from theory.sun2025.theorem_1 import Dataset, any_dataset, too_large


@pytest.mark.parametrize("seed", range(20))
def test_products_are_the_exponentials_of_the_paper_s_sums(seed: int) -> None:
    data = any_dataset(random.Random(seed))
    beta = data.power / data.root
    policy, reference = (data.root * np.log([float(b) for b in odds]) for odds in (data.policy, data.reference))
    log_k = data.root * math.log(data.k)
    assert math.log(data.loss) == pytest.approx(-log_expit(beta * (policy - reference)).sum(), abs=1e-10)
    assert math.log(data.ideal_loss) == pytest.approx(-log_expit(beta * (policy - log_k)).sum(), abs=1e-10)
    assert math.log(data.constant) == pytest.approx((beta * (reference - log_k)).sum(), abs=1e-10)
    assert math.log(data.positive_constant) == pytest.approx(np.maximum(beta * (reference - log_k), 0).sum(), abs=1e-10)


def test_assumption_is_about_the_smallest_ratio() -> None:
    data = Dataset((F(1), F(1)), (F(2), F(3)), F(2), 1, 1)
    assert data.assumption_8
    assert not data.with_k(F(5, 2)).assumption_8
    assert not too_large(data).assumption_8


def test_sampler_draws_data_inside_and_outside_the_assumption() -> None:
    source = random.Random(0)
    assert {any_dataset(source).assumption_8 for _ in range(100)} == {True, False}
