"""Figure 1 of wipf2024: what a constraint does to RLHF and to DPO; and which constraints make the two differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import expit, logit

from figures.registry import Arrays, figure
from figures.style import (
    DPO_COLOR,
    EXACT_COLOR,
    OTHERS,
    PAGE_WIDTH,
    REFERENCE,
    RLHF_COLOR,
    label_line,
    label_panel,
)
from toy_models.constrained import (
    dpo,
    forward_kl,
    moments,
    rlhf,
    tied_prompts,
    trust_region,
    two_modes,
    two_responses,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

OBJECTIVES = ("rlhf", "dpo", "forward")
COLORS = {"rlhf": RLHF_COLOR, "dpo": DPO_COLOR, "forward": OTHERS}


@figure(
    "wipf2024-1",
    "Without a constraint RLHF and DPO learn one policy; with one they may learn two",
    source="Wipf 2024, Figure 1",
    caption="(a) 81 responses on a line. Descent over all policies ends at the target for both losses. (b) Among "
    "Gaussians RLHF chooses the larger mode (mean 1.597, deviation 0.505) and DPO spreads over both (0.135, 1.472). "
    "It is not the forward divergence, which keeps mean and deviation of the target (0.480, 1.606). (c) Two "
    "responses and an interval, the setting of the paper's proof: both losses have their minimum at the same p, and "
    "the two choices always agree. (d) Two prompts with one p for both: RLHF averages logits, p = 3/4, and DPO "
    "probabilities, p = 7/10. (e) Three responses and a trust region KL(pi, uniform) <= 0.05: the three objectives "
    "choose three different points of its boundary; the lines are the choices as the region grows.",
    differs="The paper's figure is a sketch without numbers; target, grid and constraint are chosen here, and all "
    "curves are minimisers. Panels (c) to (e) are added: the paper's proof looks at two responses only, where no "
    "interval has the effect that the figure shows.",
    claims=(
        "wipf2024.proposition-3.1",
        "wipf2024.mode-covering",
        "wipf2024.two-responses",
        "wipf2024.minimal-tied-prompts",
        "wipf2024.minimal-trust-region",
    ),
)
def constrained_choices(
    weight: float = 0.65,
    distance: float = 1.6,
    deviation: float = 0.5,
    radius: float = 0.05,
    radii: int = 25,
) -> Arrays:
    """Minimise RLHF and DPO in the four worlds.

    Args:
        weight: of the target's right mode.
        distance: of both modes from 0.
        deviation: of either mode.
        radius: of the trust region, nats.
        radii: number of trust regions on the path from the reference to the target.
    """
    modes, pair, tied, ball = (
        two_modes(weight, distance, deviation),
        two_responses(),
        tied_prompts(0.5, 0.9),
        trust_region(radius=radius),
    )
    furthest = rlhf(np.log(ball.target), np.full(3, -np.log(3)))
    path = (
        furthest * np.linspace(0.0, 1.0, radii + 1)[1:] ** 2
    )  # the distance from the reference grows like the square root of the radius
    regions = [trust_region(radius=r, points=3) for r in path]
    return {
        "responses": modes.responses,
        "mode": np.array([distance, deviation]),
        "target": modes.target,
        "free_rlhf": modes.free_rlhf,
        "free_dpo": modes.free_dpo,
        **{name: getattr(modes, name) for name in OBJECTIVES},
        "pair_p": pair.probability,
        "pair_losses": np.stack([pair.rlhf, pair.dpo]),
        "pair_interval": pair.interval,
        "pair_optima": np.array([pair.rlhf_optimum, pair.dpo_optimum]),
        "pair_free": np.array(pair.free_optimum),
        "tied_p": tied.probability,
        "tied_targets": np.array([0.5, 0.9]),
        "tied_losses": np.stack([tied.rlhf, tied.dpo]),
        "tied_optima": np.array([tied.rlhf_optimum, tied.dpo_optimum]),
        "ball_target": ball.target,
        "ball_edge": ball.boundary,
        "ball_optima": np.stack([getattr(ball, name) for name in OBJECTIVES]),
        "ball_radius": path,
        "ball_paths": np.stack([[getattr(region, name) for region in regions] for name in OBJECTIVES]),
    }


def _moments(arrays: Arrays, name: str) -> np.ndarray:
    return np.array(moments(arrays["responses"], arrays[name]))


@constrained_choices.check
def one_policy_without_a_constraint(arrays: Arrays) -> bool:
    """Over all policies the minimisers of RLHF and DPO and the target agree to 1e-6, and the target has two modes."""
    p = {name: np.exp(arrays[name]) for name in ("target", "free_rlhf", "free_dpo")}
    agree = [np.abs(p[a] - p[b]).max() < 1e-6 for a in p for b in p]
    peaks = ((p["target"][1:-1] > p["target"][:-2]) & (p["target"][1:-1] > p["target"][2:])).sum()
    return bool(all(agree) and peaks == 2)


@constrained_choices.check
def rlhf_follows_a_mode(arrays: Arrays) -> bool:
    """RLHF's Gaussian has mean and deviation of the larger mode, to 3% of its deviation."""
    return bool(np.abs(_moments(arrays, "rlhf") - arrays["mode"]).max() < 0.03 * arrays["mode"][1])


