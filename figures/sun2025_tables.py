"""sun2025 Table 2: the objectives as printed beside the methods of their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from pandas import DataFrame

from dynamics import CPO, DPO, IPO, SFT, PreferenceLoss, SelfPO, SimPO, SLiC
from figures.registry import Arrays, figure
from figures.style import PAGE_WIDTH, PRINTED_COLOR
from theory.sun2025.floor import target_log_ratio

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
