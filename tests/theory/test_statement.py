"""A claim that rests on another is as strong as that one, and falls with it."""

import random
from dataclasses import replace
from fractions import Fraction as F
from typing import Any

import pytest

from dynamics.errors import InvalidArgument
from theory.claim import BROKEN, FALSE, PROBLEM, PROVED, REPRODUCED, run_claim
from theory.decision.decide import decide
from theory.evidence import ALSO, HOLDS
from theory.lines import refuse_no_part
from theory.proof import (
    POLICY,
    Family,
    Named,
    beside,
    derivative,
    exp,
    prove,
    setting,
    sums_of,
    world_of,
)
from theory.proof.certificate import Certificate
from theory.proof.settings import mapped

ANY = world_of("x real", x="real")


def square(case: Any, least: Any = 0) -> Any:
    """x^2\\ge 0"""
    return case.x**2 >= least


def fourth(case: Any) -> Any:
    """x^4\\ge 0"""
    return case.x**4 >= 0


def test_it_takes_over_the_strength(claim: Any) -> None:
    lemma = claim("lemma", "here", PROVED)(square).proved(over=ANY, wrong={"least": 1}, lemma="monotone")
    outcome = run_claim(claim("rests", "here", PROVED)(fourth).rests_on(lemma).claim)
    assert (outcome.status, outcome.strength) == (REPRODUCED, "proved by smt, modulo monotone, parts joined in prose")
    assert "trial.lemma" in outcome.findings[0].detail


def test_a_lemma_that_is_only_searched_makes_no_proof(claim: Any) -> None:
    lemma = claim("lemma", "here", PROVED)(square).unrefuted(ANY, wrong={"least": 1}, ranges="any fraction")
    proved = claim("rests", "here", PROVED)(fourth).proved(over=ANY, wrong=lambda case: case.x >= 0)
    assert run_claim(proved.rests_on(lemma).claim).strength.startswith("unrefuted")


@pytest.mark.parametrize(("least", "wrong"), [(F(1), F(2)), (F(-1), F(-2))])
def test_it_falls_with_a_lemma_that_is_not_reproduced_or_cannot_fail(claim: Any, least: F, wrong: F) -> None:
    def shifted(case: Any, least: Any = least) -> Any:
        """x^2\\ge c"""
        return square(case, least)

    lemma = claim("lemma", "here", PROVED)(shifted).proved(over=ANY, wrong={"least": wrong})
    outcome = run_claim(claim("rests", "here", PROVED)(fourth).rests_on(lemma).claim)
    assert outcome.status == BROKEN


def test_a_false_claim_is_no_lemma(claim: Any) -> None:
    lemma = claim("lemma", "here", FALSE)(square).refuted(over=ANY, unlike=fourth, least=1)
    assert run_claim(claim("rests", "here", PROVED)(fourth).rests_on(lemma).claim).status == BROKEN


def test_a_certificate_holds_the_questions_of_the_lemma(claim: Any) -> None:
    lemma = claim("lemma", "here", PROVED)(square).proved(over=ANY, wrong={"least": 1})
    rests = claim("rests", "here", PROVED)(fourth).rests_on(lemma)
    run_claim(rests.claim)
    certificate = Certificate()
    run_claim(rests.claim, record=certificate.record)
    assert certificate.impossible()


# --- parts of a whole ------------------------------------------------------------------------------------------------


def both(case: Any, least: Any = 0) -> Any:
    r"""x^2\ge 0,\qquad x^2+1>x,\quad f(x,1)=1"""
    return case.x**2 >= least


def above(case: Any, most: Any = 1) -> Any:
    return case.x**2 + most > case.x


def test_one_of_the_statements_that_a_claim_lists_needs_no_prose(claim: Any) -> None:
    whole = claim("whole", "here", PROVED)(both).proved(over=ANY, wrong={"least": 1})
    told = run_claim(whole.proved(over=ANY, of=above, wrong={"most": 0}).claim)
    assert told.strength == "proved by smt, parts joined in prose"
    listed = claim("listed", "here", PROVED)(both).proved(over=ANY, wrong={"least": 1})
    outcome = run_claim(listed.proved(over=ANY, of=above, wrong={"most": 0}, part="x^2+1>x").claim)
    assert (outcome.status, outcome.strength) == (REPRODUCED, "proved by smt")
    assert outcome.findings[1].part == "x^2+1>x"


