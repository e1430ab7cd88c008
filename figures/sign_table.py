"""The sign table of one pair as a phase diagram: which of chosen and rejected response rises, for every policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

from dynamics import DPO, LogLinear, Tabular, step
from figures.accuracy import Accuracy
from figures.registry import Arrays, figure
from figures.style import COLUMN_WIDTH, OTHERS, PRINTED_COLOR, REFERENCE, label_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from dynamics import Policy

UP_DOWN, BOTH_DOWN, BOTH_UP, DOWN_UP = (1, -1), (-1, -1), (1, 1), (-1, 1)
SHADES = {UP_DOWN: "#FFFFFF", BOTH_DOWN: "#DEDEDE", BOTH_UP: "#F1F1F1"}
SMALL = 1e-6  # learning rate of the steps: the second order is a millionth of the first


def chosen_loses_more(ratio: np.ndarray, odds: float | np.ndarray) -> np.ndarray:
    """Return the cosine above which the chosen response loses more probability than the rejected one, to first order.

    Args:
        ratio: r = |g_l| / |g_w|.
        odds: k = pi_w / pi_l.

    Returns:
        (k + r^2) / (r (k + 1)); below 1 only for r between 1 and k.

    Example:
        >>> chosen_loses_more(np.array([1.0, 2.0, 4.0]), odds=4.0)
        array([1. , 0.8, 1. ])
    """
    return np.asarray((odds + ratio**2) / (ratio * (odds + 1)))


@figure(
    "new-sign-table",
    "The sign table of a pair: to first order the chosen response never falls while the rejected one rises",
    source="not in the papers; mends Jian et al. 2025, Remark 3",
    caption="Every policy with one pair lies somewhere in this plane, by the cosine of the angle between the scores "
    "g_w and g_l and by the ratio of their lengths. The chosen response falls above cos = |g_w| / |g_l|, the rejected "
    "one rises above cos = |g_l| / |g_w|; the two regions do not meet. Circles: steps of DPO on random log-linear "
    "policies; crosses: on tabular ones, which never leave the white region. Every step has the signs of its region. "
    "Red: where the chosen response is k times as probable as the rejected one, it loses more probability than that "
    "above the curve of k, and Corollary 2 fails.",
    claims=("jian2025.sign-table", "jian2025.displacement-order", "jian2025.log-margin", "jian2025.tabular-signs"),
    accuracy={"cosine": Accuracy("float64, quotients of inner products", 0.0, 1e-14)},
)
def phase_diagram(worlds: int = 240, responses: int = 5, features: int = 2, seed: int = 0) -> Arrays:
    """Take a small step on random policies and keep where each lies and what it did.

    Args:
        worlds: policies of either kind.
        responses: of each policy; the first is chosen, the second rejected.
        features: parameters of the log-linear ones.
        seed: of their parameters.
    """
    source = np.random.default_rng(seed)
    rows = []
    for tabular in (False, True):
        for _ in range(worlds if not tabular else worlds // 4):
            policy: Policy = Tabular(responses) if tabular else LogLinear(source.normal(size=(responses, features)))
            theta = source.normal(size=responses if tabular else features)
            account = step(policy, theta, chosen=0, rejected=1, loss=DPO(beta=1.0), learning_rate=SMALL)
            kernel = account.kernel.numpy()
            log_change = (account.new_log_probs - account.log_probs).numpy()[:2]
            p = np.exp(account.log_probs.numpy())[:2]
            ratio = np.sqrt(kernel[1, 1] / kernel[0, 0])
            cosine = kernel[0, 1] / np.sqrt(kernel[0, 0] * kernel[1, 1])
            loses_more = account.actual[0] < min(0.0, float(account.actual[1]))
            rows.append((tabular, ratio, cosine, p[0] / p[1], *np.sign(log_change), bool(loses_more)))
    table = [np.array(column) for column in zip(*rows, strict=True)]
    tabular_row, ratio_row, cosine_row, odds, *signs, loses = table
    return {
        "tabular": tabular_row.astype(bool),
        "ratio": ratio_row,
        "cosine": cosine_row,
        "odds": odds,
        "signs": np.stack(signs, axis=1).astype(int),
        "loses_more": loses.astype(bool),
    }


def _predicted(arrays: Arrays) -> np.ndarray:
    """Return the signs of the two drives, from where a policy lies."""
    ratio, cosine = arrays["ratio"], arrays["cosine"]
    return np.stack([np.sign(1 - cosine * ratio), np.sign(cosine - ratio)], axis=1)


@phase_diagram.check
def signs_are_those_of_the_region(arrays: Arrays) -> bool:
    """Every step has the signs that its place in the plane predicts."""
    return bool((arrays["signs"] == _predicted(arrays)).all())


@phase_diagram.check
def three_of_four_rows_occur(arrays: Arrays) -> bool:
    """Up and down, both down and both up each occur in ten steps or more; down and up in none."""
    count = {row: int((arrays["signs"] == row).all(1).sum()) for row in (*SHADES, DOWN_UP)}
    places = bool((np.abs(arrays["cosine"]) < 1 + 1e-9).all() and (arrays["ratio"] > 0).all())
    return places and count[DOWN_UP] == 0 and min(count[row] for row in SHADES) >= 10


@phase_diagram.check
def tabular_policies_stay_in_one_region(arrays: Arrays) -> bool:
    """In every tabular policy the chosen response rises and the rejected one falls; the cosine may have either sign."""
    signs, cosine = arrays["signs"][arrays["tabular"]], arrays["cosine"][arrays["tabular"]]
    return bool((signs == UP_DOWN).all() and cosine.min() < 0 < cosine.max())


@phase_diagram.check
def loses_more_above_its_curve(arrays: Arrays) -> bool:
    """Among steps that lower the chosen response, it loses more probability than the other exactly above its curve."""
    above = arrays["cosine"] > chosen_loses_more(arrays["ratio"], arrays["odds"])
    falls = arrays["signs"][:, 0] < 0
    loses = arrays["loses_more"]
    return bool((loses == (above & falls)).all() and (arrays["odds"][loses] > 1).all() and loses.sum() >= 3)


@phase_diagram.draw
def _draw(arrays: Arrays) -> Drawing:
    drawing, axes = plt.subplots(figsize=(COLUMN_WIDTH, 3.1))
    ratio = np.geomspace(1 / 8, 8, 401)
    axes.set_facecolor(SHADES[UP_DOWN])
    for inside, border, row in ((ratio >= 1, 1 / ratio, BOTH_DOWN), (ratio <= 1, ratio, BOTH_UP)):
        axes.fill_between(ratio[inside], border[inside], 1, color=SHADES[row], linewidth=0)
        axes.plot(ratio[inside], border[inside], color=REFERENCE, linewidth=1.2)
    for odds in (2.0, 4.0, 8.0):
        between = np.geomspace(1, odds, 101)
        axes.plot(between, chosen_loses_more(between, odds), color=PRINTED_COLOR, linewidth=0.9)
        low = np.sqrt(odds)
        label_line(
            axes, low, float(chosen_loses_more(low, odds)), f"$k={odds:g}$", PRINTED_COLOR, ha="center", va="top"
        )
    for tabular, marker, size in ((False, "o", 6), (True, "x", 10)):
        rows = arrays["tabular"] == tabular
        shown = rows & (arrays["ratio"] > ratio[0]) & (arrays["ratio"] < ratio[-1])
        look: dict[str, Any] = {"s": size, "marker": marker, "color": OTHERS, "linewidths": 0.6, "alpha": 0.7}
        axes.scatter(arrays["ratio"][shown], arrays["cosine"][shown], **look)
    axes.set(xscale="log", xlim=(ratio[0], ratio[-1]), ylim=(-1.02, 1.02), xlabel=r"$|g_l|\,/\,|g_w|$")
    axes.set_xticks([1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8], ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    axes.minorticks_off()
    axes.set_ylabel(r"cosine of the angle between $g_w$ and $g_l$")
    label_line(axes, 0.14, 0.8, "both rise", REFERENCE)
    label_line(axes, 4.1, 0.45, "both fall", REFERENCE)
    label_line(axes, 0.14, -0.92, "chosen rises, rejected falls", REFERENCE)
    return drawing
