"""Exact policies that have given probabilities and inner products of scores."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

from theory.worlds import World, dot

LARGE = 10**6


def rebuild_policy(values: dict[str, Fraction], n: int) -> World:
    """Return the log-linear policy with a base measure that has these probabilities and inner products of scores.

    Features are the scores. The Gram matrix is L D L^T, and a rational pivot of D is a sum of four squares of
    fractions, so that four coordinates carry each. One further response balances the scores where n allows it.

    Raises:
        ValueError: no policy has these values.
    """
    p = values["p_w"]
    if n == 2:
        rows = _roots([values["d"]])
        d = rows[0]
        return World((p, 1 - p), (tuple((1 - p) * a for a in d), tuple(-p * a for a in d)))
    weights, names = [p, values["p_l"]], ["w", "l"]
    if n > 3 and "p_y" in values:
        weights.append(values["p_y"])
        names.append("y")
    gram = [[values[a + b] if a + b in values else values[b + a] for b in names] for a in names]
    scores = _factor(gram)
    rest = 1 - sum(weights, Fraction(0))
    balance = tuple(-dot(weights, [g[k] for g in scores]) / rest for k in range(len(scores[0])))
    return World((*weights, rest), (*scores, balance), other=2)


def rebuild_tabular(values: dict[str, Fraction], n: int) -> World:
    """Return the tabular softmax with these probabilities; the rest of the mass is one more response.

    Raises:
        ValueError: there is no such policy.
    """
    named = [values["p_w"], *([values["p_l"]] if n > 2 else [])]
    named += [values[name] for name in ("p_y", "p_3", "p_4", "p_5") if name in values]
    rest = 1 - sum(named)
    if rest < 0 or (rest > 0 and "p_3" in values):
        raise ValueError("these are no probabilities")
    return World.tabular([*named, rest] if rest > 0 else named, 0, 1)


def _factor(gram: list[list[Fraction]]) -> list[tuple[Fraction, ...]]:
    """Return vectors with these inner products, in rational coordinates."""
    n = len(gram)
    lower = [[Fraction(i == j) for j in range(n)] for i in range(n)]
    pivots = [Fraction(0)] * n
    for j in range(n):
        pivots[j] = gram[j][j] - sum(lower[j][k] ** 2 * pivots[k] for k in range(j))
        for i in range(j + 1, n):
            off = gram[i][j] - sum(lower[i][k] * lower[j][k] * pivots[k] for k in range(j))
            if pivots[j] == 0 and off != 0:
                raise ValueError("not positive semidefinite")
            lower[i][j] = off / pivots[j] if pivots[j] else Fraction(0)
    blocks = _roots(pivots)
    return [
        tuple(c * a for c, block in zip(row, blocks, strict=True) for a in block) or (Fraction(0),) for row in lower
    ]


def _roots(pivots: list[Fraction]) -> list[tuple[Fraction, ...]]:
    """Return vectors whose squared lengths are these numbers."""
    blocks = []
    for pivot in pivots:
        if pivot < 0:
            raise ValueError("not positive semidefinite")
        parts = four_squares(pivot.numerator * pivot.denominator)
        block = tuple(Fraction(a, pivot.denominator) for a in parts if a)
        blocks.append(block)
    return blocks if any(blocks) else [(Fraction(0),)] * len(pivots)


def four_squares(n: int) -> tuple[int, ...]:
    """Return at most four whole numbers whose squares sum to n >= 0; up to a million as few as there can be.

    Example:
        >>> four_squares(12), four_squares(25), four_squares(7)
        ((2, 2, 2), (5,), (1, 1, 1, 2))
    """
    from sympy.solvers.diophantine.diophantine import power_representation, sum_of_four_squares  # noqa: PLC0415

    if n == 0:
        return ()
    root = isqrt(n)
    if root * root == n:
        return (root,)
    if n > LARGE:  # to look for fewer takes a time that grows with n
        return tuple(sorted(int(a) for a in sum_of_four_squares(n) if a))
    for k in (2, 3, 4):
        found = next(iter(power_representation(n, 2, k)), None)
        if found:
            return tuple(sorted(map(int, found)))  # SymPy's own whole numbers are none of Python's
    raise AssertionError(f"{n} is no sum of four squares")
