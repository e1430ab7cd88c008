"""The figures of sun2025 that are curves: the losses of one pair, and the bound of Proposition 1.

Both stand on one axis, the margin m (beta times the log-ratio, less the target gamma), on which a pair that is
ranked rightly lies to the right of 0. The paper's argument of SiLU, softplus and ReLU is x = -m.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import entr, expit

from dynamics import DPO, SelfPO
from dynamics.losses.base import MarginLoss
from figures.accuracy import ROUNDED, SEARCHED, TAIL, Accuracy
from figures.registry import Arrays, figure
from figures.style import (
    COLUMN_WIDTH,
    DPO_COLOR,
    HINGE_COLOR,
    IDENTITY_COLOR,
    IPO_COLOR,
    REFERENCE,
    SELF_PO_COLOR,
    label_line,
    label_panel,
)
from theory.sun2025.floor import (
    FLOOR_MARGIN,
    FLOOR_VALUE,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

LN_2 = float(np.log(2))
MARGIN_LABEL = "margin  $m = -x$"

CURVES: dict[str, MarginLoss] = {
    "softplus": DPO(beta=1.0),
    **{name: SelfPO(activation=name) for name in ("silu", "relu", "square", "identity")},
}


def loss_at(name: str, margin: np.ndarray) -> np.ndarray:
    """Return the loss of one pair (nats), by the name of its curve."""
    return CURVES[name].of_margin(torch.from_numpy(margin)).numpy()


def weight_at(name: str, margin: np.ndarray) -> np.ndarray:
    """Return the derivative of that loss with respect to the margin."""
    return CURVES[name].derivative(torch.from_numpy(margin)).numpy()


def symmetric_axis(end: float, points: int) -> np.ndarray:
    """Return margins from -end to end with an exact 0 in their middle."""
    half = np.linspace(0.0, end, points)
    return np.concatenate([-half[:0:-1], half])


@figure(
    "sun2025-1",
    "The loss of one pair: only SiLU has a floor at a finite margin above the target",
    source="Sun et al. 2025, Figure 1",
    caption="Softplus (DPO, SimPO) falls everywhere and does not attain its infimum 0; ReLU is flat beyond the "
    "target; the square turns at the target itself; the identity has no bound. SiLU (Self PO) has its minimum at the "
    "margin 1 + W = 1.2785, where it is -W = -0.2785 with W = W(1/e), and rises back to 0 beyond.",
    differs="The paper does not name its axis; here it is the margin m, from which the target gamma is subtracted, "
    "and its x is -m. Its square is IPO with the target inside m.",
    claims=("sun2025.silu-minimum", "sun2025.finite-minimum"),
    accuracy={"tail_*": TAIL, "least": SEARCHED},
)
def losses(low: float = -3.0, high: float = 6.0, points: int = 901, far: float = 700.0) -> Arrays:
    """Evaluate the five losses on one margin axis, softplus and SiLU far out, and SiLU's minimum by search."""
    margin = np.linspace(low, high, points)
    tail = np.linspace(high, far, 200)
    found = minimize_scalar(
        lambda m: float(loss_at("silu", np.array([m]))[0]), bounds=(low, high), options={"xatol": 1e-9}
    )
    return {
        "margin": margin,
        **{name: loss_at(name, margin) for name in CURVES},
        "tail": tail,
        "tail_softplus": loss_at("softplus", tail),
        "tail_silu": loss_at("silu", tail),
        "least": np.array([found.x, found.fun]),
    }


@losses.check
def silu_has_a_floor(arrays: Arrays) -> bool:
    """SiLU has its minimum -W(1/e) at 1 + W(1/e), falls before and rises after, and tends to 0 from below."""
    margin, rise = arrays["margin"], np.diff(arrays["silu"])
    found = np.abs(arrays["least"] - [FLOOR_MARGIN, FLOOR_VALUE])
    before, after = margin[1:] <= FLOOR_MARGIN, margin[:-1] >= FLOOR_MARGIN
    turns = (rise[before] < 0).all() and (rise[after] > 0).all() and before.any() and after.any()
    tail = arrays["tail_silu"]
    returns = (np.diff(tail) > 0).all() and (tail < 0).all() and tail[-1] > -1e-12
    return bool(found[0] < 1e-6 and found[1] < ROUNDED and turns and returns)


