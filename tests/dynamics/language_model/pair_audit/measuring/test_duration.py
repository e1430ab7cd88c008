"""How long an audit is said to take: in proportion to the rows that can be used, and to their tokens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dynamics.language_model.pair_audit.measuring import duration
from dynamics.language_model.pair_audit.measuring.audit import Audit, AuditSettings
from dynamics.language_model.pair_audit.measuring.duration import Work, estimate_seconds
from dynamics.language_model.pair_audit.reading.data import open_pairs
from dynamics.language_model.pair_audit.results.store import Results
from tests.dynamics.language_model.saved import products, tiny, write_lines

SETTINGS = AuditSettings(dtype=torch.float32)


def test_the_time_is_measured_after_a_warm_up_and_scaled_by_usable_rows_and_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The times are ours: 1 s for the two pairs alone, 2 s for their gradient, 4 s for a pass in forward mode."""
    tried: list[int] = []

    def trying(_: object, pairs: list[object], *__: object) -> tuple[float, float, float]:
        tried.append(len(pairs))
        return 1.0, 2.0, 4.0

    monkeypatch.setattr(duration, "_try", trying)
    same = {"prompt": "a ", "chosen": "b", "rejected": "c"}
    data = open_pairs(write_lines(tmp_path / "data.jsonl", [same, "{broken", same, same]))

    nowhere = Results(tmp_path / "none")

    def estimate(work: Work, rows: int = 4) -> float:
        return estimate_seconds(Audit(tiny(), data, nowhere, SETTINGS), work, rows) or 0.0

    assert estimate(Work(steps=0)) == pytest.approx(3 / 2)  # three usable rows of half a second
    assert tried == [1, 2]
    assert estimate(Work()) == pytest.approx(3 * 7 / 2)
    assert estimate(Work(steps=2), rows=8) == pytest.approx(6 * 13 / 2)
    assert estimate(Work(influences=5)) == pytest.approx(3 / 2 * (7 + 1 + 20 / 16))
    sketched = 3000 * (7 + 2)  # one more gradient a pair; then that of 200 responses, and of the pairs that are exact:
    exact = 200 * 2 / 2 + 200 * (2 * 4 * 5 + 0.5) + 4 * (50 + 0.5)  # 4 times 5 a side, a target each; a sample of 50
    assert estimate(Work(influences=5), rows=4000) == pytest.approx((sketched + exact) / 2)
    assert estimate(Work(influences=1), rows=4000) < estimate(Work(influences=5), rows=4000)
    assert estimate(Work(verify=True)) == pytest.approx(3 / 2 * (7 + 2 * 1.5 * 2))
    assert estimate(Work(verify=True), rows=4000) == pytest.approx(3000 / 2 * 7 + 256 / 2 * 2 * 1.5 * 2)


def test_a_real_time_is_positive_and_no_row_has_none(tmp_path: Path) -> None:
    data = open_pairs(write_lines(tmp_path / "data.jsonl", products(3)))
    audit = Audit(tiny(), data, Results(tmp_path / "none"), SETTINGS)
    assert (estimate_seconds(audit, Work(reference=tiny(1).model), 3) or 0) > 0
    short = replace(audit, settings=AuditSettings(max_tokens=2))
    assert estimate_seconds(short, Work(), 3) is None
