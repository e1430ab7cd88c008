"""The number of this process among those that ``accelerate launch`` or ``torchrun`` started, and how they wait."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch

from dynamics.errors import InvalidArgument
from dynamics.language_model.loading import require

LONGEST_WAIT = timedelta(days=30)  # how long to wait for the slowest process; the library's default is minutes


@dataclass(frozen=True)
class Processes:
    """One process among several.

    Attributes:
        rank: the number of this process, from 0.
        count: how many processes there are.
        device: the device that this process should use; None for the one that the user asks for.
        wait: a function that returns when every process has called it.
        leave: a function that ends the communication with the other processes.
    """

    rank: int = 0
    count: int = 1
    device: str | None = None
    wait: Callable[[], None] = lambda: None
    leave: Callable[[], None] = lambda: None


def join_processes(device: str | None = None) -> Processes:
    """Join the other processes that the same launcher started; without a launcher this process is alone.

    Args:
        device: the device that the user asks for; by default each process uses its own.

    Raises:
        MissingExtra: a launcher started this process, and accelerate is not installed.
        InvalidArgument: the processes that the launcher announces in WORLD_SIZE cannot be reached.
    """
    promised = int(os.environ.get("WORLD_SIZE", "1"))
    if promised == 1:
        return Processes()
    cpu = device == "cpu" or not torch.cuda.is_available()
    state = require("accelerate").PartialState(cpu=cpu, timeout=LONGEST_WAIT)
    if state.num_processes != promised:  # each process would think that it is alone, and all would write the same file
        raise InvalidArgument(
            "WORLD_SIZE",
            f"the launcher announces {promised} processes, but only {state.num_processes} can be reached; check that "
            "all were started, or unset WORLD_SIZE to run alone",
        )
    return Processes(
        state.process_index,
        state.num_processes,
        str(state.device),
        lambda: _wait(state),
        state.destroy_process_group,
    )


def _wait(state: Any) -> None:
    try:
        state.wait_for_everyone()
    except RuntimeError as problem:  # the connection to one that has ended is closed
        raise InvalidArgument("processes", "another process has ended early; its own message says why") from problem
