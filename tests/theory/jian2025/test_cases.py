"""The exact little policies against the float64 policies and steps of ``dynamics``."""

import math
import random
from fractions import Fraction as F

import pytest
from hypothesis import given, settings, strategies as st

from dynamics import DPO, LogLinear, pairs, step
from dynamics.errors import InvalidArgument
from theory.jian2025.cases import BOTH_FALL, BOTH_RISE, Batch, batch, curved_step, ladder
from theory.proof import Named

seeds = st.integers(0, 10**6).map(random.Random)


curved_logits = st.builds(
    curved_step,
    bend=st.sampled_from((F(0), F(-1), F(-2))),
    theta=st.integers(-2, 3).map(lambda k: F(k, 4)),
    size=st.integers(1, 12).map(lambda k: F(k, 2)),
)


@given(curved_logits)
def test_curved_logit_knows_which_score_is_longer(c: Named) -> None:
    p_w = 1 / (1 + math.exp(-float(c.before)))
    h = 1e-6

    def log_p(theta: float, sign: int) -> float:
        return -math.log1p(math.exp(-sign * (theta + float(c.bend) * theta**2)))

    theta = float(c.theta)
    g_w, g_l = ((log_p(theta + h, sign) - log_p(theta - h, sign)) / (2 * h) for sign in (1, -1))
    assert g_w - g_l == pytest.approx(float(c.slope), abs=1e-7)
    assert g_w == pytest.approx((1 - p_w) * float(c.slope), abs=1e-7)
    difference = abs(g_w) - abs(g_l)
    assert c.longer == (0 if abs(difference) < 1e-7 else math.copysign(1, difference))


@given(curved_logits)
def test_a_straight_logit_never_overshoots_and_a_bent_one_moves_as_its_slope_says_when_the_step_is_small(
    c: Named,
) -> None:
    small = curved_step(c.bend, c.theta, F(1, 10**6))
    assert small.after >= small.before
    straight = curved_step(F(0), c.theta, c.size)
    assert straight.after - straight.before == c.size


@settings(max_examples=25)
@given(seeds)
def test_batch_agrees_with_a_step_of_dynamics_on_several_prompts(source: random.Random) -> None:
    drawn = batch(source)
    n = len(drawn.scores)
    # uniform over (w, l, rest) at theta = 0, with rest balancing the pair, has exactly these scores
    features = []
    for w, r in drawn.scores:
        rest = [-a - b for a, b in zip(w, r, strict=True)]
        features.append([[float(a) for a in row] for row in (w, r, rest)])
    policy = LogLinear(features)
    # at the reference every urgency is 1/2, and the objective is the weighted mean
    weights = [float(u) for u in drawn.urgencies]
    asked = pairs([0] * n, [1] * n, prompt=list(range(n)), weight=weights, shape=(n, 3))
    rate = 0.4 * sum(2 * w / n for w in weights)
    account = step(policy, [0.0] * policy.parameters, preferences=asked, loss=DPO(beta=0.5), learning_rate=rate)
    unit = 0.4 * 0.5
    for i in range(n):
        change = [float(account.predicted[i, y]) * 3 / unit for y in (0, 1)]
        assert change[0] == pytest.approx(float(drawn.log_change(i, chosen=True)), abs=1e-9)
        assert change[1] == pytest.approx(float(drawn.log_change(i, chosen=False)), abs=1e-9)
        assert float(account.log_ratio_change[i]) / unit == pytest.approx(float(drawn.log_margin_change(i)), abs=1e-9)


def test_batch_wants_an_urgency_for_every_pair() -> None:
    with pytest.raises(InvalidArgument, match="urgencies"):
        Batch((((F(1),), (F(0),)),), ())
    with pytest.raises(InvalidArgument, match="urgencies"):
        Batch((), ())


def test_the_ladder_runs_through_all_cases() -> None:
    signs = {x: tuple((ladder(x).change(y) > 0) - (ladder(x).change(y) < 0) for y in (0, 1)) for x in (F(1, 2), 1, 2)}
    assert signs == {F(1, 2): (1, -1), 1: (0, -1), 2: (-1, -1)}
    assert ladder(F(27, 10)).change(0) > ladder(F(27, 10)).change(1)  # 1 + sqrt(3) = 2.73
    assert ladder(F(28, 10)).change(0) < ladder(F(28, 10)).change(1)


def test_both_fall_and_both_rise_do() -> None:
    assert max(BOTH_FALL.change(y) for y in (0, 1)) < 0 < min(BOTH_RISE.change(y) for y in (0, 1))


@pytest.mark.parametrize("case", [ladder(2), curved_step(F(-1), F(0), F(2)), batch(random.Random(0))])
def test_cases_print_as_fractions(case: object) -> None:
    assert "Fraction" not in str(case)
