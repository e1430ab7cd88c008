"""Two figures that are in no paper: how often the chosen response falls, and where Corollary 2 of jian2025 fails."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import torch

from dynamics import LogLinear
from figures.accuracy import COUNTED, Accuracy
from figures.registry import Arrays, figure
from figures.style import OTHERS, PAGE_WIDTH, PRINTED_COLOR, REFERENCE, SIGNED, label_line, label_panel
from theory.jian2025.corollary_2 import eq_49
from theory.worlds import World
from toy_models.displacement import LADDER, LADDER_CROSSOVER, run_pair
from toy_models.displacement_map import POLICIES, displacement, displacement_map
from toy_models.violation import largest_safe_cosine, pair_path, tabular_kernel, violated_from

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing
    from matplotlib.image import AxesImage

NAMES = {
    "tabular": "tabular",
    "prefix-tree": "prefix tree",
    "output-mlp": "MLP, a row of weights each",
    "log-linear": "log-linear",
    "feature-mlp": "MLP of the features",
}
SHARED = tuple(
    name in ("log-linear", "feature-mlp") for name in POLICIES
)  # whether responses share all parameters, by class


@figure(
    "new-displacement-map",
    "Displacement needs shared parameters, three responses and similar features",
    source="not in the papers; the question is that of Jian et al. 2025, Theorem 2 and Remark 1",
    caption="Upper rows, policies whose responses share all parameters: share (%) of 200 random worlds in which "
    "gradient steps on the pair lower pi(chosen), at the first step (drive A_w < 0) and once log(pi_w / pi_l) has "
    "gained 4 nats, by number of responses and overlap of the pair; right, the mean change of log pi(chosen) over "
    "those 4 nats. Lowest row, that change in the three classes that share less, where it fell in no world. Overlap "
    "is the cosine of the features of chosen and rejected response, of their output weights for the MLP with a row "
    "each, the share of "
    "common tokens for the prefix tree. Standard errors are at most 3.6 points and 0.4 nats; an observed 0 of 200 is "
    "compatible with up to 1.5 %.",
    differs="That the chosen response never falls in the tabular policy, in the prefix tree and with two responses "
    "is a theorem. That it does not in the MLP with a row of output weights for each response is not: with output "
    "weights 8 times larger it falls there too.",
    claims=(
        "jian2025.displacement-condition",
        "jian2025.displacement-two-responses",
        "jian2025.tabular-signs",
        "jian2025.prefix-tree",
        "jian2025.log-linear-path",
    ),
    accuracy=dict.fromkeys(("displaced", "sunk", "violated", "displaced_error", "sunk_error"), COUNTED),
)
def frequency_map(
    responses: tuple[int, ...] = (2, 4, 8, 16, 32),
    overlaps: tuple[float, ...] = (-0.5, 0.0, 0.5, 0.8, 0.95),
    worlds: int = 200,
    seed: int = 0,
) -> Arrays:
    """Return the shares of random worlds that are displaced, ``(policy classes, numbers of responses, overlaps)``."""
    table = displacement_map(responses=responses, overlaps=overlaps, worlds=worlds, seed=seed)
    shape = (len(POLICIES), len(responses), len(overlaps))
    names = ("displaced", "displaced_error", "sunk", "sunk_error", "fall", "change", "change_error", "violated")
    arrays = {name: table[name].reshape(shape) for name in names}
    return {**arrays, "responses": np.array(responses), "overlap": np.array(overlaps), "worlds": np.array(worlds)}


@frequency_map.check
def never_without_sharing(arrays: Arrays) -> bool:
    """In the tabular policy and in the prefix tree the chosen response never falls, and Corollary 2 never fails."""
    rows = [list(POLICIES).index(name) for name in ("tabular", "prefix-tree")]
    return bool(all((arrays[name][rows] == 0).all() for name in ("displaced", "sunk", "violated")))


@frequency_map.check
def never_with_two_responses(arrays: Arrays) -> bool:
    """With two responses the chosen one never falls, in any class of policy."""
    two = arrays["responses"] == 2
    return bool(two.any() and (arrays["displaced"][:, two] == 0).all() and (arrays["sunk"][:, two] == 0).all())


@frequency_map.check
def rare_with_a_row_of_output_weights_each(arrays: Arrays) -> bool:
    """In the MLP whose responses share the hidden layer only, fewer than 5 % of the worlds are displaced anywhere."""
    row = list(POLICIES).index("output-mlp")
    return bool((arrays["displaced"][row] < 0.05).all() and (arrays["sunk"][row] < 0.05).all())


@frequency_map.check
def grows_with_overlap(arrays: Arrays) -> bool:
    """If more than two responses share all parameters, the largest overlap displaces more often than overlap 0."""
    more = arrays["responses"] > 2
    shared = np.array(SHARED)
    clear = True
    for name in ("displaced", "sunk"):
        values, errors = arrays[name][shared][:, more], arrays[name + "_error"][shared][:, more]
        none = arrays["overlap"] <= 0
        clear &= bool((values[..., -1:] > values[..., none] + 5 * errors[..., -1:]).all())
        clear &= bool((np.diff(values, axis=-1) >= -2 * errors[..., 1:]).all())
    return clear and bool(arrays["overlap"][-1] > 0.9)


@frequency_map.check
def sinks_more_often_than_it_starts(arrays: Arrays) -> bool:
    """Along the path more worlds fall than at the first step: at overlap 0.95 by at least 10 percentage points."""
    shared, more = np.array(SHARED), arrays["responses"] > 2
    excess = (arrays["sunk"] - arrays["displaced"])[shared][:, more]
    return bool(more.any() and (excess >= 0).all() and (excess[..., -1] > 0.1).all())


@frequency_map.check
def what_is_lost_is_large(arrays: Arrays) -> bool:
    """At the largest overlap log pi(chosen) falls on average if over two responses share all parameters, else rises."""
    shared, more = np.array(SHARED), arrays["responses"] > 2
    change, error = arrays["change"][shared][:, more][..., -1], arrays["change_error"][shared][:, more][..., -1]
    return bool(more.any() and (change < -error).all() and (arrays["change"][~shared] > 0).all())


@frequency_map.check
def errors_are_binomial(arrays: Arrays) -> bool:
    """The standard error of every share f is sqrt(f (1 - f) / (worlds - 1))."""
    wanted = [np.sqrt(f * (1 - f) / (arrays["worlds"] - 1)) for f in (arrays["displaced"], arrays["sunk"])]
    got = [arrays["displaced_error"], arrays["sunk_error"]]
    return bool(max(np.abs(a - b).max() for a, b in zip(got, wanted, strict=True)) < 1e-12)


SHARES = {"cmap": "cividis", "vmin": 0, "vmax": 60}
CHANGES = {"cmap": SIGNED, "vmin": -3, "vmax": 3}


@frequency_map.draw
def _draw_frequency_map(arrays: Arrays) -> Drawing:
    """Draw the classes in which responses share all parameters, a row each, and below them those that share less."""
    drawing, panels = plt.subplots(3, 3, figsize=(PAGE_WIDTH, 5.0), sharex=True, sharey=True)
    columns = (
        ("displaced", 100, "falls at the first step\n(% of worlds)", SHARES),
        ("sunk", 100, "has fallen after 4 nats\n(% of worlds)", SHARES),
        ("change", 1, "change of $\\log\\,\\pi(y_w)$\nafter 4 nats (nats)", CHANGES),
    )
    classes = list(enumerate(POLICIES))
    for row, (index, policy) in enumerate((i, policy) for i, policy in classes if SHARED[i]):
        for axes, (name, factor, label, colors) in zip(panels[row], columns, strict=True):
            _draw_cells(axes, factor * arrays[name][index], arrays, colors)
            axes.set_title(label if row == 0 else "", loc="center")
        panels[row, 0].set_ylabel(f"{NAMES[policy]}\nresponses")
    for axes, (index, policy) in zip(panels[2], ((i, p) for i, p in classes if not SHARED[i]), strict=True):
        image = _draw_cells(axes, arrays["change"][index], arrays, CHANGES)
        share = max(arrays[name][index].max() for name in ("displaced", "sunk"))
        worlds = int(arrays["worlds"])
        falls = f"falls in at most {100 * share:.1f}% of worlds" if share else f"falls in 0 of {worlds} worlds"
        axes.set_title(f"{NAMES[policy]}:\n{falls}", loc="center")
        axes.set_xlabel("overlap")
    panels[2, 0].set_ylabel("change (nats)\nresponses")
    for shown, place in ((panels[0, 0].images[0], panels[:2, 1]), (image, panels[:, 2])):
        bar = drawing.colorbar(shown, ax=place, pad=0.02, aspect=30)
        bar.outline.set_visible(False)
    return drawing


def _draw_cells(axes: Axes, values: np.ndarray, arrays: Arrays, colors: dict[str, Any]) -> AxesImage:
    """Draw a number on its colour for every number of responses and overlap."""
    image = axes.imshow(values, aspect="auto", origin="lower", **colors)
    low, high = image.get_clim()
    for (i, j), value in np.ndenumerate(values):
        text = f"{value:.0f}" if high > 3 and (value == 0 or value >= 0.95) else f"{value:.1f}"
        dark = value < 33 if low == 0 else abs(value) > 2
        axes.text(j, i, text, ha="center", va="center", fontsize=6.5, color="white" if dark else "black")
    axes.set_xticks(range(len(arrays["overlap"])), [f"{v:g}" for v in arrays["overlap"]])
    axes.set_yticks(range(len(arrays["responses"])), [f"{v}" for v in arrays["responses"]])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image


GRID = 24  # the probabilities of panel a are multiples of 1 / 24, and so is the counterexample
FURTHEST = 400.0  # length of a path in nats; by then every path is close to its limit


@figure(
    "new-violation-region",
    "Where Corollary 2 fails: the exact boundaries, and runs that cross them and stay beyond",
    source="not in the papers; Jian et al. 2025, Corollary 2 (Eq. 49) and Remark 3",
    caption="(a) Tabular policy: Eq. 49 fails below the curve, drawn for one, two and four equally probable other "
    "responses (shaded: one); except on the diagonal. Star: the smallest counterexample, (1/12, 1/3). (b) "
    "Non-negativity, D_w >= D_l: below the curve cos = 1 / cosh(log(pi_w / pi_l) / 2) it holds, above it the lengths "
    "of the scores decide. Random log-linear worlds in which it holds (grey) and fails (red); stars: the ladder "
    "at e^theta = 3 and its mirror image. (c) Relative difference (D_w - D_l) / (|D_w| + |D_l|) along runs on one "
    "pair: where the chosen response tends to probability 0 (red), it becomes negative and stays so; elsewhere "
    "(grey) it ends positive. Black: the ladder, from DPO step 67 on.",
    claims=(
        "jian2025.corollary-2",
        "jian2025.corollary-2-equivalence",
        "jian2025.corollary-2-non-negativity",
        "jian2025.corollary-2-sharp-cosine",
        "jian2025.eventual-violation",
    ),
    accuracy={"relative": Accuracy("a difference of two drives, by the sum of their sizes", 1e-14, 1e-14)},
)
def violation_region(worlds: int = 400, runs: int = 40, seed: int = 0) -> Arrays:
    """Decide Eq. 49 in exact fractions on a grid, sample worlds against the cosine, and follow runs on one pair."""
    grid = [(w, y) for w in range(1, GRID) for y in range(1, GRID - w)]
    fails = [
        not eq_49(World.tabular([Fraction(w, GRID), Fraction(y, GRID), Fraction(GRID - w - y, GRID)])) for w, y in grid
    ]
    overlaps = np.repeat([0.5, 0.8, 0.95], worlds)
    seeds = np.tile(np.arange(seed, seed + worlds), 3)
    found = displacement({"policy": "log-linear", "responses": 8, "overlap": overlaps, "seed": seeds}, gain=0.1)

    source = torch.Generator().manual_seed(seed)
    features = torch.randn(runs, 5, 2, generator=source, dtype=torch.float64)
    start = torch.log_softmax(torch.randn(runs, 5, generator=source, dtype=torch.float64), dim=1)
    gain = np.concatenate([np.linspace(0, 12, 121), np.geomspace(12.5, FURTHEST, 40)])
    path = pair_path(features, start, gain)
    rung = LogLinear(LADDER.features)
    ladder = pair_path(
        LADDER.features, rung.log_probs(torch.tensor(LADDER.theta, dtype=torch.float64)), gain[gain <= 12]
    )
    run = run_pair(LADDER)
    three = [World.log_linear(rows, at=[3]) for rows in ([[1], [0], [2]], [[0], [1], [2]])]
    return {
        "grid": np.array(grid) / GRID,
        "fails_49": np.array(fails),
        "counterexample": np.array([1 / 12, 1 / 3]),
        "cosine": found["cosine"].numpy(),
        "log_ratio": found["log_ratio"].numpy(),
        "violated": found["violated"].numpy() == 1,
        "frozen_log_ratio": np.array([np.log(float(w.p[0] / w.p[1])) for w in three]),
        "frozen_cosine": np.array([_cosine(w) for w in three]),
        "frozen_gap": np.array([float(w.D_w - w.D_l) for w in three]),
        "gain": gain,
        "relative": path.relative,
        "chosen_wins": path.chosen_wins,
        "ladder": ladder.relative,
        "ladder_step": violated_from(run.predicted[:, LADDER.chosen] - run.predicted[:, LADDER.rejected]),
        "ladder_crossing": np.array(np.log(LADDER_CROSSOVER) - LADDER.theta[0]),
    }


def _cosine(w: World) -> float:
    inner = w.kernel(w.chosen, w.rejected)
    return float(inner) / float(w.squared_norm(w.chosen) * w.squared_norm(w.rejected)) ** 0.5


@violation_region.check
def the_border_of_eq_49_is_exact(arrays: Arrays) -> bool:
    """Eq. 49 fails, in exact fractions, if and only if g_w . g_l > 0 and pi_w differs from pi_l."""
    p_w, p_l = arrays["grid"].T
    if not bool(((p_w > 0) & (p_l > 0) & (p_w + p_l < 1)).all()):
        return False
    inside = (tabular_kernel(p_w, p_l) > 1e-12) & (np.abs(p_w - p_l) > 1e-12)
    return bool((inside == arrays["fails_49"].astype(bool)).all() and inside.any() and (~inside).any())


@violation_region.check
def the_counterexample_is_inside(arrays: Arrays) -> bool:
    """The smallest counterexample lies inside the boundary, and Eq. 49 fails there in exact fractions."""
    p_w, p_l = arrays["counterexample"]
    at = np.abs(arrays["grid"] - arrays["counterexample"]).max(1) < 1e-12
    return bool(at.sum() == 1 and arrays["fails_49"][at].all() and tabular_kernel(p_w, p_l) > 0)


@violation_region.check
def no_violation_below_the_cosine(arrays: Arrays) -> bool:
    """Every random world with D_w < D_l lies above the curve; there are at least ten."""
    violated = arrays["violated"].astype(bool)
    if not np.isfinite(arrays["log_ratio"]).all():
        return False
    safe = largest_safe_cosine(arrays["log_ratio"])
    return bool(violated.sum() >= 10 and (arrays["cosine"][violated] > safe[violated]).all())


@violation_region.check
def above_the_cosine_both_happen(arrays: Arrays) -> bool:
    """Above the curve some worlds violate and some do not: the lengths of the scores decide."""
    if not np.isfinite(arrays["log_ratio"]).all():
        return False
    above = arrays["cosine"] > largest_safe_cosine(arrays["log_ratio"])
    violated = arrays["violated"].astype(bool)
    return bool((above & violated).any() and (above & ~violated).any() and (~above).any())


@violation_region.check
def frozen_counterexamples_violate(arrays: Arrays) -> bool:
    """Both ladders have D_w - D_l = -3 / 169, collinear scores, and probabilities in the ratio 3."""
    size = np.abs(np.abs(arrays["frozen_log_ratio"]) - np.log(3)).max() < 1e-12
    return bool(
        size
        and np.abs(arrays["frozen_gap"] + 3 / 169).max() < 1e-12
        and np.abs(arrays["frozen_cosine"] - 1).max() < 1e-12
    )


@violation_region.check
def displaced_runs_end_in_violation(arrays: Arrays) -> bool:
    """A run ends with D_w < D_l if and only if the chosen response is not among those that win; both kinds occur."""
    violates = violated_from(arrays["relative"]) >= 0
    wins = arrays["chosen_wins"].astype(bool)
    return bool((violates == ~wins).all() and wins.any() and violates.any() and np.isfinite(arrays["relative"]).all())


@violation_region.check
def the_ladder_crosses_where_it_should(arrays: Arrays) -> bool:
    """The ladder's difference turns negative where e^theta passes 1 + sqrt 3, at DPO step 67, and stays so."""
    first = int(violated_from(arrays["ladder"]))
    crossing = arrays["ladder_crossing"]
    in_place = first > 0 and arrays["gain"][first - 1] <= crossing <= arrays["gain"][first]
    return bool(in_place and arrays["ladder_step"] == 67)


