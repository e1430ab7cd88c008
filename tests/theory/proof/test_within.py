"""A number between two others, or from one on, reaches the ends, in a proof and in a search."""

from fractions import Fraction

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


@setting("t >= 1/2")
def half_or_more(numbers):
    return numbers.at_least("t", Fraction(1, 2))


def test_a_number_from_one_on_reaches_it_and_has_no_end() -> None:
    assert prove(lambda t: t >= Fraction(1, 2), half_or_more).verdict == "proved"
    assert search(lambda t: t > Fraction(1, 2), half_or_more).counterexample == Fraction(1, 2)
    assert prove(lambda t: t < 1000, half_or_more).verdict == "refuted"