@constrained_choices.check
def dpo_covers_both(arrays: Arrays) -> bool:
    """DPO's Gaussian has its mean between the modes, over 0.5 from RLHF's, and over twice RLHF's deviation."""
    (mean, wide), (followed, narrow) = _moments(arrays, "dpo"), _moments(arrays, "rlhf")
    return bool(abs(mean) < arrays["mode"][0] / 2 and abs(mean - followed) > 0.5 and wide > 2 * narrow)


@constrained_choices.check
def dpo_is_not_the_forward_divergence(arrays: Arrays) -> bool:
    """KL(pi*, pi) keeps mean and deviation of the target to 1e-6; DPO's are lower by over 0.3 and 0.1."""
    of_target = _moments(arrays, "target")
    kept = np.abs(_moments(arrays, "forward") - of_target).max() < 1e-6
    return bool(kept and (of_target - _moments(arrays, "dpo") > [0.3, 0.1]).all())


@constrained_choices.check
def each_is_best_by_its_own_loss(arrays: Arrays) -> bool:
    """Each of the three Gaussians has the smallest value of its own loss, but a larger one than the target itself."""
    losses = {"rlhf": rlhf, "dpo": dpo, "forward": forward_kl}
    seen = []
    for name, loss in losses.items():
        own, others = loss(arrays[name], arrays["target"]), [other for other in OBJECTIVES if other != name]
        seen.append(all(own < loss(arrays[other], arrays["target"]) - 1e-3 for other in others))
        seen.append(own > loss(arrays["target"], arrays["target"]) + 1e-3)
    return all(seen)


@constrained_choices.check
def moments_as_in_the_caption(arrays: Arrays) -> bool:
    """Means and deviations are 1.597 and 0.505 (RLHF), 0.135 and 1.472 (DPO), 0.480 and 1.606 (forward)."""
    printed = {"rlhf": (1.597, 0.505), "dpo": (0.135, 1.472), "forward": (0.480, 1.606)}
    return all(bool(np.abs(_moments(arrays, name) - printed[name]).max() < 6e-4) for name in OBJECTIVES)


