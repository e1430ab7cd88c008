"""What the views around a world share: the world's probabilities, pair and kernel, under the short names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from theory.names import ShortNames


def unknown_name(what: str, name: str, case: Any) -> str:
    """Return that a case has no such name, the names that are nearest to it, and all that it has.

    Example:
        >>> unknown_name("a case", "betta", SimpleNamespace(beta=1, x=2))
        'a case has no betta; did you mean beta? It has beta, x'
    """
    names = names_of(case)
    near = nearest(name, names)
    return f"{what} has no {name}{f'; did you mean {near}?' if near else '.'} It has {', '.join(names)}"


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the names that are spelt most like another, at most three; "" if none is near."""
    return " or ".join(difflib.get_close_matches(name, names, 3, 0.5))


def names_of(case: Any) -> list[str]:
    """Return the names that a conjecture about a case may use."""
    if isinstance(case, SimpleNamespace):
        return list(vars(case))
    numbers = _hidden(case, "_numbers")
    inside = _hidden(case, "_world")
    kinds = [type(case), *([type(inside)] if inside is not None and numbers is None else [])]
    own = [name for kind in kinds for name in dir(kind) if name[0] != "_" and name not in HIDDEN]
    return sorted({"p", *own, *(vars(numbers) if numbers is not None else ())})


def _hidden(case: Any, name: str) -> Any:
    """Return an attribute without asking ``__getattr__``, which may be what asks for the names; None if it has none."""
    try:
        return object.__getattribute__(case, name)
    except AttributeError:
        return None


HIDDEN = ("caption", "names", "policy", "tabular", "log_linear", "with_base", "exact_change", "kind", "other")
"""What a world has for its table and for making it; no conjecture needs it."""


WHATEVER_THE_STEP = ("features", "greedy", "kind", "names", "responses", "scores", "S2", "S3", "power_sum")
"""The attributes of a world that do not depend on the step."""


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
