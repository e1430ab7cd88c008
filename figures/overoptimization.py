"""sun2025 Figures 3 and 5 on a tiny language model with a known true reward."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

from dynamics.grid import sweep
from figures.accuracy import ONE_CASE, TRAINED
from figures.registry import Arrays, figure
from figures.style import (
    CHOSEN,
    COLUMN_WIDTH,
    DPO_COLOR,
    PAGE_WIDTH,
    REFERENCE,
    REJECTED,
    SELF_PO_COLOR,
    label_line,
    label_panel,
)
from theory.sun2025.floor import FLOOR_MARGIN
from toy_models.overoptimization import STATIC, train

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

STEPS_LABEL = "training step"


def runs_of(losses: tuple[str, ...], seeds: int, results: tuple[str, ...], **settings: Any) -> Arrays:
    """Train every loss on every seed and return the results named, ``LOSS_RESULT`` of shape (seeds, records)."""
    grid = {"loss": list(losses)} | {name: [value] for name, value in settings.items()}
    table = sweep(train, grid, range(seeds), static=[name for name in STATIC if name in grid], jobs=1)
    found = {"step": table["step"][0]}
    for loss in losses:
        rows = table.where(loss=loss)
        found |= {f"{loss}_{result}": rows[result] for result in results}
    return found


def errors(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean over the first axis, seeds, and its standard error."""
    return values.mean(0), values.std(0, ddof=1) / np.sqrt(len(values))


def above(values: np.ndarray, least: float = 3.0) -> bool:
    """Return whether the mean over seeds is above 0 by ``least`` standard errors."""
    mean, error = errors(values)
    return bool(error > 0 and mean > least * error)


def fall(reward: np.ndarray) -> np.ndarray:
    """Return how far each seed ends below its value at the step where the mean curve peaks."""
    return reward[:, reward.mean(0).argmax()] - reward[:, -1]


def band(axes: Axes, x: np.ndarray, values: np.ndarray, color: str, **line: object) -> None:
    """Draw the mean over seeds, and a band of one standard error on each side."""
    mean, error = errors(values)
    axes.fill_between(x, mean - error, mean + error, color=color, alpha=0.18, linewidth=0)
    axes.plot(x, mean, color=color, **line)  # type: ignore[arg-type]


@figure(
    "sun2025-3",
    "SimPO on a tiny language model: both log-probabilities fall, and then so does the true reward",
    source="Sun et al. 2025, Figure 3",
    caption="Mean over worlds, bands of one standard error. (a) Log-probability per token of the chosen and rejected "
    "responses of the training pairs: after a short rise of the chosen ones both fall, the rejected ones further. "
    "(b) The median margin of those pairs grows without bound. (c) Expected true reward on held-out prompts, in "
    "standard deviations of the reference's: it peaks early and most of the gain is lost while the margin keeps "
    "growing.",
    differs="A world of 341 responses takes the place of Zephyr on UltraFeedback, with AdamW. Panels (b) and (c) are "
    "added: the paper infers over-optimization from (a) alone.",
    claims=("sun2025.both-may-fall", "sun2025.logistic-never-settles"),
    accuracy={"*": TRAINED},
)
def simpo_falls(seeds: int = 24, gamma: float = 0.8) -> Arrays:
    """Train SimPO on many worlds."""
    return runs_of(("simpo",), seeds, ("chosen", "rejected", "median_margin", "reward"), gamma=gamma)


@simpo_falls.check
def both_fall_the_rejected_more(arrays: Arrays) -> bool:
    """Both log-probabilities end below where they began, the rejected one by more (3 standard errors each)."""
    chosen, rejected = (
        arrays[f"simpo_{name}"][:, 0] - arrays[f"simpo_{name}"][:, -1] for name in ("chosen", "rejected")
    )
    return above(chosen) and above(rejected) and above(rejected - chosen)


@simpo_falls.check
def the_chosen_rise_first(arrays: Arrays) -> bool:
    """The chosen responses rise before they fall (3 standard errors)."""
    chosen = arrays["simpo_chosen"]
    return above(chosen[:, chosen.mean(0).argmax()] - chosen[:, 0])


@simpo_falls.check
def the_margin_never_settles(arrays: Arrays) -> bool:
    """The mean over worlds of the median margin grows in every interval, beyond Self PO's floor 1.2785."""
    margin = arrays["simpo_median_margin"].mean(0)
    return bool((np.diff(margin) > 0).all() and margin[-1] > 2 * FLOOR_MARGIN)


@simpo_falls.check
def the_reward_rises_and_falls(arrays: Arrays) -> bool:
    """The true reward rises from the reference and ends below its peak (3 standard errors each)."""
    reward = arrays["simpo_reward"]
    peak = reward.mean(0).argmax()
    return 0 < peak < reward.shape[1] - 1 and above(reward[:, peak] - reward[:, 0]) and above(fall(reward))


