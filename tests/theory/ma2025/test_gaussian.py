"""The formulas for w that are proved by induction hold in bandits, and those next to them do not."""

import random
from collections.abc import Callable
from fractions import Fraction as F

import pytest

from tests.theory.ma2025.samplers import perhaps_trained_bandit, plain_bandit, untrained_bandit
from theory.ma2025.bandits import Bandit, bandit
from theory.ma2025.gaussian import lemma_2, of_first, share_of_wins


def is_lemma_2(world: Bandit, twice: F = F(1)) -> bool:
    assumed = world.beta == 1 and len(set(world.ref)) == 1 and set(world.asked) == {1}
    return not assumed or lemma_2(of_first(world), twice)


def is_lemma_2_in_general(world: Bandit, power: int | None = None) -> bool:
    once = Bandit(world.p, world.q, world.ref, world.beta)
    tilted = tuple((p / r) ** (power or once.beta) for p, r in zip(once.p, once.ref, strict=True))
    alpha, beta = share_of_wins(once, tilted), share_of_wins(once, once.q)
    return once.fitness == tuple(b - a for a, b in zip(alpha, beta, strict=True))


def depends_on_labels_alone(world: Bandit, half: F = F(1, 2)) -> bool:
    n = world.responses
    wins = (sum((world.rate(i, j) * (world.label(i, j) - half) for j in n if j != i), F(0)) for i in n)
    return world.fitness == tuple(wins)


def rests_at_the_optimum_only(world: Bandit, beta: int | None = None) -> bool:
    power = beta or world.beta
    scaled = {(p / r) ** power / q for p, q, r in zip(world.p, world.q, world.ref, strict=True)}
    still = not any(w != world.mean_fitness for w in world.fitness)
    return still == (not any(world.fitness)) == (len(scaled) == 1)


@pytest.mark.parametrize(
    ("statement", "draw", "wrong"),
    [
        (is_lemma_2, plain_bandit, {"twice": F(11, 10)}),
        (is_lemma_2_in_general, bandit, {"power": 1}),
        (depends_on_labels_alone, untrained_bandit, {"half": F(1, 3)}),
        (rests_at_the_optimum_only, perhaps_trained_bandit, {"beta": 1}),
    ],
)
def test_what_is_proved_of_w_holds_in_bandits(
    statement: Callable[..., bool], draw: Callable[[random.Random], Bandit], wrong: dict[str, F | int]
) -> None:
    source = random.Random(4)
    worlds = [draw(source) for _ in range(60)]
    assert all(statement(world) for world in worlds)
    assert not all(statement(world, **wrong) for world in worlds)
