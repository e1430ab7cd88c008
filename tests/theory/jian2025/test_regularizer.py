import random

import sympy as sp

from theory.jian2025.regularizer import PHI, THETA, Logit, equal_norms


def test_product_logit_by_hand():
    case = Logit(THETA[0] * PHI, {THETA[0]: 1, PHI: sp.log(2)})
    true, printed = case.regularizer_slopes()
    assert sp.simplify(true - (sp.Rational(1, 3) + 4 * sp.log(2) / 9)) == 0
    assert printed == sp.Rational(4, 9)


def test_equal_norms_are_equal_and_mostly_not_zero():
    worlds = [equal_norms(random.Random(seed)) for seed in range(50)]
    assert all(w.scores[0][0] == -w.scores[1][0] for w in worlds)
    assert sum(w.scores[0][0] != 0 for w in worlds) > 40
