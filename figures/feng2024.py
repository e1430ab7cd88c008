"""The figures of feng2024: the loss of one pair and its gradient field, in ratio coordinates.

x1 = pi(y_w) / ref(y_w) and x2 = pi(y_l) / ref(y_l). With ref = 1, as the paper draws it, x1 and x2 are the
probabilities themselves, and only the triangle x1 + x2 <= 1 can be reached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d.art3d import Poly3DCollection  # type: ignore[import-untyped]

from dynamics import ratio_field, ratio_flow, ratio_hitting_time, ratio_loss
from figures.accuracy import ROUNDED, TAIL, Accuracy
from figures.plots import plot_field
from figures.registry import Arrays, figure
from figures.style import DPO_COLOR, PAGE_WIDTH, REJECTED, label_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

BETAS = (0.1, 0.5, 1.0, 2.0)


@figure(
    "feng2024-1a",
    "The DPO loss of one pair as a surface over the two probability ratios",
    source="Feng et al. 2024, Figure 1 (a)",
    caption="The loss is ln 2 on the diagonal (thick white line), constant along rays from the origin (white lines), "
    "falls to 0 at the edge x2 = 0 and grows without bound at the edge x1 = 0. Black: x1 + x2 = 1; the grey part "
    "beyond it cannot be reached, since two probabilities sum to at most 1.",
    differs="The paper names neither beta nor the grid; one panel for each of four values of beta. Its square "
    "reaches probabilities that sum to 2; the boundary of the feasible region is drawn.",
    claims=("feng2024.eq-1", "feng2024.footnote-2"),
    accuracy={"deep": TAIL, "steep": TAIL},
)
def loss_surface(betas: tuple[float, ...] = BETAS, points: int = 50, rays: int = 201) -> Arrays:
    """Evaluate the loss on a grid of ratios in (0, 1]^2, on rays from the origin, and towards two edges."""
    x = np.arange(1, points + 1) / points  # 2 x lies on the grid too, so a ray runs through grid points
    x1, x2 = np.meshgrid(x, x, indexing="ij")
    angle = np.arctan(np.geomspace(x[0], 1 / x[0], rays))
    return {
        "beta": np.array(betas),
        "x": x,
        "angle": angle,
        "ray_loss": np.stack([ratio_loss(np.cos(angle), np.sin(angle), beta) for beta in betas]),
        "loss": np.stack([ratio_loss(x1, x2, beta) for beta in betas]),
        "deep": np.stack([ratio_loss(1.0, 10.0 ** np.arange(-12.0, 0.0), beta) for beta in betas]),
        "steep": np.stack([ratio_loss(10.0 ** np.arange(-12.0, 0.0), 1.0, beta) for beta in betas]),
    }


@loss_surface.check
def diagonal_is_ln_2(arrays: Arrays) -> bool:
    """The loss is ln 2 wherever x1 = x2."""
    diagonal = np.diagonal(arrays["loss"], axis1=1, axis2=2)
    return bool(np.abs(diagonal - np.log(2)).max() < 1e-12)


@loss_surface.check
def monotone(arrays: Arrays) -> bool:
    """The loss falls with x1 and rises with x2, everywhere and for every beta."""
    loss, rays = arrays["loss"], arrays["ray_loss"]
    return bool((np.diff(loss, axis=1) < 0).all() and (np.diff(loss, axis=2) > 0).all() and (np.diff(rays) > 0).all())


@loss_surface.check
def constant_on_rays(arrays: Arrays) -> bool:
    """The loss depends on x2 / x1 alone: on the ray at angle a it is softplus(beta ln tan a), as at all x2 = 2 x1."""
    i = np.arange(len(arrays["x"]) // 2)
    j = 2 * i + 1
    on_the_ray = np.abs(arrays["x"][j] - 2 * arrays["x"][i]).max() < 1e-12
    beta = arrays["beta"][:, None]
    off = np.abs(arrays["loss"][:, i, j] - np.logaddexp(0, beta * np.log(2)))
    off_rays = np.abs(arrays["ray_loss"] - np.logaddexp(0, beta * np.log(np.tan(arrays["angle"]))))
    # at the steep end of the axis a tangent magnifies the rounding of its angle by 50
    return bool(on_the_ray and off.max() < 1e-9 and off_rays.max() < 1e-9)


@loss_surface.check
def limits_at_the_edges(arrays: Arrays) -> bool:
    """Towards x2 = 0 the loss falls like x2^beta to 0; towards x1 = 0 it grows like -beta ln x1."""
    tiny = 10.0 ** np.arange(-12.0, 0.0)[None, :]
    beta = arrays["beta"][:, None]
    falls = np.abs(arrays["deep"] / tiny**beta - 1) <= tiny**beta + 1e-9
    grows = np.abs(arrays["steep"] + beta * np.log(tiny)) <= tiny**beta + 1e-9
    return bool(falls.all() and grows.all())


@loss_surface.draw
def _draw_surface(arrays: Arrays) -> Drawing:
    drawing = plt.figure(figsize=(PAGE_WIDTH, 1.9))
    drawing.set_layout_engine("none")  # the layout engine cannot account for the empty corners of a 3D box
    width = 0.9 / len(arrays["beta"])
    shades = ScalarMappable(Normalize(0, 2 * np.log(2)), "cividis")
    towards = np.stack([np.cos(arrays["angle"]), np.sin(arrays["angle"])], axis=-1)
    near, edge = 0.01 * towards, towards / towards.sum(axis=1, keepdims=True)
    square = towards / towards.max(axis=1, keepdims=True)
    for column, (beta, loss) in enumerate(zip(arrays["beta"], arrays["ray_loss"], strict=True)):
        left = (column - 0.01) * width
        axes = drawing.add_subplot(projection="3d", computed_zorder=False, facecolor="none")
        axes.set_position((left, 0.0, width, 0.95))
        colors = shades.to_rgba(loss[:-1])
        for ends, shade in (((near, edge), colors), ((edge, square), "#D9D9D9")):
            lines = np.stack([np.column_stack([end, loss]) for end in ends], axis=1)
            strips = np.concatenate([lines[:-1], lines[1:, ::-1]], axis=1)
            axes.add_collection3d(Poly3DCollection(strips, facecolors=shade, edgecolors=shade, linewidths=0.4))
        for k in np.linspace(0, len(loss) - 1, 13).astype(int):
            ray = np.stack([near[k], square[k]])
            middle = k == len(loss) // 2
            axes.plot(*ray.T, loss[[k, k]], color="white", linewidth=1.4 if middle else 0.4, zorder=3)
        axes.plot(*edge.T, loss, color="black", linewidth=1, zorder=4)
        axes.view_init(elev=27, azim=-52)
        axes.set_box_aspect((1, 1, 0.85), zoom=0.91)
        axes.set(xlim=(0, 1), ylim=(0, 1), zlim=(0, loss.max()), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        axes.set(xticklabels=("0", "", "1"), yticklabels=("0", "", "1"))
        axes.zaxis.set_major_locator(MaxNLocator(3, prune="lower"))
        axes.tick_params(labelsize=6, pad=-4)
        axes.tick_params(axis="z", pad=-3)
        axes.set_xlabel("$x_1$", labelpad=-13)
        axes.set_ylabel("$x_2$", labelpad=-13)
        drawing.text(left + 0.5 * width, 0.91, rf"$\beta$ = {beta:g}", ha="center", fontsize=8)
    bar = drawing.colorbar(shades, cax=drawing.add_axes((0.925, 0.2, 0.012, 0.6)), extend="max")
    bar.set_ticks([0, np.log(2), 2 * np.log(2)], labels=["0", r"$\ln 2$", r"$2\ln 2$"])
    bar.set_label("loss (nats)", labelpad=-1)
    return drawing


def _clock(samples: int) -> np.ndarray:
    # from 0 to 1, slow at both ends: the flow is fastest where it starts (small x1) and, for beta < 1, where it ends
    s = np.linspace(0.0, 1.0, samples)
    return s**4 * (35 - 84 * s + 70 * s**2 - 20 * s**3)


@figure(
    "feng2024-1b",
    "The gradient field of DPO in ratio coordinates, and where it leads",
    source="Feng et al. 2024, Figure 1 (b)",
    caption="Arrows: the descent direction, length on a logarithmic scale. It is perpendicular to the radius, so every "
    "trajectory is an arc of a circle that ends on the edge x2 = 0: in finite time for beta < 2, never for beta >= 2 "
    "(in the titles, the time T from (0.45, 0.45)). Near that edge the arrows grow without bound only for beta < 1. "
    "x1 and x2 move freely here, so a trajectory can leave the triangle x1 + x2 <= 1 of what a policy can do (dashed).",
    differs="One panel for each of four values of beta, because the paper's third regime is true for beta < 1 only. "
    "The infeasible half x1 + x2 > 1 is shaded; it holds the corner (1, 1) of the paper's second regime.",
    claims=("feng2024.theorem-1", "feng2024.corollary-1", "feng2024.regime-3", "feng2024.conserved-radius"),
    accuracy={
        "field": TAIL,
        "edge_speed": TAIL,
        "hitting_time": TAIL,
        "arcs": Accuracy("a root, found to 1e-12 of the angle's range", absolute=1e-12),
    },
)
def gradient_field(
    betas: tuple[float, ...] = BETAS,
    points: int = 13,
    starts: tuple[tuple[float, float], ...] = ((0.45, 0.45), (0.1, 0.5), (0.1, 0.85), (0.7, 0.2)),
    samples: int = 160,
) -> Arrays:
    """Evaluate the field on a grid, its trajectories, their hitting times, and the field near the edge x2 = 0."""
    x = np.linspace(0.04, 1.0, points)
    x1, x2 = np.meshgrid(x, x, indexing="ij")
    hits = np.array([[ratio_hitting_time(*start, beta) for start in starts] for beta in betas])
    arcs = []
    for beta, row in zip(betas, hits, strict=True):
        ends = np.where(np.isfinite(row), row, 3.0)
        arcs.append([ratio_flow(*s, beta, _clock(samples) * end) for s, end in zip(starts, ends, strict=True)])
    edge = 10.0 ** -np.arange(1.0, 13.0)
    return {
        "beta": np.array(betas),
        "x": x,
        "field": np.stack([np.stack(ratio_field(x1, x2, beta)) for beta in betas]),
        "corner": np.stack([np.stack(ratio_field(1.0, 1.0, beta)) for beta in betas]),
        "edge_x2": edge,
        "edge_speed": np.stack([-ratio_field(0.5, edge, beta)[1] for beta in betas]),
        "starts": np.array(starts),
        "arcs": np.array(arcs),
        "hitting_time": hits,
    }


@gradient_field.check
def right_and_down(arrays: Arrays) -> bool:
    """Every arrow points to larger x1 and smaller x2: there is no critical point, hence no saddle point."""
    return bool((arrays["field"][:, 0] > 0).all() and (arrays["field"][:, 1] < 0).all())


@gradient_field.check
def tangential(arrays: Arrays) -> bool:
    """Every arrow is perpendicular to the radius, so its slope ratio is x2 / x1."""
    x1, x2 = np.meshgrid(arrays["x"], arrays["x"], indexing="ij")
    d1, d2 = arrays["field"][:, 0], arrays["field"][:, 1]
    radial = np.abs(x1 * d1 + x2 * d2) / np.hypot(x1 * d1, x2 * d2)
    return bool(radial.max() < 1e-10)


@gradient_field.check
def circular_arcs(arrays: Arrays) -> bool:
    """Along every trajectory x1^2 + x2^2 keeps its value and x2 falls, both to 1e-9."""
    radius = np.linalg.norm(arrays["arcs"], axis=-1)
    kept = np.abs(radius - np.linalg.norm(arrays["starts"], axis=-1)[None, :, None]).max() < 1e-9
    return bool(kept and (np.diff(arrays["arcs"][..., 1], axis=-1) < 1e-9).all())


@gradient_field.check
def corner_strength(arrays: Arrays) -> bool:
    """At (1, 1) the field is (beta / 2, -beta / 2)."""
    half = arrays["beta"][:, None] / 2 * np.array([1.0, -1.0])
    return bool(np.abs(arrays["corner"] - half).max() < 1e-12)


@gradient_field.check
def third_regime(arrays: Arrays) -> bool:
    """Towards x2 = 0 the speed of x2 explodes for beta < 1, tends to 1 / x1 at beta = 1 and to 0 beyond."""
    seen = []
    for beta, speed in zip(arrays["beta"], arrays["edge_speed"], strict=True):
        if beta < 1 - ROUNDED:
            seen.append((np.diff(speed) > 0).all() and speed[-1] > 1e3)
        elif beta < 1 + ROUNDED:
            seen.append(abs(speed[-1] - 2.0) < 1e-9)
        else:
            seen.append((np.diff(speed) < 0).all() and speed[-1] < 1e-9)
    return all(seen)


@gradient_field.check
def ends_in_time_below_two(arrays: Arrays) -> bool:
    """x2 reaches 0 in finite time if and only if beta < 2."""
    time, early = arrays["hitting_time"], arrays["beta"] < 2 - ROUNDED
    ends = arrays["arcs"][:, :, -1, 1]
    arrive = np.isfinite(time[early]).all() and (np.abs(ends[early]) < 1e-9).all()
    return bool(arrive and np.isposinf(time[~early]).all() and (ends[~early] > 0).all())


@gradient_field.draw
def _draw_field(arrays: Arrays) -> Drawing:
    drawing, panels = plt.subplots(1, len(arrays["beta"]), figsize=(PAGE_WIDTH, 2.15), sharey=True)
    x1, x2 = np.meshgrid(arrays["x"], arrays["x"], indexing="ij")
    places = np.stack([x1.ravel(), x2.ravel()], axis=-1)
    rows = zip(panels, arrays["beta"], arrays["field"], arrays["arcs"], arrays["hitting_time"], strict=True)
    for axes, beta, field, arcs, hits in rows:
        axes.fill([0, 0, 1.04, 1.04, 1], [1, 1.04, 1.04, 0, 0], color="#EEEEEE", linewidth=0)
        inside_colors = np.where((x1 + x2 <= 1 + 1e-12).ravel(), "#333333", "#AAAAAA").tolist()
        plot_field(axes, places, field.reshape(2, -1).T, unit=0.05, colors=inside_colors)
        for arc in arcs:
            inside = np.where(arc.sum(axis=1, keepdims=True) <= 1, arc, np.nan)
            axes.plot(*arc.T, color=DPO_COLOR, linewidth=1.1, linestyle=(0, (3, 1.5)))
            axes.plot(*inside.T, color=DPO_COLOR, linewidth=1.4)
            axes.plot(*arc[0], "o", color=DPO_COLOR, markersize=3)
        axes.plot([0, 1], [1, 0], color="black", linewidth=0.8)
        axes.axhline(0, color=REJECTED, linewidth=1.6, clip_on=False)
        axes.set(xlim=(0, 1.04), ylim=(0, 1.04), aspect="equal", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        end = rf"$T$ = {hits[0]:.3f}" if np.isfinite(hits[0]) else r"$T=\infty$"
        axes.set(xlabel=r"$x_1=\pi(y_w)/\mathrm{ref}(y_w)$", title=rf"$\beta$ = {beta:g},  {end}")
    along = {"rotation": -45, "rotation_mode": "anchor", "ha": "center", "va": "bottom"}
    label_line(panels[0], 0.42, 0.6, "$x_1+x_2=1$", "black", **along)
    label_line(panels[0], 0.66, 0.9, "infeasible", "#444444")
    panels[0].set_ylabel(r"$x_2=\pi(y_l)/\mathrm{ref}(y_l)$")
    return drawing
