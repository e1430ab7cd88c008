"""One error for memory that runs out, whichever library and device reports it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from dynamics.errors import Unsupported

MESSAGES = (
    "out of memory",  # "CUDA out of memory", "CUDA error: out of memory", "MPS backend out of memory", HIP, XPU
    "can't allocate memory",  # torch on a CPU raises a plain RuntimeError
    "cannot allocate memory",  # the operating system
    "not enough memory",  # torch on a CPU under Windows
    "bad_alloc",  # C++
    "alloc_failed",  # CUBLAS_STATUS_ALLOC_FAILED, CUDNN_STATUS_ALLOC_FAILED, ...
    "allocation_failed",
)
"""Parts of the messages, in lower case, by which libraries report that memory ran out."""
REMEDY = "use fewer or shorter ones, a smaller batch_tokens or vocabulary_piece, or a larger device"


class OutOfMemory(Unsupported, MemoryError):
    """Memory ran out. The message says what would need less.

    Attributes:
        needed: bytes, besides those of the model, that were expected to be needed; None if there was no estimate.
        available: bytes that were free before the computation; None if they were not measured.

    Example:
        >>> raise OutOfMemory("sequences", "9 sequences do not fit into memory", "use fewer sequences")
        Traceback (most recent call last):
            ...
        dynamics.language_model.out_of_memory.OutOfMemory: sequences: 9 sequences do not fit into memory; use fewer...
    """

    def __init__(
        self, argument: str, problem: str, remedy: str, needed: int | None = None, available: int | None = None
    ) -> None:
        super().__init__(argument, problem, remedy)
        self.needed, self.available = needed, available

    def __reduce__(self) -> tuple[type[OutOfMemory], tuple[Any, ...]]:
        """Keep the two numbers when the error is pickled, for example on its way out of a worker process."""
        return type(self), (self.argument, self.got, self.allowed, self.needed, self.available)


def is_out_of_memory(problem: BaseException) -> bool:
    """Return whether an exception reports that memory ran out, on any device.

    Example:
        >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("shapes differ"))
        (True, False)
        >>> is_out_of_memory(RuntimeError("CUDA error: out of memory")), is_out_of_memory(KeyError("out of memory"))
        (True, False)
    """
    if isinstance(problem, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(problem, RuntimeError) and any(words in str(problem).lower() for words in MESSAGES)


@contextmanager
def raising_out_of_memory(argument: str, number: int) -> Iterator[None]:
    """Raise ``OutOfMemory`` in place of any library's own error about memory.

    Args:
        argument: the argument that holds too much, such as ``"sequences"``.
        number: how many elements it holds.

    Raises:
        OutOfMemory: memory ran out in the block.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as problem:
        if isinstance(problem, OutOfMemory) or not is_out_of_memory(problem):
            raise
        raise OutOfMemory(argument, f"these {number} {argument} do not fit into memory", REMEDY) from problem


def empty_caches() -> None:
    """Return memory that is no longer used, but that torch keeps for later, to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
