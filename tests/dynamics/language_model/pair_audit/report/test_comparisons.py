"""Groups of pairs beside each other: medians and selections counted by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynamics.language_model.pair_audit.report.comparisons import compare_groups
from dynamics.language_model.pair_audit.results.store import Results


def record(row: int, margin: float, change: float, shared: float | None, reference: float = 0.0) -> dict[str, Any]:
    return {
        "row": row,
        "digest": "",
        "log_prob_chosen": margin,
        "log_prob_rejected": 0.0,
        "reference_chosen": reference,
        "reference_rejected": 0.0,
        "own_chosen_change": change,
        "displaced": change < 0,
        "tokens_chosen": 3,
        "tokens_rejected": 4,
        "first_difference": row,
        "shared_after_difference": shared,
        "cosine": None,
    }


def compared(folder: Path, records: list[dict[str, Any]]) -> Any:
    results = Results(folder / "out.jsonl")
    with results.begin({}), results.writer() as append:
        append(records)
    return compare_groups(results)


def test_schools_keep_half_and_are_counted_by_hand(tmp_path: Path) -> None:
    """The large margins are those of the displaced pairs here, and the small gaps the others."""
    rows = [record(0, 9.0, -1.0, 0.5), record(1, -5.0, 3.0, None), record(2, 0.5, 4.0, 0.1), record(3, 8.0, -2.0, 0.7)]
    found = compared(tmp_path, rows)
    everything, margin, gap, drive = found.schools
    assert (everything.kept, everything.displaced, everything.own_chosen_change) == (4, 2, 1.0)
    assert (margin.kept, margin.displaced, margin.own_chosen_change) == (2, 2, -1.5)
    assert (gap.kept, gap.displaced, gap.own_chosen_change) == (2, 0, 3.5)
    assert (drive.kept, drive.displaced) == (2, 0)
    assert {school.displaced_by_set for school in found.schools} == {None}
    assert found.contrasts["shared_after_difference"] == pytest.approx((0.6, 0.1))
    assert found.contrasts["first_difference"] == (1.5, 1.5)
    assert found.contrasts["cosine"] == (None, None)


def test_with_a_reference_the_margin_is_that_of_the_implicit_rewards(tmp_path: Path) -> None:
    rows = [record(0, 9.0, -1.0, 0.5, reference=8.5), record(1, 1.0, 3.0, 0.5, reference=0.5 - 2.0)]
    _, margin, gap, _ = compared(tmp_path, rows).schools
    assert (margin.displaced, gap.displaced) == (0, 1)


def test_truncation_is_counted(tmp_path: Path) -> None:
    cut = {**record(0, 1.0, 1.0, 0.5), "truncated_chosen": 2, "truncated_rejected": 5}
    skips = [
        "row 1: prompt: ...; a trainer drops this pair",
        "row 2: the same tokens as the chosen one after truncation",
    ]
    skipped = [{"row": n + 1, "digest": "", "skipped": reason} for n, reason in enumerate([*skips, "row 3: broken"])]
    found = compared(tmp_path, [cut, *skipped])
    assert (found.truncated, found.tokens_lost, found.dropped, found.equal) == (1, (2, 5), 1, 1)


def test_nothing_is_compared_with_nothing(tmp_path: Path) -> None:
    found = compared(tmp_path, [{"row": 0, "digest": "", "skipped": "broken"}])
    assert (found.schools, found.truncated) == ([], 0)
    assert set(found.contrasts.values()) == {(None, None)}
