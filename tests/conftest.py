"""For every test: one Hypothesis profile, a garbage collector that has little to look at, and a browser."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.browser import launch

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# the same examples on every machine, and no deadlines on shared ones
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=100)
settings.load_profile("repeatable")


def pytest_configure() -> None:
    """Let interrupts arrive: in a shell's background job they are ignored, also by the processes that a test starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Keep what is imported and collected away from the garbage collector: it stays until the end of the run.

    Otherwise every full round of the collector, and there are some in many a test, goes through millions of objects.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Yield a headless Chromium; for one module only, because a running driver bars other event loops."""
    with launch() as started:
        yield started
