from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from dynamics.language_model.pair_audit.report.summary import AuditSummary, summarise
from dynamics.language_model.pair_audit.results.joined import set_results
from dynamics.language_model.pair_audit.results.store import Results
from dynamics.language_model.pair_audit.statistics import correlations


def write(out: Path, records: list[dict[str, Any]]) -> AuditSummary:
    results = Results(out)
    with results.writer() as append:
        append({"row": row, "digest": "", **record} for row, record in enumerate(records))
    return summarise(results)


def pair(drive: float, ches: float, cosine: float | None = 0.5, log_prob: float = -1.0) -> dict[str, Any]:
    own = {"log_prob_chosen": log_prob, "log_prob_rejected": -2.0, "displaced": drive < 0}
    own |= {"own_chosen_change": drive / 20, "tokens_chosen": 4, "sft_weight": max(0.0, -drive / 10)}
    return {"drive_chosen": drive, "ches": ches, "cosine": cosine, "cut": False, **own}


def test_a_summary_counts_what_is_there(tmp_path: Path) -> None:
    records = [pair(3.0, -9.0, 0.1), {"skipped": "line 2: no"}, pair(-1.0, -2.0, None), pair(1.0, -4.0, 0.3, -3.0)]
    found = write(tmp_path / "out", records)
    assert (found.rows, found.audited, found.displaced, found.chosen_more_probable) == (4, 3, 1, 2)
    assert found.cosine["0"] == pytest.approx(0.1)
    assert found.cosine["0.5"] == pytest.approx(0.2)  # the pair without an angle is left out
    assert found.drive_chosen["1"] == 3
    assert found.ches_spearman == pytest.approx(-1)
    assert found.lowest == [2, 3, 0]
    assert (found.skipped, found.skipped_rows) == (1, [(1, "line 2: no")])


def test_a_summary_of_nothing(tmp_path: Path) -> None:
    found = write(tmp_path / "out", [{"skipped": "line 1: no"}])
    assert (found.audited, found.cosine, found.ches_pearson, found.lowest) == (0, {}, None, [])


def test_not_every_skipped_row_is_kept(tmp_path: Path) -> None:
    found = write(tmp_path / "out", [{"skipped": "no"}] * 1200)
    assert (found.skipped, len(found.skipped_rows)) == (1200, 1000)


@given(st.lists(st.tuples(st.integers(-99, 99), st.integers(-99, 99)), min_size=3, max_size=20))
def test_correlations_are_those_of_the_definition(points: list[tuple[int, int]]) -> None:
    x, y = np.array(points, dtype=float).T
    found = correlations(x, y)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert found == (None, None)
        return

    def ranks(v: np.ndarray) -> np.ndarray:
        return np.array([(v < value).sum() + ((v == value).sum() + 1) / 2 for value in v])

    wanted = [float(np.corrcoef(a, b)[0, 1]) for a, b in ((x, y), (ranks(x), ranks(y)))]
    assert found == pytest.approx(wanted, abs=1e-9)


def test_cut_prompts_and_remarks_are_counted(tmp_path: Path) -> None:
    cut = [
        {"cut": True, "left_out": end, "cut_by": by}
        for end, by in ((" ", "merge"), ("<think>", "template"), (" ", "merge"))
    ]
    records = [
        {**pair(1.0, 1.0), **fields}
        for fields in (*cut, {"remarks": ["two-bos"]}, {"remarks": ["two-bos", "two-ends"]})
    ]
    found = write(tmp_path / "out", records)
    assert (found.audited, found.cut, found.left_out, found.cut_by) == (5, 3, " ", "merge")
    assert found.remarks == {"two-bos": 2, "two-ends": 1}
    none = write(tmp_path / "none", [pair(1.0, 1.0)])
    assert (none.cut, none.left_out, none.cut_by, none.remarks) == (0, "", "", {})


def test_the_weights_that_rescue_are_reached_by_their_share_of_the_displaced_pairs(tmp_path: Path) -> None:
    found = write(tmp_path / "out", [pair(float(drive), 1.0) for drive in range(-10, 10)])
    assert found.sft_weight == pytest.approx({"0.5": 0.5, "0.9": 0.9, "1": 1.0})
    assert found.mean_tokens_chosen == 4
    weights = [n / 10 for n in range(1, 11)]
    for share, weight in found.sft_weight.items():
        assert sum(w <= weight for w in weights) / 10 >= float(share)
        assert sum(w < weight for w in weights) / 10 < float(share)
    assert write(tmp_path / "none", [pair(1.0, 1.0)]).sft_weight == {}


def test_the_changes_by_the_set_count_only_when_all_of_them_are_there(tmp_path: Path) -> None:
    records = [pair(1.0, 1.0), {"skipped": "no"}, pair(-1.0, 2.0), pair(2.0, 1.0)]
    assert write(tmp_path / "out", records).displaced_by_set is None
    others = {"set_rejected_change": None, "set_margin_change": None}
    changes = [
        {"set_chosen_change": c, "displaced_by_set": f, "own_share": s, **others}
        for c, f, s in ((-2.0, True, 0.25), (1, False, 0.75), (None, False, None))
    ]
    lines = [changes[0], {}, *changes[1:]]
    beside = set_results(Results(tmp_path / "out"))
    with beside.writer() as append:
        append({"row": row, "digest": "", **record} for row, record in enumerate(lines[:3]))
    assert summarise(Results(tmp_path / "out")).displaced_by_set is None
    with beside.writer() as append:
        append([{"row": 3, "digest": "", **lines[3]}])
    found = summarise(Results(tmp_path / "out"))
    assert (found.displaced_by_set, found.lowest_by_set) == (1, [0, 2])
    assert found.own_share["0.5"] == 0.5
