"""Throw away at the end what the processes of a test run shared."""

from __future__ import annotations

import shutil

import pytest


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):  # in the process that began the others, when they are done
        from tests.figures.computed import OWN

        shutil.rmtree(OWN, ignore_errors=True)
