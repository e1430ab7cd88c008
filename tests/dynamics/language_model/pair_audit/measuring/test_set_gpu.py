"""The step of a whole data set, who pushes whom, and a trial run on a GPU are those of the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from dynamics.language_model.pair_audit.measuring.audit import Audit, AuditSettings
from dynamics.language_model.pair_audit.measuring.influences import push_results, run_pushes
from dynamics.language_model.pair_audit.measuring.run import run_audit
from dynamics.language_model.pair_audit.measuring.set_run import run_set
from dynamics.language_model.pair_audit.measuring.trial_run import run_trials
from dynamics.language_model.pair_audit.reading.data import open_pairs
from dynamics.language_model.pair_audit.results.joined import read_joined
from dynamics.language_model.pair_audit.results.store import Results
from dynamics.optimizers import SGD
from tests.dynamics.language_model.saved import products, read_lines, tiny, write_lines
from tests.gpu import device

pytestmark = pytest.mark.gpu
__all__ = ["device"]


def audit(folder: Path, where: str) -> tuple[list[dict[str, Any]], list[Any], Any]:
    folder.mkdir()
    loaded = tiny()
    loaded.model.to(where)
    source = open_pairs(write_lines(folder / "pairs.jsonl", products(9)))
    results, how = Results(folder / "out.jsonl"), AuditSettings(dtype=torch.float64)
    with results.begin({}):
        audit = Audit(loaded, source, results, how)
        run_audit(audit, reference=tiny(seed=1).model.to(where))
        pairs = run_set(audit, SGD())
        run_pushes(audit, pairs)
    (trial,) = run_trials(audit, pairs, SGD(), (1e-4,))
    return list(read_joined(results)), [line["push"] for line in read_lines(push_results(results).path)], trial


def test_a_gpu_finds_the_changes_of_the_cpu(tmp_path: Path, device: str) -> None:
    found, pushes, trial = audit(tmp_path / "device", device)
    wanted, others, other = audit(tmp_path / "cpu", "cpu")
    for one, two in zip(found, wanted, strict=True):
        for name in ("own_chosen_change", "set_chosen_change", "set_rejected_change"):
            assert one[name] == pytest.approx(two[name], rel=1e-7, abs=1e-7), name
        assert one["displaced_by_set"] == two["displaced_by_set"]
    for one_row, other_row in zip(pushes, others, strict=True):
        assert one_row == pytest.approx(other_row, rel=1e-7, abs=1e-7)
    assert trial.size == pytest.approx(other.size, rel=1e-4)
