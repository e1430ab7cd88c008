"""The exact losses against the float64 losses of the dynamics, and their slopes against difference quotients."""

import math
import random
from dataclasses import dataclass
from fractions import Fraction as F

import pytest
import torch
from hypothesis import given, strategies as st

from dynamics import DPO, bradley_terry
from dynamics.errors import InvalidArgument
from theory.wipf2024.logarithms import log
from theory.wipf2024.objectives import Setting, Vector, divergence, minimisers, pair, show


@dataclass(frozen=True)
class Case:
    """A setting and two policies to compare in it; the second is the optimum now and then."""

    setting: Setting
    policy: Vector
    other: Vector

    def __str__(self) -> str:
        return f"{self.setting}, policy = {show(self.policy)}, other = {show(self.other)}"


BETAS = tuple(F(a, 2) for a in (1, 2, 3, 4))


def squares(source: random.Random, n: int) -> Vector:
    """Draw a distribution over n responses whose ratios are squares of rationals, so that half powers are exact."""
    top = source.choice((3, 12, 30))
    weights = [source.randint(1, top) ** 2 for _ in range(n)]
    return tuple(F(w, sum(weights)) for w in weights)


def setting(source: random.Random, responses: int | None = None) -> Setting:
    """Draw a setting with 2 to 5 responses, any reference, beta from 1/2 to 2."""
    n = responses or source.randint(2, 5)
    tilt = tuple(F(source.randint(1, 9), source.randint(1, 9)) ** 2 for _ in range(n))
    return Setting(squares(source, n), tilt, source.choice(BETAS))


def with_policies(source: random.Random) -> Case:
    """Draw a setting with 2 to 5 responses and two policies."""
    return _case(source, setting(source))


def plain_pair(source: random.Random) -> Case:
    """Draw the paper's setting (two responses, uniform reference, beta = 1) and two policies."""
    return _case(source, Setting.plain(squares(source, 2)))


def _case(source: random.Random, drawn: Setting) -> Case:
    n = len(drawn.tilt)
    other = drawn.optimum if source.random() < 0.2 else squares(source, n)
    return Case(drawn, squares(source, n), other)


cases = st.integers(0, 10**6).map(lambda seed: with_policies(random.Random(seed)))


def floats(vector: tuple[F, ...]) -> torch.Tensor:
    return torch.tensor([float(a) for a in vector], dtype=torch.float64)


def dpo_in_floats(s: Setting, pi: torch.Tensor) -> torch.Tensor:
    loss, log_pi, reference = DPO(beta=float(s.beta)), pi.log(), floats(s.reference).log()
    wins = bradley_terry(float(s.beta) * floats(s.tilt).log())
    ordered = [(i, j) for i in s.responses for j in s.responses if i != j]
    return sum(wins[i, j] * loss(log_pi[i], log_pi[j], reference[i], reference[j]) for i, j in ordered)


def rlhf_in_floats(s: Setting, pi: torch.Tensor) -> torch.Tensor:
    return float(s.beta) * (pi * (pi.log() - floats(s.reference).log() - floats(s.tilt).log())).sum()


@given(cases)
def test_both_losses_agree_with_floats(case: Case) -> None:
    s, pi = case.setting, floats(case.policy)
    assert float(s.dpo(case.policy)) == pytest.approx(float(dpo_in_floats(s, pi)), rel=1e-11, abs=1e-11)
    assert float(s.rlhf(case.policy)) == pytest.approx(float(rlhf_in_floats(s, pi)), rel=1e-11, abs=1e-11)


@given(cases)
def test_slopes_agree_with_autograd(case: Case) -> None:
    s, direction = case.setting, tuple(b - a for a, b in zip(case.policy, case.other, strict=True))
    for loss, slope in ((dpo_in_floats, s.dpo_slope), (rlhf_in_floats, s.rlhf_slope)):
        pi = floats(case.policy).requires_grad_()
        (gradient,) = torch.autograd.grad(loss(s, pi), pi)
        along = gradient * floats(direction)
        assert float(slope(case.policy, direction)) == pytest.approx(
            float(along.sum()), abs=1e-11 * float(1 + along.abs().sum())
        )


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
