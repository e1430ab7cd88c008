"""Every loss as its formula, written again in high precision."""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import torch
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
    FunctionLoss,
    Hinge,
    IPOPerToken,
    NaiveBDPO,
    NaiveBDPOv2,
    NCAPair,
    PreferenceLoss,
    ProbabilityMargin,
    RobustDPO,
    SelfPO,
    SFTPerToken,
    SimPO,
    SLiC,
    SPPOHard,
    SquaredPO,
    WithDivergence,
)
from dynamics.losses.as_printed import IPOAsPrinted, NaiveBDPOAsPrinted, RewardLossAsPrinted

MP = mpmath.mp.clone()
MP.dps = 60


class Point:
    """The inputs of a loss in high precision; ``c0`` and ``r0`` are copies that are not differentiated."""

    def __init__(self, values: tuple[float, ...], c: mpf | None = None, r: mpf | None = None) -> None:
        self.c0, self.r0, self.rc, self.rr, self.nw, self.nl = (MP.mpf(v) for v in values)
        self.c = self.c0 if c is None else c
        self.r = self.r0 if r is None else r
        self.aw, self.al = self.c - self.rc, self.r - self.rr
        self.z = self.aw - self.al


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


def smoothed(z: mpf, share: float) -> mpf:
    return (1 - MP.mpf(share)) * softplus(-z) + MP.mpf(share) * softplus(z)


def sigma(x: mpf) -> mpf:
    return 1 / (1 + MP.exp(-x))


def held(x: mpf) -> mpf:
    """e^x, held at the end of the range of floats, as ``bounded_exp`` says."""
    return MP.exp(min(x, MP.mpf(690)))


def discopop(z: mpf, tau: float) -> mpf:
    m = sigma(z / MP.mpf(tau))
    return (1 - m) * softplus(-z) + m * MP.exp(-z)


def exo(z: mpf, share: float) -> mpf:
    p, q = sigma(z), sigma(-z)
    return p * (-softplus(-z) - MP.log(1 - MP.mpf(share))) + q * (-softplus(z) - MP.log(MP.mpf(share)))


def orpo(p: Point, weight: float, sft: float) -> mpf:
    def log_odds(mean: mpf) -> mpf:
        return mean - MP.log(-MP.expm1(mean))

    w = p.c / p.nw
    return MP.mpf(weight) * softplus(log_odds(p.r / p.nl) - log_odds(w)) - MP.mpf(sft) * w


def alphapo(p: Point, b: float, gamma: float, alpha: float) -> mpf:
    def reward(mean: mpf) -> mpf:
        return (1 - held(-MP.mpf(alpha) * mean)) / MP.mpf(alpha)

    return softplus(MP.mpf(gamma) - MP.mpf(b) * (reward(p.c / p.nw) - reward(p.r / p.nl)))


def beta_dpo(p: Point, b: float, alpha: float) -> mpf:
    mean = (p.c0 - p.rc) - (p.r0 - p.rr)  # a batch of one pair, and no gradient
    return softplus(-max(MP.mpf(1e-3), MP.mpf(b) * (1 + MP.mpf(alpha) * mean)) * p.z)


