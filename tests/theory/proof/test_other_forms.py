"""Another form of a question has the same answer, at every point."""

from fractions import Fraction as F

import pytest
import z3
from hypothesis import given, settings, strategies as st

from tests.theory.proof.other_forms import other_form, read_question

X = z3.Reals("a b c d")
POINTS = st.tuples(*(st.fractions(-3, 3, max_denominator=4) for _ in X))
DECLARED = "".join(f"(declare-fun {name} () Real)\n" for name in "abcd")


@st.composite
def polynomials(draw: st.DrawFn, depth: int = 3) -> z3.ArithRef:
    """Return a polynomial, some of whose factors are sums that occur more than once."""
    if depth == 0 or draw(st.integers(0, 4)) == 0:
        return draw(st.sampled_from([*X, z3.RealVal("1/3"), *(z3.RealVal(whole) for whole in range(-2, 3))]))
    left, right = draw(polynomials(depth - 1)), draw(polynomials(depth - 1))
    return draw(st.sampled_from([left + right, left - right, -left * right, left * right * (left - right)]))


@st.composite
def conditions(draw: st.DrawFn) -> z3.BoolRef:
    left, right = draw(polynomials()), draw(polynomials())
    simple = draw(st.sampled_from([left < right, left <= right, left == right, left != right]))
    return draw(st.sampled_from([simple, z3.Not(simple), z3.Or(simple, left > 0), z3.Implies(right > 0, simple)]))


def is_possible_at(text: str, point: tuple[F, ...]) -> bool:
    """Return whether a question can be true where its variables have given values; only names are left to find."""
    solver = z3.Solver()
    solver.add(z3.parse_smt2_string(text))
    solver.add(*(variable == z3.RealVal(str(value)) for variable, value in zip(X, point, strict=True)))
    answer = str(solver.check())
    assert answer in ("sat", "unsat")
    return answer == "sat"


@settings(max_examples=40, deadline=None)
@given(st.lists(conditions(), min_size=1, max_size=3), POINTS, st.integers(0, 5))
def test_a_form_is_true_where_the_question_is(terms: list[z3.BoolRef], point: tuple[F, ...], order: int) -> None:
    solver = z3.Solver()
    solver.add(*terms, *(variable == variable + 0 for variable in X))
    text = solver.to_smt2()
    assert is_possible_at(other_form(text, order), point) == is_possible_at(text, point)


def test_two_sums_of_one_name_would_be_noticed() -> None:
    text = DECLARED + "(assert (< (* a (- b c)) (* a (- c b))))"
    form, point = other_form(text), (F(1), F(1), F(2), F(0))
    assert "factor.1" in form
    assert is_possible_at(form, point)
    mixed_up = form.replace("(* a factor.1)", "(* a factor.0)")
    assert not is_possible_at(mixed_up, point)


def test_equal_sums_have_one_name_whatever_units_they_are_written_with() -> None:
    form = other_form(DECLARED + "(assert (< (* a (+ b 0.0 c)) (* d 1.0 (+ b (* 1.0 c)))))")
    assert form.count("declare-fun") == len(X) + 1


def test_bindings_of_one_let_do_not_see_each_other() -> None:
    variables, (assumption,) = read_question("(assert (let ((x 1.0)) (let ((x 2.0) (y x)) (< x y))))")
    assert (variables, assumption) == ([], ("<", "2.0", "1.0"))


def test_a_number_may_be_called_like_a_name() -> None:
    text = "(declare-fun factor.0 () Real)(declare-fun |push| () Real)(assert (< (* |push| (- factor.0 |push|)) 0.0))"
    assert "(= factor...0 (- factor.0 |push|))" in other_form(text)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_an_order_has_all_lines(order: int) -> None:
    text = DECLARED + "(assert (< a b))(assert (< b (* c (- a d))))(assert (< c d))"
    lines, other = other_form(text).split("\n"), other_form(text, order).split("\n")
    assert other != lines
    assert sorted(other) == sorted(lines)
    assert [line.split(" ")[0] for line in other] == [line.split(" ")[0] for line in lines]


@pytest.mark.parametrize(
    "text",
    [
        "(declare-fun a () Int)",
        "(declare-fun f (Real) Real)",
        "(define-fun a () Real 1.0)",
        "(push)",
        "(assert (< a b)",
        "(assert (< a b)))",
        "(assert)",
    ],
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        other_form(DECLARED + text)
