"""sun2025 Figure 7: the weight of a pair in the gradient, and where the margins of trained pairs lie below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from scipy.integrate import cumulative_simpson
from scipy.optimize import minimize_scalar

from figures.accuracy import ROUNDED, SEARCHED
from figures.registry import Arrays, figure
from figures.reward_runs import BY_ADAMW, GAMMA_LINES, GAMMAS, saturated
from figures.style import DPO_COLOR, PAGE_WIDTH, REFERENCE, SELF_PO_COLOR, label_line, label_panel
from figures.sun2025 import MARGIN_LABEL, loss_at, symmetric_axis, weight_at
from theory.sun2025.floor import FLOOR_MARGIN, STEEPEST_MARGIN, STRONGEST_PULL, STRONGEST_PUSH, push_ratio
from toy_models.overoptimization import SATURATED, end_margins

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


@figure(
    "sun2025-7",
    "The weight of a pair in the gradient: Self PO's changes sign at a finite margin, the logistic one never",
    source="Sun et al. 2025, Figure 7",
    caption="(a) Solid: the derivative with respect to the margin, which weighs a pair in the gradient; pale: the "
    "loss itself. Logistic (DPO) stays between -1 and 0. Self PO crosses 0 at m = 1 + W = 1.2785 and pulls larger "
    "margins back, at most by 0.0998 (m = 2.399). (b) The ratio of the two weights is exactly 1 - SiLU(m): Self PO "
    "pushes wrongly ranked pairs harder, by a factor of up to 1.2785; its weight changes sign at m = 1 + W. "
    "(c, d) Where that matters: margins of training pairs of a tiny language model after training, 16 worlds; solid "
    "$\\gamma=0.8$, dashed $\\gamma=2$, and the share of Self PO's pairs beyond the floor. After one epoch of fresh "
    "pairs it pulls back one pair in five or six; the median is near 0 or below, as labels are noisy. "
    "After 400 epochs of the same 64 pairs the median lies at the floor and two fifths beyond it, some far beyond: "
    "pairs share parameters, and the pull is weak. How the margins lie depends on the number of epochs much more "
    "than on gamma.",
    differs="The paper writes the two losses with arguments of opposite sign and names no axis; both stand on the "
    "margin m here. Panels (b) to (d) are added.",
    claims=("sun2025.eq-42", "sun2025.eq-49", "sun2025.figure-7", "sun2025.shared-parameters"),
    accuracy={"extremes": SEARCHED, "*_margins": BY_ADAMW},
)
def weights(
    end: float = 6.0,
    points: int = 601,
    seeds: int = 16,
    gammas: Sequence[float] = GAMMAS,
    rate: float = 0.1,
    saturated_rate: float = SATURATED["learning_rate"],
    beta: float = 2.5,
    pairs: int = 3200,
    minibatch: int = 16,
    saturated_pairs: int = 64,
    saturated_epochs: int = 400,
) -> Arrays:
    """Evaluate losses and weights on one margin axis, Self PO's extremes, and the margins of pairs after training."""
    margin = symmetric_axis(end, points)
    losses = ("simpo", "silu")

    def trained(settings: dict) -> np.ndarray:
        """Return margins after training, (losses, gammas, seeds, pairs)."""
        rows = [(loss, gamma, seed) for loss in losses for gamma in gammas for seed in range(seeds)]
        columns = (np.array(column) for column in zip(*rows, strict=True))
        batch = dict(zip(("loss", "gamma", "seed"), columns, strict=True))
        found = end_margins(settings | batch | {"beta": beta, "records": 2})
        return found.reshape(len(losses), len(gammas), seeds, -1)

    def extreme(sign: float) -> list[float]:
        def height(m: float) -> float:
            return sign * float(weight_at("silu", np.array([m]))[0])

        found = minimize_scalar(height, bounds=(-end, end), options={"xatol": 1e-9})
        return [found.x, sign * found.fun]

    return {
        "margin": margin,
        "logistic": loss_at("softplus", margin),
        "self_po": loss_at("silu", margin),
        "logistic_weight": weight_at("softplus", margin),
        "self_po_weight": weight_at("silu", margin),
        "extremes": np.array([extreme(1.0), extreme(-1.0)]),
        "gammas": np.array(gammas),
        "epoch_margins": trained({"learning_rate": rate, "pairs": pairs, "minibatch": minibatch}),
        "saturated_margins": trained(saturated(saturated_pairs, saturated_epochs) | {"learning_rate": saturated_rate}),
    }


