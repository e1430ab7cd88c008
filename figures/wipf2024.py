"""The figure of wipf2024: the penalties ln(gamma + |u|) between their two extremes, and the two limits as printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from figures.accuracy import ROUNDED, Accuracy
from figures.registry import Arrays, figure
from figures.style import EXACT_COLOR, PAGE_WIDTH, PRINTED_COLOR, REFERENCE, label_line, label_panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


def normalized_penalty(u: np.ndarray, gamma: float) -> np.ndarray:
    """Return ln(gamma + |u|), moved and scaled so that value and slope are 1 at |u| = 1.

    An affine map changes no relative concavity (wipf2024 Definition 5.1), and at one common tangent the curves can be
    compared: the more concave one lies below. With the tangent fixed, gamma = 0 is 1 + ln|u| and gamma = inf is |u|.

    Args:
        u: any shape.
        gamma: >= 0; infinity gives the limit.

    Example:
        >>> [float(normalized_penalty(np.array(2.0), gamma)).__round__(4) for gamma in (0.0, 1.0, 1e6, np.inf)]
        [1.6931, 1.8109, 2.0, 2.0]
    """
    beyond = np.abs(u) - 1.0
    if np.isinf(gamma):
        return 1 + beyond
    with np.errstate(divide="ignore"):  # ln 0 = -inf is meant at u = 0 for gamma = 0
        return 1 + (gamma + 1) * np.log1p(beyond / (gamma + 1))


@figure(
    "wipf2024-2",
    "The penalty ln(gamma + |u|) lies between those of l0 and l1 in relative concavity",
    source="Wipf 2024, Figure 2",
    caption="(a) Value and slope made equal at |u| = 1, which changes no relative concavity: the curves are nested, "
    "rising with gamma from 1 + ln|u| to |u|. (b, c) Both limits in the paper's caption are false as printed. "
    "gamma ln(gamma + |u|) does not tend to |u| but to infinity; gamma [ln(gamma + |u|) - ln gamma] tends to |u|, from "
    "below and within u^2 / (2 gamma). And ln|u|, the limit of (|u|^p - 1)/p, is not proportional to the indicator of "
    "u != 0, which is the limit of |u|^p itself.",
    differs="The paper gives no values of gamma and no normalisation; both are chosen here. Panels (b) and (c), the "
    "limits as printed beside the true ones, are added.",
    claims=(
        "wipf2024.concave-penalty",
        "wipf2024.relative-concavity",
        "wipf2024.figure-2",
        "wipf2024.figure-2-indicator",
        "wipf2024.figure-2-infinity",
    ),
    accuracy={"near_l1": Accuracy("a difference of numbers of order 10000", absolute=1e-12)},
)
def penalties(
    gammas: tuple[float, ...] = (0.2, 1.0, 5.0, 20.0),
    end: float = 5.0,
    points: int = 501,
    at: float = 2.0,
    powers: tuple[float, ...] = (0.5, 0.1, 0.01, 1e-4),
) -> Arrays:
    """Evaluate the normalised penalties on a symmetric axis, and what the printed limits are about.

    Args:
        gammas: rising; the limits 0 and infinity are added at the two ends.
        end: the axis is [-end, end].
        points: on each side of 0; |u| = 1 must be among them.
        at: where the limit towards l1 is shown.
        powers: falling towards 0, for the limit towards l0.
    """
    half = np.linspace(0.0, end, points)
    u = np.concatenate([-half[:0:-1], half])
    large, p = np.logspace(-1, 8, 181), np.array(powers)
    positive = half[1:]
    gamma = np.array([0.0, *gammas, np.inf])
    return {
        "gamma": gamma,
        "u": u,
        "penalty": np.stack([normalized_penalty(u, g) for g in gamma]),
        "near_l1": normalized_penalty(u, 1e4),
        "at": np.array(at),
        "large_gamma": large,
        "l1_as_printed": large * np.log(large + at),
        "l1_less_constant": large * np.log1p(at / large),
        "positive": positive,
        "p": p,
        "power": positive ** p[:, None],
        "power_less_one": np.expm1(p[:, None] * np.log(positive)) / p[:, None],
    }


@penalties.check
def tangent_at_one(arrays: Arrays) -> bool:
    """All curves pass through (1, 1) and (-1, 1) with slopes 1 and -1."""
    u, penalty = arrays["u"], arrays["penalty"]
    seen = []
    for side in (-1.0, 1.0):
        here = np.flatnonzero(np.abs(u - side) < 1e-12)
        if len(here) != 1:
            return False
        step = u[here + 1] - u[here - 1]
        slope = (penalty[:, here + 1] - penalty[:, here - 1]) / step
        # a central difference of a curve whose third derivative at 1 is at most 2
        seen.append(np.abs(penalty[:, here] - 1).max() < 1e-12 and np.abs(slope - side).max() < step.max() ** 2)
    return all(seen)


@penalties.check
def nested(arrays: Arrays) -> bool:
    """At every |u| other than 1 the curves rise strictly with gamma, from 1 + ln|u| to |u|."""
    u, penalty = arrays["u"], arrays["penalty"]
    off = (np.abs(np.abs(u) - 1) > ROUNDED) & (np.abs(u) > ROUNDED)
    rises = (np.diff(penalty[:, off], axis=0) > 0).all() and (np.diff(arrays["gamma"]) > 0).all()
    lowest, highest = np.abs(penalty[0, off] - 1 - np.log(np.abs(u[off]))), np.abs(penalty[-1] - np.abs(u))
    return bool(rises and lowest.max() < 1e-10 and highest.max() < 1e-10)


@penalties.check
def cusp_at_zero(arrays: Arrays) -> bool:
    """At u = 0 the curve for gamma = 0 is -inf; the others are finite, with a cusp of slope (gamma + 1) / gamma."""
    u, penalty, gamma = arrays["u"], arrays["penalty"], arrays["gamma"]
    middle = len(u) // 2
    if abs(u[middle]) > ROUNDED or not np.isneginf(penalty[0, middle]):
        return False
    step, inner = u[middle + 1], gamma[1:]
    drop = (penalty[1:, [middle + 1, middle - 1]] - penalty[1:, [middle]]) / step
    slope = 1 + 1 / inner
    # a secant of a concave curve lies between the slopes of its ends, slope / (1 + step / gamma) and slope
    low = (slope / (1 + step / inner))[:, None] - 1e-9
    return bool(((drop <= slope[:, None] + 1e-9) & (drop >= low)).all())


@penalties.check
def concave_on_either_side(arrays: Arrays) -> bool:
    """On u > 0 every curve rises and is concave, strictly but for |u| itself."""
    curves = arrays["penalty"][:, arrays["u"] > 0]
    bend = np.diff(curves, n=2, axis=1)
    return bool((np.diff(curves, axis=1) > 0).all() and (bend[:-1] < 0).all() and np.abs(bend[-1]).max() < 1e-10)


@penalties.check
def tends_to_l1(arrays: Arrays) -> bool:
    """At gamma = 10000 the normalised curve is within 0.002 of |u|, and not above it by more than rounding."""
    short = np.abs(arrays["u"]) - arrays["near_l1"]
    return bool((short >= -1e-10).all() and short.max() < 2e-3)


@penalties.check
def printed_limit_diverges(arrays: Arrays) -> bool:
    """Gamma ln(gamma + |u|) exceeds every bound; minus gamma ln gamma it is below |u| by at most u^2 / (2 gamma)."""
    u, gamma = float(arrays["at"]), arrays["large_gamma"]
    printed, short = arrays["l1_as_printed"], u - arrays["l1_less_constant"]
    diverges = (np.diff(printed[gamma > 1]) > 0).all() and printed[-1] > 1e9
    tends = ((short >= -1e-12) & (short <= u**2 / (2 * gamma) + 1e-12)).all() and abs(short[-1]) < 1e-7
    return bool(diverges and tends)


@penalties.check
def logarithm_is_not_the_indicator(arrays: Arrays) -> bool:
    """As p tends to 0, u^p tends to 1 at every u > 0, and (u^p - 1) / p to ln u, which is not the same at every u."""
    u, p = arrays["positive"], arrays["p"][:, None]
    log = np.log(u)
    # |e^s - 1| <= |s| e^|s| and |(e^s - 1) / s - 1| <= |s| e^|s| / 2 with s = p ln u
    most = p * np.abs(log) * np.exp(p * np.abs(log)) + 1e-12
    tends_to_one = np.abs(arrays["power"] - 1) <= most
    tends_to_log = np.abs(arrays["power_less_one"] - log) <= most * np.abs(log) + 1e-12
    last = arrays["power_less_one"][-1]
    spread = np.ptp(last) > 1 and np.ptp(arrays["power"][-1]) < 0.01
    return bool(tends_to_one.all() and tends_to_log.all() and spread and p.min() <= 1e-3)


@penalties.draw
def _draw_penalties(arrays: Arrays) -> Drawing:
    drawing, (left, middle, right) = plt.subplots(
        1, 3, figsize=(PAGE_WIDTH, 2.5), gridspec_kw={"width_ratios": (1.9, 1, 1)}
    )
    u, gammas = arrays["u"], arrays["gamma"]
    for row, (gamma, curve) in enumerate(zip(gammas, arrays["penalty"], strict=True)):
        inner = 0 < row < len(gammas) - 1
        color = "#555555" if inner else REFERENCE
        left.plot(u, curve, color=color, linewidth=0.9 if inner else 1.6)
        if inner:
            label_line(left, u[-1], curve[-1], rf" $\gamma={gamma:g}$", color, va="center")
    left.plot([-1, 1], [1, 1], "o", color=REFERENCE, markersize=3, zorder=5)
    label_line(left, 4.25, 4.6, r"$\gamma\to\infty$: $|u|$", REFERENCE, ha="right")
    label_line(left, 0.75, -0.5, r"$\gamma\to 0$: $1+\ln|u|$", REFERENCE)
    left.set(xlim=(u[0], u[-1]), ylim=(-2, u[-1]), xlabel="$u$", ylabel="normalised penalty")

    at, gamma = float(arrays["at"]), arrays["large_gamma"]
    middle.axhline(at, color=REFERENCE, linewidth=0.7, linestyle=":")
    middle.loglog(gamma, arrays["l1_as_printed"].clip(1e-3), color=PRINTED_COLOR)
    middle.loglog(gamma, arrays["l1_less_constant"], color=EXACT_COLOR)
    label_line(middle, 0.2, 3e6, "as printed:", PRINTED_COLOR)
    label_line(middle, 0.2, 4e5, r"$\gamma\,\ln(\gamma+u)$", PRINTED_COLOR)
    label_line(middle, 12, 0.28, r"$\gamma\,\ln(1+u/\gamma)$", EXACT_COLOR)
    label_line(middle, 3e5, 3.2, "$u$", REFERENCE)
    middle.set(xlabel=r"$\gamma$", ylabel=rf"value at $u={at:g}$", xlim=(gamma[0], gamma[-1]), ylim=(0.05, 1e9))
    middle.set(xticks=(1e0, 1e4, 1e8), yticks=(1e0, 1e4, 1e8))

    positive = arrays["positive"]
    right.axhline(0, color="#BBBBBB", linewidth=0.6)
    for power, less_one, alpha in zip(arrays["power"], arrays["power_less_one"], (0.25, 0.5, 1.0, 1.0), strict=False):
        right.plot(positive, power, color=PRINTED_COLOR, alpha=alpha, linewidth=1.1)
        right.plot(positive, less_one, color=EXACT_COLOR, alpha=alpha, linewidth=1.1)
    label_line(right, 2.6, 0.62, "$u^p$, limit 1", PRINTED_COLOR)
    label_line(right, 1.2, -0.6, r"$(u^p-1)/p$,", EXACT_COLOR)
    label_line(right, 1.2, -0.95, r"limit $\ln u$", EXACT_COLOR)
    right.set(xlim=(0, positive[-1]), ylim=(-2, 2.6), xlabel="$u$", ylabel="value")
    titles = ("one tangent", r"$\gamma\to\infty$", r"$p\to 0$")
    for axes, letter, title in zip((left, middle, right), "abc", titles, strict=True):
        axes.set_title(title)
        label_panel(axes, letter)
    return drawing
