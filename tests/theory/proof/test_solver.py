"""What is remembered of questions to the solver: the same ones are asked once, and no other is taken for them."""

from fractions import Fraction as F
from typing import Any

import pytest

from theory.proof import POLICY, prove, setting
from theory.proof.certificate import Certificate
from theory.proof.solver import Known, Model, Solver


@pytest.fixture
def known() -> Known:
    return Known()


def reals(known: Known, *names: str):
    import z3

    return [z3.Real(name, known.context) for name in names]


def margin(w, cross=2):
    return w.A_w - w.A_l == w.ww - cross * w.wl + w.ll >= 0


def test_the_same_question_is_asked_once(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    ask = Solver._ask
    monkeypatch.setattr(Solver, "_ask", lambda solver, terms, work: (asked.append(terms), ask(solver, terms, work))[1])
    first = prove(margin, POLICY, known=known)
    number = len(asked)
    assert number > 0
    assert prove(margin, POLICY, known=known) == first  # also the number of questions, asked or remembered
    assert len(asked) == number
    assert prove(margin, POLICY, known=known, cross=F(21, 10)).verdict == "refuted"
    assert len(asked) > number


def test_memory_distinguishes_terms_work_and_order_of_words(known: Known) -> None:
    (x,) = reals(known, "x")
    solver = Solver(known=known)
    assert solver.ask([x > 0])[0] == "sat"
    assert solver.ask([x > 0, x < 0])[0] == "unsat"
    assert solver.ask([x > 0, x < 1])[0] == "sat"
    assert solver.ask([x > 0, x < 0], effort=10)[0] == "unsat"
    assert len(known.answers) == 4


def test_a_question_without_an_answer_counts_each_time(known: Known) -> None:
    x, y, z = reals(known, "x", "y", "z")
    hard = [x**5 + y**3 * z == 7, z**5 * y - x**3 == 11, x * y * z > 3, x + y + z < 1]
    first, second = Solver(1, known=known), Solver(1, known=known)
    assert first.ask(hard) == second.ask(hard) == ("unknown", None)
    assert (first.unknown, second.unknown) == (1, 1)
    assert second.possible(hard)  # never taken for "impossible"


def test_a_certificate_is_whole_whatever_was_asked_before(known: Known) -> None:
    whole = Certificate()
    prove(margin, POLICY, record=whole.record)
    later = Certificate()
    prove(margin, POLICY, known=known)
    prove(margin, POLICY, known=known, record=later.record)
    assert len(later.impossible()) == len(whole.impossible()) > 0


def test_values_answer_for_terms_that_are_true_of_them_and_for_no_others(known: Known) -> None:
    x, y = reals(known, "x", "y")
    solver = Solver(known=known)
    assert solver.ask([x > 2, x < 3])[0] == "sat"
    (model,) = known.models
    assert model.meets([x > 2, x < 3])
    assert model.meets([x > 1])
    assert not model.meets([x > 4])
    assert model.meets([y == 0])  # open in these values
    assert not model.meets([x > 1, y > 0])
    before = len(known.answers)
    assert solver.possible([x > 1])
    assert len(known.answers) == before
    assert solver.possible([x > 1, y > 0])
    assert not solver.possible([x > 1, x < 1])
    assert len(known.answers) == before + 2


def test_algebraic_values_are_looked_at_exactly(known: Known) -> None:
    (x,) = reals(known, "x")
    solver = Solver(known=known)
    assert solver.ask([x * x == 2, x > 0])[0] == "sat"
    model: Model = known.models[-1]
    assert model.meets([x * x * x * x == 4])
    assert not model.meets([x * x > 2])
    assert not model.meets([x * x < 2])


def test_settings_with_the_same_names_share_no_answer_by_chance(known: Known) -> None:
    @setting("x > 0")
    def positive(numbers):
        return numbers.positive("x")

    @setting("x real")
    def any_real(numbers):
        return numbers.real("x")

    def above(x):
        return x > 0

    assert prove(above, positive, known=known).verdict == "proved"
    assert prove(above, any_real, known=known).verdict == "refuted"


@pytest.mark.parametrize("work", [1, 3, 30, 300, 3000])
@pytest.mark.parametrize(
    ("statement", "right"),
    [
        (lambda w: w.A_w - w.A_l == w.ww - 2 * w.wl + w.ll >= 0, "proved"),
        (lambda w: w.A_w >= 0, "refuted"),
        (lambda w: w.p_w < 2 or w.A_w > 0, "proved"),
        (lambda w: not w.p_w > 1 or w.A_w > 0, "vacuous"),
    ],
    ids=["identity", "false", "trivial", "vacuous"],
)
def test_too_little_work_leaves_a_statement_undecided_and_never_makes_it_vacuous(
    statement: Any, right: str, work: int
) -> None:
    assert prove(statement, POLICY, work=work).verdict in (right, "undecided")
    assert prove(statement, POLICY).verdict == right


def test_a_premise_that_no_question_settles_makes_nothing_proved() -> None:
    """No world meets the premise, which the solver finds out only with much work: until then nothing is known."""

    @setting("four shares and a number")
    def shares(numbers: Any) -> Any:
        return numbers.within("p", 0, 1), numbers.within("q", 0, 1), numbers.within("r", 0, 1), numbers.real("x")

    def vacuous(world: Any) -> Any:
        p, q, r, x = world
        return (p**4 * q + q**4 * r + r**4 * p <= 4 * (p + q + r) ** 3 + 1) | (x * x + 1 > 0)

    assert {prove(vacuous, shares, work=work).verdict for work in (100, 1000, 10_000)} <= {"undecided", "vacuous"}


def test_a_word_of_the_solver_and_its_neighbour_are_two_numbers() -> None:
    """The name that a reserved word gets must be no name that a world may have."""

    @setting("two numbers")
    def two(numbers: Any) -> Any:
        return numbers.real("true"), numbers.real("true_")

    assert prove(lambda pair: pair[0] == pair[1], two).verdict == "refuted"
