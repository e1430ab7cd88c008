"""Table 1 and Figure 2 of ma2025: the 20 x 20 toy with masked pairs, beside the printed numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from pandas import DataFrame

from figures.accuracy import Accuracy
from figures.registry import Arrays, figure
from figures.style import COLUMN_WIDTH, PAGE_WIDTH, PRINTED_COLOR
from toy_models.masked_grid.table_1 import (
    BASELINES,
    COMPARISONS,
    MASKS,
    NAMES,
    PRINTED,
    READINGS,
    ROWS,
    regenerate,
    verdict,
)
from toy_models.masked_grid.training import Setting, train
from toy_models.masked_grid.world import SIZE, log_utility, masked_mass, rewards

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

UNIFORM, REFERENCE, SCRATCH, STANDARD, CONCENTRATED = range(len(READINGS))
ROW = {name: index for index, name in enumerate(ROWS)}
COMPARISON = {(c.above, c.below): index for index, c in enumerate(COMPARISONS)}

UNIFORM_COLOR, STANDARD_COLOR, CONCENTRATED_COLOR = "#0072B2", "#CC79A7", "#E69F00"
AGREES, OPPOSITE = "#CFE3F1", "#F6CDB0"  # light enough for black numbers on it


@figure(
    "ma2025-table-1",
    "The table of the 20 x 20 toy, measured again: what holds depends on how the text is read",
    source="Ma et al. 2025, Table 1",
    caption="Top: reward (R2) by method and mask rate, mean and standard error over seeds, for three ways to draw the "
    "pairs; the one printed baseline is shown beside the three rows that it may be. Bottom: differences paired by seed "
    "under five readings of Section 6.1. Robust, in every reading: v1 is above v2, and symmetric above asymmetric at "
    "mask rates 0 and 0.2, but by less than half of the printed 0.84. No reading has the gain that every printed row "
    "shows at mask rate 0.4. Dependent on the reading: whether the variants beat the baseline. They do if the "
    "baseline is the reference, or with pairs near the diagonal; with uniform pairs and a baseline that is trained as "
    "long, none does; with pairs from the reference, as data sets usually are made, the symmetric variant leads and "
    "v2 (asymm) is last, as printed. One run at mask rate 0.4 has a standard deviation of up to 0.7, as large as most "
    "printed differences, and the paper gives no errors.",
    differs="Drawn, not set as a table. The printed table has one number for each method and mask rate, without "
    "errors, and does not define 'reward'. R2, the sum over prompts of E_pi[u / sum u], is close to it when pairs "
    "are uniform, the sum of E_pi[u] about twice as large. Policy, optimizer, learning rate and steps are ours, and "
    "the text does not say how pairs are drawn or what the baseline is. The readings 'baseline = reference' and "
    "'concentrated pairs' were selected after the fact as closest to print (Kendall's tau). DPO with beta / 2 and "
    "bDPO with detached weights are added.",
    claims=(
        "ma2025.nbdpo-is-dpo-plus-sft",
        "ma2025.eq-25-optima",
        "ma2025.eq-25-overshoots",
        "ma2025.eq-27-value",
        "ma2025.bdpo-identity",
        "ma2025.bdpo-effective-beta",
    ),
    accuracy={"*": Accuracy("trained in float64 with AdamW; 8e-12 was seen", 1e-8, 1e-9)},
)
def table_1(seeds: int = 6) -> Arrays:
    """Train all methods at all mask rates under every reading, on the seeds 0, 1, ..., seeds - 1."""
    found = regenerate(range(seeds))
    return {
        "seeds": np.array(seeds),
        "printed_reward": np.array(list(PRINTED.values())),
        "mean": found.mean,
        "error": found.error,
        "spread": found.spread,
        "difference": found.difference,
        "difference_error": found.difference_error,
        "printed": found.printed,
        "tau": found.tau,
        "rms": found.rms,
    }


def _z(arrays: Arrays, reading: int, above: str, below: str) -> np.ndarray:
    """Return a paired difference in units of its standard error, (mask,)."""
    row = COMPARISON[above, below]
    return arrays["difference"][reading, row] / arrays["difference_error"][reading, row]


VARIANTS = tuple(PRINTED)[1:]


@table_1.check
def uniform_pairs_bring_no_gain(arrays: Arrays) -> bool:
    """Uniform pairs: all variants end over five errors below DPO trained further, the symmetric below scratch."""
    below = all((_z(arrays, UNIFORM, variant, "baseline") < -5).all() for variant in VARIANTS)
    return bool(below and (_z(arrays, SCRATCH, "nbdpo-symmetric", "baseline") < -2).all())


@table_1.check
def against_the_reference_they_win(arrays: Arrays) -> bool:
    """If the baseline is the reference, all five variants end above it; in print v2 (asymm) does not."""
    return bool(all((_z(arrays, REFERENCE, variant, "baseline") > 3).all() for variant in VARIANTS))


@table_1.check
def pairs_from_the_reference_rank_as_printed_at_both_ends(arrays: Arrays) -> bool:
    """Pairs from the reference: nbDPO (symm) is over three errors above DPO trained further, v2 (asymm) last of all."""
    leads = (_z(arrays, STANDARD, "nbdpo-symmetric", "baseline") > 3).all()
    others = [ROW["dpo"], *(ROW[variant] for variant in VARIANTS if variant != "nbdpo-v2-asymmetric")]
    mean = arrays["mean"][STANDARD]
    return bool(leads and (mean[ROW["nbdpo-v2-asymmetric"]] < mean[others] - 0.02).all())


@table_1.check
def symmetric_beats_asymmetric(arrays: Arrays) -> bool:
    """The row nbDPO (symm) is over two standard errors above (asymm) at mask rates 0 and 0.2, in every reading."""
    z = [_z(arrays, reading, "nbdpo-symmetric", "nbdpo-asymmetric")[:2] for reading in range(len(READINGS))]
    return bool((np.array(z) > 2).all())


@table_1.check
def symmetric_beats_asymmetric_by_less_than_printed(arrays: Arrays) -> bool:
    """In every reading and at every mask rate, the gap of symmetric and asymmetric is under half of the printed one."""
    row = COMPARISON["nbdpo-symmetric", "nbdpo-asymmetric"]
    return bool((arrays["difference"][:, row] < arrays["printed"][row] / 2).all())


@table_1.check
def one_run_is_noisy(arrays: Arrays) -> bool:
    """At mask rate 0.4 the standard deviation of one run is over 0.15 in every row, and over 0.3 in most."""
    spread = arrays["spread"][:, :, -1]
    return bool((spread > 0.15).all() and (spread > 0.3).mean() > 0.5)


@table_1.check
def version_1_beats_version_2(arrays: Arrays) -> bool:
    """Both kinds of nbDPO are over three standard errors above their version 2, every mask rate, every reading."""
    z = [
        _z(arrays, reading, f"nbdpo-{kind}", f"nbdpo-v2-{kind}")
        for reading in range(len(READINGS))
        for kind in ("asymmetric", "symmetric")
    ]
    return bool((np.array(z) > 3).all())


@table_1.check
def concentrated_pairs_bring_the_gain(arrays: Arrays) -> bool:
    """Pairs near the diagonal: all five variants end over three standard errors above DPO trained further."""
    return bool(all((_z(arrays, CONCENTRATED, variant, "baseline") > 3).all() for variant in VARIANTS))


@table_1.check
def masking_never_helps(arrays: Arrays) -> bool:
    """In no reading is the reward at mask 0.4 over two standard errors above that at 0; in print it is in every row."""
    rows = [COMPARISON["baseline", "baseline"], COMPARISON["nbdpo-symmetric", "nbdpo-symmetric"]]
    z = (arrays["difference"] / arrays["difference_error"])[:, rows, -1]
    rewards_in_print = arrays["printed_reward"]
    return bool((z < 2).all() and (rewards_in_print[:, -1] > rewards_in_print[:, 0]).all())


@table_1.check
def half_the_beta_against_bdpo(arrays: Arrays) -> bool:
    """DPO with beta / 2 earns over two standard errors more than bDPO; with concentrated pairs five errors less."""
    *others, last = (_z(arrays, reading, "bdpo", "dpo-half-beta") for reading in (UNIFORM, STANDARD, CONCENTRATED))
    return bool((np.array(others) < -2).all() and (last > 5).all())


@table_1.check
def the_reference_as_baseline_fits_best(arrays: Arrays) -> bool:
    """Kendall's tau is above 0.7 with the reference as baseline, below 0.5 if it is trained on; each errs somewhere."""
    tau = arrays["tau"]
    said = verdict(arrays["difference"], arrays["difference_error"], arrays["printed"])
    every_reading_errs = (said == -1).any(axis=(1, 2)).all()
    return bool(tau[REFERENCE] > 0.7 and tau[UNIFORM] < 0.5 and tau[REFERENCE] == tau.max() and every_reading_errs)


