"""Describe what a setting assumes, in words generated from the setting itself, so that they cannot be wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from theory.proof.settings import _Symbols
from theory.proof.symbols import NoValue, Number, Run, Truth
from theory.proof.terms import Told

MOST_PATHS = 8  # largest number of paths through a setting that are followed
LONG = 300  # characters; conditions beyond are only counted


class _NothingTold(Told):
    """What a run tells the solver of exponentials, if there is no solver: nothing."""

    def __contains__(self, _: object) -> bool:
        return True

    def __missing__(self, _: object) -> tuple[list[Any], list[Any]]:
        return [], []


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
    for _ in range(MOST_PATHS):
        if not todo:
            break
        decisions = todo.pop()
        run = Run(_context(), decisions, lambda _: True, told=_NothingTold())
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


@lru_cache(maxsize=1)
def _context() -> Any:
    """Return the owner of the terms that are put into words; to make one takes longer than the words."""
    import z3  # noqa: PLC0415 - loaded for a proof only

    return z3.Context()


def rendered(run: Run, term: Any) -> str:
    """Return a term of the solver as a reader would write it: quotients, roots and exponentials in their place."""
    return _rendered(run, term, OR)


SIGNS = {"<=": "<=", ">=": ">=", "<": "<", ">": ">", "=": "=", "distinct": "!="}
FLIPPED = {"<=": ">=", ">=": "<=", "<": ">", ">": "<"}
TURNED = {"<=": ">", ">=": "<", "<": ">=", ">": "<=", "=": "!="}
OR, AND, NOT, COMPARED, SUM, PRODUCT, POWER, ATOM = range(1, 9)  # how strongly what is written holds together
RANKS = {"or": OR, "and": AND, "not": NOT, **dict.fromkeys(SIGNS, COMPARED), "+": SUM, "-": SUM}
RANKS |= {"*": PRODUCT, "/": PRODUCT}
NUMBER = re.compile(r"-?\d+(/\d+)?")


def _rendered(run: Run, term: Any, outside: int) -> str:
    """Return a term as text, in brackets if what stands around it holds together as strongly as ``outside``."""
    text, rank = _written(run, term)
    return f"({text})" if outside > rank else text


def _written(run: Run, term: Any) -> tuple[str, int]:  # noqa: PLR0911 - one line for each kind of term
    """Return a term as text without brackets around it, and how strongly it holds together."""
    import z3  # noqa: PLC0415

    if z3.is_rational_value(term):
        return _constant(term.as_fraction())
    if not term.children():
        return _defined(run, term)
    name, parts = term.decl().name(), term.children()
    if name == "not" and parts[0].decl().name() in TURNED:
        return _compared(run, TURNED[parts[0].decl().name()], parts[0].children())
    if name in FLIPPED and z3.is_rational_value(parts[0]):  # 1/2 >= x
        return _compared(run, FLIPPED[name], parts[::-1])
    if name in SIGNS:
        return _compared(run, SIGNS[name], parts)
    rank = RANKS.get(name)
    if rank is None:
        inside = ", ".join(_rendered(run, part, OR) for part in parts)
        return f"{name}({inside})", ATOM
    if name == "not":
        return f"not {_rendered(run, parts[0], NOT)}", NOT
    if name == "-" and len(parts) == 1:
        return f"-{_rendered(run, parts[0], PRODUCT)}", SUM
    if name == "*":
        return _product(run, parts)
    words = [_rendered(run, part, rank + (k > 0 and name in "-/")) for k, part in enumerate(parts)]
    if name == "/":
        return "/".join(words), PRODUCT
    return f" {name} ".join(words).replace("+ -", "- "), rank


def _constant(value: Any) -> tuple[str, int]:
    """Return a number: 2 stands by itself, 1/2 is written as a quotient, -2 as a difference."""
    return str(value), SUM if value < 0 else ATOM if value.denominator == 1 else PRODUCT


def _compared(run: Run, sign: str, parts: list[Any]) -> tuple[str, int]:
    return f" {sign} ".join(_rendered(run, part, SUM) for part in parts), COMPARED


def _product(run: Run, parts: list[Any]) -> tuple[str, int]:
    """Return a product, with what occurs several times as a power; a number in front needs no brackets."""
    words = [word for part in _factors(parts) if (word := _rendered(run, part, POWER)) != "1"]
    factors = [f"{_base(word)}^{n}" if (n := words.count(word)) > 1 else word for word in dict.fromkeys(words)]
    if len(factors) < 2:
        return (factors[0], POWER) if factors else ("1", ATOM)
    bare = factors[0].strip("()")
    if NUMBER.fullmatch(bare):
        return "*".join([bare, *factors[1:]]), SUM if bare.startswith("-") else PRODUCT
    return "*".join(factors), PRODUCT


def _base(word: str) -> str:
    """Return what stands below an exponent: a power of its own is put in brackets."""
    return f"({word})" if word.startswith("e^") else word


def _factors(parts: list[Any]) -> list[Any]:
    """Return the factors of a product of products."""
    return [one for part in parts for one in (_factors(part.children()) if _is_product(part) else [part])]


def _is_product(term: Any) -> bool:
    return bool(term.children()) and term.decl().name() == "*"


def _defined(run: Run, term: Any) -> tuple[str, int]:
    """Return what a variable that others define stands for: a quotient, a root, an exponential, a logarithm."""
    for above, below, known in run._quotients:
        if known.term.eq(term):
            return f"{_rendered(run, above, PRODUCT)}/{_rendered(run, below, POWER)}", PRODUCT
    for of, known in run._roots:
        if known.term.eq(term):
            return f"sqrt({_rendered(run, of, OR)})", ATOM
    for _, argument, value in run.functions:
        if value.term.eq(term) and "." in str(term):
            return f"e^({_rendered(run, argument.term, OR)})", POWER
        if argument.term.eq(term) and "." in str(term):
            return f"log({_rendered(run, value.term, OR)})", ATOM
    return str(term).removesuffix("_"), ATOM  # a word of SMT-LIB, see Run.real
