"""Every loss against its formula, written again in high precision, and against autograd."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import mpmath
import pytest
import torch
from hypothesis import given, strategies as st
from mpmath import mpf

from dynamics.losses import (
    BDPO,
    CPO,
    DPO,
    IPO,
    LOSSES,
    SFT,
    Hinge,
    IPOPerToken,
    NaiveBDPO,
    NaiveBDPOv2,
    Partials,
    PreferenceLoss,
    ProbabilityMargin,
    SelfPO,
    SimPO,
    SLiC,
    pair_log_probs,
)
from dynamics.losses.as_printed import IPOAsPrinted, NaiveBDPOAsPrinted, RewardLossAsPrinted
from dynamics.losses.base import MarginLoss, PairLogProbs
from tests.dynamics.strategies import close

MP = mpmath.mp.clone()
MP.dps = 60


class Point:
    """The inputs of a loss in high precision; ``c0`` and ``r0`` are copies that are not differentiated."""

    def __init__(self, values: tuple[float, ...], c: mpf | None = None, r: mpf | None = None) -> None:
        self.c0, self.r0, self.rc, self.rr, self.nw, self.nl = (MP.mpf(v) for v in values)
        self.c = self.c0 if c is None else c
        self.r = self.r0 if r is None else r
        self.z = (self.c - self.rc) - (self.r - self.rr)


Formula = Callable[[Point], mpf]


def softplus(x: mpf) -> mpf:
    return MP.log1p(MP.exp(x))


def clipped(c: mpf, r: mpf, clip: float, symmetric: bool) -> mpf:
    """Lambda of ma2025 Eq. 26."""
    lower = 1 / (1 + MP.mpf(clip)) if symmetric else MP.mpf(1)
    return min(max(1 + c - r, lower), 1 + MP.mpf(clip))


def naive(b: float, clip: float, symmetric: bool) -> Formula:
    def value(p: Point) -> mpf:
        lam = clipped(p.c0, p.r0, clip, symmetric)
        return softplus(-MP.mpf(b) * (lam * (p.c - p.rc) - (p.r - p.rr) - (lam - 1) * (p.c0 - p.rc)))

    return value


def naive_v2(b: float, clip: float, symmetric: bool, detach: bool) -> Formula:
    def value(p: Point) -> mpf:
        lam = clipped(p.c0, p.r0, clip, symmetric) if detach else clipped(p.c, p.r, clip, symmetric)
        return softplus(-MP.mpf(b) * (lam * (p.c - p.rc) - (p.r - p.rr)))

    return value


def bdpo(b: float, detach: bool) -> Formula:
    def value(p: Point) -> mpf:
        lam = p.r0 / (p.c0 + p.r0) if detach else p.r / (p.c + p.r)
        return softplus(-MP.mpf(b) * (lam * (p.c - p.rc) - (1 - lam) * (p.r - p.rr)))

    return value


def naive_as_printed(b: float, clip: float) -> Formula:
    def value(p: Point) -> mpf:
        lam = clipped(p.c0, p.r0, clip, symmetric=False)
        inside = MP.exp(p.r - p.rr) - MP.mpf(b) * (lam - 1) * (p.c0 - p.rc)
        return softplus(-(MP.mpf(b) * lam * (p.c - p.rc) - MP.mpf(b) * MP.log(inside)))

    return value


def per_token(p: Point, b: float, gamma: float) -> mpf:
    return MP.mpf(b) * (p.c / p.nw - p.r / p.nl) - MP.mpf(gamma)


def ratio_per_token(p: Point) -> mpf:
    return (p.c - p.rc) / p.nw - (p.r - p.rr) / p.nl


CASES: dict[str, tuple[PreferenceLoss, Formula]] = {
    "dpo": (DPO(beta=0.1), lambda p: softplus(-MP.mpf(0.1) * p.z)),
    "dpo beta=1": (DPO(beta=1.0), lambda p: softplus(-p.z)),
    "ipo": (IPO(beta=0.3), lambda p: (p.z - 1 / (2 * MP.mpf(0.3))) ** 2),
    "ipo_per_token": (IPOPerToken(beta=0.3), lambda p: (ratio_per_token(p) - 1 / (2 * MP.mpf(0.3))) ** 2),
    "hinge": (Hinge(beta=0.7), lambda p: max(MP.mpf(0), 1 - MP.mpf(0.7) * p.z)),
    "slic": (SLiC(delta=1.3), lambda p: max(MP.mpf(0), MP.mpf(1.3) - p.c + p.r)),
    "cpo": (CPO(beta=0.4), lambda p: softplus(-MP.mpf(0.4) * (p.c - p.r)) - p.c),
    "cpo sft_weight=0.2": (
        CPO(beta=0.4, sft_weight=0.2),
        lambda p: softplus(-MP.mpf(0.4) * (p.c - p.r)) - MP.mpf(0.2) * p.c,
    ),
    "simpo": (SimPO(beta=2.0, gamma=0.6), lambda p: softplus(-per_token(p, 2.0, 0.6))),
    "sft": (SFT(), lambda p: -p.c),
    "self_po": (SelfPO(beta=2.5, gamma=0.8), lambda p: (x := -per_token(p, 2.5, 0.8)) / (1 + MP.exp(-x))),
    "self_po whole sequences": (
        SelfPO(beta=1.0, gamma=-0.3, length_normalized=False),
        lambda p: (x := -(p.c - p.r + MP.mpf(0.3))) / (1 + MP.exp(-x)),
    ),
    "self_po_gelu": (
        SelfPO(beta=1.5, activation="gelu"),
        lambda p: (x := -per_token(p, 1.5, 0.8)) * MP.erfc(-x / MP.sqrt(2)) / 2,
    ),
    "self_po_relu": (SelfPO(activation="relu"), lambda p: max(MP.mpf(0), -per_token(p, 2.5, 0.8))),
    "self_po_square": (SelfPO(activation="square"), lambda p: per_token(p, 2.5, 0.8) ** 2),
    "self_po_identity": (SelfPO(activation="identity"), lambda p: -per_token(p, 2.5, 0.8)),
    "naive_bdpo": (NaiveBDPO(beta=0.5), naive(0.5, 0.5, symmetric=False)),
    "naive_bdpo_symmetric": (NaiveBDPO(beta=0.5, clip=0.8, symmetric=True), naive(0.5, 0.8, symmetric=True)),
    "naive_bdpo_v2": (NaiveBDPOv2(beta=0.5), naive_v2(0.5, 0.5, symmetric=False, detach=False)),
    "naive_bdpo_v2 detached": (
        NaiveBDPOv2(beta=0.5, detach=True),
        naive_v2(0.5, 0.5, symmetric=False, detach=True),
    ),
    "naive_bdpo_v2_symmetric": (
        NaiveBDPOv2(beta=0.5, clip=0.8, symmetric=True),
        naive_v2(0.5, 0.8, symmetric=True, detach=False),
    ),
    "naive_bdpo_v2_symmetric detached": (
        NaiveBDPOv2(beta=0.5, clip=0.8, symmetric=True, detach=True),
        naive_v2(0.5, 0.8, symmetric=True, detach=True),
    ),
    "bdpo": (BDPO(beta=0.9), bdpo(0.9, detach=False)),
    "bdpo detached": (BDPO(beta=0.9, detach=True), bdpo(0.9, detach=True)),
    "probability_margin": (
        ProbabilityMargin(scale=3.0),
        lambda p: softplus(-3 * (MP.exp(p.c) - MP.exp(p.r))),
    ),
    "dpo + 0.2 sft": (DPO(beta=0.1) + 0.2 * SFT(), lambda p: softplus(-MP.mpf(0.1) * p.z) - MP.mpf(0.2) * p.c),
    "2 (dpo + 0.5 slic) + 3 sft": (
        2 * (DPO(beta=0.1) + 0.5 * SLiC()) + 3 * SFT(),
        lambda p: 2 * softplus(-MP.mpf(0.1) * p.z) + max(MP.mpf(0), 1 - p.c + p.r) - 3 * p.c,
    ),
    "ipo as printed": (IPOAsPrinted(), lambda p: p.z**2),
    "reward loss as printed": (RewardLossAsPrinted(beta=0.6), lambda p: -softplus(-MP.mpf(0.6) * p.z)),
}
AS_PRINTED_BRACKET = (NaiveBDPOAsPrinted(beta=0.5), naive_as_printed(0.5, 0.5))

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
    want = in_high_precision(formula, point)
    got = (loss.value(at(point)), *loss.partials(at(point)))
    for g, w in zip(got, want, strict=True):
        assert torch.isfinite(g)
        # a difference of nearly equal numbers (IPO at its target, SiLU at its floor) is off by that much of its terms
        assert relative_error(g, w) < 1e-12 or abs(float(g) - float(w)) < 1e-15


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
