"""A figure that is in no paper: DPO on three responses as replicator dynamics, drawn on the simplex."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.animation import FuncAnimation
from scipy.special import expit, log_softmax

from dynamics import (
    DPO,
    Tabular,
    bradley_terry,
    gradient_flow,
    pairs,
    preference_matrix,
    replicator_fitness,
    replicator_flow,
)
from figures.accuracy import FLOW, ROUNDED
from figures.export import still_at_the_end
from figures.plots import plot_field, plot_simplex
from figures.registry import Arrays, figure
from figures.style import (
    CHOSEN,
    DPO_COLOR,
    EXACT_COLOR,
    OTHERS,
    PAGE_WIDTH,
    REFERENCE,
    REJECTED,
    label_line,
    label_panel,
)
from figures.ternary import draw_frame, simplex_grid, to_plane

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure as Drawing

    from dynamics import Preferences

WORLDS = ("all", "one", "cycle")
STARTS = ((0.1, 0.8, 0.1), (0.06, 0.12, 0.82), (0.8, 0.06, 0.14), (0.05, 0.5, 0.45), (0.45, 0.5, 0.05))


def lemma_fitness(log_pi: np.ndarray, log_reference: np.ndarray, labels: np.ndarray, beta: float) -> np.ndarray:
    """Return DPO's fitness w_i = beta sum_j (l_ij - (l_ij + l_ji) sigma(margin_ij)) (ma2025 Lemma 2 with weights).

    Args:
        log_pi: log pi (nats), ``(responses,)``.
        log_reference: log ref, same shape.
        labels: how often i is preferred to j, ``(responses, responses)``; the diagonal is 0.
        beta: > 0.

    Example:
        >>> flat = np.log([0.5, 0.5])
        >>> lemma_fitness(flat, flat, np.array([[0.0, 0.75], [0.25, 0.0]]), 1.0)
        array([ 0.25, -0.25])
    """
    margin = beta * np.subtract.outer(log_pi - log_reference, log_pi - log_reference)
    return beta * (labels - (labels + labels.T) * expit(margin)).sum(1)


@figure(
    "new-replicator-simplex",
    "DPO on three responses is replicator dynamics: its trajectories on the simplex",
    source="not in the papers; ma2025 Eq. 12 and Figure 1 of feng2024, carried to three responses",
    caption="Arrows: the velocity pi_i (w_i - mean w) of gradient flow on tabular logits, length on a logarithmic "
    "scale; lines: trajectories; circle: the reference, where a run begins in practice (thick line). (a) All pairs "
    "compared, Bradley-Terry labels: one stationary point, pi* proportional to ref exp(r / beta) (star), which every "
    "trajectory reaches. (b) One labelled pair: there is no stationary point. pi_w pi_l / pi_other^2 is constant "
    "along every trajectory, which ends at the corner of the chosen response; the other one grows while the rejected "
    "is likelier than the chosen (right of the dotted line) and shrinks from there on. (c) A cycle of preferences, "
    "each response beating the next 9 times in 10: DPO still converges, here at the reference, since its flow "
    "descends a convex loss. The replicator dynamics of the preference game itself (grey) cycles for ever.",
    claims=("ma2025.theorem-2", "ma2025.rest-points", "ma2025.replicator-gains"),
    accuracy={"*_paths": FLOW, "*_descended": FLOW, "game_orbit": FLOW},
)
def simplex(
    rewards: tuple[float, float, float] = (1.2, 0.6, 0.0),
    reference: tuple[float, float, float] = (0.2, 0.3, 0.5),
    beta: float = 0.5,
    winning: float = 0.9,
    steps: int = 12,
    times: int = 160,
) -> Arrays:
    """Evaluate velocities on a grid and trajectories from several starts, in three worlds.

    Args:
        rewards: r of the three responses, for the labels of the first world.
        reference: ref, three probabilities.
        beta: > 0.
        winning: how often a response beats the next one of the cycle.
        steps: of the grid of arrows.
        times: points along a trajectory.
    """
    log_ref = np.log(reference)
    beats = expit(np.subtract.outer(rewards, rewards))
    around = np.array([[0.5, winning, 1 - winning], [1 - winning, 0.5, winning], [winning, 1 - winning, 0.5]])
    single = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    labels = {"all": _off_diagonal(beats), "one": single, "cycle": _off_diagonal(around)}
    told: dict[str, Preferences] = {
        "all": preference_matrix(bradley_terry(rewards)),
        "one": pairs(0, 1, shape=(3,)),
        "cycle": preference_matrix(around),
    }
    grid, starts = simplex_grid(steps), np.array([reference, *STARTS])
    clock = np.append(0.0, np.geomspace(1e-2, 800.0, times - 1))
    out: Arrays = {
        "beta": np.array(beta),
        "reference": np.array(reference),
        "optimum": np.exp(log_softmax(log_ref + np.array(rewards) / beta)),
        "grid": grid,
        "times": clock,
    }
    for name in WORLDS:

        def fitness(log_pi: np.ndarray, name: str = name) -> np.ndarray:
            return lemma_fitness(log_pi, log_ref, labels[name], beta)

        w = np.array([fitness(log_pi) for log_pi in np.log(grid)])
        out[f"{name}_velocity"] = grid * (w - (grid * w).sum(1, keepdims=True))
        out[f"{name}_paths"] = np.stack([replicator_flow(p, fitness, clock).log_probs for p in starts])
        total = float(told[name].weight.sum())  # the lemma sums over pairs, the objective is their mean
        mean = [replicator_fitness(log_pi, told[name], DPO(beta=beta), log_ref).numpy() for log_pi in np.log(grid)]
        out[f"{name}_simulated"] = total * np.stack(mean)
        ends = gradient_flow(
            Tabular(3),
            np.log(STARTS[0]),
            told[name],
            total * clock,
            loss=DPO(beta=beta),
            reference=torch.from_numpy(log_ref),
        )
        out[f"{name}_descended"] = ends.log_probs
    game = np.linspace(0.0, 60.0, 601)
    out["game_orbit"] = replicator_flow(STARTS[3], lambda log_p: around @ np.exp(log_p), game).log_probs
    return out


def _off_diagonal(table: np.ndarray) -> np.ndarray:
    return table * ~np.eye(len(table), dtype=bool)


@simplex.check
def velocities_are_those_of_dpo(arrays: Arrays) -> bool:
    """On the whole grid the arrows are the softmax's response to minus the gradient of DPO's own loss."""
    seen = []
    for name in WORLDS:
        p, w = arrays["grid"], arrays[f"{name}_simulated"]
        off = np.abs(arrays[f"{name}_velocity"] - p * (w - (p * w).sum(1, keepdims=True))).max()
        seen.append(off < ROUNDED and np.abs(arrays[f"{name}_velocity"]).max() > 0.01)
    return bool(all(seen))


@simplex.check
def descent_runs_along_the_trajectories(arrays: Arrays) -> bool:
    """Gradient flow in the logits, from the first start, passes through the same policies at the same times."""
    off = [np.abs(np.exp(arrays[f"{name}_descended"]) - np.exp(arrays[f"{name}_paths"][1])).max() for name in WORLDS]
    return bool(max(off) < 1e-6)


@simplex.check
def all_pairs_lead_to_the_optimum(arrays: Arrays) -> bool:
    """All pairs asked: every trajectory ends at pi*, ref exp(r / beta) normalised, and approaches it in the logits."""
    logs, aim = arrays["all_paths"], np.log(arrays["optimum"])
    ends = np.abs(np.exp(logs[:, -1]) - arrays["optimum"]).max() < 1e-6
    away = logs - aim - (logs - aim).mean(-1, keepdims=True)
    distance = np.linalg.norm(away, axis=-1)
    nearer = np.diff(distance, axis=1)[distance[:, 1:] > 1e-4]
    return bool(ends and (nearer < 0).all())


@simplex.check
def one_rest_point_inside(arrays: Arrays) -> bool:
    """All pairs asked: every arrow has a part towards pi* in the logits; one pair: all favour y_w over y_l by 0.05."""
    p = arrays["grid"]
    towards = np.log(arrays["optimum"]) - np.log(p)
    rate = (arrays["all_velocity"] / p * (towards - towards.mean(1, keepdims=True))).sum(1)
    one = arrays["one_velocity"] / p
    return bool((rate > 0).all() and (one[:, 0] - one[:, 1] > 0.05).all())


@simplex.check
def one_pair_keeps_its_invariant(arrays: Arrays) -> bool:
    """One pair: pi_w pi_l / pi_other^2 is constant along every trajectory, and pi_w ends above 0.9."""
    logs = arrays["one_paths"]
    kept = logs[..., 0] + logs[..., 1] - 2 * logs[..., 2]
    return bool(np.abs(kept - kept[:, :1]).max() < 1e-5 and (logs[:, -1, 0] > np.log(0.9)).all())


@simplex.check
def third_grows_while_the_rejected_leads(arrays: Arrays) -> bool:
    """One pair: the other response gains exactly where pi_l > pi_w; the chosen gains and the rejected loses always."""
    p, velocity = arrays["grid"], arrays["one_velocity"]
    lead = np.sign(np.round(p[:, 1] - p[:, 0], 12))
    gains = np.where(np.abs(velocity[:, 2]) < ROUNDED, 0.0, np.sign(velocity[:, 2]))
    both = {-1.0, 1.0} <= set(lead.tolist())
    return bool(both and (gains == lead).all() and (velocity[:, 0] > 0).all() and (velocity[:, 1] < 0).all())


@simplex.check
def dpo_does_not_cycle(arrays: Arrays) -> bool:
    """A cycle of preferences: DPO ends at the reference; the game's replicator flow conserves prod pi_i."""
    rest = np.abs(np.exp(arrays["cycle_paths"][:, -1]) - arrays["reference"]).max() < 1e-6
    orbit = arrays["game_orbit"]
    kept = np.abs(orbit.sum(1) - orbit[0].sum()).max() < 1e-5
    angle = np.unwrap(np.arctan2(*(to_plane(np.exp(orbit)) - to_plane(np.full(3, 1 / 3))).T[::-1]))
    return bool(rest and kept and abs(angle[-1] - angle[0]) > 2 * np.pi)