def test_a_part_alone_does_not_prove_the_whole(claim: Any) -> None:
    only = claim("only", "here", PROVED)(both).proved(over=ANY, of=above, wrong={"most": 0}, part="x^2+1>x")
    assert run_claim(only.claim).strength.startswith("unrefuted")


def test_a_part_that_is_false_breaks_the_claim(claim: Any) -> None:
    whole = claim("whole", "here", PROVED)(both).proved(over=ANY, wrong={"least": 1})
    false = whole.proved(over=ANY, of=lambda case, most=0: above(case, most), wrong={"most": -1}, part="x^2+1>x")
    assert run_claim(false.claim).status == BROKEN


@pytest.mark.parametrize(
    "words",
    [
        "x^2+1>y",  # not there
        "1>x",  # the end of a statement
        "x^2+1",  # no statement
        "1)=1",  # inside brackets
        r"x^2\ge 0,\qquad x^2+1>x,\quad f(x,1)=1",  # the whole
    ],
)
def test_words_that_are_no_statement_of_the_list_are_refused(claim: Any, words: str) -> None:
    whole = claim("whole", "here", PROVED)(both)
    with pytest.raises(TypeError, match=r"no statement|is not one of the statements"):
        whole.proved(over=ANY, of=above, wrong={"most": 0}, part=words)


@pytest.mark.parametrize(
    ("says", "words"),
    [
        (r"a>0\ \Rightarrow\ b>0,\quad c>0", "a>0"),  # a premise
        (r"a>0\ \Rightarrow\ b>0,\quad c>0", "b>0"),  # what follows from it
        (r"s\,a>0,\quad c>0", "a>0"),  # a factor
        (r"a\le 2.5=b,\ c>0", "5=b"),  # digits
        (r"a>0\ \text{or}\ b>0,\quad c>0", "b>0"),
        (r"a>0,\text{ or }b>0;\quad c>0", "a>0"),
        (r"\exists x:\ f(x)>0,\ g(x)<0", "g(x)<0"),  # of the same x
        (r"\text{there is an x with }f(x)>0,\ g(x)<0", "g(x)<0"),
        (r"\text{if }a>0:\ b>0,\ c>0", "c>0"),
        (r"a<b\quad\text{for some }c,\quad d=1", "a<b"),
    ],
)
def test_words_that_say_more_without_the_rest_are_refused(says: str, words: str) -> None:
    with pytest.raises(TypeError, match="is not one of the statements"):
        refuse_no_part("key", says, words)
    refuse_no_part("key", r"p=q,\quad " + words + r",\ \text{and}\ r=s", words)


def test_a_claim_is_part_of_another_only_with_its_own_words(claim: Any) -> None:
    lemma = claim("lemma", "here", PROVED)(square).proved(over=ANY, wrong={"least": 1})
    whole = claim("whole", "here", PROVED)(both).proved(over=ANY, wrong={"least": 1})
    with pytest.raises(TypeError, match=r"trial\.lemma"):
        whole.rests_on(lemma, part="x^2+1>x")


# --- lemmas that worlds assume ---------------------------------------------------------------------------------------


@setting("x real, and what is known of its square")
def squared(numbers: Any) -> Any:
    case = numbers.case_of(ANY, square)
    return Named(x=case.x, more=numbers.positive("more"))


def sum_is_positive(case: Any, room: Any = 0) -> Any:
    """x^2+r>0"""
    return case.x**2 + case.more > room


def test_a_lemma_that_worlds_assume_as_it_was_proved_needs_no_prose(claim: Any) -> None:
    made = claim("sum", "here", PROVED)(sum_is_positive).proved(
        over=ANY, of=square, wrong={"least": 1}, lemma="monotone"
    )
    outcome = run_claim(made.proved(over=squared, wrong={"room": 1}).claim)
    assert (outcome.status, outcome.strength) == (REPRODUCED, "proved by smt, modulo monotone")
    assert outcome.findings[0].used


def test_so_it_is_with_a_lemma_of_another_claim(claim: Any) -> None:
    lemma = claim("lemma", "here", PROVED)(square).proved(over=ANY, wrong={"least": 1}, lemma="monotone")
    made = claim("sum", "here", PROVED)(sum_is_positive).rests_on(lemma)
    outcome = run_claim(made.proved(over=squared, wrong={"room": 1}).claim)
    assert (outcome.status, outcome.strength) == (REPRODUCED, "proved by smt, modulo monotone")


def at_least_one(case: Any, least: Any = 1) -> Any:
    """x^2\\ge 1"""
    return case.x**2 >= least


