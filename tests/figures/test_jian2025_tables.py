"""Every check of the table of hyper-parameters holds on what is printed, and fails on other numbers."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib as mpl
import numpy as np

from figures.jian2025_tables import NUMBERS, ROWS, hyper_parameters
from figures.registry import Arrays
from figures.style import PAGE_WIDTH, paper_style
from tests.figures.controls import AXES, add_controls, in_place

Change = Callable[[Arrays], None]
GSM8K_SFT, GSM8K_DPO, GSM8K_STABLE, ULTRA_STABLE, THIRD_STABLE = 0, 1, 2, 5, 8


def put(name: str, row: object, value: float) -> Change:
    def change(arrays: Arrays) -> None:
        arrays[name][row] = value

    return change


WRONG: dict[str, tuple[Change, ...]] = {
    "gamma_is_printed_nowhere": (
        put("gamma", ULTRA_STABLE, 0.1),
        put("inner_rate", GSM8K_STABLE, np.nan),
        put("needed", (GSM8K_STABLE, NUMBERS.index("gamma")), False),
    ),
    "dpo_learns_slower_on_gsm8k_only": (put("rate", GSM8K_DPO, 1e-5), put("rate", ULTRA_STABLE, 2e-5)),
    "one_inner_step_of_the_size_of_an_outer_one": (
        put("inner_steps", GSM8K_STABLE, 2),
        put("inner_rate", GSM8K_STABLE, 1e-3),
        put("rate_lower", GSM8K_STABLE, 2e-5),
        put("penalty", THIRD_STABLE, 50),
    ),
    "one_beta_and_two_lambdas": (put("beta", GSM8K_DPO, 0.1), put("penalty", GSM8K_STABLE, 5)),
    "table_3_halves_the_batches": (put("batch", THIRD_STABLE, 4), put("rate", 7, 3e-6), put("steps", 7, 1250)),
    "the_ablation_has_another_batch": (put("ablation_batch", ..., 4), put("ablation_steps", ..., 300)),
}
AXES[hyper_parameters.key] = frozenset({"table"})
for name, changes in WRONG.items():
    add_controls(hyper_parameters.key, name, map(in_place, changes))


def test_rows_have_what_their_method_has_and_nothing_else() -> None:
    """A number that a method has none of is not there; of those it has, gamma and the size of the data may lack."""
    arrays = hyper_parameters.compute()
    printed = np.isfinite(np.stack([arrays[name] for name in NUMBERS], axis=1))
    assert not (printed & ~arrays["needed"]).any()
    lacking = {NUMBERS[j] for i, j in zip(*np.nonzero(arrays["needed"] & ~printed), strict=True)}
    assert lacking == {"gamma", "pairs"}
    assert len(ROWS) == 9
    np.testing.assert_array_equal(arrays["steps"][[4, 5, 7, 8]], [1250, 1250, 2500, 2500])


def test_drawing() -> None:
    with paper_style():
        drawing = hyper_parameters.drawers[0](hyper_parameters.compute())
        assert drawing.get_size_inches()[0] == PAGE_WIDTH
        drawing.canvas.draw()
        texts = [text.get_text() for text in drawing.axes[0].texts]
        assert texts.count("?") == 3 + 2 * 5  # gamma of each Stable PO; size and steps on GSM8K and of both SFT
        assert "3e-6" in texts
        mpl.pyplot.close(drawing)
