"""The public names of ``theory``, the toy models and the registry of figures under hostile arguments."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from hypothesis import given, settings, strategies as st

import theory
from dynamics import InvalidArgument
from tests.hostile.judge import complaint
from tests.hostile.more_recipes import MORE
from tests.hostile.values import HOSTILE
from toy_models import constrained

NOT_CALLED = {
    **dict.fromkeys(("KINDS", "LOG_LINEAR", "POLICY", "TABULAR", "TWO_RESPONSES", "CLAIMS", "VERDICTS"), "a constant"),
    **dict.fromkeys(
        ("Claim", "Outcome", "Finding", "Falsification", "Decision", "Explanation", "Measurement"),
        "a record that functions return",
    ),
    "run_claim": "runs a claim; run_ledger, which calls it, has the recipe",
}


def test_every_public_name_has_a_recipe() -> None:
    assert set(theory.__all__) - set(NOT_CALLED) <= set(MORE)
    functions = {name for name in constrained.__all__ if name.islower()}
    assert functions - {"dpo"} <= set(MORE)
    assert "constrained dpo" in MORE


@pytest.mark.parametrize("name", MORE)
def test_one_hostile_argument(name: str) -> None:
    recipe = MORE[name]
    for seed in range(3):
        recipe.call(**recipe.valid(random.Random(seed)))
    found = []
    for argument in set(recipe.valid(random.Random(0))) - set(recipe.kept):
        for word, hostile in HOSTILE.items():
            if bad := complaint(recipe, recipe.valid(random.Random(0)) | {argument: hostile()}):
                found.append(f"{argument} = {word}: {bad}")
    assert found == []


@pytest.mark.parametrize("name", MORE)
@settings(max_examples=15)
@given(data=st.data())
def test_several_hostile_arguments(name: str, data: st.DataObject) -> None:
    recipe = MORE[name]
    arguments = recipe.valid(random.Random(data.draw(st.integers(0, 50), label="seed")))
    free = sorted(set(arguments) - set(recipe.kept))
    for argument in data.draw(st.lists(st.sampled_from(free), min_size=1, max_size=3, unique=True)):
        arguments[argument] = HOSTILE[data.draw(st.sampled_from(list(HOSTILE)), label=argument)]()
    assert complaint(recipe, arguments) == ""


def test_a_float_is_no_fraction() -> None:
    """0.1 is not 1/10, and a world of floats would not be exact."""
    with pytest.raises(InvalidArgument, match=r"^p: got .*; allowed: whole numbers and fractions"):
        theory.World.tabular([0.5, 0.5])  # type: ignore[list-item]


def test_a_power_without_end_is_refused_at_once() -> None:
    with pytest.raises(InvalidArgument, match=r"^features: "):
        theory.World.log_linear([[10**400], [0]], at=[3])
    far = theory.World(p=(Fraction(1, 2),) * 2, features=((Fraction(10**400),), (Fraction(0),)))
    with pytest.raises(InvalidArgument, match=r"^factor: "):
        far.after(2)
