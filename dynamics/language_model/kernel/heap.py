"""Memory that has been freed goes back to the operating system."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any


def give_back_freed_memory() -> bool:
    """Return pages of the heap on which nothing lives any more to the operating system, where the C library can.

    glibc keeps what was freed for later: after a layer of a large model gaps are left between what still lives, into
    which the next layer does not fit, so that a process takes up to twice the memory of its tensors.

    Returns:
        Whether the C library can do it: glibc's can, and others need not.
    """
    trim = _malloc_trim()
    if trim is None:
        return False
    trim(0)
    return True


@cache
def _malloc_trim() -> Any:
    try:
        return getattr(ctypes.CDLL(None), "malloc_trim", None)
    except (OSError, TypeError):  # Windows has no library of the process itself
        return None
