"""What a long decision is doing, shown on a terminal once it has taken a while."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any, Self

from dynamics.progress import Advance, progress_bar

SILENT = 1.5  # seconds; most decisions take less


class Shown:
    """A progress bar that appears only if there is something to tell after a while; nothing is shown off a terminal.

    It is told of every question to the solver and of every exact world, and counts them.

    Args:
        console: where to show it; the standard error if not given.

    Example:
        >>> with Shown() as shown:
        ...     shown.question()
        ...     shown.world()
        >>> shown.questions, shown.worlds
        (1, 1)
    """

    def __init__(self, console: Any = None) -> None:
        self.questions = self.worlds = 0
        self._console, self._stack = console, ExitStack()
        self._bar: Advance | None = None
        self._start = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self._stack.close()

    def question(self, *_: object) -> None:
        """Count a question to the solver."""
        self.questions += 1
        self._tell()

    def world(self) -> None:
        """Count an exact world."""
        self.worlds += 1
        self._tell()

    def _tell(self) -> None:
        if self._bar is None:
            if time.monotonic() - self._start < SILENT:
                return
            from rich.console import Console  # noqa: PLC0415

            console = self._console or Console(stderr=True)
            self._bar = self._stack.enter_context(progress_bar(None, "deciding", console))
        words = f"{self.questions} questions to the solver, {self.worlds} exact worlds"
        self._bar(self.questions + self.worlds, words)
