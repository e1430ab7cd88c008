"""Two figures that are in no paper: DPOP while the chosen response vanishes; the border of displacement at two."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import torch

from dynamics import losses
from figures.accuracy import ROUNDED
from figures.registry import Arrays, figure
from figures.style import (
    CHOSEN,
    DPO_COLOR,
    EXACT_COLOR,
    FALLS,
    OTHERS,
    PAGE_WIDTH,
    REJECTED,
    label_line,
    label_panel,
    tint,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

DPOP = losses.DPOP


def loss_along(margin: np.ndarray, penalty: float, beta: float) -> np.ndarray:
    """Return DPOP's loss (nats) where the log-ratios are -M of the chosen and -(2 + lambda) M of the rejected response.

    Args:
        margin: M, any shape.
        penalty: lambda.
        beta: > 0.

    Example:
        >>> loss_along(np.array([0.0, 10.0]), 50.0, 1.0).round(4)
        array([0.6931, 0.    ])
    """
    m = torch.as_tensor(margin, dtype=torch.float64)
    return DPOP(beta=beta, penalty=penalty)(-m, -(2 + penalty) * m).numpy()


@figure(
    "new-dpop-vanishes",
    "DPOP's loss goes to 0 while the chosen response vanishes, whatever its penalty",
    source="not in the papers; after Pal et al. 2024, Equation 3",
    caption="(a) Along a path on which the chosen response becomes e^M times less probable than under the reference "
    "(blue) and the rejected one e^((2 + lambda) M) times (red, for lambda = 1), DPOP's loss falls to 0 (black): it is "
    "the same curve for lambda = 1, 5 and 50. (b) Which steps lower a chosen response below its reference: to the "
    "right of each line. A larger lambda asks for a longer rejected score, (1 + lambda) |g_w| < |g_l| times the "
    "cosine, but for every lambda there are such scores.",
    claims=("pal2024.dpop-loss-vanishes", "pal2024.dpop-protects", "pal2024.dpop-protects-if"),
)
def dpop_vanishes(
    penalties: tuple[float, ...] = (1.0, 5.0, 50.0),
    beta: float = 1.0,
    largest: float = 6.0,
    longest: float = 100.0,
    points: int = 121,
) -> Arrays:
    """Evaluate the loss along the path, and the cosines from which on a step lowers the chosen response.

    Args:
        penalties: lambda, rising.
        beta: > 0.
        largest: M at the end of the path.
        longest: largest |g_l| / |g_w|.
        points: of either axis.
    """
    margin, length = np.linspace(0.0, largest, points), np.geomspace(1.0, longest, points)
    return {
        "penalty": np.array(penalties),
        "margin": margin,
        "loss": np.stack([loss_along(margin, penalty, beta) for penalty in penalties]),
        "chosen": np.exp(-margin),
        "rejected": np.exp(-(2 + penalties[0]) * margin),
        "length": length,
        "cosine": np.stack([(1 + penalty) / length for penalty in penalties]),
    }


@dpop_vanishes.check
def loss_falls_to_zero(arrays: Arrays) -> bool:
    """For every lambda the loss falls along the whole path and ends below 1 percent of where it began."""
    falls = (np.diff(arrays["loss"], axis=1) < 0).all()
    return bool(falls and (arrays["loss"][:, -1] < 0.01 * arrays["loss"][:, 0]).all())


@dpop_vanishes.check
def loss_is_one_curve(arrays: Arrays) -> bool:
    """The loss along the path is the same for every lambda."""
    return bool(np.ptp(arrays["loss"], axis=0).max() < 1e-10 and np.ptp(arrays["penalty"]) > 1)


@dpop_vanishes.check
def chosen_vanishes(arrays: Arrays) -> bool:
    """Both responses fall along the whole path, the rejected one faster, and the chosen one ends below 1 percent."""
    both = (np.diff(arrays["chosen"]) < 0).all() and (arrays["rejected"][1:] < arrays["chosen"][1:]).all()
    return bool(both and arrays["chosen"][-1] < 0.01)


@dpop_vanishes.check
def larger_penalties_ask_for_longer_scores(arrays: Arrays) -> bool:
    """The border moves right with lambda: parallel scores of a length beyond 1 + lambda lower the chosen response."""
    reach = [np.interp(-1.0, -row, arrays["length"]) for row in arrays["cosine"]]
    return bool((np.diff(reach) > 0).all() and np.abs(np.array(reach) / (1 + arrays["penalty"]) - 1).max() < 0.01)


@dpop_vanishes.draw
def _draw_dpop(arrays: Arrays) -> Drawing:
    drawing, (left, right) = plt.subplots(1, 2, figsize=(PAGE_WIDTH, 2.4))
    margin = arrays["margin"]
    left.plot(margin, arrays["loss"][-1], color="black")
    left.plot(margin, arrays["chosen"], color=CHOSEN)
    left.plot(margin, arrays["rejected"], color=REJECTED)
    left.set(
        xlim=(0, margin[-1]),
        ylim=(0, 1.02),
        xlabel=r"$M$: decrease of $\log\pi(y_w)$ (nats)",
        ylabel="loss (nats), ratio to reference",
    )
    left.set_title("loss and probabilities along a path")
    label_line(left, 1.3, 0.3, r"chosen, $\pi_w/\pi_{\mathrm{ref}}$", CHOSEN)
    label_line(left, 0.03, 0.04, "rejected", REJECTED)
    label_line(left, 0.62, 0.24, "loss", "black")
    for dash, penalty, row in zip((":", "--", "-"), arrays["penalty"], arrays["cosine"], strict=False):
        inside = row <= 1.0
        right.plot(arrays["length"][inside], row[inside], color=DPO_COLOR, linestyle=dash)
        label_line(right, 1.25 * (1 + float(penalty)), 0.86, rf"$\lambda={penalty:g}$", DPO_COLOR)
    right.set(xscale="log", xlim=(1, arrays["length"][-1]), ylim=(0, 1), xlabel=r"$|g_l|/|g_w|$", ylabel="cosine")
    right.set_title("the chosen response falls right of a line")
    label_panel(left, "a")
    label_panel(right, "b")
    return drawing


# --- the border at two -----------------------------------------------------------------------------------------------


def border(share: np.ndarray) -> np.ndarray:
    """Return the ratio of the forces on rejected and chosen from which on (t, t, 1 - 2t) displaces; inf if none does.

    Args:
        share: t, the probability of the chosen and of the rejected response, between 0 and 1/2.

    Example:
        >>> border(np.array([1 / 11, 0.4])).round(3)
        array([2.984,   inf])
    """
    t = np.asarray(share)
    squares = 2 * t**2 + (1 - 2 * t) ** 2
    product = squares - 2 * t
    with np.errstate(divide="ignore"):
        return np.where(product > 0, (1 - 2 * t + squares) / np.where(product > 0, product, 1.0), np.inf)


@figure(
    "new-force-border",
    "A tabular softmax displaces only if the force on the rejected response is over twice that on the chosen",
    source="not in the papers; the forces of f-DPO after Pipano et al. 2026",
    caption="(a) Three responses with probabilities t, t and 1 - 2t, the first chosen and the second rejected: the "
    "ratio of the force on the rejected response to that on the chosen one from which on a step lowers the chosen "
    "response (shaded). It tends to 2 as t goes to 0, and no tabular policy is displaced at 2 or less; DPO has 1. (b) "
    "The force of five f-DPO losses against the ratio t of policy and reference. Training lowers the ratio of the "
    "rejected response; then forward KL and SquaredPO push it harder than they pull the chosen one.",
    claims=("pipano2026.ratio-two-is-safe", "pipano2026.ratio-two-is-sharp", "pipano2026.forces"),
)
def force_border(least: float = 0.002, largest: float = 0.18, points: int = 121, span: float = 8.0) -> Arrays:
    """Evaluate the border over t, and the forces over the ratio of policy and reference.

    Args:
        least: smallest t.
        largest: largest t.
        points: of either axis.
        span: the ratios go from 1 / span to span.
    """
    share, ratio = np.linspace(least, largest, points), np.geomspace(1 / span, span, points)
    forces = [np.ones(points), 1 / ratio, 1 / (1 + ratio), 1 + ratio, (1 - np.log(ratio)) / ratio]
    return {
        "share": share,
        "border": border(share),
        "eleventh": border(np.array([1 / 11])),
        "ratio": ratio,
        "force": np.stack(forces),
    }


@force_border.check
def border_is_above_two(arrays: Arrays) -> bool:
    """The border lies above 2 everywhere, rises with t and comes within 1 percent of 2 at the smallest t."""
    edge = arrays["border"]
    return bool((edge > 2).all() and (np.diff(edge) > 0).all() and edge[0] < 2.02)


@force_border.check
def three_displaces_one_eleventh(arrays: Arrays) -> bool:
    """At t = 1/11 a ratio of 3 displaces, 2.9 does not."""
    return bool(2.9 < arrays["eleventh"][0] < 3)


@force_border.check
def dpo_has_equal_forces(arrays: Arrays) -> bool:
    """DPO has force 1 at every ratio; at 1 forward KL and SquaredPO have 1, Jensen-Shannon 1/2 and chi-PO 2."""
    middle = len(arrays["ratio"]) // 2
    at_one = arrays["force"][:, middle]
    return bool(
        np.abs(arrays["force"][0] - 1).max() < ROUNDED
        and abs(arrays["ratio"][middle] - 1) < ROUNDED
        and np.abs(at_one - [1, 1, 0.5, 2, 1]).max() < 1e-9
    )


@force_border.check
def squaredpo_turns_at_e(arrays: Arrays) -> bool:
    """The force of SquaredPO is positive below the ratio e and negative above it."""
    squared, ratio = arrays["force"][4], arrays["ratio"]
    return bool(((squared > 0) == (ratio < math.e)).all() and (ratio > math.e).any())


@force_border.draw
def _draw_border(arrays: Arrays) -> Drawing:
    drawing, (left, right) = plt.subplots(1, 2, figsize=(PAGE_WIDTH, 2.5))
    top = 8.0
    left.fill_between(arrays["share"], np.minimum(arrays["border"], top), top, color=tint(FALLS, 0.25), linewidth=0)
    left.plot(arrays["share"], arrays["border"], color=FALLS)
    left.axhline(2, color=EXACT_COLOR, linewidth=0.8, linestyle=":")
    left.axhline(1, color=DPO_COLOR, linewidth=0.8)
    left.set(xlim=(0, arrays["share"][-1]), ylim=(0, top), xlabel="$t$", ylabel="force on rejected / on chosen")
    left.set_title("probabilities $t$, $t$ and $1-2t$")
    label_line(left, 0.01, 6.6, "displaced", FALLS)
    label_line(left, 0.1, 2.15, "no displacement below 2", EXACT_COLOR)
    label_line(left, 0.1, 0.4, "DPO", DPO_COLOR)
    names = ("DPO", "forward KL", "Jensen-Shannon", r"$\chi$PO", "SquaredPO")
    styles = ((DPO_COLOR, "-"), ("black", "--"), (OTHERS, "-."), ("black", "-"), ("black", ":"))
    places = ((5.2, 1.2), (0.2, 5.2), (0.135, 0.2), (4.0, 4.1), (0.33, 7.4))
    for name, (color, dash), force, place in zip(names, styles, arrays["force"], places, strict=True):
        right.plot(arrays["ratio"], force, color=color, linestyle=dash)
        label_line(right, *place, name, color)
    right.axhline(0, color="#BBBBBB", linewidth=0.6)
    right.set(xscale="log", xlim=(arrays["ratio"][0], arrays["ratio"][-1]), ylim=(-1, 8.5))
    right.set_xticks([0.125, 0.25, 0.5, 1, 2, 4, 8], ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    right.set_xticks([], minor=True)
    right.set(xlabel=r"$\pi/\pi_{\mathrm{ref}}$", ylabel="force")
    right.set_title("forces of f-DPO")
    label_panel(left, "a")
    label_panel(right, "b")
    return drawing
