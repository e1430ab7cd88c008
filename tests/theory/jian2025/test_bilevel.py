from fractions import Fraction as F

import sympy as sp

from theory.jian2025.bilevel import backbone_at_optimum, logits, minimisers


def test_trained_backbone_has_the_labels_as_probabilities():
    values = [v.subs(backbone_at_optimum()) for v in logits()]
    weights = [sp.exp(v) for v in values]
    assert [sp.simplify(w / sum(weights)) for w in weights] == [sp.Rational(1, 2), sp.Rational(1, 6), sp.Rational(1, 3)]


def test_hard_labels_have_no_minimiser():
    assert minimisers(F(1)) == minimisers(F(0)) == sp.S.EmptySet
    assert minimisers(F(1, 4)) == sp.FiniteSet(-sp.log(3))