@table_1.tabulate
def _tabulate_rewards(arrays: Arrays) -> DataFrame:
    """Return a row for each method and mask rate: the printed reward, then mean and standard error by reading."""
    rows = []
    for place, row in enumerate(ROWS):
        for mask, rate in enumerate(MASKS):
            printed = arrays["printed_reward"][:, mask]
            known = printed[0] if row in BASELINES else printed[1:][VARIANTS.index(row)] if row in VARIANTS else None
            found = [
                f"{arrays['mean'][reading, place, mask]:.2f} ({arrays['error'][reading, place, mask]:.2f})"
                for reading in range(len(READINGS))
            ]
            rows.append([NAMES[row], f"{rate:g}", "" if known is None else f"{known:.2f}", *found])
    return DataFrame(rows, columns=["method", "mask rate", "printed", *(reading.name for reading in READINGS)])


@table_1.draw
def _draw_table(arrays: Arrays) -> Drawing:
    drawing = plt.figure(figsize=(PAGE_WIDTH, 6.6))
    halves: Any = drawing.subfigures(2, 1, height_ratios=(1.0, 1.05))
    top, bottom = halves
    panels = top.subplots(1, len(MASKS), sharex=True, sharey=True)
    for index, axes in enumerate(panels):
        _draw_rewards(axes, arrays, index)
        axes.set_title(f"mask rate {MASKS[index]:g}")
    panels[0].set_yticks(range(len(ROWS)), [NAMES[row] for row in ROWS])
    panels[0].invert_yaxis()
    panels[1].set_xlabel("reward R2 (uniform policy 1, best policy 9.12)")
    marks = [Line2D([], [], marker="D", color=PRINTED_COLOR, linestyle="", markerfacecolor="white", label="printed")]
    marks += [Line2D([], [], marker=m, color=c, linestyle="", label=READINGS[i].name) for i, c, m, _ in SHOWN]
    top.legend(handles=marks, loc="outside upper center", ncols=4, handletextpad=0.4)
    _draw_differences(bottom.subplots(), arrays)
    return drawing


