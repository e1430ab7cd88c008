"""The exact losses against the float64 losses of the dynamics, and their slopes against difference quotients."""

import math
import random
from fractions import Fraction as F

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dynamics import DPO
from dynamics.errors import InvalidArgument
from theory.wipf2024.logarithms import log
from theory.wipf2024.objectives import Case, Setting, divergence, minimisers, pair, plain_pair, squares, with_policies

cases = st.integers(0, 10**6).map(lambda seed: with_policies(random.Random(seed)))


def logs(vector: tuple[F, ...]) -> torch.Tensor:
    return torch.tensor([float(a) for a in vector], dtype=torch.float64).log()


def dpo_in_floats(s: Setting, policy: tuple[F, ...]) -> float:
    loss, pi, reference = DPO(beta=float(s.beta)), logs(policy), logs(s.reference)
    reward = float(s.beta) * logs(s.tilt)
    total = 0.0
    for i in s.responses:
        for j in s.responses:
            if i != j:
                wins = torch.sigmoid(reward[i] - reward[j])
                total += float(wins * loss(pi[i], pi[j], reference[i], reference[j]))
    return total


def rlhf_in_floats(s: Setting, policy: tuple[F, ...]) -> float:
    pi, log_pi = logs(policy).exp(), logs(policy)
    return float(pi @ (float(s.beta) * (log_pi - logs(s.reference)) - float(s.beta) * logs(s.tilt)))


@given(cases)
def test_both_losses_agree_with_floats(case: Case) -> None:
    s = case.setting
    assert float(s.dpo(case.policy)) == pytest.approx(dpo_in_floats(s, case.policy), rel=1e-11, abs=1e-11)
    assert float(s.rlhf(case.policy)) == pytest.approx(rlhf_in_floats(s, case.policy), rel=1e-11, abs=1e-11)


@given(cases, st.integers(0, 1000))
def test_slopes_are_limits_of_difference_quotients(case: Case, seed: int) -> None:
    s, policy = case.setting, case.policy
    target = squares(random.Random(seed), len(policy))
    direction = tuple(b - a for a, b in zip(policy, target, strict=True))
    size = F(1, 10**6)
    forth, back = (tuple(a + h * d for a, d in zip(policy, direction, strict=True)) for h in (size, -size))
    if min(back) <= 0:
        return
    for loss, slope in ((s.dpo, s.dpo_slope), (s.rlhf, s.rlhf_slope)):
        quotient = float((loss(forth) - loss(back)) / (2 * size))
        scale = max(1.0, max(abs(float(d / a)) for a, d in zip(policy, direction, strict=True))) ** 3
        assert float(slope(policy, direction)) == pytest.approx(quotient, abs=1e-8 * scale)


@given(cases)
def test_the_optimum_is_stationary_for_both_and_a_tilted_reference(case: Case) -> None:
    s = case.setting
    assert sum(s.optimum) == 1
    for y in s.responses[1:]:
        direction = tuple(F((i == 0) - (i == y)) for i in s.responses)
        assert s.dpo_slope(s.optimum, direction) == 0
        assert s.rlhf_slope(s.optimum, direction) == 0


@given(cases)
def test_preferences_are_those_of_bradley_and_terry(case: Case) -> None:
    s = case.setting
    for i, j in s.pairs:
        assert s.preference(i, j) + s.preference(j, i) == 1
        assert log(s.preference(i, j) / s.preference(j, i)) == s.reward(i) - s.reward(j)


@given(st.integers(0, 10**6))
def test_the_plain_setting_has_the_given_optimum(seed: int) -> None:
    s = plain_pair(random.Random(seed)).setting
    assert s.preference(0, 1) == s.optimum[0]
    assert s.optimum == s.tilt


@given(cases)
def test_divergence_is_positive_but_for_equal_policies(case: Case) -> None:
    assert divergence(case.policy, case.policy) == 0
    assert (divergence(case.policy, case.other) > 0) == (case.policy != case.other)


def test_only_the_pairs_asked_count() -> None:
    s = Setting.plain((F(1, 2), F(1, 4), F(1, 4)))
    policy = (F(1, 3), F(1, 3), F(1, 3))
    parts = [s.dpo(policy, (asked,)) for asked in s.pairs]
    assert sum(parts, log(1)) == s.dpo(policy)
    assert s.dpo(policy, ((0, 1),)) == log(2)


def test_zero_probabilities() -> None:
    certain = (F(1), F(0))
    assert divergence(certain, pair(F(1, 2))) == log(2)
    with pytest.raises(InvalidArgument, match="positive wherever p is"):
        divergence(pair(F(1, 2)), certain)


def test_minimisers_keep_ties() -> None:
    s = Setting.plain(pair(F(1, 2)))
    policies = [pair(F(a, 5)) for a in (1, 2, 3, 4)]
    assert minimisers(s.rlhf, policies) == [pair(F(2, 5)), pair(F(3, 5))]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (((F(1, 2), F(1, 3)), (F(1), F(1))), "reference"),
        (((F(3, 2), F(-1, 2)), (F(1), F(1))), "reference"),
        (((F(1, 2), F(1, 2)), (F(1),)), "reference"),
        (((F(1, 2), F(1, 2)), (F(1), F(0))), "tilt"),
        (((F(1, 2), F(1, 2)), (F(1), F(1)), F(0)), "beta"),
    ],
)
def test_bad_settings_are_refused(arguments: tuple, name: str) -> None:
    with pytest.raises(InvalidArgument, match=name):
        Setting(*arguments)


def test_a_case_reads_well() -> None:
    s = Setting.plain(pair(F(3, 4)))
    text = str(Case(s, pair(F(1, 2)), pair(F(1, 3))))
    assert "pi** = (3/4, 1/4)" in text
    assert "other = (1/3, 2/3)" in text
    assert not math.isnan(float(s.rlhf(pair(F(1, 2)))))
