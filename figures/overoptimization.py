"""sun2025 Figures 3 and 5 on a tiny language model with a known true reward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

from figures.accuracy import ONE_CASE
from figures.registry import Arrays, figure
from figures.reward_runs import (
    BY_ADAMW,
    DIVERGENCE_LABEL,
    GAMMA_LINES,
    GAMMAS,
    LARGER_GAMMA,
    PRINTED_GAMMA,
    RATES,
    STEPS_LABEL,
    above,
    band,
    between,
    change,
    end,
    fall,
    named,
    runs_of,
    saturated,
    show_rates,
)
from figures.style import CHOSEN, DPO_COLOR, PAGE_WIDTH, REFERENCE, REJECTED, SELF_PO_COLOR, label_line, label_panel
from toy_models.overoptimization import SATURATED

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

SIMPO_RESULTS = ("chosen", "rejected", "median_margin", "reward")


@figure(
    "sun2025-3",
    "SimPO on a tiny language model: whether both log-probabilities fall depends on the learning rate, and whether "
    "the true reward falls on how often the same pairs are seen",
    source="Sun et al. 2025, Figure 3",
    caption="Mean over 16 worlds, bands of one standard error; solid $\\gamma=0.8$, dashed $\\gamma=2$. Columns: "
    "log-probability per token of chosen and rejected responses of pairs; their median margin; expected true reward "
    "on held-out prompts, in standard deviations of the reference's. Top: one epoch of 200 minibatches of 16 fresh "
    "pairs, cosine schedule, small learning rate: the chosen responses rise. Middle: the same with a large rate: both "
    "fall, the rejected ones further, as in print, and the true reward rises to the end. Bottom: 64 pairs seen 400 "
    "times: both fall, the margin grows all the time, and most of the gain in true reward is lost. Both falling is "
    "therefore no sign of over-optimization. What depends on the setting: the direction of the chosen responses on "
    "the learning rate, the fall of the reward on repeated pairs; neither depends on gamma.",
    differs="A world of 341 responses takes the place of Zephyr on UltraFeedback. The second and third column are "
    "added: the paper infers over-optimization from the first alone. Its learning rate is not in print and has no "
    "counterpart here.",
    claims=("sun2025.both-may-fall", "sun2025.logistic-never-settles"),
    accuracy={"*": BY_ADAMW},
)
def simpo_falls(
    seeds: int = 16,
    gammas: Sequence[float] = GAMMAS,
    rates: Sequence[float] = (0.003, 0.1),
    saturated_rate: float = SATURATED["learning_rate"],
    beta: float = 2.5,
    pairs: int = 3200,
    minibatch: int = 16,
    saturated_pairs: int = 64,
    saturated_epochs: int = 400,
) -> Arrays:
    """Train SimPO on many worlds: one epoch with a small and a large learning rate, and many epochs on few pairs."""
    once = runs_of(("simpo",), rates, gammas, seeds, SIMPO_RESULTS, beta=beta, pairs=pairs, minibatch=minibatch)
    many = saturated(saturated_pairs, saturated_epochs)
    often = runs_of(("simpo",), (saturated_rate,), gammas, seeds, SIMPO_RESULTS, beta=beta, **many)
    return {"rates": np.array([*rates, saturated_rate])} | named("epoch", once) | named("saturated", often)


SLOW, FAST = 0, 1


@simpo_falls.check
def with_small_steps_the_chosen_rise(arrays: Arrays) -> bool:
    """One epoch, small rate: the chosen log-probability ends above its start, the rejected one below (3 errors)."""
    chosen, rejected = (change(arrays[f"epoch_simpo_{name}"])[:, SLOW] for name in ("chosen", "rejected"))
    return above(chosen) and above(-rejected)


@simpo_falls.check
def with_large_steps_both_fall_the_rejected_more(arrays: Arrays) -> bool:
    """One epoch with the large rate, and 400 epochs: both log-probabilities fall, the rejected more (3 errors)."""
    seen = []
    for setting, place in (("epoch", FAST), ("saturated", 0)):
        chosen, rejected = (-change(arrays[f"{setting}_simpo_{name}"])[:, place] for name in ("chosen", "rejected"))
        seen.append(above(chosen) and above(rejected) and above(rejected - chosen))
    return all(seen)


@simpo_falls.check
def one_epoch_loses_no_reward(arrays: Arrays) -> bool:
    """One epoch: the true reward ends above its start by 5 standard errors, and within 0.02 of its peak."""
    reward = arrays["epoch_simpo_reward"]
    fallen = [fall(each).mean() for row in reward for each in row]
    return above(change(reward), 5) and bool(max(fallen) < 0.02)


@simpo_falls.check
def repeated_pairs_lose_most_of_it(arrays: Arrays) -> bool:
    """400 epochs: the true reward rises by 3 errors, then falls by 2 errors and over half of what it gained."""
    for reward in arrays["saturated_simpo_reward"][0]:
        peak = reward[:, reward.mean(0).argmax()] - reward[:, 0]
        if not (above(peak) and above(fall(reward), 2) and fall(reward).mean() > 0.5 * peak.mean()):
            return False
    return True


@simpo_falls.check
def the_margin_grows_all_the_time(arrays: Arrays) -> bool:
    """400 epochs: the mean of the median margin grows in every interval, to more than twice its value after one."""
    often, once = (arrays[f"{setting}_simpo_median_margin"].mean(2) for setting in ("saturated", "epoch"))
    return bool((np.diff(often) > 0).all() and (often[0, :, -1] > 2 * np.maximum(once[FAST, :, -1], 0.5)).all())


@simpo_falls.draw
def _draw_simpo_falls(arrays: Arrays) -> Drawing:
    drawing = plt.figure(figsize=(PAGE_WIDTH, 5.6))
    slow, fast, often = (f"{rate:g}" for rate in arrays["rates"])
    rows = [
        ("epoch", SLOW, f"One epoch, rate {slow}"),
        ("epoch", FAST, f"One epoch, rate {fast}"),
        ("saturated", 0, f"400 epochs, rate {often}"),
    ]
    panels = drawing.subplots(3, 3)
    columns = (
        ("log-probability", "nats per token"),
        ("median margin", "margin"),
        ("true reward", "standard deviations"),
    )
    for (a, b, c), (setting, place, _) in zip(panels, rows, strict=True):
        step = arrays[f"{setting}_step"]
        of = {name: arrays[f"{setting}_simpo_{name}"][place] for name in SIMPO_RESULTS}
        for gamma, line in enumerate(GAMMA_LINES):
            band(a, step, of["chosen"][gamma], CHOSEN, linestyle=line)
            band(a, step, of["rejected"][gamma], REJECTED, linestyle=line)
            band(b, step, of["median_margin"][gamma], DPO_COLOR, linestyle=line)
            band(c, step, of["reward"][gamma], DPO_COLOR, linestyle=line)
        c.axhline(0, color="#AAAAAA", linewidth=0.6)
        for axes, (title, unit) in zip((a, b, c), columns, strict=True):
            axes.set(title=title, ylabel=unit, xlabel=STEPS_LABEL, xlim=(0, step[-1]))
        c.set_ylim(-0.45, 1.55)
        at = len(step) * 3 // 5
        for name, color in (("chosen", CHOSEN), ("rejected", REJECTED)):
            label_line(a, step[at], of[name][0].mean(0)[at], name, color, xytext=(0, 5), textcoords="offset points")
    for axes, letter in zip(panels.flat, "abcdefghi", strict=True):
        label_panel(axes, letter)
    for (a, _, _), (_, _, says) in zip(panels, rows, strict=True):
        a.set_title(f"{says}\n{a.get_title(loc='left')}", fontweight="bold")
    label_line(panels[0, 1], 90, -0.82, r"solid: $\gamma=0.8$", DPO_COLOR)
    label_line(panels[0, 1], 90, -1.52, r"dashed: $\gamma=2$", DPO_COLOR)
    drawing.align_ylabels(panels)
    return drawing


RESULTS = ("chosen", "train_accuracy", "test_accuracy", "divergence", "reward")


@figure(
    "sun2025-5",
    "Self PO beside SimPO on a tiny language model: its chosen responses fall less, its accuracy is the same, and its "
    "true reward is lower or, at the largest learning rate, as high",
    source="Sun et al. 2025, Figure 5",
    caption="Mean over 16 worlds, bands of one standard error; solid $\\gamma=0.8$, dashed $\\gamma=2$. (a, b) As in "
    "print, one epoch of fresh pairs with a large learning rate: chosen log-probability per token, and accuracy on "
    "fresh training pairs (lower) and on held-out pairs with true labels (upper). (c) Change of the chosen "
    "log-probability by learning rate: it falls less with Self PO at large rates; at small ones both rise alike. "
    "(d) True reward on held-out prompts after one epoch: Self PO ends below SimPO, by up to 0.4 with "
    "$\\gamma=0.8$ and less than half of that with $\\gamma=2$; at rate 1 the difference is within the noise. Worlds "
    "differ by 0.3 (standard deviation at rate 0.1), but both losses see the same worlds, so the standard error of "
    "the difference is 0.02. (e) The same against the divergence from the reference, a point for each rate. Within "
    "the epoch SimPO loses no reward again; Self PO does, by 0.1 at rate 0.3 with $\\gamma=0.8$. (f) 64 pairs seen 400 "
    "times: the reward of both losses falls, and Self PO does not prevent it; the difference is within its error.",
    differs="A world of 341 responses takes the place of Zephyr on UltraFeedback. Panels (c) to (f) are added. The "
    "slightly higher accuracy of the paper is not seen: the difference is below 0.03 at every rate, either way.",
    claims=(
        "sun2025.prevents-over-optimisation",
        "sun2025.settles",
        "sun2025.shared-parameters",
        "sun2025.both-may-fall",
    ),
    accuracy={"*_accuracy": ONE_CASE, "*": BY_ADAMW},
)
def self_po_beside_simpo(
    seeds: int = 16,
    gammas: Sequence[float] = GAMMAS,
    rates: Sequence[float] = RATES,
    saturated_rate: float = SATURATED["learning_rate"],
    beta: float = 2.5,
    pairs: int = 3200,
    minibatch: int = 16,
    saturated_pairs: int = 64,
    saturated_epochs: int = 400,
) -> Arrays:
    """Train both losses for one epoch with many learning rates, and for many epochs on few pairs."""
    losses = ("simpo", "silu")
    once = runs_of(losses, rates, gammas, seeds, RESULTS, beta=beta, pairs=pairs, minibatch=minibatch)
    many = saturated(saturated_pairs, saturated_epochs)
    often = runs_of(losses, (saturated_rate,), gammas, seeds, ("chosen", "reward"), beta=beta, **many)
    return {"rates": np.array(rates)} | named("epoch", once) | named("saturated", often)


def _less_simpo(arrays: Arrays, name: str) -> np.ndarray:
    """Return Self PO's result at the end less SimPO's, paired by world: (seeds, rates, gammas)."""
    setting, result = name.split("_", 1)
    return end(arrays[f"{setting}_silu_{result}"]) - end(arrays[f"{setting}_simpo_{result}"])


@self_po_beside_simpo.check
def self_po_falls_less_with_large_steps(arrays: Arrays) -> bool:
    """Chosen responses fall with both losses, less with Self PO: at rates 0.1 and 0.3, and in 400 epochs (3 errors)."""
    large = between(arrays["rates"], 0.1, 0.3)
    falls = [
        above(-change(arrays[f"epoch_{loss}_chosen"])[:, large]) and above(-change(arrays[f"saturated_{loss}_chosen"]))
        for loss in ("simpo", "silu")
    ]
    less = above(_less_simpo(arrays, "epoch_chosen")[:, large]) and above(_less_simpo(arrays, "saturated_chosen"))
    return all(falls) and less and bool(large.any())


@self_po_beside_simpo.check
def with_small_steps_both_rise_alike(arrays: Arrays) -> bool:
    """At the smallest rate the chosen responses rise with both losses (3 errors), and end within 0.01 nats."""
    rise = [above(change(arrays[f"epoch_{loss}_chosen"])[:, 0]) for loss in ("simpo", "silu")]
    return all(rise) and bool(np.abs(_less_simpo(arrays, "epoch_chosen")[:, 0].mean(0)).max() < 0.01)


@self_po_beside_simpo.check
def the_accuracies_are_alike(arrays: Arrays) -> bool:
    """Both accuracies rise by over 0.1 at rates from 0.03 on, and the two losses end within 0.03 of one another."""
    seen = []
    for name in ("train_accuracy", "test_accuracy"):
        rise = change(arrays[f"epoch_silu_{name}"]).mean(0)[between(arrays["rates"], 0.03, 1.0)]
        apart = np.abs(_less_simpo(arrays, f"epoch_{name}").mean(0))
        seen.append(rise.min() > 0.1 and apart.max() < 0.03)
    return all(seen)


@self_po_beside_simpo.check
def self_po_gains_less(arrays: Arrays) -> bool:
    """One epoch: Self PO's true reward ends below SimPO's at rates from 0.01 to 0.3 (3 errors), both gammas."""
    middle = between(arrays["rates"], 0.01, 0.3)
    return above(-_less_simpo(arrays, "epoch_reward")[:, middle]) and bool(middle.any())


@self_po_beside_simpo.check
def a_larger_gamma_halves_the_difference(arrays: Arrays) -> bool:
    """One epoch: with gamma = 2 Self PO is less than half as far below SimPO as with 0.8, at all rates but the last."""
    apart = -_less_simpo(arrays, "epoch_reward")[:, :-1].mean(0)
    return bool((apart[:, LARGER_GAMMA] < 0.5 * apart[:, PRINTED_GAMMA]).all())


def reward_at(arrays: Arrays, loss: str, gamma: int, divergence: np.ndarray) -> np.ndarray:
    """Return the mean reward after one epoch at a mean divergence, interpolated between the learning rates."""
    seen, reward = (end(arrays[f"epoch_{loss}_{name}"]).mean(0)[:, gamma] for name in ("divergence", "reward"))
    return np.interp(divergence, seen, reward)


@self_po_beside_simpo.check
def nor_does_it_gain_more_at_equal_divergence(arrays: Arrays) -> bool:
    """One epoch: at every divergence from 0.25 to 2 nats Self PO has no more reward than SimPO, by 0.1 less at 1."""
    at = np.linspace(0.25, 2.0, 15)
    seen = []
    for gamma in range(len(GAMMAS)):
        lead = reward_at(arrays, "silu", gamma, at) - reward_at(arrays, "simpo", gamma, at)
        seen.append((lead < 0.01).all())
    one = np.array([1.0])
    gap = reward_at(arrays, "simpo", PRINTED_GAMMA, one) - reward_at(arrays, "silu", PRINTED_GAMMA, one)
    return all(seen) and bool((gap > 0.1).all())


@self_po_beside_simpo.check
def only_repeated_pairs_lose_reward(arrays: Arrays) -> bool:
    """400 epochs: both rewards fall by over 0.3 (2 errors); one epoch: SimPO's by under 0.02, Self PO's under 0.25."""
    seen = []
    for loss, most in (("simpo", 0.02), ("silu", 0.25)):
        once = [fall(each).mean() for row in arrays[f"epoch_{loss}_reward"] for each in row]
        often = [fall(each) for each in arrays[f"saturated_{loss}_reward"][0]]
        seen += [max(once) < most, *(above(each, 2) and each.mean() > 0.3 for each in often)]
    return all(seen)


@self_po_beside_simpo.draw
def _draw_self_po_beside_simpo(arrays: Arrays) -> Drawing:
    drawing, ((a, b, c), (d, e, f)) = plt.subplots(2, 3, figsize=(PAGE_WIDTH, 4.3))
    rates = arrays["rates"]
    shown = int(np.abs(np.log(rates / 0.1)).argmin())
    rate = f"rate {rates[shown]:g}"
    step, often = arrays["epoch_step"], arrays["saturated_step"]
    colors = {"simpo": DPO_COLOR, "silu": SELF_PO_COLOR}
    for loss, color in colors.items():
        for gamma, line in enumerate(GAMMA_LINES):
            style: dict[str, Any] = {"color": color, "linestyle": line}
            band(a, step, arrays[f"epoch_{loss}_chosen"][shown, gamma], **style)
            for name in ("train_accuracy", "test_accuracy"):
                band(b, step, arrays[f"epoch_{loss}_{name}"][shown, gamma], **style)
            band(c, rates, change(arrays[f"epoch_{loss}_chosen"])[..., gamma], **style)
            reward, divergence = (end(arrays[f"epoch_{loss}_{name}"])[..., gamma] for name in ("reward", "divergence"))
            band(d, rates, reward, **style)
            e.plot(divergence.mean(0), reward.mean(0), marker="o", markersize=2.5, **style)
            band(f, often, arrays[f"saturated_{loss}_reward"][0, gamma], **style)
    a.set(title=f"chosen, {rate}", ylabel="nats per token", xlabel=STEPS_LABEL, xlim=(0, step[-1]))
    b.set(title=f"accuracy, {rate}", ylabel="share of pairs", xlabel=STEPS_LABEL, xlim=(0, step[-1]), ylim=(0.45, 0.95))
    c.set(title="chosen, end less start", ylabel="nats per token")
    d.set(title="true reward, one epoch", ylabel="standard deviations", ylim=(-0.55, 1.65))
    e.set(title="true reward by divergence", ylabel="standard deviations", xlabel=DIVERGENCE_LABEL, xlim=(0, None))
    f.set(title="true reward, 400 epochs", ylabel="standard deviations", xlabel=STEPS_LABEL, xlim=(0, often[-1]))
    e.set_ylim(d.get_ylim())
    f.set_ylim(d.get_ylim())
    for axes in (c, d):
        show_rates(axes, rates)
    for axes in (c, d, f):
        axes.axhline(0, color="#AAAAAA", linewidth=0.6)
    label_line(c, 0.02, -0.95, "SimPO", DPO_COLOR)
    label_line(c, 0.02, -1.2, "Self PO", SELF_PO_COLOR)
    label_line(d, 0.0035, 1.35, r"dashed: $\gamma=2$", REFERENCE)
    label_line(d, 0.0035, 1.15, r"solid: $\gamma=0.8$", REFERENCE)
    label_line(b, 0.35 * step[-1], 0.87, "held out", REFERENCE)
    label_line(b, 0.35 * step[-1], 0.62, "training", REFERENCE)
    for axes, letter in zip((a, b, c, d, e, f), "abcdef", strict=True):
        label_panel(axes, letter)
    return drawing