@losses.check
def softplus_has_none(arrays: Arrays) -> bool:
    """Softplus falls at every margin and stays above 0, like e^-m at large m: its infimum is not attained."""
    value, tail = arrays["softplus"], arrays["tail_softplus"]
    falls = (np.diff(value) < 0).all() and (np.diff(tail) < 0).all() and tail[-1] > 0
    return bool(falls and np.abs(np.log(tail) + arrays["tail"]).max() < 0.01)


@losses.check
def relu_goes_flat(arrays: Arrays) -> bool:
    """ReLU equals -m below the target and 0 beyond it, where it has no gradient."""
    margin, value = arrays["margin"], arrays["relu"]
    expected = np.where(margin < 0, -margin, 0.0)
    return bool(np.abs(value - expected).max() < 10 * ROUNDED)


@losses.check
def square_turns_at_the_target(arrays: Arrays) -> bool:
    """The square is 0 at m = 0 and grows on both sides alike."""
    margin, value = arrays["margin"], arrays["square"]
    return bool((value[np.abs(margin) > 1e-6] > ROUNDED).all() and np.abs(value - margin**2).max() < 1e-10)


@losses.check
def identity_is_unbounded(arrays: Arrays) -> bool:
    """The identity falls with slope -1 for ever."""
    slope = np.diff(arrays["identity"]) / np.diff(arrays["margin"])
    return bool(np.abs(slope + 1).max() < 1e-9 and arrays["identity"][-1] < -1)


@losses.draw
def _draw_losses(arrays: Arrays) -> Drawing:
    drawing, axes = plt.subplots(figsize=(COLUMN_WIDTH, 2.5))
    styles = {
        "identity": (IDENTITY_COLOR, "-."),
        "square": (IPO_COLOR, "--"),
        "relu": (HINGE_COLOR, (0, (5, 1.5))),
        "softplus": (DPO_COLOR, "-"),
        "silu": (SELF_PO_COLOR, "-"),
    }
    margin = arrays["margin"]
    axes.axhline(0, color="#BBBBBB", linewidth=0.6)
    for name, (color, line) in styles.items():
        axes.plot(margin, arrays[name], color=color, linestyle=line, linewidth=1.8 if name == "silu" else 1.3)
    axes.plot(*arrays["least"], "o", color=SELF_PO_COLOR, markersize=4)
    axes.set(xlim=(margin[0], margin[-1]), ylim=(-1.3, 3.2), xlabel=MARGIN_LABEL, ylabel="loss of one pair (nats)")
    label_line(axes, 2.3, 2.45, "square: IPO", IPO_COLOR)
    label_line(axes, 1.25, 0.58, "softplus: DPO, SimPO", DPO_COLOR)
    leader = {"arrowstyle": "-", "linewidth": 0.6, "color": HINGE_COLOR, "shrinkA": 0, "shrinkB": 0}
    label_line(axes, 5.2, 0.0, "ReLU: SLiC", HINGE_COLOR, xytext=(4.2, 0.32), arrowprops=leader)
    label_line(axes, -0.5, -1.05, "identity", IDENTITY_COLOR)
    label_line(axes, 1.5, -0.52, "SiLU: Self PO", SELF_PO_COLOR)
    label_line(axes, 1.5, -0.82, "minimum $-W$ at $m=1+W$", SELF_PO_COLOR)
    return drawing


@figure(
    "sun2025-4",
    "SiLU and softplus: the gap is the entropy of the predicted preference, at most ln 2",
    source="Sun et al. 2025, Figure 4",
    caption="(a) SiLU lies below softplus, and softplus below SiLU + ln 2 except at m = 0, where they touch; far out "
    "on either side the distance to the upper curve tends to ln 2. (b) Softplus less SiLU is exactly the binary "
    "entropy H of sigma(m): Self PO is the logistic loss less the entropy of its own prediction.",
    differs="The paper's constant is not named; ln 2 is the smallest that works, and with it the strict inequality "
    "of Proposition 1 fails at m = 0. Panel (b), the exact identity, is added.",
    claims=("sun2025.proposition-1", "sun2025.eq-34", "sun2025.entropy-identity"),
    accuracy={"tail_gap": Accuracy("a difference of two numbers of order 30", absolute=1e-14)},
)
def entropy_gap(end: float = 6.0, points: int = 301) -> Arrays:
    """Evaluate softplus, SiLU and the binary entropy of sigma(m) on a symmetric margin axis, and at large margins."""
    margin = symmetric_axis(end, points)
    # beyond 33 or so float64 no longer resolves softplus less SiLU beside m itself
    tail = np.arange(np.ceil(end), 31.0)
    return {
        "margin": margin,
        "softplus": loss_at("softplus", margin),
        "silu": loss_at("silu", margin),
        "entropy": entr(expit(margin)) + entr(expit(-margin)),
        "tail": tail,
        "tail_gap": np.stack([loss_at("softplus", m) - loss_at("silu", m) for m in (-tail, tail)]),
    }


