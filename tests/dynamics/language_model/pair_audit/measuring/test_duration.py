"""How long an audit is said to take: in proportion to the rows that can be used, and to their tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dynamics.language_model.pair_audit.measuring import duration
from dynamics.language_model.pair_audit.measuring.duration import seconds_per_row
from dynamics.language_model.pair_audit.measuring.run import AuditSettings
from dynamics.language_model.pair_audit.reading.data import open_pairs
from tests.dynamics.language_model.saved import products, tiny, write_lines

SETTINGS = AuditSettings(dtype=torch.float32)


def test_the_time_is_measured_after_a_warm_up_and_scaled_by_usable_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is ours: it counts one second for each of the two pairs that are tried."""
    tried: list[int] = []
    monkeypatch.setattr(duration, "_try", lambda loaded, pairs, settings, whole_set: tried.append(len(pairs)))
    monkeypatch.setattr(duration.time, "perf_counter", lambda: 2.0 * len(tried))
    same = {"prompt": "a ", "chosen": "b", "rejected": "c"}
    data = open_pairs(write_lines(tmp_path / "data.jsonl", [same, "{broken", same, same]))
    assert seconds_per_row(tiny(), data, SETTINGS, True) == pytest.approx(3 / 4)
    assert tried == [1, 2]


def test_a_real_time_is_positive_and_no_row_has_none(tmp_path: Path) -> None:
    data = open_pairs(write_lines(tmp_path / "data.jsonl", products(3)))
    loaded = tiny()
    assert (seconds_per_row(loaded, data, SETTINGS, True) or 0) > 0
    assert seconds_per_row(loaded, data, AuditSettings(max_tokens=2), True) is None
