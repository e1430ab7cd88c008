"""Figure 1 of jian2025 on the ladder: a world in closed form where DPO raises and then lowers the chosen response.

The paper plots one run of a language model. Here every curve can be checked: the ladder has three responses and one
parameter, and a run passes through three phases, chosen up and rejected down, both down with the rejected one falling
more, both down with the chosen one falling more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation

from figures.accuracy import Accuracy
from figures.export import still_at_the_end
from figures.registry import Arrays, figure
from figures.style import CHOSEN, COLUMN_WIDTH, OTHERS, PAGE_WIDTH, PRINTED_COLOR, REFERENCE, REJECTED, label_line
from toy_models.displacement import (
    LADDER,
    LADDER_CROSSOVER,
    LADDER_PEAK,
    PairRun,
    ladder_drives,
    log_ratio_of_changes,
    run_pair,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

SIZE = (COLUMN_WIDTH, 2.4)
BOTH_FALL, CHOSEN_FALLS_MORE = "#F1F1F1", "#DEDEDE"  # shades of the second and third phase
DIFFERS = (
    "The paper trains Qwen2.5-0.5B-Instruct on an unnamed probing set and gives neither learning rate, beta, batch nor "
    "number of steps. This is single-pair DPO with plain gradient steps on the ladder, theta_0 = -3, beta = 0.5, "
    "learning rate 0.5."
)


def _states(run: PairRun) -> Arrays:
    """Return the arrays that all three figures need: step, log pi and x = pi_w / pi_l."""
    log_probs = run.log_probs
    return {
        "step": np.arange(len(log_probs)),
        "log_probs": log_probs,
        "x": np.exp(log_probs[:, LADDER.chosen] - log_probs[:, LADDER.rejected]),
    }


def _chosen(rows: np.ndarray) -> np.ndarray:
    return rows[:, LADDER.chosen]


def _rejected(rows: np.ndarray) -> np.ndarray:
    return rows[:, LADDER.rejected]


def _even(x: np.ndarray) -> tuple[float, int]:
    """Return where pi_w / pi_l passes 1, interpolated between two steps, and the earlier of the two; NaN if nowhere."""
    before = int((x > LADDER_PEAK).argmax()) - 1
    if before < 0:
        return np.nan, before
    start, end = np.log(x[before : before + 2] / LADDER_PEAK)
    return before - start / (end - start), before


@figure(
    "jian2025-1a",
    "The chosen response rises, then falls; the rejected one falls throughout",
    source="Jian et al. 2025, Figure 1 (a)",
    caption="Log-probabilities along single-pair DPO. The chosen response peaks where pi_w = pi_l and then falls "
    "with the rejected one, while the loss goes on falling: all the mass goes to the third response (grey), which is "
    "in no pair.",
    differs=DIFFERS + " The third response is added; the paper does not say where the mass goes in this figure.",
    claims=("jian2025.theorem-1", "jian2025.log-margin"),
)
def log_probabilities(beta: float = 0.5, learning_rate: float = 0.5, steps: int = 180) -> Arrays:
    """Run DPO on the ladder and keep the log-probabilities."""
    return _states(run_pair(LADDER, beta=beta, learning_rate=learning_rate, steps=steps))


@log_probabilities.check
def chosen_rises_then_falls(arrays: Arrays) -> bool:
    """Log pi(y_w) rises up to one peak inside the run and falls at every step after it."""
    log_w = _chosen(arrays["log_probs"])
    peak, moves = int(log_w.argmax()), np.diff(log_w)
    return bool(0 < peak < len(moves) and (moves[:peak] > 0).all() and (moves[peak:] < 0).all())


@log_probabilities.check
def rejected_falls_throughout(arrays: Arrays) -> bool:
    """Log pi(y_l) falls at every step."""
    return bool((np.diff(_rejected(arrays["log_probs"])) < 0).all())


@log_probabilities.check
def both_end_below_their_start(arrays: Arrays) -> bool:
    """At the end both responses of the pair are less probable than at the start."""
    log_probs = arrays["log_probs"]
    return bool(_chosen(log_probs)[-1] < _chosen(log_probs)[0] and _rejected(log_probs)[-1] < _rejected(log_probs)[0])


@log_probabilities.check
def peaks_where_the_pair_is_even(arrays: Arrays) -> bool:
    """The peak is the step at which pi_w / pi_l comes nearest to 1 (on a logarithmic scale), at pi_w = 1 / 3."""
    log_w, log_x = _chosen(arrays["log_probs"]), np.log(arrays["x"] / LADDER_PEAK)
    at = int(log_w.argmax())
    return bool(at == np.abs(log_x).argmin() and abs(np.exp(log_w[at]) - 1 / 3) < 1e-3)


@log_probabilities.check
def gap_widens(arrays: Arrays) -> bool:
    """Log pi(y_w) - log pi(y_l) grows at every step, before the peak and after it."""
    log_probs = arrays["log_probs"]
    return bool((np.diff(_chosen(log_probs) - _rejected(log_probs)) > 0).all())


@log_probabilities.check
def mass_goes_to_the_third(arrays: Arrays) -> bool:
    """The three probabilities sum to 1 and the third response ends with more than nine tenths."""
    p = np.exp(arrays["log_probs"])
    return bool(np.abs(p.sum(1) - 1).max() < 1e-12 and p[-1, 2] > 0.9)


@log_probabilities.animate
def _animate_log_probabilities(arrays: Arrays) -> FuncAnimation:
    """Let the run of (a) go on beside the three probabilities as bars."""
    drawing, (bars, curves) = plt.subplots(1, 2, figsize=(PAGE_WIDTH, 2.6), gridspec_kw={"width_ratios": (1, 2)})
    p, step, colors = np.exp(arrays["log_probs"]), arrays["step"], [OTHERS, OTHERS, OTHERS]
    colors[LADDER.chosen], colors[LADDER.rejected] = CHOSEN, REJECTED
    names = ["another"] * 3
    names[LADDER.chosen], names[LADDER.rejected] = "chosen", "rejected"
    columns = bars.bar(range(3), p[0], color=colors)
    bars.set(ylim=(0, 1), ylabel="probability")
    bars.set_xticks(range(3), names)
    lines = [curves.plot([], [], color=color)[0] for color in colors]
    for y in range(3):
        label_line(curves, step[-1], arrays["log_probs"][-1, y], f" {names[y]}", colors[y], va="center")
    curves.set(xlabel="DPO step", ylabel=r"$\log\,\pi$ (nats)", xlim=(0, step[-1]), ylim=(-6.4, 0.3))

    def show(time: int) -> list[Artist]:
        for y, (column, line) in enumerate(zip(columns, lines, strict=True)):
            column.set_height(p[time, y])
            line.set_data(step[: time + 1], arrays["log_probs"][: time + 1, y])
        return [*columns, *lines]

    return FuncAnimation(drawing, show, frames=still_at_the_end(len(step)))


@log_probabilities.draw
def _draw_log_probabilities(arrays: Arrays) -> Drawing:
    drawing, axes = plt.subplots(figsize=SIZE)
    log_probs, step = arrays["log_probs"], arrays["step"]
    at, before = _even(arrays["x"])
    axes.plot(step, log_probs[:, 2], color=OTHERS, linewidth=1.0, linestyle=(0, (4, 2)))
    axes.plot(step, _chosen(log_probs), color=CHOSEN)
    axes.plot(step, _rejected(log_probs), color=REJECTED)
    _mark(axes, at, float(np.interp(at, step, _chosen(log_probs))))
    label_line(axes, at - 3, 0.25, f"peak between steps {before} and {before + 1}", REFERENCE)
    label_line(axes, 112, -1.85, r"$\log\,\pi(y_w)$, chosen", CHOSEN)
    label_line(axes, 58, -5.15, r"$\log\,\pi(y_l)$, rejected", REJECTED)
    label_line(axes, 112, -0.7, "another response", OTHERS)
    axes.set(xlabel="DPO step", ylabel="log-probability (nats)", xlim=(0, step[-1]), ylim=(-6.3, 0.8))
    return drawing


@figure(
    "jian2025-1b",
    "The drive of the chosen response changes sign exactly where its probability peaks",
    source="Jian et al. 2025, Figure 1 (b)",
    caption="Drives A_y = g_y . (g_w - g_l), the brackets of Eqs. 2 and 3. A_w changes sign in the very "
    "step that passes the peak of (a), where pi_w = pi_l; A_l is negative throughout, and the distance between the "
    "curves is |g_w - g_l|^2 at every step: never negative, here 1.",
    differs=DIFFERS + " The chosen response is blue and the rejected one orange, as in (a); in print green and red.",
    claims=("jian2025.theorem-1", "jian2025.log-margin"),
)
def gradient_terms(beta: float = 0.5, learning_rate: float = 0.5, steps: int = 180) -> Arrays:
    """Run DPO on the ladder and keep the drives, from the kernel at every step."""
    run = run_pair(LADDER, beta=beta, learning_rate=learning_rate, steps=steps)
    return {**_states(run), "drive": run.drive, "score_gap": run.score_gap, "speed": run.speed}


@gradient_terms.check
def chosen_drive_crosses_zero_once(arrays: Arrays) -> bool:
    """A_w starts positive, falls at every step and ends negative."""
    drive = _chosen(arrays["drive"])
    return bool(drive[0] > 0 and drive[-1] < 0 and (np.diff(drive) < 0).all())


@gradient_terms.check
def crosses_where_the_probability_peaks(arrays: Arrays) -> bool:
    """A_w changes sign in the step that passes pi_w = pi_l, and the largest log pi(y_w) is at one of its two ends."""
    crossing, (_, before) = int((_chosen(arrays["drive"]) < 0).argmax()), _even(arrays["x"])
    return crossing == before + 1 > 0 and int(_chosen(arrays["log_probs"]).argmax()) in {before, before + 1}


@gradient_terms.check
def rejected_drive_is_negative(arrays: Arrays) -> bool:
    """A_l < 0 throughout."""
    return bool((_rejected(arrays["drive"]) < 0).all())


@gradient_terms.check
def gap_is_squared_distance(arrays: Arrays) -> bool:
    """A_w - A_l = |g_w - g_l|^2 at every step."""
    gap = _chosen(arrays["drive"]) - _rejected(arrays["drive"])
    return bool(np.abs(gap - arrays["score_gap"]).max() < 1e-12)


@gradient_terms.check
def gap_is_the_speed_of_the_log_ratio(arrays: Arrays) -> bool:
    """Each step raises log(pi_w / pi_l) by learning_rate * beta * urgency * (A_w - A_l), exactly."""
    gap = _chosen(arrays["drive"]) - _rejected(arrays["drive"])
    return bool(np.abs(np.diff(np.log(arrays["x"])) - arrays["speed"] * gap[:-1]).max() < 1e-12)


@gradient_terms.check
def closed_forms(arrays: Arrays) -> bool:
    """A_w = (1 - x^2) / Z and A_l = -(x + 2 x^2) / Z with x = pi_w / pi_l and Z = 1 + x + x^2."""
    x = arrays["x"]
    return bool((x > 0).all() and np.abs(np.stack(ladder_drives(x), axis=1) - arrays["drive"]).max() < 1e-12)


@gradient_terms.draw
def _draw_gradient_terms(arrays: Arrays) -> Drawing:
    drawing, axes = plt.subplots(figsize=SIZE)
    drive, step = arrays["drive"], arrays["step"]
    crossing, before = _even(arrays["x"])
    axes.axhline(0, color=REFERENCE, linewidth=0.6)
    axes.plot(step, _chosen(drive), color=CHOSEN)
    axes.plot(step, _rejected(drive), color=REJECTED)
    at = 92
    axes.annotate(
        "",
        (at, _chosen(drive)[at]),
        (at, _rejected(drive)[at]),
        arrowprops={"arrowstyle": "<->", "color": OTHERS, "linewidth": 0.8, "shrinkA": 1, "shrinkB": 1},
    )
    label_line(axes, at + 4, _chosen(drive)[at] - 0.42, r"$\|g_w-g_l\|^2=1$", OTHERS, va="center")
    _mark(axes, crossing, 0.0)
    words = f"$A_w=0$ between steps {before}\nand {before + 1}: $\\pi(y_w)$ peaks"
    label_line(axes, crossing + 5, 0.2, words, REFERENCE)
    label_line(axes, 178, -0.79, "$A_w$, chosen", CHOSEN, ha="right")
    label_line(axes, 178, -1.79, "$A_l$, rejected", REJECTED, ha="right")
    axes.set(xlabel="DPO step", ylabel=r"drive $A_y$ (nats per unit of $\eta\beta\sigma(-z)$)")
    axes.set(xlim=(0, step[-1]), ylim=(-2.15, 1.2))
    return drawing


@figure(
    "jian2025-1c",
    "log(Delta pi_w / Delta pi_l) is undefined, then negative, then positive; it is the margin that always grows",
    source="Jian et al. 2025, Figure 1 (c)",
    caption="The printed quantity is defined only where both changes have the same sign, and there a positive value "
    "means that pi_w falls by MORE than pi_l: in print, positive and rising throughout, it would be evidence against "
    "Corollary 2, not for it. Dashed: log|Delta pi_w / Delta pi_l|. Black: the log-ratio gained over the reference, "
    "z / beta, which is positive and increasing at every step.",
    differs=DIFFERS + " The paper draws one curve that is positive from the first step on, where its own panel (b) "
    "has changes of opposite sign; it does not say how the logarithm was defined there.",
    claims=(
        "jian2025.corollary-2",
        "jian2025.corollary-2-non-negativity",
        "jian2025.remark-3-order",
        "jian2025.log-margin",
    ),
    accuracy=dict.fromkeys(("literal", "absolute"), Accuracy("logarithm of a ratio of small changes", absolute=1e-13)),
)
def log_delta_ratio(beta: float = 0.5, learning_rate: float = 0.5, steps: int = 180) -> Arrays:
    """Run DPO on the ladder and compare the changes of pi(y_w) and pi(y_l), exact and to first order."""
    run = run_pair(LADDER, beta=beta, learning_rate=learning_rate, steps=steps)
    change_w, change_l = _chosen(run.actual), _rejected(run.actual)
    return {
        **_states(run),
        "actual": run.actual,
        "predicted": run.predicted,
        "literal": log_ratio_of_changes(change_w, change_l),
        "absolute": log_ratio_of_changes(np.abs(change_w), np.abs(change_l)),
        "margin": run.margin / beta,
    }


def _phases(changes: np.ndarray) -> tuple[int, int]:
    """Return where the second and the third phase begin: first step with pi_w falling, and falling more than pi_l."""
    change_w, change_l = _chosen(changes), _rejected(changes)
    return int((change_w < 0).argmax()), int(((change_w < 0) & (change_w < change_l)).argmax())


@log_delta_ratio.check
def three_phases_in_order(arrays: Arrays) -> bool:
    """First w up and l down; then both down, l more; then both down, w more, to the end."""
    change_w, change_l = _chosen(arrays["actual"]), _rejected(arrays["actual"])
    second, third = _phases(arrays["actual"])
    ordered = 0 < second < third < len(change_w)
    up = (change_w[:second] > 0).all() and (change_l < 0).all() and (change_w[second:] < 0).all()
    more = (change_l < change_w)[second:third].all() and (change_w < change_l)[third:].all()
    return bool(ordered and up and more)


@log_delta_ratio.check
def literal_is_undefined_while_signs_differ(arrays: Arrays) -> bool:
    """log(Delta pi_w / Delta pi_l) is undefined at every step of the first phase, and defined at every later step."""
    second, _ = _phases(arrays["actual"])
    return bool(second > 0 and (np.isnan(arrays["literal"]) == (np.arange(len(arrays["literal"])) < second)).all())


@log_delta_ratio.check
def literal_is_negative_then_positive(arrays: Arrays) -> bool:
    """Where it is defined it rises, negative in the second phase, positive in the third."""
    second, third = _phases(arrays["actual"])
    literal = arrays["literal"]
    rises = (np.diff(literal[second:]) > 0).all()
    return bool(rises and second < third and (literal[second:third] < 0).all() and (literal[third:] > 0).all())


@log_delta_ratio.check
def positive_means_corollary_2_violated(arrays: Arrays) -> bool:
    """The literal curve is positive at some steps, and at each of them Delta pi_w - Delta pi_l < 0."""
    positive = arrays["literal"] > 0
    difference = _chosen(arrays["actual"]) - _rejected(arrays["actual"])
    return bool(positive.any() and (difference[positive] < 0).all() and (difference[~positive] > 0).all())


@log_delta_ratio.check
def absolute_dives_at_the_peak(arrays: Arrays) -> bool:
    """log|Delta pi_w / Delta pi_l| is smallest where pi_w peaks, to within one step."""
    peak = int(_chosen(arrays["log_probs"]).argmax())
    return bool(np.isfinite(arrays["absolute"]).all()) and abs(int(arrays["absolute"].argmin()) - peak) <= 1


@log_delta_ratio.check
def margin_is_positive_and_increasing(arrays: Arrays) -> bool:
    """The margin z / beta is 0 at the start, and from then on positive and increasing."""
    return bool(abs(arrays["margin"][0]) < 1e-12 and (np.diff(arrays["margin"]) > 0).all())


@log_delta_ratio.check
def first_order_has_the_same_phases(arrays: Arrays) -> bool:
    """The first-order changes have the same phases, to within one step; they begin at x = 1 and x = 1 + sqrt 3."""
    exact, first_order = _phases(arrays["actual"]), _phases(arrays["predicted"])
    closed = [int((arrays["x"] > watershed).argmax()) for watershed in (LADDER_PEAK, LADDER_CROSSOVER)]
    near = max(abs(a - b) for a, b in zip(exact, first_order, strict=True)) <= 1
    return near and list(first_order) == closed and 0 < closed[0] < closed[1]


@log_delta_ratio.draw
def _draw_log_delta_ratio(arrays: Arrays) -> Drawing:
    drawing, axes = plt.subplots(figsize=(COLUMN_WIDTH, 2.7))
    step = arrays["step"]
    second, third = _phases(arrays["actual"])
    last = step[-1]
    axes.axvspan(second, third, color=BOTH_FALL, linewidth=0)
    axes.axvspan(third, last, color=CHOSEN_FALLS_MORE, linewidth=0)
    axes.axhline(0, color=REFERENCE, linewidth=0.6)
    axes.plot(step[:-1], arrays["absolute"], color=PRINTED_COLOR, linewidth=1.0, linestyle=(0, (3, 2)))
    axes.plot(step[:-1], arrays["literal"], color=PRINTED_COLOR, linewidth=1.8)
    axes.plot(step, arrays["margin"], color=REFERENCE)
    for left, right, text in (
        (0, second, "$w$ up,\n$l$ down:\nno value"),
        (second, third, "both\nfall,\n$l$ more:\nnegative"),
        (third, last, "both fall, $w$ more: positive,\nCorollary 2 violated"),
    ):
        axes.text((left + right) / 2, 8.8, text, ha="center", va="top", fontsize=6.5, linespacing=1.25)
    for x, y, text, color in (
        (100, 5.75, r"margin $z/\beta$", REFERENCE),
        (98, 2.1, r"$\log\,(\Delta\pi_w/\Delta\pi_l)$", PRINTED_COLOR),
        (47, -4.1, r"dashed: $\log\,|\Delta\pi_w/\Delta\pi_l|$", PRINTED_COLOR),
    ):
        axes.text(x, y, text, color=color, fontsize=7)
    axes.set(xlabel="DPO step", ylabel="nats", xlim=(0, last), ylim=(-5, 9.2))
    return drawing


def _mark(axes: Axes, x: float, y: float) -> None:
    """Mark a point on the curve of the chosen response, and its step."""
    axes.vlines(x, -10, y, color=OTHERS, linewidth=0.6, linestyle=":", zorder=0)
    axes.plot(x, y, "o", color=CHOSEN, markersize=4, markeredgecolor="white", markeredgewidth=0.6, zorder=4)
