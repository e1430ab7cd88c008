import math

import pytest
import sympy as sp
import torch

from dynamics.losses import BDPO, DPO, pair_log_probs
from theory.ma2025 import bdpo, clipped_ratio, proposition_2

POINT = {bdpo.A: -1.25, bdpo.B: -0.5, bdpo.REF_A: -2.0, bdpo.REF_B: -0.75, bdpo.BETA: 0.5}


@pytest.mark.parametrize("detach", [False, True])
def test_symbols_agree_with_the_loss(detach: bool) -> None:
    loss = BDPO(beta=0.5, detach=detach)
    pair = pair_log_probs(-1.25, -0.5, -2.0, -0.75)
    copies = {bdpo.FROZEN_A: bdpo.A, bdpo.FROZEN_B: bdpo.B}
    assert float(bdpo.margin(detach).subs(copies).subs(POINT)) == pytest.approx(float(loss.margin(pair)))
    found = [float(sp.N(slope.subs(POINT))) for slope in bdpo.slopes(detach)]
    assert found == pytest.approx([float(a) for a in loss.margin_partials(pair)])


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("p", [0.1, 0.3])
def test_the_initial_speed_is_that_of_a_small_step(p: float, detach: bool) -> None:
    loss, step = BDPO(beta=1.0, detach=detach), 1e-5
    ref = torch.tensor([p, p, 1 - 2 * p], dtype=torch.float64).log()

    def g_l(s: torch.Tensor) -> float:
        log_p = s.log_softmax(0)
        return float(loss.partials(pair_log_probs(log_p[0], log_p[1], ref[0], ref[1])).rejected / log_p[1].exp())

    s = ref.clone().requires_grad_()
    log_p = s.log_softmax(0)
    (gradient,) = torch.autograd.grad(loss(log_p[0], log_p[1], ref[0], ref[1]), s)
    speed = (g_l(ref - step * gradient) - g_l(ref + step * gradient)) / (2 * step)
    assert speed == pytest.approx(proposition_2.initial_speed(p, detach), abs=1e-7)


def test_dpo_satisfies_the_monotonicity_that_bdpo_lacks() -> None:
    # the statement is not false of every loss: with DPO, two responses from 0.1 upwards, g_l does fall at first
    def g_l(p: float) -> float:
        pair = pair_log_probs(math.log(p), math.log(1 - p), math.log(0.1), math.log(0.9))
        return float(DPO(beta=1.0).partials(pair).rejected) / (1 - p)

    assert g_l(0.15) < g_l(0.1)


def test_the_exact_ratio_clips_at_both_ends() -> None:
    half = clipped_ratio.F(1, 2)
    found = [
        [clipped_ratio.Clipped(clipped_ratio.F(x, 4), half).ratio(symmetric=symmetric) for x in (-8, -1, 0, 1, 8)]
        for symmetric in (False, True)
    ]
    assert [[str(r) for r in row] for row in found] == [
        ["1", "1", "1", "5/4", "3/2"],
        ["2/3", "3/4", "1", "5/4", "3/2"],
    ]
