"""sun2025 Table 5: the printed ranking of loss functions beside that of a tiny language model, by learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from pandas import DataFrame

from figures.accuracy import ONE_CASE
from figures.registry import Arrays, figure
from figures.reward_runs import (
    BY_ADAMW,
    GAMMAS,
    LARGER_GAMMA,
    PRINTED_GAMMA,
    STEPS_LABEL,
    above,
    band,
    between,
    change,
    end,
    errors,
    fall,
    named,
    runs_of,
    saturated,
    show_rates,
)
from figures.style import (
    DPO_COLOR,
    GELU_COLOR,
    HINGE_COLOR,
    IDENTITY_COLOR,
    IPO_COLOR,
    PAGE_WIDTH,
    SELF_PO_COLOR,
    label_line,
    label_panel,
)
from figures.sun2025_tables import write_table
from theory.sun2025.activations import SCALE
from theory.sun2025.results import ACTIVATIONS, METRICS
from toy_models.overoptimization import SATURATED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

LOSSES = {
    "identity": ("Identity", IDENTITY_COLOR),
    "relu": ("ReLU", HINGE_COLOR),
    "square": ("Square", IPO_COLOR),
    "gelu": ("GELU", GELU_COLOR),
    "silu": ("SiLU", SELF_PO_COLOR),
    "simpo": ("logistic", DPO_COLOR),
}
"""The losses of Table 5, in its order, and SimPO's: name in print and colour."""

OTHERS = tuple(name for name in LOSSES if name not in ("identity", "square"))
RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
RESULTS = ("chosen", "rejected", "entropy", "divergence", "test_accuracy", "reward")


@figure(
    "sun2025-table-5",
    "Table 5 beside a tiny language model: the identity collapses and GELU is SiLU at another beta, but the ranking "
    "depends on gamma and on the learning rate",
    source="Sun et al. 2025, Table 5",
    caption="Table, left, as printed: AlpacaEval 2 (length-controlled and raw win rate) and MT-Bench of Zephyr. Right, "
    "the tiny model, mean over 10 worlds (standard error of the last digits): true reward on held-out prompts after "
    "one epoch of fresh pairs, each loss at its own best learning rate, which is chosen on other worlds; entropy at "
    "rate 0.1; and the true reward at the peak and at the end of 400 epochs of 64 pairs. (a, b) True reward after one "
    "epoch by learning rate. (c) 400 epochs. Reproduced with both gammas: the square gains least at every rate up to "
    "1; from rate 0.03 to 1, the identity lets the chosen responses fall most and ends with the least entropy. GELU "
    "is nearest to SiLU at 1.702 times beta and gamma (dotted). Not reproduced: SiLU and GELU are not ahead. At rates "
    "0.03 and 0.1 they end below the logistic loss, and the identity has the highest true reward at small rates, "
    "because an expected reward does not mind repetition. What depends on the setting: with $\\gamma=2$ differences "
    "are half as large or less; from rate 1 on, where the responses become nearly deterministic, they are within the "
    "noise of worlds (standard deviation 0.3 to 0.5), and so are those at each loss's own best rate, but for the "
    "square's. With 400 epochs the order is another one: ReLU, which stops at its target, keeps most.",
    differs="Benchmarks of a 7B model cannot be measured on a toy model; only orderings are compared. The paper tunes "
    "every loss, as is done here for the learning rate alone; beta is 2.5. SimPO's row has no counterpart in the "
    "table.",
    claims=(
        "sun2025.best-activations",
        "sun2025.table-5-relu",
        "sun2025.table-5-square",
        "sun2025.table-5-identity",
        "sun2025.gelu-approximation",
    ),
    accuracy={"*_test_accuracy": ONE_CASE, "*": BY_ADAMW},
)
def activations(
    seeds: int = 10,
    gammas: Sequence[float] = GAMMAS,
    rates: Sequence[float] = RATES,
    saturated_rate: float = SATURATED["learning_rate"],
    beta: float = 2.5,
    pairs: int = 3200,
    minibatch: int = 16,
    saturated_pairs: int = 64,
    saturated_epochs: int = 400,
) -> Arrays:
    """Train every loss of Table 5 and SimPO's on the worlds; put the printed scores beside them."""
    data = {"pairs": pairs, "minibatch": minibatch, "records": 11}
    once = runs_of(tuple(LOSSES), rates, gammas, seeds, RESULTS, beta=beta, **data)
    # SiLU at another beta and gamma: the steps of AdamW do not see the scale of a loss
    scaled = runs_of(("silu",), rates, [SCALE * gammas[0]], seeds, RESULTS, beta=SCALE * beta, **data)
    once |= {f"scaled_{result}": scaled[f"silu_{result}"] for result in RESULTS}
    many = saturated(saturated_pairs, saturated_epochs)
    often = runs_of(
        tuple(LOSSES), (saturated_rate,), gammas[:1], seeds, ("chosen", "entropy", "reward"), beta=beta, **many
    )
    printed = [[float(ACTIVATIONS[name][metric]) for metric in METRICS] for name, _ in list(LOSSES.values())[:5]]
    found = {"rates": np.array(rates), "printed": np.array(printed)}
    return found | named("epoch", once) | named("saturated", often)


