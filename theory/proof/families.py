"""The kinds of preference worlds: every policy, every policy with two responses, every tabular softmax."""

from __future__ import annotations

import random
from dataclasses import replace

from theory import worlds
from theory.proof.family import Case, Family
from theory.proof.log_linear import LogLinear
from theory.proof.rebuild import rebuild_policy, rebuild_tabular
from theory.proof.settings import Numbers, beside
from theory.proof.worlds import MANY, THREE, TWO, AnyPolicy, Tabular
from theory.worlds import World


def _policy(n: int, name: str, only_if: str = "") -> Case:
    return Case(name, lambda run: AnyPolicy(run, n), lambda values: rebuild_policy(values, n), only_if)


def _tabular(n: int, name: str, only_if: str = "", others: int | None = None) -> Case:
    return Case(
        name,
        lambda run: Tabular(run, n, others),
        lambda values: rebuild_tabular(values, n),
        only_if,
        others is not None,
    )


def _log_linear(n: int, name: str, only_if: str = "") -> Case:
    return Case(name, lambda run: LogLinear(run, n), None, only_if)


def draw_policy(source: random.Random) -> World:
    """Draw a world of any kind, often one with two or three responses or similar scores; y is any other response."""
    kind = source.randrange(6)
    if kind == 0:
        return worlds.two_responses(source)
    if kind == 1:  # scores that point the same way, where displacement is common
        n = source.choice((3, 3, 4))
        weights = [
            source.choice((1, 2, 5, 12)),
            source.choice((1, 2, 5, 12)),
            *(source.randint(20, 90) for _ in range(n - 2)),
        ]
        rows = [[source.randint(1, 4), source.choice((0, 0, 1))] for _ in range(2)]
        return any_other(
            worlds.World.with_base(weights, [*rows, *([0, source.choice((-1, 0, 0))] for _ in range(n - 2))]), source
        )
    return any_other(worlds.any_world(source), source)


def draw_tabular(source: random.Random) -> World:
    """Draw a tabular softmax; y is any other response."""
    return any_other(worlds.tabular(source), source)


def draw_two(source: random.Random) -> World:
    """Draw a world with two responses."""
    return worlds.two_responses(source)


def any_other(world: World, source: random.Random) -> World:
    """Return the world with y any of the others."""
    return replace(world, other=source.choice(world.others)) if world.others else world


POLICY = Family(
    "every policy",
    "p_w, p_l, p_y > 0; the Gram matrix of the scores is positive semidefinite; n = 2 and n = 3: sum_y p_y g_y = 0; "
    "n >= 4: the named probabilities sum to less than 1",
    (_policy(TWO, "n = 2"), _policy(MANY, "n >= 4"), _policy(THREE, "n = 3", only_if="y")),
    draw_policy,
)
"""Every differentiable policy with any number of responses and parameters, at any point."""

TWO_RESPONSES = Family(
    "every policy with two responses",
    "p_w + p_l = 1, p_w g_w + p_l g_l = 0",
    (_policy(TWO, "n = 2"),),
    draw_two,
)
"""Every policy with two responses."""

TABULAR = Family(
    "every tabular softmax",
    "<g_y, g_z> = [y = z] - p_y - p_z + S2; sums of powers of the probabilities of the responses that are not named: "
    "0 < R2 <= R1^2, 0 < R3 <= R1 R2, R2^2 <= R1 R3 (proved by induction on their number)",
    (_tabular(TWO, "n = 2"), _tabular(MANY, "n >= 4"), _tabular(THREE, "n = 3", only_if="y")),
    draw_tabular,
    (
        _tabular(TWO, "n = 2"),
        _tabular(THREE, "n = 3"),
        _tabular(MANY, "n = 4", others=1),
        _tabular(MANY, "n = 5", others=2),
    ),
)
"""Every tabular softmax with any number of responses."""

LOG_LINEAR = Family(
    "every log-linear policy",
    POLICY.assumes + "; after a step with e^s = E: p_y' = p_y e^(s A_y) / Z, A_y' = A_y - M, and Z >= 1, e^(s M) >= Z "
    "(strict if anything moves), Z > the sum of what is named (proved by induction on the number of responses); "
    "steps whose E have the same product lead to the same world",
    (_log_linear(TWO, "n = 2"), _log_linear(MANY, "n >= 4"), _log_linear(THREE, "n = 3", only_if="y")),
    draw_policy,
)
"""Every log-linear policy, base measures allowed; ``w.after(E)`` is an exact step of size s = log E on the pair."""


def with_step(family: Family) -> Family:
    """Return the family of pairs: a world, and E = e^s > 1 of a step of any size s = learning rate x beta x urgency.

    Example:
        >>> from theory.proof import LOG_LINEAR, prove
        >>> def rises(case):
        ...     w, E = case
        ...     return w.after(E).p_w >= w.p_w
        >>> prove(rises, with_step(LOG_LINEAR), given=lambda case: case[0].A_w < 0).verdict
        'refuted'
    """

    @beside(family, "s > 0")
    def step(numbers: Numbers) -> object:
        """An exact step of any size."""
        return 1 + numbers.positive("growth")

    return step


def of_size(family: Family, n: int) -> Family:
    """Return the worlds of a family that have n responses, two or three.

    Raises:
        ValueError: the family has no world in symbols with that number of responses.

    Example:
        >>> from theory.proof import POLICY, prove
        >>> def nowhere_else(w):
        ...     return w.D_w + w.D_l + w.D_y == 0
        >>> prove(nowhere_else, of_size(POLICY, 3)).verdict, prove(nowhere_else, POLICY, witness=False).verdict
        ('proved', 'refuted')
    """

    def draw(source: random.Random) -> World:
        while len((world := family.draw(source)).p) != n:
            pass
        return world

    only = tuple(replace(case, only_if="") for case in family.cases if case.name == f"n = {n}")
    if not only:
        raise ValueError(f"{family.name}: no world in symbols has exactly {n} responses")
    return replace(family, name=f"{family.name} with {n} responses", cases=only, draw=draw, witnesses=())
