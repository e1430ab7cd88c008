"""Proposition 4.1 of wipf2024: the DPO loss is the lower envelope of Gaussian losses, one for each variance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize_scalar

from figures.accuracy import Accuracy
from figures.plots import label_ends
from figures.registry import Arrays, figure
from figures.style import DPO_COLOR, OTHERS, PAGE_WIDTH, PRINTED_COLOR, REFERENCE, label_line, label_panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

CONSTANT = 1 + np.log(np.pi)
"""What the Gaussian loss of the best variance exceeds the DPO loss by, for a reference ratio of 1."""


def gaussian_loss(margin: np.ndarray, variance: np.ndarray | float) -> np.ndarray:
    r"""Return -ln N([xi_theta; xi_ref] | 0, variance I) of Eq. (11) in nats, with mu(u) = u^(lambda / 2).

    With a reference ratio of 1, xi_ref^2 = 1 and xi_theta^2 = exp(-margin), where the margin is DPO's,
    lambda ln(pi_w / pi_l).

    Args:
        margin: any shape.
        variance: gamma > 0, broadcastable.

    Example:
        >>> bool(gaussian_loss(np.array(0.0), 1.0) == 1 + np.log(2 * np.pi))  # the best variance at margin 0 is 1
        True
    """
    return np.asarray(np.log(2 * np.pi * variance) + (1 + np.exp(-margin)) / (2 * variance))


def dpo_loss(margin: np.ndarray) -> np.ndarray:
    """Return -ln sigma(margin) in nats."""
    return np.logaddexp(0, -margin)


def best_variance(margin: np.ndarray) -> np.ndarray:
    """Return the variance at which ``gaussian_loss`` is least, (1 + exp(-margin)) / 2 (Eq. 24)."""
    return np.asarray((1 + np.exp(-margin)) / 2)


def _least_loss(margin: float) -> float:
    """Return the least Gaussian loss at a margin, searched for without the formula of its place."""
    found = minimize_scalar(lambda log: float(gaussian_loss(np.array(margin), np.exp(log))), tol=1e-10)
    return float(found.fun)


@figure(
    "new-gaussian-envelope",
    "DPO is the lower envelope of Gaussian losses if every pair has a variance of its own, and only then",
    source="not in the papers; Wipf 2024, Proposition 4.1",
    caption="(a) Loss of one pair under a zero-mean Gaussian, Eq. (11), against the DPO margin, for fixed variances "
    "(grey); it is least where its dot is on the envelope. Minimised over the variance it is the DPO loss plus the "
    "constant 1 + ln(pi), for a reference ratio of 1. (b) Two pairs and one parameter, with margins 2 theta and "
    "-2 - theta. With a variance for each pair the Gaussian loss is least where DPO is; with one variance for both, "
    "which the proposition does not allow, it is least elsewhere.",
    differs="The paper has no figure of it. Panel (b) shows what its assumption is needed for.",
    claims=("wipf2024.proposition-4.1", "wipf2024.one-variance", "wipf2024.eq-12"),
    accuracy={
        "searched": Accuracy("a minimum found by minimize_scalar, flat at its place", absolute=1e-12),
        "least": Accuracy("the place of a minimum on a grid", 1e-14, 1e-14),
    },
)
def envelope(
    variances: tuple[float, ...] = (0.6, 1.0, 2.0, 5.0), end: float = 4.0, points: int = 161, pairs: int = 1601
) -> Arrays:
    """Evaluate the Gaussian losses of one pair by margin, and of two pairs by their parameter.

    Args:
        variances: that are drawn, > 1/2, which is the least that is best anywhere.
        end: margins go from -end to end.
        points: margins of one pair.
        pairs: values of theta, from -3 to 4, for two pairs.
    """
    margin, theta = np.linspace(-end, end, points), np.linspace(-3.0, 4.0, pairs)
    searched = [_least_loss(m) for m in margin]
    margins = np.stack([2 * theta, -2 - theta])
    shared = best_variance(margins).mean(0)
    both = {
        "dpo": dpo_loss(margins).mean(0),
        "own": gaussian_loss(margins, best_variance(margins)).mean(0),
        "shared": gaussian_loss(margins, shared).mean(0),
    }
    return {
        "margin": margin,
        "variance": np.array(variances),
        "fixed": gaussian_loss(margin, np.array(variances)[:, None]),
        "searched": np.array(searched),
        "dpo_of_one": dpo_loss(margin),
        "touches": -np.log(2 * np.array(variances) - 1),
        "theta": theta,
        **both,
        "least": np.array([theta[curve.argmin()] for curve in both.values()]),
    }


@envelope.check
def envelope_is_dpo(arrays: Arrays) -> bool:
    """At every margin the least Gaussian loss, searched for numerically, is the DPO loss plus 1 + ln(pi), to 1e-9."""
    return bool(np.abs(arrays["searched"] - arrays["dpo_of_one"] - CONSTANT).max() < 1e-9)


@envelope.check
def no_variance_goes_below(arrays: Arrays) -> bool:
    """No fixed variance gets below DPO plus the constant, and each comes nearest to it at its own margin."""
    above = arrays["fixed"] - arrays["dpo_of_one"] - CONSTANT
    nearest = arrays["margin"][above.argmin(1)]
    step = arrays["margin"][1] - arrays["margin"][0]
    return bool(
        (above > -1e-9).all() and (np.abs(nearest - arrays["touches"]) <= step).all() and (above.max(1) > 1).all()
    )


@envelope.check
def a_variance_for_each_pair_changes_nothing(arrays: Arrays) -> bool:
    """For two pairs, too, the loss with a variance for each is DPO's plus the constant at every parameter."""
    return bool(
        np.abs(arrays["own"] - arrays["dpo"] - CONSTANT).max() < 1e-9
        and abs(arrays["least"][1] - arrays["least"][0]) < 1e-9
    )


