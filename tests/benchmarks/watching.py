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


class Clock(transformers.TrainerCallback):
    """CPU seconds before the first step, and from there to the end of training."""

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Start the clock; the trainer calls its callbacks in the order in which they were added."""
        self.begun, self.first = time.process_time(), 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Note the beginning of the first step."""
        self.first = self.first or time.process_time()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Stop the clock before anything is written at the end."""
        self.before, self.training = self.first - self.begun, time.process_time() - self.first


def measure(folder: Path, watch: dict[str, Any] | None) -> Clock:
    """Train once and return the clock."""
    model, tokenizer = load_checkpoint()
    products = [(f"{a} x {b}", a * b, a * b + a) for a in range(2, 13) for b in range(2, 13)]
    rows = [{"prompt": f"{p} = ?\n", "chosen": f"{p} = {yes}", "rejected": f"{p} = {no}"} for p, yes, no in products]
    quiet: dict[str, Any] = {"report_to": [], "disable_tqdm": True, "save_strategy": "no", "use_cpu": True}
    arguments = trl.DPOConfig(output_dir=str(folder), max_steps=STEPS, **quiet)
    data = datasets.Dataset.from_list(rows)
    clock = Clock()
    trainer = trl.DPOTrainer(model, args=arguments, train_dataset=data, processing_class=tokenizer, callbacks=[clock])
    if watch is not None:
        trainer.add_callback(DynamicsCallback(trainer, every=EVERY, probes=PROBES, **watch))
    trainer.train()
    return clock


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
    clocks: dict[str, list[Clock]] = {name: [] for name in WAYS}
    for _ in range(given.repeats):
        for name, watch in WAYS.items():
            with tempfile.TemporaryDirectory() as folder:
                clocks[name].append(measure(Path(folder), watch))
    training = {name: min(clock.training for clock in found) for name, found in clocks.items()}
    alone = training["alone"]
    report = {
        "steps": STEPS,
        "every": EVERY,
        "probes": PROBES,
        "cpu_seconds_of_training": training,
        "cost": {name: seconds / alone - 1 for name, seconds in training.items() if name != "alone"},
        "cpu_seconds_before_training": {name: min(clock.before for clock in clocks[name]) for name in WAYS},
        "versions": {"trl": trl.__version__, "transformers": transformers.__version__},
    }
    write_report(given.out, report)
    for name, cost in report["cost"].items():
        print(f"{name}: {cost:+.1%} of {alone:.1f} CPU seconds")


if __name__ == "__main__":
    main()
