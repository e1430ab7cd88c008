"""What a test needs and may be missing: without it the test is skipped here, but it fails in continuous integration."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import NoReturn

import pytest

needs_signals = pytest.mark.skipif(
    os.name == "nt", reason="kills processes as Windows cannot: by signal, or after a fork"
)


def do_without(what: str) -> NoReturn:
    """Skip the test, or the module that calls it at its top; fail in CI, where nobody would notice."""
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        pytest.fail(f"{what} is missing, and in continuous integration nothing may be left out")
    pytest.skip(f"{what} is missing on this machine", allow_module_level=True)


def needs(*packages: str) -> None:
    """Do without the calling test module if a package is missing.

    Unlike ``pytest.importorskip`` this imports nothing: transformers, peft and trl take seconds, for which collecting
    the tests must not wait.
    """
    for package in packages:
        if find_spec(package) is None:
            do_without(package)
