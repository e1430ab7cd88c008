"""A conjecture on the kernel of a language model: what decide proves holds in every pair, what it refutes need not."""

import math
from fractions import Fraction as F

import pytest
import torch

from dynamics.errors import InvalidArgument
from dynamics.language_model import TokenSequence, pair_drives, tiny_model
from theory import decide, measure
from theory.decision.measured import MeasuredWorld, decimal, probability
from theory.proof import sqrt

MODEL = tiny_model()
W, L, Y, Z = (TokenSequence(ids, 2) for ids in ((1, 2, 3), (1, 2, 4, 5), (1, 2, 6), (1, 2, 7, 8, 9)))
PAIRS = [(W, L, Y, Z), (L, W), (Y, Z, W)]


def test_it_is_counted_and_the_worst_pair_is_shown() -> None:
    drives = [float(pair_drives(MODEL, pair).drive[0, 0]) for pair in PAIRS]
    middle = F(sorted(drives)[1])
    found = measure(lambda w: w.A_w >= middle, MODEL, PAIRS)
    assert (found.holds, len(found.measured)) == (2, 3)
    assert found.worst.number == drives.index(min(drives))
    assert f"not A_w >= {middle}" in str(found)
    assert decimal(F(min(drives))) in str(found)


@pytest.mark.parametrize(
    "conjecture",
    [
        lambda w: w.A_w >= w.A_l,
        lambda w: w.A_w - w.A_l == w.ww - 2 * w.wl + w.ll,
        lambda w: w.A_y**2 <= w.yy * w.dd,
        lambda w: w.wl <= sqrt(w.ww) * sqrt(w.ll),
    ],
)
def test_what_is_proved_holds_in_every_pair(conjecture) -> None:
    assert decide(conjecture, worlds=5).verdict == "proved"
    found = measure(conjecture, MODEL, PAIRS)
    assert found.holds == len(found.measured) > 0
    assert not any(pair.close for pair in found.pairs)


def test_a_conjecture_about_y_is_about_each_further_response() -> None:
    drive = pair_drives(MODEL, PAIRS[0]).drive[0]
    between, most = F(float(drive[2:].mean())), F(float(drive[2:].max()) + 1e-6)
    assert measure(lambda w: w.A_y <= between, MODEL, PAIRS[:1]).holds == 0
    assert measure(lambda w: w.A_y <= most, MODEL, PAIRS[:1]).holds == 1
    without = measure(lambda w: w.A_y <= between, MODEL, PAIRS[1:2])
    assert without.measured == ()
    assert without.worst is None
    assert "does not speak of 1" in str(without)


def test_a_premise_leaves_pairs_out() -> None:
    found = measure(lambda w: w.A_w >= w.A_l, MODEL, PAIRS, given=lambda w: w.p_w > w.p_l)
    assert len(found.measured) == sum(
        float(s[0]) > float(s[1]) for s in (pair_drives(MODEL, p).log_probs for p in PAIRS)
    )


def test_what_rounding_could_turn_is_told() -> None:
    found = measure(lambda w: w.dd > 0, MODEL, [(W, W), (W, L)])
    assert [pair.close for pair in found.pairs] == [True, False]
    assert "1 of them too close to tell" in str(found)


def test_a_pair_that_cannot_be_measured_is_kept_with_its_reason() -> None:
    unknown = TokenSequence((1, 2, 10**6), 2)
    found = measure(lambda w: w.dd > 0, MODEL, [(W, unknown), (W, L)])
    assert (len(found.pairs), len(found.measured), found.holds) == (2, 1, 1)
    assert "pair 0: " in str(found)
    with pytest.raises(InvalidArgument, match=r"^dtype"):
        measure(lambda w: w.dd > 0, MODEL, PAIRS, dtype=torch.int32)


def test_probabilities_do_not_underflow() -> None:
    assert math.isclose(float(probability(-30.5)), math.exp(-30.5), rel_tol=1e-12)
    assert float(probability(-5000.0) / probability(-4999.0)) == pytest.approx(math.exp(-1), rel=1e-11)
    world = MeasuredWorld([-2000.0, -1999.0], [[F(2), F(1)], [F(1), F(2)]])
    assert world.D_w > 0 > world.D_l


@pytest.mark.parametrize(
    ("conjecture", "pairs", "argument"),
    [
        (lambda w: None, PAIRS, "conjecture"),
        (lambda w: w.after(2).p_w > 0, PAIRS, "conjecture"),
        (lambda w: w.dd > 0, [], "pairs"),
        (lambda w: w.dd > 0, [W], "pairs"),
        (lambda w: w.dd > 0, 5, "pairs"),
    ],
)
def test_errors_name_the_argument(conjecture, pairs, argument: str) -> None:
    with pytest.raises(InvalidArgument, match=rf"^{argument}"):
        measure(conjecture, MODEL, pairs)
