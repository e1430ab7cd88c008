"""Working beside a trainer: no random number of the training is used up, and the processes share the work."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch

from dynamics.errors import InvalidArgument
from dynamics.language_model.loading import require

Result = TypeVar("Result")
GROUP = 16
"""Probes that go through the model together, whatever the number of processes, so that it changes no digit."""


class Failed(Exception):
    """A computation that failed in one of the processes; its message says why."""


def failure(problem: Exception) -> Failed:
    """Return an error as one that says in one line what it was.

    Example:
        >>> failure(MemoryError("no room"))
        Failed('MemoryError: no room')
    """
    if isinstance(problem, Failed):
        return problem
    first = next(iter(str(problem).strip().splitlines()), "")
    return Failed(first if isinstance(problem, InvalidArgument) else f"{type(problem).__name__}: {first}")


@contextmanager
def keeping_random_state() -> Iterator[None]:
    """Restore the random states of python, numpy and torch at the end, on the CPU and on every GPU in use.

    Example:
        >>> with keeping_random_state():
        ...     torch.manual_seed(1), random.seed(1)
        ...     first = torch.rand(1), random.random()
        (<torch._C.Generator object at ...>, None)
    """
    python, cpu = random.getstate(), torch.random.get_rng_state()
    legacy = np.random.get_state()  # noqa: NPY002 - the state that trainers use
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
        torch.random.set_rng_state(cpu)
        if devices:
            torch.cuda.set_rng_state_all(devices)


def share(
    items: Sequence[Any], compute: Callable[[slice], Sequence[Result]], rank: int = 0, count: int = 1
) -> list[Result]:
    """Return the results for all items, of which every process computes some groups; every process gets all of them.

    Args:
        items: as many as there will be results.
        compute: returns the results of a slice of the items.
        rank: the number of this process.
        count: the number of processes; all of them must call this function.

    Raises:
        Failed: the computation failed in some process, whose message is repeated in all of them.

    Example:
        >>> share("abc", lambda part: [letter.upper() for letter in "abc"[part]])
        ['A', 'B', 'C']
    """
    starts = range(0, len(items), GROUP)
    mine: list[tuple[int, Sequence[Result] | Failed]] = []
    for number, start in enumerate(starts):
        if number % count == rank:
            try:
                mine.append((start, compute(slice(start, start + GROUP))))
            except Exception as problem:  # the other processes wait for this one; they must all hear of it
                mine.append((start, failure(problem)))
                break
    everything: list[tuple[int, Any]] = mine if count == 1 else require("accelerate.utils").gather_object(mine)
    found: list[Result] = []
    for _, part in sorted(everything, key=lambda entry: entry[0]):
        if isinstance(part, Failed):
            raise part
        found.extend(part)
    return found


def share_each(
    items: Sequence[Any], compute: Callable[[slice], Sequence[Result]], rank: int = 0, count: int = 1
) -> list[Result | Failed]:
    """Return the results for all items as ``share`` does, with a ``Failed`` in place of each one that has none.

    Where a group fails, its items are tried one by one, so that an item that fails takes no other along.

    Args:
        items: as many as there will be results.
        compute: returns the results of a slice of the items.
        rank: the number of this process.
        count: the number of processes; all of them must call this function.

    Raises:
        Failed: nothing succeeded; the message is that of the first item.

    Example:
        >>> share_each([1, 0, 4], lambda part: [8 // number for number in [1, 0, 4][part]])
        [8, Failed('ZeroDivisionError: integer division or modulo by zero'), 2]
    """

    def alone(number: int) -> Result | Failed:
        try:
            return compute(slice(number, number + 1))[0]
        except Exception as problem:  # whatever it was, the other items are still of use
            return failure(problem)

    def each(part: slice) -> Sequence[Result | Failed]:
        try:
            return compute(part)
        except Exception:  # tried again below, one by one
            return [alone(number) for number in range(part.start, min(part.stop, len(items)))]

    found = share(items, each, rank, count)
    failed = [one for one in found if isinstance(one, Failed)]
    if found and len(failed) == len(found):
        raise failed[0]
    return found


def first_problem(problem: str, count: int = 1) -> str:
    """Return the first problem that any process has; every process gets the same, so that all go on or none.

    Args:
        problem: what went wrong in this process; empty if nothing did.
        count: the number of processes; all of them must call this function.

    Example:
        >>> first_problem("no room"), first_problem("")
        ('no room', '')
    """
    everything = [problem] if count == 1 else require("accelerate.utils").gather_object([problem])
    return next(filter(None, everything), "")


def from_first(make: Callable[[], Result], rank: int = 0, count: int = 1) -> Result:
    """Return in every process what the first one makes; all of them must call this function.

    Args:
        make: called in the first process only.
        rank: the number of this process.
        count: the number of processes.

    Raises:
        Failed: it failed in the first process, whose message is repeated in all of them.

    Example:
        >>> from_first(lambda: 3)
        3
    """
    made: list[Any] = [None]
    if rank == 0:
        try:
            made = [make()]
        except Exception as problem:  # the other processes wait for what this one makes
            made = [failure(problem)]
    (found,) = made if count == 1 else require("accelerate.utils").broadcast_object_list(made)
    if isinstance(found, Failed):
        raise found
    return found