@simplex.animate
def _animate(arrays: Arrays) -> FuncAnimation:
    """Let the policies of the three panels run from their starts, all at one time."""
    drawing = _draw(arrays | {name: values[:, :1] for name, values in arrays.items() if name.endswith("_paths")})
    moving, times = [], arrays["times"]
    clock = drawing.axes[1].text(0.5, -0.09, "", ha="center", va="top", fontsize=7)
    for axes, name in zip(drawing.axes, WORLDS, strict=True):
        for path in to_plane(np.exp(arrays[f"{name}_paths"])):
            (dot,) = axes.plot(*path[0], "o", color=DPO_COLOR, markersize=3.5, zorder=7)
            (trace,) = axes.plot(*path[:1].T, color=DPO_COLOR, linewidth=1.2)
            moving.append((path, dot, trace))

    def show(time: int) -> list[Artist]:
        for path, dot, trace in moving:
            trace.set_data(*path[: time + 1].T)
            dot.set_data(*path[time : time + 1].T)
        clock.set_text(f"time {times[time]:.1f}")
        return [clock, *(line for _, *lines in moving for line in lines)]

    return FuncAnimation(drawing, show, frames=still_at_the_end(len(times)))


@simplex.draw
def _draw(arrays: Arrays) -> Drawing:
    drawing, panels = plt.subplots(1, 3, figsize=(PAGE_WIDTH, 2.5))
    corners = (("$y_1$", "$y_2$", "$y_3$"), ("chosen", "rejected", "other"), ("$y_1$", "$y_2$", "$y_3$"))
    inks = (("#333333",) * 3, (CHOSEN, REJECTED, OTHERS), ("#333333",) * 3)
    titles = ("all pairs", "one labelled pair", "a cycle of preferences")
    for axes, name, names, colors, title in zip(panels, WORLDS, corners, inks, titles, strict=True):
        draw_frame(axes, names, colors)
        plot_field(axes, to_plane(arrays["grid"]), to_plane(arrays[f"{name}_velocity"]), unit=0.01)
        if name == "cycle":
            axes.plot(*to_plane(np.exp(arrays["game_orbit"])).T, color=OTHERS, linewidth=1.2)
        for row, path in enumerate(arrays[f"{name}_paths"]):
            plot_simplex(axes, path, linewidth=1.0 if row else 2.2)
        reference = to_plane(arrays["reference"])
        axes.plot(*reference, "o", color="white", markeredgecolor=REFERENCE, markersize=5, zorder=5)
        axes.set_title(title)
    panels[0].plot(*to_plane(arrays["optimum"]), "*", color=EXACT_COLOR, markersize=9, zorder=6)
    x, y = to_plane(arrays["optimum"])
    label_line(panels[0], x - 0.03, y - 0.09, r"$\pi^*$", EXACT_COLOR, ha="center")
    equal = to_plane(np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]))
    panels[1].plot(*equal.T, color=REFERENCE, linewidth=0.8, linestyle=":")
    label_line(panels[2], 0.83, 0.52, "the game's", OTHERS)
    label_line(panels[2], 0.83, 0.45, "own orbit", OTHERS)
    leader = {"arrowstyle": "-", "linewidth": 0.6, "shrinkA": 1, "shrinkB": 3}
    x, y = to_plane(arrays["reference"])
    label_line(panels[0], x, y, "reference", REFERENCE, xytext=(0.72, 0.64), arrowprops=leader)
    for axes, letter in zip(panels, "abc", strict=True):
        label_panel(axes, letter)
    return drawing
