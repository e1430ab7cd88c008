"""Every public name of ``dynamics`` under hostile arguments: a result that looks right, or InvalidArgument."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

import dynamics
from dynamics import BDPO, DPO, InvalidArgument, Preferences, Tabular, pairs, step
from tests.hostile.judge import Recipe, complaint
from tests.hostile.recipes import METHODS, NOT_CALLED, RECIPES
from tests.hostile.values import HOSTILE

EVERY = {**RECIPES, **METHODS}
EXAMPLES = 25  # for each callable, of one to three hostile arguments; the single ones are all tried besides


@pytest.fixture(autouse=True, scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run in an empty folder, on one thread: some hostile values are good names of files."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))
        yield
    torch.set_num_threads(threads)


def test_every_public_name_has_a_recipe() -> None:
    assert set(RECIPES) | set(NOT_CALLED) == set(dynamics.__all__)
    assert not set(RECIPES) & set(NOT_CALLED)


@pytest.mark.parametrize("name", EVERY)
def test_the_recipe_is_of_good_arguments(name: str) -> None:
    recipe = EVERY[name]
    for seed in range(4):
        assert complaint(recipe, recipe.valid(random.Random(seed))) == ""
        recipe.call(**recipe.valid(random.Random(seed)))


@pytest.mark.parametrize("name", EVERY)
def test_one_hostile_argument(name: str) -> None:
    recipe = EVERY[name]
    found = []
    for argument in set(recipe.valid(random.Random(0))) - set(recipe.kept):
        for word, hostile in HOSTILE.items():
            arguments = recipe.valid(random.Random(0)) | {argument: hostile()}
            if bad := complaint(recipe, arguments):
                found.append(f"{argument} = {word}: {bad}")
    assert found == []


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_several_hostile_arguments(name: str, data: st.DataObject) -> None:
    recipe = EVERY[name]
    arguments = recipe.valid(random.Random(data.draw(st.integers(0, 50), label="seed")))
    free = sorted(set(arguments) - set(recipe.kept))
    if not free:
        return
    for argument in data.draw(st.lists(st.sampled_from(free), min_size=1, max_size=3, unique=True)):
        arguments[argument] = HOSTILE[data.draw(st.sampled_from(list(HOSTILE)), label=argument)]()
    assert complaint(recipe, arguments) == ""


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda x: {}["a"], "KeyError"),
        (lambda x: x + None, "TypeError"),
        (lambda x: {"a": np.array([np.nan])}, "returned a with NaN"),
        (lambda x: torch.tensor([1j]), "returned result with NaN or without numbers"),
        (lambda x: (_ for _ in ()).throw(InvalidArgument("y", 1, "2")), "says: y"),
        (lambda x: (_ for _ in ()).throw(InvalidArgument("x", 1, "")), "says: x"),
    ],
)
def test_the_judge_sees_what_is_wrong(call: Any, says: str) -> None:
    assert says in complaint(Recipe(call, lambda _: {"x": 1}), {"x": 1})


def test_the_judge_is_content_with_a_refusal_and_with_numbers() -> None:
    refuse = Recipe(dynamics.DPO, lambda _: {})
    assert complaint(refuse, {"beta": -1}) == ""
    assert complaint(Recipe(lambda x: {"a": np.array([np.inf])}, lambda _: {}), {"x": 1}) == ""


def test_a_loss_without_a_value_is_refused() -> None:
    with pytest.raises(
        InvalidArgument, match=r"^chosen, rejected, \.\.\.: the loss BDPO is not defined at .* 0, 0, 0, 0 "
    ):
        BDPO()(0.0, 0.0)
    with pytest.raises(InvalidArgument, match="the loss DPO is not defined at the log-probabilities -inf, -inf"):
        DPO()([-1.0, -np.inf], [-2.0, -np.inf])
    assert float(BDPO(beta=1.0)(0.0, -1.0, -1.0, -1.0)) == pytest.approx(np.log1p(np.exp(-1.0)))


GOOD = pairs([0, 1], [1, 2], shape=(3,))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"chosen": torch.tensor([0, 3])}, "chosen"),
        ({"rejected": torch.tensor([-1, 2])}, "rejected"),
        ({"rejected": torch.tensor([1, 2], dtype=torch.int32)}, "rejected"),
        ({"weight": torch.tensor([1.0, -1.0])}, "weight"),
        ({"weight": torch.tensor([1.0, np.nan])}, "weight"),
        ({"weight": torch.ones(3)}, "chosen, rejected, weight"),
        ({"weight": torch.ones(2, 2), "chosen": torch.zeros(3, 2, dtype=torch.int64)}, "chosen, rejected, weight"),
        ({"shape": (1,)}, "shape"),
        ({"shape": [3]}, "shape"),
        ({"shape": (2, 2, 3)}, "shape"),
    ],
)
def test_preferences_made_by_hand_are_checked(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        dataclasses.replace(GOOD, **changes)
    assert caught.value.argument == named
    many = Preferences(GOOD.chosen, GOOD.rejected.expand(4, 2), GOOD.weight.expand(4, 2), GOOD.shape)
    assert many.weight.shape == (4, 2)


def test_moments_of_other_parameters_are_refused() -> None:
    optimizer = dynamics.AdamW()
    first = step(Tabular(3), [0.0] * 3, 0, 1, optimizer=optimizer)
    step(Tabular(3), first.new_theta, 0, 1, optimizer=optimizer, moments=first.moments)
    with pytest.raises(InvalidArgument, match=r"^moments: "):
        step(Tabular(4), [0.0] * 4, 0, 1, optimizer=optimizer, moments=first.moments)


def test_a_sweep_that_is_refused_writes_nothing(tmp_path: Path) -> None:
    recipe = RECIPES["sweep"]
    path = tmp_path / "file"
    refused = 0
    for argument in ("grid", "seeds", "static", "batch_size", "jobs", "progress"):
        for make in HOSTILE.values():
            try:
                recipe.call(**(recipe.valid(random.Random(0)) | {"path": path, argument: make()}))
                path.unlink()
            except (InvalidArgument, MemoryError):
                refused += 1
                assert list(tmp_path.iterdir()) == []
    assert refused > 300
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "folder", "a\0b", "\ud800", tmp_path / ("x" * 300), ""):
        with pytest.raises(InvalidArgument, match=r"^path: "):
            recipe.call(**(recipe.valid(random.Random(0)) | {"path": place}))
    assert [found.name for found in tmp_path.rglob("*")] == ["folder"]
