"""A figure that is in no paper: when parallel unembeddings displace a token; CHES orders worlds like a coin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from figures.accuracy import FRACTIONS, ROUNDED
from figures.registry import Arrays, figure
from figures.style import CHOSEN, FALLS, OTHERS, PAGE_WIDTH, RISES, label_line, label_panel, tint
from theory.razin2024.sequences import lattice

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


DASHES = ("-", "--", "-.", ":")


def drive(length: np.ndarray, cosine: float, chosen: float, rejected: float) -> np.ndarray:
    """Return the drive of the chosen token over |W_+|^2: no other token aligned, h = 0 (razin2024 Theorem 4).

    Args:
        length: |W_-| / |W_+|, any shape.
        cosine: of the two unembeddings.
        chosen: p_+, the probability of the chosen token.
        rejected: p_-, that of the rejected one.

    Example:
        >>> drive(np.array([1.0, 1.5]), 1.0, 1 / 3, 1 / 3).round(4)
        array([ 0.    , -0.0833])
    """
    return (1 - chosen) + rejected * length**2 - (1 - chosen + rejected) * cosine * length


@figure(
    "new-rejected-longer",
    "Identical unembeddings displace nothing: the rejected one must be the longer one; CHES orders worlds like a coin",
    source="not in the papers; after Razin et al. 2024, Theorem 4 and Definition 2",
    caption="(a) Drive of the chosen token against the length of the rejected unembedding, three equally probable "
    "tokens, no other token aligned, h = 0. Only below 0 (shaded) is the chosen token displaced. Where both "
    "unembeddings are the same (dot) the drive is 0; it takes a longer rejected one, 1 < k < (1 - p_+) / p_- = 2 if "
    "they are parallel, and a cosine near 1. (b) All 108 worlds of two-token responses with hidden vectors 1, 2 or 3, "
    "two tokens in the vocabulary and uniform laws: CHES against the drive. A good order would fall from the upper "
    "left to the lower right; 2311 of 4682 pairs of these worlds are ordered the wrong way.",
    claims=("razin2024.theorem-4", "razin2024.rejected-longer", "razin2024.alignment-alone", "razin2024.ches-coin"),
    accuracy={"ches": FRACTIONS, "drives": FRACTIONS},
)
def rejected_longer(
    cosines: tuple[float, ...] = (1.0, 0.98, 0.9, 0.5),
    chosen: float = 1 / 3,
    rejected: float = 1 / 3,
    longest: float = 2.5,
    points: int = 251,
    largest: int = 3,
) -> Arrays:
    """Evaluate the drive over lengths, and CHES and drive of a lattice of worlds.

    Args:
        cosines: of the two unembeddings, the first 1.
        chosen: p_+.
        rejected: p_-.
        longest: end of the axis of the lengths.
        points: number of lengths.
        largest: hidden vectors of the worlds go from 1 to this.
    """
    length = np.linspace(0.0, longest, points)
    worlds = lattice(largest)
    return {
        "length": length,
        "cosine": np.array(cosines),
        "drive": np.stack([drive(length, cosine, chosen, rejected) for cosine in cosines]),
        "border": np.array((1 - chosen) / rejected),
        "ches": np.array([float(world.ches()) for world in worlds]),
        "drives": np.array([float(world.drives()[0]) for world in worlds]),
    }


@rejected_longer.check
def falls_only_if_longer(arrays: Arrays) -> bool:
    """The chosen token falls only where the rejected unembedding is the longer one, and it does fall there."""
    falls = arrays["drive"] < -ROUNDED
    return bool(falls.any() and (arrays["length"][falls.any(axis=0)] > 1).all())


@rejected_longer.check
def parallel_falls_between_one_and_the_border(arrays: Arrays) -> bool:
    """With parallel unembeddings the drive is negative exactly for lengths between 1 and (1 - p_+) / p_-."""
    k = arrays["length"]
    inside = (k > 1 + 1e-9) & (k < arrays["border"] - 1e-9)
    off = np.abs(k - 1) < 1e-9
    off |= np.abs(k - arrays["border"]) < 1e-9
    signs = (arrays["drive"][0] < 0)[~off] == inside[~off]
    return bool(signs.all() and np.abs(arrays["drive"][0][off]).max() < ROUNDED and off.sum() == 2)


@rejected_longer.check
def a_small_angle_saves_it(arrays: Arrays) -> bool:
    """The smaller the cosine, the higher the drive at every length, and at 0.9 nothing falls any more."""
    ordered = (np.diff(arrays["drive"][:, 1:], axis=0) > 0).all() and (np.diff(arrays["cosine"]) < 0).all()
    return bool(ordered and (arrays["drive"][arrays["cosine"] < 0.91] > 0).all())


@rejected_longer.check
def ches_is_a_coin(arrays: Arrays) -> bool:
    """Between 45 and 55 percent of the pairs of worlds that differ in both are ordered the wrong way by CHES."""
    first, second = np.triu_indices(len(arrays["ches"]), 1)
    by_ches, by_drive = (arrays[name][first] - arrays[name][second] for name in ("ches", "drives"))
    both = (np.abs(by_ches) > 1e-9) & (np.abs(by_drive) > 1e-9)
    wrong = (((by_ches > 0) == (by_drive > 0)) & both).sum()
    return bool(both.sum() == 4682 and 0.45 < wrong / 4682 < 0.55)


@rejected_longer.draw
def _draw(arrays: Arrays) -> Drawing:
    drawing, (left, right) = plt.subplots(1, 2, figsize=(PAGE_WIDTH, 2.5), gridspec_kw={"width_ratios": (1.2, 1)})
    k, low = arrays["length"], -0.2
    left.axhspan(low, 0, color=tint(FALLS, 0.18), linewidth=0)
    for dash, curve in zip(DASHES, arrays["drive"], strict=False):
        left.plot(k, curve, color=CHOSEN, linestyle=dash)
    left.plot(1, 0, "o", color=CHOSEN, markersize=4)
    left.set(xlim=(0, k[-1]), ylim=(low, 0.8), xlabel=r"length $k=|W_-|/|W_+|$", ylabel=r"drive $A_+/|W_+|^2$")
    left.set_title("three tokens, parallel or nearly so")
    for cosine, at in zip(arrays["cosine"], ((1.62, -0.145), (2.3, 0.02), (1.72, 0.17), (1.58, 0.53)), strict=False):
        label_line(left, *at, f"cos = {cosine:g}", CHOSEN, ha="center")
    label_line(left, 0.05, -0.15, "displaced", FALLS)

    falls = arrays["drives"] < 0
    for chosen_ones, color in ((falls, FALLS), (~falls, RISES)):
        right.plot(arrays["ches"][chosen_ones], arrays["drives"][chosen_ones], ".", color=color, markersize=4)
    right.axhline(0, color=OTHERS, linewidth=0.6)
    right.set(xticks=(-12, -8, -4, 0, 4, 8), xlabel="CHES", ylabel="drive of the chosen response")
    right.set_title("108 worlds with two tokens")
    label_panel(left, "a")
    label_panel(right, "b")
    return drawing
