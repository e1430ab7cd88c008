"""A run of several processes: its log is that of one process, whatever rows each of them reads."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.dynamics.language_model.watching.runs import PROBES, STREAMED, lines, run, shard, wide
from tests.optional import needs

needs("trl", "accelerate")
pytestmark = pytest.mark.filterwarnings("ignore")  # of TRL, accelerate and transformers


def launch(folder: Path, processes: int, batch: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    launcher = ["torch.distributed.run", f"--nproc-per-node={processes}", f"--master-port={port}"]
    script = Path(__file__).with_name("runs.py")
    path = os.pathsep.join(filter(None, (str(Path(__file__).parents[4]), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONPATH": path, "ACCELERATE_USE_CPU": "true"}
    command = [sys.executable, "-m", *launcher, str(script), str(folder), str(batch)]
    subprocess.run(command, check=True, env=environment, timeout=300, capture_output=True)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of what two processes have written, of the same rows and of a stream that is split."""
    folder = tmp_path_factory.mktemp("two")
    launch(folder, processes=2, batch=2)
    return folder


def differences(one: Any, other: Any, tolerance: float, place: str = "") -> list[str]:
    """Return where two values of a log differ; times are left out."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return [f"{place}: {sorted(one.keys() ^ other.keys())}"]
        kept = [key for key in one if key != "seconds"]
        return [d for key in kept for d in differences(one[key], other[key], tolerance, f"{place}/{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [d for n, (a, b) in pairs for d in differences(a, b, tolerance, f"{place}/{n}")]
    if isinstance(one, float) and isinstance(other, float):
        return [] if math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance) else [f"{place}: {one} {other}"]
    return [] if one == other and type(one) is type(other) else [f"{place}: {one} {other}"]


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_two_processes_write_the_log_of_one(two: Path, tmp_path: Path) -> None:
    """Two processes with half the batch take the same steps, up to TRL's sums of log pi in float32."""
    alone = run(tmp_path, watch={"probes": PROBES, "folder": tmp_path / "log"}, **wide())
    ours, theirs = lines(alone.watch), entries(two / "log" / "watch.jsonl")
    assert [(line["kind"], line.get("step")) for line in ours] == [(line["kind"], line.get("step")) for line in theirs]
    for one, other in zip(ours, theirs, strict=True):
        exact = one.get("step", 0) == 0  # of the same weights: not a digit differs
        assert differences(one, other, 0.0 if exact else 1e-5) == []
    looks = [line for line in ours if line["kind"] == "look"]
    control = [look["log_probs"] for look in looks]
    assert differences(control[-2], control[-1], 1e-3)  # the negative control: one look is not the next
    assert (two / "log" / "watch.html").is_file()


def test_the_probes_are_those_of_the_first_process_also_where_each_reads_other_rows(two: Path, tmp_path: Path) -> None:
    watched = []
    for number, place in enumerate((tmp_path / "first", tmp_path / "second")):
        how = {"watch": {"probes": PROBES, "folder": place / "log"}, "data": shard(number, 2)}
        watched.append(run(place, **how, **STREAMED, **wide()))
    first, second = (lines(one.watch) for one in watched)
    theirs = entries(two / "streamed" / "watch.jsonl")
    before = [line for line in first if line.get("step", 0) == 0]
    assert {"run", "start", "audit", "prediction", "drives"} == {line["kind"] for line in before}
    assert differences(before, [line for line in theirs if line.get("step", 0) == 0], 0.0) == []
    assert first[0]["probes"] != second[0]["probes"]  # the negative control: the other process has other pairs
