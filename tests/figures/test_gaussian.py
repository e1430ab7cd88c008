"""Proposition 4.1 as a picture: controls of its checks, and the envelope by its derivative."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from figures.gaussian import CONSTANT, best_variance, dpo_loss, gaussian_loss
from figures.registry import Arrays
from tests.figures.controls import AXES, add_controls, in_place

AXES["new-gaussian-envelope"] = frozenset({"margin", "variance", "touches", "theta"})


def other_constant(arrays: Arrays) -> None:
    """Leave out the 1 of the constant 1 + ln(pi)."""
    arrays["searched"] -= 1


def other_power(arrays: Arrays) -> None:
    """Take mu(u) = u^lambda, for which u enters with twice the power."""
    arrays["searched"][:] = dpo_loss(2 * arrays["margin"]) + CONSTANT


def too_low(arrays: Arrays) -> None:
    arrays["fixed"][1, 80] -= 0.01


def touches_elsewhere(arrays: Arrays) -> None:
    """Exchange the curves of two variances."""
    arrays["fixed"][[0, 1]] = arrays["fixed"][[1, 0]]


def shared_for_own(arrays: Arrays) -> None:
    arrays["own"][:] = arrays["shared"]


def own_for_shared(arrays: Arrays) -> None:
    arrays["shared"][:] = arrays["own"]


def same_place(arrays: Arrays) -> None:
    arrays["least"][2] = arrays["least"][0]


for check, wrong in {
    "envelope_is_dpo": (other_constant, other_power),
    "no_variance_goes_below": (too_low, touches_elsewhere),
    "a_variance_for_each_pair_changes_nothing": (shared_for_own,),
    "one_variance_for_both_does": (own_for_shared, same_place),
}.items():
    add_controls("new-gaussian-envelope", check, [in_place(change) for change in wrong])


@given(st.floats(-5, 5), st.floats(0.5, 2))
def test_the_best_variance_is_the_best(margin: float, factor: float) -> None:
    best = best_variance(np.array(margin))
    least = gaussian_loss(np.array(margin), best)
    assert gaussian_loss(np.array(margin), best * factor) >= least - 1e-12
    assert abs(least - dpo_loss(np.array(margin)) - CONSTANT) < 1e-12
