"""A search for the smallest exact counterexample to a conjecture about preference worlds."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from dynamics.errors import InvalidArgument, check_count, check_kind
from theory.decision.asked import asked, predicate_of
from theory.decision.recipes import Bounds, Recipe, draw, extent, searched_in, shrink, small_recipes, within_bounds
from theory.proof.searched import holds_at
from theory.worlds import KINDS, World


@dataclass(frozen=True)
class Falsification:
    """What a search for a counterexample found.

    Attributes:
        counterexample: the smallest world found in which the conjecture is false; None if there was none.
        tried: number of worlds in which the conjecture was evaluated: those that meet the premise and have every
            response that the conjecture uses, with those tried while shrinking.
        drawn: number of worlds that were examined.
        kinds: the kinds of policies searched, simplest first.
        bounds: what the worlds were drawn from.
        premise: whether there was a premise.
    """

    counterexample: World | None
    tried: int
    drawn: int
    kinds: tuple[str, ...]
    bounds: Bounds = field(default_factory=Bounds)
    premise: bool = False

    def __bool__(self) -> bool:
        """Return whether the conjecture was refuted."""
        return self.counterexample is not None

    @property
    def searched(self) -> str:
        """Return in words where was searched."""
        return extent(self.tried, self.drawn, searched_in(self.kinds, self.bounds), premise=self.premise)

    def __str__(self) -> str:
        """Return the counterexample in fractions, or which worlds were searched."""
        if self.counterexample is None:
            if not self.tried:
                why = "meets the premise" if self.premise else "has a response outside the pair"
                where = searched_in(self.kinds, self.bounds)
                return f"not falsified: none of {self.drawn} exact worlds {why} ({where})"
            return f"not falsified in {self.searched}"
        return f"false; the smallest counterexample of {self.tried} worlds tried:\n{self.counterexample}"


def falsify(
    conjecture: Callable[[World], bool] | str,
    *,
    given: Callable[[World], bool] | str | None = None,
    kinds: tuple[str, ...] = KINDS,
    max_examples: int = 1000,
    within: Bounds | None = None,
    seed: int = 0,
) -> Falsification:
    """Search for a world in which ``conjecture`` is false, and shrink it.

    Small worlds come first, in the order of their size, then random ones within the bounds. The kinds are searched in
    order, so that a counterexample comes from the simplest kind of policy that has one. The chosen response is always 0
    and the rejected one 1, which is no restriction. A search proves nothing: ``decide`` does where it can.

    A conjecture that has no value in a world, because it divides by zero there, counts as false there.

    Args:
        conjecture: a predicate of a ``World``; use ``w.p``, ``w.change(y)``, ``w.drive(y)``, ``w.kernel(y, z)``,
            ``w.chosen``, ``w.rejected``, ``w.greedy``, ``w.others``, or the short names; all are fractions.
        given: a premise; only worlds that meet it count.
        kinds: the kinds of worlds to search, all of ``KINDS`` or some.
        max_examples: worlds to look at for each kind, before shrinking.
        within: the bounds of the search; ``Bounds()`` if not given.
        seed: of the search.

    Returns:
        The smallest counterexample, or the number of worlds tried, with the bounds.

    Raises:
        InvalidArgument: the conjecture returns no truth value (None, a tuple, a number, a method that was not called),
            or computes with floats; an unknown kind, or no kind at all.

    Example:
        >>> print(falsify(lambda w: w.change(w.chosen) >= w.change(w.rejected)).counterexample.kind)
        log-linear
        >>> print(falsify(lambda w: w.A_w >= w.A_l, max_examples=100, within=Bounds(responses=3)))
        ... # doctest: +NORMALIZE_WHITESPACE
        not falsified in 300 exact worlds (tabular softmax, log-linear, log-linear with a base measure; 2 to 3
        responses, weights 1 to 100, up to 3 features from -4 to 4, e^theta = a/b with a, b up to 6)
    """
    statement = asked("conjecture", predicate_of("conjecture", conjecture))
    premise = None if given is None else asked("given", predicate_of("given", given))
    check_kind("kinds", kinds, tuple, "a tuple of kinds")
    if not kinds or any(not isinstance(k, str) or k not in KINDS for k in kinds):
        raise InvalidArgument("kinds", kinds, f"some of {KINDS}")
    check_count("max_examples", max_examples)
    check_count("seed", seed, minimum=0)
    if within is not None:
        check_kind("within", within, Bounds, "Bounds, or None")
    bounds = within or Bounds()
    tried = drawn = 0

    def is_false(recipe: Recipe) -> bool:
        nonlocal tried, drawn
        drawn += 1
        holds = holds_at(statement, recipe.world, premise)
        tried += holds is not None
        return holds is False

    for kind in kinds:
        for recipe in candidates(kind, bounds, max_examples, seed):
            if is_false(recipe):
                world = shrink(recipe, is_false).world
                return Falsification(world, tried, drawn, kinds, bounds, given is not None)
    return Falsification(None, tried, drawn, kinds, bounds, given is not None)


def candidates(kind: str, bounds: Bounds, count: int, seed: int) -> Iterator[Recipe]:
    """Yield recipes of a kind: at most half of them small ones in order of size, the others at random."""
    small = [recipe for recipe in small_recipes() if recipe.kind == kind and within_bounds(recipe, bounds)]
    small = small[: count // 2]
    yield from small
    source = random.Random(f"{kind}/{seed}")
    for _ in range(count - len(small)):
        yield draw(source, kind, bounds)
