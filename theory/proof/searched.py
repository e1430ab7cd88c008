"""The searched reading: the same predicate on random exact worlds."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from theory.proof.balls import Undecided
from theory.proof.checks import show, truth_value
from theory.proof.family import Family
from theory.proof.symbols import NoSuchResponse, NoValue

PATIENCE = 60  # random draws for each case wanted, before the premise counts as too rare

Predicate = Callable[..., Any]


@dataclass(frozen=True)
class Search:
    """The result of a search of random exact worlds.

    Attributes:
        counterexample: a case in which the statement is false, or None.
        tried: cases in which it was evaluated, those that met the premise.
        drawn: cases drawn.
        undecided: cases in which interval arithmetic could not tell.
        sizes: how many cases had how many responses, if they are worlds.
    """

    counterexample: Any
    tried: int
    drawn: int
    undecided: int
    sizes: dict[int, int]

    def __str__(self) -> str:
        """Return it in words."""
        if self.counterexample is not None:
            return f"false at\n{show(self.counterexample)}"
        return f"no counterexample in {self.tried} exact cases{self.reach()}"

    def reach(self) -> str:
        """Return how far the cases reach: the least and the largest number of responses, if they are worlds."""
        if not self.sizes:
            return ""
        low, high = min(self.sizes), max(self.sizes)
        return f", {low} to {high} responses" if low < high else f", {low} responses"


def holds_at(predicate: Predicate, case: Any, given: Predicate | None = None, **change: Any) -> bool | None:
    """Return whether a statement is true of one exact case; None if it says nothing about this case.

    A statement that divides by zero or takes the root of a negative number counts as false there, and a premise that
    does so as not met.

    Raises:
        NotAStatement: it returns no truth value.
        Undecided: interval arithmetic cannot tell.
    """
    try:
        if given is not None and not truth_value(given(case)):
            return None
    except (NoSuchResponse, ZeroDivisionError):
        return None
    try:
        return truth_value(predicate(case, **change))
    except NoSuchResponse:
        return None
    except (NoValue, ZeroDivisionError):
        return False


def search(
    predicate: Predicate,
    over: Family,
    *,
    given: Predicate | None = None,
    worlds: int = 200,
    seed: int = 0,
    **change: Any,
) -> Search:
    """Look for an exact world in which a statement is false.

    Args:
        predicate: the statement.
        over: the kind of worlds.
        given: its premise; worlds that do not meet it do not count.
        worlds: cases wanted.
        seed: of the random cases.
        **change: arguments of the predicate that replace its defaults.
    """
    tried = undecided = drawn = 0
    sizes: Counter[int] = Counter()
    source, cases = _pool(over, seed)
    while tried < worlds and drawn < PATIENCE * worlds:
        if drawn == len(cases):
            cases.append(over.draw(source))
        case = cases[drawn]
        drawn += 1
        try:
            holds = holds_at(predicate, case, given, **change)
        except Undecided:
            undecided += 1
            continue
        if holds is None:
            continue
        tried += 1
        world = case[0] if isinstance(case, tuple) and case else case
        if hasattr(world, "responses"):
            sizes[len(world.responses)] += 1
        if not holds:
            return Search(case, tried, drawn, undecided, dict(sizes))
    return Search(None, tried, drawn, undecided, dict(sizes))


@lru_cache(maxsize=64)
def _pool(over: Family, seed: int) -> tuple[random.Random, list[Any]]:
    """Return the cases of a kind that were drawn so far, and the source of more: each computes its scores once."""
    return random.Random(f"{over.name}/{seed}"), []
