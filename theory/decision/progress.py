"""What a long decision is doing, shown on a terminal or in a notebook once it has taken a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from html import escape
from threading import Lock, Timer
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from dynamics.progress import Advance

SILENT = 1.5  # seconds; most decisions take less
PAUSE = 0.2  # seconds between two changes of what a notebook shows


class Shown:
    """A line that appears on a terminal or in a notebook if a decision takes long; nothing is shown elsewhere.

    On a terminal it is a progress bar. It disappears when the decision is made.

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
        # In a notebook the context says to which cell an output belongs; a new thread would not have it.
        self._timer = Timer(SILENT, copy_context().run, [self._start])
        self._timer.daemon = True

    def __enter__(self) -> Self:
        if self._console is None:
            from rich.console import Console  # noqa: PLC0415

            self._console = Console(stderr=True)
        if self._console.is_terminal or self._console.is_jupyter:
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
                notebook = self._console.is_jupyter
                bar = _line_in_notebook() if notebook else progress_bar(None, self._words, self._console)
                advance = self._stack.enter_context(bar)
                advance(self.worlds, self._words)
                self._bar = advance  # from here on the other thread tells it more, and this one nothing


@contextmanager
def _line_in_notebook() -> Iterator[Advance]:
    """Show a line below the cell that runs, until the block ends."""
    from IPython.display import HTML, display  # noqa: PLC0415

    shown = display(HTML(""), display_id=True)
    words, when = "", 0.0

    def advance(completed: int | None = None, label: str | None = None, total: int | None = None) -> None:
        nonlocal words, when
        if label != words or monotonic() - when > PAUSE:
            words, when = label or "", monotonic()
            of = "" if total is None else f" of {total}"
            shown.update(HTML(f"<em>{escape(words)}; examined so far: {completed or 0}{of}</em>"))

    try:
        yield advance
    finally:
        shown.update(HTML(""))