SHOWN = (
    (UNIFORM, UNIFORM_COLOR, "o", -0.22),
    (STANDARD, STANDARD_COLOR, "^", 0.0),
    (CONCENTRATED, CONCENTRATED_COLOR, "s", 0.22),
)
"""The readings with pairs of their own: colour, marker and offset."""


def _draw_rewards(axes: Axes, arrays: Arrays, mask: int) -> None:
    rows = np.arange(len(ROWS))
    axes.set(ylim=(-0.6, len(ROWS) - 0.4))
    axes.grid(axis="y")
    axes.tick_params(axis="y", length=0)
    for reading, color, marker, shift in SHOWN:
        mean, error = arrays["mean"][reading, :, mask], arrays["error"][reading, :, mask]
        axes.errorbar(mean, rows + shift, xerr=error, fmt=marker, color=color, markersize=3.4, linewidth=0.9)
        axes.axvline(mean[ROW["dpo"]], color=color, linewidth=0.8, linestyle=(0, (4, 2)), zorder=0)
    printed = arrays["printed_reward"][:, mask]
    at = [*(ROW[name] for name in BASELINES), *(ROW[name] for name in VARIANTS)]
    axes.plot(
        [*printed[:1].repeat(len(BASELINES)), *printed[1:]],
        at,
        marker="D",
        color=PRINTED_COLOR,
        markerfacecolor="white",
        markersize=4,
        linestyle="",
    )


