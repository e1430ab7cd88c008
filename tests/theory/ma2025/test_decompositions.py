import random

import pytest
from hypothesis import given, settings, strategies as st

from dynamics import BDPO, NaiveBDPO
from dynamics.losses import pair_log_probs
from theory.ma2025.decompositions import LogPair, log_pair, log_pair_at_start
from theory.ma2025.duals import Dual

exactly = settings(derandomize=True, deadline=None, max_examples=80)
pairs = st.integers(0, 10**9).map(lambda seed: log_pair(random.Random(seed)))


def agree(found: Dual, loss: NaiveBDPO | BDPO, case: LogPair) -> bool:
    pair = pair_log_probs(*(float(x) for x in (case.a, case.b, case.ref_a, case.ref_b)))
    wanted = [float(loss.margin(pair)), *(float(a) for a in loss.margin_partials(pair))]
    return [float(found.value), *map(float, found.slope)] == pytest.approx(wanted, rel=1e-11, abs=1e-11)


@exactly
@given(pairs)
def test_naive_margin_is_that_of_dynamics(case: LogPair) -> None:
    assert agree(case.naive(detach=True), NaiveBDPO(float(case.beta), float(case.clip), case.symmetric), case)


@exactly
@given(pairs, st.booleans())
def test_balanced_margin_is_that_of_dynamics(case: LogPair, detach: bool) -> None:
    assert agree(case.balanced(detach=detach), BDPO(beta=float(case.beta), detach=detach), case)


def test_live_and_detached_slopes_differ_off_the_start_only() -> None:
    source = random.Random(2)
    start, later = log_pair_at_start(source), log_pair(source)
    assert start.balanced(detach=True).slope == start.balanced(detach=False).slope
    assert later.balanced(detach=True).slope != later.balanced(detach=False).slope


@exactly
@given(pairs)
def test_ratio_is_the_clipped_log_odds_and_moves_inside_the_clip_only(case: LogPair) -> None:
    ratio, odds = case.ratio(), case.a - case.b
    low = 1 / (1 + case.clip) - 1 if case.symmetric else 0
    assert ratio.value == 1 + min(max(odds, low), case.clip)
    assert ratio.slope == ((1, -1) if low <= odds <= case.clip else (0, 0))
