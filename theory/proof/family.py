"""What a statement is proved for, and searched in: a kind of worlds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

    from theory.proof.symbols import Run


@dataclass(frozen=True)
class Case:
    """One of the worlds over which a statement is proved.

    Attributes:
        name: which it is, such as "n = 2".
        build: makes its world in the symbols of a run.
        rebuild: makes an exact world from values of the symbols; raises ValueError if no world has these values. None
            if every world contains functions of which the solver knows only bounds, so that its values are of no use.
        only_if: this case is needed only if the predicate used this name, such as "y"; "" if it is always needed.
        exact: whether all values of the symbols that satisfy its assumptions are the values of some world.
    """

    name: str
    build: Callable[[Run], Any]
    rebuild: Callable[[dict[str, Any]], Any] | None
    only_if: str = ""
    exact: bool = True


@dataclass(frozen=True)
class Family:
    """A kind of worlds: what a statement is proved for, and searched in.

    Attributes:
        name: in words, as a verdict shows it.
        assumes: what is assumed of the symbols, in words.
        cases: worlds in symbols that together cover the kind.
        draw: draws an exact world of the kind.
        witnesses: cases among which to look for a counterexample if those of ``cases`` cannot be rebuilt.
        words: function that describes the numbers and assumptions of a ``setting``; None for kinds of worlds that have
            a name of their own.
        asks: of a ``setting``, the function that asks for its numbers, and its only case.
        induction: the settings of the first term and of one more, and the function that adds it, if the cases are the
            sums of any number of terms.
    """

    name: str
    assumes: str
    cases: tuple[Case, ...]
    draw: Callable[[random.Random], Any]
    witnesses: tuple[Case, ...] = ()
    words: Callable[[], str] | None = None
    asks: tuple[Callable[[Any], Any], Case] | None = None
    induction: tuple[Any, Any, Any] | None = None

    def ask(self, numbers: Any) -> Any:
        """Return a case of a ``setting``, made of numbers that it is given.

        Raises:
            TypeError: the family is no ``setting``, or some other family made from one.
        """
        function, case = self.asks or (None, None)
        if function is None or self.cases != (case,):
            raise TypeError(f"{self.name}: only the numbers of a setting can be part of another setting")
        return function(numbers)

    def says(self) -> str:
        """Return in words what the kind covers; if it has no name of its own, the words are generated from its cases.

        Example:
            >>> from theory.proof import POLICY, setting
            >>> setting("a share")(lambda numbers: numbers.between("s", 0, 1)).says(), POLICY.says()
            ('s strictly between 0 and 1', 'every policy')
        """
        return self.name if self.words is None else self.words()
