"""sun2025 Tables 2 and 5: what is printed beside what the formulas, and a tiny language model, give."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from pandas import DataFrame

from dynamics import CPO, DPO, IPO, SFT, PreferenceLoss, SelfPO, SimPO, SLiC
from figures.accuracy import ONE_CASE, TRAINED, Accuracy
from figures.overoptimization import STEPS_LABEL, above, band, errors, fall, runs_of
from figures.registry import Arrays, figure
from figures.style import (
    DPO_COLOR,
    HINGE_COLOR,
    IDENTITY_COLOR,
    IPO_COLOR,
    PAGE_WIDTH,
    PRINTED_COLOR,
    SELF_PO_COLOR,
    label_line,
    label_panel,
)
from theory.sun2025.activations import SCALE
from theory.sun2025.floor import target_log_ratio
from theory.sun2025.results import ACTIVATIONS, METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

BETA, GAMMA, WEIGHT, DELTA, TAU = 2.5, 0.8, 0.3, 1.0, 0.1  # of Table 2; the first two are Section 4.3's

Logs = dict[str, np.ndarray]
"""Log-probabilities w, l of policy and rw, rl of reference (nats), and lengths nw, nl."""


def _logistic(margin: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, -margin)


def _averaged(p: Logs) -> np.ndarray:
    return BETA / p["nw"] * p["w"] - BETA / p["nl"] * p["l"] - GAMMA


PRINTED: dict[str, Callable[[Logs], np.ndarray]] = {
    "SFT": lambda p: -WEIGHT * p["w"],
    "DPO": lambda p: _logistic(BETA * (p["w"] - p["rw"]) - BETA * (p["l"] - p["rl"])),
    "SLiC": lambda p: np.maximum(0, DELTA - p["w"] + p["l"]) - WEIGHT * p["w"],
    "IPO": lambda p: ((p["w"] - p["rw"]) - (p["l"] - p["rl"])) ** 2,
    "CPO": lambda p: _logistic(BETA * p["w"] - BETA * p["l"]) - WEIGHT * p["w"],
    "SimPO": lambda p: _logistic(_averaged(p)),
    "SPO": lambda p: -_averaged(p) / (1 + np.exp(_averaged(p))),
}
"""The objectives as Table 2 prints them, written out anew, DPO's y_t read as y_l."""

DEFINED: dict[str, PreferenceLoss] = {
    "SFT": WEIGHT * SFT(),
    "DPO": DPO(BETA),
    "SLiC": SLiC(delta=DELTA) + WEIGHT * SFT(),
    "IPO": IPO(beta=TAU),
    "CPO": CPO(BETA, sft_weight=WEIGHT),
    "SimPO": SimPO(BETA, GAMMA),
    "SPO": SelfPO(BETA, GAMMA),
}
"""The methods of those names, as ``dynamics`` has them."""

FORMULAS = {
    "SFT": r"$-\lambda\,\ell_w$",
    "DPO": r"$-\log\,\sigma(\beta[\ell_w-r_w]-\beta[\ell_l-r_l])$",
    "SLiC": r"$\max(0,\,\delta-\ell_w+\ell_l)-\lambda\,\ell_w$",
    "IPO": r"$([\ell_w-r_w]-[\ell_l-r_l])^2$",
    "CPO": r"$-\log\,\sigma(\beta\ell_w-\beta\ell_l)-\lambda\,\ell_w$",
    "SimPO": r"$-\log\,\sigma(\beta\,\overline{\ell}_w-\beta\,\overline{\ell}_l-\gamma)$",
    "SPO": r"$\mathrm{SiLU}(-[\beta\,\overline{\ell}_w-\beta\,\overline{\ell}_l-\gamma])$",
}
METHODS = tuple(FORMULAS)


