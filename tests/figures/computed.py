"""The arrays of a figure, computed once in a test run, whichever of its processes asks first; and its drawing."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import portalocker
from matplotlib.figure import Figure as Drawing

from dynamics.files import write_atomically
from figures.catalog import FIGURES
from figures.registry import Arrays
from figures.style import paper_style

GIVEN = os.environ.get("COMPUTED_FIGURES", "")
"""A folder whose arrays another process has computed, as ``tests.portability`` does; else empty."""

OWN = Path(tempfile.gettempdir()) / f"preference-dynamics-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}"
"""The folder of this test run, which conftest removes at its end."""

FOLDER = Path(GIVEN) if GIVEN else OWN

LONGEST = 1800
"""Seconds to wait for another process: the slowest figure takes half a minute on a quiet machine."""


@cache
def computed(key: str) -> Arrays:
    """Return the arrays of a figure with its default settings; not to be written into."""
    path = FOLDER / f"{key}.npz"
    if not path.exists():
        FOLDER.mkdir(exist_ok=True)
        with portalocker.Lock(path.with_suffix(".lock"), timeout=LONGEST):  # another process may have begun it
            if not path.exists():
                arrays = FIGURES[key].compute()
                write_atomically(path, lambda temporary: np.savez(temporary, **arrays))  # type: ignore[arg-type]
    with np.load(path, allow_pickle=False) as stored:
        found = {name: stored[name] for name in stored}
    for array in found.values():
        array.flags.writeable = False
    return found


@cache
def drawn(key: str) -> Drawing:
    """Return the drawing of a figure, laid out and closed; to be looked at and not to be changed."""
    with paper_style():
        drawing = FIGURES[key].drawers[0](computed(key))
        drawing.canvas.draw()
    plt.close(drawing)
    return drawing
