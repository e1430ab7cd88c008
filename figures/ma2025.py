"""Figure 1 of ma2025: how DPO and a balanced loss change the logits in a Gaussian world, as printed and exactly.

No sampling: the curves are sums over all pairs of responses. The paper draws w_i (DPO) and w_i pi_i ("PPO"). What a
loss in pi_w - pi_l really does to the logits is pi_i (w_i - sum_j pi_j w_j); the term that the paper's Eq. 14 leaves
out is the average, and it is not small when policy and preference lie apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from dynamics import DPO, replicator_fitness
from figures.accuracy import ROUNDED
from figures.registry import Arrays, figure
from figures.style import BALANCED_COLOR, DPO_COLOR, EXACT_COLOR, OTHERS, PAGE_WIDTH, REFERENCE, label_line
from toy_models.gaussian_preferences import (
    GaussianWorld,
    Sampling,
    balanced_update,
    fitness,
    imbalance,
    preferences,
    printed_update,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

MEANS = ((45.0, 55.0), (30.0, 70.0), (48.0, 52.0))
SAMPLING: tuple[Sampling, Sampling] = ("uniform", "shiftless")
CURVES = ("w", "printed", "exact")
COLORS = {"w": DPO_COLOR, "printed": BALANCED_COLOR, "exact": EXACT_COLOR}
DASHES: dict[str, tuple[int, tuple[float, ...]]] = {"w": (0, ()), "printed": (0, (5, 1.5)), "exact": (0, (1.4, 1.0))}
NAMES = {"w": "$w_i$ (DPO)", "printed": r"$w_i\pi_i$ as printed", "exact": r"$\pi_i(w_i-\bar w)$ exact"}
FLOOR = -1.65  # bottom of the panels, where the two Gaussians are drawn below the curves
P_SHADE, Q_SHADE = "#BDBDBD", "#CC79A7"


@figure(
    "ma2025-1",
    "Where DPO and a balanced loss push the logits, in three Gaussian worlds",
    source="Ma et al. 2025, Figure 1",
    caption="Each curve is scaled to unit peak; dots mark the largest decrease and increase; below, the policy P and "
    "the preference Q. Left, pairs drawn uniformly: DPO changes the logits most well outside both modes, the "
    "balanced loss near P. Right, pairs drawn from the policy: the curves lie close together. The printed "
    "approximation (dashed) leaves out the mean fitness: in the middle row on the left it hardly raises any logit, "
    "where the exact balanced update (dotted) raises some as much as it lowers others. In the free coordinates of "
    "Definition 1 DPO is POSITIVELY imbalanced in all six panels: E|dL/dpi_w| / E|dL/dpi_l| is 11.0, 56.8, 2.7 on "
    "the left and 1.5, 5.8, 1.1 on the right.",
    differs="Exact sums in place of a simulation, whose normalisation the paper does not give. The exact balanced "
    "update is added. w is DPO's for beta = 1 and a uniform reference, which the paper's Lemma 2 assumes without "
    "saying so.",
    claims=("ma2025.theorem-2", "ma2025.eq-14", "ma2025.theorem-3", "ma2025.corollary-1", "ma2025.lemma-2"),
)
def update_distributions(
    means: tuple[tuple[float, float], ...] = ((45, 55), (30, 70), (48, 52)),
    variance: float = 100.0,
    responses: int = 100,
) -> Arrays:
    """Evaluate w, w pi and the exact balanced push for every pair of means and both samplings."""
    rows: dict[str, list] = {name: [] for name in ("log_policy", "log_utility", *CURVES, "simulated", "imbalance")}
    for policy_mean, preference_mean in means:
        world = GaussianWorld(policy_mean, preference_mean, variance, responses)
        log_p, log_u = world.log_policy, world.log_utility
        rows["log_policy"].append(log_p.numpy())
        rows["log_utility"].append(log_u.numpy())
        w = [fitness(log_p, log_u, sampling) for sampling in SAMPLING]
        rows["w"].append([x.numpy() for x in w])
        rows["printed"].append([printed_update(log_p, x).numpy() for x in w])
        rows["exact"].append([balanced_update(log_p, x).numpy() for x in w])
        pairs = [preferences(log_p, log_u, sampling) for sampling in SAMPLING]
        sums = [x.weight.sum() * replicator_fitness(log_p, x, DPO(beta=1.0)) for x in pairs]  # Lemma 2 has a sum
        rows["simulated"].append([x.numpy() for x in sums])
        rows["imbalance"].append([imbalance(log_p, log_u, sampling) for sampling in SAMPLING])
    return {
        "means": np.array(means, dtype=float),
        "sigma": np.sqrt(variance),
        **{k: np.array(v) for k, v in rows.items()},
    }


def _extremes(curves: np.ndarray) -> np.ndarray:
    """Return the responses of the smallest and the largest value, on a new last axis."""
    return np.stack([curves.argmin(-1), curves.argmax(-1)], axis=-1)


def _share_outside(arrays: Arrays, name: str) -> np.ndarray:
    """Return the share of the absolute push that lies more than 2 sigma outside both modes, ``(rows, samplings)``."""
    responses = np.arange(arrays[name].shape[-1])
    low, high = arrays["means"].min(1) - 2 * arrays["sigma"], arrays["means"].max(1) + 2 * arrays["sigma"]
    outside = (responses < low[:, None]) | (responses > high[:, None])
    size = np.abs(arrays[name])
    return (size * outside[:, None]).sum(-1) / size.sum(-1)


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def _unit_peak(curves: np.ndarray) -> np.ndarray:
    return curves / np.abs(curves).max(-1, keepdims=True)


@update_distributions.check
def fitness_is_the_gradient_of_dpo(arrays: Arrays) -> bool:
    """In all six panels w is minus the gradient of the DPO objective in the logits."""
    off = np.abs(arrays["w"] - arrays["simulated"]).max(-1)
    return bool((off < 1e-9 * np.abs(arrays["w"]).max(-1)).all())


@update_distributions.check
def pushes_sum_to_zero(arrays: Arrays) -> bool:
    """The fitness w and the exact balanced push sum to zero; w pi as printed does not, in any panel."""

    def is_zero(name: str, tolerance: float) -> np.ndarray:
        return np.abs(arrays[name].sum(-1)) < tolerance * np.abs(arrays[name]).sum(-1)

    vanish = is_zero("w", 1e-9).all() and is_zero("exact", 1e-9).all()
    return bool(vanish and not is_zero("printed", 1e-3).any())


@update_distributions.check
def dpo_pushes_outside_both_modes(arrays: Arrays) -> bool:
    """Pairs drawn uniformly: w is least a sigma or more below mu_P, and largest a sigma or more above mu_Q."""
    beyond = (_extremes(arrays["w"][:, 0]) - arrays["means"]) * np.array([-1, 1]) / arrays["sigma"]
    return bool((beyond >= 1 - ROUNDED).all())


@update_distributions.check
def printed_pushes_near_the_policy(arrays: Arrays) -> bool:
    """Pairs drawn uniformly: the extremes of w pi lie within 2.5 sigma of mu_P, on either side, nearer than w's."""
    offset, of_w = (_extremes(arrays[name][:, 0]) - arrays["means"][:, :1] for name in ("printed", "w"))
    near = np.abs(offset).max() <= 2.5 * arrays["sigma"] + ROUNDED and (np.abs(offset) < np.abs(of_w)).all()
    return bool(near and (offset * np.array([-1, 1]) > 0).all())


