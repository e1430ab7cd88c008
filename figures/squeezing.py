"""A figure that is in no paper: what one negative step, and what one step of DPO, does to all other labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from figures.registry import Arrays, figure
from figures.style import CHOSEN, GREEDY, OTHERS, PAGE_WIDTH, REJECTED, label_line, label_panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing


def log_changes(p: np.ndarray, velocity: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the change of every log-probability (nats) when the logits move by size times a velocity.

    Args:
        p: probabilities, ``(labels,)``.
        velocity: of the logits, same shape.
        sizes: of the step, ``(sizes,)``.

    Returns:
        ``(sizes, labels)``.

    Example:
        >>> log_changes(np.array([0.5, 0.5]), np.array([1.0, 1.0]), np.array([2.0])).tolist()
        [[0.0, 0.0]]
    """
    moved = sizes[:, None] * (velocity - velocity.max())
    return moved - np.log((p * np.exp(moved)).sum(1, keepdims=True))


@figure(
    "new-squeezing",
    "A single negative step squeezes the improbable labels; in one step of DPO on one context that cancels",
    source="not in the papers; after Ren and Sutherland 2024",
    caption="Five labels of one softmax with probabilities 0.6, 0.2, 0.1, 0.06 and 0.04. (a) A negative gradient step "
    "on the label with 0.1: the most probable label rises at every step size, and to first order a label rises if its "
    "probability exceeds S - p_y, here 0.315; the improbable ones are squeezed. (b) One step of DPO on the same "
    "context, chosen 0.2, rejected 0.1: the terms that squeeze cancel, and the other three labels move together, "
    "the most probable one among them. They fall, since the chosen label is the likelier one of the pair.",
    claims=("ren2024.squeezed-iff", "ren2024.greatest-other-rises", "ren2024.residuals-cancel"),
)
def squeezing(
    probabilities: tuple[float, ...] = (0.6, 0.2, 0.1, 0.06, 0.04), largest: float = 4.0, points: int = 81
) -> Arrays:
    """Move the logits by steps of many sizes, once with the rejected label alone and once with the pair.

    Args:
        probabilities: of the labels, falling; the second is chosen and the third is rejected.
        largest: size of the largest step.
        points: number of sizes.
    """
    p, sizes = np.array(probabilities), np.linspace(0.0, largest, points)
    chosen, rejected = (np.arange(len(p)) == k for k in (1, 2))
    return {
        "p": p,
        "size": sizes,
        "negative": log_changes(p, p - rejected, sizes),
        "pair": log_changes(p, chosen.astype(float) - rejected, sizes),
    }


@squeezing.check
def threshold_decides_the_first_step(arrays: Arrays) -> bool:
    """In a small negative step exactly the labels with a probability below S - p_y fall, beside the label itself."""
    p = arrays["p"]
    border = (p**2).sum() - p[2]
    others = np.arange(len(p)) != 2
    return bool(((arrays["negative"][1] < 0) == (p < border))[others].all() and arrays["negative"][1, 2] < 0)


@squeezing.check
def greedy_always_rises_in_a_negative_step(arrays: Arrays) -> bool:
    """In a negative step of every size the most probable label rises, the more the larger the step."""
    greedy = arrays["negative"][:, 0]
    return bool(abs(greedy[0]) < 1e-12 and (np.diff(greedy) > 0).all() and arrays["p"].argmax() == 0)


@squeezing.check
def others_move_together_in_dpo(arrays: Arrays) -> bool:
    """In a step of DPO the three labels outside the pair have one log-change, and it is negative."""
    outside = arrays["pair"][:, [0, 3, 4]]
    return bool(np.ptp(outside, axis=1).max() < 1e-12 and (outside[1:] < 0).all())


@squeezing.check
def chosen_rises_and_rejected_falls(arrays: Arrays) -> bool:
    """In a step of DPO the chosen label rises and the rejected one falls, at every size."""
    return bool((arrays["pair"][1:, 1] > 0).all() and (arrays["pair"][1:, 2] < 0).all())


@squeezing.draw
def _draw(arrays: Arrays) -> Drawing:
    drawing, (left, right) = plt.subplots(1, 2, figsize=(PAGE_WIDTH, 2.5), sharey=True)
    sizes, p = arrays["size"], arrays["p"]
    axes: Axes
    for axes, changes in ((left, arrays["negative"]), (right, arrays["pair"])):
        axes.axhline(0, color="#BBBBBB", linewidth=0.6)
        styles = ((GREEDY, "-"), (CHOSEN, "-"), (REJECTED, "-"), (OTHERS, "-"), (OTHERS, "--"))
        for k, (color, dash) in enumerate(styles):
            plain = axes is left and k == 1
            axes.plot(sizes, changes[:, k], color=OTHERS if plain else color, linestyle=":" if plain else dash)
        axes.set(xlim=(0, sizes[-1]), ylim=(-2.2, 1.7), xlabel="size of the step")
    left.set_ylabel(r"change of $\log\pi$ (nats)")
    left.set_title("a negative step on one label")
    right.set_title("a step of DPO, one context")
    at = len(sizes) * 5 // 8
    x = float(sizes[at])
    for axes, changes, k, text, color, shift in (
        (left, arrays["negative"], 0, f"{p[0]:g}, rises", GREEDY, 0.12),
        (left, arrays["negative"], 1, f"{p[1]:g}", OTHERS, 0.14),
        (left, arrays["negative"], 3, f"{p[3]:g} and {p[4]:g}", OTHERS, -0.55),
        (right, arrays["pair"], 1, f"chosen, {p[1]:g}", CHOSEN, -0.3),
    ):
        label_line(axes, x, float(changes[at, k]) + shift, text, color, ha="left" if axes is right else "center")
    label_line(left, 1.25, -1.35, f"rejected, {p[2]:g}", REJECTED)
    label_line(right, 1.25, -1.35, f"rejected, {p[2]:g}", REJECTED)
    label_line(right, 2.6, float(arrays["pair"][at, 0]) + 0.2, "the other three", OTHERS)
    label_panel(left, "a")
    label_panel(right, "b")
    return drawing
