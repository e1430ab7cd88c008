"""Delete, at the end of a test run, the arrays that its processes shared."""

from __future__ import annotations

import shutil

import pytest


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):  # in the process that began the others, when they are done
        from tests.figures.computed import OWN

        shutil.rmtree(OWN, ignore_errors=True)
