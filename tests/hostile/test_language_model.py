"""Every public function of ``dynamics.language_model`` under hostile arguments: no traceback, one sentence."""

from __future__ import annotations

import random

import pytest

from tests.optional import needs

needs("transformers", "peft")

import torch

from dynamics import InvalidArgument, language_model as lm
from tests.hostile.judge import complaint
from tests.hostile.language_model_recipes import LANGUAGE_MODEL, NOT_CALLED, PAIR, model
from tests.hostile.values import HOSTILE

WORDS = ("true", "number as text", "no repr", "class", "dict", "empty list", "ragged", "endless", "nan", "-1", "half")
WORDS += ("vast array", "text array", "meta tensor", "vast tensor")


def test_every_public_name_is_called_or_said_why_not() -> None:
    called = {name for name in LANGUAGE_MODEL if "(" not in name}
    assert called | set(NOT_CALLED) == set(lm.__all__)
    assert not called & set(NOT_CALLED)


@pytest.mark.parametrize("name", LANGUAGE_MODEL)
def test_one_hostile_argument(name: str) -> None:
    recipe = LANGUAGE_MODEL[name]
    assert complaint(recipe, recipe.valid(random.Random(1))) == ""
    found = []
    for argument in recipe.valid(random.Random(0)):
        for word in WORDS:
            if bad := complaint(recipe, recipe.valid(random.Random(0)) | {argument: HOSTILE[word]()}):
                found.append(f"{argument} = {word}: {bad}")
    assert found == []


SLIPS = [
    ({"loss": "dpo"}, r"loss: got dpo; allowed: a loss such as DPO\(beta=0.1\); get_loss\('dpo'\) makes one"),
    ({"learning_rate": -1}, "learning_rate: got -1; allowed: a finite number >= 0"),
    ({"parameters": [torch.zeros(1)]}, "parameters: got .*; allowed: a glob such as"),
    ({"parameters": [0, 1]}, r"parameters: got \[0, 1\]; allowed: a glob such as"),
    ({"parameters": 3}, "parameters: got 3; allowed: a glob such as"),
    ({"dtype": "float64"}, "dtype: got float64; allowed: torch.float32 or torch.float64"),
    ({"dtype": torch.bfloat16}, "dtype: got torch.bfloat16; allowed: torch.float32 or torch.float64"),
    ({"optimizer": "adamw"}, r"optimizer: got adamw; allowed: SGD\(\), AdamW\(\), or an object with"),
]


@pytest.mark.parametrize(("slip", "says"), SLIPS, ids=str)
@pytest.mark.parametrize("call", [lm.model_step, lm.parameter_change, lm.pair_drives])
def test_the_usual_slips_are_named(call: object, slip: dict[str, object], says: str) -> None:
    if call is lm.pair_drives and slip.keys() & {"learning_rate", "optimizer"}:
        return
    with pytest.raises(InvalidArgument, match=says):
        call(model(), PAIR, **slip)  # type: ignore[operator]
