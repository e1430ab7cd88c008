"""jian2025 Figure 2b on a language model: checks hold, and fail on arrays that are wrong in their own respect."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dynamics.errors import InvalidArgument
from figures.language_model_probe import Y_STAR, L, W
from figures.language_model_stable_po import stable_po_probe
from figures.registry import Arrays
from tests.figures.computed import computed
from tests.figures.controls import add_controls, in_place
from tests.figures.test_language_model_pair import drawing_of
from tests.figures.test_language_model_probe import bump, forget_unsampled, misplace, negate, void
from tests.optional import needs

needs("transformers")
Change = Callable[[Arrays], None]
DPO, NLL, STABLE = range(3)


def arrays() -> Arrays:
    return computed(stable_po_probe.key)


def as_dpo(name: str, axis: int) -> Change:
    """Put DPO in the place of Stable PO."""

    def change(arrays: Arrays) -> None:
        values = np.moveaxis(arrays[name], axis, 0)
        values[-1] = values[DPO]

    return change


def another(name: str, axis: int) -> Change:
    """Put another method than DPO + NLL in its place."""

    def change(arrays: Arrays) -> None:
        values = np.moveaxis(arrays[name], axis, 0)
        values[NLL] = (values[DPO] + values[STABLE]) / 2

    return change


def one_draw(arrays: Arrays) -> None:
    """Look at the pairs that were looked for alone."""
    arrays["at_margin"], arrays["margin"] = arrays["at_margin"][:1], arrays["margin"][:1]


WRONG: dict[str, tuple[Change, ...]] = {
    "chosen_up_rejected_and_y_star_down": (void, *(negate("change", (-1, c)) for c in (W, L, Y_STAR))),
    "six_masses_still_sum_to_one": (forget_unsampled, misplace, bump("mass", (3, 5), 0.01)),
    "better_than_dpo_at_equal_step": (as_dpo("method_change", 0), bump("method_change", (STABLE, 3, Y_STAR), 5.0)),
    "better_than_dpo_at_equal_margin": (as_dpo("at_margin", 1), bump("at_margin", (1, STABLE, W), -5.0), one_draw),
    "nearly_dpo_with_nll": (as_dpo("at_margin", 1), another("at_margin", 1)),
    "term_b_is_negligible": (bump("term_b_share", 2, 0.02), negate("term_b_share", slice(None))),
    "y_star_down_at_first_in_every_draw": (negate("forecast", (1, 0, 3, Y_STAR)), as_dpo("forecast", 0)),
}
for name, changes in WRONG.items():
    add_controls(stable_po_probe.key, name, map(in_place, changes))


def test_equal_margin_is_where_the_methods_have_it() -> None:
    found = arrays()
    reached = found["at_margin"][..., W] - found["at_margin"][..., L]
    np.testing.assert_allclose(reached, np.broadcast_to(found["margin"][:, None], reached.shape), rtol=1e-6)
    ends = found["method_change"][:, -1, W] - found["method_change"][:, -1, L]
    assert found["margin"][0] == pytest.approx(ends.min())
    np.testing.assert_array_equal(found["method_change"][STABLE], found["change"])


def test_drawing_names_the_draws() -> None:
    words = "\n".join(drawing_of(stable_po_probe, arrays()))
    assert "of (a)" in words
    assert "weighted 0" in words


def test_settings_reach_the_loading_code() -> None:
    with pytest.raises(InvalidArgument, match="there is no such folder"):
        stable_po_probe.with_settings(model="./no-such-folder").compute()
