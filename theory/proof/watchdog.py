"""Stop what does not end by itself, with one thread for all of it.

A thread for each question would take as long as a typical question to the solver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Thread
from time import monotonic

LONGEST = 60.0  # seconds that the thread sleeps; until then nobody need wake it for what is due later


class Watchdog:
    """Calls a function if a block of code takes longer than it may."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._due: dict[object, tuple[float, Callable[[], None]]] = {}
        self._wakes = 0.0  # when the thread looks again
        self._thread: Thread | None = None

    @contextmanager
    def over(self, seconds: float, stop: Callable[[], None]) -> Iterator[None]:
        """Call ``stop`` once if the block takes longer than this; never after its end.

        Example:
            >>> from time import sleep
            >>> late = []
            >>> with Watchdog().over(0.01, lambda: late.append("late")):
            ...     sleep(0.1)
            >>> late
            ['late']
        """
        block, due = object(), monotonic() + seconds
        with self._changed:
            self._due[block] = due, stop
            if self._thread is None or not self._thread.is_alive():  # it does not live on in a process that was forked
                self._thread = Thread(target=self._watch, daemon=True)
                self._thread.start()
            elif due < self._wakes:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._due.pop(block, None)

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = monotonic()
                for block in [block for block, (due, _) in self._due.items() if due <= now]:
                    _, stop = self._due.pop(block)
                    stop()
                self._wakes = min((due for due, _ in self._due.values()), default=now + LONGEST)
                self._wakes = min(self._wakes, now + LONGEST)
                self._changed.wait(self._wakes - now)