def least_at(loss: Callable[[Logs], np.ndarray], far: float) -> list[float]:
    """Return the ends of the interval of log-ratios h on which a loss of one pair is minimal, at a fixed log pi_w.

    The log-ratio is l_w - l_l with a reference of equal probabilities and lengths of 1. An end at ``far`` is reported
    as infinity, and a loss that does not depend on h as (-inf, inf).
    """
    h = np.linspace(-far, far, 120001)
    zero, one = np.zeros_like(h), np.ones_like(h)
    value = loss({"w": zero - far, "l": -far - h, "rw": zero, "rl": zero, "nw": one, "nl": one})
    at = h[value <= value.min() + 1e-14 * max(1.0, abs(float(value.min())))]
    return [float(-np.inf if at[0] == h[0] else at[0]), float(np.inf if at[-1] == h[-1] else at[-1])]


@figure(
    "sun2025-table-2",
    "The objectives of Table 2: six of seven are the methods of their names, and the IPO of the table teaches nothing",
    source="Sun et al. 2025, Table 2",
    caption="Log-probabilities l of the policy and r of the reference, bars are averages per token. Largest "
    "difference between the printed formula and the method over random pairs, and the log-ratio h of the pair (less "
    "that of the reference) at which each is minimal. IPO as printed is minimal at h = 0, where training starts; the "
    "method aims at 1/(2 tau). SPO is minimal at (gamma + 1 + W)/beta = 0.831, not at the 1.31 of Section 4.3, which "
    "needs gamma = 2.",
    differs="The y_t of DPO is read as y_l. The two last columns are added; beta 2.5, gamma 0.8, lambda 0.3, delta 1, "
    "tau 0.1. The bound of SLiC and the target of SPO are at one level of the chosen response.",
    claims=(
        "sun2025.table-2-dpo",
        "sun2025.table-2-simpo",
        "sun2025.table-2-cpo",
        "sun2025.table-2-slic",
        "sun2025.table-2-spo",
        "sun2025.table-2-ipo",
        "sun2025.section-4.3-ratio",
    ),
)
def objectives(pairs: int = 2000, seed: int = 0, far: float = 12.0) -> Arrays:
    """Evaluate printed formulas and methods on random pairs, and search for the minimum of each."""
    source = np.random.default_rng(seed)
    logs = {name: -source.uniform(0, 8, pairs) for name in ("w", "l", "rw", "rl")}
    logs |= {name: source.integers(1, 7, pairs).astype(float) for name in ("nw", "nl")}

    def defined(method: str) -> Callable[[Logs], np.ndarray]:
        return lambda p: DEFINED[method](*(p[name] for name in ("w", "l", "rw", "rl", "nw", "nl"))).numpy()

    return {
        "difference": np.array([np.abs(PRINTED[m](logs) - defined(m)(logs)).max() for m in METHODS]),
        "printed_least": np.array([least_at(PRINTED[m], far) for m in METHODS]),
        "defined_least": np.array([least_at(defined(m), far) for m in METHODS]),
    }


def _row(arrays: Arrays, name: str, method: str) -> np.ndarray:
    return np.asarray(arrays[name][METHODS.index(method)])


@objectives.check
def six_of_seven_are_as_named(arrays: Arrays) -> bool:
    """Every printed objective but IPO's is the method of that name on random pairs, to 1e-10; IPO's is not."""
    same = arrays["difference"] < 1e-10
    return bool((same == (np.array(METHODS) != "IPO")).all() and _row(arrays, "difference", "IPO") > 1)


@objectives.check
def printed_ipo_is_least_at_the_start(arrays: Arrays) -> bool:
    """IPO as printed is minimal at h = 0, the reference; the method at 1/(2 tau) = 5."""
    printed, method = _row(arrays, "printed_least", "IPO"), _row(arrays, "defined_least", "IPO")
    return bool(np.abs(printed).max() < 1e-3 and np.abs(method - 1 / (2 * TAU)).max() < 1e-3)


@objectives.check
def spo_is_least_at_its_target(arrays: Arrays) -> bool:
    """SPO has its only minimum at (gamma + 1 + W)/beta = 0.8314; 1.3114 is the minimum for gamma = 2."""
    seen = _row(arrays, "printed_least", "SPO")
    configured = abs(target_log_ratio(BETA, GAMMA * BETA) - 1.3114) < 1e-4
    return bool(np.abs(seen - target_log_ratio(BETA, GAMMA)).max() < 1e-3 and configured and seen.max() < 1.3)