@update_distributions.check
def dpo_spills_outside_both_bells(arrays: Arrays) -> bool:
    """Pairs drawn uniformly: over a sixth of |w| lies beyond 2 sigma of both modes, under a tenth of |w pi|."""
    return bool(
        (_share_outside(arrays, "w")[:, 0] > 1 / 6).all() and (_share_outside(arrays, "printed")[:, 0] < 0.1).all()
    )


@update_distributions.check
def shiftless_curves_lie_close(arrays: Arrays) -> bool:
    """The extremes of w and w pi agree to 0.3 sigma if pairs come from the policy; else they are 0.8 sigma apart."""
    apart = np.abs(_extremes(arrays["w"]) - _extremes(arrays["printed"])) / arrays["sigma"]
    cosine = _cosine(arrays["w"], arrays["printed"])
    close, distant = (apart[:, 1] <= 0.3 + ROUNDED).all(), (apart[:, 0] >= 0.8 - ROUNDED).all()
    return bool(close and distant and cosine[:, 1].min() > 0.9)


@update_distributions.check
def printed_loses_the_push_up(arrays: Arrays) -> bool:
    """Middle row, uniform: w pi peaks 10 responses off, at under 5% of its dip, the exact push at over 90%."""
    printed, exact = arrays["printed"][1, 0], arrays["exact"][1, 0]
    apart = abs(int(printed.argmax()) - int(exact.argmax())) >= 10
    return bool(apart and printed.max() < -0.05 * printed.min() and exact.max() > -0.9 * exact.min())


