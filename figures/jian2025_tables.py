"""Tables 2 and 3 of jian2025 as data: what is printed, what is missing, and what is inconsistent."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from pandas import DataFrame

from figures.accuracy import Accuracy
from figures.registry import Arrays, figure
from figures.style import OTHERS, PAGE_WIDTH, PRINTED_COLOR, REFERENCE

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

NAN = float("nan")


class Row(NamedTuple):
    """One row of the tables as printed; NaN for a number that is missing."""

    table: int
    data: str
    method: str
    batch: float
    rate: float
    rate_lower: float
    epochs: float
    beta: float
    penalty: float
    gamma: float
    inner_rate: float
    inner_steps: float
    pairs: float


ROWS = (
    Row(2, "GSM8K", "SFT", 8, 2e-5, NAN, 3, NAN, NAN, NAN, NAN, NAN, NAN),
    Row(2, "GSM8K", "DPO", 4, 3e-6, NAN, 3, 0.5, NAN, NAN, NAN, NAN, NAN),
    Row(2, "GSM8K", "Stable PO", 4, 1e-5, 1e-5, 3, 0.5, 1, NAN, 2e-5, 1, NAN),
    Row(2, "UltraFeedback", "SFT", 8, 2e-5, NAN, 2, NAN, NAN, NAN, NAN, NAN, NAN),
    Row(2, "UltraFeedback", "DPO", 4, 1e-5, NAN, 1, 0.5, NAN, NAN, NAN, NAN, 5000),
    Row(2, "UltraFeedback", "Stable PO", 4, 1e-5, 1e-5, 1, 0.5, 5, NAN, 1e-5, 1, 5000),
    Row(3, "UltraFeedback", "SFT", 4, 2e-5, NAN, 2, NAN, NAN, NAN, NAN, NAN, NAN),
    Row(3, "UltraFeedback", "DPO", 2, 1e-5, NAN, 1, 0.5, NAN, NAN, NAN, NAN, 5000),
    Row(3, "UltraFeedback", "Stable PO", 2, 1e-5, 1e-5, 1, 0.5, 5, NAN, 1e-5, 1, 5000),
)
"""Table 2 is for Qwen2.5-0.5B-Instruct and LLaMA-3.2-1B-Instruct, Table 3 for LLaMA-3.2-3B-Instruct."""

NUMBERS = Row._fields[3:]
NEEDED = {
    "SFT": ("batch", "rate", "epochs", "pairs"),
    "DPO": ("batch", "rate", "epochs", "beta", "pairs"),
    "Stable PO": NUMBERS,
}
"""Which numbers a method has."""

UNSPECIFIED = (
    "gamma, in any table or in the text",
    "what DPO trains: the adapter or all weights (Stable PO trains both)",
    "LoRA rank, alpha and target modules",
    "weight decay, warm-up and schedule of AdamW",
    "the reference policy of Stable PO",
    "the data of the inner step, and of SFT in Stable PO",
    "number of examples of GSM8K; number of seeds",
)
"""What a replication would have to guess."""


@figure(
    "jian2025-tables-2-3",
    "The hyper-parameters as printed: gamma is not among them, and DPO on GSM8K learns at a third of the rate",
    source="Jian et al. 2025, Tables 2 and 3; number of examples from Appendix B, the ablation from Section C.4",
    caption="Printed numbers; a question mark where the method has such a number and the paper does not give it, a dot "
    "where it has none. On GSM8K the learning rate of DPO is 0.3 of that of Stable PO; on UltraFeedback they agree. "
    "Table 3 is said to follow the same protocol, but halves every batch. The column of epochs is headed training "
    "steps in print. Steps are epochs x examples / batch.",
    differs="One table in place of two. The columns eta_phi, gamma, examples and steps are added; in print Stable PO "
    "is called SPO, and beta, lambda, eta_phi' and K are in one column of notes.",
    claims=("jian2025.eq-10-one-step", "jian2025.term-e-stall"),
    accuracy={"*": Accuracy("numbers copied from print, and their products: no machine reads them otherwise")},
)
def hyper_parameters() -> Arrays:
    """Return the rows as columns, and which numbers a method has."""
    columns = {name: np.array([getattr(row, name) for row in ROWS], dtype=float) for name in NUMBERS}
    return {
        "table": np.array([row.table for row in ROWS], dtype=float),
        "data": np.array([row.data for row in ROWS]),
        "method": np.array([row.method for row in ROWS]),
        **columns,
        "steps": columns["epochs"] * columns["pairs"] / columns["batch"],
        "needed": np.array([[name in NEEDED[row.method] for name in NUMBERS] for row in ROWS]),
        "unspecified": np.array(UNSPECIFIED),
        "ablation_batch": np.array(2.0),  # of Figure 6 (Section C.4), on GSM8K
        "ablation_steps": np.array(1000.0),
    }


def _rows(arrays: Arrays, method: str, data: str = "", table: int = 0) -> np.ndarray:
    """Return which rows are of a method (and data set, and table)."""
    found = arrays["method"] == method
    found = found & (arrays["data"] == data) if data else found
    return found & (arrays["table"] == table) if table else found


def _stable(arrays: Arrays, name: str) -> np.ndarray:
    return arrays[name][_rows(arrays, "Stable PO")]


@hyper_parameters.check
def gamma_is_printed_nowhere(arrays: Arrays) -> bool:
    """Every row of Stable PO needs gamma, and none has it; every other number of the method is there."""
    column = NUMBERS.index("gamma")
    needed = arrays["needed"][_rows(arrays, "Stable PO")][:, column]
    others = [name for name in NUMBERS if name not in ("gamma", "pairs")]
    printed = all(np.isfinite(_stable(arrays, name)).all() for name in others)
    return bool(len(needed) == 3 and needed.all() and np.isnan(_stable(arrays, "gamma")).all() and printed)


@hyper_parameters.check
def dpo_learns_slower_on_gsm8k_only(arrays: Arrays) -> bool:
    """The rate of Stable PO is 10 / 3 of DPO's on GSM8K and equal to it in both tables on UltraFeedback."""
    rates = {
        (data, table): _rate(arrays, "Stable PO", data, table) / _rate(arrays, "DPO", data, table)
        for data, table in (("GSM8K", 2), ("UltraFeedback", 2), ("UltraFeedback", 3))
    }
    wanted = {("GSM8K", 2): 10 / 3, ("UltraFeedback", 2): 1.0, ("UltraFeedback", 3): 1.0}
    return all(abs(rates[key] - wanted[key]) < 1e-9 for key in wanted)