@envelope.check
def one_variance_for_both_does(arrays: Arrays) -> bool:
    """With one variance for both pairs the loss is higher wherever their margins differ, and least 0.4 away or more."""
    excess = arrays["shared"] - arrays["own"]
    apart = np.abs(3 * arrays["theta"] + 2) > 0.1
    away = abs(arrays["least"][2] - arrays["least"][0])
    return bool((excess[apart] > 1e-6).all() and excess.min() > -1e-12 and away > 0.4)


@envelope.draw
def _draw(arrays: Arrays) -> Drawing:
    drawing, (left, right) = plt.subplots(1, 2, figsize=(PAGE_WIDTH, 2.6))
    margin = arrays["margin"]
    for loss, touch in zip(arrays["fixed"], arrays["touches"], strict=True):
        left.plot(margin, loss, color=OTHERS, linewidth=0.9)
        left.plot(touch, dpo_loss(np.array(touch)) + CONSTANT, "o", color=OTHERS, markersize=3)
    left.plot(margin, arrays["searched"], color=DPO_COLOR, linewidth=2)
    label_line(left, -3.8, 3.1, "envelope:\nDPO $+\\,1+\\ln\\pi$", DPO_COLOR, va="center")
    left.set(xlabel=r"margin  $\lambda\,\ln(\pi_w/\pi_l)$", ylabel="loss of one pair (nats)", title="one pair")
    left.set(xlim=(margin[0], margin[-1]), ylim=(1.7, 7.2))
    ends = [rf"$\gamma={variance:g}$" for variance in arrays["variance"]]
    label_ends(left, arrays["fixed"][:, -1].tolist(), ends, [OTHERS] * len(ends))
    theta = arrays["theta"]
    names = (("dpo", DPO_COLOR, "-", 2.6), ("own", REFERENCE, "-", 0.8), ("shared", PRINTED_COLOR, "-", 1.4))
    for (name, color, line, width), least in zip(names, arrays["least"], strict=True):
        curve = arrays[name] - arrays[name].min()
        right.plot(theta, curve, color=color, linestyle=line, linewidth=width)
        right.plot(least, 0, "o", color=color, markersize=4, clip_on=False, zorder=4)
    right.set(xlabel=r"parameter $\theta$", ylabel="loss $-$ least (nats)", title="two pairs")
    right.set(xlim=(-2.2, 2.4), ylim=(0, 1.2))
    label_line(right, -0.95, 1.05, "one variance\nfor both pairs", PRINTED_COLOR, va="center")
    label_line(right, 2.35, 0.14, "a variance each (black)", REFERENCE, ha="right")
    label_line(right, 2.35, 0.04, "and DPO (wide)", DPO_COLOR, ha="right")
    label_panel(left, "a")
    label_panel(right, "b")
    return drawing
