"""A training run on a GPU is watched as one on the CPU, and disturbed no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.gpu import device, needs_cuda
from tests.optional import needs

needs("trl", "accelerate")

from tests.dynamics.language_model.watching.runs import build, note_moves, run, same_weights

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore")]  # of TRL, accelerate and transformers
__all__ = ["device"]


def on(device: str) -> dict[str, Any]:
    """Return settings that make the trainer use a device."""
    return {"use_cpu": torch.device(device).type == "cpu"}


def apart(one: Any, other: Any) -> float:
    """Return the largest difference of two lists of numbers, as a share of the largest number."""
    first, second = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    return float(np.abs(first - second).max() / np.abs(second).max())


def test_the_log_of_a_run_is_that_of_the_cpu(device: str, tmp_path: Path) -> None:
    logs = []
    for name, where in (("device", on(device)), ("cpu", on("cpu"))):
        logs.append(run(tmp_path / name, watch={}, bf16=False, max_steps=4, **where).watch.read())
    here, there = logs
    for kind in ("chosen", "rejected"):
        start, moved = there.start["log_probs"][kind], np.array(there.looks[-1]["log_probs"][kind])
        assert apart(here.start["log_probs"][kind], start) < 1e-5
        assert apart(here.prediction["slope"][kind], there.prediction["slope"][kind]) < 1e-2
        # AdamW divides by the size of a gradient, so that rounding of a tiny one can move a weight
        assert apart(np.array(here.looks[-1]["log_probs"][kind]) - start, moved - start) < 2e-2
        assert apart(1.1 * (moved - start), moved - start) > 5e-2
    assert here.looks[-1]["rate_sum"] == there.looks[-1]["rate_sum"]


def test_in_bfloat16_the_log_begins_as_in_float32(device: str, tmp_path: Path) -> None:
    """The numbers before training are measured in the precision of the weights, whatever the training computes in."""
    needs_cuda(device)
    here = run(tmp_path / "device", watch={}, bf16=True, max_steps=2, **on(device)).watch.read()
    there = run(tmp_path / "cpu", watch={}, bf16=False, max_steps=2, **on("cpu")).watch.read()
    assert apart(here.start["log_probs"]["chosen"], there.start["log_probs"]["chosen"]) < 1e-5
    assert not [line for line in here.problems if "predict" in line]


def test_not_a_bit_of_the_training_changes(device: str, tmp_path: Path) -> None:
    first, again = (run(tmp_path / name, bf16=False, max_steps=4, **on(device)) for name in ("first", "again"))
    if not same_weights(first, again):
        pytest.skip("this device does not repeat a training run bit for bit, watched or not")
    watched = run(tmp_path / "watched", watch={}, bf16=False, max_steps=4, **on(device))
    assert same_weights(first, watched)
    other = run(tmp_path / "other", bf16=False, max_steps=4, learning_rate=1.1e-3, **on(device))
    assert not same_weights(first, other)


@pytest.mark.parametrize("optim", ["adamw_torch", "adamw_torch_fused"])
def test_steps_that_a_scaler_skips_are_not_counted(optim: str, device: str, tmp_path: Path) -> None:
    """The scale of float16 begins so large that gradients overflow, and becomes small after a few steps."""
    needs_cuda(device)
    settings: dict[str, Any] = {"lr_scheduler_type": "constant", "bf16": False, "fp16": True, "max_steps": 8}
    settings |= {"optim": optim}
    trainer, watch = build(tmp_path, watch={}, **settings, **on(device))
    trainer.accelerator.scaler = torch.amp.GradScaler("cuda", init_scale=2.0**60, backoff_factor=2.0**-20)
    moved = note_moves(trainer)
    trainer.train()
    log, skipped = watch.read(), moved.count(False)
    assert 0 < skipped < len(moved) == 8, moved
    assert log.looks[-1]["skipped"] == skipped
    assert log.looks[-1]["rate_sum"] == pytest.approx(1e-3 * moved.count(True))
