"""A number between two others reaches both ends, in a proof and in a search."""

import pytest

from theory.proof import prove, search, setting


@setting("0 <= t <= 1")
def share(numbers):
    return numbers.within("t", 0, 1)


def test_what_holds_on_the_closed_interval_is_proved() -> None:
    assert prove(lambda t: 0 <= t * t <= t, share).verdict == "proved"


@pytest.mark.parametrize("inside", [lambda t: t > 0, lambda t: t < 1])
def test_both_ends_are_found(inside) -> None:
    assert prove(inside, share).verdict == "refuted"
    assert search(inside, share).counterexample in (0, 1)