def _draw_differences(axes: Axes, arrays: Arrays) -> None:
    """Set the paired differences as a table, shaded where the sign is that of print, or the opposite."""
    said = verdict(arrays["difference"], arrays["difference_error"], arrays["printed"])
    count, masks = len(COMPARISONS), len(MASKS)
    left, wide, gap = 6.9, 1.0, 0.2
    starts = [left + block * (masks * wide + gap) for block in range(1 + len(READINGS))]
    right = starts[-1] + masks * wide
    axes.set(xlim=(0, right), ylim=(count + 0.5, -2.9))
    axes.axis("off")
    small: dict[str, Any] = {"fontsize": 6.5, "ha": "center", "va": "center"}
    for block, start in enumerate(starts):
        name = "printed" if block == 0 else HEADS[block - 1]
        axes.text(start + wide * masks / 2, -2.05, name, **{**small, "fontweight": "bold"})
        for index, mask in enumerate(MASKS):
            axes.text(start + wide * (index + 0.5), -0.85, f"{mask:g}", **{**small, "color": "#555555"})
        if block:
            axes.text(start + wide * masks / 2, count, rf"$\tau$ {arrays['tau'][block - 1]:.2f}", **small)
    axes.text(0, -0.85, "difference at mask rate", fontsize=7, va="center", color="#555555")
    axes.text(0, count, "Kendall's tau with the printed order", fontsize=7, va="center", color="#555555")
    for row, comparison in enumerate(COMPARISONS):
        axes.text(0, row, comparison.name, fontsize=6.5, va="center")
        for index in range(masks):
            axes.text(starts[0] + wide * (index + 0.5), row, _short(arrays["printed"][row, index]), **small)
            for reading, start in enumerate(starts[1:]):
                value = said[reading, row, index]
                if abs(value) == 1:
                    color = AGREES if value > 0 else OPPOSITE
                    x = start + wide * index
                    axes.fill([x, x + wide, x + wide, x], [row - 0.48] * 2 + [row + 0.48] * 2, color=color, lw=0)
                axes.text(start + wide * (index + 0.5), row, _short(arrays["difference"][reading, row, index]), **small)
    for y in (-2.85, -0.5, count - 0.5):
        axes.plot([0, right], [y, y], color="black", linewidth=0.5)
    handles = [Rectangle((0, 0), 1, 1, color=AGREES), Rectangle((0, 0), 1, 1, color=OPPOSITE)]
    names = ["sign as printed", "opposite sign (both by over 2 standard errors)"]
    axes.legend(handles, names, loc="upper left", bbox_to_anchor=(0.0, 0.0), ncols=2, borderpad=0, fontsize=7)


HEADS = (
    "uniform\npairs",
    "baseline =\nreference",
    "baseline =\nscratch",
    "pairs from\nreference",
    "concentrated\npairs",
)


def _short(value: float) -> str:
    """Return a signed number with two digits and no zero before the point; nothing for NaN."""
    if np.isnan(value):
        return ""
    return f"{value:+.{1 if abs(value) >= 0.995 else 2}f}".replace("0.", ".", 1).replace("-", "−")


