"""What a referee would object to first: that what was proved is another statement than the claim."""

from __future__ import annotations

from fractions import Fraction as F
from typing import Any

import pytest
import sympy as sp

from theory.claim import FALSE, PROVED, Outcome, run_claim
from theory.evidence import FAILS
from theory.proof import Named, same, world_of
from theory.statement import Statement
from theory.worlds import World

ANY = world_of("x real", x="real")
WORLD = World.log_linear([[2], [3], [0]], at=[1])


def run(statement: Statement) -> Outcome:
    return run_claim(statement.claim, worlds=60)


def bold(w: Any) -> Any:
    """\\Delta\\pi_w>0"""
    return w.D_w > 0


def modest(w: Any, cross: Any = 2) -> Any:
    return w.ww - cross * w.wl + w.ll >= 0


def test_a_proof_of_another_statement_is_no_proof(claim: Any) -> None:
    outcome = run(claim("bold", "here", PROVED)(bold).proved(of=modest, wrong={"cross": F(21, 10)}))
    assert outcome.strength == (
        "unrefuted: proved by smt in another form only, which no machine joins to the statement (modest)"
    )


def test_a_statement_that_calls_the_claim_without_proving_it_is_no_proof(claim: Any) -> None:
    made = claim("bold", "here", PROVED)(bold)
    for number, excuse in enumerate(
        (lambda w: made(w) or modest(w), lambda w: made(w) == made(w), lambda w: modest(w) or made(w))
    ):
        deceptive = claim(f"bold-{number}", "here", PROVED)(bold)
        deceptive.proved(of=excuse, wrong=lambda w: w.dd < 0)
        assert run(deceptive).strength.startswith("unrefuted")


def test_a_statement_that_proves_the_claim_on_the_way_is_a_proof(claim: Any) -> None:
    def of_a_number(case: Any) -> Any:
        """x^2\\ge 0"""
        return case.x**2 >= 0

    made = claim("square", "here", PROVED)(of_a_number)
    made.proved(over=ANY, of=lambda c, least=0: made(c) and c.x**2 >= least, wrong={"least": 1})
    assert run(made).strength == "proved by smt"


def test_of_cases_that_a_line_makes_no_machine_says_that_they_are_all(claim: Any) -> None:
    """Of every square a false statement is true; that x - 1 may be any number is told, too."""

    def rises(case: Any) -> Any:
        """x\\ge 0"""
        return case.x >= 0

    def is_a_square(case: Any) -> Any:
        """x^2\\ge 0"""
        return case.x**2 >= 0

    for name, says, made_of in (("rises", rises, lambda x: x**2), ("square", is_a_square, lambda x: x - 1)):
        own = claim(name, "here", PROVED)(says)
        own.proved(
            over=ANY,
            of=lambda c, least=0, own=own, made_of=made_of: own(Named(x=made_of(c.x))) and made_of(c.x) ** 2 >= least,
            wrong={"least": 1},
        )
        assert run(own).strength.startswith("unrefuted: proved by smt in another form only")


def test_a_refutation_of_another_statement_is_none_of_the_claim(claim: Any) -> None:
    true = lambda w: w.dd >= 0  # noqa: E731

    def square(w: Any) -> Any:
        """|g_w-g_l|^2\\ge 0"""
        return w.dd >= 0

    deceptive = claim("square", "here", FALSE)(square).false(
        of=bold, at=WORLD, true_at=World.log_linear([[1], [0]], at=[1])
    )
    assert run(deceptive).strength.startswith("unrefuted")
    deceptive = claim("square-2", "here", FALSE)(square)
    deceptive.proved(of=lambda w: not bold(w) or true(w), role=FAILS, wrong=lambda w: w.dd < 0)
    assert run(deceptive).strength.startswith("unrefuted")


def test_an_identity_beside_the_claim_is_no_proof(claim: Any) -> None:
    def printed(x: Any) -> Any:
        """x=2x"""
        return same(x, 2 * x)

    def other(x: Any, times: Any = 2) -> Any:
        return same(sp.diff(x**2, x), times * x)

    assert run(claim("double", "here", PROVED)(printed).derived(of=other, wrong={"times": 3})).strength.startswith(
        "unrefuted"
    )
    whole = claim("derivative", "here", PROVED)(_cube)
    whole.derived(of=lambda x, times=2: whole(x) & same(sp.diff(x**2, x), times * x), wrong={"times": 3})
    assert run(whole).strength == "proved by sympy"


@pytest.mark.parametrize(
    "called",
    [
        lambda own, x, y: own(x, x),
        lambda own, x, y: own(y, y),
        lambda own, x, y: own(x * y, y * x),
        lambda own, x, y: own(sp.Integer(1), 1),
        lambda own, x, y: own(y, x) & own(x, x),
    ],
)
def test_an_identity_of_one_number_twice_is_none_of_two_numbers(claim: Any, called: Any) -> None:
    def equal(x: Any, y: Any) -> Any:
        """x=y"""
        return same(x, y)

    made = claim("equal", "here", PROVED)(equal)
    made.derived(of=lambda x, y, times=1: called(made, x, y) & same(times * x, x), wrong={"times": F(11, 10)})
    assert not run(made).strength.startswith("proved")


def test_an_identity_is_of_the_numbers_that_it_names(claim: Any) -> None:
    """The line says which is real and which is positive; what is proved is the other way round."""

    def quotient(x: Any, y: Any) -> Any:
        """\\log(xe^y)=\\log x+y"""
        return same(sp.log(x * sp.exp(y)), sp.log(x) + y)

    kinds = {"x": "real", "y": "positive"}
    made = claim("swapped", "here", PROVED)(quotient)
    made.derived(of=lambda x, y, k=1: made(y, x) & same(k * x, x), symbols=kinds, wrong={"k": F(11, 10)})
    assert run(made).strength.startswith("unrefuted")
    made = claim("named", "here", PROVED)(quotient)
    made.derived(of=lambda x, y, k=1: made(y=y, x=x) & same(k * x, x), symbols=kinds, wrong={"k": F(11, 10)})
    assert run(made).strength == "proved by sympy"


def _cube(x: Any) -> Any:
    """(x^3)'=3x^2"""
    return same(sp.diff(x**3, x), 3 * x**2)
