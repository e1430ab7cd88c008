"""Goals of benchmarks: a miss is printed as a miss, with its reason, and every report of a folder is read."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "tests" / "benchmarks" / "targets.py"
TARGETS = [
    {"what": "quick enough", "value": 0.5, "wanted": "<= 0.75", "pass": True, "reason": ""},
    {"what": "too slow", "value": 0.9, "wanted": "<= 0.75", "pass": False, "reason": "the passes alone take 0.8"},
    {"what": "many times", "value": 3.9, "wanted": ">= 4", "pass": False, "reason": ""},
    {"what": "no number", "value": math.nan, "wanted": "< 1", "pass": False, "reason": "nothing was measured"},
]


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--folder", str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_one_table_of_all_reports(tmp_path: Path) -> None:
    (tmp_path / "language_model_pairs.json").write_text(json.dumps({"targets": TARGETS}), encoding="utf-8")
    walls = {"seconds": {"import theory": 2.5, "python, empty": 0.1}, "limits": {"import theory": 1.0}}
    (tmp_path / "wall_times.json").write_text(json.dumps(walls), encoding="utf-8")
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("│")]
    words = [[cell.strip() for cell in row.strip("│").split("│")] for row in rows]
    assert words == [
        ["quick enough", "<= 0.75", "0.5", "met"],
        ["too slow", "<= 0.75", "0.9", "MISS"],
        ["many times", ">= 4", "3.9", "MISS"],
        ["no number", "< 1", "nan", "MISS"],
        ["import theory, seconds", "<= 1", "2.5", "MISS"],
    ]
    text = " ".join(done.stdout.split())
    assert "MISS too slow: the passes alone take 0.8" in text
    assert "MISS many times: no reason is known" in text
    assert text.count("MISS") == 8  # four misses, each in the table and with its reason; what is met has none


def test_a_folder_without_reports_is_said(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 1
    assert "holds no reports with goals; make bench writes them" in done.stderr