def _beyond(margins: np.ndarray) -> np.ndarray:
    """Return the share of margins beyond the floor, for each loss and gamma."""
    return (margins > FLOOR_MARGIN).mean((-1, -2))


@weights.check
def weights_are_the_derivatives(arrays: Arrays) -> bool:
    """Each weight integrates to the change of its loss along the axis."""
    seen = []
    for name in ("logistic", "self_po"):
        change = cumulative_simpson(arrays[f"{name}_weight"], x=arrays["margin"], initial=0)
        seen.append(np.abs(change - (arrays[name] - arrays[name][0])).max() < 1e-8)
    return all(seen)


@weights.check
def logistic_never_turns(arrays: Arrays) -> bool:
    """The logistic weight lies strictly between -1 and 0 and rises everywhere."""
    weight = arrays["logistic_weight"]
    return bool(((weight > -1) & (weight < 0)).all() and (np.diff(weight) > 0).all())


@weights.check
def self_po_turns_at_the_floor(arrays: Arrays) -> bool:
    """Self PO's weight is negative below the margin 1 + W(1/e) and positive above it."""
    margin, weight = arrays["margin"], arrays["self_po_weight"]
    below, above = weight[margin < FLOOR_MARGIN], weight[margin > FLOOR_MARGIN]
    return bool((below < 0).all() and (above > 0).all() and len(below) and len(above))


@weights.check
def equal_at_zero(arrays: Arrays) -> bool:
    """At m = 0 both weights are -1/2."""
    at_zero = np.abs(arrays["margin"]) < ROUNDED
    both = np.concatenate([arrays["logistic_weight"][at_zero], arrays["self_po_weight"][at_zero]])
    return bool(len(both) == 2 and (np.abs(both + 0.5) < ROUNDED).all())


@weights.check
def ratio_is_one_less_silu(arrays: Arrays) -> bool:
    """Self PO's weight is the logistic one times 1 - SiLU(m), so it is the larger push exactly where m < 0."""
    margin, silu, logistic = arrays["margin"], arrays["self_po_weight"], arrays["logistic_weight"]
    harder = np.abs(silu) > np.abs(logistic)
    ratio_holds = np.abs(silu - push_ratio(margin) * logistic).max() < ROUNDED
    near = np.abs(margin) < FLOOR_MARGIN
    return bool(ratio_holds and harder[margin < -ROUNDED].all() and not harder[near & (margin > ROUNDED)].any())


@weights.check
def extremes_as_in_closed_form(arrays: Arrays) -> bool:
    """Self PO pushes by at most 1.0998 at m = -2.399 and pulls back by at most 0.0998 at m = 2.399."""
    expected = [[STEEPEST_MARGIN, -STRONGEST_PUSH], [-STEEPEST_MARGIN, STRONGEST_PULL]]
    off = np.abs(arrays["extremes"] - expected)
    return bool(off[:, 0].max() < 1e-6 and off[:, 1].max() < 1e-12)


@weights.check
def few_fresh_pairs_are_beyond_the_floor(arrays: Arrays) -> bool:
    """One epoch: Self PO has 10 to 30 percent of the pairs beyond the floor, and the median below half of the floor."""
    margins = arrays["epoch_margins"][1]
    share, median = _beyond(margins), np.median(margins, axis=-1).mean(-1)
    return bool(((share > 0.1) & (share < 0.3)).all() and (median < 0.5 * FLOOR_MARGIN).all())


@weights.check
def repeated_pairs_settle_but_not_all(arrays: Arrays) -> bool:
    """400 epochs: Self PO's median margin is within 0.2 of the floor, its largest beyond 1.5 floors in every world."""
    margins = arrays["saturated_margins"][1]
    near = np.abs(np.median(margins, axis=-1).mean(-1) - FLOOR_MARGIN) < 0.2
    return bool(near.all() and (margins.max(-1) > 1.5 * FLOOR_MARGIN).all())


@weights.check
def simpo_does_not_settle(arrays: Arrays) -> bool:
    """400 epochs: SimPO's median margin is beyond twice the floor; over 3 times as many of Self PO's are near it."""
    simpo, silu = arrays["saturated_margins"]
    near = [(np.abs(margins - FLOOR_MARGIN) < 0.25).mean((-1, -2)) for margins in (simpo, silu)]
    return bool((np.median(simpo, axis=-1).mean(-1) > 2 * FLOOR_MARGIN).all() and (near[1] > 3 * near[0]).all())


