"""Small policies and tiny models: more threads than one cost more than they bring, above all on a busy machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dynamics.grid import one_thread


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield
