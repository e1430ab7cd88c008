"""Where Self PO's margin settles: rate, basin and step sizes of the attractor, and pairs that share a parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import NullLocator

from figures.accuracy import FLOW_MARGIN, Accuracy
from figures.registry import Arrays, figure
from figures.style import (
    DPO_COLOR,
    PAGE_WIDTH,
    REFERENCE,
    SELF_PO_COLOR,
    label_line,
    label_panel,
)
from theory.sun2025.floor import FLOOR_CURVATURE, FLOOR_MARGIN
from theory.sun2025.margins import LIMIT_OF_STEPS, shared_floor
from toy_models.overoptimization import descend_margins, flow_margins, shared_margins

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


@figure(
    "new-self-po-attractor",
    "Self PO's finite margin attracts the margin of a pair, at a known rate, below a known step size, if it is alone",
    source="Not in print; beside Sun et al. 2025, Figure 7",
    caption="Time and step size in units of learning rate times |grad m|^2. (a) Under gradient flow every start ends "
    "at 1 + W = 1.2785, from far beyond only after a time of order exp(m)/m; the logistic loss (dashed) never "
    "settles. (b) The distance shrinks at the rate W/(1 + W) = 0.2178. (c) Steps of gradient descent until the "
    "margin stays within 0.05 of the floor, by start and step size; grey: not within the run. Beyond 9.18 it never "
    "stays. (d) Where gradient descent ends up: a fixed point, then cycles, then chaos. (e) N pairs of margin theta "
    "and one of c theta: the margin of the last one converges to c (1 + W) (dots: flow; lines: stationary point).",
    claims=(
        "sun2025.settles",
        "sun2025.slow-return",
        "sun2025.step-size",
        "sun2025.shared-parameters",
        "sun2025.logistic-never-settles",
    ),
    accuracy={
        "margins": FLOW_MARGIN,
        "logistic": FLOW_MARGIN,
        "near": FLOW_MARGIN,
        "shared": FLOW_MARGIN,
        "ends": Accuracy("steps of descent; beyond the limit without order", 1e-14, 1e-15, repeatable=False),
    },
)
def attractor(end: float = 1000.0, steps: int = 1000, kept: int = 200) -> Arrays:
    """Integrate flows from many starts, descend with many step sizes, and couple pairs by a shared parameter."""
    time = np.concatenate([[0.0], np.geomspace(0.05, end, 120)])
    start = np.array([-8.0, -4.0, -1.0, 0.0, 2.0, 4.0, 6.0])
    near = np.linspace(0.0, 40.0, 41)
    margin, size = np.linspace(-14.0, 14.0, 57), np.linspace(0.5, 12.0, 47)
    apart = np.abs(descend_margins(margin.tolist(), size.tolist(), steps) - FLOOR_MARGIN) > 0.05
    last = steps - apart[::-1].argmax(0)  # the last record that is not near the floor, if any
    settled = np.where(apart.any(0), last + 1, 0).astype(float)
    settled[apart[-1]] = np.inf
    step_size = np.linspace(4.0, 18.0, 281)
    many = np.array([1, 10, 100])
    scale = np.geomspace(1.0, 16.0, 9)
    shared = shared_margins(np.repeat(many, len(scale)).tolist(), np.tile(scale, len(many)).tolist())
    finer = np.geomspace(1.0, 16.0, 61)
    return {
        "time": time,
        "start": start,
        "margins": flow_margins(start.tolist(), time),
        "logistic": flow_margins([0.0], time, "simpo")[:, 0],
        "near_time": near,
        "near": flow_margins([-2.0, 0.0, 2.2], near) - FLOOR_MARGIN,
        "margin": margin,
        "size": size,
        "settled": settled,
        "step_size": step_size,
        "ends": descend_margins([0.3], step_size.tolist(), steps)[-kept:, :, 0],
        "many": many,
        "scale": scale,
        "shared": shared.reshape(len(many), len(scale), 2),
        "finer": finer,
        "stationary": np.array([[c * shared_floor(float(n), float(c)) for c in finer] for n in many]),
    }


@attractor.check
def every_start_ends_at_the_floor(arrays: Arrays) -> bool:
    """Under gradient flow every start moves towards 1 + W all the time and ends there, both to 1e-6."""
    distance = np.abs(arrays["margins"] - FLOOR_MARGIN)
    return bool(distance[-1].max() < 1e-6 and (np.diff(distance, axis=0) < 1e-6).all() and distance[0].max() > 5)


@attractor.check
def far_beyond_is_slow(arrays: Arrays) -> bool:
    """From 6 the margin is above 5 at time 40, by when every start from -8 to 2 is within 0.01 of the floor."""
    at = np.abs(arrays["time"] - 40).argmin()
    start, margin = arrays["start"], arrays["margins"][at]
    near = start < 2.5
    beyond = margin[np.abs(start - 6).argmin()] > 5
    return bool(beyond and near.any() and (np.abs(margin[near] - FLOOR_MARGIN) < 0.01).all())


@attractor.check
def the_logistic_loss_never_settles(arrays: Arrays) -> bool:
    """SimPO's margin obeys m + e^m = 1 + t and passes the floor."""
    margin, time = arrays["logistic"], arrays["time"]
    return bool(np.abs((margin + np.exp(margin)) / (1 + time) - 1).max() < 1e-6 and margin[-1] > 3 * FLOOR_MARGIN)


@attractor.check
def the_rate_is_that_of_the_curvature(arrays: Arrays) -> bool:
    """From both sides the margin approaches 1 + W exponentially: late in the run at rate W/(1 + W), to 1 percent."""
    late = arrays["near_time"] >= 20
    slopes = np.polyfit(arrays["near_time"][late], np.log(np.abs(arrays["near"][late])), 1)[0]
    both = (arrays["near"][0] < 0).any() and (arrays["near"][0] > 0).any()
    return bool(both and np.abs(slopes / -FLOOR_CURVATURE - 1).max() < 0.01)


@attractor.check
def the_step_size_has_a_limit(arrays: Arrays) -> bool:
    """Starts from -4 to 4 settle for every step size up to 0.98 of 9.18; beyond it no start settles off the floor."""
    near, below = np.abs(arrays["margin"]) <= 4, arrays["size"] < 0.98 * LIMIT_OF_STEPS
    settled = np.isfinite(arrays["settled"])
    off = np.abs(arrays["margin"] - FLOOR_MARGIN) > 0.05
    spread = np.ptp(arrays["ends"], axis=0)
    fixed = arrays["step_size"] < 0.98 * LIMIT_OF_STEPS
    cycles = arrays["step_size"] > 1.01 * LIMIT_OF_STEPS
    ordered = (spread[fixed] < 0.01).all() and (spread[cycles] > 0.1).all()
    return bool(
        settled[below][:, near].all() and not settled[arrays["size"] > LIMIT_OF_STEPS][:, off].any() and ordered
    )


@attractor.check
def the_odd_pair_is_carried(arrays: Arrays) -> bool:
    """The flow ends at the stationary point: the odd pair at c (1 + W) among 100 others, below 1.8 beside 1 other."""
    last = arrays["shared"][..., 1]
    predicted = np.array([np.interp(arrays["scale"], arrays["finer"], row) for row in arrays["stationary"]])
    agrees = (
        np.abs(last - predicted).max() < 0.02 and np.abs(last[:, -1] / arrays["stationary"][:, -1] - 1).max() < 1e-5
    )
    carried = np.abs(last[-1] / (arrays["scale"] * FLOOR_MARGIN) - 1).max() < 0.01
    return bool(agrees and carried and last[0].max() < 1.8)


@attractor.draw
def _draw_attractor(arrays: Arrays) -> Drawing:
    drawing = plt.figure(figsize=(PAGE_WIDTH, 4.4))
    axes = drawing.subplot_mosaic("aabbcc;dddeee")
    floor: dict[str, Any] = {"color": REFERENCE, "linewidth": 0.7, "linestyle": ":"}
    a = axes["a"]
    a.plot(arrays["time"][1:], arrays["margins"][1:], color=SELF_PO_COLOR, linewidth=1)
    a.plot(arrays["time"][1:], arrays["logistic"][1:], color=DPO_COLOR, linestyle="--")
    a.set(xscale="log", xlabel="time", ylabel="margin  $m$", xlim=(0.05, arrays["time"][-1]))
    label_line(a, 6, 6.8, "logistic", DPO_COLOR)
    label_line(a, 40, -1.2, "Self PO", SELF_PO_COLOR)
    b = axes["b"]
    b.semilogy(arrays["near_time"], np.abs(arrays["near"]), color=SELF_PO_COLOR)
    line = 1.6 * np.exp(-FLOOR_CURVATURE * arrays["near_time"])
    b.plot(arrays["near_time"], line, color=REFERENCE, linestyle="--", linewidth=0.9)
    b.set(xlabel="time", ylabel="distance  $|m-(1+W)|$", xlim=(0, arrays["near_time"][-1]))
    label_line(b, 13, 1.2, r"slope $-W/(1+W)$", REFERENCE)
    c = axes["c"]
    seen = np.ma.masked_invalid(np.log10(np.maximum(arrays["settled"], 1)))
    c.set_facecolor("#C8C8C8")
    shades = c.pcolormesh(arrays["margin"], arrays["size"], seen, cmap="cividis", vmin=0, vmax=3, rasterized=True)
    c.axhline(LIMIT_OF_STEPS, color=SELF_PO_COLOR, linewidth=1, linestyle="--")
    c.set(xlabel="margin at the start", ylabel="step size")
    c.text(0.03, 0.97, "grey: does not settle", transform=c.transAxes, fontsize=6.5, va="top")
    bar = drawing.colorbar(shades, ax=c, ticks=[0, 1, 2, 3], pad=0.02)
    bar.ax.set_yticklabels(["1", "10", "100", "1000"])
    bar.set_label("steps to settle")
    d = axes["d"]
    kept = arrays["ends"].shape[0]
    d.plot(np.tile(arrays["step_size"], kept), arrays["ends"].ravel(), ",", color=SELF_PO_COLOR, rasterized=True)
    d.axvline(LIMIT_OF_STEPS, color=SELF_PO_COLOR, linewidth=1, linestyle="--")
    d.set(xlabel="step size", ylabel="margin, last steps", xlim=(arrays["step_size"][0], arrays["step_size"][-1]))
    label_line(d, 4.3, 4.6, "limit of (c):", SELF_PO_COLOR)
    label_line(d, 4.3, 3.9, r"$2(1+W)/W=9.18$", SELF_PO_COLOR)
    label_line(d, 4.3, FLOOR_MARGIN + 0.15, "$1+W$", REFERENCE)
    e = axes["e"]
    for n, dots, curve, dashes in zip(
        arrays["many"], arrays["shared"][..., 1], arrays["stationary"], ("-", (0, (4, 2)), "-"), strict=True
    ):
        e.loglog(arrays["finer"], curve, color=SELF_PO_COLOR, linewidth=1, linestyle=dashes)
        e.plot(arrays["scale"], dots, "o", color=SELF_PO_COLOR, markersize=2.5)
        words = f"$N={n}$" + (" (dashed)" if dashes != "-" else "")
        label_line(e, *{1: (9, 1.75), 10: (3.2, 2.7), 100: (1.6, 4.0)}[int(n)], words, SELF_PO_COLOR)
    label_line(e, 5, FLOOR_MARGIN * 0.84, "attractor $1+W$", REFERENCE)
    ticks: dict[str, Any] = {"xticks": [1, 2, 4, 8, 16], "yticks": [1, 2, 5, 10, 20]}
    e.set(xlabel="scale  $c$  of the last pair", ylabel="its margin", xlim=(1, 16.5), ylim=(1, 24), **ticks)
    for axis in (e.xaxis, e.yaxis):
        axis.set_major_formatter("{x:.0f}")
        axis.set_minor_locator(NullLocator())
    for axes_ in (a, d, e):
        axes_.axhline(FLOOR_MARGIN, **floor)
    titles = ("from any start", "at one rate", "steps that settle", "too large a step", "many pairs, one parameter")
    for letter, title in zip("abcde", titles, strict=True):
        axes[letter].set_title(title)
        label_panel(axes[letter], letter)
    return drawing
