"""The pictures of the notebooks that need more lines than a cell has; each function shows one picture.

They take numbers that a notebook computed, and compute nothing but what is written on the picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pictures import picture, signed

from figures.ma2025 import P_SHADE, Q_SHADE
from figures.plots import plot_field
from figures.style import (
    BALANCED_COLOR,
    CHOSEN,
    DPO_COLOR,
    EXACT_COLOR,
    IPO_COLOR,
    OTHERS,
    REFERENCE,
    REJECTED,
    label_line,
)

if TYPE_CHECKING:
    from torch import Tensor

    from dynamics import StepAccount


# --- notebook 2 ----------------------------------------------------------------------------------------------------


def show_run(p: np.ndarray, loss: np.ndarray, names: Sequence[str]) -> None:
    """Show probabilities and loss by step; the first answer is the chosen one.

    Args:
        p: probabilities, ``(records, 3)``.
        loss: in nats, ``(records,)``.
        names: of chosen, rejected and third answer.
    """
    top = int(p[:, 0].argmax())
    caption = (
        f"{names[0]} {p[0, 0]:.3f} at the start, {p[top, 0]:.3f} at its peak in step {top}, {p[-1, 0]:.3f} at the "
    )
    caption += f"end\nthe loss falls at every step: {bool((np.diff(loss) < 0).all())}"
    with picture("Probabilities of three answers, and the loss, by step.", caption, size=(7, 2.3), columns=2) as axes:
        for values, color, name in zip(p.T, (CHOSEN, REJECTED, OTHERS), names, strict=True):
            axes[0].plot(values, color=color, label=name)
        axes[0].set(xlabel="step", ylabel=r"$\pi(y)$", ylim=(0, 1))
        axes[0].legend()
        axes[1].plot(loss, color=REFERENCE)
        axes[1].set(xlabel="step", ylabel="DPO loss (nats)", ylim=(0, None))


def show_answers_on_ruler(place: np.ndarray, p: np.ndarray, account: StepAccount, names: Sequence[str]) -> None:
    """Show answers at their places, as high as they are probable, with arrows for their first-order changes.

    Args:
        place: features along the direction of the step, ``(3,)``.
        p: probabilities, ``(3,)``.
        account: of the step.
        names: of chosen, rejected and third answer.
    """
    change, average, wide = account.predicted.numpy(), float(p @ place), np.ptp(place)
    arrows, colors = 0.2 * change / np.abs(change).max(), (CHOSEN, REJECTED, OTHERS)
    caption = "drives: " + signed(dict(zip(names, account.drive, strict=True))) + f"; average at {average:.3f}"
    with picture("Bars at the places of three answers; those behind the average fall.", caption) as axes:
        axes.axvline(average, color=REFERENCE, linewidth=0.8, linestyle="--")
        axes.bar(place, p, width=0.03 * wide, color=colors)
        for x, height, arrow, color, name in zip(place, p, arrows, colors, names, strict=True):
            tip = {"arrowstyle": "-|>", "color": color, "linewidth": 1.4}
            aside = x + 0.035 * wide
            if abs(arrow) > 5e-3:
                axes.annotate("", (aside, height + arrow), (aside, height), arrowprops=tip)
            axes.text(x, height + 0.06 + max(arrow, 0), name, color=color, ha="center", fontsize=7)
        axes.text(average, 1.13, "average", ha="center", fontsize=7)
        axes.set(xlabel=r"place on the ruler, $\phi_y\cdot d$", ylabel=r"$\pi(y)$", ylim=(0, 1.1))
        axes.margins(x=0.15)


def show_displaced_worlds(
    grid: Sequence[float], found: Sequence[Mapping[str, Tensor]], overlap: float, here: Mapping[str, Tensor]
) -> None:
    """Show in how many random worlds the chosen answer falls, and how far at one overlap.

    Args:
        grid: overlaps.
        found: at each of them ``displaced`` and ``sunk``, ``(worlds,)``.
        overlap: the one that is looked at.
        here: the same there, and ``change``, ``(worlds,)``.
    """
    shares = [100 * float(here[name].mean()) for name in ("displaced", "sunk")]
    caption = f"at overlap {overlap:g}: {shares[0]:.1f} % fall at the first step, {shares[1]:.1f} % after 4 nats"
    alt = "Left, how often the chosen answer falls, by overlap. Right, how far it falls in each world."
    with picture(alt, caption, size=(7, 2.3), columns=2) as (left, right):
        looks = (("displaced", OTHERS, "at the first step"), ("sunk", REFERENCE, "after 4 nats"))
        for (name, color, label), share in zip(looks, shares, strict=True):
            left.plot(grid, [100 * cell[name].mean() for cell in found], ".-", color=color, label=label)
            left.plot(overlap, share, "o", color=color, markersize=6)
        left.set(xlabel="overlap of the pair", ylabel="chosen answer fell (%)", ylim=(-2, 80), xlim=(-0.55, 1.0))
        left.legend(loc="upper left")
        change, bins = here["change"].numpy().clip(-8, 4), np.arange(-8, 4.5, 0.5)
        right.hist(change, bins=bins, color="#DDDDDD")
        right.hist(change[change < 0], bins=bins, color=CHOSEN)
        right.axvline(0, color=REFERENCE, linewidth=0.6)
        right.set(xlabel=r"change of $\log\pi_w$ after 4 nats (ends: or beyond)", ylabel="worlds", xlim=(-8, 4))


# --- notebook 3 ----------------------------------------------------------------------------------------------------


def show_arrows_and_path(places: np.ndarray, velocities: np.ndarray, path: np.ndarray, caption: str) -> None:
    """Show the field in ratio coordinates and one way down.

    Args:
        places: (x1, x2) of the arrows, ``(points, 2)``.
        velocities: minus the gradient there, same shape.
        path: points of the way, ``(times, 2)``.
        caption: written below.
    """
    with picture("Arrows at right angles to the radius, and an arc of a circle.", caption, size=(3.4, 3.2)) as axes:
        axes.set(xlim=(0, 1.5), ylim=(0, 1.5), aspect="equal", xlabel="$x_1$ (chosen)", ylabel="$x_2$ (rejected)")
        plot_field(axes, places, velocities)
        axes.plot(*path.T, color=CHOSEN)
        axes.plot(*path[0], "o", color=CHOSEN, markersize=4)
        axes.axhline(0, color=REJECTED, linewidth=1.6, clip_on=False)


def show_hitting_times(betas: np.ndarray, times: list[float]) -> None:
    """Show the time to reach x2 = 0 from (1, 1), by beta."""
    at = {beta: times[int(np.abs(betas - beta).argmin())] for beta in (0.1, 0.5, 1.0, 1.5)}
    caption = "x2 = 0 is reached at time " + ", ".join(f"{time:.4f} (beta {beta:g})" for beta, time in at.items())
    alt = "A time that is least near beta = 1 and grows without bound towards 0 and towards 2."
    with picture(alt, caption, size=(5, 2.2)) as axes:
        axes.semilogy(betas, times, color=CHOSEN)
        axes.axvline(2, color=REJECTED, linewidth=1, linestyle="--")
        label_line(axes, 2.02, 40, "never", REJECTED)
        axes.plot(1, 1 + np.pi / 4, "o", color=REFERENCE, markersize=4)
        label_line(axes, 0.93, 1.35, r"$1+\pi/4$", REFERENCE)
        axes.set(xlabel=r"$\beta$", ylabel="time to reach $x_2=0$", xlim=(0, 2.3), ylim=(1, 120))


def show_ways_down(ways: Mapping[str, np.ndarray], ref_w: float, ref_l: float) -> None:
    """Show descents of one loss as curves of (x1, x2); no policy is in the shade.

    Args:
        ways: points by name, ``(times, 2)``: in ratios, in logarithms, tabular, ladder.
        ref_w: probability of the chosen answer under the reference.
        ref_l: probability of the rejected answer under the reference.
    """
    colors, edge = (CHOSEN, OTHERS, EXACT_COLOR, IPO_COLOR), 1.15 / ref_w
    ends = [f"{name}: x1 {x1:.4f}, pi_w {ref_w * x1:.4f}, x2 {x2:.1e}" for name, (*_, (x1, x2)) in ways.items()]
    caption = "ends:\n" + "\n".join(ends)
    with picture("Four ways down the same loss that end at four places.", caption, size=(5, 2.8)) as axes:
        axes.fill_between([0, edge], [1 / ref_l, (1 - ref_w * edge) / ref_l], 9, color="#EEEEEE", linewidth=0)
        axes.plot([0, 1 / ref_w], [1 / ref_l, 0], color=REFERENCE, linewidth=0.8)
        for color, (name, way) in zip(colors, ways.items(), strict=True):
            axes.plot(*way.T, color=color, label=name)
            if way[-1, 0] < edge:
                axes.plot(*way[-1], "o", color=color, markersize=4, clip_on=False)
        axes.plot(1, 1, "o", color=REFERENCE, markersize=5)
        axes.set(xlim=(0, edge), ylim=(0, 1.3), xlabel=r"$x_1=\pi_w/\mathrm{ref}_w$")
        axes.set_ylabel(r"$x_2=\pi_l/\mathrm{ref}_l$")
        axes.legend(loc="upper right")


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
        bells = ((log_policy, P_SHADE, "policy", -1), (log_utility, Q_SHADE, "preference", 1))
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
