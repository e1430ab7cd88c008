"""The benchmark of a GPU runs here too, on tiny dimensions: so it is ready when a GPU is at hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.optional import needs, needs_signals

needs("transformers", "peft")
ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "tests" / "benchmarks" / "device.py"


WRONG = """
import sys
from dataclasses import replace

import device
import device_parts

right = device_parts.sequence_kernel


def off(*given, **options):
    found = right(*given, **options)
    return replace(found, kernel=1.0001 * found.kernel)


device_parts.sequence_kernel = off
sys.exit(device.main(sys.argv[1:]))
"""
"""One part in ten thousand is added to every entry of the kernel, ten times what float32 may be off by."""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Run every part, and then the wrong kernel, in forks of one process; return what they said, and the folder."""
    folder = tmp_path_factory.mktemp("device")
    (folder / "wrong_device.py").write_text(WRONG, encoding="utf-8")
    right = f"python -m device --device cpu --out {folder / 'device.json'}"
    wrong = f"python -m wrong_device --device cpu --parts accuracy --out {folder / 'wrong.json'}"
    found = os.pathsep.join([*map(str, (SCRIPT.parent, folder, ROOT)), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "tests.forks", "device", right, wrong]
    environment = {**os.environ, "PYTHONPATH": found}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done, folder


@needs_signals
@pytest.mark.slow
def test_every_part_runs_on_a_cpu_and_hits_its_targets(ran: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    done, folder = ran
    assert "$ python -m wrong_device" in done.stdout, done.stdout + done.stderr  # begun after exit code 0
    report = json.loads((folder / "device.json").read_text(encoding="utf-8"))
    assert all("found" in part for part in report["parts"].values())
    assert list(report["parts"]) == ["accuracy", "audit", "kernel", "shift", "probe", "tests"]
    assert (
        report["parts"]["tests"]["found"]["passed"] >= 20
    )  # the tests that are marked gpu, here with the CPU as device
    assert all(target["pass"] for target in report["targets"])
    assert (folder / "device.png").stat().st_size > 10_000


@needs_signals
@pytest.mark.slow
def test_a_wrong_kernel_misses_its_target(ran: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    done, _ = ran
    assert "wrong.json: exit code 1" in done.stderr
    _, wrong = done.stdout.split("$ python -m wrong_device")
    assert "MISS  error of the kernel, float32, graph: 0.0001" in wrong


def test_without_a_gpu_it_says_how_to_try_it() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    done = subprocess.run([sys.executable, str(SCRIPT)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "torch sees no CUDA device; --device cpu runs the same code on tiny dimensions" in done.stderr
