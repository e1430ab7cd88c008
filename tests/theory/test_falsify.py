"""A user's conjecture: refuted by the smallest exact counterexample, or not at all."""

from fractions import Fraction as F

import pytest

from dynamics.errors import InvalidArgument
from theory import BASE_MEASURE, LOG_LINEAR, TABULAR, World, falsify


def test_non_negativity_is_refuted_by_three_responses_and_one_parameter() -> None:
    found = falsify(lambda w: w.change(w.chosen) >= w.change(w.rejected))
    world = found.counterexample
    assert world is not None
    assert (world.kind, len(world.p), len(world.features[0])) == (LOG_LINEAR, 3, 1)
    assert world.change(0) < world.change(1)
    assert sorted(world.p) == [F(1, 13), F(3, 13), F(9, 13)]  # the smallest there is: the ladder at e^theta = 3


def test_displacement_needs_shared_parameters() -> None:
    assert not falsify(lambda w: w.drive(w.chosen) > 0, kinds=(TABULAR,), max_examples=200)
    assert falsify(lambda w: w.drive(w.chosen) > 0)


def test_a_theorem_is_not_falsified_and_the_worlds_are_counted() -> None:
    found = falsify(lambda w: w.drive(w.chosen) >= w.drive(w.rejected), max_examples=150)
    assert not found
    assert found.tried == 450
    assert "not falsified in 450 worlds" in str(found)


def test_the_counterexample_can_be_checked_by_hand() -> None:
    text = str(falsify(lambda w: w.change(w.chosen) >= w.change(w.rejected)))
    for part in ("w (chosen)", "l (rejected)", "3/13", "g_w . g_l ="):
        assert part in text


def test_the_same_seed_finds_the_same_world() -> None:
    def conjecture(w: World) -> bool:
        return w.kernel(w.chosen, w.rejected) <= 0

    assert falsify(conjecture, seed=5).counterexample == falsify(conjecture, seed=5).counterexample


def test_an_error_in_the_conjecture_is_the_users_to_see() -> None:
    with pytest.raises(AttributeError):
        falsify(lambda w: w.probability > 0)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"kinds": ("neural",)}, "kinds"),
        ({"kinds": ()}, "kinds"),
        ({"max_examples": 0}, "max_examples"),
        ({"max_responses": 1}, "max_responses"),
    ],
)
def test_bad_settings_are_refused(arguments: dict, names: str) -> None:
    with pytest.raises(InvalidArgument, match=names):
        falsify(lambda w: True, **arguments)


def test_all_kinds_are_searched() -> None:
    seen = set()
    falsify(lambda w: seen.add(w.kind) is None, max_examples=20)
    assert seen == {TABULAR, LOG_LINEAR, BASE_MEASURE}
