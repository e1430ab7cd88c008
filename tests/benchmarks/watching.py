"""What watching a training run costs: TRL's DPOTrainer on the shipped model, alone and with the callback, in CPU time.

    python tests/benchmarks/watching.py [--repeats 3] [--out out/benchmarks/watching.json]

100 steps of 8 pairs with TRL's default settings on one thread, 32 probes every 20 steps. What comes before training is
told apart: it does not grow with the number of steps. Every number is the least of the repeats.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
import trl
from environment import write_report

from dynamics.language_model import DynamicsCallback
from toy_models.multiplication.shipped import load_checkpoint

STEPS, EVERY, PROBES = 100, 20, 32
WAYS: dict[str, dict[str, Any] | None] = {
    "alone": None,
    "log-probs of the pairs": {"panel": (), "drives_every": 0, "sample": 0},
    "with the panel": {"drives_every": 0, "sample": 0},
    "with the panel and the drives": {},
}


class Timed(DynamicsCallback):
    """The callback, which counts the CPU seconds that it takes: before the first step, and at the steps."""

    before = during = 0.0

    def on_train_begin(self, *given: Any, **more: Any) -> None:
        """Count what comes before training."""
        begun = time.process_time()
        super().on_train_begin(*given, **more)
        self.before += time.process_time() - begun

    def on_step_end(self, *given: Any, **more: Any) -> None:
        """Count a look."""
        begun = time.process_time()
        super().on_step_end(*given, **more)
        self.during += time.process_time() - begun


class Clock(transformers.TrainerCallback):
    """The CPU seconds from the first step to the end of training."""

    first = training = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Note the beginning of the first step."""
        self.first = self.first or time.process_time()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Stop the clock before anything is written at the end."""
        self.training = time.process_time() - self.first


def measure(folder: Path, watch: dict[str, Any] | None) -> dict[str, float]:
    """Train once and return the CPU seconds of the training without the callback, of its looks, and before."""
    model, tokenizer = load_checkpoint()
    products = [(f"{a} x {b}", a * b, a * b + a) for a in range(2, 13) for b in range(2, 13)]
    rows = [{"prompt": f"{p} = ?\n", "chosen": f"{p} = {yes}", "rejected": f"{p} = {no}"} for p, yes, no in products]
    quiet: dict[str, Any] = {"report_to": [], "disable_tqdm": True, "save_strategy": "no", "use_cpu": True}
    arguments = trl.DPOConfig(output_dir=str(folder), max_steps=STEPS, **quiet)
    data = datasets.Dataset.from_list(rows)
    clock = Clock()
    trainer = trl.DPOTrainer(model, args=arguments, train_dataset=data, processing_class=tokenizer, callbacks=[clock])
    trainer.remove_callback(transformers.PrinterCallback)  # its lines would hide the result
    if watch is None:
        trainer.train()
        return {"training": clock.training, "looks": 0.0, "before": 0.0}
    timed = Timed(trainer, every=EVERY, probes=PROBES, **watch)
    trainer.add_callback(timed)
    trainer.train()
    return {"training": clock.training - timed.during, "looks": timed.during, "before": timed.before}


def main() -> None:
    """Measure every way in turn, and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("out/benchmarks/watching.json"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    datasets.disable_progress_bars()
    found: dict[str, list[dict[str, float]]] = {name: [] for name in WAYS}
    for _ in range(given.repeats):
        for name, watch in WAYS.items():
            with tempfile.TemporaryDirectory() as folder:
                found[name].append(measure(Path(folder), watch))
    least = {name: {key: min(one[key] for one in runs) for key in runs[0]} for name, runs in found.items()}
    alone = least["alone"]["training"]
    report = {
        "steps": STEPS,
        "every": EVERY,
        "probes": PROBES,
        "cpu_seconds": least,
        "cost": {name: numbers["looks"] / alone for name, numbers in least.items() if name != "alone"},
        "versions": {"trl": trl.__version__, "transformers": transformers.__version__},
    }
    write_report(given.out, report)
    for name, numbers in least.items():
        if name != "alone":
            share = numbers["looks"] / alone
            print(f"{name}: {share:.1%} of {alone:.1f} CPU seconds, and {numbers['before']:.1f} s before training")


if __name__ == "__main__":
    main()
