"""Worlds of your own: named real numbers and what is assumed of them, read in symbols, at random and from values.

A setting is a function that asks for its numbers and returns what a predicate works on. It is run three ways: a number
is a symbol of the solver for a proof, a random fraction for a search, the value of a counterexample when one is looked
at again. Define a number by a formula where possible (``x = k * y``) instead of assuming an equation, which random
fractions never satisfy.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

from theory.proof.balls import Undecided
from theory.proof.checks import truth_value
from theory.proof.family import Case, Family
from theory.proof.lemmas import note
from theory.proof.symbols import Number, Run

PATIENCE = 400  # random draws to find one case that meets the assumptions


class Rejected(Exception):
    """These values do not meet the assumptions."""


class Numbers:
    """Where a setting gets its numbers."""

    def real(self, name: str) -> Any:
        """Return any real number."""
        raise NotImplementedError

    def assume(self, *truths: Any) -> None:
        """Admit only worlds in which these are true."""
        raise NotImplementedError

    def case_of(self, family: Family, *lemmas: Callable[[Any], Any], keep: str = "") -> Any:
        """Return a case of another setting, made of numbers of this one, of which lemmas are true.

        A line of evidence that uses such worlds fails unless each lemma is what an earlier line of the claim proves
        over that very setting, or a claim that it rests on does.

        Args:
            family: the other setting.
            *lemmas: what was proved of its cases.
            keep: names of the fields of a case to keep, if not all: of these the solver then knows the lemmas only.

        Raises:
            TypeError: the family is no ``setting``.
        """
        case = self.kept(family, keep.split()) if keep else family.ask(self)
        for lemma in lemmas:
            note(lemma, family)
            self.assume(lemma(case))
        return case

    def kept(self, _: Any, names: Iterable[str]) -> Any:
        """Return numbers of a case of which the solver knows nothing; there need be no such case with its values."""
        return Named(**{name: self.real(name) for name in names})

    def positive(self, name: str) -> Any:
        """Return a number > 0."""
        value = self.real(name)
        self.assume(value > 0)
        return value

    def between(self, name: str, low: Any, high: Any) -> Any:
        """Return a number strictly between two others."""
        value = self.real(name)
        self.assume(value > low, value < high)
        return value

    def at_least(self, name: str, low: Any) -> Any:
        """Return a number from ``low`` on."""
        value = self.real(name)
        self.assume(value >= low)
        return value

    def within(self, name: str, low: Any, high: Any) -> Any:
        """Return a number between two others, or one of them."""
        value = self.real(name)
        self.assume(value >= low, value <= high)
        return value

    def natural(self, name: str, least: int) -> Any:
        """Return a whole number from ``least`` on; a proof takes it for any real number from there on."""
        value = self.real(name)
        self.assume(value >= least)
        return value


class _Symbols(Numbers):
    def __init__(self, run: Run) -> None:
        self.run = run

    def real(self, name: str) -> Number:
        if not name.isidentifier():
            raise ValueError(f"the name of a number must be a Python identifier, such as 'x', not {name!r}")
        return self.run.real(name)

    def natural(self, name: str, least: int) -> Number:
        self.run.incomplete = True  # a solution in which it is a fraction is not a case of the setting
        return super().natural(name, least)

    def kept(self, family: Any, names: Iterable[str]) -> Any:
        self.run.incomplete = True  # a counterexample must be drawn
        return super().kept(family, names)

    def assume(self, *truths: Any) -> None:
        self.run.assume(*truths)


class _Draws(Numbers):
    def __init__(self, source: random.Random) -> None:
        self.source = source
        self.values: dict[str, Fraction] = {}

    def _below(self, n: int) -> int:
        """Return a whole number from 0 to n - 1, as ``randrange(n)`` does in twice the time."""
        bits, draw = n.bit_length(), self.source.getrandbits
        while (number := draw(bits)) >= n:
            pass
        return number

    def _one_of(self, values: tuple[int, ...]) -> int:
        return values[self._below(len(values))]

    def _new(self, name: str, value: Any) -> Any:
        if name in self.values:
            raise ValueError(f"a world has two numbers named {name!r}; rename one")
        self.values[name] = value
        return value

    def real(self, name: str) -> Fraction:
        size = self._one_of((1, 3, 10, 40))
        value = Fraction(self._below(2 * size + 1) - size, self._one_of((1, 1, 2, 3, 7, 20)))
        return self._new(name, value)

    def positive(self, name: str) -> Fraction:
        return self._new(name, Fraction(1 + self._below(self._one_of((2, 12, 100))), self._one_of((1, 2, 3, 12, 100))))

    def between(self, name: str, low: Any, high: Any) -> Any:
        if not low < high:
            raise Rejected
        n = self._one_of((2, 3, 12, 100))
        return self._new(name, low + (high - low) * Fraction(1 + self._below(n - 1), n))

    def at_least(self, name: str, low: Any) -> Any:
        s = self.source
        return self._new(
            name, low + Fraction(s.choice((0, s.randint(0, s.choice((2, 12, 100))))), s.choice((1, 3, 12)))
        )

    def within(self, name: str, low: Any, high: Any) -> Any:
        if not low <= high:
            raise Rejected
        n = self.source.choice((1, 2, 3, 12, 100))
        return self._new(name, low + (high - low) * Fraction(self.source.randint(0, n), n))

    def natural(self, name: str, least: int) -> Fraction:
        return self._new(name, Fraction(least + self.source.choice((0, 0, 1, 2, 3, 6, 20))))

    def assume(self, *truths: Any) -> None:
        if not all(truth_value(truth) for truth in truths):
            raise Rejected

    def kept(self, family: Any, names: Iterable[str]) -> Any:
        case = family.ask(_Draws(self.source))
        return Named(**{name: self._new(name, getattr(case, name)) for name in names})


class _Values(Numbers):
    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def real(self, name: str) -> Any:
        return self.values[name]

    def kept(self, *_: Any) -> Any:
        raise Rejected  # nothing shows that these are the numbers of a case

    def natural(self, name: str, least: int) -> Any:
        value = self.values[name]
        if value != int(value):
            raise Rejected
        return super().natural(name, least)

    def assume(self, *truths: Any) -> None:
        if not all(truth_value(truth) for truth in truths):
            raise Rejected


class Named(SimpleNamespace):
    """The numbers of a setting under their names."""

    def __str__(self) -> str:
        """Return them in one line."""
        return ", ".join(f"{name} = {value}" for name, value in vars(self).items())


def drawn(function: Callable[[Numbers], Any], source: random.Random) -> Any:
    """Return what a function of numbers makes of random fractions that meet its assumptions.

    Raises:
        Rejected: no such fractions were found.
    """
    for _ in range(PATIENCE):
        try:
            return function(_Draws(source))
        except (Rejected, Undecided, ZeroDivisionError):
            continue
    name = getattr(function, "__name__", "a term")
    raise Rejected(
        f"{name}: no random fractions meet the assumptions; define numbers by a formula instead of assuming equations"
    )


def setting(assumes: str) -> Callable[[Callable[[Numbers], Any]], Family]:
    """Make a family of worlds from a function that asks for its numbers.

    Args:
        assumes: what it assumes, in words.

    Example:
        >>> @setting("0 < s < 1")
        ... def share(numbers):
        ...     return numbers.between("s", 0, 1)
        >>> from theory.proof import prove
        >>> print(prove(lambda s, bound=Fraction(1, 4): s * (1 - s) <= bound, share).verdict)
        proved
        >>> setting("x > 0")(lambda numbers: numbers.positive("x")).name  # in one line
        'x > 0'
    """

    def make(function: Callable[[Numbers], Any]) -> Family:
        def draw(source: random.Random) -> Any:
            return drawn(function, source)

        def rebuild(values: dict[str, Any]) -> Any:
            try:
                return function(_Values(values))
            except (Rejected, KeyError, Undecided, ZeroDivisionError) as problem:
                raise ValueError("these values do not meet the assumptions") from problem

        words = function.__doc__ or (assumes if "<" in function.__name__ else function.__name__.replace("_", " "))
        name = words.strip().split("\n")[0].rstrip(".")

        def say() -> str:
            from theory.proof.words import words_of  # noqa: PLC0415 - words_of asks for the numbers of a setting

            return words_of(function)

        case = Case("", lambda run: function(_Symbols(run)), rebuild)
        return Family(name, assumes, (case,), draw, words=say, asks=(function, case))

    return make


def world_of(assumes: str, where: Callable[[Named], tuple[Any, ...]] | None = None, /, **kinds: str) -> Family:
    """Make a setting of independent numbers, each of a given kind.

    Args:
        assumes: what it assumes, in words.
        where: further assumptions, a tuple of truth values.
        **kinds: "real", "positive", "negative", "nonnegative", or "share" for one strictly between 0 and 1.

    Raises:
        TypeError: an unknown kind.

    Example:
        >>> from theory.proof import prove
        >>> pair = world_of("a >= b > 0", lambda c: (c.a >= c.b,), a="positive", b="positive")
        >>> prove(lambda c, least=1: c.a / c.b >= least, pair).verdict
        'proved'
    """
    unknown = {kind for kind in kinds.values() if kind not in KINDS}
    if unknown:
        raise TypeError(f"a number is one of {', '.join(KINDS)}, not {', '.join(sorted(unknown))}")

    def ask(numbers: Numbers) -> Named:
        case = Named(**{name: KINDS[kind](numbers, name) for name, kind in kinds.items()})
        if where is not None:
            numbers.assume(*where(case))
        return case

    ask.__doc__ = f"every {', '.join(kinds)}"
    return setting(assumes)(ask)


def _nonnegative(numbers: Numbers, name: str) -> Any:
    numbers.assume((value := numbers.real(name)) >= 0)
    return value


KINDS: dict[str, Callable[[Numbers, str], Any]] = {
    "real": lambda numbers, name: numbers.real(name),
    "positive": lambda numbers, name: numbers.positive(name),
    "negative": lambda numbers, name: -numbers.positive(name),
    "nonnegative": _nonnegative,
    "share": lambda numbers, name: numbers.between(name, 0, 1),
}


def beside(family: Family, assumes: str) -> Callable[[Callable[[Numbers], Any]], Family]:
    """Make a family of pairs: a world of another family, and numbers of a setting beside it.

    Example:
        >>> from theory.proof import POLICY, prove
        >>> @beside(POLICY, "beta > 0")
        ... def with_beta(numbers):
        ...     return numbers.positive("beta")
        >>> def margin_grows(case, least=0):
        ...     w, beta = case
        ...     return beta * w.dd >= least
        >>> prove(margin_grows, with_beta).verdict, prove(margin_grows, with_beta, least=1).verdict
        ('proved', 'refuted')
    """

    def make(function: Callable[[Numbers], Any]) -> Family:
        numbers = setting(assumes)(function)
        (own,) = numbers.cases

        def paired(case: Case) -> Case:
            first, second = case.rebuild, own.rebuild
            return replace(
                case,
                build=lambda run: (case.build(run), own.build(run)),
                rebuild=None if first is None or second is None else lambda values: (first(values), second(values)),
            )

        return Family(
            f"{family.name}, {numbers.name}",
            f"{family.assumes}; {assumes}",
            tuple(map(paired, family.cases)),
            lambda source: (family.draw(source), numbers.draw(source)),
            tuple(map(paired, family.witnesses)),
            lambda: f"{family.says()}; {numbers.says()}",
        )

    return make


def mapped(family: Family, function: Callable[[Any], Any], name: str = "") -> Family:
    """Return the family of what a function makes of each case, in every reading.

    Args:
        family: the cases.
        function: makes one case of another; it is run on symbols, fractions and values alike.
        name: of the new family; that of the old one if not given.

    Example:
        >>> from theory.proof import POLICY, prove
        >>> sums = mapped(POLICY, lambda w: w.p_w + w.p_l)
        >>> prove(lambda mass: 0 < mass <= 1, sums).verdict, prove(lambda mass: mass < 1, sums).verdict
        ('proved', 'refuted')
    """

    def made(case: Case) -> Case:
        rebuild = case.rebuild
        return replace(
            case,
            build=lambda run: function(case.build(run)),
            rebuild=None if rebuild is None else lambda values: function(rebuild(values)),
        )

    return Family(
        name or family.name,
        family.assumes,
        tuple(map(made, family.cases)),
        lambda source: function(family.draw(source)),
        tuple(map(made, family.witnesses)),
    )


def either(name: str, assumes: str, families: Mapping[str, Family]) -> Family:
    """Return the family of the cases of several families: a statement must hold in all of them.

    Args:
        name: of the new family.
        assumes: in words.
        families: by the name that a verdict calls each.

    Example:
        >>> from theory.proof import prove
        >>> line = setting("x > 0")(lambda numbers: numbers.positive("x"))
        >>> below = setting("x < 0")(lambda numbers: -numbers.positive("x"))
        >>> both = either("x is not 0", "", {"x > 0": line, "x < 0": below})
        >>> str(prove(lambda x: x != 0, both)), prove(lambda x: x > 0, both).verdict
        ('proved for x is not 0 (x > 0, x < 0): 2 paths', 'refuted')
    """
    kinds = tuple(families.values())
    cases = tuple(replace(case, name=word) for word, family in families.items() for case in family.cases)
    return Family(name, assumes, cases, lambda source: source.choice(kinds).draw(source))