@weights.draw
def _draw_weights(arrays: Arrays) -> Drawing:
    drawing = plt.figure(figsize=(PAGE_WIDTH, 4.5))
    panels = drawing.subplot_mosaic("aaaaabbb;ccccdddd", height_ratios=(1.25, 1))
    left, right = panels["a"], panels["b"]
    margin = arrays["margin"]
    for axes in (left, right):
        axes.axvspan(FLOOR_MARGIN, margin[-1], color="#EEEEEE", linewidth=0)
        axes.axhline(0, color="#AAAAAA", linewidth=0.6)
        axes.set(xlim=(margin[0], margin[-1]), xlabel=MARGIN_LABEL)
    for name, color in (("logistic", DPO_COLOR), ("self_po", SELF_PO_COLOR)):
        left.plot(margin, arrays[name], color=color, alpha=0.3, linewidth=2)
        left.plot(margin, arrays[f"{name}_weight"], color=color)
    (push_at, push), (pull_at, pull) = arrays["extremes"]
    left.plot([push_at, pull_at], [push, pull], "o", color=SELF_PO_COLOR, markersize=3)
    left.plot(0, -0.5, "o", color=REFERENCE, markersize=3)
    left.set(ylim=(-1.5, 2.6), ylabel="loss (nats), weight $dL/dm$")
    label_line(left, -1.8, 2.15, "logistic loss", DPO_COLOR, alpha=0.6)
    label_line(left, -4.2, 1.55, "Self PO loss", SELF_PO_COLOR, alpha=0.6)
    label_line(left, -5.8, -0.82, "logistic weight (DPO)", DPO_COLOR)
    label_line(left, -5.8, -1.35, f"Self PO weight: at most {-push:.4f} up, {pull:.4f} back", SELF_PO_COLOR)
    label_line(left, 0.25, -0.62, "equal at $m=0$", REFERENCE)
    label_line(left, 1.4, 2.3, "$m > 1+W = 1.2785$:", REFERENCE)
    label_line(left, 1.4, 2.02, "Self PO pulls back", REFERENCE)
    right.plot(margin, arrays["self_po_weight"] / arrays["logistic_weight"], color=SELF_PO_COLOR)
    right.plot(margin, np.ones_like(margin), color=DPO_COLOR)
    right.plot([-FLOOR_MARGIN, FLOOR_MARGIN], [FLOOR_MARGIN, 0], "o", color=SELF_PO_COLOR, markersize=3)
    right.set(ylim=(-3.2, 1.8), ylabel="ratio of weights")
    label_line(right, -5.8, 0.68, "logistic", DPO_COLOR)
    label_line(right, -5.8, 1.45, "Self PO: at most $1+W$", SELF_PO_COLOR)
    label_line(right, -2.2, -1.9, "$1-$SiLU$(m)$", SELF_PO_COLOR)
    left.set_title("weight of a pair and, pale, its loss")
    right.set_title("over the logistic weight")
    bins = np.linspace(margin[0], margin[-1], 41)
    for letter, name, says in (
        ("c", "epoch", "one epoch of fresh pairs"),
        ("d", "saturated", "400 epochs of 64 pairs"),
    ):
        axes = panels[letter]
        axes.axvspan(FLOOR_MARGIN, margin[-1], color="#EEEEEE", linewidth=0)
        margins = arrays[f"{name}_margins"]
        for row, color in ((0, DPO_COLOR), (1, SELF_PO_COLOR)):
            for gamma, line in enumerate(GAMMA_LINES):
                counts = np.histogram(margins[row, gamma], bins)[0] / margins[row, gamma].size
                axes.stairs(counts, bins, color=color, linestyle=line, linewidth=1.2)
        axes.set(title=says, xlabel=MARGIN_LABEL, ylabel="share of pairs", xlim=(margin[0], margin[-1]), ylim=(0, None))
        lines = ["Self PO beyond the floor:"]
        lines += [
            f"$\\gamma={gamma}$: {share:.0%}"
            for gamma, share in zip(arrays["gammas"], _beyond(margins)[1], strict=True)
        ]
        for i, line in enumerate(lines):
            label_line(axes, -5.8, (0.9 - 0.1 * i) * axes.get_ylim()[1], line, SELF_PO_COLOR)
    label_line(panels["d"], 3.2, 0.075, "SimPO", DPO_COLOR)
    for letter in "abcd":
        label_panel(panels[letter], letter)
    return drawing
