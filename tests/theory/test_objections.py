"""What a referee would object to: claims that are built to look proved, each of which must not be called so."""

from __future__ import annotations

import math
from fractions import Fraction as F
from typing import Any

import pytest
import sympy as sp

from theory.claim import BROKEN, FALSE, PROBLEM, PROVED, REPRODUCED, Outcome, run_claim
from theory.evidence import FAILS, HOLDS
from theory.proof import POLICY, TABULAR, Named, over_responses, same, setting, smt, solver, world_of
from theory.statement import ALL_CASES, THERE_IS, Statement
from theory.worlds import World

ANY = world_of("x real", x="real")
WORLD = World.log_linear([[2], [3], [0]], at=[1])


def run(statement: Statement) -> Outcome:
    return run_claim(statement.claim, worlds=60)


# --- a: the proof is of another statement --------------------------------------------------------------------------


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
    made.proved(over=ANY, of=lambda c, least=0: made(Named(x=c.x - 1)) and (c.x - 1) ** 2 >= least, wrong={"least": 1})
    assert run(made).strength == "proved by smt"


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


# --- b: an evaluation for a universal statement --------------------------------------------------------------------


def rises(w: Any) -> Any:
    """\\Delta\\pi_w<0"""
    return w.D_w < 0


def test_one_case_proves_nothing_about_all(claim: Any) -> None:
    at = claim("falls", "here", PROVED)(rises).evaluated([WORLD], wrong=lambda w: w.D_w > 0)
    assert run(at).strength == "unrefuted: 1 case, evaluated exactly"
    with pytest.raises(TypeError, match="needs a statement that says there is such a case"):
        claim("falls-2", "here", PROVED)(rises).evaluated([WORLD], wrong=lambda w: w.D_w > 0, meaning=THERE_IS)
    with pytest.raises(TypeError, match="THERE_IS or ALL_CASES"):
        claim("falls-3", "here", PROVED)(rises).evaluated([WORLD], wrong=lambda w: w.D_w > 0, meaning="every case")


def test_one_case_proves_that_there_is_one_and_the_strength_says_so(claim: Any) -> None:
    def there_is(w: Any) -> Any:
        """\\exists\\ \\text{a policy with}\\ \\Delta\\pi_w<0"""
        return w.D_w < 0

    made = claim("may-fall", "here", PROVED)(there_is).evaluated([WORLD], wrong=lambda w: w.D_w > 0, meaning=THERE_IS)
    outcome = run(made)
    assert (outcome.strength, outcome.over) == ("proved by an exact example", "1 case")
    table = claim("rows", "Table 1", PROVED)(rises).evaluated([WORLD], wrong=lambda w: w.D_w > 0, meaning=ALL_CASES)
    assert run(table).over == "all 1 case of which it speaks"


def test_a_case_without_it_does_not_refute_that_there_is_one(claim: Any) -> None:
    def there_is(w: Any) -> Any:
        """\\exists\\ \\text{a policy with}\\ \\Delta\\pi_w<0"""
        return w.D_w < 0

    made = claim("may-fall", "here", FALSE)(there_is)
    made.false(at=World.log_linear([[1], [0]], at=[1]), true_at=WORLD)
    assert run(made).strength.startswith("unrefuted: there is none among the cases shown")


# --- c: floats in an evaluation ------------------------------------------------------------------------------------


class Hidden:
    """A case of whole numbers whose methods compute in floats."""

    def __init__(self, a: int) -> None:
        self.a = a

    @property
    def constant(self) -> Any:
        return self.a < 2.5 * self.a

    @property
    def function(self) -> Any:
        return math.sqrt(self.a) < self.a

    @property
    def quotient(self) -> Any:
        return self.a / 7 + 1 / self.a < self.a


@pytest.mark.parametrize("name", ["constant", "function", "quotient"])
def test_a_float_anywhere_in_the_computation_makes_it_numerical(claim: Any, name: str) -> None:
    def statement(case: Any, least: Any = False) -> Any:
        """\\exists\\ \\text{such a case}"""
        return bool(getattr(case, name)) is not least

    made = claim(f"hidden-{name}", "here", PROVED)(statement)
    made.evaluated([Hidden(4)], wrong=lambda case: not getattr(case, name), meaning=THERE_IS)
    assert run(made).strength.startswith("numerical: evaluated in floating point: ")


