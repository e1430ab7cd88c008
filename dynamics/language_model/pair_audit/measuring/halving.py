"""Fewer items at a time when memory runs out: half of them, down to a single one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from dynamics.language_model.out_of_memory import empty_caches, is_out_of_memory

LOG = logging.getLogger(__name__)
Item = TypeVar("Item")
Found = TypeVar("Found")


def compute_in_parts(compute: Callable[[Sequence[Item]], Found], items: Sequence[Item], what: str) -> list[Found]:
    """Compute something of all items at once, or, if memory runs out, of half of them at a time.

    Args:
        compute: computes something of one or more items.
        items: the items.
        what: what the items are, in the plural, for the log.

    Returns:
        What was computed of each part, in the order of the items; one entry if memory suffices for all.

    Raises:
        MemoryError: a single item does not fit into memory (or a ``RuntimeError`` by which a library says so).

    Example:
        >>> def add(numbers):
        ...     if len(numbers) > 2:
        ...         raise MemoryError
        ...     return sum(numbers)
        >>> compute_in_parts(add, [1, 2, 3, 4], "numbers")
        [3, 7]
    """
    try:
        return [compute(items)]
    except (MemoryError, RuntimeError) as problem:
        if len(items) == 1 or not is_out_of_memory(problem):
            raise
    empty_caches()  # outside of the except clause: the exception keeps the tensors of its frames alive
    LOG.warning("%d %s do not fit into memory: half of them at a time instead", len(items), what)
    middle = len(items) // 2
    return [part for half in (items[:middle], items[middle:]) for part in compute_in_parts(compute, half, what)]
