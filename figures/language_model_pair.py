"""jian2025 Figure 1 on a small language model: one pair, step by step.

The ladder of ``figures.jian2025`` has a closed form; here the same three panels come from a trained Qwen2 whose
parameters are shared between all responses. The model is the package's own checkpoint, or any other (``--model``).
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.ticker import NullLocator

from dynamics.language_model.loading import require
from dynamics.language_model.precision import computing_in
from figures.accuracy import Accuracy
from figures.jian2025 import BOTH_FALL, CHOSEN_FALLS_MORE
from figures.registry import Arrays, figure
from figures.style import (
    CHOSEN,
    GREEDY,
    OTHERS,
    PAGE_WIDTH,
    PRINTED_COLOR,
    REFERENCE,
    REJECTED,
    label_line,
    label_panel,
)
from toy_models.displacement import log_ratio_of_changes
from toy_models.multiplication.shipped import WEIGHTS, load_checkpoint
from toy_models.multiplication.single_pair import PairSettings, follow_pair

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

W, L, Y_STAR = range(3)
COLORS = (CHOSEN, REJECTED, GREEDY)
PAIR = {"chosen": PairSettings.chosen, "rejected": PairSettings.rejected}


def load_policy(model: str = "", device: str = "") -> tuple[Any, Any]:
    """Return a model in float32 and its tokenizer, without a progress bar.

    Args:
        model: folder or hub name; empty for the checkpoint of the package.
        device: empty for the CPU with the checkpoint of the package, else a GPU if there is one.

    Raises:
        MissingExtra: transformers is not installed.
        ModelUnavailable: nothing that can be loaded there.

    Example:
        >>> load_policy("./no-such-folder")
        Traceback (most recent call last):
            ...
        dynamics.language_model.loading.ModelUnavailable: name: ./no-such-folder cannot be loaded: ...
    """
    bars = require("transformers").utils.logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        automatic = "cuda" if model and torch.cuda.is_available() else "cpu"
        return load_checkpoint(model or WEIGHTS, device or automatic)
    finally:
        if shown:
            bars.enable_progress_bar()


@figure(
    "jian2025-1-lm",
    "On a language model, too, the chosen response rises and then falls, and Corollary 2 fails at the end",
    source="Jian et al. 2025, Figure 1 (a)-(c)",
    caption="DPO on one pair of responses with the same wording, 'The answer is 132.' against 'The answer is 121.', "
    "with plain gradient steps. (a) The chosen response peaks and ends below its start; the rejected one falls "
    "throughout; y*, which is wrong and in no pair, falls as well, and the mass goes to a third number. (b) A_w "
    "changes sign where (a) peaks, A_l is negative throughout, their distance is $|g_w - g_l|^2$. (c) The printed "
    "quantity is undefined while the two changes have different signs, then is negative; where it is positive (dark) "
    "pi_w falls by more than pi_l, which Corollary 2 excludes. The margin grows at every step. Robust: the signs of "
    "A_l and of the margin's growth, and that peak and crossing coincide. Dependent on the pair: that there is a "
    "peak at all. It requires a pair with similar scores, such as one with the same wording, and a small beta.",
    differs="The paper trains Qwen2.5-0.5B-Instruct on an unnamed probing set and gives neither learning rate, beta, "
    "batch nor number of steps. Here: a Qwen2 of 330,144 parameters on one pair, plain gradient descent, beta 0.1, "
    "learning rate 3e-4, in float64. y* and the response that gains most are added. In print (c) is positive and "
    "rising from the first step on, where its own (b) has changes of opposite sign.",
    claims=(
        "jian2025.theorem-1",
        "jian2025.theorem-1-sign",
        "jian2025.log-margin",
        "jian2025.corollary-2-non-negativity",
        "jian2025.figure-1c",
        "jian2025.figure-1c-log-margin",
    ),
    accuracy={
        "literal": Accuracy("logarithm of a ratio of changes, of which one passes through 0", exponential=1e-11),
        "absolute": Accuracy("logarithm of a ratio of changes, of which one passes through 0", exponential=1e-11),
        "drive": Accuracy("inner products of gradients, of order 6000, and their differences", 1e-12, 1e-10),
        "*": Accuracy("float64 throughout, 150 steps through a small model; 1.3e-14 was seen", 1e-13, 1e-13),
    },
)
def one_pair(
    model: str = "",
    device: str = "",
    chosen: str = PAIR["chosen"],
    rejected: str = PAIR["rejected"],
    beta: float = 0.1,
    learning_rate: float = 3e-4,
    steps: int = 150,
    every: int = 3,
) -> Arrays:
    """Train on one pair; scores are compared at every ``every``-th step."""
    settings = PairSettings(
        chosen=chosen, rejected=rejected, beta=beta, learning_rate=learning_rate, steps=steps, every=every, others=10
    )
    policy, tokenizer = load_policy(model, device)
    # float32 does not tell on which side of the peak a step is; another model may be too large for float64
    with nullcontext() if model else computing_in(policy, torch.float64):
        run = follow_pair(policy, tokenizer, settings)
    p = np.exp(run.log_probs)
    gains = p[-1] - p[0]
    gains[[W, L, Y_STAR]] = -np.inf
    shown = [W, L, Y_STAR, int(gains.argmax()) if len(gains) > 3 else Y_STAR]
    change = np.diff(p[:, [W, L]], axis=0)
    return {
        "step": np.arange(len(p)),
        "texts": np.array([run.texts[i] for i in shown]),
        "log_probs": run.log_probs[:, shown],
        "at": run.at,
        "drive": np.stack([run.chosen_term, run.rejected_term, run.y_star_term], axis=1),
        "predicted": run.predicted,
        "actual": run.actual,
        "literal": log_ratio_of_changes(change[:, W], change[:, L]),
        "absolute": log_ratio_of_changes(np.abs(change[:, W]), np.abs(change[:, L])),
        "margin": run.margin,
    }


def _phases(arrays: Arrays) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Return the changes of pi_w and pi_l, and the first steps with pi_w falling, and falling more than pi_l."""
    change_w, change_l = np.diff(np.exp(arrays["log_probs"][:, [W, L]]), axis=0).T
    falls, more = change_w < 0, (change_w < 0) & (change_w < change_l)
    end = len(change_w)
    return change_w, change_l, *(int(x.argmax()) if x.any() else end for x in (falls, more))


