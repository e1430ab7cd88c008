"""Both sides of the comparisons that a predicate makes in one exact case, with their values.

A predicate is run once more with numbers that remember how they were computed. Every comparison that it makes is
recorded: the formula and the value on either side, and whether it is true.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

from theory.names import ShortNames
from theory.proof import functions
from theory.proof.balls import Ball
from theory.proof.exact import Surd
from theory.proof.symbols import NoSuchResponse

SUM, PRODUCT, SIGN, ATOM = 1, 2, 3, 4  # operator precedence of a formula
MOST = 12  # largest number of comparisons that are kept
OF_RESPONSES = (
    *("kernel", "drive", "change", "log_change", "squared_norm", "second_change"),
    *("inner", "outer", "kernel_theta", "kernel_phi"),
)  # what they are called with are responses
RELATION = {"!=": operator.ne, ">=": operator.ge, ">": operator.gt}
NEEDS = {"sqrt": ">=", "log": ">"}
NO_VALUE = {"!=": "it divides by this", ">=": "it takes the root of this", ">": "it takes the logarithm of this"}
OPPOSITE = {">=": "<", ">": "<=", "<=": ">", "<": ">=", "==": "!=", "!=": "=="}


@dataclass(frozen=True)
class Side:
    """One comparison that a predicate made.

    Attributes:
        left: formula of the left side, in the names of the world.
        relation: one of >=, >, <=, <, ==, !=.
        right: formula of the right side.
        left_value: its value, exact.
        right_value: its value, exact.
        true: whether the comparison is true.
        why: what has no value where it is false, if the predicate does not make the comparison itself; "" if it does.
    """

    left: str
    relation: str
    right: str
    left_value: Any
    right_value: Any
    true: bool
    why: str = ""

    def __str__(self) -> str:
        """Return formula and numbers, with the relation that is true.

        Example:
            >>> print(Side("D_w", ">=", "D_l", Fraction(21, 169), Fraction(24, 169), False))
            not D_w >= D_l: 21/169 < 24/169
        """
        true = self.relation if self.true else OPPOSITE[self.relation]
        return (
            f"{'' if self.true else 'not '}{self.formula}: {_value(self.left_value)} {true} {_value(self.right_value)}"
            f"{self.why and f' ({self.why})'}"
        )

    @property
    def formula(self) -> str:
        """Return the comparison in the names of the world."""
        return f"{self.left} {self.relation} {self.right}"

    @property
    def slack(self) -> float:
        """Return the margin by which it is true, the difference of its sides over the sum of their sizes; < 0 if false.

        It is 0 for an equation that holds, and minus the relative difference for one that does not.
        """
        left, right = self.left_value, self.right_value
        size = abs(left) + abs(right)
        if not size:
            return 0.0
        difference = _float((left - right) / size) + 0.0
        if self.relation in ("==", "!="):
            return 0.0 - abs(difference) if self.relation == "==" else abs(difference)
        return difference if self.relation in (">=", ">") else -difference


class Traced:
    """An exact number that remembers its formula and records every comparison.

    Args:
        value: a fraction, a sum of roots or a ball.
        text: its formula.
        level: operator precedence of the formula.
        sides: where comparisons are written down.
    """

    __slots__ = ("level", "sides", "text", "value")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: Any, text: str, level: int, sides: list[Side]) -> None:
        self.value, self.text, self.level, self.sides = value, text, level, sides

    def _combine(self, other: Any, operation: Callable[..., Any], sign: str, level: int, *, swap: bool = False) -> Any:
        theirs = other if isinstance(other, Traced) else _number(other, self.sides)
        if theirs is None:
            return NotImplemented
        a, b = (theirs, self) if swap else (self, theirs)
        if sign == "/":
            b._needs("!=")
        tighter = level + 1 if sign in (" - ", "/") else level
        right = b._inside(tighter)
        text = a._inside(level) + (" * " if sign == " " and right[:1].isdigit() else sign) + right
        return type(self)(operation(a.value, b.value), text, level, self.sides)

    def _inside(self, level: int) -> str:
        return self.text if self.level >= level else f"({self.text})"

    def __add__(self, other: Any) -> Any:
        return self._combine(other, operator.add, " + ", SUM)

    def __radd__(self, other: Any) -> Any:
        return self if _is_zero(other) else self._combine(other, operator.add, " + ", SUM, swap=True)

    def __sub__(self, other: Any) -> Any:
        return self._combine(other, operator.sub, " - ", SUM)

    def __rsub__(self, other: Any) -> Any:
        return self._combine(other, operator.sub, " - ", SUM, swap=True)

    def __mul__(self, other: Any) -> Any:
        return self._combine(other, operator.mul, " ", PRODUCT)

    def __rmul__(self, other: Any) -> Any:
        return self._combine(other, operator.mul, " ", PRODUCT, swap=True)

    def __truediv__(self, other: Any) -> Any:
        return self._combine(other, operator.truediv, "/", PRODUCT)

    def __rtruediv__(self, other: Any) -> Any:
        return self._combine(other, operator.truediv, "/", PRODUCT, swap=True)

    def __pow__(self, power: int) -> Traced:
        if isinstance(power, int) and power < 0:
            self._needs("!=")
        return type(self)(self.value**power, f"{self._inside(ATOM)}^{power}", SIGN, self.sides)

    def __neg__(self) -> Traced:
        return type(self)(-self.value, f"-{self._inside(PRODUCT)}", SIGN, self.sides)

    def __pos__(self) -> Traced:
        return self

    def __abs__(self) -> Traced:
        return type(self)(abs(self.value), f"|{self.text}|", ATOM, self.sides)

    def __bool__(self) -> bool:
        return bool(self.value)

    def _compare(self, other: Any, relation: str, operation: Callable[..., Any]) -> Any:
        theirs = other if isinstance(other, Traced) else _number(other, self.sides)
        if theirs is None:
            return NotImplemented
        true = operation(self.value, theirs.value)
        if len(self.sides) < MOST:
            self.sides.append(Side(self.text, relation, theirs.text, self.value, theirs.value, bool(true)))
        return true

    def __le__(self, other: Any) -> Any:
        return self._compare(other, "<=", operator.le)

    def __lt__(self, other: Any) -> Any:
        return self._compare(other, "<", operator.lt)

    def __ge__(self, other: Any) -> Any:
        return self._compare(other, ">=", operator.ge)

    def __gt__(self, other: Any) -> Any:
        return self._compare(other, ">", operator.gt)

    def __eq__(self, other: object) -> Any:
        return self._compare(other, "==", operator.eq)

    def __ne__(self, other: object) -> Any:
        return self._compare(other, "!=", operator.ne)

    def applied(self, name: str) -> Traced:
        """Return a function of ``theory.proof`` (sqrt, exp, log) of this number."""
        if name in NEEDS:
            self._needs(NEEDS[name])
        return type(self)(self.function(name), f"{name}({self.text})", ATOM, self.sides)

    def _needs(self, relation: str) -> None:
        """Write down the condition under which a quotient, a root or a logarithm has a value, if it is not met."""
        if not RELATION[relation](self.value, 0) and len(self.sides) < MOST:
            self.sides.append(Side(self.text, relation, "0", self.value, Fraction(0), False, NO_VALUE[relation]))

    def function(self, name: str) -> Any:
        """Return sqrt, exp or log of the value."""
        return getattr(functions, name)(self.value)


class _View:
    """A world whose numbers remember their names; everything else is the world's own."""

    def __init__(self, world: Any, sides: list[Side], prefix: str, number: type[Traced]) -> None:
        self._world, self._sides, self._prefix, self._number = world, sides, prefix, number

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._world, name)
        shown = self._prefix + name
        if callable(value):
            return lambda *arguments, **named: self._answer(value, shown, arguments, named)
        return _Sequence(self, value) if name == "p" and isinstance(value, tuple) else self.number(value, shown)

    def __getitem__(self, number: int) -> Any:
        return self.number(self._world[number], f"{self._prefix}b[{number}]")

    def __len__(self) -> int:
        return len(self._world)

    def _answer(self, function: Callable[..., Any], shown: str, arguments: Any, named: Any) -> Any:
        plain = [_plain(argument) for argument in arguments]
        named_responses = function.__name__ in OF_RESPONSES
        inside = ", ".join(self.letter(a) if named_responses else _value(a) for a in plain)
        value = function(*plain, **{key: _plain(a) for key, a in named.items()})
        return self.number(value, f"{shown}({inside})")

    def number(self, value: Any, name: str) -> Any:
        """Return a value of the world under a name."""
        return traced(value, self._sides, name, self._number)

    def letter(self, y: Any) -> str:
        """Return w, l or y for the index of a response, and other arguments as text."""
        world = self._world
        if type(y) is int and isinstance(world, ShortNames):
            return next((letter for letter, z in _letters(world).items() if z == y), str(y))
        return _value(y)


