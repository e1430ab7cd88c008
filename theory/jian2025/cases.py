"""The small policies that come back again and again in the claims of this paper, in exact numbers."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction as F
from functools import cached_property

from dynamics.errors import InvalidArgument
from theory.proof import LOG_LINEAR, TABULAR, with_step
from theory.worlds import Rational, Vector, World, any_world, dot

STEP, TABULAR_STEP = with_step(LOG_LINEAR), with_step(TABULAR)
"""Pairs of a world and E = e^s of an exact step of any size s > 0 on its pair: w.after(E) is the world after it."""


def ladder(x: Rational) -> World:
    """Return the ladder at e^theta = ``x``: rejected 0, chosen 1, another response 2, one parameter.

    For x < 1 the chosen response rises, for x > 1 both fall, and for x > 1 + sqrt(3) the chosen one falls more.

    Example:
        >>> [str(ladder(2).change(y)) for y in (0, 1)]
        ['-6/49', '-10/49']
    """
    return World.log_linear([[1], [0], [2]], at=[x])


def similar_pair(source: random.Random) -> World:
    """Draw a pair whose features point the same way, and in most cases a likelier third response away from both.

    Displacement and its consequences are rare in worlds drawn at random, and common in these.

    Example:
        >>> worlds = [similar_pair(random.Random(seed)) for seed in range(100)]
        >>> sum(w.change(0) < 0 for w in worlds) > 25, sum(w.change(0) < min(0, w.change(1)) for w in worlds) > 8
        (True, True)
    """
    weights = [*source.choice(((1, 12), (12, 1), (2, 5), (5, 2), (4, 4))), source.randint(30, 90)]
    chosen, rejected = source.choice(((2, 3), (2, 4), (3, 2), (4, 2), (3, 3)))
    features = [[chosen], [rejected], [source.choice((0, 0, 0, 0, 0, 6))]]
    if source.random() < 0.3:
        for row in features:
            row.append(source.choice((-1, 0, 1)))
    n = 2 if source.random() < 0.12 else 3
    return World.with_base(weights[:n], features[:n])


def any_or_similar(source: random.Random) -> World:
    """Draw any world, or a similar pair."""
    return (any_world if source.random() < 0.5 else similar_pair)(source)


BOTH_FALL = World.log_linear([[2], [3], [0]], at=[1])
"""A pair that overlaps, the rejected response further out: both fall in every step of any size."""

BOTH_RISE = World.log_linear([[3], [2], [0]], at=[1])
"""The same pair with the roles exchanged: both rise in a small step."""

SMALLEST_TABULAR = World.tabular([F(1, 12), F(1, 3), F(7, 12)])
"""A tabular softmax in which Eq. (49) fails; with two responses it never does."""

EVEN_PAIR = World.tabular([F(1, 2), F(1, 2)])
"""Two equally probable responses."""


@dataclass(frozen=True)
class CurvedLogit:
    """Two responses with log-odds theta + bend theta^2, one exact step: the simplest policy that is not log-linear.

    Attributes:
        bend: 0 for a log-linear policy.
        theta: parameter before the step.
        size: learning rate x beta x urgency, > 0.

    Example:
        >>> bent = CurvedLogit(bend=F(-1), theta=F(0), size=F(2))
        >>> str(bent.log_odds), str(bent.log_odds_after)  # the step is too long: the log-odds fall
        ('0', '-2')
    """

    bend: F
    theta: F
    size: F

    @property
    def log_odds(self) -> F:
        """Return log pi_w - log pi_l before the step."""
        return self._log_odds(self.theta)

    @property
    def log_odds_after(self) -> F:
        """Return log pi_w - log pi_l after the step; the chosen response gains iff they grow."""
        return self._log_odds(self.theta + self.size * self.slope)

    @property
    def slope(self) -> F:
        """Return g_w - g_l, the derivative of the log-odds."""
        return 1 + 2 * self.bend * self.theta

    @property
    def longer_score(self) -> int:
        """Return 1 if |g_w| > |g_l|, -1 if |g_w| < |g_l|, else 0: g_w = pi_l slope and g_l = -pi_w slope."""
        return ((self.log_odds < 0) - (self.log_odds > 0)) * (self.slope != 0)

    def _log_odds(self, theta: F) -> F:
        return theta + self.bend * theta**2

    def __str__(self) -> str:
        """Return the step in words."""
        step = f"step of size {self.size} from theta = {self.theta}"
        return f"log-odds theta + ({self.bend}) theta^2, {step}: log-odds {self.log_odds} -> {self.log_odds_after}"


def curved_logit(source: random.Random) -> CurvedLogit:
    """Draw a curved logit; in a quarter of the cases it is straight."""
    bend = source.choice((F(0), F(-1), F(-1), F(-2)))
    return CurvedLogit(bend, F(source.randint(-2, 3), 4), F(source.randint(1, 12), 2))


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
