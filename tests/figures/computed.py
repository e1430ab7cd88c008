"""The arrays of a figure, computed once in a test run, whichever of its processes asks first."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from dynamics.files import write_atomically
from figures.catalog import FIGURES
from figures.registry import Arrays

GIVEN = os.environ.get("COMPUTED_FIGURES", "")
"""A folder whose arrays another process has computed, as ``tests.portability`` does; else empty."""

OWN = Path(tempfile.gettempdir()) / f"preference-dynamics-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}"
"""The folder of this test run, which conftest removes at its end."""

FOLDER = Path(GIVEN) if GIVEN else OWN


@cache
def computed(key: str) -> Arrays:
    """Return the arrays of a figure with its default settings; not to be written into."""
    path = FOLDER / f"{key}.npz"
    if not path.exists():
        FOLDER.mkdir(exist_ok=True)
        arrays = FIGURES[key].compute()
        write_atomically(path, lambda temporary: np.savez(temporary, **arrays))  # type: ignore[arg-type]
    with np.load(path, allow_pickle=False) as stored:
        found = {name: stored[name] for name in stored}
    for array in found.values():
        array.flags.writeable = False
    return found
