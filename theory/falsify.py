"""A search for the smallest exact counterexample to a conjecture about preference worlds."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from dynamics.errors import InvalidArgument, check_count, check_kind
from theory.worlds import BASE_MEASURE, LOG_LINEAR, TABULAR, World, world_strategy


@dataclass(frozen=True)
class Falsification:
    """What a search for a counterexample found.

    Attributes:
        counterexample: the smallest world found in which the conjecture is false; None if there was none.
        tried: number of worlds in which the conjecture was evaluated, including those tried while shrinking.
        kinds: the kinds of policies searched, simplest first.
    """

    counterexample: World | None
    tried: int
    kinds: tuple[str, ...]

    def __bool__(self) -> bool:
        """Return whether the conjecture was refuted."""
        return self.counterexample is not None

    def __str__(self) -> str:
        """Return the counterexample in fractions, or the number of worlds that were searched."""
        if self.counterexample is None:
            return f"not falsified in {self.tried} worlds ({', '.join(self.kinds)})"
        return f"false; the smallest counterexample of {self.tried} worlds tried:\n{self.counterexample}"


def falsify(
    conjecture: Callable[[World], bool],
    *,
    kinds: tuple[str, ...] = (TABULAR, LOG_LINEAR, BASE_MEASURE),
    max_examples: int = 2000,
    max_responses: int = 5,
    seed: int = 0,
) -> Falsification:
    """Search for a world in which ``conjecture`` is false, and shrink it.

    The kinds are searched in order, so that a counterexample comes from the simplest kind of policy that has one. The
    chosen response is always 0 and the rejected one 1, which is no restriction.

    Args:
        conjecture: a predicate of a ``World``; use ``w.p``, ``w.change(y)``, ``w.drive(y)``, ``w.kernel(y, z)``,
            ``w.chosen``, ``w.rejected``, ``w.greedy``, ``w.others``; all are fractions.
        kinds: TABULAR, LOG_LINEAR, BASE_MEASURE or some of them.
        max_examples: worlds to try for each kind, before shrinking.
        max_responses: at most this many responses, >= 2.
        seed: of the search.

    Returns:
        The smallest counterexample, or the number of worlds tried.

    Raises:
        InvalidArgument: an unknown kind, or no kind at all.

    Example:
        >>> print(falsify(lambda w: w.change(w.chosen) >= w.change(w.rejected)).counterexample.kind)
        log-linear
        >>> print(falsify(lambda w: w.drive(w.chosen) >= w.drive(w.rejected), max_examples=100))
        not falsified in 300 worlds (tabular softmax, log-linear, log-linear with a base measure)
    """
    from hypothesis import HealthCheck, Phase, find, settings  # noqa: PLC0415 - half a second
    from hypothesis.errors import NoSuchExample  # noqa: PLC0415

    check_kind("conjecture", conjecture, Callable, "a predicate of a World")  # type: ignore[arg-type]
    check_kind("kinds", kinds, tuple, "a tuple of kinds")
    if not kinds or any(not isinstance(k, str) or k not in (TABULAR, LOG_LINEAR, BASE_MEASURE) for k in kinds):
        raise InvalidArgument("kinds", kinds, f"some of {(TABULAR, LOG_LINEAR, BASE_MEASURE)}")
    check_count("max_examples", max_examples)
    check_count("seed", seed, minimum=0)
    for kind in kinds:
        world_strategy(kind, max_responses)  # refuses an invalid number of responses
    tried = 0

    def refuted(world: World) -> bool:
        nonlocal tried
        tried += 1
        return not conjecture(world)

    search = settings(
        max_examples=max_examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    for kind in kinds:
        strategy = world_strategy(kind, max_responses)
        try:
            world = find(strategy, refuted, settings=search, random=random.Random(seed))
        except NoSuchExample:
            continue
        return Falsification(world, tried, kinds)
    return Falsification(None, tried, kinds)
