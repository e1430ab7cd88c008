"""Who this process is among those that ``accelerate launch`` or ``torchrun`` started."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch

from dynamics.errors import InvalidArgument
from dynamics.language_model.loading import require

LONGEST_WAIT = timedelta(days=30)  # for the slowest process; the library's own limit is minutes


@dataclass(frozen=True)
class Processes:
    """One process among several.

    Attributes:
        rank: its number.
        count: how many there are.
        device: where it should compute; None for whatever the user says.
        wait: returns when every process has called it.
        leave: ends the group.
    """

    rank: int = 0
    count: int = 1
    device: str | None = None
    wait: Callable[[], None] = lambda: None
    leave: Callable[[], None] = lambda: None


def join_processes(device: str | None = None) -> Processes:
    """Return this process's place, by the environment that a launcher sets; alone if none did.

    Args:
        device: the device that the user asks for; each process's own if none.

    Raises:
        MissingExtra: started by a launcher, and accelerate is not installed.
        InvalidArgument: the launcher speaks of processes that cannot be reached.
    """
    promised = int(os.environ.get("WORLD_SIZE", "1"))
    if promised == 1:
        return Processes()
    cpu = device == "cpu" or not torch.cuda.is_available()
    state = require("accelerate").PartialState(cpu=cpu, timeout=LONGEST_WAIT)
    if state.num_processes != promised:  # each would take itself for the only one, and all would write one file
        raise InvalidArgument("WORLD_SIZE", promised, f"{state.num_processes}, the processes that could be joined")
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
        ended = "all processes at work to the end; see what the one that ended says"
        raise InvalidArgument("processes", "one that has ended", ended) from problem
