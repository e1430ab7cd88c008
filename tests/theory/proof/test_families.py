"""Families that are cut down to a number of responses."""

import random

import pytest

from theory.proof import LOG_LINEAR, POLICY, TABULAR, of_size, prove, with_step


@pytest.mark.parametrize("family", [POLICY, TABULAR, LOG_LINEAR], ids=lambda family: family.name)
@pytest.mark.parametrize("n", [2, 3])
def test_every_world_has_that_number_of_responses(family, n):
    only, source = of_size(family, n), random.Random(0)
    assert {len(only.draw(source).p) for _ in range(10)} == {n}
    assert [case.name for case in only.cases] == [f"n = {n}"]
    assert only.name != family.name  # cases drawn for one are none of the other


def test_what_holds_of_that_number_only_is_proved_of_it_and_refuted_of_another():
    nowhere_else = lambda w: w.D_w + w.D_l + w.D_y == 0  # noqa: E731
    assert prove(nowhere_else, of_size(POLICY, 3)).verdict == "proved"
    assert prove(nowhere_else, POLICY).verdict == "refuted"
    both_rise = lambda w: w.D_w < 0 or w.D_l <= 0  # noqa: E731
    assert prove(both_rise, of_size(TABULAR, 2)).verdict == "proved"
    assert prove(both_rise, of_size(POLICY, 2)).verdict == "proved"
    assert prove(both_rise, of_size(POLICY, 3)).verdict == "refuted"


def test_a_step_of_worlds_of_one_size():
    only = with_step(of_size(LOG_LINEAR, 2))
    rises = lambda c: c[0].after(c[1]).p_w >= c[0].p_w  # noqa: E731
    assert prove(rises, only).verdict == "proved"
    assert prove(rises, with_step(of_size(LOG_LINEAR, 3)), witness=False).verdict != "proved"


def test_a_number_of_which_there_is_no_world_is_refused():
    with pytest.raises(ValueError, match="exactly 5"):
        of_size(POLICY, 5)