@objectives.check
def the_logistic_ones_have_no_minimum(arrays: Arrays) -> bool:
    """DPO, CPO and SimPO fall to the end of the axis; SLiC is flat from delta on; SFT does not depend on h."""
    rows = [_row(arrays, "printed_least", method) for method in ("DPO", "CPO", "SimPO")]
    endless = all((row == np.inf).any() and row.max() == np.inf for row in rows)
    slic, sft = _row(arrays, "printed_least", "SLiC"), _row(arrays, "printed_least", "SFT")
    return bool(endless and abs(slic[0] - DELTA) < 1e-3 and slic[1] == np.inf and np.isinf(sft).all())


def _where(ends: np.ndarray, method: str) -> str:
    low, high = ends
    if np.isinf(low) and low < 0:
        return "does not see $h$"
    if np.isinf(high):
        return rf"$h\geq {low:.3g}$" if method == "SLiC" else r"$h\rightarrow\infty$"
    return f"$h={0.0 if abs(low) < 1e-3 else (low + high) / 2:.3g}$"


def write_table(axes: Axes, columns: list[tuple[float, str]], rows: list[list[str]], colors: list[str]) -> None:
    """Write a table with rules above, below the head and below: columns are (place from 0 to 1, head)."""
    axes.set_axis_off()
    height = 1 / (len(rows) + 1)
    for y, width in ((1.0, 1.0), (1 - height, 0.5), (0.0, 1.0)):
        axes.plot([0, 1], [y, y], color="black", linewidth=width, clip_on=False)
    for i, line in enumerate([[head for _, head in columns], *rows]):
        color = "black" if i == 0 else colors[i - 1]
        for (x, _), text in zip(columns, line, strict=True):
            axes.text(x, 1 - (i + 0.5) * height, text, va="center", color=color, fontsize=7)
    axes.set(xlim=(0, 1), ylim=(0, 1))


@objectives.tabulate
def _tabulate_objectives(arrays: Arrays) -> DataFrame:
    """Return a row for each method: what is printed, how far it is off, and where both objectives are least."""
    rows = []
    for method in METHODS:
        printed, defined = (_where(_row(arrays, f"{kind}_least", method), method) for kind in ("printed", "defined"))
        difference = float(_row(arrays, "difference", method))
        off = "none" if difference < 1e-10 else f"{difference:.0f}"
        rows.append([method, FORMULAS[method], off, printed, defined])
    heads = ["method", "objective as printed", "difference", "printed: least at", "method: least at"]
    return DataFrame(rows, columns=heads)


@objectives.draw
def _draw_objectives(arrays: Arrays) -> Drawing:
    drawing, axes = plt.subplots(figsize=(PAGE_WIDTH, 2.3))
    table = _tabulate_objectives(arrays)
    colors = ["black" if off == "none" else PRINTED_COLOR for off in table["difference"]]
    columns = list(zip((0.01, 0.1, 0.48, 0.62, 0.82), table.columns, strict=True))
    write_table(axes, columns, table.to_numpy().tolist(), colors)
    return drawing


LOSSES = {
    "identity": ("Identity", IDENTITY_COLOR),
    "relu": ("ReLU", HINGE_COLOR),
    "square": ("Square", IPO_COLOR),
    "gelu": ("GELU", "#E69F00"),
    "silu": ("SiLU", SELF_PO_COLOR),
    "simpo": ("logistic (SimPO)", DPO_COLOR),
}
"""The losses of Table 5, in its order, and SimPO's: name in print and colour."""