class _Sequence:
    """The probabilities of a world."""

    def __init__(self, view: _View, values: tuple[Any, ...]) -> None:
        self._view, self._values = view, values

    def __getitem__(self, y: Any) -> Any:
        name = f"{self._view._prefix}p_{self._view.letter(_plain(y))}"
        return self._view.number(self._values[_plain(y)], name)

    def __len__(self) -> int:
        return len(self._values)


def sides_of(predicate: Callable[..., Any], case: Any) -> tuple[Side, ...]:
    """Return the comparisons that a predicate makes in an exact case; none if it cannot be run in this way.

    Example:
        >>> from theory.worlds import World
        >>> ladder = World.log_linear([[0], [1], [2]], at=[3])
        >>> print(*sides_of(lambda w: w.D_w - 2 * w.D_l >= 0, ladder))
        not D_w - 2 D_l >= 0: -27/169 < 0
    """
    sides: list[Side] = []
    try:
        predicate(traced(case, sides, ""))
    except Exception:  # a courtesy, which must not hide the verdict: the predicate may use what a view does not have
        return tuple(sides)
    return tuple(sides)


def traced(value: Any, sides: list[Side], name: str, number: type[Traced] = Traced) -> Any:
    """Return a case whose numbers remember their names.

    Args:
        value: a number, a world, or numbers and worlds in a tuple, a list or a namespace.
        sides: where comparisons are written down.
        name: of the value; "" for the case itself.
        number: the class of the numbers.
    """
    if isinstance(value, (Fraction, Surd, Ball)):
        return number(value, name or _value(value), ATOM, sides)
    if isinstance(value, ShortNames) or hasattr(type(value), "caption"):
        return _View(value, sides, f"{name}." if name else "", number)
    if type(value) in (tuple, list):
        names = [f"{name}[{i}]" if name else "" for i in range(len(value))]
        return type(value)(traced(item, sides, own, number) for item, own in zip(value, names, strict=True))
    if isinstance(value, SimpleNamespace):
        prefix = f"{name}." if name else ""
        return SimpleNamespace(**{key: traced(item, sides, prefix + key, number) for key, item in vars(value).items()})
    return value


def _letters(world: ShortNames) -> dict[str, Any]:
    letters = {"w": world.chosen, "l": world.rejected}
    try:
        return letters | {"y": world.y}
    except NoSuchResponse:
        return letters


def _number(value: object, sides: list[Side]) -> Traced | None:
    if isinstance(value, bool) or not isinstance(value, (int, Fraction, Surd, Ball)):
        return None
    text = _value(value)
    return Traced(value, text, PRODUCT if "/" in text else ATOM if text[:1] != "-" else SIGN, sides)


def _is_zero(value: object) -> bool:
    return type(value) is int and value == 0


def _float(value: Any) -> float:
    return float(Ball.of(value).arb.mid()) if isinstance(value, (Surd, Ball)) else float(value)


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Traced) else value


def _value(value: Any) -> str:
    return str(value).replace("+ -", "- ")
