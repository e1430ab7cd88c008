"""Prefix trees and many pairs in closed form against steps of ``dynamics``."""

import math
import random
from dataclasses import replace
from fractions import Fraction as F

import pytest
import torch
from hypothesis import given, settings, strategies as st

from dynamics import DPO, Tabular, pairs, step
from theory.jian2025.tabular import TreeStep, tree_changes, tree_step
from theory.jian2025.tabular_pairs import ManyPairs, many_pairs

seeds = st.integers(0, 10**6).map(random.Random)


@settings(max_examples=40)
@given(seeds)
def test_a_tree_step_is_the_step_of_dynamics(source: random.Random) -> None:
    case = tree_step(source)
    # at the reference the urgency of DPO is 1/2
    account = step(case.tree, case.logits, 0, 1, loss=DPO(beta=1.0), learning_rate=2 * case.size)
    change = account.new_log_probs - account.log_probs
    assert torch.allclose(case.change(), change, rtol=1e-10, atol=1e-12)
    assert [float(v) for v in change[:2]] == pytest.approx(tree_changes(case), rel=1e-9, abs=1e-12)


def test_tying_the_tokens_changes_the_step() -> None:
    untied = TreeStep(("bab", "aba", "bbc"), (0.0,) * 8, size=0.3)
    assert float(untied.change()[0]) > 0 > float(replace(untied, tied=True).change()[0])


@pytest.mark.parametrize("factor", [F(3, 2), F(101, 100)])
@settings(max_examples=30)
@given(seeds)
def test_many_pairs_take_the_steps_of_dynamics(factor: F, source: random.Random) -> None:
    case = many_pairs(source)
    n = len(case.p)
    theta = [math.log(q) for q in case.p]
    chosen, rejected, weight = (list(column) for column in zip(*case.pairs, strict=True))
    asked = pairs(chosen, rejected, weight=[float(a) for a in weight], shape=(n,))
    loss = DPO(beta=float(case.beta))
    # of the sum over pairs: a response chosen once moves by learning_rate * beta / 2 = log(factor)
    sum_rate = 2 * math.log(factor) / case.beta
    rate = sum_rate * float(sum(weight))
    first = step(Tabular(n), theta, preferences=asked, loss=loss, learning_rate=rate)
    assert [float(q) for q in first.new_log_probs.exp()] == pytest.approx([float(q) for q in case.after(factor)])
    others = [y for y in range(n) if case.push[y] == 0 and y not in chosen + rejected]
    start = first.log_probs
    second = step(Tabular(n), first.new_theta, preferences=asked, loss=loss, learning_rate=rate, reference=start)
    p = first.new_log_probs.exp()
    for y in others:
        assert math.expm1(float(first.new_log_probs[y]) - theta[y]) == pytest.approx(float(case.others_change(factor)))
        rise = float(second.predicted[y] / p[y]) / (sum_rate * case.beta)
        assert rise == pytest.approx(float(case.others_rate(factor)), abs=1e-9)


def test_complete_designs_are_told_from_others() -> None:
    p = (F(1, 5),) * 5
    assert ManyPairs(p, ((0, 2, 1), (0, 3, 1), (1, 2, 1), (1, 3, 1))).is_complete
    assert not ManyPairs(p, ((0, 2, 1), (0, 3, 1), (1, 2, 1))).is_complete
    assert not ManyPairs(p, ((0, 2, 1), (1, 2, 2))).is_complete
