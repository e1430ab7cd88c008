"""A figure that is in no paper: Self PO is the logistic loss with an entropy bonus, and what the bonus does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import entr, expit, logit, rel_entr

from dynamics import DPO, SelfPO
from dynamics.losses.base import MarginLoss
from figures.accuracy import ROUNDED, Accuracy
from figures.registry import Arrays, figure
from figures.style import (
    DPO_COLOR,
    EXACT_COLOR,
    OTHERS,
    PAGE_WIDTH,
    REFERENCE,
    SELF_PO_COLOR,
    label_line,
    label_panel,
)
from theory.sun2025.floor import FLOOR_MARGIN, FLOOR_PROBABILITY

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

LOSSES: dict[str, MarginLoss] = {"logistic": DPO(beta=1.0), "self_po": SelfPO()}


def expected_loss(name: str, margin: np.ndarray, share: float) -> np.ndarray:
    """Return the mean loss of a pair whose first response is preferred ``share`` of the time, nats.

    Args:
        name: "logistic" or "self_po".
        margin: m of the first response over the second, any shape.
        share: from 0 to 1.

    Example:
        >>> expected_loss("self_po", np.array([0.0, 1.0]), 1.0).round(4)  # SiLU(-m)
        array([ 0.    , -0.2689])
    """
    m = torch.as_tensor(margin, dtype=torch.float64)
    loss = LOSSES[name]
    return (share * loss.of_margin(m) + (1 - share) * loss.of_margin(-m)).numpy()


def expected_slope(name: str, margin: float, share: float) -> float:
    """Return the derivative of ``expected_loss`` with respect to the margin.

    Example:
        >>> expected_slope("logistic", 0.0, 0.9)
        -0.4
    """
    m = torch.tensor(margin, dtype=torch.float64)
    loss = LOSSES[name]
    return float(share * loss.derivative(m) - (1 - share) * loss.derivative(-m))


def answer(share: float, bonus: float) -> float:
    """Return sigma(m) at the minimum of the logistic loss minus ``bonus`` times the entropy of sigma(m).

    Args:
        share: of the labels, 1/2 to 1; below 1 if ``bonus`` is 0.
        bonus: weight of the entropy, >= 0; 0 is the logistic loss, 1 is Self PO.

    Example:
        >>> round(answer(0.9, 0.0), 6), round(answer(1.0, 1.0), 6)
        (0.9, 0.782188)
    """

    def slope(margin: float) -> float:
        return (1 - bonus) * expected_slope("logistic", margin, share) + bonus * expected_slope(
            "self_po", margin, share
        )

    most = float(logit(share)) + 1.0 if share < 1 else 1.0 + 1 / bonus  # the slope is positive there
    return float(expit(brentq(slope, -1.0, most, xtol=1e-14)))


@figure(
    "new-self-po-entropy",
    "Self PO is the logistic loss with an entropy bonus: its predictions are less certain than its labels",
    source="not in the papers; Sun et al. 2025, Proposition 1 made exact",
    caption="(a) A pair whose first response is preferred 8 times in 10. Self PO's mean loss is the logistic one "
    "less the entropy of the predicted preference sigma(m), exactly; entropy lowers the loss, so the minimum (dots) "
    "moves from the fraction of the labels, sigma(m) = 0.8, towards 1/2, to 0.655. (b) The prediction at the minimum "
    "against the fraction of the labels: under the logistic loss the two are equal; a bonus of weight c makes the "
    "prediction less certain, with slope 1 / (1 + c) at 1/2. Labels that always agree drive the logistic margin to "
    "infinity; Self PO stops at sigma(m) = 1 / (1 + W) = 0.782, and any c > 0 at some prediction below 1.",
    claims=("sun2025.entropy-identity", "sun2025.expected-loss", "sun2025.silu-minimum"),
    accuracy=dict.fromkeys(("answers", "least"), Accuracy("a root, found to 1e-12", absolute=1e-12)),
)
def entropy_bonus(
    share: float = 0.8,
    end: float = 4.0,
    points: int = 321,
    bonuses: tuple[float, ...] = (0.0, 0.5, 1.0),
    shares: int = 51,
) -> Arrays:
    """Evaluate both mean losses on a margin axis, and the predictions at their minima.

    Args:
        share: of the labels in the first panel.
        end: the axis of the margin is [-end, end].
        points: number of margins.
        bonuses: weights c of the entropy, rising; 0 is the logistic loss, 1 is Self PO.
        shares: number of shares of the labels from 1/2 to 1.
    """
    margin = np.linspace(-end, end, points)
    p, axis = expit(margin), np.linspace(0.5, 1.0, shares)
    several = np.array([0.5, share, 1.0])
    answers = [[1.0 if c == 0 and q == 1 else answer(float(q), c) for q in axis] for c in bonuses]
    return {
        "margin": margin,
        "share": np.array(share),
        "several": several,
        "logistic": np.stack([expected_loss("logistic", margin, q) for q in several]),
        "self_po": np.stack([expected_loss("self_po", margin, q) for q in several]),
        "entropy": entr(p) + entr(1 - p),
        "prediction": p,
        "least": np.array([answer(share, 0.0), answer(share, 1.0)]),
        "bonus": np.array(bonuses),
        "shares": axis,
        "answers": np.array(answers),
    }


@entropy_bonus.check
def difference_is_the_entropy(arrays: Arrays) -> bool:
    """At every margin and share Self PO's mean loss is the logistic one less the entropy of sigma(m)."""
    gap = arrays["logistic"] - arrays["self_po"]
    p = arrays["prediction"]
    entropy = -p * np.log(p) - (1 - p) * np.log1p(-p)
    return bool(np.abs(gap - entropy).max() < ROUNDED and np.abs(arrays["entropy"] - entropy).max() < ROUNDED)


