"""Probabilities as fractions, computed in whole numbers: one fraction is made for each, and not one for each step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache


def are_shares(p: Sequence[Fraction]) -> bool:
    """Return whether fractions are positive and sum to 1.

    Example:
        >>> are_shares([Fraction(1, 3), Fraction(2, 3)]), are_shares([Fraction(1, 3), Fraction(1, 3)])
        (True, False)
    """
    below = math.lcm(*(q.denominator for q in p))
    return all(q.numerator > 0 for q in p) and sum(q.numerator * (below // q.denominator) for q in p) == below


def normalised(weights: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """Return the shares of weights that are positive fractions.

    Example:
        >>> print(*normalised([Fraction(1, 3), Fraction(1, 6)]))
        2/3 1/3
    """
    below = math.lcm(*(q.denominator for q in weights))
    return _shares_of([q.numerator * (below // q.denominator) for q in weights])


def grown(p: Sequence[Fraction], growth: Fraction, powers: Sequence[int]) -> tuple[Fraction, ...]:
    """Return the shares of p_y growth^k_y, for growth > 0 and whole powers k_y.

    Example:
        >>> print(*grown([Fraction(1, 3), Fraction(2, 3)], Fraction(1, 2), [-1, 1]))
        2/3 1/3
    """
    above, below = growth.numerator, growth.denominator
    shared, least, most = math.lcm(*(q.denominator for q in p)), min(powers), max(powers)
    weights = [  # times one number for all, which makes them whole and cancels
        q.numerator * (shared // q.denominator) * above ** (k - least) * below ** (most - k)
        for q, k in zip(p, powers, strict=True)
    ]
    return _shares_of(weights)


def _shares_of(weights: Sequence[int]) -> tuple[Fraction, ...]:
    total = sum(weights)
    return tuple(Fraction(weight, total) for weight in weights)


@lru_cache(maxsize=128)
def unit_vectors(n: int) -> tuple[tuple[Fraction, ...], ...]:
    """Return the n unit vectors of n numbers.

    Example:
        >>> unit_vectors(2) == ((1, 0), (0, 1))
        True
    """
    return tuple(tuple(Fraction(int(i == y)) for i in range(n)) for y in range(n))
