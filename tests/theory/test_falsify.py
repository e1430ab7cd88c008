"""A user's conjecture: refuted by the smallest exact counterexample, or not at all, within bounds that are told."""

from fractions import Fraction as F

import pytest

from dynamics.errors import InvalidArgument
from theory import Bounds, World, falsify
from theory.worlds import BASE_MEASURE_KIND, LOG_LINEAR_KIND, TABULAR_KIND


def test_non_negativity_is_refuted_by_three_responses_and_one_parameter() -> None:
    found = falsify(lambda w: w.change(w.chosen) >= w.change(w.rejected))
    world = found.counterexample
    assert world is not None
    assert (world.kind, len(world.p), len(world.features[0])) == (LOG_LINEAR_KIND, 3, 1)
    assert world.change(0) < world.change(1)
    assert sorted(world.p) == [F(1, 13), F(3, 13), F(9, 13)]  # the smallest there is: the ladder at e^theta = 3


def test_displacement_needs_shared_parameters() -> None:
    assert not falsify(lambda w: w.drive(w.chosen) > 0, kinds=(TABULAR_KIND,), max_examples=200)
    assert falsify(lambda w: w.drive(w.chosen) > 0)


def test_a_theorem_is_not_falsified_and_the_worlds_are_counted() -> None:
    found = falsify(lambda w: w.drive(w.chosen) >= w.drive(w.rejected), max_examples=150)
    assert not found
    assert found.tried == found.drawn == 450
    assert "not falsified in 450 exact worlds" in str(found)


def test_the_bounds_are_told_and_a_wider_search_refutes() -> None:
    """Within narrow bounds a false conjecture is not falsified: then the answer must say how narrow they were."""
    for conjecture, narrow, wide, told in (
        (lambda w: w.p_w <= F(12, 13), Bounds(responses=2, weight=12), Bounds(), "weights 1 to 12"),
        (lambda w: w.p_w > F(1, 100), Bounds(responses=3, weight=10), Bounds(), "2 to 3 responses"),
        (lambda w: len(w.p) < 6, Bounds(responses=5), Bounds(), "2 to 5 responses"),
        (lambda w: len(w.p) < 20, Bounds(), Bounds(responses=30), "2 to 8 responses"),
    ):
        found = falsify(conjecture, kinds=(TABULAR_KIND,), within=narrow)
        assert not found
        assert told in str(found)
        assert TABULAR_KIND in str(found)
        assert falsify(conjecture, kinds=(TABULAR_KIND,), within=wide)


def test_worlds_stay_within_the_bounds() -> None:
    bounds = Bounds(responses=4, weight=5, features=2, feature=2, power=2)
    seen: list[World] = []

    def look(w: World) -> bool:
        seen.append(w)
        return True

    falsify(look, within=bounds, max_examples=300)
    assert max(len(w.p) for w in seen) == 4
    free = [w for w in seen if w.kind == BASE_MEASURE_KIND]
    assert max(len(w.features[0]) for w in free) == 2
    assert {abs(k) for w in free for row in w.features for k in row} == {0, 1, 2}
    assert max(max(w.p) / min(w.p) for w in free) == 5


def test_only_worlds_that_meet_the_premise_count() -> None:
    found = falsify(lambda w: w.D_w >= w.D_l, given=lambda w: w.wl <= 0, max_examples=300)
    assert 0 < found.tried < found.drawn == 900
    assert f"{found.tried} exact worlds of 900, those that meet the premise" in str(found)
    nothing = falsify(lambda w: False, given=lambda w: w.ww < 0, max_examples=50)
    assert nothing.tried == 0
    assert "none of 150 exact worlds meets the premise" in str(nothing)


def test_a_world_without_the_response_is_passed_over() -> None:
    found = falsify(lambda w: w.A_y**2 <= w.yy * w.dd, max_examples=200)
    assert not found
    assert "those that it speaks of" in str(found)


def test_the_counterexample_can_be_checked_by_hand() -> None:
    text = str(falsify(lambda w: w.change(w.chosen) >= w.change(w.rejected)))
    for part in ("w (chosen)", "l (rejected)", "3/13", "g_w . g_l ="):
        assert part in text


def test_the_same_seed_finds_the_same_world() -> None:
    def conjecture(w: World) -> bool:
        return w.kernel(w.chosen, w.rejected) <= 0

    assert falsify(conjecture, seed=5).counterexample == falsify(conjecture, seed=5).counterexample


def test_an_error_in_the_conjecture_is_the_users_to_see() -> None:
    with pytest.raises(InvalidArgument, match=r"has no probability.* It has A_l, "):
        falsify(lambda w: w.probability > 0)
    with pytest.raises(AttributeError):
        falsify(lambda w: [w.p_w].nonsense)


@pytest.mark.parametrize(
    ("conjecture", "word"),
    [
        (lambda w: None, "NoneType"),
        (lambda w: (w.p_w > 0, "a tuple is always true"), "tuple"),
        (lambda w: "true", "str"),
        (lambda w: w.kernel, "method"),
        (lambda w: w.A_w - w.A_l, "Fraction"),
        (lambda w: w.p_w < 0.5, "floats"),
    ],
)
def test_what_is_no_statement_is_an_error_in_words(conjecture, word: str) -> None:
    with pytest.raises(InvalidArgument, match=rf"^conjecture: .*{word}"):
        falsify(conjecture)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"kinds": ("neural",)}, "kinds"),
        ({"kinds": ()}, "kinds"),
        ({"max_examples": 0}, "max_examples"),
        ({"within": 5}, "within"),
        ({"given": 1}, "given"),
    ],
)
def test_bad_settings_are_refused(arguments: dict, names: str) -> None:
    with pytest.raises(InvalidArgument, match=names):
        falsify(lambda w: True, **arguments)


@pytest.mark.parametrize("bad", [{"responses": 1}, {"responses": 10**6}, {"weight": 0}, {"features": 1.5}])
def test_bad_bounds_are_refused(bad: dict) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(bad))):
        Bounds(**bad)


def test_all_kinds_are_searched() -> None:
    seen = set()
    falsify(lambda w: seen.add(w.kind) is None, max_examples=20)
    assert seen == {TABULAR_KIND, LOG_LINEAR_KIND, BASE_MEASURE_KIND}