@simpo_falls.draw
def _draw_simpo_falls(arrays: Arrays) -> Drawing:
    drawing, (first, second, third) = plt.subplots(
        3, 1, figsize=(COLUMN_WIDTH, 4.6), sharex=True, gridspec_kw={"height_ratios": (1.5, 1, 1)}
    )
    step = arrays["step"]
    band(first, step, arrays["simpo_chosen"], CHOSEN)
    band(first, step, arrays["simpo_rejected"], REJECTED)
    first.set_ylabel("log-probability\n(nats per token)")
    label_line(first, step[-1] * 0.62, arrays["simpo_chosen"].mean(0)[-1] + 1.3, "chosen", CHOSEN)
    label_line(first, step[-1] * 0.4, arrays["simpo_rejected"].mean(0)[-1] + 0.9, "rejected", REJECTED)
    band(second, step, arrays["simpo_median_margin"], DPO_COLOR)
    second.axhline(FLOOR_MARGIN, color=SELF_PO_COLOR, linewidth=0.8, linestyle="--")
    label_line(second, step[-1] * 0.6, FLOOR_MARGIN - 0.95, "floor of Self PO", SELF_PO_COLOR)
    second.set_ylabel("median margin")
    band(third, step, arrays["simpo_reward"], DPO_COLOR)
    third.axhline(0, color="#AAAAAA", linewidth=0.6)
    third.set(ylabel="true reward", xlabel=STEPS_LABEL, xlim=(0, step[-1]))
    for axes, letter in ((first, "a"), (second, "b"), (third, "c")):
        label_panel(axes, letter)
    return drawing


WORLDS: dict[str, dict[str, Any]] = {
    "base": {},
    "harmless": {"nonsense_cost": 0.0},
    "sgd": {"optimizer": "sgd", "learning_rate": 1.0},
}
"""The worlds of Figure 5: as they are, with nonsense that costs nothing, and with plain gradient descent."""


@figure(
    "sun2025-5",
    "Self PO beside SimPO: its chosen responses fall less, its true reward falls all the same",
    source="Sun et al. 2025, Figure 5",
    caption="Purple SimPO, pink Self PO; mean over worlds, bands of one standard error. (a) Chosen responses fall "
    "less with Self PO. (b) Training accuracy rises alike; held-out accuracy peaks early and ends lower with Self "
    "PO. (c) Expected true reward on held-out prompts: both lose their gain, or most of it, Self PO no less than "
    "SimPO, though its median margin has settled. (d) The fall depends on the world and the optimizer: where "
    "nonsense costs nothing, or with plain gradient descent, it is small or absent, and SimPO ends higher.",
    differs="A world of 341 responses takes the place of Zephyr on UltraFeedback. Reproduced: chosen responses fall "
    "less. Not reproduced: a higher accuracy of Self PO (equal in training, lower held out). Held-out accuracy and "
    "true reward, which the paper does not show, speak against its reading that the loss prevents over-optimization.",
    claims=("sun2025.settles", "sun2025.shared-parameters", "sun2025.levels-unconstrained"),
    accuracy={"*_test_accuracy": ONE_CASE, "*": TRAINED},
)
def self_po_beside_simpo(seeds: int = 24, gamma: float = 0.8) -> Arrays:
    """Train both losses in three ways: in the worlds as they are, with harmless nonsense, and with SGD."""
    results = ("chosen", "train_accuracy", "test_accuracy", "median_margin", "largest_margin", "reward")
    arrays: Arrays = {}
    for world, settings in WORLDS.items():
        found = runs_of(("simpo", "silu"), seeds, results if world == "base" else ("reward",), gamma=gamma, **settings)
        step = found.pop("step")
        arrays |= {"step": step} | {f"{world}_{name}": values for name, values in found.items()}
    return arrays


@self_po_beside_simpo.check
def self_po_falls_less(arrays: Arrays) -> bool:
    """The chosen responses fall with both losses, with Self PO by less (3 standard errors, worlds paired)."""
    simpo, silu = (
        arrays[f"base_{name}_chosen"][:, 0] - arrays[f"base_{name}_chosen"][:, -1] for name in ("simpo", "silu")
    )
    return above(simpo) and above(silu) and above(simpo - silu)


@self_po_beside_simpo.check
def training_accuracy_is_alike(arrays: Arrays) -> bool:
    """Training accuracy rises above 0.9 with both losses, and ends within 0.01 of one another."""
    ends = [arrays[f"base_{name}_train_accuracy"][:, -1].mean() for name in ("simpo", "silu")]
    return bool(min(ends) > 0.9 and abs(ends[1] - ends[0]) < 0.01)


