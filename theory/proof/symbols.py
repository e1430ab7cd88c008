"""Numbers and truth values that are terms of a solver; every truth value that Python asks for is a fork in the run.

A predicate is ordinary Python. Given symbols in the place of numbers it runs as usual, until it asks whether something
is true (``if``, ``and``, ``not``, ``max``, a chained comparison). There the run takes one side and remembers that there
is another. Running the predicate once for each combination of sides visits every path through it.
"""

from __future__ import annotations

from fractions import Fraction
from math import isfinite
from typing import TYPE_CHECKING, Any

from theory.proof.terms import Told, at_least, at_most, equal, greater, identity, less, minus, plus, times, unequal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Constant = int | Fraction
RESERVED = {"true", "false", "and", "or", "not", "xor", "ite", "distinct", "let", "forall", "exists", "match", "abs"}
"""Words of SMT-LIB: a number of that name gets another one there, or no other solver could read a certificate."""


class NoValue(ZeroDivisionError):
    """The statement has no value here: it divides by zero, or takes a root or logarithm of a number that has none."""


class NoSuchResponse(LookupError):
    """The statement is about a response outside the pair, and there is none."""


class Impure(Exception):
    """A predicate that behaves differently when it is run again, or keeps symbols from an earlier run."""


class NotAStatement(TypeError):
    """A predicate that does not return True or False, or computes with numbers that are not exact."""


class OnlyExact(NotAStatement):
    """A predicate that uses what only exact worlds have, such as features or the number of responses."""


def as_fraction(value: object) -> str:
    """Return how to write a float as a fraction, as the end of a sentence; "" for anything else.

    Example:
        >>> as_fraction(0.1)
        '; write Fraction("0.1") or Fraction(1, 10)'
    """
    if not isinstance(value, float) or not isfinite(value):
        return ""
    exact = Fraction(repr(value))
    return f'; write Fraction("{value!r}") or Fraction({exact.numerator}, {exact.denominator})'


class Number:
    """A real number that is a term of the solver.

    It can be combined with whole numbers and fractions only: a float is not the number that it looks like.

    Args:
        run: the run that it belongs to.
        term: the term.
        square: the term that it is the nonnegative root of, if it is a root or a product of roots: to compare squares
            is the same statement, and easier.
    """

    __slots__ = ("run", "square", "term")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, run: Run, term: Any, square: Any = None) -> None:
        self.run, self.term, self.square = run, term, square

    def _of(self, other: object) -> Any:
        if isinstance(other, Number):
            if other.run is not self.run:
                raise self.run.fault(
                    Impure("the predicate keeps a number from an earlier run; it must depend on its world alone")
                )
            return other.term
        if isinstance(other, bool) or not isinstance(other, (int, Fraction)):
            message = f"a statement computes with whole numbers and fractions, not with {other!r}{as_fraction(other)}"
            raise self.run.fault(NotAStatement(message))
        return self.run.constant(other)

    def _new(self, term: Any) -> Number:
        return Number(self.run, term)

    def __add__(self, other: Number | Constant) -> Number:
        return self._new(plus(self.term, self._of(other)))

    def __radd__(self, other: Constant) -> Number:
        return self._new(plus(self._of(other), self.term))

    def __sub__(self, other: Number | Constant) -> Number:
        return self._new(minus(self.term, self._of(other)))

    def __rsub__(self, other: Constant) -> Number:
        return self._new(minus(self._of(other), self.term))

    def __mul__(self, other: Number | Constant) -> Number:
        product = self._new(times(self.term, self._of(other)))
        if self.square is not None and isinstance(other, Number) and other.square is not None:
            product.square = self.square * other.square
        return product

    def __rmul__(self, other: Constant) -> Number:
        return self._new(times(self._of(other), self.term))

    def __neg__(self) -> Number:
        return self._new(-self.term)

    def __pos__(self) -> Number:
        return self

    def __abs__(self) -> Number:
        return self if self >= 0 else -self

    def __pow__(self, power: int) -> Number:
        if isinstance(power, bool) or not isinstance(power, int):
            raise self.run.fault(NotAStatement(f"** takes whole powers, not {power!r}; use sqrt or power"))
        product = self.run.constant(1)
        for _ in range(abs(power)):
            product = times(product, self.term)
        whole = self._new(product)
        return whole if power >= 0 else 1 / whole

    def __truediv__(self, other: Number | Constant) -> Number:
        return self.run.quotient(self.term, self._of(other))

    def __rtruediv__(self, other: Constant) -> Number:
        return self.run.quotient(self._of(other), self.term)

    def _compared(self, other: object, relation: Callable[[Any, Any], Any]) -> Truth:
        """Compare two terms; of two roots the squares, of a root with another number that is not negative as well."""
        term, theirs = self.term, self._of(other)
        square = other.square if isinstance(other, Number) else None
        if self.square is None and square is None:
            return Truth(self.run, relation(term, theirs))
        if self.square is not None and square is not None:
            return Truth(self.run, relation(self.square, square))
        zero = self.run.constant(0)
        if self.square is not None:  # where the other side is negative any root is larger
            negative = self.run.decide(theirs < zero)
            return Truth(self.run, relation(zero, theirs) if negative else relation(self.square, theirs * theirs))
        negative = self.run.decide(term < zero)
        return Truth(self.run, relation(term, zero) if negative else relation(term * term, square))

    def __le__(self, other: Number | Constant) -> Truth:
        return self._compared(other, at_most)

    def __lt__(self, other: Number | Constant) -> Truth:
        return self._compared(other, less)

    def __ge__(self, other: Number | Constant) -> Truth:
        return self._compared(other, at_least)

    def __gt__(self, other: Number | Constant) -> Truth:
        return self._compared(other, greater)

    def __eq__(self, other: object) -> Truth:  # type: ignore[override]
        return self._compared(other, equal)

    def __ne__(self, other: object) -> Truth:  # type: ignore[override]
        return self._compared(other, unequal)

    def __bool__(self) -> bool:
        return self.run.decide(self.term != self.run.constant(0))

    def __float__(self) -> float:
        raise self.run.fault(NotAStatement("a symbol has no floating-point value; use sqrt, exp, log of theory.proof"))

    __int__ = __index__ = __trunc__ = __floor__ = __ceil__ = __complex__ = __len__ = __iter__ = __float__

    def _refuse(self, *_: object) -> float:
        raise self.run.fault(
            NotAStatement("symbols support only + - * /, whole powers, and sqrt, exp, log of theory.proof")
        )

    __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = __divmod__ = __rdivmod__ = __round__ = _refuse
    __rpow__ = __getitem__ = __contains__ = __matmul__ = _refuse

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__"):
            raise self.run.fault(
                NotAStatement(f"a symbol has no {name}: a statement must not depend on the type of its numbers")
            )
        raise AttributeError(name)

    def __repr__(self) -> str:
        if not self.run.closed:
            raise self.run.fault(
                NotAStatement("a symbol cannot be printed: a statement must not convert its numbers to text")
            )
        return f"Number({self.term})"