@one_pair.check
def chosen_rises_then_falls_below_its_start(arrays: Arrays) -> bool:
    """Log pi(y_w) rises by more than 0.01 nats, has one peak inside the run and ends below its start."""
    curve = arrays["log_probs"][:, W]
    top, moves = int(curve.argmax()), np.diff(curve)
    return bool((moves[:top] > 0).all() and (moves[top:] < 0).all() and curve[top] > curve[0] + 0.01 > curve[-1] + 0.01)


@one_pair.check
def rejected_falls_at_every_step(arrays: Arrays) -> bool:
    """Log pi(y_l) falls at every step and A_l is negative at every step at which it was computed."""
    return bool((np.diff(arrays["log_probs"][:, L]) < 0).all() and (arrays["drive"][:, L] < 0).all())


@one_pair.check
def chosen_drive_crosses_zero_at_the_peak(arrays: Arrays) -> bool:
    """A_w is positive, then negative, and the change of sign is where log pi(y_w) peaks, within one point."""
    drive, at = arrays["drive"][:, W], arrays["at"]
    first = int((drive < 0).argmax())
    once = first > 0 and (drive[:first] > 0).all() and (drive[first:] < 0).all()
    peak, every = int(arrays["log_probs"][:, W].argmax()), at[1] - at[0]
    return bool(once and abs(at[first] - peak) <= every)


@one_pair.check
def margin_grows_as_predicted(arrays: Arrays) -> bool:
    """The margin grows at every step, and by eta beta sigma(-z) |g_w - g_l|^2 to within 2%."""
    predicted, actual = (arrays[name][:, W] - arrays[name][:, L] for name in ("predicted", "actual"))
    grows = abs(arrays["margin"][0]) < 1e-10 and (np.diff(arrays["margin"]) > 0).all()
    return bool(grows and (np.abs(predicted - actual) < 0.02 * actual).all())


@one_pair.check
def theorem_1_has_the_signs(arrays: Arrays) -> bool:
    """Theorem 1 predicts the sign of the next change: of y_l and y* always, of y_w except at one point by its peak."""
    right = np.sign(arrays["predicted"]) == np.sign(arrays["actual"])
    wrong = np.flatnonzero(~right[:, W])
    peak, every = int(arrays["log_probs"][:, W].argmax()), arrays["at"][1] - arrays["at"][0]
    near = all(abs(arrays["at"][i] - peak) <= every for i in wrong)
    return bool(right[:, L].all() and right[:, Y_STAR].all() and len(wrong) <= 1 and near)


@one_pair.check
def literal_has_no_value_before_the_peak(arrays: Arrays) -> bool:
    """log(Delta pi_w / Delta pi_l) is undefined while pi_w rises, and defined at every step after that."""
    *_, falls, _ = _phases(arrays)
    expected = np.arange(len(arrays["literal"])) < falls
    return bool(0 < falls < len(expected) and (np.isnan(arrays["literal"]) == expected).all())


@one_pair.check
def positive_literal_is_a_violation_of_corollary_2(arrays: Arrays) -> bool:
    """From the peak on it rises, first negative, then positive: positive exactly where pi_w falls by more than pi_l."""
    change_w, change_l, falls, more = _phases(arrays)
    literal = arrays["literal"]
    rises = (np.diff(literal[falls:]) > 0).all()
    violated = (change_w < 0) & (change_w < change_l)
    signs = (literal[falls:more] < 0).all() and ((literal > 0) == violated).all()
    return bool(0 < falls < more < len(literal) and rises and signs)


