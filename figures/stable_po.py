"""Figures 5 and 6 of jian2025 on finite tasks: Stable PO against DPO step by step, by lambda and by gamma.

The paper fine-tunes language models. Here 32 random tasks are solved by log-linear policies with a backbone and an
adapter (``toy_models.stable_po``), with the paper's beta, K, batch sizes and optimizer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import torch

from dynamics import DPO, LogLinear, pairs
from dynamics.finite.bilevel import stable_po
from figures.accuracy import ROUNDED, TRAINED
from figures.registry import Arrays, figure
from figures.style import (
    CHOSEN,
    DPO_COLOR,
    NLL_COLOR,
    OTHERS,
    PAGE_WIDTH,
    REFERENCE,
    REJECTED,
    STABLE_PO_COLOR,
    label_line,
    label_panel,
)
from toy_models.stable_po import (
    BETA,
    CORRECT,
    PreferenceTasks,
    accuracy,
    preference_tasks,
    train_dpo_and_sft,
    train_stable_po,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

STABLE, PLAIN, ONE_LEVEL = 0, 1, 2  # Stable PO, DPO, DPO + lambda SFT
DIFFERS = (
    "The paper trains language models with LoRA on the backbone. Here 32 random tasks of 16 training prompts with 6 "
    "answers each are solved by log-linear policies (logits phi_y . (phi + A theta), A of rank 2), fine-tuned on the "
    "correct answers first; correct and rejected answer have features with cosine 0.95. beta = 0.5, K = 1, AdamW "
    "without weight decay, 300 steps, learning rate 0.01 for both blocks. DPO is the same program with lambda = gamma "
    "= 0 and trains both blocks; the paper does not say what its DPO trains. "
)


@figure(
    "jian2025-5",
    "Stable PO raises the chosen response where DPO lowers it; its margin is the smaller one",
    source="Jian et al. 2025, Figure 5 (a, b)",
    caption="Log-probability of the chosen and the rejected answers, mean over the pairs and 32 tasks (bands: from the "
    "first to the ninth decile of the tasks). (a) Stable PO, lambda = 5: the chosen answer rises (with other seeds it "
    "falls in one or two tasks: no fixed lambda guarantees it). Dashed black: DPO + lambda SFT without a lower level, "
    "nearly the same curves. (b) DPO: the chosen answer rises and then falls. (c) The margin of DPO is larger, not "
    "smaller as the paper says.",
    differs=DIFFERS + "Minibatches of 4 and lambda = 5, as for UltraFeedback. Panel (c) is added. The curves are means "
    "over all training pairs and need no smoothing; the paper smooths with an unnamed factor.",
    claims=("jian2025.term-d", "jian2025.eq-10-one-step", "jian2025.terms-a-and-c", "jian2025.update-preserves-chosen"),
)
def log_probabilities(
    penalty: float = 5.0, overlap: float = 0.95, tasks: int = 32, steps: int = 300, seed: int = 0
) -> Arrays:
    """Train by Stable PO, DPO and DPO + lambda SFT on the same minibatches."""
    found = preference_tasks(seed, tasks=tasks, overlap=overlap)
    runs = train_stable_po(found, seed, penalty=[penalty, 0.0], steps=steps)
    single = train_dpo_and_sft(found, seed, penalty=penalty, steps=steps)
    log_probs = torch.cat([runs.log_probs[:, :, 0], single.log_probs[:, :, 0]], dim=1)
    pair = log_probs[..., : found.training, :2].mean(-2)
    return {"step": np.arange(steps + 1), "pair": pair.permute(1, 2, 0, 3).numpy()}


def _chosen(arrays: Arrays, method: int) -> np.ndarray:
    """Return the mean log pi(y_w) of every task, (tasks, steps + 1)."""
    return arrays["pair"][method, :, :, 0]


def _rejected(arrays: Arrays, method: int) -> np.ndarray:
    return arrays["pair"][method, :, :, 1]


def _margin(arrays: Arrays, method: int) -> np.ndarray:
    return _chosen(arrays, method) - _rejected(arrays, method)


@log_probabilities.check
def stable_po_lifts_the_chosen(arrays: Arrays) -> bool:
    """Under Stable PO the chosen answer ends higher in nine of ten tasks or more, and rises at 80 % of the steps."""
    chosen = _chosen(arrays, STABLE)
    return bool((chosen[:, -1] > chosen[:, 0]).mean() >= 0.9 and (np.diff(chosen) > 0).mean() > 0.8)


@log_probabilities.check
def dpo_lifts_then_sinks_the_chosen(arrays: Arrays) -> bool:
    """Under DPO the mean of the chosen answers peaks inside the run and ends below its start."""
    mean = _chosen(arrays, PLAIN).mean(0)
    peak = int(mean.argmax())
    return bool(0 < peak < len(mean) - 1 and mean[peak] > mean[0] > mean[-1])


@log_probabilities.check
def dpo_is_less_steady(arrays: Arrays) -> bool:
    """Under DPO the chosen answer rises at less than half of the steps, and at fewer than under Stable PO."""
    rises = [(np.diff(_chosen(arrays, method)) > 0).mean() for method in (STABLE, PLAIN)]
    return bool(rises[PLAIN] < 0.5 < rises[STABLE])


@log_probabilities.check
def both_push_the_rejected_down(arrays: Arrays) -> bool:
    """Under both the mean of the rejected answers falls, under DPO further in every task."""
    ends = [_rejected(arrays, method)[:, -1] - _rejected(arrays, method)[:, 0] for method in (STABLE, PLAIN)]
    return bool(ends[STABLE].mean() < 0 and (ends[PLAIN] < ends[STABLE]).all())


@log_probabilities.check
def margin_of_dpo_is_larger(arrays: Arrays) -> bool:
    """In every task DPO ends with the larger margin, against what the paper says of its Figure 5 (b)."""
    return bool((_margin(arrays, PLAIN)[:, -1] > _margin(arrays, STABLE)[:, -1]).all())


@log_probabilities.check
def one_level_is_enough(arrays: Arrays) -> bool:
    """DPO + lambda SFT stays ten times nearer to Stable PO than DPO does, for chosen and rejected answers alike."""
    stable, plain, single = (arrays["pair"][method] for method in (STABLE, PLAIN, ONE_LEVEL))
    near, far = (np.abs(other - stable)[:, -1].mean(0) for other in (single, plain))
    return bool((10 * near < far).all())


@log_probabilities.draw
def _draw_log_probabilities(arrays: Arrays) -> Drawing:
    drawing, panels = plt.subplots(1, 3, figsize=(PAGE_WIDTH, 2.3))
    step = arrays["step"]
    for axes, method, letter, title in (
        (panels[0], STABLE, "a", r"Stable PO, $\lambda=5$"),
        (panels[1], PLAIN, "b", "DPO"),
    ):
        for values, color in ((_chosen(arrays, method), CHOSEN), (_rejected(arrays, method), REJECTED)):
            _band(axes, step, values, color)
        axes.set(title=title, xlabel="step", ylim=(-4.0, 0.05))
        label_panel(axes, letter)
        label_line(axes, step[-1] * 0.98, -0.3 if method == STABLE else -0.22, "chosen", CHOSEN, ha="right")
        label_line(axes, step[-1] * 0.04, -1.75, "rejected", REJECTED)
    for values in (_chosen(arrays, ONE_LEVEL), _rejected(arrays, ONE_LEVEL)):
        panels[0].plot(step, values.mean(0), color=NLL_COLOR, linewidth=0.9, linestyle=(0, (4, 3)))
    label_line(panels[0], step[-1] * 0.98, -3.8, r"dashed: DPO + $\lambda$ SFT", NLL_COLOR, ha="right")
    panels[0].set_ylabel(r"mean $\log\,\pi$ (nats)")
    for method, color in ((STABLE, STABLE_PO_COLOR), (PLAIN, DPO_COLOR)):
        _band(panels[2], step, _margin(arrays, method), color)
    ends = [_margin(arrays, method).mean(0)[-1] for method in (STABLE, PLAIN)]
    label_line(panels[2], step[-1] * 0.98, ends[PLAIN] + 0.12, "DPO", DPO_COLOR, ha="right")
    label_line(panels[2], step[-1] * 0.98, ends[STABLE] - 0.3, "Stable PO", STABLE_PO_COLOR, ha="right")
    panels[2].set(title="margin", xlabel="step", ylabel=r"$\log\,\pi_w-\log\,\pi_l$ (nats)", ylim=(0, None))
    label_panel(panels[2], "c")
    for axes in panels:
        axes.set_xlim(0, step[-1])
    return drawing


def _band(axes: Axes, step: np.ndarray, values: np.ndarray, color: str) -> None:
    low, high = np.quantile(values, (0.1, 0.9), axis=0)
    axes.fill_between(step, low, high, color=color, alpha=0.15, linewidth=0)
    axes.plot(step, values.mean(0), color=color)


def _accuracies(tasks: PreferenceTasks, log_probs: torch.Tensor) -> np.ndarray:
    """Return the accuracy on training and held-out prompts, (2, settings, tasks)."""
    correct = accuracy(log_probs)
    parts = (correct[..., : tasks.training], correct[..., tasks.training :])
    return torch.stack([part.mean(-1) for part in parts]).numpy()


@figure(
    "jian2025-6",
    "Accuracy rises with lambda and hardly falls again; gamma does nothing until it does harm",
    source="Jian et al. 2025, Figure 6 (a, b)",
    caption="Probability that an answer sampled at temperature 0.7 is correct after 300 steps, mean over 32 tasks; "
    "bars: standard error of the difference from the leftmost point, task by task. (a) By lambda, gamma = 0: a small "
    "lambda is DPO, a larger one helps, and the slight drop at large lambda occurs on the training prompts, not on "
    "held-out ones. (b) By gamma, lambda = 1: flat up to about 0.3, then the training accuracy falls. Grey: two "
    "tabular responses, which stall from gamma = beta / sqrt 2 on.",
    differs=DIFFERS + "Minibatches of 2 as in the paper, inner learning rate twice the outer one as for GSM8K, 300 "
    "steps for 1000. The text gives neither the grid of lambda nor that of gamma, nor the lambda of (b), nor whether "
    "its accuracy is of held-out questions (GSM8K has a test set). The grey curve is added.",
    claims=("jian2025.small-lambda", "jian2025.update-lambda", "jian2025.term-e", "jian2025.term-e-stall"),
    accuracy={"by_*": TRAINED},
)
def by_weight(
    penalties: tuple[float, ...] = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
    gammas: tuple[float, ...] = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
    overlap: float = 0.95,
    tasks: int = 32,
    steps: int = 300,
    seed: int = 0,
) -> Arrays:
    """Train with every lambda and with every gamma, and measure the accuracy; two tabular responses by gamma."""
    found = preference_tasks(seed, tasks=tasks, overlap=overlap)

    def end(penalty: tuple[float, ...], gamma: tuple[float, ...]) -> torch.Tensor:
        runs = train_stable_po(
            found,
            seed,
            penalty=penalty,
            gamma=gamma,
            inner_learning_rate=0.02,
            minibatch=2,
            steps=steps,
            record_every=steps,
        )
        return runs.log_probs[-1]

    # two responses with a logit each; phi has a feature that is 0 for both
    tabular = stable_po(
        LogLinear([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
        [0.0, 0.0, 0.0],
        pairs(CORRECT, 1, shape=(2,)),
        lower=[2],
        penalty=0.0,
        gamma=gammas,
        loss=DPO(beta=BETA),
        learning_rate=0.02,
        steps=300,
        record_every=300,
    )
    return {
        "penalty": np.array(penalties),
        "by_penalty": _accuracies(found, end(penalties, (0.0,))[:, 0]),
        "gamma": np.array(gammas),
        "by_gamma": _accuracies(found, end((1.0,), gammas)[0]),
        "tabular": np.exp(tabular.sel(step=300, penalty=0.0, seed=0, response=CORRECT).to_numpy()),
        "stall": np.array(BETA / np.sqrt(2)),
    }


def _gain(values: np.ndarray, over: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard error of the difference from one setting, task by task; (prompts, settings) each."""
    difference = values - values[:, over : over + 1]
    return difference.mean(-1), difference.std(-1, ddof=1) / np.sqrt(difference.shape[-1])