def tuned(reward: np.ndarray) -> np.ndarray:
    """Return the reward of each seed at the rate that is best on the other half of the seeds.

    Args:
        reward: ``(seeds, rates)``.
    """
    even = np.arange(len(reward)) % 2 == 0
    found = np.empty(len(reward))
    for half in (even, ~even):
        found[half] = reward[half, reward[~half].mean(0).argmax()]
    return found


def _ends(arrays: Arrays, result: str, setting: str = "epoch") -> dict[str, np.ndarray]:
    return {name: end(arrays[f"{setting}_{name}_{result}"]) for name in LOSSES}


@activations.check
def print_ranks_gelu_and_silu_first(arrays: Arrays) -> bool:
    """In every printed column GELU and SiLU are the two best and the identity is last."""
    scores = dict(zip(LOSSES, arrays["printed"], strict=False))
    rest = np.max([scores[name] for name in ("relu", "square", "identity")], axis=0)
    best = (np.minimum(scores["gelu"], scores["silu"]) > rest).all()
    return bool(best and (scores["identity"] < np.minimum(scores["relu"], scores["square"])).all())


@activations.check
def the_identity_collapses(arrays: Arrays) -> bool:
    """With the identity the chosen fall most and the entropy is least: at rates from 0.03 to 1, and in 400 epochs."""
    large = between(arrays["rates"], 0.03, 1.0)
    seen = []
    for result in ("chosen", "entropy"):
        once, often = _ends(arrays, result), _ends(arrays, result, "saturated")
        for name in LOSSES:
            if name != "identity":
                seen += [above((once[name] - once["identity"])[:, large]), above(often[name] - often["identity"])]
    return all(seen)


@activations.check
def the_square_gains_least(arrays: Arrays) -> bool:
    """One epoch: the square's gap of chosen and rejected, and its true reward, are least at rates up to 1."""
    gap = {name: change(arrays[f"epoch_{name}_chosen"]) - change(arrays[f"epoch_{name}_rejected"]) for name in LOSSES}
    reward, rates = _ends(arrays, "reward"), between(arrays["rates"], 0.0, 1.0)
    rest = [name for name in LOSSES if name != "square"]
    return all(above((kind[name] - kind["square"])[:, rates]) for kind in (gap, reward) for name in rest)


@activations.check
def gelu_is_silu_at_another_beta(arrays: Arrays) -> bool:
    """Up to rate 0.3, the curve nearest to GELU's is SiLU's at 1.702 times beta and gamma, in four respects."""
    nearest, small = [], between(arrays["rates"], 0.0, 0.3)
    for result in ("chosen", "entropy", "divergence", "reward"):
        gelu = end(arrays[f"epoch_gelu_{result}"])[..., PRINTED_GAMMA].mean(0)
        others = [name for name in (*LOSSES, "scaled") if name != "gelu"]
        away = {
            name: float(np.abs(end(arrays[f"epoch_{name}_{result}"])[..., 0].mean(0) - gelu)[small].mean())
            for name in others
        }
        nearest.append(min(away, key=lambda name, away=away: away[name]))  # type: ignore[misc]
    return nearest == ["scaled"] * 4


@activations.check
def silu_and_gelu_are_not_ahead(arrays: Arrays) -> bool:
    """One epoch: SiLU and GELU end below the logistic loss at rates 0.03 and 0.1, both gammas (3 errors)."""
    reward, rates = _ends(arrays, "reward"), between(arrays["rates"], 0.03, 0.1)
    return all(above((reward["simpo"] - reward[name])[:, rates]) for name in ("silu", "gelu"))


@activations.check
def the_identity_is_not_last(arrays: Arrays) -> bool:
    """One epoch: the identity's true reward is the highest at rates up to 0.03, both gammas (2 errors to each)."""
    reward, rates = _ends(arrays, "reward"), between(arrays["rates"], 0.0, 0.03)
    return all(above((reward["identity"] - reward[name])[:, rates], 2) for name in LOSSES if name != "identity")


@activations.check
def tuned_losses_are_alike(arrays: Arrays) -> bool:
    """One epoch, gamma 2, best rates: SiLU and GELU within 0.4 of the logistic loss, the square 0.4 below all."""
    reward = {name: tuned(values[..., LARGER_GAMMA]).mean() for name, values in _ends(arrays, "reward").items()}
    near = all(abs(reward[name] - reward["simpo"]) < 0.4 for name in ("silu", "gelu"))
    return near and all(reward["square"] < value - 0.4 for name, value in reward.items() if name != "square")


@activations.check
def in_400_epochs_relu_keeps_most(arrays: Arrays) -> bool:
    """400 epochs: the true reward falls from its peak with every loss, least with ReLU, which ends above SiLU."""
    reward = {name: arrays[f"saturated_{name}_reward"][0, 0] for name in LOSSES}
    falls = {name: fall(values).mean() for name, values in reward.items()}
    least = min(falls, key=lambda name: falls[name])
    return least == "relu" and falls["relu"] > 0 and above((reward["relu"] - reward["silu"])[:, -1], 2)


