"""A figure that is in no paper: the expected gradient of GRPO with groups of G samples over that of accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import comb

from figures.accuracy import ROUNDED
from figures.registry import Arrays, figure
from figures.style import COLUMN_WIDTH, DPO_COLOR, EXACT_COLOR, label_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


DASHES = ("-", (0, (6, 1)), (0, (4, 1, 1, 1)), (0, (3, 1)), (0, (1, 1)))


def factor(p: np.ndarray, size: int) -> np.ndarray:
    """Return c in E[gradient of GRPO] = c grad p, with binary rewards and the population's standard deviation.

    Args:
        p: probability of a right answer, strictly between 0 and 1.
        size: samples in a group, >= 2.

    Example:
        >>> factor(np.array([0.1, 0.5]), 2).tolist()
        [1.0, 1.0]
    """
    k = np.arange(1, size)[:, None]
    return (comb(size, k) * p ** (k - 1) * (1 - p) ** (size - k - 1) * np.sqrt(k * (size - k))).sum(0) / size


@figure(
    "new-group-size",
    "GRPO with two samples is REINFORCE on accuracy; with many samples it is another objective",
    source="not in the papers; after Wu et al. 2025",
    caption="The expected gradient of GRPO with binary rewards is the gradient of the probability p of a right answer "
    "times a factor. With groups of two it is 1 and with groups of three the square root of 2, for every prompt. From "
    "four on it hangs on p: prompts that are nearly solved or nearly hopeless count more. With many samples it is "
    "1 / sqrt(p (1 - p)) (dashed), the gradient of 2 arcsin sqrt(p).",
    claims=("wu2025.two-is-accuracy", "wu2025.three-is-accuracy", "wu2025.four-depends", "wu2025.one-objective"),
)
def group_size(sizes: tuple[int, ...] = (2, 3, 4, 8, 16), least: float = 0.01, points: int = 99) -> Arrays:
    """Evaluate the factor over p for several sizes of groups.

    Args:
        sizes: of the groups, rising, the first 2.
        least: p goes from this to 1 minus this.
        points: number of p.
    """
    p = np.linspace(least, 1 - least, points)
    return {
        "size": np.array(sizes),
        "p": p,
        "factor": np.stack([factor(p, size) for size in sizes]),
        "limit": 1 / np.sqrt(p * (1 - p)),
    }


@group_size.check
def two_and_three_are_accuracy(arrays: Arrays) -> bool:
    """For groups of two and three the factor does not depend on p: it is 1 and the square root of 2."""
    rows = arrays["factor"][[list(arrays["size"]).index(size) for size in (2, 3)]]
    return bool(np.abs(rows - np.sqrt([[1.0], [2.0]])).max() < ROUNDED)


@group_size.check
def four_is_the_closed_form(arrays: Arrays) -> bool:
    """For groups of four the factor is sqrt(3) + (3 - 2 sqrt(3)) p (1 - p)."""
    p, row = arrays["p"], arrays["factor"][list(arrays["size"]).index(4)]
    return bool(np.abs(row - np.sqrt(3) - (3 - 2 * np.sqrt(3)) * p * (1 - p)).max() < ROUNDED)


@group_size.check
def grows_to_the_limit(arrays: Arrays) -> bool:
    """The factor grows with the size of the group at every p and stays below 1 / sqrt(p (1 - p))."""
    grows = (np.diff(arrays["factor"], axis=0) > 0).all() and (np.diff(arrays["size"]) > 0).all()
    return bool(grows and (arrays["factor"] < arrays["limit"]).all())


@group_size.check
def extremes_count_more_in_large_groups(arrays: Arrays) -> bool:
    """From four samples on the factor at both ends of the axis is larger than at p = 1/2."""
    middle = len(arrays["p"]) // 2
    large = arrays["factor"][arrays["size"] >= 4]
    ends = np.minimum(large[:, 0], large[:, -1])
    return bool(len(large) > 1 and (ends > 1.05 * large[:, middle]).all() and abs(arrays["p"][middle] - 0.5) < ROUNDED)


@group_size.draw
def _draw(arrays: Arrays) -> Drawing:
    drawing, axes = plt.subplots(figsize=(COLUMN_WIDTH, 2.5))
    for dash, size, row in zip(DASHES, arrays["size"], arrays["factor"], strict=False):
        axes.plot(arrays["p"], row, color=DPO_COLOR, linestyle=dash)
        label_line(axes, 1.01, float(row[-1]) - 0.05, f"G = {size}", DPO_COLOR)
    axes.plot(arrays["p"], arrays["limit"], color=EXACT_COLOR, linestyle="--", linewidth=1)
    label_line(axes, 0.5, 2.9, r"$1/\sqrt{p(1-p)}$" "\nmany samples", EXACT_COLOR, ha="center")
    axes.set(
        xlim=(0, 1.2),
        xticks=(0, 0.25, 0.5, 0.75, 1),
        ylim=(0.8, 4.5),
        xlabel="accuracy $p$ of the prompt",
        ylabel=r"factor of $\nabla p$",
    )
    return drawing
