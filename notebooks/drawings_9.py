"""The pictures of notebook 9: a watched training run, and many steps that are predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pictures import picture

from dynamics.language_model.watching.run_log import RunLog
from figures.style import CHOSEN, EXACT_COLOR, GREEDY, OTHERS, PRINTED_COLOR, REFERENCE, REJECTED, label_line

ROLES = {"chosen": CHOSEN, "rejected": REJECTED, "greedy": GREEDY, "other_prompt": OTHERS}


def show_metrics(history: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    """Draw metrics that a trainer has logged against the step, one panel each."""
    known = {name: [(entry["step"], float(entry[name])) for entry in history if name in entry] for name in names}
    ends = ", ".join(f"{name} from {values[0][1]:.2f} to {values[-1][1]:.2f}" for name, values in known.items())
    with picture("Metrics of the trainer by step.", ends, columns=len(names), size=(6.0, 2.0)) as panels:
        for axes, (name, values) in zip(panels, known.items(), strict=True):
            axes.plot(*zip(*values, strict=True), color=REFERENCE)
            axes.set(xlabel="step", title=name)


def show_predictions(log: RunLog, number: int) -> None:
    """Draw the change of log pi(chosen) of every pair up to one look against the prediction for it."""
    assert log.start is not None
    assert log.prediction is not None
    look = log.looks[number - 1]
    before, after = (np.array(one["log_probs"]["chosen"]) for one in (log.start, look))
    predicted, actual = np.array(log.prediction["slope"]["chosen"]) * look["rate_sum"], after - before
    right = np.sign(predicted) == np.sign(actual)
    falls, fell = (predicted < 0).sum(), (actual < 0).sum()
    words = f"step {look['step']}: {falls} predicted to fall, {fell} fell, {right.sum()} of {len(right)} signs right"
    with picture("Predicted and actual changes of log pi(chosen).", words, size=(3.4, 2.6)) as axes:
        axes.axhline(0, color=REFERENCE, linewidth=0.6)
        axes.axvline(0, color=REFERENCE, linewidth=0.6)
        axes.scatter(predicted, actual, s=18, color=np.where(right, CHOSEN, "white"), edgecolor=CHOSEN)
        axes.set(xlabel="predicted (nats)", ylabel="actual (nats)")


def show_roles(log: RunLog) -> None:
    """Draw the mean change of log pi of four kinds of responses against the step."""
    assert log.start is not None
    steps, means = [0, *(look["step"] for look in log.looks)], {}
    for role in ROLES:
        before = np.array(log.start["log_probs"][role], float)
        means[role] = [0.0, *(np.nanmean(np.array(look["log_probs"][role], float) - before) for look in log.looks)]
    ends = ", ".join(f"{role} {values[-1]:+.2f}" for role, values in means.items())
    with picture("Mean change of log pi by kind of response.", f"at the end: {ends}") as axes:
        for role, values in means.items():
            axes.plot(steps, values, color=ROLES[role])
        for place, role in enumerate(sorted(means, key=lambda role: means[role][-1])):
            axes.text(1.02, 0.1 + 0.2 * place, role.replace("_", " "), color=ROLES[role], transform=axes.transAxes)
        axes.set(xlabel="step", ylabel=r"change of $\log\pi$ (nats)")


def show_paths(actual: np.ndarray, frozen: np.ndarray, again: np.ndarray, every: int) -> None:
    """Draw log pi(chosen) along a run beside two predictions."""
    lines = {"actual": (actual, CHOSEN), "frozen": (frozen, PRINTED_COLOR), f"every {every}": (again, EXACT_COLOR)}
    ends = ", ".join(f"{name} {values[-1]:+.2f}" for name, (values, _) in lines.items())
    with picture("The chosen response along a run, actual and predicted.", f"at the end: {ends}") as axes:
        axes.axhline(0, color=REFERENCE, linewidth=0.6)
        for name, (values, color) in lines.items():
            axes.plot(values, color=color)
            label_line(axes, len(values), values[-1], name, color, va="center")
        axes.set(xlabel="step", ylabel=r"change of $\log\pi(y_w)$", xlim=(0, 1.25 * len(actual)))