@pytest.mark.parametrize("before", ["nothing", "afterwards", "of other worlds", "under a premise", "another lemma"])
def test_what_no_line_before_proves_must_not_be_assumed(claim: Any, before: str) -> None:
    other = world_of("x >= 1", lambda case: (case.x >= 1,), x="real")
    made = claim("sum", "here", PROVED)(sum_is_positive)
    if before == "of other worlds":
        made.proved(over=other, of=square, wrong={"least": 2})
    if before == "under a premise":
        made.proved(over=ANY, of=square, given=lambda case: case.x > 1, role=HOLDS, wrong={"least": 2})
    if before == "another lemma":
        made.proved(over=ANY, of=fourth, wrong=lambda case: case.x >= 0)
    made.proved(over=squared, wrong={"room": 1})
    if before == "afterwards":
        made.proved(over=ANY, of=square, wrong={"least": 1})
    outcome = run_claim(made.claim)
    assert outcome.status == PROBLEM
    assert "nothing before proves square" in outcome.problem


def test_a_false_lemma_breaks_the_claim(claim: Any) -> None:
    @setting("x real, and what is false of it")
    def false(numbers: Any) -> Any:
        return Named(x=numbers.case_of(ANY, at_least_one).x, more=numbers.positive("more"))

    made = claim("sum", "here", PROVED)(sum_is_positive).proved(over=ANY, of=at_least_one, wrong={"least": 2})
    assert run_claim(made.proved(over=false, wrong={"room": 3}).claim).status == BROKEN


def test_a_conjecture_about_worlds_that_assume_a_lemma_is_refused() -> None:
    assuming = setting("x real, and a false lemma")(lambda numbers: numbers.case_of(ANY, at_least_one))
    with pytest.raises(InvalidArgument, match=r"^over: .*at_least_one"):
        decide(lambda case: case.x != 0, assuming)
    rises = derivative(lambda x: x + exp(x), lambda x: 1 + exp(x))
    assert decide(lambda case: derivative(rises, lambda x: exp(x) + 0 * x)(case.x) > 0, ANY).verdict == "proved"


SOME = replace(ANY, name="some x", cases=(replace(ANY.cases[0], name="of another kind"),))


@pytest.mark.parametrize(
    "family", [POLICY, mapped(ANY, lambda case: case.x), beside(ANY, "k")(lambda n: n.real("k")), SOME]
)
def test_only_a_setting_is_part_of_a_setting(family: Family) -> None:
    worlds = setting("such worlds")(lambda numbers: numbers.case_of(family))
    with pytest.raises(TypeError, match="only the numbers of a setting"):
        worlds.draw(random.Random(0))


@sums_of("any x")
def squares(numbers: Any) -> Any:
    """Any number of squares."""
    x = numbers.real("x")
    return Named(square=x * x)


def sums_are_not_negative(sums: Any, least: Any = 0) -> Any:
    """s\\ge 0"""
    return sums.square >= least


@setting("a sum of squares, of which the solver knows what was proved, and r > 0")
def sum_and_more(numbers: Any) -> Any:
    return Named(x=numbers.case_of(squares["states"], sums_are_not_negative).square, more=numbers.positive("more"))


def above_zero(case: Any, room: Any = 0) -> Any:
    """s+r>0"""
    return case.x + case.more > room


def test_worlds_assume_what_an_induction_proved_of_sums(claim: Any) -> None:
    made = claim("sum", "here", PROVED)(above_zero).by_induction(
        of=sums_are_not_negative, **squares, wrong={"least": 1}
    )
    outcome = run_claim(made.proved(over=sum_and_more, wrong={"room": 1}).claim)
    assert (outcome.status, outcome.strength) == (REPRODUCED, "proved by induction (base and step by smt), smt")
    alone = claim("alone", "here", PROVED)(above_zero).proved(over=sum_and_more, wrong={"room": 1})
    assert "nothing before proves sums_are_not_negative" in run_claim(alone.claim).problem


def test_a_line_does_not_prove_its_own_assumption(claim: Any) -> None:
    @setting("x real, x^2 >= 1")
    def circular(numbers: Any) -> Any:
        return numbers.case_of(ANY, at_least_one)

    made = claim("circle", "here", PROVED)(at_least_one).proved(over=circular, wrong={"least": 2})
    assert "nothing before proves at_least_one" in run_claim(made.claim).problem


POWER = setting("x and y real")(lambda numbers: Named(x=numbers.real("x"), square=numbers.real("y") ** 2))
KEPT = setting("a square, and no more")(lambda numbers: numbers.case_of(POWER, keep="square"))