def squares(p: Point, b: float) -> mpf:
    target = 1 / (2 * MP.mpf(b))
    return (p.aw - target) ** 2 + (p.al + target) ** 2


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
    "cdpo": (ConservativeDPO(beta=0.3, label_smoothing=0.2), lambda p: smoothed(MP.mpf(0.3) * p.z, 0.2)),
    "robust": (
        RobustDPO(beta=0.3, label_smoothing=0.2),
        lambda p: (
            (MP.mpf(0.8) * softplus(-MP.mpf(0.3) * p.z) - MP.mpf(0.2) * softplus(MP.mpf(0.3) * p.z))
            / (1 - 2 * MP.mpf(0.2))
        ),
    ),
    "exo_pair": (EXO(beta=0.3, label_smoothing=0.01), lambda p: exo(MP.mpf(0.3) * p.z, 0.01)),
    "discopop": (DiscoPOP(beta=0.3), lambda p: discopop(MP.mpf(0.3) * p.z, 0.05)),
    "discopop tau=0.4": (DiscoPOP(beta=1.0, tau=0.4), lambda p: discopop(p.z, 0.4)),
    "dpo_per_token": (DPOPerToken(beta=0.9), lambda p: softplus(-MP.mpf(0.9) * ratio_per_token(p))),
    "f_dpo": (
        FDPO(beta=0.7),
        lambda p: softplus(MP.mpf(0.7) * (softplus(-p.aw) - softplus(-p.al))),
    ),
    "f_dpo_forward_kl": (
        FDPO(beta=0.7, divergence="forward_kl"),
        lambda p: softplus(MP.mpf(0.7) * (held(-p.aw) - held(-p.al))),
    ),
    "f_dpo_alpha": (
        FDPO(beta=0.7, divergence="alpha_divergence", alpha=0.25),
        lambda p: softplus(-MP.mpf(0.7) * (held(MP.mpf(-0.75) * p.aw) - held(MP.mpf(-0.75) * p.al)) / MP.mpf(-0.75)),
    ),
    "ipo_per_token, js": (
        WithDivergence(IPOPerToken(beta=0.3), "js_divergence"),
        lambda p: (
            ((MP.log(2) - softplus(-p.aw)) / p.nw - (MP.log(2) - softplus(-p.al)) / p.nl - 1 / (2 * MP.mpf(0.3))) ** 2
        ),
    ),
    "simpo label_smoothing": (
        SimPO(beta=2.0, gamma=0.6, label_smoothing=0.1),
        lambda p: smoothed(per_token(p, 2.0, 0.6), 0.1),
    ),
    "alphapo": (AlphaPO(beta=2.0, gamma=0.6), lambda p: alphapo(p, 2.0, 0.6, 0.25)),
    "alphapo alpha<0": (AlphaPO(beta=2.0, gamma=0.6, alpha=-0.5), lambda p: alphapo(p, 2.0, 0.6, -0.5)),
    "tpo": (TPO(beta=0.2, label_smoothing=0.1), lambda p: smoothed(MP.mpf(0.2) * (p.c - p.r), 0.1)),
    "orpo": (ORPO(beta=0.3), lambda p: orpo(p, 0.3, 1.0)),
    "orpo without sft": (ORPO(beta=0.3, sft_weight=0.0), lambda p: orpo(p, 0.3, 0.0)),
    "sft_per_token": (SFTPerToken(), lambda p: -p.c / p.nw),  # a batch of one pair, as AOT below
    "nca_pair": (
        NCAPair(beta=0.4),
        lambda p: softplus(-(x := MP.mpf(0.4) * p.aw)) + softplus(x) / 2 + softplus(MP.mpf(0.4) * p.al) / 2,
    ),
    "bco_pair": (BCOPair(beta=0.4), lambda p: softplus(-MP.mpf(0.4) * p.aw) + softplus(MP.mpf(0.4) * p.al)),
    "sppo_hard": (SPPOHard(beta=0.4), lambda p: squares(p, 0.4)),
    "apo_zero": (APOZero(beta=0.4), lambda p: sigma(-MP.mpf(0.4) * p.aw) + sigma(MP.mpf(0.4) * p.al)),
    "apo_down": (APODown(beta=0.4), lambda p: sigma(MP.mpf(0.4) * p.aw) + sigma(-MP.mpf(0.4) * p.z)),
    "kto": (
        KTO(beta=0.4, desirable_weight=1.5, undesirable_weight=0.5, baseline=0.25),
        lambda p: (
            MP.mpf(1.5) * sigma(-MP.mpf(0.4) * (p.aw - MP.mpf(0.25)))
            + MP.mpf(0.5) * sigma(MP.mpf(0.4) * (p.al - MP.mpf(0.25)))
        ),
    ),
    "aot": (AOT(beta=0.3, label_smoothing=0.2), lambda p: smoothed(MP.mpf(0.3) * p.z, 0.2)),
    "aot_unpaired": (AOTUnpaired(beta=0.3), lambda p: softplus(-MP.mpf(0.3) * p.z)),
    "beta_dpo": (BetaDPO(beta=0.3, alpha=0.2), lambda p: beta_dpo(p, 0.3, 0.2)),
    "dpop": (
        DPOP(beta=0.3, penalty=5.0),
        lambda p: softplus(-MP.mpf(0.3) * (p.z - 5 * max(MP.mpf(0), -p.aw))),
    ),
    "cal_dpo": (CalDPO(beta=0.4), lambda p: softplus(-p.z) + squares(p, 0.4)),
    "dpo_shift": (DPOShift(beta=0.3, shift=0.75), lambda p: softplus(-MP.mpf(0.3) * (p.aw - MP.mpf(0.75) * p.al))),
    "rpo": (RPO(beta=0.3, alpha=0.5), lambda p: softplus(-MP.mpf(0.3) * p.z) - p.c / p.nw / 2),
    "squared_po": (
        SquaredPO(beta=0.3),
        lambda p: softplus(-MP.mpf(0.3) * (p.aw * held(-p.aw) - p.al * held(-p.al))),
    ),
    "chi_po": (ChiPO(beta=0.3), lambda p: softplus(-MP.mpf(0.3) * (p.z + held(p.aw) - held(p.al)))),
    "chi_po limit=2": (
        ChiPO(beta=0.3, limit=2.0),
        lambda p: softplus(-max(min(MP.mpf(0.3) * (p.z + held(p.aw) - held(p.al)), MP.mpf(2)), MP.mpf(-2))),
    ),
    "a function": (
        FunctionLoss(lambda p: -torch.nn.functional.logsigmoid(p.log_ratio / 2 - p.chosen_length)),
        lambda p: softplus(p.nw - p.z / 2),
    ),
    "ipo as printed": (IPOAsPrinted(), lambda p: p.z**2),
    "reward loss as printed": (RewardLossAsPrinted(beta=0.6), lambda p: -softplus(-MP.mpf(0.6) * p.z)),
}
AS_PRINTED_BRACKET = (NaiveBDPOAsPrinted(beta=0.5), naive_as_printed(0.5, 0.5))