class Truth:
    """A truth value that is a term of the solver; ``bool`` of it is a fork.

    ``&``, ``|``, ``^`` and ``~`` combine truth values without a fork, ``==`` and ``!=`` compare two of them.
    """

    __slots__ = ("run", "term")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, run: Run, term: Any) -> None:
        self.run, self.term = run, term

    def __bool__(self) -> bool:
        return self.run.decide(self.term)

    def _of(self, other: object) -> Any:
        return self.run.truth_term(other)

    def __and__(self, other: Truth | bool) -> Truth:
        return Truth(self.run, self.run.z3.And(self.term, self._of(other)))

    def __or__(self, other: Truth | bool) -> Truth:
        return Truth(self.run, self.run.z3.Or(self.term, self._of(other)))

    def __xor__(self, other: Truth | bool) -> Truth:
        return Truth(self.run, self.run.z3.Xor(self.term, self._of(other)))

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __invert__(self) -> Truth:
        return Truth(self.run, self.run.z3.Not(self.term))

    def __eq__(self, other: object) -> Truth:  # type: ignore[override]
        return Truth(self.run, self.term == self._of(other))

    def __ne__(self, other: object) -> Truth:  # type: ignore[override]
        return self ^ other  # type: ignore[operator]

    def _refuse(self, *_: object) -> float:
        raise self.run.fault(
            NotAStatement("a truth value cannot be used as a number; combine it with and, or, not, &, |, ~, ==")
        )

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __lt__ = __gt__ = __le__ = __ge__ = _refuse
    __int__ = __index__ = __float__ = _refuse

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__"):
            raise self.run.fault(NotAStatement(f"a truth value has no {name}"))
        raise AttributeError(name)

    def __repr__(self) -> str:
        if not self.run.closed:
            raise self.run.fault(
                NotAStatement("a truth value cannot be printed here: a statement must not convert it to text")
            )
        return f"Truth({self.term})"