@figure(
    "sun2025-table-5",
    "Table 5 beside a tiny language model: the identity collapses, GELU is SiLU at another beta, the ranking differs",
    source="Sun et al. 2025, Table 5",
    caption="Left, as printed: AlpacaEval 2 (length-controlled and raw win rate) and MT-Bench of Zephyr. Right, the "
    "tiny model at equal settings, mean (standard error of the last digits) over worlds: change of the chosen "
    "log-probability per token, entropy, held-out accuracy, true reward at its peak and at the end. (a, b) True "
    "reward on held-out prompts, by step and by divergence from the reference. Reproduced: the identity lets the "
    "chosen responses fall most and ends with the least entropy; GELU behaves like SiLU at 1.702 times beta and "
    "gamma (dotted). Not reproduced: SiLU and GELU are not the best, ReLU keeps more, and the identity is not the "
    "worst in true reward, the square is.",
    differs="Benchmarks of a 7B model cannot be measured on a toy model; only orderings are compared. The paper "
    "tunes every loss, here all have beta 2.5, gamma 0.8 and one learning rate. SimPO's row has no counterpart in "
    "the table.",
    claims=(
        "sun2025.best-activations",
        "sun2025.table-5-relu",
        "sun2025.table-5-square",
        "sun2025.table-5-identity",
        "sun2025.gelu-approximation",
    ),
    accuracy={
        "*_test_accuracy": ONE_CASE,
        **dict.fromkeys(("square_*", "gelu_*", "scaled_*"), Accuracy("trained with AdamW; 2e-9 was seen", 1e-8, 1e-8)),
        "*": TRAINED,
    },
)
def activations(seeds: int = 24, gamma: float = 0.8) -> Arrays:
    """Train every loss of Table 5 and SimPO's on the worlds; put the printed scores beside them."""
    results = ("chosen", "rejected", "entropy", "divergence", "test_accuracy", "reward")
    arrays = runs_of(tuple(LOSSES), seeds, results, gamma=gamma)
    scaled = runs_of(("silu",), seeds, results, gamma=SCALE * gamma, beta=SCALE * BETA)
    arrays |= {f"scaled_{result}": scaled[f"silu_{result}"] for result in results}
    printed = [[float(ACTIVATIONS[name][metric]) for metric in METRICS] for name, _ in list(LOSSES.values())[:5]]
    return arrays | {"printed": np.array(printed)}


def _ends(arrays: Arrays, result: str) -> dict[str, np.ndarray]:
    return {name: arrays[f"{name}_{result}"][:, -1] for name in LOSSES}


@activations.check
def print_ranks_gelu_and_silu_first(arrays: Arrays) -> bool:
    """In every printed column GELU and SiLU are the two best and the identity is last."""
    scores = dict(zip(LOSSES, arrays["printed"], strict=False))
    rest = np.max([scores[name] for name in ("relu", "square", "identity")], axis=0)
    best = (np.minimum(scores["gelu"], scores["silu"]) > rest).all()
    return bool(best and (scores["identity"] < np.minimum(scores["relu"], scores["square"])).all())


@activations.check
def the_identity_collapses(arrays: Arrays) -> bool:
    """With the identity the chosen responses fall most and the entropy ends lowest (3 standard errors to each)."""
    chosen, entropy = _ends(arrays, "chosen"), _ends(arrays, "entropy")
    others = [name for name in LOSSES if name != "identity"]
    return all(above(kind[name] - kind["identity"]) for kind in (chosen, entropy) for name in others)


@activations.check
def the_square_opens_the_least_gap(arrays: Arrays) -> bool:
    """With the square the gap between chosen and rejected grows least (3 standard errors to each)."""
    gap = {name: arrays[f"{name}_chosen"][:, -1] - arrays[f"{name}_rejected"][:, -1] for name in LOSSES}
    return all(above(gap[name] - gap["square"]) for name in LOSSES if name != "square")


@activations.check
def gelu_is_silu_at_another_beta(arrays: Arrays) -> bool:
    """Of all curves the one nearest to GELU's is SiLU's at 1.702 times beta and gamma, in four respects."""
    nearest = []
    for result in ("chosen", "entropy", "divergence", "reward"):
        gelu = arrays[f"gelu_{result}"].mean(0)
        others = [name for name in (*LOSSES, "scaled") if name != "gelu"]
        away = {name: float(np.abs(arrays[f"{name}_{result}"].mean(0) - gelu).mean()) for name in others}
        nearest.append(min(away, key=lambda name, away=away: away[name]))  # type: ignore[misc]
    return nearest == ["scaled"] * 4