@entropy_bonus.check
def logistic_is_a_divergence(arrays: Arrays) -> bool:
    """The logistic mean loss is the entropy of the labels and KL(labels, prediction): least where the two agree."""
    p, several = arrays["prediction"], arrays["several"].clip(0, 1)[:, None]
    divergence = rel_entr(several, p) + rel_entr(1 - several, 1 - p)
    cross = divergence + entr(several) + entr(1 - several)
    return bool(np.abs(arrays["logistic"] - cross).max() < 10 * ROUNDED)


@entropy_bonus.check
def self_po_is_margin_times_error(arrays: Arrays) -> bool:
    """Self PO's mean loss is m (sigma(m) - share): 0 at m = 0 and wherever the prediction is the share itself."""
    expected = arrays["margin"] * (arrays["prediction"] - arrays["several"][:, None])
    return bool(np.abs(arrays["self_po"] - expected).max() < 10 * ROUNDED)


@entropy_bonus.check
def dots_are_the_least_points(arrays: Arrays) -> bool:
    """The dots are at the minima of the drawn curves, at predictions 0.8 and 0.655."""
    p, row = arrays["prediction"], 1
    seen = np.array([p[arrays[name][row].argmin()] for name in ("logistic", "self_po")])
    near = np.abs(seen - arrays["least"]).max() < np.diff(p).max()
    return bool(near and np.abs(arrays["least"] - [0.8, 0.655]).max() < 5e-4)


@entropy_bonus.check
def logistic_repeats_the_share(arrays: Arrays) -> bool:
    """Without a bonus the prediction at the least loss is the share of the labels."""
    plain = arrays["answers"][arrays["bonus"] < ROUNDED]
    return bool(len(plain) == 1 and np.abs(plain[0] - arrays["shares"]).max() < 1e-9)


@entropy_bonus.check
def bonus_draws_towards_a_coin(arrays: Arrays) -> bool:
    """With more bonus the prediction is lower at every share above 1/2 and stays above 1/2; it rises with the share."""
    shares, answers = arrays["shares"], arrays["answers"]
    inside = shares > 0.5 + 1e-12
    lower = (np.diff(answers[:, inside], axis=0) < 0).all() and (np.diff(arrays["bonus"]) > 0).all()
    coin = np.abs(answers[:, ~inside] - 0.5).max() < 1e-9
    return bool(lower and coin and (answers[:, inside] > 0.5).all() and (np.diff(answers, axis=1) > 0).all())


@entropy_bonus.check
def share_from_the_prediction(arrays: Arrays) -> bool:
    """Every point has share = p + c p (1 - p) logit p, so that the slope at 1/2 is 1 / (1 + c)."""
    p, bonus, shares = arrays["answers"], arrays["bonus"][:, None], arrays["shares"]
    sure = p > 1 - 1e-9
    inner = np.where(sure, 0.5, p)
    back = np.where(sure, 1.0, inner + bonus * inner * (1 - inner) * logit(inner))
    slope = (p[:, 1] - p[:, 0]) / (shares[1] - shares[0])
    return bool(np.abs(back - shares).max() < 1e-9 and np.abs(slope - 1 / (1 + bonus[:, 0])).max() < 1e-3)