@self_po_beside_simpo.check
def held_out_accuracy_is_no_higher(arrays: Arrays) -> bool:
    """Held-out accuracy ends above its start for both, and lower with Self PO than with SimPO (2 standard errors)."""
    simpo, silu = (arrays[f"base_{name}_test_accuracy"] for name in ("simpo", "silu"))
    return above(simpo[:, -1] - simpo[:, 0]) and above(silu[:, -1] - silu[:, 0]) and above((simpo - silu)[:, -1], 2)


@self_po_beside_simpo.check
def the_reward_of_both_falls(arrays: Arrays) -> bool:
    """The true reward ends below its peak with both losses (2 standard errors), with Self PO not above SimPO's."""
    simpo, silu = (arrays[f"base_{name}_reward"] for name in ("simpo", "silu"))
    return above(fall(simpo), 2) and above(fall(silu), 2) and bool((silu - simpo)[:, -1].mean() < 0)


@self_po_beside_simpo.check
def the_median_settles_and_the_largest_does_not(arrays: Arrays) -> bool:
    """Self PO's median margin ends within 0.2 of its floor; its largest one is beyond the floor in every world."""
    median, largest = (arrays[f"base_silu_{name}_margin"][:, -1] for name in ("median", "largest"))
    return bool(abs(median.mean() - FLOOR_MARGIN) < 0.2 and (largest > 1.5 * FLOOR_MARGIN).all())


@self_po_beside_simpo.check
def the_fall_needs_nonsense_and_large_steps(arrays: Arrays) -> bool:
    """Where nonsense is harmless, or with SGD, less than a third of the fall remains; SimPO ends higher."""
    seen = []
    for world in ("harmless", "sgd"):
        simpo, silu = (arrays[f"{world}_{name}_reward"] for name in ("simpo", "silu"))
        falls = [(fall(simpo), fall(arrays["base_simpo_reward"])), (fall(silu), fall(arrays["base_silu_reward"]))]
        seen += [3 * less.mean() < more.mean() for less, more in falls]
        seen += [above(simpo[:, -1]), above(silu[:, -1]), simpo[:, -1].mean() > silu[:, -1].mean()]
    return all(seen)


@self_po_beside_simpo.draw
def _draw_self_po_beside_simpo(arrays: Arrays) -> Drawing:
    drawing, ((a, b), (c, d)) = plt.subplots(2, 2, figsize=(PAGE_WIDTH, 4.2), sharex=True)
    step = arrays["step"]
    for name, color in (("simpo", DPO_COLOR), ("silu", SELF_PO_COLOR)):
        band(a, step, arrays[f"base_{name}_chosen"], color)
        band(b, step, arrays[f"base_{name}_train_accuracy"], color)
        band(b, step, arrays[f"base_{name}_test_accuracy"], color, linestyle="--")
        band(c, step, arrays[f"base_{name}_reward"], color)
        band(d, step, arrays[f"harmless_{name}_reward"], color, linestyle="--")
        band(d, step, arrays[f"sgd_{name}_reward"], color, linestyle=":")
    for axes in (c, d):
        axes.axhline(0, color="#AAAAAA", linewidth=0.6)
        axes.set(xlabel=STEPS_LABEL, xlim=(0, step[-1]), ylim=(-0.45, 0.95))
    a.set_ylabel("chosen log-probability\n(nats per token)")
    b.set(ylabel="accuracy", ylim=(0.45, 1.03))
    c.set_ylabel("true reward, held out")
    d.set_ylabel("true reward, held out")
    end = step[-1]
    label_line(a, 0.72 * end, arrays["base_silu_chosen"].mean(0)[-1] + 0.65, "Self PO", SELF_PO_COLOR)
    label_line(a, 0.5 * end, arrays["base_simpo_chosen"].mean(0)[-1] + 0.25, "SimPO", DPO_COLOR)
    label_line(b, 0.55 * end, 0.9, "training pairs", REFERENCE)
    label_line(b, 0.55 * end, 0.71, "held-out pairs", REFERENCE)
    label_line(d, 0.7 * end, 0.86, "SGD (dotted)", REFERENCE)
    label_line(d, 0.38 * end, 0.1, "harmless nonsense (dashed)", REFERENCE)
    label_line(c, 0.42 * end, 0.42, "SimPO", DPO_COLOR)
    label_line(c, 0.5 * end, -0.26, "Self PO", SELF_PO_COLOR)
    c.set_title("AdamW, nonsense has a cost")
    d.set_title("with one of the two changed")
    for axes, letter in ((a, "a"), (b, "b"), (c, "c"), (d, "d")):
        label_panel(axes, letter)
    return drawing