@update_distributions.check
def printed_is_good_without_a_shift(arrays: Arrays) -> bool:
    """Pairs drawn from the policy: w pi and the exact push agree to a cosine above 0.97."""
    return bool((_cosine(arrays["printed"], arrays["exact"])[:, 1] > 0.97).all())


@update_distributions.check
def imbalance_is_positive(arrays: Arrays) -> bool:
    """E|dL/dpi_w| exceeds E|dL/dpi_l| by over 5% in all six panels: in them Corollary 1 has the sign wrong."""
    return bool((arrays["imbalance"] > 1.05).all() and np.isfinite(arrays["imbalance"]).all())


@update_distributions.draw
def _draw(arrays: Arrays) -> Drawing:
    count = len(arrays["means"])
    drawing, panels = plt.subplots(
        count, 2, figsize=(PAGE_WIDTH, 1.75 * count), sharex=True, sharey=True, squeeze=False
    )
    responses = np.arange(arrays["w"].shape[-1])
    for row, (mu_p, mu_q) in enumerate(arrays["means"]):
        for column, sampling in enumerate(SAMPLING):
            axes = panels[row, column]
            _shade(axes, responses, arrays["log_policy"][row], arrays["log_utility"][row])
            axes.axhline(0, color=REFERENCE, linewidth=0.5)
            for name in CURVES:
                curve = _unit_peak(arrays[name][row, column])
                axes.plot(responses, curve, color=COLORS[name], linestyle=DASHES[name], linewidth=1.4)
                at = _extremes(curve)
                axes.plot(at, curve[at], "o", color=COLORS[name], markersize=3, markeredgecolor="white", mew=0.4)
            axes.set(xlim=(0, responses[-1]), ylim=(FLOOR, 1.12), yticks=(-1, 0, 1))
            title = rf"$\mu_P={mu_p:g}$, $\mu_Q={mu_q:g}$"
            axes.set_title(f"{title}; pairs uniform" if sampling == "uniform" else f"{title}; pairs from the policy")
        panels[row, 0].set_ylabel(r"$-\partial L/\partial\,$logit" "\n(unit peak)")
    for name, x, y, ha in (("w", 97, 0.42, "right"), ("printed", 74, 0.13, "left"), ("exact", 49, 0.85, "right")):
        label_line(panels[0, 0], x, y, NAMES[name], COLORS[name], ha=ha)
    for axes in panels[-1]:
        axes.set_xlabel("response $i$")
    return drawing


def _shade(axes: Axes, responses: np.ndarray, log_policy: np.ndarray, log_utility: np.ndarray) -> None:
    """Draw the two Gaussians at the bottom of the panel."""
    for log_bell, shade, ink, name in ((log_policy, P_SHADE, OTHERS, "P"), (log_utility, Q_SHADE, Q_SHADE, "Q")):
        bell = np.exp(log_bell - log_bell.max())
        axes.fill_between(responses, FLOOR, FLOOR + 0.5 * bell, color=shade, alpha=0.4, linewidth=0, zorder=0)
        label_line(axes, float(bell.argmax()), FLOOR + 0.04, name, ink, ha="center", va="bottom")
