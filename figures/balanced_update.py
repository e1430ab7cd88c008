"""A figure that is in no paper: the exact update of a balanced loss beside ma2025's Eq. 14."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.tri import CubicTriInterpolator, Triangulation, UniformTriRefiner
from scipy.special import expit

from dynamics import ProbabilityMargin, bradley_terry, preference_matrix, replicator_fitness
from figures.accuracy import FRACTIONS, ROUNDED
from figures.registry import Arrays, figure
from figures.style import BALANCED_COLOR, EXACT_COLOR, OTHERS, PAGE_WIDTH, REFERENCE, label_line, label_panel
from figures.ternary import draw_frame, simplex_grid, to_plane
from theory.ma2025.balanced_update import WRONG_SIGN, copies, exact_update, printed_update

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

BANDS = (0.1, 0.3, 1.0)
PARTS = 40  # number of parts into which every response of panel (a) is split


def fitness(p: np.ndarray, rewards: np.ndarray) -> np.ndarray:
    """Return w_i = sum_j [sigma(r_i - r_j) - sigma(p_i - p_j)] of the loss in pi_w - pi_l (C = 1), all pairs asked.

    Args:
        p: probabilities, ``(..., responses)``.
        rewards: of the Bradley-Terry labels, ``(responses,)``.

    Example:
        >>> fitness(np.array([0.5, 0.5]), np.log([3.0, 1.0]))
        array([ 0.25, -0.25])
    """
    return (expit(rewards[:, None] - rewards) - expit(p[..., :, None] - p[..., None, :])).sum(-1)


def updates(p: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first-order change of the probabilities of a balanced loss, exact and by Eq. 14, for C gamma = 1.

    Args:
        p: probabilities, ``(..., responses)``.
        w: fitness, same shape.

    Example:
        >>> exact, printed = updates(np.array([0.5, 0.25, 0.25]), np.array([-1.0, 1.0, 0.0]))
        >>> exact * 128, printed * 128
        (array([-18.,  13.,   5.]), array([-20.,  14.,   6.]))
    """
    push = p * (w - (p * w).sum(-1, keepdims=True))
    exact, printed = (p * (a - (p * a).sum(-1, keepdims=True)) for a in (push, p * w))
    return exact, printed


@figure(
    "new-balanced-update",
    "A balanced loss: the exact update beside the printed one, which omits the mean fitness",
    source="not in the papers; ma2025 Theorem 2, Eq. 14",
    caption="(a) At p = (1/6, 1/6, 2/3) and w = (-2, 3, -1) the printed update raises y1, which the exact one "
    "lowers; splitting every response into 40 equal parts, so that all probabilities are below 2%, does not change "
    "the picture. (b) All policies over three responses with rewards 1, 0, -1: error over size of the update, summed "
    "over the responses. Black: some response moves the wrong way (7% of the policies). Eq. 14 is exact at the "
    "uniform policy (circle) and on the line where the mean fitness is 0. (c) Policies proportional to exp(a x), "
    "reward x from -1.5 to 1.5: with 50 responses or 1000 the printed update has about the same error; it is too "
    "large on either side, by 50% and more from |a| = 1 on.",
    claims=("ma2025.balanced-update", "ma2025.eq-14", "ma2025.eq-14-equivalence"),
    accuracy={"bars": FRACTIONS, "split_bars": FRACTIONS},
)
def balanced_updates(
    rewards: tuple[float, float, float] = (1.0, 0.0, -1.0),
    steps: int = 120,
    responses: tuple[int, ...] = (50, 200, 1000),
    tilt: float = 3.0,
    tilts: int = 61,
) -> Arrays:
    """Evaluate both updates at one policy, on the simplex, and along tempered policies.

    Args:
        rewards: of the three responses of the simplex.
        steps: of its grid.
        responses: numbers of responses of the tempered policies.
        tilt: the policies are exp(a x) for a from -tilt to tilt.
        tilts: number of policies, odd, so that the uniform one is among them.
    """
    case, parts = WRONG_SIGN, copies(WRONG_SIGN, PARTS)
    grid, r = simplex_grid(steps), np.array(rewards)
    w = fitness(grid, r)
    exact, printed = updates(grid, w)
    few = simplex_grid(12)
    told, loss = preference_matrix(bradley_terry(r)), ProbabilityMargin()
    total = float(told.weight.sum())  # the fitness is a sum over pairs, the objective their mean
    pushed = total * np.stack([replicator_fitness(log_p, told, loss).numpy() for log_p in np.log(few)])
    a = np.linspace(-tilt, tilt, tilts)
    tempered: dict[str, list] = {"error": [], "growth": [], "largest": []}
    for n in responses:
        x = np.linspace(-1.5, 1.5, n)
        p = np.exp(np.multiply.outer(a, x))
        p /= p.sum(1, keepdims=True)
        whole, short = updates(p, np.stack([fitness(row, x) for row in p]))
        tempered["error"].append(np.abs(short - whole).sum(1) / np.abs(whole).sum(1))
        tempered["growth"].append(np.abs(short).sum(1) / np.abs(whole).sum(1))
        tempered["largest"].append(p.max(1))
    return {
        "bars": np.array([exact_update(case), printed_update(case)], dtype=float),
        "split_bars": np.array([exact_update(parts), printed_update(parts)], dtype=float)[:, ::PARTS],
        "split_largest": np.array(float(max(parts.p))),
        "grid": grid,
        "mean_fitness": (grid * w).sum(1),
        "exact": exact,
        "printed": printed,
        "few": few,
        "few_exact": updates(few, fitness(few, r))[0],
        "few_descent": pushed,
        "tilt": a,
        **{name: np.array(rows) for name, rows in tempered.items()},
    }


