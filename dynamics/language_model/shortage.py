"""Memory that runs out: one error for it, whatever library and device it comes from."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from dynamics.errors import InvalidArgument

WORDS = (
    "out of memory",  # "CUDA out of memory", "CUDA error: out of memory", "MPS backend out of memory", HIP, XPU
    "can't allocate memory",  # torch's allocator for the CPU, which has no class of its own for it
    "cannot allocate memory",  # the system's
    "not enough memory",  # torch's allocator on Windows
    "bad_alloc",  # C++
    "alloc_failed",  # CUBLAS_STATUS_ALLOC_FAILED, CUDNN_STATUS_ALLOC_FAILED, ...
    "allocation_failed",
)
"""How libraries say that memory could not be had, in lower case."""
FEWER = "fewer or shorter ones, a smaller batch_tokens or vocabulary_piece, or a larger device"


class OutOfMemory(InvalidArgument, MemoryError):
    """Memory ran out; the message ends with what would need less.

    Attributes:
        needed: bytes beyond the model that were expected to be needed; None where nothing was estimated.
        available: bytes that were free before; None where nobody looked.

    Example:
        >>> raise OutOfMemory("sequences", "9, out of memory", "fewer sequences")
        Traceback (most recent call last):
            ...
        dynamics.language_model.shortage.OutOfMemory: sequences: got 9, out of memory; allowed: fewer sequences
    """

    def __init__(
        self, argument: str, got: object, allowed: str, needed: int | None = None, available: int | None = None
    ) -> None:
        super().__init__(argument, got, allowed)
        self.needed, self.available = needed, available

    def __reduce__(self) -> tuple[type[OutOfMemory], tuple[Any, ...]]:
        """Let the error cross a process border with its numbers."""
        return type(self), (self.argument, self.got, self.allowed, self.needed, self.available)


def out_of_memory(problem: BaseException) -> bool:
    """Return whether an exception says that memory ran out, on whatever device.

    Example:
        >>> out_of_memory(MemoryError()), out_of_memory(RuntimeError("shapes differ"))
        (True, False)
        >>> out_of_memory(RuntimeError("CUDA error: out of memory")), out_of_memory(KeyError("out of memory"))
        (True, False)
    """
    if isinstance(problem, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(problem, RuntimeError) and any(words in str(problem).lower() for words in WORDS)


@contextmanager
def telling_shortage(argument: str, number: int) -> Iterator[None]:
    """Turn any library's way of saying that memory ran out into ``OutOfMemory``.

    Args:
        argument: the argument that holds too much, such as ``"sequences"``.
        number: how many it holds.

    Raises:
        OutOfMemory: in the place of the library's error.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as problem:
        if isinstance(problem, OutOfMemory) or not out_of_memory(problem):
            raise
        raise OutOfMemory(argument, f"{number}, out of memory", FEWER) from problem


def release() -> None:
    """Give the memory that is no longer used, and that torch keeps for later, back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
