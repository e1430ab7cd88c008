"""How the losses of the field are related, and what each does to the two responses."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, strategies as st
from scipy.optimize import minimize

from dynamics import DPO, IPO, SFT, SelfPO, SimPO, get_loss
from dynamics.losses import (
    CPO,
    DPOP,
    EXO,
    KTO,
    LOSSES,
    ORPO,
    RPO,
    TPO,
    AlphaPO,
    APODown,
    APOZero,
    BCOPair,
    CalDPO,
    ChiPO,
    ConservativeDPO,
    DiscoPOP,
    DPOPerToken,
    DPOShift,
    FunctionLoss,
    IPOPerToken,
    NCAPair,
    PreferenceLoss,
    RobustDPO,
    SPPOHard,
    SquaredPO,
    kto_baseline,
    pair_log_probs,
)
from tests.dynamics.strategies import close

log_prob = st.floats(-40, -0.01)
quadruple = st.tuples(log_prob, log_prob, log_prob, log_prob)


def same(left: PreferenceLoss, right: PreferenceLoss, *point: float, scale: float = 1.0) -> None:
    """Assert equal values and partials, the left one times ``scale``."""
    pair = pair_log_probs(*point)
    close(scale * left.value(pair), right.value(pair), 1e-11)
    for a, b in zip(left.partials(pair), right.partials(pair), strict=True):
        close(scale * a, b, 1e-11)


@given(quadruple, st.floats(0.05, 2), st.integers(1, 20))
def test_where_losses_coincide(point: tuple[float, ...], beta: float, length: int) -> None:
    even, dpo = (*point, length, length), DPO(beta=beta)
    same(ConservativeDPO(beta=beta, label_smoothing=0.0), dpo, *point)
    same(RobustDPO(beta=beta, label_smoothing=0.0), dpo, *point)
    same(DPOShift(beta=beta, shift=1.0), dpo, *point)
    same(DPOP(beta=beta, penalty=0.0), dpo, *point)
    same(DPOPerToken(beta=beta), DPO(beta=beta / length), *even)
    same(RPO(beta=beta, alpha=0.5), dpo + (0.5 / length) * SFT(), *even)
    same(CalDPO(beta=beta), DPO(beta=1.0) + SPPOHard(beta=beta), *point)
    same(IPOPerToken(beta=beta), IPO(beta=beta), *point, 1, 1)
    same(KTO(beta=beta), APOZero(beta=beta), *point)
    same(AlphaPO(beta=beta, alpha=0.0), SimPO(beta=beta), *even)
    same(TPO(beta=beta), CPO(beta=beta, sft_weight=0.0), *point)
    same(DPOPerToken(beta=beta), SimPO(beta=beta, gamma=0.0), *point[:2], 0.0, 0.0, length, 3)


def test_a_coincidence_that_is_none_is_seen() -> None:
    with pytest.raises(AssertionError):
        same(RobustDPO(beta=0.5, label_smoothing=0.1), DPO(beta=0.5), -1.0, -2.0, -1.5, -1.5)
    with pytest.raises(AssertionError):
        same(RPO(beta=0.5), DPO(beta=0.5) + SFT(), -1.0, -2.0, -1.5, -1.5, 3, 3)


@given(st.floats(0.01, 0.45))
def test_exo_and_cdpo_are_least_at_the_same_margin(share: float) -> None:
    z = torch.tensor(math.log((1 - share) / share), dtype=torch.float64)
    close(EXO(label_smoothing=share).of_margin(z), 0.0, 1e-12)
    close(EXO(label_smoothing=share).derivative(z), 0.0, 1e-12)
    close(ConservativeDPO(label_smoothing=share).derivative(z), 0.0, 1e-12)


def test_discopop_lowers_the_margin_at_first() -> None:
    at = [torch.tensor(z, dtype=torch.float64) for z in (0.0, -0.1186, 0.072)]
    slope = [float(DiscoPOP().derivative(z)) for z in at]
    assert slope[0] == pytest.approx((1 - math.log(2)) / 0.2 - 0.75, rel=1e-12)  # 0.784 > 0
    assert abs(slope[1]) < 0.02  # the local minimum
    assert abs(slope[2]) < 0.02  # the local maximum
    threshold = (1 - math.log(2)) / 3
    assert float(DiscoPOP(tau=threshold * 1.01).derivative(at[0])) < 0 < slope[0]
    assert float(DiscoPOP(tau=threshold * 0.99).derivative(at[0])) > 0
    assert DiscoPOP().pair_weights(pair_log_probs(-1.0, -1.0, -1.0, -1.0)).chosen_weight < 0


def test_dpop_tends_to_0_while_the_chosen_response_vanishes() -> None:
    fall = torch.tensor([1.0, 10.0, 100.0], dtype=torch.float64)
    loss = DPOP(beta=1.0, penalty=50.0)(-fall, -60.0 * fall)
    assert bool((loss.diff() < 0).all())
    assert float(loss[-1]) < 1e-300
    held = DPOP(beta=1.0, penalty=50.0)(-fall, -50.0 * fall)  # the twin: not fast enough
    assert bool((held.diff() > 0).all())


@pytest.mark.parametrize(("beta", "overshoot"), [(1.0, 0.6134), (0.1, 5.00002)])
def test_cal_dpo_aims_beyond_its_targets(beta: float, overshoot: float) -> None:
    loss = CalDPO(beta=beta)
    found = minimize(lambda a: float(loss(-50.0 + a[0], -50.0 + a[1], -50.0, -50.0)), [0.1, -0.1], tol=1e-12).x
    assert found == pytest.approx([overshoot, -overshoot], abs=1e-4)
    assert overshoot > 1 / (2 * beta)


def test_what_each_loss_aims_at_or_stops_at() -> None:
    nca = NCAPair(beta=0.5).pair_weights(pair_log_probs(-10 + math.log(2) / 0.5, -3.0, -10.0, -5.0))
    close(nca.chosen_weight, 0.0)
    assert nca.rejected_weight > 0
    down = APODown(beta=1.0).pair_weights(pair_log_probs(-1.0, -2.0, -1.0, -2.0))
    close(torch.stack(down), [0.0, 0.25])
    squared = SquaredPO(beta=1.0)
    assert squared.pair_weights(pair_log_probs(-1.5, -2.0, -3.0, -2.0)).chosen_weight < 0  # a = 1.5, beyond t = e
    assert squared.pair_weights(pair_log_probs(-2.5, -2.0, -3.0, -2.0)).chosen_weight > 0
    assert float(RobustDPO(beta=1.0, label_smoothing=0.1)(0.0, -100.0)) == pytest.approx(-12.5)
    assert ChiPO(beta=1.0, limit=2.0).partials(pair_log_probs(-1.0, -9.0, -3.0, -3.0)).chosen == 0


ONE_MARGIN = ("dpo", "cdpo", "robust", "exo_pair", "discopop", "ipo", "hinge", "slic", "tpo", "beta_dpo")
OTHERS = ("simpo", "dpo_per_token", "dpop", "dpo_shift", "nca_pair", "apo_down", "chi_po", "f_dpo", "cal_dpo", "orpo")


@pytest.mark.parametrize("name", [*ONE_MARGIN, *OTHERS])
def test_the_two_weights_are_equal_for_losses_of_the_log_ratio_alone(name: str) -> None:
    weights = get_loss(name).pair_weights(pair_log_probs(-1.5, -1.0, -1.0, -1.25, 4, 2))
    assert bool(weights.chosen_weight == weights.rejected_weight) == (name in ONE_MARGIN)


def test_kto_estimates_its_baseline_as_trl_does() -> None:
    here, there = torch.tensor([-1.0, -3.0]), torch.tensor([-2.0, -2.5])
    close(kto_baseline(here, there), 0.25)
    close(kto_baseline(there, here), 0.0)
    many = kto_baseline(torch.stack([here, there]), torch.stack([there, here]))
    close(many, [[0.25], [0.0]])
    shifted = KTO(beta=1.0, baseline=0.25)
    close(shifted(-1.0, -1.0, -1.25, -1.25), KTO(beta=1.0)(-1.25, -1.25, -1.25, -1.25))


def test_the_pull_of_orpo_is_finite_where_the_chosen_response_is_sure() -> None:
    """The quotient of two numbers that both vanish: beta P_l / (1 - P_l) at P_w = 1, and near it."""
    loss, odds = ORPO(beta=0.3, sft_weight=0.0), math.exp(-1.0) / (1 - math.exp(-1.0))
    for chosen in (0.0, -1e-300, -1e-17, -1e-9):
        partials = loss.partials(pair_log_probs(chosen, -1.0))
        close(partials.chosen, -0.3 * odds, 1e-8)
        close(partials.rejected, 0.0, 1e-8)
        assert float(loss(chosen, -1.0)) >= 0


def test_bco_is_apo_zero_with_the_logistic_loss() -> None:
    """On a pair that is learnt by far, both losses have the same weights, which decay as e^-x."""
    far = pair_log_probs(-1.0, -41.0, -41.0, -1.0)
    bco, apo = BCOPair(beta=1.0).pair_weights(far), APOZero(beta=1.0).pair_weights(far)
    close(torch.stack(bco) / torch.stack(apo), [1.0, 1.0])
    wrong = pair_log_probs(-41.0, -1.0, -1.0, -41.0)  # and where it is wrong by far, APO has given up
    assert float(APOZero(beta=1.0).pair_weights(wrong).chosen_weight) < 1e-15
    assert float(BCOPair(beta=1.0).pair_weights(wrong).chosen_weight) == pytest.approx(1.0)


def test_every_loss_is_reachable_by_name() -> None:
    classes = {type(make()) for make in LOSSES.values()}

    def all_of(kind: type) -> set[type]:
        return {kind} | {found for child in kind.__subclasses__() for found in all_of(child)}

    public = {
        kind
        for kind in all_of(PreferenceLoss)
        if kind.__module__.startswith("dynamics.losses") and not kind.__abstractmethods__
    }
    assert {kind.__name__ for kind in public - classes} <= {
        "WeightedSum",
        "WithDivergence",
        "FunctionLoss",
        "IPOAsPrinted",
        "RewardLossAsPrinted",
        "NaiveBDPOAsPrinted",
    }
    assert FunctionLoss in public
    assert SelfPO in classes
