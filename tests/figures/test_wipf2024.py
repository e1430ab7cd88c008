"""Every check of the figure of wipf2024 holds, and fails on a wrong penalty or on a limit as the paper prints it."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, strategies as st

from figures import wipf2024
from figures.registry import FIGURES, Arrays
from figures.wipf2024 import normalized_penalty
from tests.figures.controls import AXES, add_controls, recomputed, updated

FIGURE = FIGURES["wipf2024-2"]
AXES[FIGURE.key] = frozenset({"gamma", "u", "at", "large_gamma", "positive", "p"})


def failed(arrays: Arrays) -> set[str]:
    return {check.name for check in FIGURE.failures(arrays)}


def not_normalized(u: np.ndarray, gamma: float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.abs(u) if np.isinf(gamma) else np.log(gamma + np.abs(u))


def turned_round(u: np.ndarray, gamma: float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return normalized_penalty(u, float(np.divide(1.0, gamma)))


def smooth_at_zero(u: np.ndarray, gamma: float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.abs(u) if np.isinf(gamma) else 1 + (gamma + 1) / 2 * np.log1p((u**2 - 1) / (gamma + 1))


def as_printed(u: np.ndarray, gamma: float) -> np.ndarray:
    return gamma * np.log(gamma + np.abs(u)) if gamma == 1e4 else normalized_penalty(u, gamma)


def convex(u: np.ndarray, gamma: float) -> np.ndarray:
    return (np.abs(u) ** 2 + 1) / 2 if gamma == 5.0 else normalized_penalty(u, gamma)


MODELS = [
    ("tangent_at_one", not_normalized),
    ("tangent_at_one", lambda u, gamma: normalized_penalty(u, gamma) * (1.001 if gamma else 1.0)),
    ("nested", turned_round),
    ("nested", lambda u, gamma: normalized_penalty(u, min(gamma, 1.0))),  # |u| is not among them
    ("cusp_at_zero", smooth_at_zero),
    ("cusp_at_zero", lambda u, gamma: normalized_penalty(u, gamma + 1e-3)),  # finite where it must be -inf
    ("concave_on_either_side", smooth_at_zero),
    ("concave_on_either_side", convex),
    ("tends_to_l1", as_printed),
    ("tends_to_l1", lambda u, gamma: normalized_penalty(u, min(gamma, 100.0))),
]

# arrays in which one of the paper's printed limits is taken for true
BELIEFS = [
    ("printed_limit_diverges", lambda a: {"l1_as_printed": a["l1_less_constant"]}),
    ("printed_limit_diverges", lambda a: {"l1_less_constant": a["l1_as_printed"]}),
    ("logarithm_is_not_the_indicator", lambda a: {"power_less_one": np.ones_like(a["power"])}),
    ("logarithm_is_not_the_indicator", lambda a: {"power": np.broadcast_to(np.log(a["positive"]), a["power"].shape)}),
]
for check, wrong in MODELS:
    add_controls(FIGURE.key, check, [recomputed(FIGURE.key, wipf2024, "normalized_penalty", wrong)])
for check, belief in BELIEFS:
    add_controls(FIGURE.key, check, [updated(belief)])


@pytest.mark.parametrize(("check", "belief"), BELIEFS)
def test_a_printed_limit_is_seen_to_be_false(check: str, belief: Callable[[Arrays], Arrays]) -> None:
    arrays = FIGURE.compute()
    assert failed({**arrays, **belief(arrays)}) == {check}


positive = st.floats(1e-6, 1e6)


@given(positive, st.floats(1e-3, 1e3))
def test_the_penalty_is_an_affine_map_of_the_logarithm(u: float, gamma: float) -> None:
    points = np.array([u, 2 * u, 3 * u])
    ours, printed = normalized_penalty(points, gamma), np.log(gamma + points)
    # two differences in the same ratio: what an affine map leaves alone
    left = (ours[1] - ours[0]) * (printed[2] - printed[1])
    right = (ours[2] - ours[1]) * (printed[1] - printed[0])
    size = (gamma + 1) * 1e-13 * max(abs(printed).max(), 1.0) * (1 + abs(ours).max())
    assert abs(left - right) <= size


@given(positive, st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_more_gamma_lies_higher_and_never_leaves_the_extremes(u: float, gamma: float, more: float) -> None:
    at = np.array(u)
    lowest, low, high, highest = (float(normalized_penalty(at, g)) for g in (0.0, gamma, gamma + more, np.inf))
    room = 1e-12 * (1 + max(abs(lowest), abs(highest)))
    assert lowest <= low + room
    assert low <= high + room
    assert high <= highest + room


@given(positive, st.floats(1.0, 1e9))
def test_the_mended_limit_is_within_its_rate_and_the_printed_one_is_not(u: float, gamma: float) -> None:
    mended = gamma * np.log1p(u / gamma)
    assert -1e-9 * u <= u - mended <= u**2 / (2 * gamma) + 1e-9 * u
    printed = gamma * np.log(gamma + u)
    assert printed - mended == pytest.approx(gamma * np.log(gamma), rel=1e-9, abs=1e-6)