class Run:
    """One path through a predicate.

    ``trail`` holds, in order, everything that is true on this path: assumptions of the world, definitions (a quotient,
    a root) and the side taken at each fork. What stands before a fork holds on both of its sides; what is defined after
    it belongs to its own side alone.

    Args:
        context: a solver context, which owns all terms.
        decisions: the side to take at the first forks, in order.
        possible: tells whether a list of terms can be true together; only a proof that they cannot counts as no.
        turn: the number of a question with only one answer, to which this run takes the other (to see whether the
            statement would then be false); -1 for none.
        told: what other runs in the same context told the solver, to which this one adds.
    """

    def __init__(
        self,
        context: Any,
        decisions: Sequence[bool],
        possible: Callable[[list[Any]], bool],
        turn: int = -1,
        told: Told | None = None,
    ) -> None:
        import z3  # noqa: PLC0415 - loaded for a proof only

        self.z3, self.context, self.decisions, self.possible = z3, context, list(decisions), possible
        self.trail: list[Any] = []
        self.forks: list[tuple[int, Any, bool]] = []  # length of the trail before the fork, what was asked, side taken
        self.faults: list[Exception] = []
        self.touched: set[str] = set()
        self.names: dict[str, Any] = {}
        self.functions: list[tuple[str, Any, Any]] = []  # transcendental ones: kind, argument, value
        self.closed = False  # whether the predicate has returned; symbols that it kept must not be used in another run
        self.told = Told() if told is None else told
        self.turn, self.settled = turn, 0  # questions with only one answer, such as whether x = x
        self.incomplete = False  # whether some function is known only by facts that other functions share
        self._quotients: list[tuple[Any, Any, Number]] = []
        self._roots: list[tuple[Any, Number]] = []

    def fault(self, error: Exception) -> Exception:
        """Remember an error and return it, so that a predicate that catches it is refused nevertheless."""
        self.faults.append(error)
        return error

    def constant(self, value: Constant) -> Any:
        """Return a whole number or a fraction as a term."""
        return self.z3.RealVal(str(value), self.context)

    def real(self, name: str) -> Number:
        """Return a new variable.

        Raises:
            ValueError: the name is taken: two numbers under one name would be one number.
        """
        if name in self.names:
            raise self.fault(ValueError(f"a world has two numbers named {name!r}; rename one"))
        self.names[name] = self.z3.Real(f"{name}.word" if name in RESERVED else name, self.context)
        return Number(self, self.names[name])

    def fresh(self, prefix: str) -> Number:
        """Return a new variable for a defined quantity; its name depends only on what was asked before."""
        return self.real(f"{prefix}.{len(self.names)}")

    def assume(self, *truths: object) -> None:
        """Add assumptions that hold in this world."""
        self.trail += [self.truth_term(truth) for truth in truths]

    def truth_term(self, value: object) -> Any:
        """Return a truth value as a term.

        Raises:
            NotAStatement: it is not a truth value.
            Impure: it comes from another run.
        """
        if isinstance(value, Truth):
            if value.run is not self:
                raise self.fault(
                    Impure("the predicate keeps a truth value from an earlier run; it must depend on its world alone")
                )
            return value.term
        if isinstance(value, bool):
            return self.z3.BoolVal(value, self.context)
        shown = "" if isinstance(value, (Number, tuple, list, dict, set)) else f" {value!r:.60}"
        raise self.fault(NotAStatement(f"a statement is True or False, not {type(value).__name__}{shown}"))

    def decide(self, term: Any) -> bool:
        """Return the side that this run takes where it asks whether ``term`` is true.

        Raises:
            Impure: the run is over: the predicate kept a symbol of it.
        """
        if self.closed:
            raise Impure(
                "the predicate keeps a number or a truth value from an earlier run; it must depend on its world alone"
            )
        simple = self.z3.simplify(term)
        if self.z3.is_true(simple) or self.z3.is_false(simple):
            self.settled += 1
            return bool(self.z3.is_true(simple)) != (self.settled - 1 == self.turn)
        at = len(self.forks)
        side = self.decisions[at] if at < len(self.decisions) else self.possible([*self.trail, term])
        self.forks.append((len(self.trail), term, side))
        self.trail.append(term if side else self.z3.Not(term))
        return side

    def other_side(self, fork: int) -> list[Any]:
        """Return what is true on the side of a fork that this run did not take."""
        length, term, side = self.forks[fork]
        return [*self.trail[:length], self.z3.Not(term) if side else term]

    def quotient(self, above: Any, below: Any) -> Number:
        """Return above / below; below = 0 is a path of its own, on which there is no value."""
        simple = self.z3.simplify(below)
        if self.z3.is_rational_value(simple) and not simple.eq(self.constant(0)):
            return Number(self, above / simple)
        for a, b, known in self._quotients:
            if identity(a) == identity(above) and identity(b) == identity(below):
                return known
        if self.decide(below == self.constant(0)):
            raise NoValue("division by zero")
        value, self.told.defines = self.fresh("quotient"), True
        self.trail.append(value.term * below == above)
        self._quotients.append((above, below, value))
        return value

    def root(self, of: Number) -> Number:
        """Return the square root; a negative number under it is a path of its own, on which there is no value."""
        for term, known in self._roots:
            if identity(term) == identity(of.term):
                return known
        if of < 0:
            raise NoValue("root of a negative number")
        value, self.told.defines = self.fresh("root"), True
        self.assume(value >= 0, value * value == of)
        value.square = of.term
        self._roots.append((of.term, value))
        return value