@by_weight.check
def small_lambda_is_dpo(arrays: Arrays) -> bool:
    """At the smallest lambda > 0 less than a quarter of the largest gain over DPO is there, training and held out."""
    mean, _ = _gain(arrays["by_penalty"])
    return bool((mean[:, 1] < mean.max(1) / 4).all() and (mean.max(1) > 0).all() and arrays["penalty"][0] < ROUNDED)


@by_weight.check
def lambda_helps(arrays: Arrays) -> bool:
    """At its best, accuracy is above DPO's by more than three standard errors, on training and held-out prompts."""
    mean, error = _gain(arrays["by_penalty"])
    best = mean.argmax(1)
    rows = np.arange(2)
    return bool((mean[rows, best] > 3 * error[rows, best]).all() and (best > 0).all())


@by_weight.check
def slight_drop_on_training_prompts(arrays: Arrays) -> bool:
    """On training prompts the largest lambda is worse than the best, by 2 standard errors but < 1/4 of the gain."""
    best = int(_gain(arrays["by_penalty"])[0][0].argmax())
    mean, error = _gain(arrays["by_penalty"], over=best)
    return bool(best > 0 and mean[0, -1] < -2 * error[0, -1] and mean[0, -1] > mean[0, 0] / 4)


@by_weight.check
def no_drop_on_held_out_prompts(arrays: Arrays) -> bool:
    """On held-out prompts the largest lambda is not worse than any other by more than 2 standard errors."""
    mean, error = _gain(arrays["by_penalty"], over=len(arrays["penalty"]) - 1)
    return bool((mean[1] <= 2 * error[1]).all())


