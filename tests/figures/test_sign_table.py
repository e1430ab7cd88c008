"""The phase diagram of the sign table: its checks see wrong arrays, and its curve is where two changes are equal."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from figures.registry import Arrays
from figures.sign_table import chosen_loses_more
from tests.figures.controls import AXES, add_controls, in_place

AXES["new-sign-table"] = frozenset({"odds"})


def turn_one(arrays: Arrays) -> None:
    """Let one chosen response fall where it rises."""
    arrays["signs"][0, 0] *= -1


def forbid(arrays: Arrays) -> None:
    """Let one step lower the chosen response and raise the rejected one."""
    arrays["signs"][3] = (-1, 1)


def shift(arrays: Arrays) -> None:
    arrays["cosine"] += 0.05


def exchange(arrays: Arrays) -> None:
    """Divide the lengths of the scores the other way round."""
    arrays["ratio"] = 1 / arrays["ratio"]


def one_loses_more(arrays: Arrays) -> None:
    """Mark a step as one in which the chosen response loses more probability, though it does not."""
    falls = np.flatnonzero((arrays["signs"][:, 0] < 0) & ~arrays["loses_more"])
    arrays["loses_more"][falls[0]] = True


def tabular_falls(arrays: Arrays) -> None:
    arrays["signs"][np.flatnonzero(arrays["tabular"])[0]] = (-1, -1)


def acute(arrays: Arrays) -> None:
    arrays["cosine"][:] = np.abs(arrays["cosine"])


for check, wrong in {
    "signs_are_those_of_the_region": (turn_one, shift, exchange),
    "three_of_four_rows_occur": (forbid,),
    "tabular_policies_stay_in_one_region": (tabular_falls, acute),
    "loses_more_above_its_curve": (one_loses_more, exchange, lambda arrays: arrays["odds"].fill(1.0)),
}.items():
    add_controls("new-sign-table", check, [in_place(change) for change in wrong])  # type: ignore[arg-type]


@given(st.floats(0.1, 10), st.floats(0.1, 10))
def test_on_the_curve_both_lose_the_same(ratio: float, odds: float) -> None:
    """With |g_w| = 1: D_w = k (1 - c r) and D_l = c r - r^2, for pi_l = 1."""
    cosine = float(chosen_loses_more(np.array(ratio), odds))
    assert abs(odds * (1 - cosine * ratio) - (cosine * ratio - ratio**2)) < 1e-9 * (1 + odds + ratio**2)
    assert (cosine < 1) == ((ratio - 1) * (ratio - odds) < 0) or abs(cosine - 1) < 1e-9
