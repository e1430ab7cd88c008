"""Recipes: small worlds come in order of size, random ones stay in their kind, and shrinking keeps what is false."""

import random

import pytest
from hypothesis import given, strategies as st

from theory.decision.recipes import KINDS, Bounds, draw, shrink, small_recipes


def test_small_recipes_come_in_order_and_once() -> None:
    found = small_recipes()
    sizes = [recipe.size() for recipe in found]
    assert sizes == sorted(sizes)
    assert len(set(found)) == len(found)
    assert {recipe.kind for recipe in found} == set(KINDS)
    assert all(recipe.world.kind == recipe.kind for recipe in found)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10**6))
def test_shrinking_ends_in_a_smaller_world_in_which_it_is_still_false(kind: str, seed: int) -> None:
    recipe = draw(random.Random(seed), kind, Bounds(responses=6))

    def is_false(candidate) -> bool:
        w = candidate.world
        return w.dd > 0 and w.p_w != w.p_l

    if not is_false(recipe):
        return
    small = shrink(recipe, is_false)
    assert is_false(small)
    assert small.size() <= recipe.size()
    assert small.responses == 2
    assert max(small.weights, default=1) <= 2
    assert max((abs(k) for row in small.features for k in row), default=0) <= 1


def test_y_stays_the_same_response_while_others_are_left_out() -> None:
    recipe = draw(random.Random(3), "tabular softmax", Bounds(responses=8))
    assert recipe.other is not None
    weight = recipe.weights[recipe.other]
    small = shrink(recipe, lambda r: r.responses > 2 and r.other is not None and r.weights[r.other] == weight)
    assert small.responses == 3
    assert small.weights[small.other] == weight
