"""Tests that need an optional package, or signals and forks, are skipped where these do not exist."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

needs_signals = pytest.mark.skipif(
    os.name == "nt", reason="kills processes as Windows cannot: by signal, or after a fork"
)


def needs(*packages: str) -> None:
    """Skip the calling test module if a package is missing.

    Unlike ``pytest.importorskip`` this imports nothing: transformers, peft and trl take seconds, for which collecting
    the tests must not wait.
    """
    for package in packages:
        if find_spec(package) is None:
            pytest.skip(f"needs {package}", allow_module_level=True)
