"""The margins in exact numbers are those of the losses of ``dynamics``, and so is what training does with them."""

import math
from fractions import Fraction as F

import pytest
import torch
from hypothesis import given, settings, strategies as st

from dynamics.losses import BDPO, DPO, NaiveBDPO, NaiveBDPOv2, pair_log_probs
from dynamics.losses.balanced import imbalance_ratio
from dynamics.losses.base import PreferenceLoss
from theory.ma2025 import proposition_2, training as t
from theory.ma2025.clipped_ratio import push_at_the_corner
from theory.proof import Ball, exp
from theory.proof.balls import midpoint

quick = settings(derandomize=True, deadline=None, max_examples=40)
shares = st.fractions(F(1, 20), F(19, 20), max_denominator=60)
LOSSES: list[tuple[PreferenceLoss, t.Loss]] = [
    (DPO(beta=1.0), t.dpo),
    *((NaiveBDPO(1.0, 0.5, symmetric), t.naive(symmetric=symmetric)) for symmetric in (False, True)),
    *(
        (NaiveBDPOv2(1.0, 0.5, symmetric, detach), t.version_2(symmetric=symmetric, detach=detach))
        for symmetric in (False, True)
        for detach in (False, True)
    ),
    *((BDPO(1.0, detach), t.bdpo(detach)) for detach in (False, True)),
]


def drift(loss: PreferenceLoss, label: F, p: F, reference: F) -> float:
    s = torch.tensor([float(p), float(1 - p)], dtype=torch.float64).log().requires_grad_()
    a, b = s.log_softmax(0)
    refs = math.log(reference), math.log(1 - reference)
    value = float(label) * loss.value(pair_log_probs(a, b, *refs))
    value = value + float(1 - label) * loss.value(pair_log_probs(b, a, *refs[::-1]))
    return float(-torch.autograd.grad(value, s)[0][0])


@quick
@given(st.sampled_from(LOSSES), shares, shares, shares)
def test_the_push_is_that_of_autograd(pair: tuple[PreferenceLoss, t.Loss], label: F, p: F, reference: F) -> None:
    loss, exact = pair
    if p == F(1, 2):  # a corner of the asymmetric ratio
        p = F(51, 100)
    found: Ball = t.drift(exact, label, p, reference)
    assert midpoint(found) == pytest.approx(drift(loss, label, p, reference), abs=1e-12)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("x", [-2.0, -0.25, 0.25, 3.0])
def test_the_ratio_is_that_of_the_losses(x: float, symmetric: bool) -> None:
    pair = pair_log_probs(min(x, 0.0), -max(x, 0.0))
    expected = [float(a) for a in imbalance_ratio(pair, 0.5, symmetric=symmetric)]
    assert [float(a) for a in t.imbalance_ratio(F(x), F(1, 2), symmetric=symmetric)] == pytest.approx(expected)


@pytest.mark.parametrize(("inside", "offset"), [(0, F(-1, 10**9)), (1, F(1, 10**9))])
def test_the_push_at_the_corner_is_that_next_to_it(inside: int, offset: F) -> None:
    corner = F(midpoint(1 / (1 + exp(F(1, 3)))))
    beside = t.drift(t.version_2(symmetric=True), F(3, 5), corner + offset, F(3, 5))
    assert midpoint(push_at_the_corner(inside)) == pytest.approx(midpoint(beside), abs=1e-8)


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("p", [F(1, 10), F(3, 10)])
def test_the_initial_speed_is_that_of_a_small_step(p: F, detach: bool) -> None:
    loss, step = BDPO(beta=1.0, detach=detach), 1e-5
    ref = torch.tensor([float(p), float(p), float(1 - 2 * p)], dtype=torch.float64).log()

    def g_l(s: torch.Tensor) -> float:
        log_p = s.log_softmax(0)
        return float(loss.partials(pair_log_probs(log_p[0], log_p[1], ref[0], ref[1])).rejected / log_p[1].exp())

    s = ref.clone().requires_grad_()
    log_p = s.log_softmax(0)
    (gradient,) = torch.autograd.grad(loss(log_p[0], log_p[1], ref[0], ref[1]), s)
    speed = (g_l(ref - step * gradient) - g_l(ref + step * gradient)) / (2 * step)
    assert speed == pytest.approx(midpoint(proposition_2.speed(p)), abs=1e-7)


def test_dpo_satisfies_the_monotonicity_that_bdpo_lacks() -> None:
    # the statement is not false of every loss: with DPO, two responses from 0.1 upwards, g_l does fall at first
    def g_l(p: float) -> float:
        pair = pair_log_probs(math.log(p), math.log(1 - p), math.log(0.1), math.log(0.9))
        return float(DPO(beta=1.0).partials(pair).rejected) / (1 - p)

    assert g_l(0.15) < g_l(0.1)
