"""Run pieces of work again and again, kill them at random moments, and print the results as JSON.

``python -m tests.interrupt SEED KILLS FOLDER WORK...``, in a process of its own: it forks, and so wants no threads. The
works are small, so that the moments at which files are written are a large part of them, and one process runs all of
them, so that what they import is imported once.
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
    import matplotlib.pyplot as plt
    import numpy as np

    import figures.catalog  # noqa: F401
    from figures.__main__ import app
    from figures.registry import Arrays, figure

    @figure("zz-line", "a line", source="nowhere", caption="It rises.")
    def line(points: int = 20_000) -> Arrays:
        return {"y": np.random.default_rng(0).random(points).cumsum()}

    @line.check
    def rises(arrays: Arrays) -> bool:
        """It rises."""
        return bool((np.diff(arrays["y"]) > 0).all())

    @line.draw
    def _draw(arrays: Arrays) -> plt.Figure:
        drawing, axes = plt.subplots(figsize=(1, 1))  # without text: embedding fonts is slow and tests nothing
        axes.set_axis_off()
        axes.plot(arrays["y"])
        return drawing

    return lambda folder: app(["zz-line", "--out", str(folder)], standalone_mode=False)


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

    words = ["jian2025.tabular-drives", "jian2025.remark-3-both-fall", "--worlds", "50", "--jobs", "1"]
    return lambda folder: app([*words, "--markdown", str(folder / "ledger.md")], standalone_mode=False)


def audit_work() -> Work:
    """Audit with everything that is written line by line; the second run sketches, the first computes all pushes."""
    from dynamics.__main__ import app
    from dynamics.language_model.pair_audit.measuring import influences
    from tests.dynamics.language_model.saved import products, save_tiny, write_lines

    place = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, place)
    words = ["pairs", "--model", str(save_tiny(place / "model")), "--batch-pairs", "2"]
    words += ["--data", str(write_lines(place / "pairs.jsonl", products(6))), "--batch", "4", "--influences", "1"]
    words += ["--optimizer", "adamw", "--optimizer-state", str(save_adamw(place / "model"))]

    def work(folder: Path) -> int | None:
        for influences.EXACT_PAIRS in (2000, 4):
            code = app([*words, "--out", str(folder / "audit.jsonl")], standalone_mode=False)
            if code:
                break
        return code

    return work


def save_adamw(folder: Path) -> Path:
    """Save AdamW after one update of the model in a folder there, as a trainer does."""
    from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

    model = AutoModelForCausalLM.from_pretrained(folder)
    optimizer = Trainer(model, TrainingArguments(str(folder), use_cpu=True, report_to=[])).create_optimizer()
    source = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=source, dtype=parameter.dtype)
    optimizer.step()
    torch.save(optimizer.state_dict(), folder / "optimizer.pt")
    return folder


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
        while time.perf_counter() < begun + delay and not _ended(child):
            time.sleep(0.002)
        os.kill(child, number)  # one that has ended waits to be asked, and takes no harm
    _, status = os.waitpid(child, 0)
    return os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0, time.perf_counter() - begun


def _ended(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def contents(path: Path) -> bytes:
    """Return what stands in a file; of the summary of an audit all but how long it took."""
    read = path.read_bytes()
    if not path.name.endswith(".summary.json"):
        return read
    return json.dumps({name: value for name, value in json.loads(read).items() if name != "seconds"}).encode()


def digests(folder: Path) -> dict[str, str]:
    """Return a digest of every file; manifests without the commit, which changes while one works on the project."""
    return {
        path.name: hashlib.sha256(contents(path)).hexdigest()
        for path in sorted(folder.iterdir())
        if not (path.suffix == ".json" and path.with_suffix(".npz").exists())
    }


def interrupt(name: str, seed: int, kills: int, folder: Path) -> dict[str, object]:
    """Kill the work so often, let it come to its end after each, and compare with what nobody disturbed."""
    work = WORKS[name]()
    (folder / "first").mkdir(parents=True)
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
        finished, taken = attempt(work, place, source.uniform(0, seconds), SIGNALS[turn % 2])
        if finished:  # the machine is less busy than it was; a signal must come before the work is done
            seconds = min(seconds, taken)
        told["kills"] += 1
        told["cut short"] += not finished
        told["unfinished"] += not attempt(work, place, None, 0)[0]
        told["same"] += digests(place) == expected
    return told | {"files": sorted(expected)}


def main(seed: int, kills: int, folder: Path, names: list[str]) -> dict[str, dict[str, object]]:
    """Interrupt each of the works, in a folder of its own."""
    torch.set_num_threads(1)
    return {name: interrupt(name, seed, kills, folder / name) for name in names}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])))