@violation_region.draw
def _draw_violation_region(arrays: Arrays) -> Drawing:
    drawing, panels = plt.subplots(1, 3, figsize=(PAGE_WIDTH, 2.6))
    axes = panels[0]
    fine = np.linspace(0, 1, 401)
    p_w, p_l = np.meshgrid(fine, fine)
    allowed = p_w + p_l <= 1
    for others, style in ((1, "-"), (2, "--"), (4, ":")):
        inside = np.where(allowed, p_w, 0), np.where(allowed, p_l, 0)
        kernel = np.where(allowed, tabular_kernel(*inside, others), np.nan)
        if others == 1:
            axes.contourf(fine, fine, kernel, levels=[0, 1], colors=[PRINTED_COLOR], alpha=0.25)
        axes.contour(fine, fine, kernel, levels=[0], colors=[PRINTED_COLOR], linewidths=1.0, linestyles=style)
    axes.plot([0, 0.5], [0, 0.5], color=REFERENCE, linewidth=0.6)
    axes.plot([0, 1], [1, 0], color=OTHERS, linewidth=0.8)
    axes.plot(*arrays["counterexample"], "*", color=REFERENCE, markersize=7)
    label_line(axes, 0.36, 0.76, "Eq. 49 fails below:\n1 other (solid),\n2 (dashed), 4 (dotted)", PRINTED_COLOR)
    label_line(axes, 0.45, 0.36, "excepted:\nthe diagonal", REFERENCE, fontsize=6)
    axes.set(title="tabular, Eq. 49", xlabel=r"$\pi_w$", ylabel=r"$\pi_l$", xlim=(0, 1), ylim=(0, 1))
    axes = panels[1]
    violated = arrays["violated"].astype(bool)
    axes.plot(arrays["log_ratio"][~violated], arrays["cosine"][~violated], ".", color=OTHERS, markersize=1.5, alpha=0.5)
    axes.plot(arrays["log_ratio"][violated], arrays["cosine"][violated], ".", color=PRINTED_COLOR, markersize=3.5)
    ratio = np.linspace(-5.5, 5.5, 201)
    axes.plot(ratio, largest_safe_cosine(ratio), color=REFERENCE, linewidth=1.0)
    axes.plot(arrays["frozen_log_ratio"], arrays["frozen_cosine"], "*", color=REFERENCE, markersize=7, zorder=5)
    axes.set(title=r"log-linear, $D_w\geq D_l$", xlabel=r"$\log(\pi_w/\pi_l)$ (nats)", xlim=(-5.5, 5.5))
    axes.set(ylabel=r"$\cos(g_w,g_l)$", ylim=(-0.85, 1.12))
    label_line(axes, -5.2, 0.95, "fails", PRINTED_COLOR)
    label_line(axes, -5.2, 0.83, "or holds", OTHERS)
    label_line(axes, -5.2, -0.5, "holds\nbelow the\ncurve", OTHERS)
    axes = panels[2]
    wins = arrays["chosen_wins"].astype(bool)
    for run, won in zip(arrays["relative"], wins, strict=True):
        axes.plot(
            arrays["gain"], run, color=OTHERS if won else PRINTED_COLOR, linewidth=0.6, alpha=0.7, zorder=1 + (not won)
        )
    axes.plot(arrays["gain"][: len(arrays["ladder"])], arrays["ladder"], color=REFERENCE, linewidth=1.6, zorder=4)
    axes.plot(arrays["ladder_crossing"], 0, "o", color=REFERENCE, markersize=3.5, zorder=5)
    axes.axhline(0, color=REFERENCE, linewidth=0.6)
    axes.set(title="along a run", xlabel=r"gain of $\log(\pi_w/\pi_l)$ (nats)", xlim=(0, 12), ylim=(-1.05, 1.05))
    axes.set(ylabel=r"$(D_w-D_l)\,/\,(|D_w|+|D_l|)$")
    label_line(axes, 11.7, 0.86, "chosen wins in the end", OTHERS, ha="right")
    label_line(axes, 11.7, -0.88, "chosen loses", PRINTED_COLOR, ha="right")
    label_line(axes, 4.5, 0.07, f"ladder, DPO step {arrays['ladder_step']}", REFERENCE)
    for letter, panel in zip("abc", panels, strict=True):
        label_panel(panel, letter)
    return drawing
