"""Negative controls: for every check of every figure, arrays that are wrong in the respect that the check is about.

The test modules of the figures register theirs here; ``test_checks`` runs them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from figures.catalog import FIGURES
from figures.registry import Arrays

Wrong = Callable[[Arrays], Arrays]

CONTROLS: dict[tuple[str, str], list[Wrong]] = {}
"""By key of a figure and name of a check: functions from the true arrays to wrong ones."""

AXES: dict[str, frozenset[str]] = {}
"""By key of a figure: the arrays that are settings and not results. They stay when every result is made NaN."""


def add_controls(key: str, check: str, wrong: Iterable[Wrong]) -> None:
    """Register negative controls of a check."""
    CONTROLS.setdefault((key, check), []).extend(wrong)


def in_place(change: Callable[[Arrays], None]) -> Wrong:
    """Return the wrong arrays of a change that writes into them."""

    def wrong(arrays: Arrays) -> Arrays:
        copies = {name: values.copy() for name, values in arrays.items()}
        change(copies)
        return copies

    return wrong


def updated(change: Callable[[Arrays], Arrays]) -> Wrong:
    """Return the wrong arrays of a change that returns the arrays that become others."""
    return lambda arrays: {**arrays, **change(arrays)}


def recomputed(key: str, owner: Any, name: str, value: object, **settings: Any) -> Wrong:
    """Return the arrays of a figure with another model: an item of a dictionary, or a name of a module, replaced.

    ``settings`` of the figure may leave out what costs time and does not matter to the check.
    """

    def wrong(_: Arrays) -> Arrays:
        with pytest.MonkeyPatch.context() as patch:
            if isinstance(owner, dict):
                patch.setitem(owner, name, value)
            else:
                patch.setattr(owner, name, value)
            return FIGURES[key].compute(**settings)

    return wrong
