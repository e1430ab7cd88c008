"""The figures on other processors: their checks, and how far their arrays move from one to the other.

    python -m tests.portability [keys or globs of figures] [--tests] [--machines 'AVX2*' ...] [--threads 1 2]

A library picks its code by the processor it finds, so that another processor rounds differently. The environment can
pick for it: torch by ATEN_CPU_CAPABILITY, OpenBLAS (numpy, scipy) by OPENBLAS_CORETYPE, numpy's own loops by
NPY_DISABLE_CPU_FEATURES, MKL and oneDNN by variables of their own. Here every figure is computed as on a processor
without vector instructions to speak of, on one with AVX2 (AMD EPYC, older Intel) and on one with AVX-512, with one
thread and with two. A run fails if a check fails, or if an array moves by more than its figure declares
(figures/accuracy.py). With --tests the tests of recorded pictures and references are run there too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import torch

from figures.accuracy import excess
from figures.catalog import FIGURES
from figures.registry import Arrays, select_figures

ROOT = Path(__file__).parents[1]
TESTS = (
    "tests/figures/test_images.py",
    "tests/references",
)


@dataclass(frozen=True)
class Machine:
    """A kind of processor, as the libraries are told."""

    name: str
    environment: dict[str, str] = field(default_factory=dict)


def numpy_features(*, but: tuple[str, ...] = ()) -> str:
    """Return the names of numpy's optional processor features that are found here, less some."""
    found: list[str] = np.show_config(mode="dicts")["SIMD Extensions"]["found"]  # type: ignore[index, call-overload]
    return " ".join(name for name in found if name not in but)


def machines() -> list[Machine]:
    """Return the kinds of processor that this one can stand in for, itself first."""
    kinds = [
        Machine("this one"),
        Machine(
            "plain x86-64",
            {
                "ATEN_CPU_CAPABILITY": "default",
                "OPENBLAS_CORETYPE": "Prescott",
                "NPY_DISABLE_CPU_FEATURES": numpy_features(),
                "MKL_CBWR": "COMPATIBLE",
                "ONEDNN_MAX_CPU_ISA": "SSE41",
            },
        ),
    ]
    if torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512"):
        avx2 = {
            "ATEN_CPU_CAPABILITY": "avx2",
            "NPY_DISABLE_CPU_FEATURES": numpy_features(but=("X86_V3", "AVX", "F16C", "FMA3", "AVX2")),
            "MKL_CBWR": "AVX2",
            "ONEDNN_MAX_CPU_ISA": "AVX2",
        }
        kinds += [Machine(f"AVX2, {core}", {**avx2, "OPENBLAS_CORETYPE": core}) for core in ("Zen", "Haswell")]
    if torch.backends.cpu.get_cpu_capability() == "AVX512":
        kinds.append(Machine("AVX-512", {"ATEN_CPU_CAPABILITY": "avx512", "OPENBLAS_CORETYPE": "SkylakeX"}))
    return kinds


def child_environment(machine: Machine, threads: int) -> dict[str, str]:
    """Return the environment of a run: that of the machine, and a number of threads for every library."""
    kept = {name: value for name, value in os.environ.items() if value != ""}
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    settings = {name: value for name, value in machine.environment.items() if value}
    # threads that wait must not spin: other processes may want the cores
    return kept | {"OMP_WAIT_POLICY": "PASSIVE"} | settings | dict.fromkeys(names, str(threads))


def compute(keys: list[str], folder: Path) -> None:
    """Compute the figures in this process; keep their arrays and the names of the checks that fail."""
    for spec in select_figures(keys):
        arrays = spec.compute()
        np.savez(folder / f"{spec.key}.npz", **arrays)  # type: ignore[arg-type]
        failed = [check.name for check in spec.failures(arrays)]
        (folder / f"{spec.key}.json").write_text(json.dumps(failed), encoding="utf-8")


def load(key: str, folder: Path) -> Arrays:
    """Return the arrays that a run has kept."""
    with np.load(folder / f"{key}.npz", allow_pickle=False) as stored:
        return {name: stored[name] for name in stored}


def judge(keys: list[str], folder: Path, first: Path) -> list[str]:
    """Return in words what is wrong with a run: failed checks, and arrays that moved by more than is declared."""
    wrong = []
    for key in keys:
        failed = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
        wrong += [f"{key}: {name} fails" for name in failed]
        apart = excess(load(key, first), load(key, folder), FIGURES[key].accuracy)
        wrong += [f"{key}: {name} moves by {by:.2g} times its accuracy" for name, by in apart.items() if by > 1]
    return wrong


def largest(keys: list[str], folder: Path, first: Path) -> str:
    """Return the array that moves most in units of its accuracy, and by how much."""
    seen = [
        (by, f"{key}/{name}")
        for key in keys
        for name, by in excess(load(key, first), load(key, folder), FIGURES[key].accuracy).items()
    ]
    by, name = max(seen)
    return f"{by:.2g} ({name})" if by else "0"


def main() -> int:
    """Run every machine with one thread and two, print a row for each, then what failed; return 1 if anything did."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="*", help="keys or globs of figures; all for none")
    parser.add_argument("--tests", action="store_true", help="run the tests of pictures and references there as well")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads")
    parser.add_argument("--machines", nargs="+", default=["*"], help="names or globs; the first is always computed")
    parser.add_argument("--compute", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.compute:
        compute(arguments.figures, arguments.compute)
        return 0
    keys = [spec.key for spec in select_figures(arguments.figures)]
    checks = sum(len(FIGURES[key].checks) for key in keys)
    print(f"{len(keys)} figures, {checks} checks; the largest movement is in units of the declared accuracy")
    print(f"{'machine':<16}{'threads':>7}{'checks':>10}{'tests':>8}{'seconds':>9}  largest movement")
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        first = Path(scratch) / "0"
        here, *others = machines()
        others = [kind for kind in others if any(fnmatchcase(kind.name, glob) for glob in arguments.machines)]
        runs = [(machine, threads) for machine in (here, *others) for threads in arguments.threads]
        for i, (machine, threads) in enumerate(runs):
            folder = Path(scratch) / str(i)
            folder.mkdir()
            begun = time.perf_counter()
            environment = child_environment(machine, threads)
            run = [sys.executable, "-m", "tests.portability", *keys, "--compute", str(folder)]
            done = subprocess.run(run, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            title = f"{machine.name}, {threads} thread{'s' * (threads > 1)}"
            if done.returncode:
                problems.append(f"{title}: the figures could not be computed\n{done.stderr}")
                print(f"{machine.name:<16}{threads:>7}{'not run':>10}", flush=True)
                continue
            wrong = judge(keys, folder, first)
            failed = sum(text.endswith(" fails") for text in wrong)
            word = "-"
            if arguments.tests:
                suite = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
                given = environment | {"COMPUTED_FIGURES": str(folder)}  # not computed a second time
                tested = subprocess.run(suite, cwd=ROOT, env=given, capture_output=True, text=True, check=False)
                word = "pass" if tested.returncode == 0 else "FAIL"
                wrong += [line for line in tested.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
            problems += [f"{title}: {text}" for text in wrong]
            took = time.perf_counter() - begun
            passed = f"{checks - failed}/{checks}"
            print(
                f"{machine.name:<16}{threads:>7}{passed:>10}{word:>8}{took:>9.0f}  {largest(keys, folder, first)}",
                flush=True,
            )
    print("\n".join(["", *problems]) if problems else "every check holds and every array is as exact as declared")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