@entropy_gap.check
def silu_is_below(arrays: Arrays) -> bool:
    """SiLU is strictly below softplus at every margin."""
    return bool((arrays["silu"] < arrays["softplus"]).all() and (arrays["tail_gap"] > 0).all())


@entropy_gap.check
def touches_once(arrays: Arrays) -> bool:
    """Softplus is at most SiLU + ln 2, with equality at m = 0 and nowhere else, so ln 2 is the least constant."""
    slack = arrays["silu"] + LN_2 - arrays["softplus"]
    at_zero = np.abs(arrays["margin"]) < ROUNDED
    return bool(at_zero.sum() == 1 and np.abs(slack[at_zero]).max() < ROUNDED and (slack[~at_zero] > 1e-6).all())


@entropy_gap.check
def distance_tends_to_ln_2(arrays: Arrays) -> bool:
    """The distance from softplus up to SiLU + ln 2 grows on both sides of 0 and tends to ln 2."""
    slack, margin = arrays["silu"] + LN_2 - arrays["softplus"], arrays["margin"]
    grows = (np.diff(slack[margin >= 0]) > 0).all() and (np.diff(slack[margin <= 0]) < 0).all()
    tail, gap = arrays["tail"], arrays["tail_gap"]
    return bool(grows and (gap > 0).all() and (gap <= (1 + tail) * np.exp(-tail) + ROUNDED).all() and tail[-1] >= 25)


@entropy_gap.check
def gap_is_the_entropy(arrays: Arrays) -> bool:
    """Softplus less SiLU equals the binary entropy of sigma(m), computed from the probabilities alone."""
    gap = arrays["softplus"] - arrays["silu"]
    return bool(np.abs(gap - arrays["entropy"]).max() < 10 * ROUNDED)


@entropy_gap.draw
def _draw_entropy_gap(arrays: Arrays) -> Drawing:
    drawing, (above, below) = plt.subplots(
        2, 1, figsize=(COLUMN_WIDTH, 3.4), sharex=True, gridspec_kw={"height_ratios": (2.1, 1)}
    )
    margin, silu, softplus = arrays["margin"], arrays["silu"], arrays["softplus"]
    above.fill_between(margin, silu, silu + LN_2, color=SELF_PO_COLOR, alpha=0.1, linewidth=0)
    above.plot(margin, silu + LN_2, color=SELF_PO_COLOR, linestyle="--", linewidth=1.2)
    above.plot(margin, silu, color=SELF_PO_COLOR)
    above.plot(margin, softplus, color=DPO_COLOR)
    above.plot(0, LN_2, "o", color=REFERENCE, markersize=3.5)
    above.annotate(
        "touch at $m=0$ only",
        (0, LN_2),
        xytext=(0.6, 2.2),
        fontsize=7,
        arrowprops={"arrowstyle": "-", "linewidth": 0.6, "shrinkB": 3},
    )
    label_line(above, 2.6, 0.8, r"SiLU + $\ln 2$", SELF_PO_COLOR)
    label_line(above, 4.2, 0.17, "softplus", DPO_COLOR)
    label_line(above, 2.6, -0.58, "SiLU", SELF_PO_COLOR)
    above.set(xlim=(margin[0], margin[-1]), ylim=(-0.8, 4.2), ylabel="loss of one pair (nats)")
    below.axhline(LN_2, color=REFERENCE, linewidth=0.7, linestyle=":")
    below.plot(margin, softplus - silu, color=DPO_COLOR, linewidth=2.6, alpha=0.45)
    below.plot(margin, arrays["entropy"], color=REFERENCE, linewidth=0.9)
    label_line(below, -5.8, LN_2 - 0.12, r"$\ln 2$", REFERENCE)
    label_line(below, 1.9, 0.42, r"softplus $-$ SiLU", DPO_COLOR)
    label_line(below, -4.0, 0.42, r"$H(\sigma(m))$", REFERENCE)
    below.set(ylim=(0, 0.78), xlabel=MARGIN_LABEL, ylabel="gap (nats)")
    label_panel(above, "a")
    label_panel(below, "b")
    return drawing
