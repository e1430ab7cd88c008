"""Run a piece of work again and again, kill it at random moments, and print the results as JSON.

``python -m tests.interrupt WORK SEED KILLS FOLDER``, in a process of its own: it forks, and so wants no threads.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import torch

Work = Callable[[Path], int | None]
SIGNALS = (signal.SIGINT, signal.SIGKILL)


def figures_work() -> Work:
    import figures.catalog  # noqa: F401
    from figures.__main__ import app

    return lambda folder: app(["sun2025-4", "--out", str(folder)], standalone_mode=False)


def sweep_work() -> Work:
    from dynamics import sweep
    from tests.dynamics.sweep_functions import train

    def work(folder: Path) -> None:
        grid = {"learning_rate": [0.1, 1.0, 2.0, 3.0]}
        path = folder / "sweep.jsonl"
        table = sweep(train, grid, range(30), static=["learning_rate"], batch_size=3, jobs=1, path=path)
        (folder / "table.bin").write_bytes(b"".join(table[name].tobytes() for name in table.columns))

    return work


def ledger_work() -> Work:
    import theory.catalog  # noqa: F401
    from theory.__main__ import app

    words = ["jian2025.tabular-drives", "jian2025.tabular-unimodal", "--worlds", "50", "--jobs", "1"]
    return lambda folder: app([*words, "--markdown", str(folder / "ledger.md")], standalone_mode=False)


def audit_work() -> Work:
    from dynamics.__main__ import app
    from tests.dynamics.language_model.saved import products, save_tiny, write_lines

    place = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, place)
    words = ["pairs", "--model", str(save_tiny(place / "model")), "--batch-pairs", "2"]
    words += ["--data", str(write_lines(place / "pairs.jsonl", products(12)))]
    return lambda folder: app([*words, "--out", str(folder / "audit.jsonl")], standalone_mode=False)


WORKS = {"figures": figures_work, "sweep": sweep_work, "ledger": ledger_work, "audit": audit_work}


def attempt(work: Work, folder: Path, delay: float | None, number: int) -> tuple[bool, float]:
    """Fork, work, and send a signal after some seconds; return whether it came to its end, and the time it took."""
    begun = time.perf_counter()
    child = os.fork()
    if not child:
        code = 1
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            code = work(folder) or 0  # a command hands back its exit code
        finally:
            os._exit(code)
    if delay is not None:
        time.sleep(delay)
        os.kill(child, number)
    _, status = os.waitpid(child, 0)
    return os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0, time.perf_counter() - begun


def digests(folder: Path) -> dict[str, str]:
    """Return a digest of every file; manifests without the commit, which changes while one works on the project."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if not (path.suffix == ".json" and path.with_suffix(".npz").exists())
    }


def main(name: str, seed: int, kills: int, folder: Path) -> dict[str, object]:
    """Kill the work so often, let it come to its end after each, and compare with what nobody disturbed."""
    torch.set_num_threads(1)
    work = WORKS[name]()
    (folder / "first").mkdir()
    with redirect_stdout(StringIO()):
        work(folder / "first")  # here, so that whatever it imports late is not imported again in every fork
    source = random.Random(seed)
    (folder / "whole").mkdir()
    ended, seconds = attempt(work, folder / "whole", None, 0)
    assert ended, "undisturbed, the work did not come to its end"
    expected = digests(folder / "whole")
    told: dict[str, int] = {"kills": 0, "same": 0, "cut short": 0, "unfinished": 0}
    for turn in range(kills):
        place = folder / str(turn)
        place.mkdir()
        finished, _ = attempt(work, place, source.uniform(0, seconds), SIGNALS[turn % 2])
        told["kills"] += 1
        told["cut short"] += not finished
        told["unfinished"] += not attempt(work, place, None, 0)[0]
        told["same"] += digests(place) == expected
    return told | {"files": sorted(expected)}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))))
