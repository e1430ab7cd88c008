"""Every loss against its formula, written again in high precision, and against autograd."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, strategies as st
from mpmath import mpf

from dynamics.losses import (
    AOT,
    BDPO,
    CPO,
    DPO,
    DPOP,
    EXO,
    FDPO,
    IPO,
    KTO,
    LOSSES,
    ORPO,
    RPO,
    SFT,
    TPO,
    AlphaPO,
    AOTUnpaired,
    APODown,
    APOZero,
    BCOPair,
    BetaDPO,
    CalDPO,
    ChiPO,
    ConservativeDPO,
    DiscoPOP,
    DPOPerToken,
    DPOShift,
    Hinge,
    IPOPerToken,
    NaiveBDPO,
    NaiveBDPOv2,
    NCAPair,
    Partials,
    PreferenceLoss,
    ProbabilityMargin,
    RobustDPO,
    SelfPO,
    SimPO,
    SLiC,
    SPPOHard,
    SquaredPO,
    pair_log_probs,
)
from dynamics.losses.as_printed import IPOAsPrinted, NaiveBDPOAsPrinted, RewardLossAsPrinted
from dynamics.losses.base import MarginLoss, PairLogProbs
from tests.dynamics.loss_formulas import AS_PRINTED_BRACKET, CASES, MP, Formula, Point, softplus
from tests.dynamics.strategies import close

# (log pi_w, log pi_l, log ref_w, log ref_l, |y_w|, |y_l|): lambda below, inside and above its clips; either sign of z
ORDINARY = [
    (-1.0, -1.25, -1.5, -0.75, 1, 1),
    (-2.3, -2.1, -1.1, -3.0, 3, 2),
    (-1.0, -3.0, -2.0, -2.5, 5, 7),
    (-6.0, -1.5, -2.0, -4.0, 4, 4),
    (-0.01, -12.0, -3.0, -3.5, 2, 9),
    (-40.0, -35.0, -30.0, -45.0, 11, 13),
]
EXTREME = [
    (-1e4, -1.0, -1.25, -2.0, 1, 1),
    (-1.0, -1e4, -1.25, -2.0, 1, 1),
    (-1e4, -1e4 - 0.25, -1.25, -2.0, 3, 2),
    (-1e-3, -1e4, -1e-3, -1.0, 1, 1),
    (-1e4, -1e-3, -1.0, -1e-3, 1, 1),
    (-1.5, -2.75, -1e4, -1.0, 2, 1),
    (-1.5, -2.75, -1.0, -1e4, 2, 1),
    (-800.0, -2.0, -1.0, -3.0, 1, 1),
    (-2.0, -300.0, -1.0, -3.0, 1, 1),
]
EXPONENTIAL = ("f_dpo_", "alphapo", "squared_po", "chi_po")  # terms of e^690 beside terms of 1
SMALLEST = 1e-307  # below it float64 has no digits to compare


def in_high_precision(formula: Formula, point: tuple[float, ...]) -> tuple[mpf, mpf, mpf]:
    """Value, dL/dlog pi_w and dL/dlog pi_l of a formula by differences at 60 digits."""
    p = Point(point)
    along_c = MP.diff(lambda c: formula(Point(point, c=c)), p.c0)
    along_r = MP.diff(lambda r: formula(Point(point, r=r)), p.r0)
    return formula(p), along_c, along_r


def relative_error(got: torch.Tensor, want: mpf) -> float:
    difference = abs(MP.mpf(float(got)) - want)
    return 0.0 if difference < SMALLEST else float(difference / max(abs(want), MP.mpf(SMALLEST)))


def at(point: tuple[float, ...]) -> PairLogProbs:
    return pair_log_probs(*point)


def test_every_loss_of_the_registry_is_covered() -> None:
    covered = {(type(loss), getattr(loss, "activation", None)) for loss, _ in CASES.values()}
    for make in LOSSES.values():
        loss = make()
        assert (type(loss), getattr(loss, "activation", None)) in covered


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("point", ORDINARY + EXTREME)
def test_value_and_partials_equal_the_formula_in_high_precision(name: str, point: tuple[float, ...]) -> None:
    loss, formula = CASES[name]
    exponential = name.startswith(EXPONENTIAL)
    with MP.workdps(700 if exponential else MP.dps):
        want = in_high_precision(formula, point)
    got = (loss.value(at(point)), *loss.partials(at(point)))
    for g, w in zip(got, want, strict=True):
        assert torch.isfinite(g)
        # a difference of nearly equal numbers (IPO at its target, SiLU at its floor, two terms of e^690) is off by that
        # much of its terms
        assert relative_error(g, w) < (1e-11 if exponential else 1e-12) or abs(float(g) - float(w)) < 1e-15


@pytest.mark.parametrize("margin", [-1e4, -750.0, -30.0, -3.0, 5.0, 30.0, 750.0, 1e4])
@pytest.mark.parametrize(
    ("loss", "formula"),
    [
        (DPO(), lambda z: softplus(-z)),
        (IPO(beta=0.5), lambda z: (z - 1) ** 2),
        (Hinge(), lambda z: max(MP.mpf(0), 1 - z)),
        (SLiC(), lambda z: max(MP.mpf(0), 1 - z)),
        (SFT(), lambda z: -z),
        (SelfPO(), lambda z: -z / (1 + MP.exp(z))),
        (SelfPO(activation="gelu"), lambda z: -z * MP.erfc(z / MP.sqrt(2)) / 2),
        (SelfPO(activation="relu"), lambda z: max(MP.mpf(0), -z)),
        (SelfPO(activation="square"), lambda z: z * z),
        (SelfPO(activation="identity"), lambda z: -z),
    ],
)
def test_scalar_loss_and_derivative_are_stable(loss: MarginLoss, formula: Callable[[mpf], mpf], margin: float) -> None:
    z = torch.tensor(margin, dtype=torch.float64)
    assert relative_error(loss.of_margin(z), formula(MP.mpf(margin))) < 1e-12
    assert relative_error(loss.derivative(z), MP.diff(formula, MP.mpf(margin))) < 1e-12


@pytest.mark.parametrize("point", ORDINARY[:3])
def test_bracket_as_printed_equals_its_own_formula(point: tuple[float, ...]) -> None:
    loss, formula = AS_PRINTED_BRACKET
    point = (*point[:2], -0.5, point[3], *point[4:])  # log(pi_w / ref_w) < 0, or the logarithm may have no value
    want = in_high_precision(formula, point)
    for g, w in zip((loss.value(at(point)), *loss.partials(at(point))), want, strict=True):
        assert relative_error(g, w) < 1e-12


def test_bracket_as_printed_has_no_value_where_its_logarithm_has_none() -> None:
    assert torch.isnan(NaiveBDPOAsPrinted(beta=1.0)(-0.1, -9.0, -5.0, -1.0))


# ---------------------------------------------------------------- autograd

log_prob = st.floats(-60, -1e-3)
inputs = st.tuples(log_prob, log_prob, log_prob, log_prob, st.integers(1, 30), st.integers(1, 30))


def assert_partials_are_autograds(loss: PreferenceLoss, pair: PairLogProbs) -> None:
    chosen = pair.chosen.clone().requires_grad_()
    rejected = pair.rejected.clone().requires_grad_()
    value = loss.value(pair._replace(chosen=chosen, rejected=rejected)).sum()
    want = torch.autograd.grad(value, (chosen, rejected), materialize_grads=True)
    for got, wanted in zip(loss.partials(pair), want, strict=True):
        close(got.expand_as(wanted), wanted)


ALL_LOSSES = [loss for loss, _ in CASES.values()]


@given(st.sampled_from(ALL_LOSSES), inputs)
def test_partials_are_those_of_autograd(loss: PreferenceLoss, point: tuple[float, ...]) -> None:
    assert_partials_are_autograds(loss, at(point))


@pytest.mark.parametrize(
    "loss", [*ALL_LOSSES, Hinge(beta=0.5), SLiC(delta=0.5)], ids=[*CASES, "at z = 1", "at z = 0.5"]
)
def test_partials_are_those_of_autograd_at_kinks_and_ends_of_the_clip(loss: PreferenceLoss) -> None:
    # log-odds 0 and 0.5: the ends of the clip; 0.5 with delta = 0.5 and 2 with beta = 0.5: kinks
    chosen = torch.tensor([-1.0, -1.0, -1.0, -1.0, -2.0], dtype=torch.float64)
    rejected = torch.tensor([-1.0, -1.5, -3.0, -2.3, -1.0], dtype=torch.float64)
    assert_partials_are_autograds(loss, pair_log_probs(chosen, rejected, -2.0, -2.0))


@given(st.sampled_from([x for x in ALL_LOSSES if isinstance(x, MarginLoss)]), st.floats(-60, 60))
def test_derivative_is_that_of_autograd(loss: MarginLoss, margin: float) -> None:
    z = torch.tensor(margin, dtype=torch.float64, requires_grad=True)
    (want,) = torch.autograd.grad(loss.of_margin(z), z, materialize_grads=True)
    close(loss.derivative(z.detach()), want)
    # urgency is -f'(margin)
    pair = pair_log_probs(-1.0, -2.0)
    close(loss.urgency(pair), -loss.derivative(loss.margin(pair)))


@dataclasses.dataclass(frozen=True)
class _WrongDPO(DPO):
    def derivative(self, margin: torch.Tensor) -> torch.Tensor:
        return super().derivative(margin) * (1 + 1e-9)


@dataclasses.dataclass(frozen=True)
class _MistakesTheStopGradient(NaiveBDPOv2):
    def margin_partials(self, pair: PairLogProbs) -> Partials:
        return NaiveBDPOv2(beta=self.beta, clip=self.clip, detach=not self.detach).margin_partials(pair)


def test_the_comparison_sees_a_wrong_derivative() -> None:
    pair = pair_log_probs(-1.0, -1.25, -2.0, -1.5)  # inside the clip
    assert_partials_are_autograds(DPO(beta=0.5), pair)
    with pytest.raises(AssertionError):
        assert_partials_are_autograds(_WrongDPO(beta=0.5), pair)
    for detach in (True, False):
        with pytest.raises(AssertionError):
            assert_partials_are_autograds(_MistakesTheStopGradient(detach=detach), pair)


def test_a_called_loss_can_be_differentiated() -> None:
    chosen = torch.tensor([-1.0, -2.0], dtype=torch.float64, requires_grad=True)
    DPO(beta=0.5)(chosen, [-1.5, -1.0]).sum().backward()
    assert chosen.grad is not None
    close(chosen.grad, DPO(beta=0.5).partials(pair_log_probs(chosen.detach(), [-1.5, -1.0])).chosen)


# ---------------------------------------------------------------- hyper-parameters as tensors

NUMBERS = [
    (DPO, {"beta": [0.1, 2.0]}),
    (IPO, {"beta": [0.1, 2.0]}),
    (IPOPerToken, {"beta": [0.1, 2.0]}),
    (Hinge, {"beta": [0.1, 2.0]}),
    (SLiC, {"delta": [0.0, 2.0]}),
    (CPO, {"beta": [0.1, 2.0], "sft_weight": [1.0, 0.0]}),
    (SimPO, {"beta": [0.1, 2.0], "gamma": [-1.0, 0.5]}),
    (SelfPO, {"beta": [0.1, 2.0], "gamma": [-1.0, 0.5]}),
    (NaiveBDPO, {"beta": [0.1, 2.0], "clip": [0.0, 1.0]}),
    (NaiveBDPOv2, {"beta": [0.1, 2.0], "clip": [0.0, 1.0]}),
    (BDPO, {"beta": [0.1, 2.0]}),
    (ProbabilityMargin, {"scale": [0.1, 2.0]}),
    (ConservativeDPO, {"beta": [0.1, 2.0], "label_smoothing": [0.0, 0.3]}),
    (RobustDPO, {"beta": [0.1, 2.0], "label_smoothing": [0.0, 0.3]}),
    (EXO, {"beta": [0.1, 2.0], "label_smoothing": [0.01, 0.3]}),
    (DiscoPOP, {"beta": [0.1, 2.0], "tau": [0.05, 0.3]}),
    (DPOPerToken, {"beta": [0.1, 2.0]}),
    (functools.partial(FDPO, divergence="alpha_divergence"), {"beta": [0.1, 2.0], "alpha": [1.0, 0.3]}),
    (AlphaPO, {"beta": [0.1, 2.0], "gamma": [0.0, 1.0], "alpha": [0.0, -0.5], "label_smoothing": [0.0, 0.1]}),
    (TPO, {"beta": [0.1, 2.0], "label_smoothing": [0.0, 0.3]}),
    (ORPO, {"beta": [0.1, 2.0], "sft_weight": [0.0, 1.0]}),
    (NCAPair, {"beta": [0.1, 2.0]}),
    (BCOPair, {"beta": [0.1, 2.0]}),
    (SPPOHard, {"beta": [0.1, 2.0]}),
    (APOZero, {"beta": [0.1, 2.0]}),
    (APODown, {"beta": [0.1, 2.0]}),
    (KTO, {"beta": [0.1, 2.0], "desirable_weight": [1.0, 0.5], "baseline": [0.0, 1.0]}),
    (AOT, {"beta": [0.1, 2.0], "label_smoothing": [0.0, 0.3]}),
    (AOTUnpaired, {"beta": [0.1, 2.0], "label_smoothing": [0.0, 0.3]}),
    (BetaDPO, {"beta": [0.1, 2.0], "alpha": [0.0, 0.3], "baseline": [0.0, 1.0]}),
    (DPOP, {"beta": [0.1, 2.0], "penalty": [0.0, 5.0]}),
    (CalDPO, {"beta": [0.1, 2.0]}),
    (DPOShift, {"beta": [0.1, 2.0], "shift": [0.0, 0.8]}),
    (RPO, {"beta": [0.1, 2.0], "alpha": [0.0, 1.0]}),
    (SquaredPO, {"beta": [0.1, 2.0]}),
    (ChiPO, {"beta": [0.1, 2.0]}),
    (IPOAsPrinted, {"beta": [0.1, 2.0]}),
    (RewardLossAsPrinted, {"beta": [0.1, 2.0]}),
    (NaiveBDPOAsPrinted, {"beta": [0.1, 0.3], "clip": [0.1, 0.4]}),
]


@pytest.mark.parametrize(("make", "numbers"), NUMBERS, ids=lambda v: getattr(v, "__name__", ""))
def test_hyper_parameters_may_be_tensors(make: Callable[..., PreferenceLoss], numbers: dict[str, list[float]]) -> None:
    pair = pair_log_probs([-1.0, -2.0, -3.0], [-1.2, -2.9, -0.4], -0.5, -1.5, [3, 1, 2], [1, 2, 5])
    both = make(**{name: torch.tensor(v, dtype=torch.float64).reshape(2, 1) for name, v in numbers.items()})
    for row in range(2):
        one = make(**{name: v[row] for name, v in numbers.items()})
        close(both.value(pair).expand(2, 3)[row], one.value(pair), 1e-15)
        close(both.margin(pair).expand(2, 3)[row], one.margin(pair), 1e-15)
        close(both.urgency(pair).expand(2, 3)[row], one.urgency(pair).expand(3), 1e-15)
        for got, want in zip(both.partials(pair), one.partials(pair), strict=True):
            close(got.expand(2, 3)[row], want.expand(3), 1e-15)