def _least(p: np.ndarray, losses: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Return the minimiser of each curve among the allowed points; NaN if none is allowed."""
    if not allowed.any():
        return np.full(len(losses), np.nan)
    return p[allowed][losses[:, allowed].argmin(1)]


@constrained_choices.check
def two_responses_leave_one_choice(arrays: Arrays) -> bool:
    """With two responses both losses have their minimum on the interval at the point nearest to the free optimum."""
    p, (low, high), free = arrays["pair_p"], arrays["pair_interval"], arrays["pair_free"]
    step = p[1] - p[0]
    everywhere = _least(p, arrays["pair_losses"], np.ones(len(p), dtype=bool))
    inside = _least(p, arrays["pair_losses"], (p >= low - 1e-12) & (p <= high + 1e-12))
    exact = np.abs(arrays["pair_optima"] - np.clip(free, low, high)).max() < 1e-12
    return bool(
        exact and np.abs(everywhere - free).max() < step and np.abs(inside - np.clip(free, low, high)).max() < step
    )


@constrained_choices.check
def tied_prompts_part_them(arrays: Arrays) -> bool:
    """One p for two prompts: RLHF's minimum is at 3/4, the mean logit, DPO's at 7/10, the mean probability."""
    p, targets = arrays["tied_p"], arrays["tied_targets"]
    expected = np.array([expit(logit(targets).mean()), targets.mean()])
    seen = np.abs(_least(p, arrays["tied_losses"], np.ones(len(p), dtype=bool)) - expected).max() < p[1] - p[0]
    named = np.abs(expected - [0.75, 0.7]).max() < 1e-12
    return bool(seen and named and np.abs(arrays["tied_optima"] - expected).max() < 1e-12)


@constrained_choices.check
def trust_region_parts_them(arrays: Arrays) -> bool:
    """At radius 0.05: (.4592, .3360, .2048) by RLHF, (.4484, .3523, .1992) by DPO, (.4656, .3249, .2095) forward."""
    printed = [[0.4592, 0.3360, 0.2048], [0.4484, 0.3523, 0.1992], [0.4656, 0.3249, 0.2095]]
    return bool(np.abs(arrays["ball_optima"] - printed).max() < 6e-5)


@constrained_choices.check
def paths_meet_at_both_ends_only(arrays: Arrays) -> bool:
    """As the region grows the choices separate, on its boundary, RLHF's a tempered target, and meet at the target."""
    paths, radius, target = arrays["ball_paths"], arrays["ball_radius"], arrays["ball_target"]
    on_the_edge = np.abs((paths * np.log(3 * paths)).sum(-1) - radius).max() < 1e-9
    logs = np.log(paths[0]) - np.log(paths[0]).mean(-1, keepdims=True)
    tilt = np.log(target) - np.log(target).mean()
    power = logs @ tilt / (tilt @ tilt)
    tempered = np.abs(logs - power[:, None] * tilt).max() < 1e-9 and (np.diff(power) > 0).all()
    apart = np.stack([np.abs(paths[i] - paths[j]).max(-1) for i, j in ((0, 1), (0, 2), (1, 2))])
    middle = slice(len(radius) // 4, 3 * len(radius) // 4)
    meet = np.abs(paths[:, -1] - target).max() < 1e-6
    return bool(on_the_edge and tempered and (apart[:, middle] > 2e-3).all() and meet)


@constrained_choices.draw
def _draw(arrays: Arrays) -> Drawing:
    drawing = plt.figure(figsize=(PAGE_WIDTH, 3.6))
    panels = drawing.subplot_mosaic([["a", "c", "e"], ["b", "d", "e"]], width_ratios=(1.15, 1, 1.2))
    _draw_modes(panels["a"], panels["b"], arrays)
    _draw_pair(panels["c"], arrays)
    _draw_tied(panels["d"], arrays)
    _draw_ball(panels["e"], arrays)
    for letter, axes in panels.items():
        label_panel(axes, letter)
    return drawing


def _draw_modes(above: Axes, below: Axes, arrays: Arrays) -> None:
    x = arrays["responses"]
    for axes in (above, below):
        axes.fill_between(x, np.exp(arrays["target"]), color=EXACT_COLOR, alpha=0.18, linewidth=0)
        axes.set(xlim=(x[0], x[-1]), ylim=(0, 0.088), yticks=(0, 0.04, 0.08), ylabel=r"$\pi(y)$")
    above.plot(x, np.exp(arrays["free_rlhf"]), color=RLHF_COLOR, linewidth=3.2, alpha=0.6)
    above.plot(x, np.exp(arrays["free_dpo"]), color=DPO_COLOR, linewidth=1)
    above.set_title("all policies")
    label_line(above, -3.8, 0.072, r"target $\pi^*$ (shade)", EXACT_COLOR)
    label_line(above, -3.8, 0.060, "RLHF and", RLHF_COLOR)
    label_line(above, -3.8, 0.049, "DPO (thin)", DPO_COLOR)
    above.tick_params(labelbottom=False)
    below.plot(x, np.exp(arrays["forward"]), color=OTHERS, linewidth=1, linestyle="--")
    below.plot(x, np.exp(arrays["rlhf"]), color=RLHF_COLOR)
    below.plot(x, np.exp(arrays["dpo"]), color=DPO_COLOR)
    below.set(xlabel="response $y$")
    below.set_title("Gaussians only")
    label_line(below, 0.75, 0.071, "RLHF", RLHF_COLOR, ha="right")
    label_line(below, -0.1, 0.0295, "DPO", DPO_COLOR, ha="center")
    label_line(below, -3.8, 0.039, r"KL$(\pi^*,\pi)$", OTHERS)


def _draw_pair(axes: Axes, arrays: Arrays) -> None:
    p, (low, high), losses = arrays["pair_p"], arrays["pair_interval"], arrays["pair_losses"]
    axes.axvspan(low, high, color="#EEEEEE", linewidth=0)
    axes.axvline(float(arrays["pair_free"]), color=REFERENCE, linewidth=0.7, linestyle=":")
    for loss, chosen, color, size in zip(losses, arrays["pair_optima"], (RLHF_COLOR, DPO_COLOR), (6, 3.5), strict=True):
        curve = loss - loss.min()
        axes.plot(p, curve, color=color)
        axes.plot(chosen, np.interp(chosen, p, curve), "o", color=color, markersize=size)
    axes.set(xlim=(0, 1), ylim=(-0.05, 1.35), xlabel=r"$p=\pi(y_1)$", ylabel="loss $-$ least (nats)")
    axes.set_title("two responses, an interval")
    label_line(axes, 0.42, 0.92, "RLHF", RLHF_COLOR)
    label_line(axes, 0.14, 0.24, "DPO", DPO_COLOR)
    label_line(axes, 0.12, 1.22, "allowed", "#555555")
    label_line(axes, float(arrays["pair_free"]) - 0.015, 0.5, "free optimum", REFERENCE, rotation=90, ha="right")


def _draw_tied(axes: Axes, arrays: Arrays) -> None:
    p, losses = arrays["tied_p"], arrays["tied_losses"]
    for loss, chosen, color in zip(losses, arrays["tied_optima"], (RLHF_COLOR, DPO_COLOR), strict=True):
        curve = loss - loss.min()
        axes.plot(p, curve, color=color)
        axes.axvline(chosen, ymax=0.16, color=color, linewidth=0.8, linestyle=":")
        axes.plot(chosen, 0, "o", color=color, markersize=3.5)
    for target in arrays["tied_targets"]:
        axes.plot(target, 0.0, "|", color=EXACT_COLOR, markersize=7, markeredgewidth=1.5)
        left = target < 0.7
        at = target + (0.07 if left else -0.06)
        label_line(axes, at, 0.017, rf"$\pi^*={target:g}$", EXACT_COLOR, ha="right" if left else "left")
    axes.set(xlim=(0.4, 1), ylim=(-0.012, 0.26), xlabel=r"$p$, the same at both prompts")
    axes.set_ylabel("loss $-$ least (nats)")
    axes.set_title("two prompts, tied")
    label_line(axes, 0.905, 0.215, "DPO", DPO_COLOR, ha="right")
    label_line(axes, 0.47, 0.215, "RLHF", RLHF_COLOR)


def _draw_ball(axes: Axes, arrays: Arrays) -> None:
    axes.fill(*arrays["ball_edge"][:, :2].T, color="#EEEEEE", linewidth=0)
    axes.plot(*arrays["ball_edge"][:, :2].T, color="#999999", linewidth=0.7)
    start = np.full((1, 2), 1 / 3)
    for name, path, best in zip(OBJECTIVES, arrays["ball_paths"], arrays["ball_optima"], strict=True):
        line = np.concatenate([start, path[:, :2]])
        axes.plot(*line.T, color=COLORS[name], linestyle="--" if name == "forward" else "-", linewidth=1.2)
        axes.plot(*best[:2], "o", color=COLORS[name], markersize=4.5, zorder=4)
    axes.plot(*start[0], "o", color=REFERENCE, markersize=4, zorder=5)
    axes.plot(*arrays["ball_target"][:2], "*", color=EXACT_COLOR, markersize=9, zorder=5)
    axes.set(xlim=(0.315, 0.63), ylim=(0.276, 0.366), xlabel=r"$\pi(y_1)$", ylabel=r"$\pi(y_2)$")
    axes.set(xticks=(0.4, 0.5, 0.6), yticks=(0.28, 0.3, 0.32, 0.34, 0.36))
    axes.set_title("trust region")
    label_line(axes, 0.32, 0.3268, "reference", REFERENCE, va="top")
    label_line(axes, 0.592, 0.2935, r"target $\pi^*$", EXACT_COLOR, ha="center")
    label_line(axes, 0.45, 0.356, "DPO", DPO_COLOR)
    label_line(axes, 0.478, 0.336, "RLHF", RLHF_COLOR)
    label_line(axes, 0.458, 0.3185, r"KL$(\pi^*,\pi)$", OTHERS, ha="right")
    label_line(axes, 0.325, 0.281, r"KL$(\pi,\mathrm{uniform})\leq 0.05$", "#555555")
