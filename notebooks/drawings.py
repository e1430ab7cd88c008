"""The pictures of the notebooks that need more lines than a cell has; each function shows one picture.

They take numbers that a notebook computed, and compute nothing but what is written on the picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pictures import picture

from figures.style import (
    BALANCED_COLOR,
    CHOSEN,
    DPO_COLOR,
    EXACT_COLOR,
    OTHERS,
    PRINTED_COLOR,
    REFERENCE,
    REJECTED,
    RLHF_COLOR,
    label_line,
)

if TYPE_CHECKING:
    from torch import Tensor


# --- notebook 4 ----------------------------------------------------------------------------------------------------


def show_pair_changes(x: np.ndarray, changes: np.ndarray, at: float, what: str, caption: str) -> None:
    """Show the changes of chosen and rejected answer against e^theta; grey where the chosen one gains less.

    Args:
        x: e^theta, ``(points,)``, from 1/8 to 8.
        changes: of chosen and rejected answer, ``(points, 2)``.
        at: the e^theta that is marked.
        what: changes, such as "probability".
        caption: written below.
    """
    less = changes[:, 0] < changes[:, 1]
    where = f"for e^theta from {x[less].min():.2f} to {x[less].max():.2f}" if less.any() else "nowhere"
    alt = f"The changes of the {what} of chosen and rejected answer; the chosen one gains less {where}."
    with picture(alt, caption) as axes:
        for values, color, name in zip(changes.T, (CHOSEN, REJECTED), ("chosen", "rejected"), strict=True):
            axes.semilogx(x, values, color=color, label=name)
        low, high = axes.get_ylim()
        axes.fill_between(x, low, high, where=less, color="#E5E5E5", linewidth=0)
        axes.axhline(0, color=REFERENCE, linewidth=0.6)
        axes.axvline(at, color=REFERENCE, linewidth=0.8, linestyle="--")
        axes.set(xlabel=r"$e^\theta$", ylabel=f"change of {what}", ylim=(low, high), xlim=(1 / 8, 8))
        axes.set_xticks([0.125, 0.25, 0.5, 1, 2, 4, 8], ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
        axes.minorticks_off()
        axes.legend()


# --- notebook 5 ----------------------------------------------------------------------------------------------------


def show_two_flows(times: np.ndarray, descent: np.ndarray, replicator: np.ndarray) -> None:
    """Show the probabilities of best, middle and worst answer: gradient flow as lines, the replicator as dots.

    Args:
        times: ``(times,)``, the first 0.
        descent: log pi along the gradient flow, ``(times, 3)``.
        replicator: log pi along the replicator equation, same shape.
    """
    colors, names = (CHOSEN, EXACT_COLOR, OTHERS), ("best", "middle", "worst")
    start, end = (" ".join(f"{p:.3f}" for p in np.exp(descent[row])) for row in (0, -1))
    caption = f"from {start} to {end} (best, middle, worst)\n"
    caption += f"largest difference of lines and dots: {np.abs(descent - replicator).max():.0e} nats"
    with picture("Probabilities of three answers over time; dots lie on lines.", caption, size=(5, 2.5)) as axes:
        for y, (color, name) in enumerate(zip(colors, names, strict=True)):
            axes.plot(times[1:], np.exp(descent[1:, y]), color=color)
            axes.plot(times[1:], np.exp(replicator[1:, y]), "o", color=color, markersize=3)
            label_line(axes, 1.07 * times[1], np.exp(descent[1, y]) + 0.02, name, color)
        axes.set(xscale="log", xlim=(times[1], times[-1]), ylim=(0, 1), xlabel="time", ylabel=r"$\pi(y)$")
        axes.set_title("lines: gradient flow of the loss, dots: replicator", loc="left")


def show_pushes_in_a_row(
    log_policy: Tensor, log_utility: Tensor, pushes: Mapping[str, Tensor], imbalance: float
) -> None:
    """Show pushes on the logits of 100 answers in a row, each scaled to size 1, over two bells.

    Args:
        log_policy: log pi, ``(100,)``.
        log_utility: logarithm of the preference, ``(100,)``.
        pushes: DPO's, the balanced one as printed, and the exact one, each ``(100,)``.
        imbalance: of the slopes in the probabilities, chosen / rejected.
    """
    peaks = {name: int(push.argmax()) for name, push in pushes.items()}
    first = next(iter(peaks.values()))
    caption = "pushed up hardest: " + ", ".join(f"{name} at {peak}" for name, peak in peaks.items())
    caption += f"\nprobability of answer {first}: {float(log_policy[first].exp()):.4f}"
    caption += f"; imbalance in probabilities, chosen / rejected: {imbalance:.3g}"
    looks = zip((DPO_COLOR, BALANCED_COLOR, EXACT_COLOR), ("-", "--", ":"), pushes.items(), strict=True)
    with picture("Three curves of pushes over the bells of policy and preference.", caption, size=(5, 2.8)) as axes:
        bells = ((log_policy, "#BDBDBD", "policy", -1), (log_utility, "#CC79A7", "preference", 1))
        for bell, shade, name, side in bells:
            height = 0.6 * (bell - bell.max()).exp().numpy()
            axes.fill_between(range(100), -1.7, -1.7 + height, color=shade, alpha=0.5, linewidth=0)
            at = int(bell.argmax()) + 14 * side
            label_line(axes, at, -1.4, name, REFERENCE, ha="right" if side < 0 else "left")
        for color, dashes, (name, push) in looks:
            scaled = (push / push.abs().max()).numpy()
            axes.plot(scaled, color=color, linestyle=dashes, label=name)
            axes.plot(peaks[name], scaled[peaks[name]], "o", color=color, markersize=4)
        axes.axhline(0, color=REFERENCE, linewidth=0.5)
        axes.set(xlim=(0, 99), ylim=(-1.7, 1.1), yticks=(-1, 0, 1), xlabel="answer", ylabel="push on its logit")
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))


# --- notebook 8 ----------------------------------------------------------------------------------------------------

COLORS = {"RLHF": RLHF_COLOR, "DPO": DPO_COLOR, "KL(target, policy)": OTHERS}


def show_choices(
    p: np.ndarray,
    losses: Mapping[str, np.ndarray],
    choices: Mapping[str, float],
    *,
    allowed: Sequence[float] | None = None,
    marks: Mapping[str, float] | None = None,
) -> None:
    """Show losses less their least value over a probability p, and the p that each of them chooses.

    Args:
        p: probabilities, ``(points,)``.
        losses: values by name, ``(points,)``.
        choices: the p that is chosen, by the same names.
        allowed: least and largest p allowed, shaded; all p if not given.
        marks: further p by name, drawn as dotted lines.
    """
    caption = "chosen p: " + ", ".join(f"{name} {value:.4f}" for name, value in choices.items())
    caption += "".join(f"; {name} {value:.4f}" for name, value in (marks or {}).items())
    with picture(f"{' and '.join(losses)} as curves over p, each with one lowest point.", caption) as axes:
        if allowed is not None:
            axes.axvspan(*allowed, color="#F1F1F1", linewidth=0)
        for value in (marks or {}).values():
            axes.axvline(value, color=EXACT_COLOR, linewidth=0.8, linestyle=":")
        for size, (name, values) in zip((7, 4), losses.items(), strict=True):
            excess = values - values.min()
            axes.plot(p, excess, color=COLORS[name], label=name)
            axes.plot(choices[name], np.interp(choices[name], p, excess), "o", color=COLORS[name], markersize=size)
        axes.set(xlim=(0, 1), ylim=(-0.05, 1.2), xlabel=r"$p=\pi(y_1)$", ylabel="loss $-$ least (nats)")
        axes.legend(loc="upper center")


def show_bumps(x: np.ndarray, target: np.ndarray, bumps: Mapping[str, np.ndarray], caption: str) -> None:
    """Show policies on a line over the target, which is a shade.

    Args:
        x: where the answers lie, ``(answers,)``.
        target: log pi*, ``(answers,)``.
        bumps: log pi by the name of the objective.
        caption: written below.
    """
    with picture("A target with two modes, and the bell that each objective chooses.", caption, size=(5, 2.6)) as axes:
        axes.fill_between(x, np.exp(target), color=EXACT_COLOR, alpha=0.18, linewidth=0, label="target")
        for name, bump in bumps.items():
            axes.plot(x, np.exp(bump), color=COLORS[name], label=name, linestyle="--" if "KL" in name else "-")
        axes.set(xlim=(x[0], x[-1]), ylim=(0, None), xlabel="answer $y$", ylabel=r"$\pi(y)$")
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))


def show_minima(x: np.ndarray, curves: Mapping[str, np.ndarray]) -> None:
    """Show curves with a dot at the least value of each, named below with its place.

    Args:
        x: along the axis, ``(points,)``.
        curves: values by name, ``(points,)``; at most three.
    """
    least = {name: x[values.argmin()] for name, values in curves.items()}
    caption = "least at: " + ", ".join(f"{name} {place:+.2f}" for name, place in least.items())
    looks = zip((DPO_COLOR, EXACT_COLOR, PRINTED_COLOR), ("-", "--", "-"), curves.items(), strict=False)
    with picture("Loss curves over theta, with a dot at the lowest point of each.", caption) as axes:
        for color, dashes, (name, values) in looks:
            axes.plot(x, values, color=color, linestyle=dashes, label=name)
            axes.plot(least[name], values.min(), "o", color=color, markersize=4)
        axes.set(xlim=(x[0], x[-1]), xlabel=r"$\theta$", ylabel="loss (nats)")
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
