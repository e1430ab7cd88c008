"""The small policies that come back again and again in the claims of this paper, in exact numbers."""

import random
from dataclasses import dataclass
from fractions import Fraction as F
from functools import cached_property
from typing import Any

from dynamics.errors import InvalidArgument
from theory.proof import LOG_LINEAR, TABULAR, Named, beside, log, with_step
from theory.worlds import Rational, Vector, World, dot

NEAR = F(11, 10)
"""In the place of a factor 1: a statement close to the one that is claimed."""

STEP, TABULAR_STEP = with_step(LOG_LINEAR), with_step(TABULAR)
"""Pairs of a world and E = e^s of an exact step of any size s > 0 on its pair: w.after(E) is the world after it."""

TWO_STEPS = beside(STEP, "a further step")(lambda numbers: 1 + numbers.positive("further"))
"""A pair as before, and G = e^t of a further step: w.after(E).after(G)."""


def ladder(x: Rational) -> World:
    """Return the ladder at e^theta = ``x``: rejected 0, chosen 1, another response 2, one parameter.

    For x < 1 the chosen response rises, for x > 1 both fall, and for x > 1 + sqrt(3) the chosen one falls more.

    Example:
        >>> [str(ladder(2).change(y)) for y in (0, 1)]
        ['-6/49', '-10/49']
    """
    return World.log_linear([[1], [0], [2]], at=[x])


BOTH_FALL = World.log_linear([[2], [3], [0]], at=[1])
"""A pair that overlaps, the rejected response further out: both fall in every step of any size."""

BOTH_RISE = World.log_linear([[3], [2], [0]], at=[1])
"""The same pair with the roles exchanged: both rise in a small step."""

SMALLEST_TABULAR = World.tabular([F(1, 12), F(1, 3), F(7, 12)])
"""A tabular softmax in which Eq. (49) fails; with two responses it never does."""

EVEN_PAIR = World.tabular([F(1, 2), F(1, 2)])
"""Two equally probable responses."""

MISRANKED = World.tabular([F(1, 3), F(2, 3)])
"""Two responses, the rejected one twice as probable."""


def curved_step(bend: Rational, theta: Rational, size: Rational) -> Named:
    """Return the log-odds theta + bend theta^2 of two responses before and after an exact step.

    It is the simplest policy that is not log-linear. ``slope`` is g_w - g_l; ``longer`` is 1 if |g_w| > |g_l|, -1 if
    |g_w| < |g_l|, else 0, since g_w = pi_l slope and g_l = -pi_w slope.

    Example:
        >>> print(curved_step(bend=-1, theta=0, size=2))  # the step is too long: the log-odds fall
        bend = -1, theta = 0, size = 2, slope = 1, before = 0, after = -2, longer = 0
    """
    slope = 1 + 2 * bend * theta
    before, after = (t + bend * t**2 for t in (theta, theta + size * slope))
    longer = ((before < 0) - (before > 0)) * (slope != 0)
    return Named(bend=bend, theta=theta, size=size, slope=slope, before=before, after=after, longer=longer)


def after_inner_step(odds: Rational, rate: Rational) -> Any:
    """Return the log-odds of two responses after a gradient step on the SFT loss, half of the data each."""
    return log(odds) - rate * (odds / (1 + odds) - F(1, 2))


def along(w: World) -> list[F]:
    """Return phi_y . (phi_w - phi_l) of every response: what its logit gains per unit of size of the step."""
    d = [a - b for a, b in zip(w.features[w.chosen], w.features[w.rejected], strict=True)]
    return [dot(phi, d) for phi in w.features]


@dataclass(frozen=True)
class Batch:
    """Pairs on different prompts that share their parameters, at one point: one step on the mean of their losses.

    Attributes:
        scores: (g_w, g_l) of every pair; any vectors, since a third response can balance them.
        urgencies: sigma(-z) of every pair, in (0, 1).

    Example:
        >>> lonely = Batch((((F(1),), (F(-1),)),), (F(1, 2),))
        >>> lonely.log_change(0, chosen=True), lonely.log_margin_change(0)
        (Fraction(1, 1), Fraction(2, 1))
    """

    scores: tuple[tuple[Vector, Vector], ...]
    urgencies: Vector

    def __post_init__(self) -> None:
        if len(self.scores) != len(self.urgencies) or not self.scores:
            raise InvalidArgument("urgencies", len(self.urgencies), "one for each of at least one pair")

    @cached_property
    def differences(self) -> tuple[Vector, ...]:
        """Return g_w - g_l of every pair."""
        return tuple(tuple(a - b for a, b in zip(w, r, strict=True)) for w, r in self.scores)

    @cached_property
    def direction(self) -> Vector:
        """Return the mean of u (g_w - g_l), the step of Eq. (28) in units of learning rate x beta."""
        columns = zip(*self.differences, strict=True)
        return tuple(dot(self.urgencies, column) / len(self.scores) for column in columns)

    def log_change(self, pair: int, *, chosen: bool) -> F:
        """Return the first-order change of log pi of one response, in units of learning rate x beta."""
        return dot(self.scores[pair][0 if chosen else 1], self.direction)

    def log_margin_change(self, pair: int) -> F:
        """Return the first-order change of log pi_w - log pi_l of one pair, in the same units."""
        return dot(self.differences[pair], self.direction)

    def __str__(self) -> str:
        """Return one line for each pair, with its first-order changes in units of learning rate x beta."""
        rows = []
        for i, ((w, r), u) in enumerate(zip(self.scores, self.urgencies, strict=True)):
            g_w, g_l = (", ".join(map(str, g)) for g in (w, r))
            changes = f"log pi_w by {self.log_change(i, chosen=True)}, log-ratio by {self.log_margin_change(i)}"
            rows.append(f"g_w = ({g_w}), g_l = ({g_l}), urgency {u}: {changes}")
        return "\n".join(rows)


def batch(source: random.Random) -> Batch:
    """Draw a batch of 1 to 8 pairs with 1 to 4 shared parameters."""
    k = source.randint(1, 4)

    def score() -> Vector:
        return tuple(F(source.randint(-4, 4), source.randint(1, 3)) for _ in range(k))

    n = source.randint(1, 8)
    return Batch(
        tuple((score(), score()) for _ in range(n)), tuple(F(source.choice((1, 10, 90)), 100) for _ in range(n))
    )