@figure(
    "ma2025-2",
    "What DPO answers to every prompt of the 20 x 20 toy",
    source="Ma et al. 2025, Figure 2",
    caption="Probability of every response after DPO, mask rate 0.2, seed 0; dots mark the (prompt, response) pairs "
    "that never occur in the data. The mass lies in a band about three wide round the preferred response y = x; "
    "where the diagonal itself is masked, a neighbour usually has the most mass. Masked pairs keep 6% to 10% of the "
    "mass, seed by seed, against 20% under a uniform policy: less, but not nothing, and sometimes a masked response "
    "is the mode.",
    differs="The mask is shown. Pairs are uniform over what is not masked; policy (an MLP), optimiser and steps are "
    "ours, as in ma2025-table-1. The checks use all seeds, the picture shows the first.",
    claims=("ma2025.theorem-6-tiny-reference", "ma2025.theorem-7-interpretation"),
    accuracy={"*": Accuracy("trained in float64 for 1300 steps with AdamW, of many orders of magnitude", 2e-13)},
)
def heat_map(seeds: int = 6, mask: float = 0.2, steps: int = 1000, method: str = "dpo") -> Arrays:
    """Train one policy for each of the seeds 0, 1, ..., seeds - 1, on pairs drawn uniformly."""
    trained = train([method] * seeds, [mask] * seeds, range(seeds), Setting(steps=steps))
    return {
        "probability": trained.log_probs.exp().numpy(),
        "mask": trained.mask.numpy(),
        "masked_mass": masked_mass(trained.log_probs, trained.mask).numpy(),
        "reward": rewards(trained.log_probs)[0].numpy(),
        "utility": log_utility().exp().numpy(),
    }


DISTANCE = np.abs(np.subtract.outer(np.arange(SIZE), np.arange(SIZE)))


@heat_map.check
def rows_are_distributions(arrays: Arrays) -> bool:
    """Every row sums to one, and the reward is that computed from the rows."""
    rows = arrays["probability"]
    reward = (rows * arrays["utility"]).sum((1, 2))
    sums = np.abs(rows.sum(-1) - 1).max() < 1e-11 and (rows > 0).all()
    return bool(sums and np.abs(arrays["reward"] - reward).max() < 1e-9)


@heat_map.check
def mass_lies_in_a_band(arrays: Arrays) -> bool:
    """For every seed over 80% of the mass lies within one of the preferred response, most of it not upon it."""
    near = [(arrays["probability"] * within).sum((1, 2)) / SIZE for within in (DISTANCE == 0, DISTANCE <= 1)]
    return bool((near[1] > 0.8).all() and (near[0] < 0.6 * near[1]).all())


@heat_map.check
def the_mode_is_on_the_diagonal_or_beside_it(arrays: Arrays) -> bool:
    """Over 90% of the modes are y = x or a neighbour; a masked diagonal keeps the mode in under a third of cases."""
    off = np.abs(arrays["probability"].argmax(-1) - np.arange(SIZE))
    masked = np.diagonal(arrays["mask"], axis1=1, axis2=2)
    some = masked.any() and (off[~masked] == 0).mean() > 0.5
    return bool(some and (off <= 1).mean() > 0.9 and (off[masked] == 0).mean() < 1 / 3)


@heat_map.check
def masked_mass_falls_but_stays(arrays: Arrays) -> bool:
    """Masked pairs, a fifth of all, hold 1% to 16% of the mass for every seed, and under 10% on average."""
    mass = (arrays["probability"] * arrays["mask"]).sum((1, 2)) / SIZE
    fifth = np.abs(arrays["mask"].mean((1, 2)) - 0.2).max() < 1e-9
    same = np.abs(mass - arrays["masked_mass"]).max() < 1e-11
    return bool(fifth and same and ((mass > 0.01) & (mass < 0.16)).all() and mass.mean() < 0.1)


@heat_map.draw
def _draw_heat_map(arrays: Arrays) -> Drawing:
    drawing, axes = plt.subplots(figsize=(COLUMN_WIDTH, 2.9))
    labels = np.arange(1, SIZE + 1)
    image = axes.imshow(arrays["probability"][0], extent=(0.5, SIZE + 0.5, SIZE + 0.5, 0.5), vmin=0)
    prompts, responses = np.nonzero(arrays["mask"][0])
    axes.plot(labels[responses], labels[prompts], "o", markersize=1.5, color="white", markeredgewidth=0)
    axes.set(xlabel="response $y$", ylabel="prompt $x$", xticks=(1, 5, 10, 15, 20), yticks=(1, 5, 10, 15, 20))
    axes.set_title(f"dots: masked, {100 * float(arrays['masked_mass'][0]):.0f}% of the mass")
    bar = drawing.colorbar(image, ax=axes, shrink=0.9, pad=0.02)
    bar.set_label(r"probability $\pi(y|x)$")
    return drawing
