"""Random preference worlds in exact rationals, in which claims are tested.

A world is one prompt, a finite set of responses, a policy at one point of its parameters, and one preference pair. Its
policy is log-linear with a base measure, seen at theta = 0: probabilities p and features phi are then free, so that
every combination of probabilities and scores with sum_y p_y g_y = 0 that any differentiable policy can have at a point
occurs here. All numbers are fractions, so that a statement about signs is decided exactly.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from dynamics.errors import InvalidArgument, check_count
from theory.names import ShortNames
from theory.proof.shares import are_shares, grown, normalised, unit_vectors
from theory.proof.symbols import NoSuchResponse

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from dynamics.policies import LogLinear

Vector = tuple[Fraction, ...]
Rational = int | Fraction

TABULAR_KIND = "tabular softmax"
"""Kind of a world whose features are unit vectors: one logit for each response."""

LOG_LINEAR_KIND = "log-linear"
"""Kind of a world with integer features, seen at a rational e^theta."""

BASE_MEASURE_KIND = "log-linear with a base measure"
"""Kind of a world whose probabilities and features are chosen independently."""

KINDS = (TABULAR_KIND, LOG_LINEAR_KIND, BASE_MEASURE_KIND)
"""All kinds of exact worlds, the simplest first."""

LARGEST_POWER = 10_000  # of a fraction, whose digits grow with it
LARGEST_FACTOR = 10**100
MOST_RESPONSES = 100  # of a random world
WHOLE_POWERS = f"worlds in which every phi_y . (phi_w - phi_l) is a whole number, up to {LARGEST_POWER}"


@dataclass(frozen=True)
class World(ShortNames):
    """One prompt, its responses, a policy at theta = 0, and one pair.

    Attributes:
        p: probability of every response, positive, sums to 1.
        features: phi of every response, all of one length.
        chosen: index of y_w.
        rejected: index of y_l, different from ``chosen``.
        kind: tabular softmax (features are unit vectors), log-linear (p comes from integer features and a rational
            e^theta), or log-linear with a base measure (p and features are free).
        other: index of the response that the short names call y; the most probable one outside the pair if not given.

    Example:
        >>> world = World.log_linear([[1], [0], [2]], at=[3])  # the ladder policy at e^theta = 3
        >>> [str(q) for q in world.p]
        ['3/13', '1/13', '9/13']
        >>> str(world.change(0)), str(world.change(1))  # both fall, the chosen one falls more
        ('-24/169', '-21/169')
    """

    p: Vector
    features: tuple[Vector, ...]
    chosen: int = 0
    rejected: int = 1
    kind: str = BASE_MEASURE_KIND
    other: int | None = None

    def __post_init__(self) -> None:
        if not are_shares(_fractions("p", self.p)):
            raise InvalidArgument("p", [str(q) for q in self.p], "positive fractions that sum to 1")
        rows = _rows("features", self.features)
        if len(rows) != len(self.p) or len({len(phi) for phi in rows}) != 1:
            raise InvalidArgument("features", self.features, f"{len(self.p)} rows of one length, one for each response")
        indices = (self.chosen, self.rejected)
        if not all(map(self._has, indices)) or self.chosen == self.rejected:
            raise InvalidArgument("chosen, rejected", indices, f"two different indices from 0 to {len(self.p) - 1}")
        if not isinstance(self.kind, str) or self.kind not in KINDS:
            raise InvalidArgument("kind", self.kind, f"one of {KINDS}")
        if self.other is not None and (not self._has(self.other) or self.other in indices):
            raise InvalidArgument("other", self.other, "the index of a response outside the pair, or None")

    def _has(self, y: int) -> bool:
        return isinstance(y, int) and not isinstance(y, bool) and 0 <= y < len(self.p)

    def _index(self, y: int, name: str = "y") -> int:
        if not self._has(y):
            raise InvalidArgument(name, y, f"the index of a response, from 0 to {len(self.p) - 1}")
        return y

    @staticmethod
    def tabular(p: Sequence[Rational], chosen: int = 0, rejected: int = 1) -> World:
        """Return a tabular softmax with these probabilities.

        Example:
            >>> World.tabular([Fraction(1, 4), Fraction(3, 4)]).kernel(0, 1)
            Fraction(-3, 8)
        """
        given = _fractions("p", p)
        return World(given, unit_vectors(len(given)), chosen, rejected, TABULAR_KIND)

    @staticmethod
    def log_linear(
        features: Sequence[Sequence[int]], at: Sequence[Rational], chosen: int = 0, rejected: int = 1
    ) -> World:
        """Return a log-linear policy with integer features at e^theta = ``at`` (positive rationals)."""
        rows, base = _rows("features", features), _fractions("at", at)
        if any(len(phi) != len(base) for phi in rows):
            raise InvalidArgument("at", at, "one number for each feature of a response")
        if min(base) <= 0:
            raise InvalidArgument("at", at, "positive fractions")
        if any(k.denominator != 1 or abs(k) > LARGEST_POWER for phi in rows for k in phi):
            raise InvalidArgument("features", features, f"whole numbers from -{LARGEST_POWER} to {LARGEST_POWER}")
        weights = [math.prod((a ** int(k) for a, k in zip(base, phi, strict=True)), start=Fraction(1)) for phi in rows]
        return World(normalised(weights), rows, chosen, rejected, LOG_LINEAR_KIND)

    @staticmethod
    def with_base(
        p: Sequence[Rational], features: Sequence[Sequence[Rational]], chosen: int = 0, rejected: int = 1
    ) -> World:
        """Return a log-linear policy with free probabilities and features; ``p`` need not be normalised."""
        weights = _fractions("p", p)
        if min(weights) <= 0:
            raise InvalidArgument("p", p, "positive fractions")
        return World(normalised(weights), _rows("features", features), chosen, rejected)

    @property
    def responses(self) -> range:
        """Return the indices of all responses."""
        return range(len(self.p))

    @property
    def others(self) -> tuple[int, ...]:
        """Return all responses but the pair."""
        return tuple(y for y in self.responses if y not in (self.chosen, self.rejected))

    @property
    def greedy(self) -> int | None:
        """Return y*: the most probable response outside the pair; None with two responses."""
        return max(self.others, key=lambda y: self.p[y], default=None)

    @property
    def y(self) -> int:
        """Return the response y of the short names, outside the pair; raise ``NoSuchResponse`` with two responses."""
        other = self.greedy if self.other is None else self.other
        if other is None:
            raise NoSuchResponse("there is no response outside the pair")
        return other

    @cached_property
    def scores(self) -> tuple[Vector, ...]:
        """Return g_y = phi_y - sum p phi, the gradient of log pi(y)."""
        mean = [dot(self.p, column) for column in zip(*self.features, strict=True)]
        return tuple(tuple(a - m for a, m in zip(phi, mean, strict=True)) for phi in self.features)

    @cached_property
    def _drives(self) -> Vector:
        d = [a - b for a, b in zip(self.scores[self.chosen], self.scores[self.rejected], strict=True)]
        return tuple(dot(g, d) for g in self.scores)

    def kernel(self, y: int, z: int) -> Fraction:
        """Return <g_y, g_z>."""
        return dot(self.scores[self._index(y)], self.scores[self._index(z, "z")])

    def squared_norm(self, y: int) -> Fraction:
        """Return |g_y|^2."""
        return self.kernel(y, y)

    @property
    def S2(self) -> Fraction:
        """Return the sum of all p^2."""
        return sum((q * q for q in self.p), Fraction(0))

    @property
    def S3(self) -> Fraction:
        """Return the sum of all p^3."""
        return sum((q**3 for q in self.p), Fraction(0))

    def drive(self, y: int) -> Fraction:
        """Return A_y = g_y . (g_w - g_l)."""
        return self._drives[self._index(y)]

    def change(self, y: int) -> Fraction:
        """Return the first-order change of pi(y) in a DPO step, in units of learning rate x beta x urgency."""
        return self.p[self._index(y)] * self._drives[y]

    def log_change(self, y: int) -> Fraction:
        """Return the first-order change of log pi(y), in the same units: the drive."""
        return self._drives[self._index(y)]

    def after(self, factor: Rational) -> World:
        """Return the world after an exact step of size s, where e^s = ``factor``.

        Each p_y is multiplied by factor^(phi_y . d), with d = phi_w - phi_l, and all are normalised.

        Raises:
            InvalidArgument: phi_y . (phi_w - phi_l) is not a whole number for some y, so that the result is irrational.
        """
        (growth,) = _fractions("factor", (factor,))
        if growth not in self._later:
            self._later[growth] = self._after(factor, growth)
        return self._later[growth]

    @cached_property
    def _later(self) -> dict[Fraction, World]:
        return {}  # the worlds after a step that were asked for, by the factor

    def _after(self, factor: Rational, growth: Fraction) -> World:
        if growth <= 0 or max(growth.numerator, growth.denominator) > LARGEST_FACTOR:
            raise InvalidArgument("factor", factor, f"a positive fraction of whole numbers up to {LARGEST_FACTOR}")
        d = [a - b for a, b in zip(self.features[self.chosen], self.features[self.rejected], strict=True)]
        powers = [dot(phi, d) for phi in self.features]
        if any(power.denominator != 1 or abs(power) > LARGEST_POWER for power in powers):
            raise InvalidArgument("factor", factor, WHOLE_POWERS)
        other = self.y if self.others else None  # y stays the same response, whichever is the most probable now
        later = grown(self.p, growth, [int(power) for power in powers])
        return World(later, self.features, self.chosen, self.rejected, self.kind, other)

    def exact_change(self, y: int, factor: Rational) -> Fraction:
        """Return the exact change of pi(y) in a step of size s with e^s = ``factor``."""
        return self.after(factor).p[self._index(y)] - self.p[y]

    def policy(self) -> LogLinear:
        """Return this world as a float64 policy of ``dynamics`` at theta = 0, for finite steps of any size."""
        from dynamics.policies import LogLinear  # noqa: PLC0415 - torch is loaded only where it is needed

        return LogLinear([[float(a) for a in phi] for phi in self.features], [float(q) for q in self.p])

    @property
    def caption(self) -> str:
        """Return the line above the table."""
        return f"{self.kind}, {len(self.p)} responses, learning rate x beta x urgency = 1"

    def names(self) -> list[str]:
        """Return what a table calls each response; * is the most probable one outside the pair."""
        names = {self.chosen: "w (chosen)", self.rejected: "l (rejected)", self.greedy: "*"}
        if self.others and self.y != self.greedy:
            names[self.y] = "y"
        return [names.get(y, str(y)) for y in self.responses]

    def _repr_html_(self) -> str:
        from theory.decision.typeset import world_html  # noqa: PLC0415 - for a notebook only

        return world_html(self)

    def _repr_latex_(self) -> str:
        from theory.decision.typeset import world_latex  # noqa: PLC0415

        return world_latex(self)

    def __str__(self) -> str:
        """Return the world in a form that can be checked by hand."""
        from theory.decision.typeset import world_text  # noqa: PLC0415

        return world_text(self)


def dot(a: Sequence[Fraction], b: Sequence[Fraction]) -> Fraction:
    """Return the inner product of two vectors of fractions.

    Example:
        >>> dot([Fraction(1, 2)], [Fraction(1, 3)])
        Fraction(1, 6)
    """
    above, below = 0, 1  # whole numbers: one fraction is made, rather than one for each product and sum
    for x, y in zip(a, b, strict=True):
        top, bottom = x.numerator * y.numerator, x.denominator * y.denominator
        if bottom != below:
            shared = math.lcm(below, bottom)
            above, top, below = above * (shared // below), top * (shared // bottom), shared
        above += top
    return Fraction(above, below)


def sign_with_root(a: Rational, b: Rational, c: Rational) -> int:
    """Return the sign of a + b sqrt(c), exactly; c >= 0.

    Example:
        >>> sign_with_root(-3, 2, 2)  # 2 sqrt(2) < 3
        -1
    """
    root = b * b * c
    if root == 0 or a == 0 or (a > 0) == (b > 0):
        leading = a if root == 0 else (a or b)
        return (leading > 0) - (leading < 0)
    larger = a * a - root
    return (1 if a > 0 else -1) * ((larger > 0) - (larger < 0))


# --- random worlds -------------------------------------------------------------------------------------------------


def tabular(source: random.Random) -> World:
    """Draw a tabular softmax with 2 to 8 responses."""
    n = source.randint(2, 8)
    return World.tabular(_weights(source, n), *source.sample(range(n), 2))


def log_linear(source: random.Random) -> World:
    """Draw a log-linear policy with 2 to 8 responses and 1 to 3 integer features."""
    n, k = source.randint(2, 8), source.randint(1, 3)
    at = [Fraction(source.randint(1, 6), source.randint(1, 6)) for _ in range(k)]
    return World.log_linear(_features(source, n, k), at, *source.sample(range(n), 2))


def base_measure(source: random.Random) -> World:
    """Draw a log-linear policy with a base measure, 2 to 8 responses and 1 to 4 integer features."""
    n, k = source.randint(2, 8), source.randint(1, 4)
    return World.with_base(_weights(source, n), _features(source, n, k), *source.sample(range(n), 2))


def one_feature(source: random.Random) -> World:
    """Draw a log-linear policy with a base measure and a single feature, where displacement is common."""
    n = source.randint(2, 8)
    return World.with_base(_weights(source, n), _features(source, n, 1), *source.sample(range(n), 2))


def any_world(source: random.Random) -> World:
    """Draw a world of any of the three kinds."""
    return source.choice((tabular, log_linear, base_measure, one_feature))(source)


def two_responses(source: random.Random) -> World:
    """Draw a world of any kind with two responses."""
    if source.random() < 0.5:
        return World.tabular(_weights(source, 2), *source.sample(range(2), 2))
    return World.with_base(_weights(source, 2), _features(source, 2, source.randint(1, 3)), *source.sample(range(2), 2))


def world_strategy(kind: str | None = None, max_responses: int = 8) -> SearchStrategy[World]:
    """Return a Hypothesis strategy of worlds that shrinks to few responses and small whole numbers.

    Args:
        kind: TABULAR_KIND, LOG_LINEAR_KIND or BASE_MEASURE_KIND; None for any of them.
        max_responses: at least 2.

    Example:
        >>> from hypothesis import find
        >>> print([str(q) for q in find(world_strategy(TABULAR_KIND), lambda world: True).p])
        ['1/2', '1/2']
    """
    from hypothesis import strategies as st  # noqa: PLC0415 - half a second, for a search only

    if kind is not None and (not isinstance(kind, str) or kind not in KINDS):
        raise InvalidArgument("kind", kind, f"one of {KINDS}, or None")
    if check_count("max_responses", max_responses, minimum=2) > MOST_RESPONSES:
        raise InvalidArgument("max_responses", max_responses, f"a whole number from 2 to {MOST_RESPONSES}")

    @st.composite
    def worlds(draw: st.DrawFn) -> World:
        which = draw(st.sampled_from(KINDS)) if kind is None else kind
        n = draw(st.integers(2, max_responses))
        weights = [draw(st.integers(1, 12)) for _ in range(n)] if which != LOG_LINEAR_KIND else []
        if which == TABULAR_KIND:
            return World.tabular([Fraction(a, sum(weights)) for a in weights])
        k = draw(st.integers(1, 3))
        features = [[draw(st.integers(-4, 4)) for _ in range(k)] for _ in range(n)]
        if which == BASE_MEASURE_KIND:
            return World.with_base(weights, features)
        at = [Fraction(draw(st.integers(1, 6)), draw(st.integers(1, 6))) for _ in range(k)]
        return World.log_linear(features, at)

    return worlds()


def _weights(source: random.Random, n: int) -> list[Fraction]:
    top = source.choice((3, 12, 100))
    raw = [source.randint(1, top) for _ in range(n)]
    return [Fraction(a, sum(raw)) for a in raw]


def _features(source: random.Random, n: int, k: int) -> list[list[int]]:
    return [[source.randint(-4, 4) for _ in range(k)] for _ in range(n)]


def _fractions(argument: str, values: Sequence[Rational]) -> Vector:
    """Return numbers as fractions; a float is refused, since it is rarely the fraction that it prints as."""
    if not isinstance(values, (tuple, list)) or not values:
        raise InvalidArgument(argument, values, "a non-empty list of whole numbers and fractions")
    if all(type(v) is Fraction for v in values):
        return tuple(values)
    if any(not isinstance(v, (int, Fraction)) or isinstance(v, bool) for v in values):
        raise InvalidArgument(argument, values, "whole numbers and fractions")
    return tuple(map(Fraction, values))


def _rows(argument: str, values: Sequence[Sequence[Rational]]) -> tuple[Vector, ...]:
    if not isinstance(values, (tuple, list)) or not values:
        raise InvalidArgument(argument, values, "a list of whole numbers and fractions for each response")
    return tuple(_fractions(argument, row) for row in values)
