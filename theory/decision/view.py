"""What the views around a world share: the world's probabilities, pair and kernel, under the short names."""

from __future__ import annotations

from typing import Any

from theory.names import ShortNames


class View(ShortNames):
    """A world with one pair, exact or in symbols, under another kind of step: subclasses define drives and changes.

    Args:
        world: the world.
    """

    __slots__ = ("_world",)

    def __init__(self, world: Any) -> None:
        self._world = world

    @property
    def p(self) -> Any:
        """Return the probabilities."""
        return self._world.p

    @property
    def chosen(self) -> Any:
        """Return the chosen response."""
        return self._world.chosen

    @property
    def rejected(self) -> Any:
        """Return the rejected response."""
        return self._world.rejected

    @property
    def y(self) -> Any:
        """Return a response outside the pair."""
        return self._world.y

    def kernel(self, y: Any, z: Any) -> Any:
        """Return <g_y, g_z>."""
        return self._world.kernel(y, z)
