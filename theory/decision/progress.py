"""What a long decision is doing, shown on a terminal once it has taken a while."""

from __future__ import annotations

from contextlib import ExitStack
from threading import Lock, Timer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from dynamics.progress import Advance

SILENT = 1.5  # seconds; most decisions take less


class Shown:
    """A progress bar that appears on a terminal if a decision takes long; nothing is shown elsewhere.

    Args:
        console: where to show it; the standard error if not given.

    Example:
        >>> with Shown() as shown:
        ...     shown.doing("asking the solver")
        ...     shown.world()
        >>> shown.worlds
        1
    """

    def __init__(self, console: Any = None) -> None:
        self.worlds = 0
        self._console, self._stack, self._lock = console, ExitStack(), Lock()
        self._words, self._over = "deciding", False
        self._bar: Advance | None = None
        self._timer = Timer(SILENT, self._start)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        if self._console is None:
            from rich.console import Console  # noqa: PLC0415

            self._console = Console(stderr=True)
        if self._console.is_terminal:
            self._timer.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._timer.cancel()
        with self._lock:
            self._over = True
            self._stack.close()

    def doing(self, words: str) -> None:
        """Say what is being done."""
        self._words = words
        if self._bar is not None:
            self._bar(self.worlds, words)

    def world(self) -> None:
        """Count an exact world."""
        self.worlds += 1
        if self._bar is not None:
            self._bar(self.worlds, self._words)

    def _start(self) -> None:
        from dynamics.progress import progress_bar  # noqa: PLC0415

        with self._lock:
            if not self._over:
                self._bar = self._stack.enter_context(progress_bar(None, self._words, self._console))
