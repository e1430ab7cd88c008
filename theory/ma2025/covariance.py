"""Lemmas 3 and 4: covariances of functions that increase together.

Both lemmas are true. Their polarised form, which the paper does not have, shows what Theorem 4 is worth.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction as F

from sympy import QQ
from sympy.polys.rings import PolyElement, ring

from theory.claim import PROVED, claim
from theory.evidence import ALSO, Evidence
from theory.worlds import Vector


def covariance(x: Sequence[F], y: Sequence[F], weights: Sequence[F] | None = None) -> F:
    """Return Cov[x, y] over responses, uniform unless weighted (weights need not be normalised).

    Example:
        >>> covariance([F(1), F(2)], [F(2), F(1)])
        Fraction(-1, 4)
    """
    return mean([a * b for a, b in zip(x, y, strict=True)], weights) - mean(x, weights) * mean(y, weights)


def mean(x: Sequence[F], weights: Sequence[F] | None = None) -> F:
    """Return E[x] over responses, uniform unless weighted.

    Example:
        >>> mean([F(1), F(2)], [F(1), F(3)])
        Fraction(7, 4)
    """
    a = [F(1)] * len(x) if weights is None else weights
    return sum((b * c for b, c in zip(a, x, strict=True)), F(0)) / sum(a)


def times(x: Sequence[F], y: Sequence[F]) -> Vector:
    """Return the products x_i y_i."""
    return tuple(a * b for a, b in zip(x, y, strict=True))


@dataclass(frozen=True)
class Moments:
    """A random variable with finitely many values, seen through three functions of it.

    Attributes:
        weights: of its values, positive, not normalised.
        f: one function.
        g: another.
        h: a third, for the polarised form; f is taken twice otherwise.
    """

    weights: Vector
    f: Vector
    g: Vector
    h: Vector

    def cov(self, x: Sequence[F], y: Sequence[F]) -> F:
        """Return the covariance of two functions."""
        return covariance(x, y, self.weights)

    def mean(self, x: Sequence[F]) -> F:
        """Return the mean of a function."""
        return mean(x, self.weights)


def increasing(source: random.Random) -> Moments:
    """Draw a random variable with 2 to 6 values and three nonnegative, weakly increasing functions of it."""
    n = source.randint(2, 6)

    def function() -> Vector:
        low, spread = source.randint(0, 3), source.choice((0, 1, 3, 10))  # constant functions: equality
        return tuple(F(low + v) for v in sorted(source.randint(0, spread) for _ in range(n)))

    return Moments(tuple(F(source.randint(1, 9)) for _ in range(n)), function(), function(), function())


def of(f: Sequence[int], g: Sequence[int], h: Sequence[int] | None = None) -> Moments:
    """Return these functions of a uniform random variable."""
    values = [tuple(map(F, v)) for v in (f, g, f if h is None else h)]
    return Moments((F(1),) * len(f), *values)


def lemma_3_gap(m: Moments, factor: F = F(1)) -> F:
    """Return Var[f g] - factor Var[f] E[g^2]."""
    fg = times(m.f, m.g)
    return m.cov(fg, fg) - factor * m.cov(m.f, m.f) * m.mean(times(m.g, m.g))


def lemma_4_gap(m: Moments, factor: F = F(1)) -> F:
    """Return Cov[f g, g] - factor E[f] Var[g]."""
    return m.cov(times(m.f, m.g), m.g) - factor * m.mean(m.f) * m.cov(m.g, m.g)


def polarised_gap(m: Moments, factor: F = F(1)) -> F:
    """Return Cov[f g, h g] - factor Cov[f, h] E[g^2]."""
    return m.cov(times(m.f, m.g), times(m.h, m.g)) - factor * m.cov(m.f, m.h) * m.mean(times(m.g, m.g))


def coefficients_are_nonnegative(gap: str, values: int, turned: bool = False) -> bool:
    """Return whether a gap, cleared of denominators, is a polynomial without a negative coefficient.

    Its indeterminates are the weights and the increments of f, g and h: everything that is nonnegative for increasing
    functions. For a random variable with that many values this is a proof.

    Args:
        gap: "lemma 3", "lemma 4" or "polarised".
        values: how many values the random variable has.
        turned: let f decrease.

    Example:
        >>> coefficients_are_nonnegative("lemma 3", 3), coefficients_are_nonnegative("lemma 3", 3, turned=True)
        (True, False)
    """
    domain, *free = ring([f"{name}{k}" for name in "pfgh" for k in range(values)], QQ)
    p, *increments = (free[k * values : (k + 1) * values] for k in range(4))
    f, g, h = ([sum(row[: k + 1], domain.zero) for k in range(values)] for row in increments)
    f = f[::-1] if turned else f

    def total(*factors: list[PolyElement]) -> PolyElement:
        return sum((p[k] * math.prod((x[k] for x in factors), start=domain.one) for k in range(values)), domain.zero)

    all_of_it = total()
    if gap == "lemma 4":
        left = all_of_it * (all_of_it * total(f, g, g) - total(f, g) * total(g))
        right = total(f) * (all_of_it * total(g, g) - total(g) ** 2)
    else:
        h = f if gap == "lemma 3" else h
        left = all_of_it * (all_of_it * total(f, h, g, g) - total(f, g) * total(h, g))
        right = (all_of_it * total(f, h) - total(f) * total(h)) * total(g, g)
    return all(coefficient >= 0 for coefficient in (left - right).values())


def _lemma(evidence: Evidence, name: str, gap: Callable[[Moments, F], F]) -> None:
    evidence.proves(
        lambda: all(coefficients_are_nonnegative(name, n) for n in (2, 3, 4)),
        control=lambda: coefficients_are_nonnegative(name, 3, turned=True),
        by="the gap is a polynomial with nonnegative coefficients in the weights and increments, for 2, 3, 4 values",
    )
    evidence.holds(lambda m: gap(m, F(1)) >= 0, increasing, control=lambda m: gap(m, F(21, 20)) >= 0)


@claim(
    "ma2025.lemma-3",
    source="Lemma 3, Eq. (19); proof, Eqs. (52)-(63)",
    says=r"\mathrm{Var}[fg]\ge\mathrm{Var}[f]\,\mathbb E[g^2]",
    assumes="f and g are nonnegative and increase together; bounded is more than is needed",
    verdict=PROVED,
    proof=r"For an independent copy, $(fg-f'g')^2\ge(f-f')^2\max(g,g')^2$. Cut $f$ into its level sets; given that "
    r"$f$ exceeds a level, $g^2$ is at least $\mathbb E[g^2]$ on average.",
)
def lemma_3(evidence: Evidence) -> None:
    """True; false once f and g move against each other, or once one of them is negative."""
    _lemma(evidence, "lemma 3", lemma_3_gap)
    for without in (of((1, 2), (2, 1)), of((-1, 0), (1, 2)), of((1, 2), (-2, -1))):
        evidence.fails(lambda m: lemma_3_gap(m) >= 0, at=without, control=of((1, 2), (1, 2)), role=ALSO)


@claim(
    "ma2025.lemma-4",
    source="Lemma 4, Eq. (23); proof, Eqs. (72)-(83)",
    says=r"\mathrm{Cov}[fg,g]\ge\mathbb E[f]\,\mathrm{Var}[g]",
    assumes="f and g increase together and g is nonnegative; of f the sign does not matter",
    verdict=PROVED,
    proof=r"As Lemma 3, from $(fg-f'g')(g-g')\ge\max(f,f')(g-g')^2$. A constant added to f adds the same to both "
    "sides.",
)
def lemma_4(evidence: Evidence) -> None:
    """True, for f of any sign; false once f and g move against each other, or once g is negative."""

    def shifted(m: Moments, f: int = -5, g: int = 0) -> bool:
        return lemma_4_gap(Moments(m.weights, tuple(v + f for v in m.f), tuple(v + g for v in m.g), m.h)) >= 0

    _lemma(evidence, "lemma 4", lemma_4_gap)
    for without in (of((2, 1), (1, 2)), of((0, 1), (-2, -1))):
        evidence.fails(lambda m: lemma_4_gap(m) >= 0, at=without, control=of((1, 2), (1, 2)), role=ALSO)
    evidence.holds(shifted, increasing, control=lambda m: shifted(m, f=0, g=-5), role=ALSO)


@claim(
    "ma2025.lemma-3-polarised",
    source="not in the paper; Lemma 3 with two different functions",
    says=r"\mathrm{Cov}[fg,hg]\ge\mathrm{Cov}[f,h]\,\mathbb E[g^2]",
    assumes="f, g and h are nonnegative and increase together",
    verdict=PROVED,
    proof=r"The proof of Lemma 3 word for word, from $(fg-f'g')(hg-h'g')\ge(f-f')(h-h')\max(g,g')^2$.",
)
def lemma_3_polarised(evidence: Evidence) -> None:
    """With f = alpha, h = beta and g = p it makes the right side of Eq. (20) nonpositive."""
    _lemma(evidence, "polarised", polarised_gap)
    evidence.fails(
        lambda m: polarised_gap(m) >= 0, at=of((1, 2), (2, 1), (1, 2)), control=of((1, 2), (1, 2)), role=ALSO
    )