def _number(values: np.ndarray) -> str:
    mean, error = errors(values)
    return f"{mean:.2f} ({round(float(error) * 100)})".replace("-", "\N{MINUS SIGN}")


def label_with_leaders(axes: Axes, x: float, ends: dict[str, float], apart: float) -> None:
    """Write the name of every loss right of the end of its line, moved apart so that no two names overlap.

    Args:
        axes: where the lines are.
        x: where they end.
        ends: height of the end of every line.
        apart: least distance of two names, in units of the axis.
    """
    names = sorted(ends, key=lambda name: ends[name])
    places = [ends[name] for name in names]
    for _ in range(100):  # push neighbours apart until all are
        for i in range(len(places) - 1):
            short = apart - (places[i + 1] - places[i])
            if short > 0:
                places[i] -= short / 2
                places[i + 1] += short / 2
    for name, y in zip(names, places, strict=True):
        label, color = LOSSES[name]
        line = {"arrowstyle": "-", "linewidth": 0.5, "color": color, "shrinkA": 0, "shrinkB": 0}
        keywords = {"xytext": (9, y), "textcoords": ("offset points", "data"), "va": "center", "arrowprops": line}
        label_line(axes, x, ends[name], label, color, annotation_clip=False, **keywords)


@activations.tabulate
def _tabulate_activations(arrays: Arrays) -> DataFrame:
    """Return a row for each loss: what is printed, and the tiny model's results with their standard errors."""
    shown = int(np.abs(np.log(arrays["rates"] / 0.1)).argmin())
    rows = []
    for i, (name, (label, _)) in enumerate(LOSSES.items()):
        printed = [f"{score:.2f}" for score in arrays["printed"][i]] if i < len(arrays["printed"]) else [""] * 3
        reward = end(arrays[f"epoch_{name}_reward"])
        ours = [tuned(reward[..., gamma]) for gamma in (PRINTED_GAMMA, LARGER_GAMMA)]
        ours += [end(arrays[f"epoch_{name}_entropy"])[:, shown, PRINTED_GAMMA]]
        often = arrays[f"saturated_{name}_reward"][0, 0]
        ours += [often[:, often.mean(0).argmax()], often[:, -1]]
        rows.append([label, *printed, *map(_number, ours)])
    heads = ["loss", "LC", "WR", "MT", r"$\gamma=0.8$", r"$\gamma=2$", "entropy", "peak", "end"]
    return DataFrame(rows, columns=heads)


@activations.draw
def _draw_activations(arrays: Arrays) -> Drawing:
    drawing = plt.figure(figsize=(PAGE_WIDTH, 4.6))
    axes = drawing.subplot_mosaic("ttt;abc", height_ratios=(1, 1.45))
    rates, table = arrays["rates"], _tabulate_activations(arrays)
    places = (0.005, 0.13, 0.20, 0.27, 0.35, 0.475, 0.60, 0.75, 0.88)
    columns = list(zip(places, table.columns, strict=True))
    write_table(axes["t"], columns, table.to_numpy().tolist(), [color for _, color in LOSSES.values()])
    for place, text in (
        (0.13, "printed"),
        (0.35, "one epoch, best rate: true reward"),
        (0.75, "400 epochs: true reward"),
    ):
        axes["t"].text(place, 1.03, text, fontsize=7, style="italic")
    for letter, gamma in (("a", PRINTED_GAMMA), ("b", LARGER_GAMMA)):
        ends = {}
        for name, (_, color) in LOSSES.items():
            reward = end(arrays[f"epoch_{name}_reward"])[..., gamma]
            band(axes[letter], rates, reward, color)
            ends[name] = float(reward.mean(0)[-1])
        show_rates(axes[letter], rates)
        label_with_leaders(axes[letter], rates[-1], ends, 0.14)
    scaled = end(arrays["epoch_scaled_reward"])[..., 0].mean(0)
    axes["a"].plot(rates, scaled, color="black", linestyle=":", linewidth=1)
    axes["a"].set(title=r"one epoch, $\gamma=0.8$", ylabel="true reward, held out")
    axes["b"].set(title=r"one epoch, $\gamma=2$")
    step, ends = arrays["saturated_step"], {}
    for name, (_, color) in LOSSES.items():
        reward = arrays[f"saturated_{name}_reward"][0, 0]
        band(axes["c"], step, reward, color)
        ends[name] = float(reward.mean(0)[-1])
    axes["c"].set(title=r"400 epochs, $\gamma=0.8$", xlabel=STEPS_LABEL, xlim=(0, step[-1]))
    label_with_leaders(axes["c"], step[-1], ends, 0.14)
    for letter in "abc":
        axes[letter].axhline(0, color="#AAAAAA", linewidth=0.6)
        axes[letter].set_ylim(-0.7, 1.9)
        label_panel(axes[letter], letter)
    return drawing