@one_pair.draw
def _draw_one_pair(arrays: Arrays) -> Drawing:
    drawing = plt.figure(figsize=(PAGE_WIDTH, 2.9))
    grid = drawing.add_gridspec(2, 3, height_ratios=(1, 2))
    alone, first = drawing.add_subplot(grid[0, 0]), drawing.add_subplot(grid[1, 0])
    second, third = drawing.add_subplot(grid[:, 1]), drawing.add_subplot(grid[:, 2])
    step, at, log_probs = arrays["step"], arrays["at"], arrays["log_probs"]
    peak = int(log_probs[:, W].argmax())
    alone.plot(step, log_probs[:, W], color=CHOSEN)
    alone.plot(peak, log_probs[peak, W], "o", color=CHOSEN, markersize=4)
    alone.text(0.04, 0.1, f"$y_w$ alone:\npeak at step {peak}", **_inside(alone), color=CHOSEN)
    alone.set(title="log-probabilities", ylabel="nats", xticklabels=[])
    first.plot(step, log_probs[:, 3], color=OTHERS, linewidth=1.0, linestyle=(0, (4, 2)))
    for column, color in enumerate(COLORS):
        first.plot(step, log_probs[:, column], color=color)
        second.plot(at, arrays["drive"][:, column], color=color, linewidth=1.0 if column == Y_STAR else 1.4)
    for row, (name, text) in enumerate(zip(("$y_w$", "$y_l$", "$y^*$", "other"), arrays["texts"], strict=True)):
        first.text(0.04, 0.39 - 0.12 * row, f"{name}: {plain(text)}", **_inside(first), color=(*COLORS, OTHERS)[row])
    first.set_ylabel("nats")
    _draw_drives(second, at, arrays["drive"], peak)
    _draw_ratio(third, arrays)
    for axes, letter in zip((alone, second, third), "abc", strict=True):
        label_panel(axes, letter)
    for axes in (alone, first, second, third):
        axes.set(xlabel="" if axes is alone else "DPO step", xlim=(0, step[-1]))
    return drawing


def _inside(axes: Axes, size: float = 6.5) -> dict[str, Any]:
    """Return how to place words in the coordinates of the axes."""
    return {"transform": axes.transAxes, "fontsize": size}


def _draw_drives(axes: Axes, at: np.ndarray, drive: np.ndarray, peak: int) -> None:
    axes.axhline(0, color=REFERENCE, linewidth=0.6)
    axes.axvline(peak, color=OTHERS, linewidth=0.7, linestyle=":")
    axes.set_yscale("asinh", linear_width=50)
    decades = np.array([-1e5, -1e4, -1e3, -1e2, 0, 1e2, 1e3, 1e4, 1e5])
    axes.set_yticks(decades[(decades >= drive.min()) & (decades <= drive.max())])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set(ylabel=r"drive $g_y\cdot(g_w-g_l)$", title="drives")
    for column, (name, x, off) in enumerate((("$A_w$", 0.12, 10), ("$A_l$", 0.5, -9), ("$A_{y^*}$", 0.62, 8))):
        i = int(x * len(at))
        where = {"xytext": (4, off), "textcoords": "offset points", "ha": "center", "va": "center"}
        label_line(axes, at[i], drive[i, column], name, COLORS[column], **where)
    label_line(axes, peak + 4, 0, "$y_w$ peaks", REFERENCE, xytext=(0, 4), textcoords="offset points", fontsize=6.5)


def _draw_ratio(axes: Axes, arrays: Arrays) -> None:
    step, margin = arrays["step"], arrays["margin"]
    *_, falls, more = _phases(arrays)
    axes.axvspan(falls, more, color=BOTH_FALL, linewidth=0)
    axes.axvspan(more, step[-1], color=CHOSEN_FALLS_MORE, linewidth=0)
    axes.axhline(0, color=REFERENCE, linewidth=0.6)
    axes.plot(step[:-1], arrays["absolute"], color=PRINTED_COLOR, linewidth=0.9, linestyle=(0, (3, 2)))
    axes.plot(step[:-1], arrays["literal"], color=PRINTED_COLOR, linewidth=1.8)
    axes.plot(step, margin, color=REFERENCE)
    top = 1.6 * float(margin[-1])
    axes.set(ylabel="nats", title="ratio and margin", ylim=(-6.2, top))
    bounds = (0, falls, more, step[-1])
    for left, right, words in zip(
        bounds, bounds[1:], ("signs\ndiffer", "both fall,\n$y_l$ more", "$y_w$\nmore"), strict=False
    ):
        axes.text((left + right) / 2, 0.97 * top, words, ha="center", va="top", fontsize=6.5)
    at = int(0.62 * len(margin))
    axes.text(at, margin[at] + 0.5, r"margin $z/\beta$", ha="right", fontsize=7)
    axes.text(
        0.38,
        0.26,
        "$\\log\\,(\\Delta\\pi_w/\\Delta\\pi_l)$\ndashed: of $|\\Delta\\pi|$",
        **_inside(axes, 7),
        color=PRINTED_COLOR,
        va="top",
    )


def plain(text: str) -> str:
    """Return a text as matplotlib is to print it: visible spaces at the ends, no formulas, not too long."""
    shown = text if len(text) <= 26 else text[:25] + "…"
    return shown.replace("\n", "⏎").replace("\\", r"\\").replace("$", r"\$")