def test_of_fields_that_are_kept_only_the_lemmas_are_known() -> None:
    known = setting("a square")(lambda numbers: numbers.case_of(POWER, lambda case: case.square >= 0, keep="square"))
    assert prove(lambda case: case.square >= 0, POWER).verdict == "proved"
    assert prove(lambda case: case.square >= 0, KEPT).verdict == "undecided"
    assert prove(lambda case: case.square >= 0, known).verdict == "proved"
    assert all(KEPT.draw(random.Random(seed)).square >= 0 for seed in range(20))


def not_negative(case: Any, least: Any = 0) -> Any:
    """s\\ge 0"""
    return case.square >= least


def one_at_least(case: Any, least: Any = 1) -> Any:
    """s\\ge 1"""
    return case.square >= least


@pytest.mark.parametrize("over", [KEPT, squares["states"]], ids=["kept", "sums"])
def test_a_value_that_no_case_has_refutes_nothing(claim: Any, over: Any) -> None:
    """Of what is kept the solver knows nothing, so that it finds negative squares; no case has them."""
    true = claim("true", "here", FALSE)(not_negative).refuted(over=over, unlike=lambda case: case.square**2 >= 0)
    assert run_claim(true.claim).status == BROKEN
    truly = claim("truly", "here", FALSE)(one_at_least)
    truly.refuted(over=over, unlike=lambda case: case.square**2 >= 0)
    outcome = run_claim(truly.claim)
    assert (outcome.status, outcome.earned) == (REPRODUCED, FALSE)
    assert prove(lambda case: case.square >= 1, over, witness=False).verdict == "refuted"


def above_its_negative(case: Any) -> Any:
    """|s|\\ge-s"""
    return abs(case.square) >= -case.square


@pytest.mark.parametrize("over", [KEPT, squares["states"]], ids=["kept", "sums"])
def test_a_control_that_is_true_of_all_cases_is_not_rejected(claim: Any, over: Any) -> None:
    made = claim("even", "here", PROVED)(above_its_negative)
    assert run_claim(made.proved(over=over, wrong=not_negative).claim).status == BROKEN


@pytest.mark.parametrize("by", ["a line", "a claim"])
def test_a_further_fact_is_no_lemma(claim: Any, by: str) -> None:
    """What it rests on is not counted in the strength of the claim."""
    made = claim("sum", "here", PROVED)(sum_is_positive)
    if by == "a claim":
        lemma = claim("lemma", "here", PROVED)(square).proved(over=ANY, wrong={"least": 1}, lemma="monotone")
        made.rests_on(lemma, role=ALSO)
    else:
        made.proved(over=ANY, of=square, wrong={"least": 1}, lemma="monotone", role=ALSO)
    outcome = run_claim(made.proved(over=squared, wrong={"room": 1}).claim)
    assert "nothing before proves square" in outcome.problem


def test_a_lemma_of_a_further_fact_is_not_joined_to_the_claim(claim: Any) -> None:
    made = claim("fourth", "here", PROVED)(fourth).proved(over=ANY, of=square, wrong={"least": 1})
    made.proved(over=ANY, wrong=lambda case: case.x >= 0)
    made.proved(over=squared, of=sum_is_positive, wrong={"room": 1}, also=True)
    assert run_claim(made.claim).strength == "proved by smt, parts joined in prose"


@pytest.mark.parametrize("other", ["base", "step", "states"])
def test_an_induction_is_about_its_own_sums(claim: Any, other: str) -> None:
    """A first term that is larger than others, or any real number, is not what a sum is made of."""
    worlds = {
        "base": setting("a first square")(lambda numbers: Named(square=numbers.positive("x"), fixed=None)),
        "step": squares["step"],
        "states": setting("any number")(lambda numbers: Named(square=numbers.real("x"))),
    }
    parts = squares | {other: worlds[other]}
    assumed = setting("what the induction says")(
        lambda numbers: numbers.case_of(parts["states"], sums_are_not_negative)
    )
    made = claim("sum", "here", PROVED)(not_negative)
    made.by_induction(of=sums_are_not_negative, **parts, wrong={"least": 1})
    outcome = run_claim(made.proved(over=assumed, wrong={"least": 1}).claim)
    expected = "" if other == "step" else "nothing before proves sums_are_not_negative"
    assert expected in outcome.problem
    assert (outcome.status == REPRODUCED) == (other == "step")
