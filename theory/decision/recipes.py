"""Recipes for exact worlds: whole numbers that are enumerated from the smallest on, drawn at random, and shrunk.

A recipe is a few whole numbers (weights of responses, features, a point e^theta) from which a world follows. The size
of a world is that of its recipe, so that "the smallest counterexample" has a meaning: the fewest responses, then the
fewest features, then the smallest numbers.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, lru_cache

from dynamics.errors import InvalidArgument, check_count
from theory.worlds import BASE_MEASURE_KIND, KINDS, LOG_LINEAR_KIND, MOST_RESPONSES, TABULAR_KIND, World

LARGEST = 1000  # whole number in a recipe
MOST_STEPS = 1000  # of shrinking


@dataclass(frozen=True)
class Bounds:
    """What a search draws its worlds from. A search says nothing about worlds outside of its bounds.

    Attributes:
        responses: largest number of responses, >= 2.
        weight: probabilities are proportional to whole numbers from 1 to this one.
        features: largest number of features of a response; a tabular softmax has one for each response.
        feature: features are whole numbers from minus this one to this one.
        power: a log-linear policy without a base measure is seen at e^theta = a / b, with a and b up to this number.

    Raises:
        InvalidArgument: a bound is not a whole number, or is too small.

    Example:
        >>> print(Bounds(responses=4))
        2 to 4 responses, weights 1 to 100, up to 3 features from -4 to 4, e^theta = a/b with a, b up to 6
    """

    responses: int = 8
    weight: int = 100
    features: int = 3
    feature: int = 4
    power: int = 6

    def __post_init__(self) -> None:
        if check_count("responses", self.responses, minimum=2) > MOST_RESPONSES:
            raise InvalidArgument("responses", self.responses, f"a whole number from 2 to {MOST_RESPONSES}")
        for name in ("weight", "features", "feature", "power"):
            if check_count(name, getattr(self, name)) > LARGEST:
                raise InvalidArgument(name, getattr(self, name), f"a whole number from 1 to {LARGEST}")
        if self.features > MOST_RESPONSES:
            raise InvalidArgument("features", self.features, f"a whole number from 1 to {MOST_RESPONSES}")

    def __str__(self) -> str:
        """Return them in words."""
        many = f"2 to {self.responses}" if self.responses > 2 else "2"
        return (
            f"{many} responses, weights 1 to {self.weight}, up to {self.features} features from -{self.feature} to "
            f"{self.feature}, e^theta = a/b with a, b up to {self.power}"
        )


def extent(tried: int, drawn: int, where: str, *, premise: bool) -> str:
    """Return in words how far a search went.

    Args:
        tried: worlds in which the conjecture was evaluated.
        drawn: worlds that were looked at.
        where: the kinds of worlds and the bounds.
        premise: whether some may be left out because of a premise.

    Example:
        >>> extent(2, 3, "tabular softmax", premise=True)
        '2 exact worlds of 3, those that meet the premise (tabular softmax)'
    """
    left_out = f" of {drawn}, those that {'meet the premise' if premise else 'it speaks of'}" if tried < drawn else ""
    return f"{tried} exact worlds{left_out} ({where})"


def searched_in(kinds: tuple[str, ...], bounds: Bounds) -> str:
    """Return the kinds of worlds and the bounds of a search in words."""
    return f"{', '.join(kinds)}; {bounds}"


@dataclass(frozen=True)
class Recipe:
    """The whole numbers that a world is made of.

    Attributes:
        kind: of the world.
        weights: proportional to the probabilities; empty for a log-linear policy without a base measure.
        features: of each response; empty for a tabular softmax.
        at: numerator and denominator of e^theta for each feature of a log-linear policy without a base measure.
        other: index of the response that the short names call y; the most probable one outside the pair if None.
    """

    kind: str
    weights: tuple[int, ...] = ()
    features: tuple[tuple[int, ...], ...] = ()
    at: tuple[tuple[int, int], ...] = ()
    other: int | None = None

    @property
    def responses(self) -> int:
        """Return the number of responses."""
        return len(self.weights or self.features)

    @cached_property
    def world(self) -> World:
        """Return the world; the chosen response is the first and the rejected one the second."""
        if self.kind == TABULAR_KIND:
            total = sum(self.weights)
            made = World.tabular([Fraction(a, total) for a in self.weights])
        elif self.kind == LOG_LINEAR_KIND:
            made = World.log_linear(self.features, [Fraction(a, b) for a, b in self.at])
        else:
            made = World.with_base(self.weights, self.features)
        return made if self.other is None else replace(made, other=self.other)

    def size(self) -> tuple[int, ...]:
        """Return the key by which recipes are compared: the smaller key is the smaller recipe.

        In turn: the kind, the number of responses, of features, how far features lie apart, how many are negative, and
        all numbers.
        """
        features = [k for row in self.features for k in row]
        apart = sum(max(column) - min(column) for column in zip(*self.features, strict=True))
        numbers = [*self.weights, *map(abs, features), *(k for pair in self.at for k in pair)]
        columns = len(self.features[0]) if self.features else 0
        negative = sum(k < 0 for k in features)
        return (KINDS.index(self.kind), self.responses, columns, apart, negative, sum(numbers), max(numbers))


@lru_cache(maxsize=1)
def small_recipes() -> tuple[Recipe, ...]:
    """Return the recipes of some hundred small worlds, from the smallest on.

    Example:
        >>> small_recipes()[0].weights, len(small_recipes()) > 500
        ((1, 1), True)
    """
    found: list[Recipe] = []
    for n, top in ((2, 6), (3, 5), (4, 3)):
        for weights in itertools.product(range(1, top + 1), repeat=n):
            if math.gcd(*weights) == 1 and list(weights[2:]) == sorted(weights[2:]):
                found.append(Recipe(TABULAR_KIND, weights))
    for n, most, powers in ((2, 2, (1, 2, 3)), (3, 3, (1, 2, 3)), (4, 2, (2, 3))):
        for row, power in itertools.product(itertools.product(range(-most, most + 1), repeat=n - 1), powers):
            if list(row[1:]) == sorted(row[1:]):
                found.append(Recipe(LOG_LINEAR_KIND, (), _from_zero(row[0], 0, *row[1:]), ((power, 1),)))
    for weights in itertools.product((1, 2, 4), repeat=3):
        for chosen, another in itertools.product(range(-2, 3), repeat=2):
            if math.gcd(*weights) == 1:
                found.append(Recipe(BASE_MEASURE_KIND, weights, _from_zero(chosen, 0, another)))
    for weights in itertools.product((1, 3), repeat=2):
        found += [Recipe(BASE_MEASURE_KIND, weights, ((k,), (0,))) for k in (0, 1, 2)]
    return tuple(sorted(found, key=lambda recipe: recipe.size()))


def _from_zero(*values: int) -> tuple[tuple[int, ...], ...]:
    """Return one feature of each response, shifted so that the least is 0; a shift of all changes no score."""
    return tuple((value - min(values),) for value in values)


def within_bounds(recipe: Recipe, bounds: Bounds) -> bool:
    """Return whether a search within the bounds may draw this recipe."""
    features = [abs(k) for row in recipe.features for k in row]
    powers = [k for pair in recipe.at for k in pair]
    return (
        recipe.responses <= bounds.responses
        and max(recipe.weights, default=1) <= bounds.weight
        and max(features, default=0) <= bounds.feature
        and max(powers, default=1) <= bounds.power
    )


def draw(source: random.Random, kind: str, bounds: Bounds) -> Recipe:
    """Return a random recipe of a kind within bounds; y is any response outside the pair."""
    n = source.randint(2, bounds.responses)
    other = source.randrange(2, n) if n > 2 else None
    top = source.choice(sorted({min(3, bounds.weight), min(12, bounds.weight), bounds.weight}))
    weights = tuple(source.randint(1, top) for _ in range(n)) if kind != LOG_LINEAR_KIND else ()
    if kind == TABULAR_KIND:
        return Recipe(kind, weights, other=other)
    k = source.randint(1, bounds.features)
    features = tuple(tuple(source.randint(-bounds.feature, bounds.feature) for _ in range(k)) for _ in range(n))
    if kind == BASE_MEASURE_KIND:
        return Recipe(kind, weights, features, other=other)
    powers = tuple((source.randint(1, bounds.power), source.randint(1, bounds.power)) for _ in range(k))
    return Recipe(kind, (), features, powers, other)


def shrink(recipe: Recipe, is_false: Callable[[Recipe], bool], most: int = MOST_STEPS) -> Recipe:
    """Return a smallest recipe: no response or feature can be left out, and no single number made smaller.

    Args:
        recipe: one in which the statement is false.
        is_false: function that returns whether the statement is false in the world of a recipe.
        most: largest number of recipes to try; after that the smallest found so far is returned.
    """
    tried, changed = 0, True
    while changed:
        changed = False
        for simpler in (_with_half, _with_less, _with_smaller_weights, _with_smaller_features, _nearer_to_zero):
            candidates = simpler(recipe)
            while (candidate := next(candidates, None)) is not None:
                if not candidate.size() < recipe.size():
                    continue
                if tried == most:
                    return recipe
                tried += 1
                if is_false(candidate):
                    recipe, changed, candidates = candidate, True, simpler(candidate)
    return recipe


def _with_half(recipe: Recipe) -> Iterator[Recipe]:
    """Yield recipes with half of the responses outside the pair, or with all weights equal."""
    middle = (recipe.responses + 2) // 2
    for left_out in (range(middle, recipe.responses), range(2, middle)):
        fewer = recipe
        for y in reversed(left_out):
            fewer = _without(fewer, y)
        yield fewer
    yield replace(recipe, weights=tuple(1 for _ in recipe.weights))


def _with_less(recipe: Recipe) -> Iterator[Recipe]:
    for y in range(2, recipe.responses):
        yield _without(recipe, y)
    columns = len(recipe.features[0]) if recipe.features else 0
    for k in range(columns if columns > 1 else 0):
        rows = tuple((*row[:k], *row[k + 1 :]) for row in recipe.features)
        yield replace(recipe, features=rows, at=(*recipe.at[:k], *recipe.at[k + 1 :]))


def _with_smaller_weights(recipe: Recipe) -> Iterator[Recipe]:
    for y, weight in enumerate(recipe.weights):
        for less in dict.fromkeys((1, weight // 2, weight - 1)):
            if 1 <= less < weight:
                yield replace(recipe, weights=(*recipe.weights[:y], less, *recipe.weights[y + 1 :]))
    if recipe.weights and (common := math.gcd(*recipe.weights)) > 1:
        yield replace(recipe, weights=tuple(a // common for a in recipe.weights))


def _with_smaller_features(recipe: Recipe) -> Iterator[Recipe]:
    for y, row in enumerate(recipe.features):
        for k, value in enumerate(row):
            sign = 1 if value > 0 else -1
            for less in dict.fromkeys((0, sign * (abs(value) // 2), value - sign, abs(value))):
                if (abs(less), less < 0) < (abs(value), value < 0):
                    changed = (*row[:k], less, *row[k + 1 :])
                    yield replace(recipe, features=(*recipe.features[:y], changed, *recipe.features[y + 1 :]))


def _nearer_to_zero(recipe: Recipe) -> Iterator[Recipe]:
    """Yield recipes with a feature shifted for all responses, which changes no score, or with e^theta nearer to 1."""
    for k, column in enumerate(zip(*recipe.features, strict=True)):
        shifted = tuple((*row[:k], row[k] - min(column), *row[k + 1 :]) for row in recipe.features)
        yield replace(recipe, features=shifted)
    for k, (a, b) in enumerate(recipe.at):
        common = math.gcd(a, b)
        for less in ((1, 1), (a // common, b // common), (a // 2, b), (a, b // 2), (a - 1, b), (a, b - 1)):
            if min(less) >= 1:
                yield replace(recipe, at=(*recipe.at[:k], less, *recipe.at[k + 1 :]))


def _without(recipe: Recipe, y: int) -> Recipe:
    other = None if recipe.other in (None, y) else recipe.other - (recipe.other > y)
    return replace(
        recipe,
        weights=(*recipe.weights[:y], *recipe.weights[y + 1 :]),
        features=(*recipe.features[:y], *recipe.features[y + 1 :]),
        other=other,
    )
