"""The pictures of the notebooks that need more lines than a cell has; each function shows one picture.

They take numbers that a notebook computed, and compute nothing but what is written on the picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pictures import picture

from figures.language_model_probe import GROUP_COLORS
from figures.plots import plot_changes
from figures.reward_runs import band, errors, fall
from figures.style import (
    CHOSEN,
    DPO_COLOR,
    EXACT_COLOR,
    GREEDY,
    OTHERS,
    PRINTED_COLOR,
    REFERENCE,
    REJECTED,
    RLHF_COLOR,
    SELF_PO_COLOR,
    label_line,
)

if TYPE_CHECKING:
    from torch import Tensor

    from dynamics import Table
    from dynamics.language_model import ModelStep
    from dynamics.losses.base import MarginLoss
    from toy_models.multiplication.probe import ProbeRun


# --- notebook 6 ----------------------------------------------------------------------------------------------------

METHODS = {"simpo": ("SimPO", DPO_COLOR), "silu": ("Self PO", SELF_PO_COLOR)}


def show_loss_and_push(margin: Tensor, losses: Mapping[str, MarginLoss]) -> None:
    """Show two losses of the margin, and how hard they push on it.

    Args:
        margin: values, ``(points,)``.
        losses: the logistic loss, and the one whose least value is written below.
    """
    (_, loss), alt = list(losses.items())[-1], "Two losses by margin, and how hard each pushes the margin up."
    values, pushes = loss.of_margin(margin), -loss.derivative(margin)
    least = int(values.argmin())
    caption = f"{list(losses)[-1]}: least loss {float(values[least]):.4f} at margin {float(margin[least]):.4f}; "
    caption += f"push between {float(pushes.min()):.4f} and {float(pushes.max()):.4f}"
    with picture(alt, caption, size=(7, 2.4), columns=2) as (left, right):
        for color, dashes, (name, one) in zip((DPO_COLOR, SELF_PO_COLOR), ("--", "-"), losses.items(), strict=True):
            left.plot(margin, one.of_margin(margin), color=color, linestyle=dashes, label=name)
            right.plot(margin, -one.derivative(margin), color=color, linestyle=dashes)
        for axes in (left, right):
            axes.axhline(0, color=REFERENCE, linewidth=0.5)
        left.set(xlabel="margin $m$", ylabel="loss (nats)", ylim=(-1, 7))
        right.set(xlabel="margin $m$", ylabel="push on the margin", ylim=(-0.4, 1.4))
        left.legend()


def show_margins(margins: Mapping[str, np.ndarray], floor: float) -> None:
    """Show the margin of one pair by step, and the floor.

    Args:
        margins: by the name of the loss in ``METHODS``, ``(steps + 1,)``; Self PO's last four are written below.
        floor: margin at which Self PO's loss is least.
    """
    caption = "last four margins of Self PO: " + " ".join(f"{value:.3f}" for value in margins["silu"][-4:])
    with picture("The margin of one pair by step, for SimPO and Self PO, and the floor.", caption) as axes:
        for loss, values in margins.items():
            name, color = METHODS[loss]
            axes.plot(values, color=color, marker="o", markersize=2, linewidth=1, label=name)
        axes.axhline(floor, color=REFERENCE, linewidth=0.8, linestyle=":")
        label_line(axes, 60, floor - 1.1, "floor", REFERENCE, ha="right")
        axes.set(xlabel="step", ylabel="margin $m$", xlim=(0, 60))
        axes.legend()


def show_noisy_labels(share: np.ndarray, learnt: Mapping[str, np.ndarray], floor: float) -> None:
    """Show the margins that two losses learn, by the share of right labels.

    Args:
        share: of right labels, ``(prompts,)``.
        learnt: margin by the name of the loss, ``(prompts,)``.
        floor: margin at which Self PO's loss is least.
    """
    rows = {"share": share, **learnt}
    caption = "\n".join(f"{name}: " + " ".join(f"{value:.2f}" for value in values) for name, values in rows.items())
    with picture("Margins that rise with the share of right labels; Self PO's stay below the floor.", caption) as axes:
        for color, (name, values) in zip((DPO_COLOR, SELF_PO_COLOR), learnt.items(), strict=True):
            axes.plot(share, values, "o-", color=color, markersize=4, label=name)
        axes.axhline(floor, color=REFERENCE, linewidth=0.8, linestyle=":")
        label_line(axes, 0.6, floor + 0.12, "floor", REFERENCE)
        axes.set(xlabel="share of right labels", ylabel="margin learnt")
        axes.legend()


def show_two_trainings(table: Table) -> None:
    """Show median margin, chosen answers and true reward of both losses by step, with standard errors over worlds.

    Args:
        table: of ``sweep`` over ``toy_models.overoptimization.train``.
    """
    panels = {"median_margin": "median margin", "chosen": "chosen, nats per token", "reward": "true reward, held out"}
    lines, ends = [], {}
    for loss, (name, _) in METHODS.items():
        runs = table.where(loss=loss)
        reward, top = runs["reward"], runs["reward"].mean(0).argmax()
        margin, chosen = (runs[result][:, -1].mean() for result in ("median_margin", "chosen"))
        ends[loss] = reward[:, -1]
        peak = f"{reward[:, top].mean():+.2f} at its peak (step {runs['step'][0][top]:.0f})"
        lost = _with_error(fall(reward))
        lines.append(
            f"{name}: median margin {margin:.2f} and chosen {chosen:.1f} at the end; reward {peak}, fall {lost}"
        )
    lines.append(f"reward of Self PO less that of SimPO at the end: {_with_error(ends['silu'] - ends['simpo'])}")
    alt = "Median margin, log-probability of the chosen answers and true reward by step, for SimPO and Self PO."
    with picture(alt, "\n".join(lines), size=(7, 2.3), columns=3) as row:
        for loss, (name, color) in METHODS.items():
            runs = table.where(loss=loss)
            for axes, (result, title) in zip(row, panels.items(), strict=True):
                band(axes, runs["step"][0], runs[result], color, label=name)
                axes.set(xlabel="step", ylabel=title)
        row[2].axhline(0, color=OTHERS, linewidth=0.6)
        row[0].legend()


def _with_error(values: np.ndarray) -> str:
    """Return a mean with its standard error in brackets."""
    mean, error = errors(values)
    return f"{mean:+.2f}({error:.2f})"


# --- notebook 7 ----------------------------------------------------------------------------------------------------


def show_answer_changes(account: ModelStep, texts: Sequence[str]) -> None:
    """Show the changes of answers in one step of a language model: predicted as bars, actual as dots.

    Args:
        account: of ``model_step``; the first answer is the chosen one, the second the rejected one.
        texts: the answers; 121 is the most probable one.
    """
    p = account.log_probs.exp()
    colors = [CHOSEN, REJECTED, *(GREEDY if text == "121" else OTHERS for text in texts[2:])]
    caption = f"log pi of the chosen answer: predicted {account.predicted_log_change[0]:+.5f}, "
    caption += f"actual {account.actual_log_change[0]:+.5f}"
    with picture("Predicted changes of answers as bars, actual ones as dots.", caption, size=(6.5, 2.4)) as axes:
        predicted, actual = p * account.predicted_log_change, account.new_log_probs.exp() - p
        plot_changes(axes, predicted, actual, names=texts, colors=colors)
        axes.tick_params(axis="x", labelsize=7)


def show_followed(result: ProbeRun, groups: Sequence[str], rejected: Sequence[str]) -> None:
    """Show by step how log pi of chosen, rejected and most probable answer changes, and where the probability is.

    Args:
        result: of ``follow``.
        groups: names of the groups of answers.
        rejected: the rejected answers.
    """
    (start, end), change = result.mass[[0, -1], 2], result.change
    caption = f"rejected: {', '.join(rejected)}\n"
    if result.first_move is not None:
        predicted, actual = result.first_move.predicted[2], result.first_move.actual[2]
        caption += f"log pi of 121: first step predicted {predicted:+.4f}, actual {actual:+.4f}; "
    caption += f"after {len(change) - 1} steps {change[-1, 2]:+.2f}; its probability {start:.3f} to {end:.3f}\n"
    caption += f"log pi of the chosen answers in the end: {change[-1, 0]:+.2f}"
    alt = "Changes of log pi by step, and the probability of every group of answers as layers."
    with picture(alt, caption, size=(7, 2.6), columns=2) as (left, right):
        for values, color, name in zip(change.T, GROUP_COLORS, ("chosen", "rejected", "y* = 121"), strict=False):
            left.plot(values, color=color, label=name)
        left.axhline(0, color=REFERENCE, linewidth=0.5)
        left.set(xlabel="step", ylabel=r"change of $\log\pi$ (nats)")
        left.legend()
        right.stackplot(range(len(result.mass)), result.mass.T, colors=GROUP_COLORS, labels=groups)
        right.set(xlabel="step", ylabel="probability", xlim=(0, len(result.mass) - 1), ylim=(0, 1))
        handles, labels = right.get_legend_handles_labels()
        right.legend(handles[::-1], labels[::-1], loc="upper left", bbox_to_anchor=(1, 1))


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
