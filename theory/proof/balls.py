"""Real numbers as intervals that are certain to hold them, and proofs that a statement holds on a whole interval.

A ``Ball`` is a number known to lie in a small interval (python-flint's ``arb``). A comparison of balls is True or False
only if it is so for every number in them; else it raises ``Undecided``. A predicate that is True on a ball is therefore
true of every point of it, and ``everywhere`` cuts an interval into pieces until each is decided.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise, product
from typing import Any

from theory.proof.checks import truth_value
from theory.proof.symbols import NoValue

Rational = int | Fraction
PRECISION = 128  # bits
PROBES = 32


class Undecided(ArithmeticError):
    """The interval is too wide to tell."""


class Ball:
    """A real number known to within a certain interval.

    Example:
        >>> bool(exp(Ball.of(1)) > 2)
        True
        >>> Ball.of(Fraction(1, 3)) == Fraction(1, 3)
        Traceback (most recent call last):
        theory.proof.balls.Undecided: the sign of [+/- 2.94e-39] is not certain
    """

    __slots__ = ("arb",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, arb: Any) -> None:
        self.arb = arb

    @staticmethod
    def of(value: Any) -> Ball:
        """Return a whole number, a fraction or an exact sum of roots as a ball."""
        if isinstance(value, Ball):
            return value
        if isinstance(value, (int, Fraction)) and not isinstance(value, bool):
            return Ball(_arb(value))
        from theory.proof.exact import Surd  # noqa: PLC0415

        if isinstance(value, Surd):
            return Ball(sum((_arb(q) * _arb(n).sqrt() for n, q in value.parts.items()), _arb(0)))
        raise TypeError(f"a statement computes with whole numbers and fractions, not with {value!r}")

    @staticmethod
    def between(low: Rational, high: Rational) -> Ball:
        """Return a ball that holds every number from ``low`` to ``high``."""
        return Ball(_arb(low).union(_arb(high)))

    def __add__(self, other: Any) -> Ball:
        return Ball(self.arb + (other.arb if type(other) is Ball else _operand(other)))

    def __sub__(self, other: Any) -> Ball:
        return Ball(self.arb - (other.arb if type(other) is Ball else _operand(other)))

    def __rsub__(self, other: Any) -> Ball:
        return Ball(_operand(other) - self.arb)

    def __mul__(self, other: Any) -> Ball:
        return Ball(self.arb * (other.arb if type(other) is Ball else _operand(other)))

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Ball:
        return Ball(-self.arb)

    def __abs__(self) -> Ball:
        return Ball(abs(self.arb))

    def __truediv__(self, other: Any) -> Ball:
        below = Ball.of(other)
        if below.arb.contains(0):
            raise NoValue("division by zero") if below.arb.is_zero() else Undecided("a divisor that may be zero")
        return Ball(self.arb / below.arb)

    def __rtruediv__(self, other: Any) -> Ball:
        if self.arb.contains(0):
            return Ball.of(other) / self  # an error
        return Ball(_operand(other) / self.arb)

    def __pow__(self, power: int) -> Ball:
        if isinstance(power, bool) or not isinstance(power, int):
            raise TypeError(f"** takes whole powers, not {power!r}; use power(x, exponent)")
        return Ball(self.arb**power) if power >= 0 else 1 / Ball(self.arb**-power)

    def sign(self) -> int:
        """Return -1, 0 or 1.

        Raises:
            Undecided: the interval holds numbers of different signs.
        """
        if self.arb > 0:
            return 1
        if self.arb < 0:
            return -1
        if self.arb.is_zero():
            return 0
        raise Undecided(f"the sign of {self.arb.str(3)} is not certain")

    def __gt__(self, other: Any) -> bool:
        difference = (self - other).arb
        if difference > 0 or difference <= 0:
            return bool(difference > 0)
        raise Undecided(f"the sign of {difference.str(3)} is not certain")

    def __ge__(self, other: Any) -> bool:
        difference = (self - other).arb
        if difference >= 0 or difference < 0:
            return bool(difference >= 0)
        raise Undecided(f"the sign of {difference.str(3)} is not certain")

    def __lt__(self, other: Any) -> bool:
        return not self >= other

    def __le__(self, other: Any) -> bool:
        return not self > other

    def __eq__(self, other: object) -> bool:
        return (self - other).sign() == 0

    def __bool__(self) -> bool:
        return self.sign() != 0

    def __float__(self) -> float:
        raise TypeError("an interval cannot be converted to a float; use sqrt, exp, log of theory.proof")

    __int__ = __index__ = __trunc__ = __float__

    def __repr__(self) -> str:
        return self.arb.str(12)


def midpoint(x: Any) -> float:
    """Return the floating-point number nearest to the middle of a ball: to be read or tested, never part of a proof.

    Example:
        >>> midpoint(exp(1))
        2.718281828459045
    """
    return float(x.arb) if isinstance(x, Ball) else float(x)


def exp(x: Any) -> Ball:
    """Return e^x of a ball, a fraction or a sum of roots."""
    return Ball(_arb_of(x).exp())


def log(x: Any) -> Ball:
    """Return the natural logarithm.

    Raises:
        NoValue: the number is not positive.
        Undecided: the interval contains 0 or negative numbers as well.
    """
    ball = x if type(x) is Ball else Ball.of(x)
    if ball.arb <= 0:
        raise NoValue("logarithm of a number that is not positive")
    if not ball.arb > 0:
        raise Undecided("logarithm of a number that may not be positive")
    return Ball(ball.arb.log())


def root(x: Any) -> Ball:
    """Return the square root.

    Raises:
        NoValue: the number is negative.
        Undecided: the interval contains negative numbers as well.
    """
    ball = Ball.of(x)
    if ball.arb < 0:
        raise NoValue("root of a negative number")
    if not ball.arb >= 0:
        raise Undecided("root of a number that may be negative")
    return Ball(ball.arb.sqrt())


def omega(x: Any) -> Ball:
    """Return the number w with w + log w = x: Wright's omega function, W(e^x) with Lambert's W.

    Example:
        >>> bool(abs(omega(1) - 1) < Fraction(1, 10**15))
        True
    """
    return Ball(Ball.of(x).arb.exp().lambertw())


def normal_cdf(x: Any) -> Ball:
    """Return the distribution function Phi of the standard normal distribution.

    Example:
        >>> bool(abs(normal_cdf(Fraction(196, 100)) - Fraction(975, 1000)) < Fraction(1, 10**5))
        True
    """
    return Ball((1 + (Ball.of(x) / root(2)).arb.erf()) / 2)


def normal_density(x: Any) -> Ball:
    """Return the density phi of the standard normal distribution.

    Example:
        >>> bool(abs(2 * normal_density(0) - Fraction(797885, 10**6)) < Fraction(1, 10**6))
        True
    """
    from flint import arb  # noqa: PLC0415

    return exp(-(Ball.of(x) ** 2) / 2) / root(Ball(2 * arb.pi()))


def integral(function: Callable[[Ball], Ball], low: Rational, high: Rational, pieces: int) -> Ball:
    """Return a ball that holds an integral: the sum over equal pieces of a value that holds all values there.

    Example:
        >>> area = integral(lambda x: x * x, 0, 1, 1000)
        >>> abs(area - Fraction(1, 3)) < Fraction(1, 500)
        True
    """
    ends = [low + (high - low) * Fraction(k, pieces) for k in range(pieces + 1)]
    width = Fraction(high - low, 1) / pieces
    return sum((function(Ball.between(a, b)) for a, b in pairwise(ends)), Ball.of(0)) * width


@dataclass(frozen=True)
class Covering:
    """The result of a proof on an interval.

    Attributes:
        verdict: "proved", "refuted" or "undecided".
        pieces: number of intervals that were examined.
        where: the piece on which the statement is false, or the smallest one on which it could not be decided.
    """

    verdict: str
    pieces: int
    where: tuple[Fraction, Fraction] | None = None

    def __str__(self) -> str:
        """Return it in words."""
        place = ""
        if self.where is not None:
            low, high = (f"{float(end):.6g}" for end in self.where)
            place = f" at {low}" if low == high else f" between {low} and {high}"
        return f"{self.verdict}{place}, {self.pieces} interval{'s' if self.pieces > 1 else ''}"


def everywhere(
    predicate: Callable[[Ball], bool], low: Rational, high: Rational, *, finest: int = 40, most: int = 200_000
) -> Covering:
    """Prove a predicate of one real number on all of [low, high], or find a piece on which it is false.

    Args:
        predicate: plain Python on a ``Ball``, with ``exp``, ``log``, ``sqrt`` of ``theory.proof``.
        low: left end.
        high: right end, >= low.
        finest: an interval is halved at most this often.
        most: largest number of pieces to examine, a limit on the work.

    Example:
        >>> print(everywhere(lambda x: exp(x) >= 1 + x + x * x / 3, 1, 2).verdict)
        proved
        >>> print(everywhere(lambda x: exp(x) >= 1 + 2 * x, 1, 2))
        refuted at 1, 1 interval
    """
    from theory.proof.reading import check_reading  # noqa: PLC0415

    check_reading(predicate)
    low, high = Fraction(low), Fraction(high)
    if high < low:
        raise ValueError(f"the interval from {low} to {high} is empty")
    for k in range(PROBES + 1):  # counterexamples are found faster at single points than on pieces
        at = low + (high - low) * Fraction(k, PROBES)
        if _on(predicate, at, at) is False:
            return Covering("refuted", k + 1, (at, at))
    todo = [(low, high, finest)]
    pieces = 0
    while todo:
        a, b, depth = todo.pop()
        pieces += 1
        holds = _on(predicate, a, b)
        if holds is None:
            if depth == 0 or pieces >= most or a == b:
                return Covering("undecided", pieces, (a, b))
            middle = (a + b) / 2
            todo += [(middle, b, depth - 1), (a, middle, depth - 1)]
        elif not holds:
            return Covering("refuted", pieces, (a, b))
    return Covering("proved", pieces)


def _on(predicate: Callable[[Ball], bool], low: Fraction, high: Fraction) -> bool | None:
    """Return whether a predicate is true everywhere on an interval, false everywhere, or neither is certain."""
    try:
        return truth_value(predicate(Ball.between(low, high)))
    except (NoValue, ZeroDivisionError):
        return False
    except Undecided:
        return None


def leftovers(
    is_clear: Callable[..., bool], *sides: tuple[Rational, Rational], finest: int, most: int = 50_000
) -> list[tuple[Ball, ...]]:
    """Cut a box into smaller ones until a statement is certain on each; return the smallest boxes where it is not.

    Args:
        is_clear: takes a ball for each side; True where it is certain, False or ``Undecided`` elsewhere.
        *sides: the box.
        finest: every side is halved at most this often.
        most: largest number of boxes to examine, a limit on the work.

    Raises:
        Undecided: after ``most`` boxes some are left to examine.

    Example:
        >>> roots = leftovers(lambda x: x * x > 2 or x * x < 2, (0, 4), finest=20)
        >>> all(abs(root * root - 2) < Fraction(1, 10000) for (root,) in roots), len(roots) < 4
        (True, True)
    """
    todo = [(tuple((Fraction(low), Fraction(high)) for low, high in sides), 0)]
    left: list[tuple[Ball, ...]] = []
    for _ in range(most):
        if not todo:
            return left
        box, halved = todo.pop()
        balls = tuple(Ball.between(low, high) for low, high in box)
        try:
            clear = is_clear(*balls)
        except Undecided:
            clear = False
        if not clear and halved == finest:
            left.append(balls)
        elif not clear:
            halves = [((low, (low + high) / 2), ((low + high) / 2, high)) for low, high in box]
            todo += [(part, halved + 1) for part in product(*halves)]
    raise Undecided(f"{most} boxes were examined and some are left; raise most, or lower finest")


def constant(predicate: Callable[[], bool]) -> Covering:
    """Decide a statement about constants.

    Example:
        >>> print(constant(lambda: log(2) < Fraction(7, 10)).verdict)
        proved
    """
    from theory.proof.reading import check_reading  # noqa: PLC0415

    check_reading(predicate)
    try:
        return Covering("proved" if truth_value(predicate()) else "refuted", 1)
    except NoValue:
        return Covering("refuted", 1)
    except Undecided:
        return Covering("undecided", 1)


def _arb_of(value: Any) -> Any:
    return value.arb if type(value) is Ball else Ball.of(value).arb


def _operand(other: Any) -> Any:
    """Return what python-flint adds to an interval: whole numbers as they are."""
    return other if type(other) is int else Ball.of(other).arb


def _arb(value: Rational) -> Any:
    flint = _flint()
    if flint.ctx.prec < PRECISION:  # noqa: PLR1730 - to set it takes longer than to look
        flint.ctx.prec = PRECISION
    return flint.arb(flint.fmpq(value.numerator, value.denominator))


@lru_cache(maxsize=1)
def _flint() -> Any:
    import flint  # noqa: PLC0415 - loaded where balls are needed

    return flint
