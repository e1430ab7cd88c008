"""Work that is killed at a random moment, 52 times in all: the next run completes and equals an undisturbed one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.optional import needs_signals

ROOT = Path(__file__).parents[1]
WORKS = ("figures", "sweep", "ledger", "audit")
KILLS = 13  # of each kind of work
FILES = {"audit": {f"audit.jsonl{end}" for end in ("", ".set", ".batch", ".pushes", ".sketch", ".summary.json")}}


@needs_signals
@pytest.mark.slow
def test_the_next_run_completes_and_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tests.interrupt", "0", str(KILLS), str(tmp_path), *WORKS]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    found = json.loads(result.stdout)
    assert tuple(found) == WORKS
    for work, told in found.items():
        assert set(told["files"]) >= FILES.get(work, set()), work
        assert told["files"], work
        assert told["kills"] == told["same"] == KILLS, work
        assert told["unfinished"] == 0, work
        assert told["cut short"] > KILLS // 4, f"{work}: many signals must arrive before the work is done"
