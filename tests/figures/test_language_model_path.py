"""Many predicted steps on two language models: controls of the checks, and the step at which a sign is first wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from figures.language_model_path import ALWAYS, FROZEN, RANDOM, SHIPPED, SOMETIMES, many_steps, wrong_steps
from figures.registry import Arrays
from tests.figures.computed import computed
from tests.figures.controls import add_controls, in_place
from tests.figures.test_language_model_pair import drawing_of


def another_first_step(arrays: Arrays) -> None:
    arrays["predicted"][SHIPPED, FROZEN, 1] *= 1.1


def turned_first_step(arrays: Arrays) -> None:
    arrays["actual"][RANDOM, 1, 0] *= -1


def no_fall(arrays: Arrays) -> None:
    arrays["actual"][SHIPPED, -1, 0] = 0.01


def shrinking_margin(arrays: Arrays) -> None:
    arrays["actual"][SHIPPED, 30, 1] += 1.0


def copied(way: int) -> Callable[[Arrays], None]:
    """Let one prediction be what happened."""

    def change(arrays: Arrays) -> None:
        arrays["predicted"][SHIPPED, way] = arrays["actual"][SHIPPED]

    return change


def as_bad_as(way: int, other: int) -> Callable[[Arrays], None]:
    def change(arrays: Arrays) -> None:
        arrays["predicted"][SHIPPED, way] = arrays["predicted"][SHIPPED, other]

    return change


def off_by_a_fifth(arrays: Arrays) -> None:
    arrays["predicted"][RANDOM, FROZEN, -1, 0] *= 1.2


for check, wrong in {
    "the_first_step_is_the_same_for_all": (another_first_step, turned_first_step),
    "the_chosen_response_rises_and_falls": (no_fall, shrinking_margin),
    "the_frozen_kernel_gets_the_sign_wrong": (copied(FROZEN),),
    "reading_the_kernel_again_helps": (as_bad_as(ALWAYS, SOMETIMES), as_bad_as(SOMETIMES, FROZEN)),
    "on_the_random_model_the_frozen_kernel_is_good": (off_by_a_fifth,),
}.items():
    add_controls("new-many-steps-lm", check, [in_place(change) for change in wrong])


@pytest.mark.parametrize(
    ("predicted", "actual", "wrong"),
    [
        ([0, 1, 1, 1], [0, 1, 1, 1], None),
        ([0, 1, 1, 1], [0, 1, 1, -1], (3, 3)),
        ([0, 1, 1, 1], [0, -1, -1, 1], (1, 2)),
    ],
)
def test_the_steps_at_which_a_sign_is_wrong(
    predicted: list[int], actual: list[int], wrong: tuple[int, int] | None
) -> None:
    assert wrong_steps(np.array(predicted), np.array(actual)) == wrong


def test_the_picture_marks_the_steps_at_which_the_sign_is_wrong() -> None:
    arrays = computed("new-many-steps-lm")
    actual = arrays["actual"][SHIPPED, :, 0]
    start, end = wrong_steps(arrays["predicted"][SHIPPED, FROZEN, :, 0], actual)  # type: ignore[misc]
    assert end == 40
    drawn = drawing_of(many_steps, arrays)
    assert f"sign wrong from {start}" in drawn
    first, last = wrong_steps(arrays["predicted"][SHIPPED, ALWAYS, :, 0], actual)  # type: ignore[misc]
    assert last < 40
    assert f"sign wrong from {first} to {last}" in drawn
