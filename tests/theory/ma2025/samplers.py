"""Bandits of particular kinds, for tests."""

import random

from theory.ma2025.bandits import Bandit, bandit


def plain_bandit(source: random.Random) -> Bandit:
    """Draw a bandit, in half of all cases with a uniform reference, beta = 1 and every pair asked once."""
    if source.random() < 0.5:
        return bandit(source)
    n = source.choice((2, 2, 3, 3, 4, 5, 8))
    return Bandit.of([source.randint(1, 12) for _ in range(n)], [source.randint(1, 12) for _ in range(n)])


def untrained_bandit(source: random.Random) -> Bandit:
    """Draw a bandit whose policy still is the reference."""
    drawn = bandit(source)
    return Bandit(drawn.ref, drawn.q, drawn.ref, drawn.beta, drawn.asked)


def perhaps_trained_bandit(source: random.Random) -> Bandit:
    """Draw a bandit, in half of all cases one whose policy is DPO's optimum p ~ ref q^(1 / beta)."""
    drawn = bandit(source)
    if source.random() < 0.5:
        return drawn
    optimal = tuple((a / b) ** drawn.beta for a, b in zip(drawn.p, drawn.ref, strict=True))
    return Bandit(drawn.p, optimal, drawn.ref, drawn.beta, drawn.asked)
