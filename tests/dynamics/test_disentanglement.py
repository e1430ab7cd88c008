"""The band and the least weight of an SFT term, in exact numbers: scores drawn as vectors of fractions."""

from __future__ import annotations

import math
from fractions import Fraction as F

import pytest
from hypothesis import assume, given, strategies as st

from dynamics.disentanglement import disentanglement_band, least_sft_weight

ENTRIES = st.integers(-5, 5).map(F)
VECTORS = st.integers(1, 3).flatmap(lambda n: st.tuples(*[st.lists(ENTRIES, min_size=n, max_size=n)] * 2))
WEIGHTS = st.fractions(F(1, 20), 20, max_denominator=20)
SMALL = F(1, 10**6)


def dot(a: list[F], b: list[F]) -> F:
    return sum((x * y for x, y in zip(a, b, strict=True)), F(0))


def changes(g_w: list[F], g_l: list[F], a: F, b: F) -> tuple[F, F]:
    """First-order changes of log pi of chosen and rejected in the step a g_w - b g_l."""
    step = [a * x - b * y for x, y in zip(g_w, g_l, strict=True)]
    return dot(g_w, step), dot(g_l, step)


@given(VECTORS, WEIGHTS, WEIGHTS)
def test_inside_of_the_band_chosen_rises_and_rejected_falls_and_nowhere_else(
    scores: tuple[list[F], list[F]], a: F, b: F
) -> None:
    g_w, g_l = scores
    band = disentanglement_band(dot(g_w, g_w), dot(g_w, g_l), dot(g_l, g_l))
    chosen, rejected = changes(g_w, g_l, a, b)
    assert (band.low < a / b) == (chosen > 0)
    assert (a / b < band.high) == (rejected < 0)


@given(VECTORS)
def test_the_band_is_empty_only_for_parallel_scores(scores: tuple[list[F], list[F]]) -> None:
    """Cauchy and Schwarz; the twin without it: three numbers that are no Gram matrix may have an empty band."""
    g_w, g_l = scores
    ww, wl, ll = dot(g_w, g_w), dot(g_w, g_l), dot(g_l, g_l)
    band = disentanglement_band(ww, wl, ll)
    parallel = wl * wl == ww * ll
    assert not band.low >= band.high or parallel
    assert disentanglement_band(F(1), F(2), F(1)).low > disentanglement_band(F(1), F(2), F(1)).high


@given(VECTORS, WEIGHTS, WEIGHTS, st.integers(1, 9))
def test_the_least_sft_weight_keeps_the_chosen_response_and_less_does_not(
    scores: tuple[list[F], list[F]], d_w: F, d_l: F, tokens: int
) -> None:
    """A term that is averaged over its tokens adds weight/tokens to d_w."""
    g_w, g_l = scores
    ww, wl = dot(g_w, g_w), dot(g_w, g_l)
    least = least_sft_weight(d_w, d_l, ww, wl, tokens)
    assert changes(g_w, g_l, d_w + F(least) / tokens, d_l)[0] >= 0
    if least > 0:
        assert changes(g_w, g_l, d_w + F(least) / tokens, d_l)[0] == 0
        assert changes(g_w, g_l, d_w + F(least) * (1 - SMALL) / tokens, d_l)[0] < 0
        assert changes(g_w, g_l, d_w + F(least) / (tokens + 1), d_l)[0] < 0  # the factor matters
    else:
        assert changes(g_w, g_l, d_w, d_l)[0] >= 0


@given(VECTORS, WEIGHTS)
def test_for_a_loss_of_one_log_ratio_it_is_the_formula_of_one_urgency(scores: tuple[list[F], list[F]], u: F) -> None:
    g_w, g_l = scores
    assume(any(g_w))
    ww, wl = dot(g_w, g_w), dot(g_w, g_l)
    assert least_sft_weight(u, u, ww, wl) == u * max(F(0), wl / ww - 1)


def test_scores_that_are_zero() -> None:
    assert disentanglement_band(0.0, 0.0, 1.0) == (math.inf, math.inf)  # nothing raises the chosen response
    assert disentanglement_band(1.0, 0.0, 0.0) == (0.0, 0.0)  # nothing lowers the rejected one
    assert least_sft_weight(0.5, 0.5, 0.0, 0.0) == 0


@pytest.mark.parametrize("wl", [-1.0, 0.0])
def test_without_overlap_every_ratio_is_in_the_band(wl: float) -> None:
    assert disentanglement_band(1.0, wl, 1.0) == (0.0, math.inf)