@by_weight.check
def flat_for_small_gamma(arrays: Arrays) -> bool:
    """Up to the gamma at which two tabular responses stall, accuracy moves by less than one percentage point."""
    small = arrays["gamma"] <= arrays["stall"]
    mean, _ = _gain(arrays["by_gamma"])
    return bool(small.sum() > 2 and np.abs(mean[:, small]).max() < 0.01)


@by_weight.check
def large_gamma_does_harm(arrays: Arrays) -> bool:
    """At the largest gamma, accuracy is lower than at 0 by at least 5 (training) and 2 (held out) standard errors."""
    mean, error = _gain(arrays["by_gamma"])
    return bool(mean[0, -1] < -5 * error[0, -1] and mean[1, -1] < -2 * error[1, -1])


@by_weight.check
def two_tabular_responses_stall(arrays: Arrays) -> bool:
    """Two tabular responses stay at one half for every gamma > beta / sqrt 2 and learn for every smaller one."""
    stalls = arrays["gamma"] > arrays["stall"]
    away = arrays["tabular"] - 0.5
    # a step of gradient descent overshoots the kink by at most learning rate x gamma
    return bool(
        (np.abs(away[stalls]) < 0.06).all() and (away[~stalls] > 0.05).all() and stalls.any() and (~stalls).any()
    )


