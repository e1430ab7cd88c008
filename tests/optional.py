"""Tests that need an optional package are skipped where it is not installed."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


def needs(*packages: str) -> None:
    """Skip the calling test module if a package is missing.

    Unlike ``pytest.importorskip`` this imports nothing: transformers, peft and trl take seconds, for which collecting
    the tests must not wait.
    """
    for package in packages:
        if find_spec(package) is None:
            pytest.skip(f"needs {package}", allow_module_level=True)
