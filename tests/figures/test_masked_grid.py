"""Every check of ma2025's toy figures holds on the true arrays, and fails on arrays that are wrong in its respect."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from figures import masked_grid
from figures.masked_grid import COMPARISON, CONCENTRATED, REFERENCE, ROW, SCRATCH, STANDARD, UNIFORM
from figures.registry import Arrays
from tests.figures.computed import computed
from tests.figures.controls import add_controls, in_place

TABLE, HEAT = masked_grid.table_1, masked_grid.heat_map
Change = Callable[[Arrays], None]


FIGURES = {TABLE.key: TABLE, HEAT.key: HEAT}


def turn(reading: int, above: str, below: str, mask: int) -> Change:
    """Change the sign of one paired difference."""

    def change(arrays: Arrays) -> None:
        arrays["difference"][reading, COMPARISON[above, below], mask] *= -1

    return change


def unsure(reading: int, above: str, below: str, mask: int) -> Change:
    """Let the error of one paired difference be as large as it."""

    def change(arrays: Arrays) -> None:
        cell = (reading, COMPARISON[above, below], mask)
        arrays["difference_error"][cell] = np.abs(arrays["difference"][cell])

    return change


def helpful_mask(arrays: Arrays) -> None:
    arrays["difference"][UNIFORM, COMPARISON["baseline", "baseline"], 2] = 0.43
    arrays["difference_error"][UNIFORM, COMPARISON["baseline", "baseline"], 2] = 0.1


def other_print(arrays: Arrays) -> None:
    arrays["printed_reward"][0, 2] = 4.0


def swap_tau(arrays: Arrays) -> None:
    arrays["tau"][[UNIFORM, REFERENCE]] = arrays["tau"][[REFERENCE, UNIFORM]]


def low_tau(arrays: Arrays) -> None:
    arrays["tau"] = arrays["tau"] - 0.2


def last_becomes_first(arrays: Arrays) -> None:
    arrays["mean"][STANDARD, ROW["nbdpo-v2-asymmetric"], 2] += 0.5


def printed_gap(arrays: Arrays) -> None:
    """As if one reading had the gap of symmetric and asymmetric that is printed."""
    row = COMPARISON[S, A]
    arrays["difference"][STANDARD, row, 0] = arrays["printed"][row, 0]


def quiet_runs(arrays: Arrays) -> None:
    arrays["spread"] = arrays["spread"] / 3


def all_as_printed(arrays: Arrays) -> None:
    arrays["difference"][REFERENCE] = arrays["printed"]


def shift_responses(arrays: Arrays) -> None:
    arrays["probability"] = np.roll(arrays["probability"], 2, axis=-1)


def scale(arrays: Arrays) -> None:
    arrays["probability"][0, 3] *= 1 + 1e-9


def wrong_reward(arrays: Arrays) -> None:
    arrays["reward"][1] += 1e-6


def flatten_policy(arrays: Arrays) -> None:
    arrays["probability"][:] = 1 / 20


def sharpen(arrays: Arrays) -> None:
    """All on the diagonal, masked or not."""
    arrays["probability"][:] = np.eye(20)


def other_mask(arrays: Arrays) -> None:
    arrays["mask"] = ~arrays["mask"]


def no_mask(arrays: Arrays) -> None:
    arrays["mask"][:] = False


def avoid_mask(arrays: Arrays) -> None:
    """As if masked responses were impossible."""
    allowed = np.where(arrays["mask"], 0.0, arrays["probability"])
    arrays["probability"] = allowed / allowed.sum(-1, keepdims=True)
    arrays["masked_mass"][:] = 0.0


def miscount(arrays: Arrays) -> None:
    arrays["masked_mass"] = arrays["masked_mass"] + 1e-6


S, A, V2 = "nbdpo-symmetric", "nbdpo-asymmetric", "nbdpo-v2-asymmetric"
WRONG: dict[str, dict[str, tuple[Change, ...]]] = {
    TABLE.key: {
        "uniform_pairs_bring_no_gain": (
            turn(UNIFORM, S, "baseline", 0),
            unsure(UNIFORM, "bdpo", "baseline", 2),
            turn(SCRATCH, S, "baseline", 1),
        ),
        "against_the_reference_they_win": (turn(REFERENCE, V2, "baseline", 2), unsure(REFERENCE, A, "baseline", 0)),
        "pairs_from_the_reference_rank_as_printed_at_both_ends": (
            turn(STANDARD, S, "baseline", 2),
            unsure(STANDARD, S, "baseline", 0),
            last_becomes_first,
        ),
        "symmetric_beats_asymmetric": (turn(UNIFORM, S, A, 0), unsure(CONCENTRATED, S, A, 1)),
        "symmetric_beats_asymmetric_by_less_than_printed": (printed_gap,),
        "one_run_is_noisy": (quiet_runs,),
        "version_1_beats_version_2": (turn(CONCENTRATED, A, V2, 2), unsure(REFERENCE, A, V2, 1)),
        "concentrated_pairs_bring_the_gain": (
            turn(CONCENTRATED, "bdpo", "baseline", 1),
            unsure(CONCENTRATED, S, "baseline", 2),
        ),
        "masking_never_helps": (helpful_mask, other_print),
        "half_the_beta_against_bdpo": (
            turn(UNIFORM, "bdpo", "dpo-half-beta", 0),
            turn(CONCENTRATED, "bdpo", "dpo-half-beta", 0),
        ),
        "the_reference_as_baseline_fits_best": (swap_tau, low_tau, all_as_printed),
    },
    HEAT.key: {
        "rows_are_distributions": (scale, wrong_reward, avoid_mask),
        "mass_lies_in_a_band": (shift_responses, flatten_policy, sharpen),
        "the_mode_is_on_the_diagonal_or_beside_it": (shift_responses, sharpen, no_mask),
        "masked_mass_falls_but_stays": (flatten_policy, avoid_mask, other_mask, no_mask, miscount),
    },
}
for key, checks in WRONG.items():
    for name, changes in checks.items():
        add_controls(key, name, map(in_place, changes))


def test_caption_quotes_the_masked_mass() -> None:
    low, high = computed(HEAT.key)["masked_mass"].min(), computed(HEAT.key)["masked_mass"].max()
    assert f"{100 * low:.0f}% to {100 * high:.0f}%" in HEAT.caption


def test_caption_quotes_the_noise_and_the_printed_gap() -> None:
    arrays = computed(TABLE.key)
    noise, gap = arrays["spread"][:, :, -1].max(), arrays["printed"][COMPARISON[S, A], 0]
    assert f"a standard deviation of up to {noise:.1f}, as large as most printed differences" in TABLE.caption
    assert np.nanmedian(np.abs(arrays["printed"])) < noise
    assert f"less than half of the printed {gap:.2f}" in TABLE.caption
