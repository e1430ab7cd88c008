"""Measure a conjecture on the kernel of a language model: in how many pairs it holds, and in which it holds least."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from dynamics.errors import InvalidArgument
from theory.decision.asked import asked, predicate_of
from theory.decision.sides import OPPOSITE, Side, Traced, traced
from theory.decision.view import unknown_name
from theory.names import ShortNames
from theory.proof import balls
from theory.proof.balls import Ball
from theory.proof.searched import holds_at
from theory.proof.symbols import NoSuchResponse

if TYPE_CHECKING:
    from dynamics.language_model import CausalLM, TokenSequence

PERTURBED = 8  # perturbed kernels, within the rounding error; the answer must be the same on each


class MeasuredWorld(ShortNames):
    """One preference pair of a language model, and one further response if there is one.

    The numbers are the computed ones, held exactly: fractions do not underflow where a probability is e^-2000.

    Args:
        log_probs: log pi of the chosen, the rejected and the further response, nats.
        gram: inner products of their scores.
    """

    def __init__(self, log_probs: Sequence[float], gram: Sequence[Sequence[Fraction]]) -> None:
        self.p = tuple(map(probability, log_probs))
        self._gram = gram
        self.chosen, self.rejected = 0, 1

    @property
    def others(self) -> tuple[int, ...]:
        """Return the responses outside the pair."""
        return tuple(range(2, len(self.p)))

    @property
    def y(self) -> int:
        """Return the further response."""
        if len(self.p) < 3:
            raise NoSuchResponse("no response outside the pair was given")
        return 2

    def kernel(self, y: int, z: int) -> Fraction:
        """Return <g_y, g_z>."""
        return self._gram[y][z]

    def squared_norm(self, y: int) -> Fraction:
        """Return |g_y|^2."""
        return self._gram[y][y]

    def drive(self, y: int) -> Fraction:
        """Return A_y = g_y . (g_w - g_l)."""
        return self._gram[y][0] - self._gram[y][1]

    def log_change(self, y: int) -> Fraction:
        """Return the drive."""
        return self.drive(y)

    def change(self, y: int) -> Fraction:
        """Return p_y A_y."""
        return self.p[y] * self.drive(y)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise InvalidArgument("conjecture", unknown_name("a measured pair", name, self))


class Rounded(Traced):
    """A measured number, itself rounded, so that its roots, exponentials and logarithms are rounded to 128 bits."""

    __slots__ = ()

    def function(self, name: str) -> Fraction:
        """Return sqrt, exp or log of the value."""
        ball = {"sqrt": balls.root, "exp": balls.exp, "log": balls.log}[name](Ball.of(self.value))
        mantissa, exponent = ball.arb.mid().man_exp()
        return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


@dataclass(frozen=True)
class MeasuredPair:
    """The result of measuring a conjecture in one pair.

    Attributes:
        number: of the pair, from 0.
        holds: whether the conjecture is true; None if its premise is not met, or it uses a response that was not given.
        close: whether a kernel within the rounding error gives another answer.
        side: the comparison with the least slack; if the conjecture is false, the one that made it false.
        slack: margin by which that comparison is true, relative to the size of its sides; negative if it is false.
        problem: why the pair could not be measured; "" if it was.
    """

    number: int
    holds: bool | None
    close: bool = False
    side: Side | None = None
    slack: float = math.inf
    problem: str = ""

    def __str__(self) -> str:
        """Return it in one line."""
        if self.problem:
            return f"pair {self.number}: {self.problem}"
        close = ", too close to tell" if self.close else ""
        if self.side is None:
            return f"pair {self.number}: {self.holds}{close}"
        side = self.side
        true = side.relation if side.true else OPPOSITE[side.relation]
        values = f"{decimal(side.left_value)} {true} {decimal(side.right_value)}"
        return f"pair {self.number}: {'' if side.true else 'not '}{side.formula}: {values}{close}"


@dataclass(frozen=True, repr=False)
class Measurement:
    """In how many pairs of a language model a conjecture holds.

    Attributes:
        pairs: the result in each pair, in the order in which the pairs were given.
    """

    pairs: tuple[MeasuredPair, ...]

    @property
    def measured(self) -> tuple[MeasuredPair, ...]:
        """Return the pairs that count: those that meet the premise and have every response that the conjecture uses."""
        return tuple(pair for pair in self.pairs if pair.holds is not None)

    @property
    def holds(self) -> int:
        """Return in how many pairs it holds."""
        return sum(bool(pair.holds) for pair in self.measured)

    @property
    def worst(self) -> MeasuredPair | None:
        """Return the pair in which the conjecture is most false, or else least true; None if no pair counts."""
        return min(self.measured, key=lambda pair: (bool(pair.holds), pair.slack), default=None)

    def __str__(self) -> str:
        """Return it in words."""
        lines = [f"holds in {self.holds} of {len(self.measured)} pairs"]
        silent = sum(pair.holds is None and not pair.problem for pair in self.pairs)
        close = sum(pair.close for pair in self.measured)
        if close:
            lines[0] += f", {close} of them too close to tell"
        if silent:
            lines[0] += f"; it does not speak of {silent} more"
        if self.worst is not None:
            lines.append(f"worst: {self.worst}")
        lines += [str(pair) for pair in self.pairs if pair.problem]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)


def measure(
    conjecture: Callable[[Any], bool] | str,
    model: CausalLM,
    pairs: Iterable[Sequence[TokenSequence]],
    *,
    given: Callable[[Any], bool] | str | None = None,
    **options: Any,
) -> Measurement:
    r"""Evaluate a conjecture on the kernel of a language model, pair by pair.

    It takes the same predicates as ``decide``. A conjecture about another response y must hold for every further
    response of a pair.

    Args:
        conjecture: a predicate of a world, in its short names.
        model: a causal language model; it is not changed.
        pairs: the chosen and the rejected response of each pair, as ``tokenize`` makes them, and any further responses.
        given: a premise; pairs that do not meet it are not counted.
        **options: further arguments of ``dynamics.language_model.sequence_kernel``, such as ``dtype``.

    Returns:
        In how many pairs it holds, and the worst one. A pair that cannot be measured is kept with the reason.

    Raises:
        InvalidArgument: the conjecture is not a statement, or ``pairs`` is not a list of pairs.

    Example:
        >>> from dynamics.language_model import TokenSequence, tiny_model
        >>> w, l = TokenSequence((1, 2, 3), 2), TokenSequence((1, 2, 4), 2)
        >>> print(str(measure(lambda w: w.A_w >= w.A_l, tiny_model(), [(w, l), (l, w)])).split("\n")[0])
        holds in 2 of 2 pairs
    """
    from dynamics.language_model import sequence_kernel  # noqa: PLC0415 - torch
    from dynamics.language_model.precision import ROUNDING  # noqa: PLC0415

    said = asked("conjecture", predicate_of("conjecture", conjecture))
    premise = None if given is None else asked("given", predicate_of("given", given))
    if not isinstance(pairs, Iterable) or hasattr(pairs, "__array__"):
        raise InvalidArgument("pairs", pairs, "a list of pairs (chosen, rejected), each a TokenSequence")
    found = []
    for number, pair in enumerate(pairs):
        if not isinstance(pair, (tuple, list)) or len(pair) < 2:
            raise InvalidArgument(f"pairs[{number}]", pair, "a pair (chosen, rejected), and any further responses")
        try:
            kernel = sequence_kernel(model, pair, **options)
        except InvalidArgument as problem:
            if problem.argument in options or problem.argument == "model":
                raise
            found.append(MeasuredPair(number, None, problem=str(problem)))
            continue
        rounding = ROUNDING[kernel.dtype]
        found.append(_read(number, said, premise, kernel.log_probs.tolist(), kernel.kernel.tolist(), rounding))
    if not found:
        raise InvalidArgument("pairs", "the list is empty; give at least one pair")
    return Measurement(tuple(found))


def _read(
    number: int,
    said: Callable[[Any], bool],
    premise: Callable[[Any], bool] | None,
    log_probs: list[float],
    gram: list[list[float]],
    rounding: float,
) -> MeasuredPair:
    """Return the result in a pair; if the conjecture is about further responses, the worst of theirs."""
    chosen = []
    for other in range(2, len(log_probs)) if len(log_probs) > 2 else (None,):
        places = [0, 1] if other is None else [0, 1, other]
        logs = [log_probs[i] for i in places]
        exact = [[Fraction(gram[i][j]) for j in places] for i in places]
        chosen.append(_worth(number, said, premise, logs, exact, rounding))
    speaking = [pair for pair in chosen if pair.holds is not None]
    return min(speaking, key=lambda pair: (bool(pair.holds), pair.slack), default=MeasuredPair(number, None))


def _worth(
    number: int,
    said: Callable[[Any], bool],
    premise: Callable[[Any], bool] | None,
    log_probs: list[float],
    gram: list[list[Fraction]],
    rounding: float,
) -> MeasuredPair:
    sides: list[Side] = []

    def truth(world: MeasuredWorld) -> bool | None:
        sides.clear()
        unasked: list[Side] = []
        if premise is not None and holds_at(premise, traced(world, unasked, "", Rounded)) is not True:
            return None
        return holds_at(said, traced(world, sides, "", Rounded))

    holds = truth(MeasuredWorld(log_probs, gram))
    if holds is None:
        return MeasuredPair(number, None)
    agreeing = [side for side in sides if side.true == holds] or list(sides)
    least = min(agreeing, key=lambda side: side.slack, default=None)
    source = random.Random(0)
    near = [truth(MeasuredWorld(log_probs, _perturbed(gram, rounding, source))) for _ in range(PERTURBED)]
    slack = math.inf if least is None else least.slack
    return MeasuredPair(number, holds, any(answer is not holds for answer in near), least, slack)


def _perturbed(gram: list[list[Fraction]], rounding: float, source: random.Random) -> list[list[Fraction]]:
    """Return a kernel that differs by the rounding error, |dK_ij| = rounding sqrt(K_ii K_jj), with random signs."""
    lengths = [math.sqrt(max(float(gram[i][i]), 0.0)) for i in range(len(gram))]
    moved = [row[:] for row in gram]
    for i in range(len(gram)):
        for j in range(i + 1):
            step = Fraction(rounding * lengths[i] * lengths[j]) * source.choice((-1, 1))
            moved[i][j] += step
            if j < i:
                moved[j][i] = moved[i][j]
    return moved


def probability(log_prob: float) -> Fraction:
    """Return e^log_prob as a fraction, to the precision of a float, however small it is.

    Example:
        >>> round(float(probability(-1.0)), 12), probability(-5000.0) > 0
        (0.367879441171, True)
    """
    whole = math.floor(log_prob / math.log(2))
    return Fraction(math.exp(log_prob - whole * math.log(2))) * Fraction(2) ** whole


def decimal(value: Any) -> str:
    """Return a number with six digits, however large or small.

    Example:
        >>> decimal(Fraction(1, 3)), decimal(Fraction(1, 10**400))
        ('0.333333', '1E-400')
    """
    fraction = value if isinstance(value, Fraction) else Fraction(value)
    context = Context(prec=6, Emax=10**9, Emin=-(10**9))
    number = context.divide(Decimal(fraction.numerator), Decimal(fraction.denominator))
    return str(number.normalize(context))
