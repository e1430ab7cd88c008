"""The benchmark of a GPU runs here too, on tiny dimensions: so it is ready when a GPU is at hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.optional import needs

needs("transformers", "peft")
ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "tests" / "benchmarks" / "device.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_every_part_runs_on_a_cpu_and_hits_its_targets(tmp_path: Path) -> None:
    done = run("--device", "cpu", "--out", str(tmp_path / "device.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "device.json").read_text(encoding="utf-8"))
    assert all("found" in part for part in report["parts"].values())
    assert list(report["parts"]) == ["accuracy", "audit", "kernel", "shift", "probe", "tests"]
    assert (
        report["parts"]["tests"]["found"]["passed"] >= 20
    )  # the tests that are marked gpu, here with the CPU as device
    assert all(target["pass"] for target in report["targets"])
    assert (tmp_path / "device.png").stat().st_size > 10_000


def test_a_wrong_kernel_misses_its_target(tmp_path: Path) -> None:
    """One part in ten thousand is added to every entry, ten times what float32 may be off by."""
    wrong = (
        "import sys; sys.argv = sys.argv[1:]; sys.path.insert(0, 'tests/benchmarks')\n"
        "import device, device_parts\n"
        "from dataclasses import replace\n"
        "right = device_parts.sequence_kernel\n"
        "def off(*given, **options):\n"
        "    found = right(*given, **options)\n"
        "    return replace(found, kernel=1.0001 * found.kernel)\n"
        "device_parts.sequence_kernel = off\n"
        "sys.exit(device.main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", wrong, "device.py", "--device", "cpu", "--parts", "accuracy"]
    command += ["--out", str(tmp_path / "device.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "MISS  error of the kernel, float32, graph: 0.0001" in done.stdout


def test_without_a_gpu_it_says_how_to_try_it() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    done = run()
    assert done.returncode == 2
    assert "torch sees no CUDA device; --device cpu runs the same code on tiny dimensions" in done.stderr