def _rate(arrays: Arrays, method: str, data: str, table: int) -> float:
    (rate,) = arrays["rate"][_rows(arrays, method, data, table)]
    return float(rate)


@hyper_parameters.check
def one_inner_step_of_the_size_of_an_outer_one(arrays: Arrays) -> bool:
    """K = 1 and the inner rate is one or two times the outer ones: term (b) has a weight of order 1e-5 to 5e-5."""
    inner, outer = _stable(arrays, "inner_rate"), _stable(arrays, "rate")
    ratio = inner / outer
    weight = _stable(arrays, "penalty") * inner
    same = np.array_equal(outer, _stable(arrays, "rate_lower"))
    whole = np.abs(ratio - np.round(ratio)).max() < 1e-9 and set(np.round(ratio)) == {1.0, 2.0}
    return bool(same and whole and (_stable(arrays, "inner_steps") == 1).all() and (weight <= 5.1e-5).all())


@hyper_parameters.check
def one_beta_and_two_lambdas(arrays: Arrays) -> bool:
    """Beta is 0.5 in every row that has one; lambda is 1 on GSM8K and 5 on UltraFeedback."""
    betas = arrays["beta"][arrays["method"] != "SFT"]
    lambdas = {data: set(arrays["penalty"][_rows(arrays, "Stable PO", data)]) for data in ("GSM8K", "UltraFeedback")}
    return bool((betas == 0.5).all() and lambdas == {"GSM8K": {1.0}, "UltraFeedback": {5.0}})


