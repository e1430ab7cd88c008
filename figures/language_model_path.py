"""Many steps of a training run, predicted from the kernel: frozen, or computed again every few steps.

One model is the package's own checkpoint, or any other (``--model``); the other is a random GPT-2, whose kernel hardly
changes while it learns.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import torch

from dynamics import DPO
from dynamics.language_model import predict_path, tiny_model, tokenize, train
from figures.accuracy import Accuracy
from figures.language_model_pair import PAIR, load_policy
from figures.registry import Arrays, figure
from figures.style import CHOSEN, EXACT_COLOR, OTHERS, PAGE_WIDTH, REFERENCE, label_panel
from toy_models.multiplication.corpus import ask
from toy_models.multiplication.shipped import QUESTION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

FROZEN, SOMETIMES, ALWAYS = range(3)
SHIPPED, RANDOM = range(2)
MODELS = ("the shipped model (Qwen2)", "a random GPT-2")
INKS = (REFERENCE, OTHERS, EXACT_COLOR)
BESIDE = (((7, -9), "left"), ((4, 5), "left"), ((-6, -13), "right"))
"""Where the words stand beside a triangle, clear of the curves of the shipped model."""


@figure(
    "new-many-steps-lm",
    "Forty steps predicted from the kernel: frozen, it misses that the chosen response falls",
    source="not in the papers; Jian et al. 2025, Theorem 1 carried from one step to many",
    caption="DPO on 'The answer is 132.' against 'The answer is 121.', plain gradient steps of learning rate 1e-3. "
    "Left: change of log pi of the chosen response, actual and predicted from the kernel of the start (frozen), from "
    "one that is computed again every 10 steps, and every step. The derivative of the loss is exact in all of them. "
    "Triangles: the first step at which the predicted sign of the change is wrong. Right: the largest error of the "
    "two responses. (a, b) On the trained model the chosen response peaks and falls below its start. The frozen "
    "kernel never sees that; read every 10 steps, it sees the fall, but not yet that it goes below the start. Read "
    "at every step, it follows, but for an error of first order in the learning rate, by which it crosses the start "
    "three steps late. (c, d) On a random GPT-2 the kernel changes less: the frozen one is right about the sign, and "
    "to 15% about the size. Robust: that re-reading helps. Dependent on model, pair and learning rate: when the sign "
    "is wrong.",
    claims=("jian2025.theorem-1",),
    accuracy={"*": Accuracy("40 steps; Qwen2 computes its norms in float32", 1e-5, 1e-6)},
)
def many_steps(
    model: str = "",
    device: str = "",
    chosen: str = PAIR["chosen"],
    rejected: str = PAIR["rejected"],
    beta: float = 0.1,
    learning_rate: float = 1e-3,
    steps: int = 40,
    every: int = 10,
) -> Arrays:
    """Train copies of both models, and predict the same run in three ways."""
    policy, tokenizer = load_policy(model, device)
    pair = (tokenize(tokenizer, ask(QUESTION), chosen), tokenize(tokenizer, ask(QUESTION), rejected))
    random = tiny_model("gpt2", vocabulary=max(max(s.ids) for s in pair) + 1, width=32, dtype=torch.float64)
    how: dict[str, Any] = {"loss": DPO(beta=beta), "learning_rate": learning_rate}
    actual, predicted = [], []
    for one in (policy.double(), random):
        actual.append(train(copy.deepcopy(one), [pair], steps, **how).change.numpy())
        ways = (None, every, 1)
        predicted.append([predict_path(one, [pair], steps, every=way, **how).change.numpy() for way in ways])
    return {
        "step": np.arange(steps + 1),
        "every": np.array(every),
        "actual": np.stack(actual),  # (models, steps + 1, chosen and rejected)
        "predicted": np.array(predicted),  # (models, ways, steps + 1, chosen and rejected)
    }


def wrong_steps(predicted: np.ndarray, actual: np.ndarray) -> tuple[int, int] | None:
    """Return the first and the last step at which the predicted sign of a change is wrong; None if there is none."""
    wrong = np.flatnonzero(np.sign(predicted) != np.sign(actual))
    return (int(wrong[0]), int(wrong[-1])) if len(wrong) else None


def _errors(arrays: Arrays) -> np.ndarray:
    """Return the largest error of the two responses, ``(models, ways, steps + 1)``."""
    return np.abs(arrays["predicted"] - arrays["actual"][:, None]).max(-1)


@many_steps.check
def the_first_step_is_the_same_for_all(arrays: Arrays) -> bool:
    """All three predictions agree on the first step, and are right about its sign."""
    first = arrays["predicted"][:, :, 1]
    same = np.abs(first - first[:, :1]).max() < 0.01 * np.abs(first).max()
    return bool(same and (np.sign(first) == np.sign(arrays["actual"][:, None, 1])).all())


@many_steps.check
def the_chosen_response_rises_and_falls(arrays: Arrays) -> bool:
    """On the shipped model the chosen response rises at first and ends below its start, while the margin grows."""
    path = arrays["actual"][SHIPPED]
    margin = path[:, 0] - path[:, 1]
    return bool(path[1, 0] > 0 > path[-1, 0] and (np.diff(margin) > 0).all())


@many_steps.check
def the_frozen_kernel_gets_the_sign_wrong(arrays: Arrays) -> bool:
    """On the shipped model the frozen kernel has the chosen response rise throughout, so that its sign ends wrong."""
    return bool(
        (np.diff(arrays["predicted"][SHIPPED, FROZEN, :, 0]) > 0).all() and arrays["actual"][SHIPPED, -1, 0] < 0
    )


@many_steps.check
def reading_the_kernel_again_helps(arrays: Arrays) -> bool:
    """On the shipped model the last error of y_w is less than half as large every 10 steps, and again every step."""
    frozen, sometimes, always = np.abs(arrays["predicted"] - arrays["actual"][:, None])[SHIPPED, :, -1, 0]
    return bool(always < 0.5 * sometimes < 0.25 * frozen and arrays["predicted"][SHIPPED, ALWAYS, -1, 0] < 0)


@many_steps.check
def on_the_random_model_the_frozen_kernel_is_good(arrays: Arrays) -> bool:
    """On the random GPT-2 the frozen kernel is right about the chosen response to 15% after all steps."""
    actual = arrays["actual"][RANDOM, -1, 0]
    return bool(abs(arrays["predicted"][RANDOM, FROZEN, -1, 0] - actual) < 0.15 * abs(actual))


@many_steps.draw
def _draw(arrays: Arrays) -> Drawing:
    drawing, panels = plt.subplots(2, 2, figsize=(PAGE_WIDTH, 4.6))
    names = ("frozen", f"every {int(arrays['every'])} steps", "every step")
    for number, (path, error) in enumerate(panels):
        _draw_path(path, arrays, number, names)
        for way, name in enumerate(names):
            values = _errors(arrays)[number, way]
            error.plot(arrays["step"][1:], values[1:], color=INKS[way], linewidth=1.2)
            error.text(0.62, 0.3 - 0.1 * way, name, color=INKS[way], transform=error.transAxes, fontsize=7)
        error.set(yscale="log", xlabel="step", ylabel="largest error (nats)", title="error of the prediction")
        error.set_ylim(bottom=error.get_ylim()[0] / 30)  # room for the names
        error.grid(True)
        label_panel(path, "ac"[number])
        label_panel(error, "bd"[number])
    return drawing


def _draw_path(axes: Axes, arrays: Arrays, number: int, names: tuple[str, ...]) -> None:
    step, actual = arrays["step"], arrays["actual"][number, :, 0]
    axes.axhline(0, color=REFERENCE, linewidth=0.6)
    axes.plot(step, actual, color=CHOSEN, linewidth=1.8)
    for way in range(len(names)):
        path = arrays["predicted"][number, way, :, 0]
        axes.plot(step, path, color=INKS[way], linewidth=1.0, linestyle=(0, (4, 2)))
        wrong = wrong_steps(path, actual)
        if wrong is not None:
            start, end = wrong
            said = f"sign wrong from {start}" + ("" if end == step[-1] else f" to {end}")
            axes.plot(start, path[start], marker="v", color=INKS[way], markersize=6)
            where, side = BESIDE[way]
            axes.annotate(said, (start, path[start]), where, textcoords="offset points", fontsize=6.5, ha=side)
    axes.text(0.03, 0.9, "actual", color=CHOSEN, transform=axes.transAxes, fontsize=7)
    for way, name in enumerate(names):
        axes.text(0.03, 0.8 - 0.1 * way, name, color=INKS[way], transform=axes.transAxes, fontsize=7)
    axes.set(xlabel="step", ylabel=r"change of $\log\pi(y_w)$ (nats)", title=MODELS[number])
