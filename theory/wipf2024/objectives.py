"""Both losses of the paper at one prompt, exactly: RLHF (Eq. 3) and population DPO (Eq. 6) as sums of logarithms.

The reward is given as e^(r*/beta), policies as fractions. With beta whole or half, and squares where a root is taken,
every loss is a rational combination of logarithms of rationals (``Logs``): losses are compared exactly.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from dynamics.errors import InvalidArgument
from theory.wipf2024.logarithms import ZERO, Logs, Rational, log, power

T = TypeVar("T")
Vector = tuple[Fraction, ...]
Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Setting:
    """One prompt: its reference policy, its latent reward, and beta.

    Attributes:
        reference: pi_ref of every response, >= 0, sums to 1.
        tilt: e^(r*/beta) of every response, > 0.
        beta: strength of the penalty, the paper's lambda: whole or half, > 0.

    Example:
        >>> plain = Setting.plain([Fraction(3, 4), Fraction(1, 4)])  # uniform reference, beta = 1
        >>> print(*plain.optimum, plain.preference(0, 1))
        3/4 1/4 3/4
        >>> half = (Fraction(1, 2), Fraction(1, 2))
        >>> plain.rlhf(plain.optimum) < plain.rlhf(half), plain.dpo(plain.optimum) < plain.dpo(half)
        (True, True)
    """

    reference: Vector
    tilt: Vector
    beta: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        if sum(self.reference) != 1 or min(self.reference) < 0 or len(self.reference) != len(self.tilt):
            allowed = f"{len(self.tilt)} fractions >= 0 that sum to 1, one for every tilt"
            raise InvalidArgument("reference", show(self.reference), allowed)
        if min(self.tilt) <= 0 or self.beta <= 0:
            raise InvalidArgument("tilt, beta", show((self.tilt, self.beta)), "fractions > 0")

    @staticmethod
    def plain(optimum: Sequence[Rational]) -> Setting:
        """Return the setting of the paper's Appendix C: uniform reference, beta = 1, e^r* proportional to pi*."""
        n = len(optimum)
        return Setting((Fraction(1, n),) * n, tuple(Fraction(a) for a in optimum))

    @property
    def responses(self) -> range:
        """Return the indices of all responses."""
        return range(len(self.tilt))

    @property
    def pairs(self) -> Pairs:
        """Return all unordered pairs of responses."""
        return tuple(itertools.combinations(self.responses, 2))

    @property
    def partition(self) -> Fraction:
        """Return Z = sum of pi_ref e^(r*/beta) (Eq. 4)."""
        return sum((a * t for a, t in zip(self.reference, self.tilt, strict=True)), Fraction(0))

    @property
    def optimum(self) -> Vector:
        """Return pi_r = pi_ref e^(r*/beta) / Z (Eq. 4): pi** in the paper."""
        return tuple(a * t / self.partition for a, t in zip(self.reference, self.tilt, strict=True))

    def reward(self, y: int) -> Logs:
        """Return r* of a response."""
        return self.beta * log(self.tilt[y])

    def preference(self, i: int, j: int) -> Fraction:
        """Return p*(y_i beats y_j), by Bradley and Terry's model (Eq. 1)."""
        a, b = power(self.tilt[i], self.beta), power(self.tilt[j], self.beta)
        return a / (a + b)

    def odds(self, policy: Vector, i: int, j: int) -> Fraction:
        """Return e^margin of the pair (i, j): the odds of the policy over those of the reference, to the power beta."""
        ratio = policy[i] * self.reference[j] / (policy[j] * self.reference[i])
        return power(ratio, self.beta)

    def rlhf(self, policy: Vector) -> Logs:
        """Return l_RLHF (Eq. 3): minus the expected reward, plus beta KL(policy, reference)."""
        expected = sum((p * self.reward(y) for y, p in enumerate(policy)), ZERO)
        return self.beta * divergence(policy, self.reference) - expected

    def dpo(self, policy: Vector, pairs: Pairs | None = None) -> Logs:
        """Return l_DPO (Eq. 6): the expected loss of a pair under Bradley-Terry labels, summed over the pairs asked.

        Args:
            policy: positive on every pair that is asked.
            pairs: which pairs are asked, each once; all of them if not given.
        """
        total = ZERO
        for i, j in self.pairs if pairs is None else pairs:
            e_margin, chosen = self.odds(policy, i, j), self.preference(i, j)
            total += chosen * log(1 + 1 / e_margin) + (1 - chosen) * log(1 + e_margin)
        return total

    def rlhf_slope(self, policy: Vector, direction: Vector) -> Logs:
        """Return the derivative of ``rlhf`` along a direction whose entries sum to 0."""
        parts = (
            d * (self.beta * log(p / a) - self.reward(y))
            for y, (d, p, a) in enumerate(zip(direction, policy, self.reference, strict=True))
        )
        return sum(parts, ZERO)

    def dpo_slope(self, policy: Vector, direction: Vector, pairs: Pairs | None = None) -> Fraction:
        """Return the derivative of ``dpo`` along a direction; it is rational."""
        total = Fraction(0)
        for i, j in self.pairs if pairs is None else pairs:
            e_margin = self.odds(policy, i, j)
            residual = e_margin / (1 + e_margin) - self.preference(i, j)
            total += self.beta * residual * (direction[i] / policy[i] - direction[j] / policy[j])
        return total

    def __str__(self) -> str:
        parts = f"pi_ref = {show(self.reference)}, e^(r*/beta) = {show(self.tilt)}, beta = {self.beta}"
        return f"[{parts}, pi** = {show(self.optimum)}]"


def divergence(p: Vector, q: Vector) -> Logs:
    """Return KL(p, q) in nats, exactly; 0 ln 0 is 0.

    Raises:
        InvalidArgument: q is 0 where p is not: the divergence is infinite.

    Example:
        >>> float(divergence((Fraction(1), Fraction(0)), (Fraction(1, 2), Fraction(1, 2)))).__round__(4)
        0.6931
    """
    if any(a > 0 and b == 0 for a, b in zip(p, q, strict=True)):
        raise InvalidArgument("q", show(q), "positive wherever p is")
    return sum((a * log(a / b) for a, b in zip(p, q, strict=True) if a > 0), ZERO)


def minimisers(loss: Callable[[T], Logs], candidates: Sequence[T]) -> list[T]:
    """Return all candidates of least loss, compared exactly.

    Example:
        >>> minimisers(log, [3, 1, 2, 1])
        [1, 1]
    """
    values = [loss(candidate) for candidate in candidates]
    least = functools.reduce(lambda a, b: b if b < a else a, values)
    return [candidate for candidate, value in zip(candidates, values, strict=True) if value == least]


def pair(p: Rational) -> Vector:
    """Return the policy (p, 1 - p) over two responses."""
    return (Fraction(p), 1 - Fraction(p))


def show(vector: Sequence[object]) -> str:
    """Return a vector of fractions as text."""
    return "(" + ", ".join(map(str, vector)) + ")"
