"""The forces of f-DPO against the losses of the library, and the border of two in a tabular softmax."""

import random
from fractions import Fraction as F

import pytest
import sympy as sp
from hypothesis import given, settings, strategies as st

from theory.decision.loss_rules import LOSSES
from theory.decision.weighted import WeightedWorld
from theory.pipano2026.divergences import FORCES, T
from theory.proof import Named
from theory.worlds import World

NAMES = {"-log t (forward KL)": "f_dpo_forward_kl", "Jensen and Shannon": "f_dpo", "t^2/2 + t log t (chi-PO)": "chi_po"}


@pytest.mark.parametrize(("name", "loss"), NAMES.items())
def test_the_force_is_the_weight_of_the_loss(name: str, loss: str) -> None:
    weights = LOSSES[loss].weights
    for t_w, t_l in ((F(1, 2), F(3)), (F(5), F(2, 7))):
        found = weights(Named(u=F(1), r_w=t_w, r_l=t_l))
        phi = FORCES[name][1]
        assert [sp.Rational(x.numerator, x.denominator) for x in found] == [
            phi.subs(T, sp.Rational(x.numerator, x.denominator)) for x in (t_w, t_l)
        ]


@settings(max_examples=60)
@given(st.integers(0, 10**6).map(random.Random))
def test_twice_the_push_never_displaces_and_more_can(source: random.Random) -> None:
    weights = [F(source.randint(1, 30)) for _ in range(source.randint(2, 7))]
    world = World.tabular([weight / sum(weights) for weight in weights])
    assert WeightedWorld(world, F(1), F(2)).A_w > 0
    ratio = 2 + F(source.randint(1, 50), source.randint(1, 50))
    share = (ratio - 2) / (6 * ratio)
    at_the_border = World.tabular([share, share, 1 - 2 * share])
    assert WeightedWorld(at_the_border, F(1), ratio).A_w < 0
