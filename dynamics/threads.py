"""One thread, where numbers must not depend on how many there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch and the BLAS of numpy use one thread inside a ``with`` block.

    The order in which a sum is taken depends on the number of threads, and with it the last bit. Where the same numbers
    are promised whatever the number of processes, every process therefore uses one.

    Example:
        >>> with one_thread():
        ...     torch.get_num_threads()
        1
    """
    before = torch.get_num_threads()
    with threadpool_limits(1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)
