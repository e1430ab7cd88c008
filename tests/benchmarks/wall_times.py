"""Wall times that a user waits for: imports, --help, the ledger, the figures cold and warm, on request the test suite.

    python tests/benchmarks/wall_times.py [--repeats 5] [--tests] [--out out/benchmarks/wall_times.json]

Every time is that of a new process; imports and --help are the least of several, beside an empty Python.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from environment import write_report

ROOT = Path(__file__).parents[2]
PACKAGES = ("dynamics", "theory", "toy_models", "figures")
COMMANDS = ("dynamics", "theory", "figures", "toy_models.multiplication")
LIMITS = {"import theory": 1.0, **{f"python -m {name} --help": 0.5 for name in COMMANDS}, "figures, cold": 240.0}
LIMITS |= {"figures, warm": 10.0, "test suite": 480.0}


def seconds(*words: str) -> float:
    """Return the wall time of a command, which must succeed."""
    begun = time.perf_counter()
    subprocess.run(words, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def main() -> None:
    """Measure, print the table and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="processes for each import and --help")
    parser.add_argument("--tests", action="store_true", help="time the test suite too, which takes minutes")
    parser.add_argument("--out", type=Path, default=Path("out/benchmarks/wall_times.json"))
    arguments = parser.parse_args()
    python = sys.executable
    short = {"python, empty": (python, "-c", "")}
    short |= {f"import {name}": (python, "-c", f"import {name}") for name in PACKAGES}
    short |= {f"python -m {name} --help": (python, "-m", name, "--help") for name in COMMANDS}
    times = {name: min(seconds(*words) for _ in range(arguments.repeats)) for name, words in short.items()}
    times["ledger"] = seconds(python, "-m", "theory")
    with tempfile.TemporaryDirectory() as folder:
        for state in ("cold", "warm"):
            times[f"figures, {state}"] = seconds(python, "-m", "figures", "--jobs", "-1", "--out", folder)
    if arguments.tests:
        times["test suite"] = seconds("env", "OMP_NUM_THREADS=1", python, "-m", "pytest", "-n", "auto", "-q")
    load = os.getloadavg()[0]
    print(f"wall times, {os.cpu_count()} cores, load {load:.1f}")
    for name, took in times.items():
        limit = LIMITS.get(name)
        word = "" if limit is None else f"   limit {limit:g} s: {'pass' if took <= limit else 'MISS'}"
        print(f"{name:<44}{took:8.2f} s{word}")
    write_report(arguments.out, {"seconds": times, "limits": LIMITS, "cores": os.cpu_count(), "load": load})


if __name__ == "__main__":
    main()