def test_exact_arithmetic_is_not_called_numerical(claim: Any) -> None:
    def statement(case: Any) -> Any:
        """\\exists\\ \\text{such a case}"""
        halves = [F(case.a) / 7, math.comb(case.a, 2) * F(1, 3), case.a // 2]
        return sum(halves) > 0

    made = claim("exact", "here", PROVED)(statement)
    made.evaluated([Hidden(4)], wrong=lambda case: case.a > 5, meaning=THERE_IS)
    assert run(made).strength == "proved by an exact example"


# --- d: the family in words of its own -----------------------------------------------------------------------------


def test_the_words_of_a_setting_are_made_from_it(claim: Any) -> None:
    @setting("every real x")
    def boastful(numbers: Any) -> Any:
        """Every number there is."""
        x = numbers.between("x", 0, 1)
        numbers.assume(x * x <= F(1, 2))
        return x

    def small(x: Any, most: Any = 1) -> Any:
        """x\\le 1"""
        return x <= most

    outcome = run(claim("small", "here", PROVED)(small).proved(over=boastful, wrong={"most": F(1, 2)}))
    assert outcome.status == REPRODUCED
    assert outcome.over == "x strictly between 0 and 1; x^2 <= 1/2"
    assert "Every number there is" not in outcome.findings[0].detail


def test_the_numbers_of_responses_stand_beside_the_kind_of_worlds(claim: Any) -> None:
    def square(w: Any, cross: Any = 2) -> Any:
        """|g_w-g_l|^2\\ge 0"""
        return modest(w, cross)

    assert run(claim("square", "here", PROVED)(square).proved(over=POLICY, wrong={"cross": F(21, 10)})).over == (
        "every policy (n = 2, n >= 3)"
    )
    mean = claim("mean", "here", PROVED)(_centred)
    mean.derived(sums=over_responses(p="probability", f="any"), wrong={"share": 2})
    assert run(mean).over == "any number of responses, each with p probability, f any"


def _centred(y: Any, share: Any = 1) -> Any:
    """E[f-E[f]]=0"""
    return same(y.sum(y.p * (y.f - share * y.sum(y.p * y.f))), 0)


# --- e: a premise that is never met --------------------------------------------------------------------------------


def implies(premise: Any, conclusion: Any) -> Any:
    return not premise or conclusion


VACUOUS = (
    lambda w, most=1: not w.p_w > most or w.dd < 0,
    lambda w, most=1: implies(w.p_w > most, w.dd < 0),
    lambda w, most=1: (w.p_w <= most) | (w.dd < 0),
    lambda w, most=1: not w.p_w > most or all(x < 0 for x in (w.dd, w.ww)),
    lambda w, most=1: w.ww >= 0 and (not w.p_w > most or w.dd < 0),
    lambda w, most=1: w.dd < 0 if w.p_w > most else w.ww >= 0,
)


@pytest.mark.parametrize("number", range(len(VACUOUS)))
def test_a_premise_that_no_world_meets_proves_nothing(claim: Any, number: int) -> None:
    statement = VACUOUS[number]
    statement.__doc__ = "\\pi_w>1\\Rightarrow\\|g_w-g_l\\|^2<0"
    outcome = run(claim(f"empty-{number}", "here", PROVED)(statement).proved(wrong={"most": F(1, 2)}))
    assert outcome.status == BROKEN, outcome
    assert "premise" in outcome.problem


@pytest.mark.parametrize(
    "statement",
    [
        lambda w, least=0: not w.p_w > w.p_l or w.dd >= least,
        lambda w, least=0: (w.p_w <= w.p_l) | (w.dd >= least),
        lambda w, least=0: all(x >= least for x in (w.dd, w.ww)),
        lambda w, least=0: w.dd >= least if w.p_w > w.p_l else w.ww >= least,
        lambda w, least=0, swap=False: w.dd >= least if not swap else w.dd < 0,
    ],
)
def test_a_premise_that_some_world_meets_is_no_objection(claim: Any, statement: Any) -> None:
    statement.__doc__ = "\\|g_w-g_l\\|^2\\ge 0"
    outcome = run(claim("met", "here", PROVED)(statement).proved(wrong={"least": F(1, 10)}))
    assert (outcome.status, outcome.strength) == (REPRODUCED, "proved by smt"), outcome.problem


def test_a_search_that_never_looks_at_the_conclusion_finds_nothing(claim: Any) -> None:
    def empty(case: Any, most: Any = 10**6) -> Any:
        """x>10^6\\Rightarrow x<0"""
        return not case.x > most or case.x < 0

    outcome = run(claim("empty", "here", PROVED)(empty).unrefuted(ANY, wrong={"most": 0}))
    assert outcome.status == BROKEN
    assert "never looked at" in outcome.problem


def test_an_identity_that_is_another_one_at_a_number_was_looked_at_there(claim: Any) -> None:
    """A symbol is equal to no number, so that the second identity is never looked at."""

    def quotient(x: Any, times: Any = 1, at_one: Any = 3) -> Any:
        """(x^2-1)/(x-1)=x+1,\\qquad x=1: 2=3"""
        return same(times * (x**2 - 1) / (x - 1), x + 1) if x != 1 else same(2, at_one)

    outcome = run(claim("quotient", "here", PROVED)(quotient).derived(wrong={"times": F(11, 10)}))
    assert outcome.status == BROKEN
    assert "never looked at" in outcome.problem


# --- f: time decides nothing ---------------------------------------------------------------------------------------


def test_a_solver_that_hangs_is_an_error_and_no_verdict(claim: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    four = world_of("x, y, z, u real", x="real", y="real", z="real", u="real")

    def hard(c: Any, right: Any = 11) -> Any:
        """\\ldots"""
        return (
            c.x**7 + c.y**5 * c.z**3 - c.u**6 * c.x + 3 * c.z * c.y != right
            or not c.x * c.y * c.z * c.u > 5
            or c.x**4 + c.u**5 * c.y - c.z**7 + c.x != 13 * c.y**3
        )

    with pytest.raises(solver.SolverStuckError, match="split the statement"):
        smt.prove(hard, four, work=10**9, patience=100)
    made = claim("hard", "here", PROVED)(hard).proved(over=four, wrong={"right": 12})
    monkeypatch.setattr(solver.Solver, "ask", _stuck)
    assert run(made).status == PROBLEM


def _stuck(*_: Any, **__: Any) -> Any:
    raise solver.SolverStuckError("no answer")


def test_a_branch_that_one_kind_of_world_never_takes_is_no_objection_if_another_does(claim: Any) -> None:
    def either(w: Any) -> Any:
        """\\Delta\\pi_l<0\\Rightarrow\\Delta\\pi_w>0\\ \\text{or}\\ \\Delta\\pi_y>0"""
        return not w.D_l < 0 or w.D_w > 0 or w.D_y > 0

    made = claim("either", "here", PROVED)(either)
    made.proved(over=TABULAR, wrong=lambda w: not w.D_l < 0 or w.D_w > F(1, 10) or w.D_y > 0)
    alone = run(made)
    assert alone.status == BROKEN
    assert "never looked at" in alone.problem
    made.unrefuted(POLICY, given=lambda w: w.D_w + w.D_y > 0, wrong=lambda w: w.D_w > 0, role=HOLDS)
    assert run(made).status == REPRODUCED


def test_a_choice_between_two_values_is_no_premise(claim: Any) -> None:
    def hinges(w: Any, room: Any = 0) -> Any:
        """\\max(0,-A_w)=0=\\max(0,A_l)"""
        return max(0, room - w.A_w) == 0 == max(0, room + w.A_l)

    outcome = run(claim("hinges", "here", PROVED)(hinges).proved(over=TABULAR, wrong={"room": F(1, 100)}))
    assert (outcome.status, outcome.strength) == (REPRODUCED, "proved by smt"), outcome.problem


# --- g: controls that are far from the statement -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "far"),
    [({"cross": F(21, 10)}, False), ({"cross": 40}, False), (lambda w: w.dd < 0, True), ({"below": True}, True)],
)
def test_a_control_that_is_false_in_every_case_is_called_far(claim: Any, wrong: Any, far: bool) -> None:
    def square(w: Any, cross: Any = 2, below: Any = False) -> Any:
        """\\|g_w-g_l\\|^2\\ge 0"""
        squared = w.ww - cross * w.wl + w.ll
        return squared < 0 if below else squared >= 0

    (finding,) = run(claim("square", "here", PROVED)(square).proved(wrong=wrong)).findings
    assert (finding.control, finding.far) == (True, far)


def positive(case: Any) -> Any:
    """x^2>0"""
    return case.x**2 > 0


def there_is_one(case: Any) -> Any:
    """\\exists x:\\ x^2<x"""
    return case.x**2 < case.x


@pytest.mark.parametrize(("statement", "refuted"), [(positive, True), (there_is_one, False)])
def test_a_claim_false_in_some_cases_is_refuted_unless_it_says_that_there_is_one(
    claim: Any, statement: Any, refuted: bool
) -> None:
    made = claim("some", "here", FALSE)(statement)
    made.proved(over=ANY, of=lambda c, at=0: c.x != at or not made(c), role=FAILS, wrong={"at": F(1, 2)})
    assert run(made).strength.startswith("proved" if refuted else "unrefuted")


# --- a true statement that is booked as false ----------------------------------------------------------------------


def cube(times: Any = 1) -> Any:
    """(x^3)'=3x^2"""
    x = sp.Symbol("x", real=True)
    return same(sp.diff(x**3, x), times * 3 * x**2)


def norm(w: Any, least: Any = 0) -> Any:
    """\\|g_w-g_l\\|^2\\ge 0"""
    return w.dd >= least


def test_the_truth_of_a_statement_does_not_refute_it(claim: Any) -> None:
    with pytest.raises(TypeError, match="cannot show that the statement fails"):
        claim("cube", "nowhere", FALSE)(cube).derived(role=FAILS, wrong={"times": 2})
    with pytest.raises(TypeError, match="cannot show that the statement fails"):
        claim("norm", "nowhere", FALSE)(norm).proved(role=FAILS, wrong={"least": 1})
    with pytest.raises(TypeError, match="cannot show that the statement fails"):
        claim("norm-2", "nowhere", FALSE)(norm).evaluated([WORLD], role=FAILS, wrong={"least": 100})


def test_a_denial_is_called_one(claim: Any) -> None:
    made = claim("no-cube", "nowhere", FALSE)(cube).derived(role=FAILS, denial=True, wrong={"times": 2})
    assert run(made).findings[0].detail.startswith("its denial is proved")
    with pytest.raises(TypeError):  # a denial cannot support what it denies
        claim("no-cube-2", "nowhere", PROVED)(cube).derived(denial=True, wrong={"times": 2})
