"""Functions for sweeps, defined in a module so that other processes can import them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dynamics import DPO, Tabular, pairs, simulate


def displaced(batch: dict[str, Any]) -> dict[str, Any]:
    """Noise of the seed, a setting that is batched, a setting that is not, and a curve for each run."""
    noise = np.array([np.random.default_rng(int(seed)).normal() for seed in batch["seed"]])
    sign = {"plus": 1.0, "minus": -1.0}[batch["sign"]]
    return {"value": sign * batch["x"] + noise, "curve": batch["x"][:, None] * np.arange(3) / 7}


def train(batch: dict[str, Any]) -> dict[str, Any]:
    """Train tabular policies from random starts with DPO; the learning rate is static."""
    starts = torch.stack([torch.randn(4, generator=torch.Generator().manual_seed(int(s))) for s in batch["seed"]])
    runs = simulate(
        Tabular(4), starts.double(), pairs(0, 1, shape=(4,)), loss=DPO(beta=0.5), learning_rate=batch["learning_rate"],
        steps=5, seeds=len(starts),
    )  # fmt: skip
    return {
        "log_probs": runs.log_probs[-1, 0, 0],
        "rises": runs.log_probs[-1, 0, 0, :, 0] > runs.log_probs[0, 0, 0, :, 0],
    }


def slow(batch: dict[str, Any]) -> dict[str, Any]:
    """Take a while, so that it can be interrupted."""
    time.sleep(0.05)
    return {"value": batch["x"] + 0.1 * batch["seed"]}


def counted(folder: str, batch: dict[str, Any]) -> dict[str, Any]:
    """Leave a trace of every batch that was run; a second run of one is an error."""
    (Path(folder) / f"{batch['x'][0]}-{batch['seed'][0]}").touch(exist_ok=False)
    return {"value": batch["x"] * 1.0}


def too_short(batch: dict[str, Any]) -> dict[str, Any]:
    """Return too few entries."""
    return {"value": batch["x"][:1]}


def moody(batch: dict[str, Any]) -> dict[str, Any]:
    """Return other results in the second batch."""
    return {"a" if batch["seed"][0] == 0 else "b": batch["x"]}