@by_weight.draw
def _draw_by_weight(arrays: Arrays) -> Drawing:
    drawing, panels = plt.subplots(1, 2, figsize=(PAGE_WIDTH, 2.5))
    for axes, name, values, letter, title in (
        (panels[0], "penalty", "by_penalty", "a", r"by $\lambda$ ($\gamma=0$)"),
        (panels[1], "gamma", "by_gamma", "b", r"by $\gamma$ ($\lambda=1$)"),
    ):
        place = np.arange(len(arrays[name]))
        _, error = _gain(arrays[values])
        for row, line in enumerate(("-", (0, (4, 2)))):
            mean, bars = 100 * arrays[values][row].mean(-1), 100 * error[row]
            look: dict[str, Any] = {"color": REFERENCE, "linestyle": line, "marker": "o", "markersize": 3}
            axes.errorbar(place, mean, bars, elinewidth=0.8, capsize=2, **look)
        labels = ["0\n(DPO)" if name == "penalty" and v == 0 else f"{v:g}" for v in arrays[name]]
        axes.set_xticks(place, labels)
        axes.set(title=title, xlabel=r"$\lambda$" if name == "penalty" else r"$\gamma$")
        label_panel(axes, letter)
    place = np.arange(len(arrays["gamma"]))
    panels[1].plot(place, 100 * arrays["tabular"], color=OTHERS, linestyle=(0, (4, 2)), marker="s", markersize=2.5)
    stall = float(np.interp(np.log(arrays["stall"]), np.log(arrays["gamma"][1:]), place[1:]))
    panels[1].axvline(stall, color=OTHERS, linewidth=0.7, linestyle=":")
    label_line(panels[1], stall + 0.08, 76.5, r"$\beta/\sqrt{2}$", OTHERS)
    label_line(panels[1], 0.1, 73.0, "two tabular responses", OTHERS)
    label_line(panels[0], 8, 63.5, "training prompts", REFERENCE, ha="right")
    label_line(panels[0], 8, 50.0, "held-out prompts", REFERENCE, ha="right")
    panels[0].set_ylim(45, 70)
    for axes in panels:
        axes.set_ylabel("accuracy (%)")
    return drawing
