"""Small multiples of training runs: four losses on one pair, for policies that share nothing, something and all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from dynamics import DPO, IPO, Hinge, LogLinear, SelfPO, Tabular, pairs, simulate, tabular_theta
from figures.accuracy import TRAINED
from figures.plots import plot_trajectory
from figures.registry import Arrays, figure
from figures.style import CHOSEN, OTHERS, PAGE_WIDTH, REFERENCE, REJECTED, label_line
from theory.sun2025.floor import FLOOR_MARGIN

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from dynamics import Policy, PreferenceLoss

BETA = 0.5
LOSSES: dict[str, PreferenceLoss] = {
    "DPO": DPO(beta=BETA),
    "IPO": IPO(beta=BETA),
    "hinge": Hinge(beta=BETA),
    "Self PO": SelfPO(beta=BETA, gamma=0.0, length_normalized=False),
}
POLICIES: dict[str, tuple[Policy, list[float]]] = {
    "tabular": (Tabular(3), tabular_theta([0.25, 0.35, 0.4]).tolist()),
    "alike features": (LogLinear([[1.0, 0.0], [0.9, 0.44], [0.3, -0.95]]), [0.5, 0.5]),
    "ladder": (LogLinear([[1.0], [0.0], [2.0]]), [-3.0]),
}
"""Policies by name, with the parameters from which they start."""

W, L, OTHER = range(3)


@figure(
    "new-training-runs",
    "Four losses on one pair: whether the chosen response ends up depends more on the policy than on the loss",
    source="not in the papers",
    caption="Log-probabilities of the chosen response (blue), the rejected one (orange) and a third (grey, dashed), by "
    "loss and policy; full gradient steps. Dotted: where the chosen response began. In the tabular policy it ends "
    "above that with every loss; with alike features it ends below with every loss. On the ladder, where one parameter "
    "moves all three, it does so with DPO only. IPO, the hinge and Self PO come to rest at a margin; DPO does not.",
    claims=("jian2025.tabular-signs", "jian2025.theorem-1", "sun2025.settles"),
    accuracy={"log_probs": TRAINED},
)
def training_runs(steps: int = 1000, learning_rate: float = 0.2) -> Arrays:
    """Run every loss on every policy."""
    one_pair = pairs(W, L, shape=(3,))
    rows = []
    for policy, theta in POLICIES.values():
        runs = simulate(policy, theta, one_pair, loss=list(LOSSES.values()), steps=steps, learning_rate=learning_rate)
        rows.append(np.moveaxis(runs.log_probs[:, :, 0, 0].numpy(), 0, 1))
    return {"step": runs.steps, "log_probs": np.stack(rows)}


def _log_ratio(arrays: Arrays) -> np.ndarray:
    """Return log pi_w - log pi_l, ``(policies, losses, steps)``."""
    return np.asarray(arrays["log_probs"][..., W] - arrays["log_probs"][..., L])


@training_runs.check
def the_log_ratio_rises_first(arrays: Arrays) -> bool:
    """The first step raises log pi(y_w) - log pi(y_l) in every panel, and probabilities sum to one throughout."""
    sums = np.abs(np.exp(arrays["log_probs"]).sum(-1) - 1).max()
    return bool((np.diff(_log_ratio(arrays))[..., 0] > 1e-6).all() and sums < 1e-9)


@training_runs.check
def tabular_never_displaces(arrays: Arrays) -> bool:
    """In the tabular policy the chosen response ends above its start, and the rejected one below, with every loss."""
    change = arrays["log_probs"][0, :, -1] - arrays["log_probs"][0, :, 0]
    return bool((change[:, W] > 0.01).all() and (change[:, L] < -0.01).all())


@training_runs.check
def alike_features_always_displace(arrays: Arrays) -> bool:
    """With alike features both responses of the pair end below their start with every loss."""
    change = arrays["log_probs"][1, :, -1] - arrays["log_probs"][1, :, 0]
    return bool((change[:, [W, L]] < -0.01).all())


@training_runs.check
def on_the_ladder_only_dpo_does(arrays: Arrays) -> bool:
    """On the ladder the chosen response ends below its start with DPO, to the gain of the third, and above it else."""
    log_probs = arrays["log_probs"][2]
    change = log_probs[:, -1, W] - log_probs[:, 0, W]
    lower = change < 0
    third = np.exp(log_probs[list(LOSSES).index("DPO"), -1, OTHER])
    names = [name for name, below in zip(LOSSES, lower, strict=True) if below]
    return bool(np.abs(change).min() > 0.01 and names == ["DPO"] and third > 0.9)


@training_runs.check
def three_losses_come_to_rest(arrays: Arrays) -> bool:
    """IPO gains the margin 1/(2 beta), the hinge stops at 1/beta or above, Self PO ends within 0.1 of its floor."""
    ratio = _log_ratio(arrays)
    gain = ratio - ratio[..., :1]
    ipo, hinge, self_po = (list(LOSSES).index(name) for name in ("IPO", "hinge", "Self PO"))
    rest = np.abs(gain[:, ipo, -1] - 1 / (2 * BETA)).max() < 1e-3
    floor = np.abs(BETA * ratio[:, self_po, -1] - FLOOR_MARGIN).max() < 0.1
    stops = (gain[:, hinge, -1] > 1 / BETA - 1e-9).all() and np.abs(np.diff(gain[:, hinge, -9:])).max() < 1e-9
    return bool(rest and floor and stops)


@training_runs.check
def dpo_does_not_rest(arrays: Arrays) -> bool:
    """With DPO the log-ratio rises at every step, in every policy."""
    return bool((np.diff(_log_ratio(arrays)[:, list(LOSSES).index("DPO")]) > 1e-6).all())


@training_runs.draw
def _draw(arrays: Arrays) -> Drawing:
    drawing, panels = plt.subplots(
        len(POLICIES), len(LOSSES), figsize=(PAGE_WIDTH, 4.6), sharex=True, sharey="row", squeeze=False
    )
    for row, policy in enumerate(POLICIES):
        for column, loss in enumerate(LOSSES):
            axes, log_probs = panels[row, column], arrays["log_probs"][row, column]
            plot_trajectory(axes, arrays["step"], log_probs, chosen=W, rejected=L, names=("", "", ""))
            axes.axhline(log_probs[0, W], color=REFERENCE, linewidth=0.6, linestyle=":")
            axes.set(xlabel="step" if row == len(POLICIES) - 1 else "", ylabel="")
            if row == 0:
                axes.set_title(loss)
        panels[row, 0].set_ylabel(f"{policy}\n$\\log\\,\\pi$ (nats)")
    last = arrays["step"][-1]
    for color, name, y in ((CHOSEN, "chosen", W), (OTHERS, "third", OTHER), (REJECTED, "rejected", L)):
        height = arrays["log_probs"][0, 0, len(arrays["step"]) // 2, y]
        label_line(panels[0, 0], last / 2, height, name, color, ha="center", va="bottom")
    return drawing
