"""One prompt, its responses, and preferences over all pairs of them, in exact fractions, where these claims live.

The policy is a softmax of free logits. Labels follow Bradley and Terry's model with utility q, and the DPO objective is
the expectation over pairs and labels, so that everything below is a sum without sampling.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

from dynamics.errors import InvalidArgument
from theory.worlds import Rational, Vector, dot


def beats(a: Fraction, b: Fraction, power: int = 1) -> Fraction:
    """Return a^power / (a^power + b^power): sigma(power (log a - log b)).

    Example:
        >>> beats(Fraction(3), Fraction(1), 2)
        Fraction(9, 10)
    """
    x, y = a**power, b**power
    return x / (x + y)


@dataclass(frozen=True)
class Bandit:
    """A policy, its reference, and a utility over a finite set of responses.

    Attributes:
        p: probability of every response, positive, sums to 1.
        q: utility e^{r*} of every response, positive; only ratios matter: P(i beats j) = q_i / (q_i + q_j).
        ref: reference probability; uniform if not given.
        beta: DPO's beta, a whole number here so that everything stays rational.
        asked: how often a response takes part; the pair {i, j} is asked asked_i asked_j times. All 1 if not given.

    Raises:
        InvalidArgument: probabilities that are not positive or do not sum to 1, or lengths that differ.

    Example:
        >>> world = Bandit.of([1, 3], q=[1, 1])
        >>> str(world.kappa(0, 1)), [str(w) for w in world.fitness]
        ('1/4', ['1/4', '-1/4'])
    """

    p: Vector
    q: Vector
    ref: Vector = ()
    beta: int = 1
    asked: Vector = field(default=())

    def __post_init__(self) -> None:
        n = len(self.p)
        object.__setattr__(self, "ref", self.ref or (Fraction(1, n),) * n)
        object.__setattr__(self, "asked", self.asked or (Fraction(1),) * n)
        for name, values in (("p", self.p), ("q", self.q), ("ref", self.ref), ("asked", self.asked)):
            if len(values) != n or min(values) <= 0 or (name in ("p", "ref") and sum(values) != 1):
                raise InvalidArgument(name, [str(v) for v in values], f"{n} positive fractions (p and ref: sum to 1)")

    @staticmethod
    def of(
        p: Sequence[Rational],
        q: Sequence[Rational],
        ref: Sequence[Rational] = (),
        beta: int = 1,
        asked: Sequence[Rational] = (),
    ) -> Bandit:
        """Return a bandit from numbers that need not be normalised."""
        return Bandit(normalised(p), _fractions(q), normalised(ref), beta, _fractions(asked))

    @property
    def responses(self) -> range:
        """Return the indices of all responses."""
        return range(len(self.p))

    @property
    def ordered_pairs(self) -> tuple[tuple[int, int], ...]:
        """Return all (chosen, rejected)."""
        return tuple((i, j) for i in self.responses for j in self.responses if i != j)

    def label(self, i: int, j: int) -> Fraction:
        """Return P(i beats j)."""
        return beats(self.q[i], self.q[j])

    def kappa(self, i: int, j: int) -> Fraction:
        """Return sigma(f) of DPO for the pair (i chosen, j rejected): the paper's kappa_ij = e^{-L}."""
        return beats(self.p[i] / self.ref[i], self.p[j] / self.ref[j], self.beta)

    def rate(self, i: int, j: int) -> Fraction:
        """Return how often the unordered pair is asked."""
        return self.asked[i] * self.asked[j]

    @cached_property
    def fitness(self) -> Vector:
        """Return w_i, the sum over pairs of tau (1 - kappa) in expectation over labels: sum_j (P_ij - kappa_ij)."""
        total = [Fraction(0)] * len(self.p)
        for i, j in self.ordered_pairs:
            push = self.rate(i, j) * self.label(i, j) * (1 - self.kappa(i, j))
            total[i] += push
            total[j] -= push
        return tuple(total)

    @property
    def mean_fitness(self) -> Fraction:
        """Return sum_j p_j w_j."""
        return dot(self.p, self.fitness)

    def free_partials(self, i: int, j: int) -> tuple[Fraction, Fraction]:
        """Return (dL/dpi_i, dL/dpi_j) of DPO's loss of the pair (i chosen, j rejected), probabilities taken as free."""
        push = self.beta * (1 - self.kappa(i, j))
        return -push / self.p[i], push / self.p[j]

    def pair_logit_gradient(self, i: int, j: int) -> Vector:
        """Return dL/ds of DPO's loss of one pair in the logits: opposite for the two responses, 0 for all others."""
        push = self.beta * (1 - self.kappa(i, j))
        return tuple(push * (int(y == j) - int(y == i)) for y in self.responses)

    def __str__(self) -> str:
        """Return the bandit in a form that can be checked by hand."""
        rows = [("p", self.p), ("q", self.q), ("ref", self.ref)]
        text = [f"{name} = ({', '.join(map(str, values))})" for name, values in rows]
        if set(self.asked) != {1}:
            text.append(f"asked = ({', '.join(map(str, self.asked))})")
        return ", ".join([*text, f"beta = {self.beta}"])


def bandit(source: random.Random) -> Bandit:
    """Draw a bandit of 2 to 8 responses with any reference, beta and sampling of pairs."""
    n = source.choice((2, 2, 3, 3, 4, 5, 8))
    p, q, ref = (_whole(source, n) for _ in range(3))
    asked = _whole(source, n) if source.random() < 0.5 else []
    return Bandit.of(p, q, ref, source.randint(1, 3), asked)


def normalised(values: Sequence[Rational]) -> Vector:
    """Return the values divided by their sum.

    Example:
        >>> [str(a) for a in normalised([1, 3])]
        ['1/4', '3/4']
    """
    fractions = tuple(map(Fraction, values))
    total = sum(fractions)
    return tuple(v / total for v in fractions)


def _whole(source: random.Random, n: int) -> list[int]:
    return [source.randint(1, 12) for _ in range(n)]


def _fractions(values: Sequence[Rational]) -> Vector:
    return tuple(map(Fraction, values))