def _wrong(arrays: Arrays) -> np.ndarray:
    """Return at which policies of the grid some response moves the wrong way."""
    return np.any(arrays["exact"] * arrays["printed"] < 0, axis=1)


def _error(arrays: Arrays) -> np.ndarray:
    return np.abs(arrays["printed"] - arrays["exact"]).sum(1) / np.abs(arrays["exact"]).sum(1)


@balanced_updates.check
def exact_is_the_step_of_the_loss(arrays: Arrays) -> bool:
    """The exact update is the softmax's response to minus the gradient of -ln sigma(pi_w - pi_l), summed over pairs."""
    p, descent = arrays["few"], arrays["few_descent"]
    response = p * (descent - (p * descent).sum(1, keepdims=True))
    return bool(np.abs(response - arrays["few_exact"]).max() < ROUNDED and np.abs(response).max() > 0.01)


@balanced_updates.check
def printed_raises_what_falls(arrays: Arrays) -> bool:
    """At p = (1/6, 1/6, 2/3): exact (-1/72, 1/8, -1/9), printed (1/72, 11/72, -1/6); the sign of y1 is wrong."""
    expected = np.array([[-1, 9, -8], [1, 11, -12]]) / 72
    return bool(np.abs(arrays["bars"] - expected).max() < ROUNDED)


@balanced_updates.check
def splitting_changes_nothing(arrays: Arrays) -> bool:
    """With every response in 40 parts no probability exceeds 2%, and both updates of a part are 1/40^2 of the whole."""
    scaled = np.abs(PARTS**2 * arrays["split_bars"] - arrays["bars"]).max() < ROUNDED
    return bool(scaled and arrays["split_largest"] < 0.02)


@balanced_updates.check
def difference_is_the_mean_fitness(arrays: Arrays) -> bool:
    """Exact less printed is - mean(w) pi_i (pi_i - sum pi^2): zero where mean(w) = 0 and at the uniform policy."""
    p, mean = arrays["grid"], arrays["mean_fitness"][:, None]
    expected = -mean * p * (p - (p**2).sum(1, keepdims=True))
    holds = np.abs(arrays["exact"] - arrays["printed"] - expected).max() < ROUNDED
    even = np.abs(p - 1 / 3).max(1) < ROUNDED
    crosses = arrays["mean_fitness"].min() < -0.1 < 0.1 < arrays["mean_fitness"].max()
    return bool(holds and crosses and even.sum() == 1 and np.abs(expected[even]).max() < ROUNDED)


@balanced_updates.check
def signs_are_wrong_in_places(arrays: Arrays) -> bool:
    """Some response moves the wrong way at 6% to 9% of the policies; the error exceeds 10% at over half of them."""
    share, error = _wrong(arrays).mean(), _error(arrays)
    sums = max(np.abs(arrays[name].sum(1)).max() for name in ("exact", "printed"))
    return bool(0.06 < share < 0.09 and np.median(error) > 0.1 and sums < ROUNDED)


@balanced_updates.check
def small_probabilities_do_not_help(arrays: Arrays) -> bool:
    """At |a| = 1 the error stays above one half from 50 to 1000 responses, while the largest pi falls below 0.4%."""
    at_one = np.abs(np.abs(arrays["tilt"]) - 1) < 1e-9
    at_zero = np.abs(arrays["tilt"]) < 1e-9
    large = (arrays["error"][:, at_one] > 0.5).all() and (arrays["largest"][-1, at_one] < 0.004).all()
    none = (np.abs(arrays["error"][:, at_zero]) < 1e-9).all()
    return bool(at_one.sum() == 2 and at_zero.sum() == 1 and large and none)


