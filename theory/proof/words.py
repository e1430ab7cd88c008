"""Describe what a setting assumes, in words generated from the setting itself, so that they cannot be wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from theory.proof.settings import _Symbols
from theory.proof.symbols import NoValue, Number, Run, Truth

MOST_PATHS = 8  # largest number of paths through a setting that are followed
LONG = 300  # characters; conditions beyond are only counted


class _Spoken(_Symbols):
    """Numbers that are symbols; what a setting assumes of each is recorded."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.facts: list[tuple[str, str]] = []  # what is assumed, and of which number; "" for a condition on several
        self._silent = False

    def real(self, name: str) -> Number:
        return self._of_one(name, "real", lambda: super(_Spoken, self).real(name))

    def positive(self, name: str) -> Any:
        return self._of_one(name, "> 0", lambda: super(_Spoken, self).positive(name))

    def natural(self, name: str, least: int) -> Any:
        return self._of_one(name, f"whole, >= {least}", lambda: super(_Spoken, self).natural(name, least))

    def at_least(self, name: str, low: Any) -> Any:
        return self._of_one(name, f">= {self._show(low)}", lambda: super(_Spoken, self).at_least(name, low))

    def between(self, name: str, low: Any, high: Any) -> Any:
        words = f"strictly between {self._show(low)} and {self._show(high)}"
        return self._of_one(name, words, lambda: super(_Spoken, self).between(name, low, high))

    def within(self, name: str, low: Any, high: Any) -> Any:
        words = f"from {self._show(low)} to {self._show(high)}"
        return self._of_one(name, words, lambda: super(_Spoken, self).within(name, low, high))

    def assume(self, *truths: Any) -> None:
        super().assume(*truths)
        if not self._silent:
            self.facts += [(rendered(self.run, truth.term), "") for truth in truths if isinstance(truth, Truth)]

    def _of_one(self, name: str, words: str, ask: Callable[[], Any]) -> Any:
        before, self._silent = self._silent, True
        try:
            value = ask()
        finally:
            self._silent = before
        if not before:
            self.facts.append((words, name))
        return value

    def _show(self, value: Any) -> str:
        return rendered(self.run, value.term) if isinstance(value, Number) else str(value)


@lru_cache(maxsize=512)
def words_of(function: Callable[[Any], Any]) -> str:
    """Return what a setting's function asks for and assumes, in words.

    Example:
        >>> def share(numbers):
        ...     x, y = numbers.positive("x"), numbers.positive("y")
        ...     numbers.assume(x / (x + y) <= numbers.between("bound", 0, 1))
        >>> words_of(share)
        'x, y > 0; bound strictly between 0 and 1; x/(x + y) <= bound'
    """
    facts: dict[tuple[str, str], None] = {}
    todo: list[list[bool]] = [[]]
    context = None
    for _ in range(MOST_PATHS):
        if not todo:
            break
        decisions = todo.pop()
        run = Run(_context() if context is None else context, decisions, lambda _: True)
        context = run.context
        spoken = _Spoken(run)
        try:
            function(spoken)
        except NoValue:  # no world on this path
            spoken.facts = []
        taken = [side for _, _, side in run.forks]
        todo += [[*taken[:fork], not taken[fork]] for fork in range(len(decisions), len(taken))]
        facts |= dict.fromkeys(spoken.facts)
    grouped: dict[str, list[str]] = {}
    for words, name in facts:
        grouped.setdefault(words, []).append(name)
    parts = [f"{', '.join(names)} {words}" if names != [""] else words for words, names in grouped.items()]
    kept: list[str] = []
    while parts and len("; ".join([*kept, parts[0]])) <= LONG:
        kept.append(parts.pop(0))
    return "; ".join(kept) + (f"; and {len(parts)} more condition{'s' if len(parts) > 1 else ''}" if parts else "")


def _context() -> Any:
    import z3  # noqa: PLC0415 - loaded for a proof only

    return z3.Context()


def rendered(run: Run, term: Any) -> str:
    """Return a term of the solver as a reader would write it: quotients, roots and exponentials in their place."""
    return _rendered(run, term, 0)


SIGNS = {"<=": "<=", ">=": ">=", "<": "<", ">": ">", "=": "=", "distinct": "!="}
FLIPPED = {"<=": ">=", ">=": "<=", "<": ">", ">": "<"}
RANKS = {"or": 1, "and": 2, "not": 3, **dict.fromkeys(SIGNS, 4), "+": 5, "-": 5, "*": 6, "/": 6}


def _rendered(run: Run, term: Any, outside: int) -> str:  # noqa: PLR0911 - one line for each kind of term
    import z3  # noqa: PLC0415

    if z3.is_rational_value(term):
        return str(term.as_fraction())
    if not term.children():
        return _defined(run, term)
    name = term.decl().name()
    if name == "not" and term.arg(0).decl().name() in ("<=", ">=", "<", ">", "="):
        turned = {"<=": ">", ">=": "<", "<": ">=", ">": "<=", "=": "!="}[term.arg(0).decl().name()]
        left, right = (_rendered(run, part, 4) for part in term.arg(0).children())
        return _bracketed(f"{left} {turned} {right}", 4, outside)
    if name in FLIPPED and z3.is_rational_value(term.arg(0)):  # 1/2 >= x
        return _bracketed(
            f"{_rendered(run, term.arg(1), 4)} {FLIPPED[name]} {_rendered(run, term.arg(0), 4)}", 4, outside
        )
    rank = RANKS.get(name, 0)
    parts = [_rendered(run, part, rank + (k > 0 and name in "-/")) for k, part in enumerate(term.children())]
    if name == "not" or (name == "-" and len(parts) == 1):
        return _bracketed(("not " if name == "not" else "-") + parts[0], rank, outside)
    if name in ("+", "-", "and", "or") or name in SIGNS:
        return _bracketed(f" {SIGNS.get(name, name)} ".join(parts).replace("+ -", "- "), rank, outside)
    if name in ("*", "/"):
        return _bracketed(_powers(parts) if name == "*" else "/".join(parts), rank, outside)
    return " ".join(str(term).split())


def _powers(parts: list[str]) -> str:
    counted = {part: parts.count(part) for part in parts}
    return "*".join(f"{part}^{n}" if n > 1 else part for part, n in counted.items())


def _bracketed(text: str, rank: int, outside: int) -> str:
    return f"({text})" if outside > rank else text


def _defined(run: Run, term: Any) -> str:
    for above, below, known in run._quotients:
        if known.term.eq(term):
            return f"{_rendered(run, above, 6)}/{_rendered(run, below, 7)}"
    for of, known in run._roots:
        if known.term.eq(term):
            return f"sqrt({_rendered(run, of, 0)})"
    for _, argument, value in run.functions:
        if value.term.eq(term) and "." in str(term):
            return f"e^({_rendered(run, argument.term, 0)})"
        if argument.term.eq(term) and "." in str(term):
            return f"log({_rendered(run, value.term, 0)})"
    return str(term)