@hyper_parameters.check
def table_3_halves_the_batches(arrays: Arrays) -> bool:
    """Row by row Table 3 has half the batch of Table 2's UltraFeedback, at the same rates: twice as many updates."""
    rows = [(arrays["data"] == "UltraFeedback") & (arrays["table"] == table) for table in (2, 3)]
    batches, rates, steps = ([arrays[name][row] for row in rows] for name in ("batch", "rate", "steps"))
    twice = np.array_equal(2 * steps[0], steps[1], equal_nan=True) and np.isfinite(steps[0]).any()
    return bool((batches[0] == 2 * batches[1]).all() and (rates[0] == rates[1]).all() and twice)


@hyper_parameters.check
def the_ablation_has_another_batch(arrays: Arrays) -> bool:
    """The ablation of Figure 6 has half the batch that Table 2 has for Stable PO on GSM8K."""
    (batch,) = arrays["batch"][_rows(arrays, "Stable PO", "GSM8K")]
    return bool(batch == 2 * arrays["ablation_batch"] and arrays["ablation_steps"] == 1000)


COLUMNS = (
    ("batch", "batch", 0.30),
    ("rate", r"$\eta$ or $\eta_\theta$", 0.375),
    ("rate_lower", r"$\eta_\phi$", 0.455),
    ("epochs", "epochs", 0.525),
    ("beta", r"$\beta$", 0.585),
    ("penalty", r"$\lambda$", 0.635),
    ("gamma", r"$\gamma$", 0.68),
    ("inner_rate", r"$\eta_{\phi'}$", 0.74),
    ("inner_steps", "$K$", 0.80),
    ("pairs", "examples", 0.86),
    ("steps", "steps", 0.945),
)


@hyper_parameters.tabulate
def _tabulate_hyper_parameters(arrays: Arrays) -> DataFrame:
    """Return the table with NaN where there is no number."""
    words = {"table": arrays["table"].astype(int), "data": arrays["data"], "method": arrays["method"]}
    return DataFrame(words | {title: arrays[name] for name, title, _ in COLUMNS})


@hyper_parameters.draw
def _draw_hyper_parameters(arrays: Arrays) -> Drawing:
    drawing, axes = plt.subplots(figsize=(PAGE_WIDTH, 3.3))
    rows = len(arrays["method"])
    axes.set(xlim=(0, 1), ylim=(-rows - 3.6, 1.2))
    axes.axis("off")
    for _, title, x in COLUMNS:
        axes.text(x, 0.2, title, ha="center", va="center", fontweight="bold")
    for x, title in ((0.0, "table, data"), (0.175, "method")):
        axes.text(x, 0.2, title, va="center", fontweight="bold")
    before = ""
    for i in range(rows):
        y = -1.0 - i
        group = f"{arrays['table'][i]:.0f}   {arrays['data'][i]}"
        if group != before:
            axes.plot([0, 1], [y + 0.5, y + 0.5], color=REFERENCE, linewidth=0.5)
            axes.text(0.0, y, group, va="center")
        before = group
        axes.text(0.175, y, arrays["method"][i], va="center")
        for name, _, x in COLUMNS:
            needed = name == "steps" or arrays["needed"][i][NUMBERS.index(name)]
            value = arrays[name][i]
            slower = name == "rate" and value == 3e-6
            if np.isfinite(value):
                text, color = _number(value), PRINTED_COLOR if slower else REFERENCE
            else:
                text, color = ("?", PRINTED_COLOR) if needed else ("·", OTHERS)
            axes.text(x, y, text, ha="center", va="center", color=color, fontweight="bold" if slower else "normal")
    axes.plot([0, 1], [-rows - 0.5, -rows - 0.5], color=REFERENCE, linewidth=0.5)
    half = (len(arrays["unspecified"]) + 1) // 2
    axes.text(0.0, -rows - 1.05, "Not given:", va="center", fontsize=7, fontweight="bold", color=PRINTED_COLOR)
    for k, text in enumerate(arrays["unspecified"]):
        x, line = (0.105, k) if k < half else (0.615, k - half)
        axes.text(x, -rows - 1.05 - 0.75 * line, text, va="center", fontsize=6.5)
    return drawing


def _number(value: float) -> str:
    """Write 3e-6 and not 3e-06, and 0.5 as it is."""
    if value >= 0.01:
        return f"{value:g}"
    mantissa, exponent = f"{value:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}"