@balanced_updates.check
def printed_is_too_large(arrays: Arrays) -> bool:
    """From |a| = 1 on the printed update is over 1.5 times as large as the exact one, on either side."""
    far = np.abs(arrays["tilt"]) >= 1 - 1e-9
    return bool(far.any() and (arrays["growth"][:, far] > 1.5).all())


@balanced_updates.draw
def _draw(arrays: Arrays) -> Drawing:
    drawing, (bars, simplex, curve) = plt.subplots(
        1, 3, figsize=(PAGE_WIDTH, 2.3), gridspec_kw={"width_ratios": (0.85, 1.15, 1)}
    )
    _draw_bars(bars, arrays)
    _draw_simplex(simplex, arrays)
    _draw_curve(curve, arrays)
    for axes, letter in zip((bars, simplex, curve), "abc", strict=True):
        label_panel(axes, letter)
    return drawing


def _draw_bars(axes: Axes, arrays: Arrays) -> None:
    at = np.arange(3)
    for values, shift, color in zip(arrays["bars"], (-0.19, 0.19), (EXACT_COLOR, BALANCED_COLOR), strict=True):
        axes.bar(at + shift, values, width=0.36, color=color)
    axes.axhline(0, color=REFERENCE, linewidth=0.6)
    axes.set(xticks=at, ylim=(-0.19, 0.19), yticks=(-0.1, 0, 0.1), ylabel=r"$\Delta\pi_i\,/\,C\gamma$")
    axes.set_xticklabels(["$y_1$", "$y_2$", "$y_3$"])
    axes.set_title("one policy")
    label_line(axes, 1.55, 0.115, "exact", EXACT_COLOR)
    label_line(axes, 1.55, 0.085, "Eq. 14", BALANCED_COLOR)
    label_line(axes, -0.4, -0.06, "wrong sign", REFERENCE)


def _draw_simplex(axes: Axes, arrays: Arrays) -> None:
    draw_frame(axes, ("$y_1$", "$y_2$", "$y_3$"), ("#333333",) * 3)
    x, y = to_plane(arrays["grid"]).T
    shades = ("#F7F2EC", "#F6D3B3", "#E8975A", "#B5480A")
    limits = (0.0, *BANDS, 1e9)
    axes.tricontourf(x, y, _error(arrays), levels=limits, colors=shades, zorder=2)
    coarse = Triangulation(x, y)
    finer = UniformTriRefiner(coarse)
    for exact, printed in zip(arrays["exact"].T.copy(), arrays["printed"].T.copy(), strict=True):
        (places, exact_there), (_, printed_there) = (
            finer.refine_field(z, CubicTriInterpolator(coarse, z, kind="geom"), subdiv=2) for z in (exact, printed)
        )
        opposite = exact_there * printed_there  # negative where this response moves the wrong way
        axes.tricontourf(places, opposite, levels=[-1.0, 0.0], colors=[REFERENCE], zorder=3)
    axes.tricontour(x, y, arrays["mean_fitness"], levels=[0.0], colors=[EXACT_COLOR], linewidths=1.4, zorder=4)
    axes.plot(*to_plane(np.full(3, 1 / 3)), "o", color="white", markeredgecolor=EXACT_COLOR, markersize=4.5, zorder=5)
    axes.set_title("all policies: error of Eq. 14")
    names = ("< 10%", "10-30%", "30-100%", "> 100%", "wrong sign")
    for k, (name, shade) in enumerate(zip(names, (*shades, "black"), strict=True)):
        axes.plot(0.83, 0.93 - 0.085 * k, "s", color=shade, markeredgecolor="#999999", markersize=5, mew=0.4)
        label_line(axes, 0.875, 0.905 - 0.085 * k, name, REFERENCE)
    label_line(axes, -0.06, 0.5, "mean $w=0$", EXACT_COLOR)


def _draw_curve(axes: Axes, arrays: Arrays) -> None:
    axes.axhline(1, color="#BBBBBB", linewidth=0.6)
    for error, color, dashes in zip(arrays["error"][[0, -1]], (OTHERS, BALANCED_COLOR), ("--", "-"), strict=True):
        axes.plot(arrays["tilt"], error, color=color, linestyle=dashes)
    axes.set(xlabel="tilt $a$ of the policy", ylabel="error / size of the update", xlim=(-3, 3), ylim=(0, 5))
    axes.set_title("many responses")
    label_line(axes, 2.4, 3.4, "50 responses", OTHERS, ha="right")
    label_line(axes, 2.0, 1.4, "1000", BALANCED_COLOR)
    label_line(axes, -2.9, 4.55, "against the reward", "#555555")
    label_line(axes, 2.55, 4.55, "with it", "#555555", ha="right")