@activations.check
def silu_is_not_best(arrays: Arrays) -> bool:
    """SiLU's true reward ends below ReLU's by 2 standard errors, and above the square's only."""
    ends = _ends(arrays, "reward")
    mean = {name: float(values.mean()) for name, values in ends.items()}
    below = [name for name in LOSSES if mean[name] < mean["silu"]]
    return above(ends["relu"] - ends["silu"], 2) and below == ["square"]


@activations.check
def relu_over_optimizes_least(arrays: Arrays) -> bool:
    """The true reward ends below its peak by 2 standard errors with every loss but ReLU, with which it falls least."""
    falls = {name: fall(arrays[f"{name}_reward"]) for name in LOSSES}
    least = min(falls, key=lambda name: float(falls[name].mean()))
    return least == "relu" and all(above(falls[name], 2) for name in LOSSES if name != "relu")


def _number(values: np.ndarray, digits: int = 2) -> str:
    mean, error = errors(values)
    return f"{mean:.{digits}f} ({round(float(error) * 10**digits)})".replace("-", "\N{MINUS SIGN}")


@activations.draw
def _draw_activations(arrays: Arrays) -> Drawing:
    drawing = plt.figure(figsize=(PAGE_WIDTH, 4.5))
    axes = drawing.subplot_mosaic("tt;ab", height_ratios=(1, 1.35))
    rows = []
    for i, (name, (label, _)) in enumerate(LOSSES.items()):
        printed = [f"{score:.2f}" for score in arrays["printed"][i]] if i < len(arrays["printed"]) else [""] * 3
        of = {result: arrays[f"{name}_{result}"] for result in ("chosen", "entropy", "test_accuracy", "reward")}
        reward = of["reward"]
        ours = [of["chosen"][:, -1] - of["chosen"][:, 0], of["entropy"][:, -1], of["test_accuracy"][:, -1]]
        ours += [reward[:, reward.mean(0).argmax()], reward[:, -1]]
        rows.append([label, *printed, *(_number(values, 3 if k == 2 else 2) for k, values in enumerate(ours))])
    heads = ("loss", "LC", "WR", "MT", "chosen", "entropy", "held out", "peak", "end")
    places = (0.005, 0.16, 0.22, 0.28, 0.37, 0.5, 0.62, 0.76, 0.88)
    write_table(axes["t"], list(zip(places, heads, strict=True)), rows, [color for _, color in LOSSES.values()])
    axes["t"].text(0.16, 1.03, "printed", fontsize=7, style="italic")
    axes["t"].text(0.37, 1.03, "tiny model: change, nats, accuracy, true reward", fontsize=7, style="italic")
    for letter, horizontal in (("a", None), ("b", "divergence")):
        panel = axes[letter]
        panel.axhline(0, color="#AAAAAA", linewidth=0.6)
        for name, (_, color) in LOSSES.items():
            reward = arrays[f"{name}_reward"]
            line = "--" if name == "gelu" else "-"
            if horizontal is None:
                band(panel, arrays["step"], reward, color, linestyle=line)
            else:
                panel.plot(arrays[f"{name}_{horizontal}"].mean(0), reward.mean(0), color=color, linestyle=line)
        panel.set(ylabel="true reward, held out", ylim=(-0.45, 0.7))
        label_panel(panel, letter)
    scaled = [arrays[f"scaled_{result}"].mean(0) for result in ("divergence", "reward")]
    axes["b"].plot(*scaled, color="black", linestyle=":", linewidth=1)
    axes["a"].set(xlabel=STEPS_LABEL, xlim=(0, arrays["step"][-1]))
    axes["b"].set(xlabel="divergence from the reference (nats)", xlim=(0, None))
    for name, (label, color) in LOSSES.items():
        x, y = arrays[f"{name}_divergence"].mean(0)[-1], arrays[f"{name}_reward"].mean(0)[-1]
        label_line(axes["b"], x + 0.06, y, label.split(" (")[-1].strip(")"), color, annotation_clip=False)
    return drawing
