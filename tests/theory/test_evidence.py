"""Each checker passes on the truth and fails on a wrong statement: the checkers' own negative controls."""

import random
from fractions import Fraction as F

import pytest

from dynamics.errors import InvalidArgument
from theory.evidence import CONDITIONAL, FAILS, HOLDS, Evidence, Finding, fitted_order, show, uniform
from theory.worlds import World, any_world, one_feature, tabular


def only(evidence: Evidence) -> Finding:
    assert len(evidence.findings) == 1
    return evidence.findings[0]


def log_margin_grows(w: World) -> bool:
    return w.drive(w.chosen) >= w.drive(w.rejected)


def chosen_rises(w: World) -> bool:
    return w.drive(w.chosen) > 0


def test_search_passes_on_a_theorem_and_rejects_its_control() -> None:
    evidence = Evidence(worlds=200)
    evidence.holds(log_margin_grows, any_world, control=chosen_rises)
    found = only(evidence)
    assert (found.role, found.passed, found.control) == (HOLDS, True, True)


def test_search_refutes_a_false_statement_and_shows_where() -> None:
    evidence = Evidence(worlds=200)
    evidence.holds(chosen_rises, one_feature, control=log_margin_grows)
    found = only(evidence)
    assert not found.passed
    assert "refuted by" in found.detail
    assert not found.control  # a true statement is no control


def test_search_under_an_assumption_counts_only_what_satisfies_it() -> None:
    evidence = Evidence(worlds=100)
    seen: list[World] = []
    evidence.holds(
        lambda w: seen.append(w) is None and w.drive(w.rejected) < 0,
        one_feature,
        given=lambda w: w.drive(w.chosen) < 0,
        control=lambda w: w.drive(w.rejected) > 0,
    )
    found = only(evidence)
    assert (found.role, found.passed, found.control) == (CONDITIONAL, True, True)
    assert len(seen) == 100
    assert all(w.drive(w.chosen) < 0 for w in seen)


def test_an_assumption_that_is_never_met_does_not_pass() -> None:
    evidence = Evidence(worlds=50)
    evidence.holds(log_margin_grows, tabular, given=lambda w: w.drive(w.chosen) < 0, control=chosen_rises)
    assert not only(evidence).passed
    assert "only 0 of 50" in only(evidence).detail


def test_counterexample_is_evaluated_again() -> None:
    ladder = World.log_linear([[1], [0], [2]], at=[3])
    good = World.tabular([F(1, 2), F(1, 2)])
    evidence = Evidence()
    evidence.fails(chosen_rises, at=ladder, control=good)
    evidence.fails(chosen_rises, at=good, control=good)  # not a counterexample
    evidence.fails(chosen_rises, at=ladder, control=ladder)  # a checker that always says "false" would pass the first
    assert [(f.role, f.passed, f.control) for f in evidence.findings] == [
        (FAILS, True, True),
        (FAILS, False, True),
        (FAILS, True, False),
    ]


def test_search_for_a_counterexample() -> None:
    evidence = Evidence(worlds=200)
    evidence.finds(chosen_rises, one_feature, control=log_margin_grows)
    evidence.finds(log_margin_grows, one_feature, control=log_margin_grows)
    evidence.finds(chosen_rises, one_feature, control=chosen_rises)
    assert [(f.passed, f.control) for f in evidence.findings] == [(True, True), (False, True), (True, False)]


def test_slope_tells_orders_apart() -> None:
    evidence = Evidence()
    evidence.slope(lambda h: h**2, 2, control=lambda h: h)
    evidence.slope(lambda h: h**1.5, 2, control=lambda h: h)
    evidence.slope(lambda h: h**2, 2, control=lambda h: 5 * h**2)
    assert [(f.passed, f.control) for f in evidence.findings] == [(True, True), (False, True), (True, False)]


@pytest.mark.parametrize("residual", [lambda h: 0.0, lambda h: float("nan"), lambda h: -h])
def test_a_slope_of_nothing_is_refused(residual) -> None:
    with pytest.raises(InvalidArgument, match="residual"):
        fitted_order(residual, [0.1, 0.01])


def test_cases_are_the_same_for_the_same_seed_and_others_for_another() -> None:
    def drawn(seed: int) -> list[World]:
        seen: list[World] = []
        Evidence(worlds=20, seed=seed).holds(lambda w: not seen.append(w), any_world, control=chosen_rises)
        return seen

    assert drawn(1) == drawn(1) != drawn(2)


def test_uniform_stays_in_its_ranges() -> None:
    source = random.Random(0)
    draws = [uniform(a=(0, 1), b=(-2, -1))(source) for _ in range(100)]
    assert all(0 <= d["a"] <= 1 and -2 <= d["b"] <= -1 for d in draws)


def test_cases_print_as_fractions() -> None:
    assert show({"p": (F(1, 2), F(1, 2)), "n": 3}) == "p = (1/2, 1/2), n = 3"