@entropy_bonus.check
def sure_labels_leave_doubt(arrays: Arrays) -> bool:
    """Labels that always agree: Self PO's prediction is 1 / (1 + W) = 0.782188, and any bonus leaves it below 1."""
    last, bonus = arrays["answers"][:, -1], arrays["bonus"]
    floor = np.abs(last[np.abs(bonus - 1) < ROUNDED] - FLOOR_PROBABILITY)
    some = bonus > ROUNDED
    finite = (last[some] < 1 - 1e-3).all() and (np.abs(last[~some] - 1) < 1e-9).all()
    return bool(abs(arrays["shares"][-1] - 1) < ROUNDED and len(floor) == 1 and floor.max() < 1e-9 and finite)


@entropy_bonus.draw
def _draw(arrays: Arrays) -> Drawing:
    drawing, (left, right) = plt.subplots(1, 2, figsize=(PAGE_WIDTH, 2.6), gridspec_kw={"width_ratios": (1.25, 1)})
    margin, share = arrays["margin"], float(arrays["share"])
    logistic, self_po = arrays["logistic"][1], arrays["self_po"][1]
    left.axhline(0, color="#BBBBBB", linewidth=0.6)
    left.fill_between(margin, self_po, logistic, color=OTHERS, alpha=0.18, linewidth=0)
    for curve, least, color, name in (
        (logistic, arrays["least"][0], DPO_COLOR, "logistic"),
        (self_po, arrays["least"][1], SELF_PO_COLOR, "self_po"),
    ):
        at = float(logit(least))
        height = float(expected_loss(name, np.array(at), share))
        left.plot(margin, curve, color=color)
        left.plot(at, height, "o", color=color, markersize=4)
    left.plot(margin, arrays["entropy"], color=OTHERS, linestyle="--", linewidth=1)
    left.set(xlim=(margin[0], margin[-1]), ylim=(-0.35, 2.2), xlabel="margin $m$", ylabel="mean loss (nats)")
    left.set_title(f"labels agree {share:g} of the time")
    label_line(left, -1.55, 1.62, "logistic", DPO_COLOR)
    label_line(left, -2.6, 0.95, "Self PO", SELF_PO_COLOR, ha="right")
    label_line(left, -3.9, 0.45, "entropy of $\\sigma(m)$", OTHERS)
    leader = {"arrowstyle": "-", "linewidth": 0.6, "shrinkB": 3}
    ends = (float(logit(arrays["least"][0])), 0.5004), (float(logit(arrays["least"][1])), -0.092)
    names = (rf"$\sigma(m)={arrays['least'][0]:.3f}$", rf"$\sigma(m)={arrays['least'][1]:.3f}$")
    for end, place, name, color in zip(
        ends, ((1.5, 0.98), (1.5, -0.27)), names, (DPO_COLOR, SELF_PO_COLOR), strict=True
    ):
        label_line(left, *end, name, color, xytext=place, arrowprops={**leader, "color": color})

    shares = arrays["shares"]
    colors = (DPO_COLOR, "#555555", SELF_PO_COLOR)
    for answers, bonus, color in zip(arrays["answers"], arrays["bonus"], colors, strict=False):
        inner = 0 < bonus < 1
        right.plot(shares, answers, color=color, linewidth=1.0 if inner else 1.6, linestyle="--" if inner else "-")
    right.axhline(FLOOR_PROBABILITY, color=EXACT_COLOR, linewidth=0.7, linestyle=":")
    right.set(xlim=(0.5, 1), ylim=(0.5, 1), xlabel="share of the labels", ylabel=r"prediction $\sigma(m)$ at the least")
    right.set_title("what is learnt")
    label_line(right, 0.7, 0.735, "logistic, $c=0$", DPO_COLOR, ha="right")
    label_line(right, 0.855, 0.73, "$c=1/2$", "#555555", ha="left")
    label_line(right, 0.8, 0.62, "Self PO, $c=1$", SELF_PO_COLOR)
    label_line(right, 0.515, FLOOR_PROBABILITY + 0.012, rf"$1/(1+W)$, $m={FLOOR_MARGIN:.3f}$", EXACT_COLOR)
    right.plot(0.5, 0.5, "o", color=REFERENCE, markersize=3, clip_on=False)
    label_panel(left, "a")
    label_panel(right, "b")
    return drawing
