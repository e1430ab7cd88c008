"""A question with names for sums or products, or without equations, says nothing that the question does not say."""

import random
import re
from fractions import Fraction as F

import pytest
import z3
from hypothesis import given, settings, strategies as st

from tests.theory.proof.deceptive import TRUE_BY_NAME
from tests.theory.proof.deceptive_named import NAMED_FALSE, NAMED_TRUE
from tests.theory.proof.other_solvers import ask_cvc5
from theory.decision.group import preference_matrix
from theory.proof import holds_at, prove, solver as questions
from theory.proof.certificate import Certificate
from theory.proof.naming import Names, linear, with_names
from theory.proof.slicing import without_equations

X = z3.Reals("a b c d")
POINTS = st.tuples(*(st.fractions(-3, 3, max_denominator=4) for _ in X))


@st.composite
def polynomials(draw: st.DrawFn, depth: int = 3):
    """Return a polynomial that is written as sums of products of sums."""
    if depth == 0 or draw(st.integers(0, 4)) == 0:
        return draw(st.sampled_from([*X, z3.RealVal(draw(st.integers(-2, 2)))]))
    left, right = draw(polynomials(depth - 1)), draw(polynomials(depth - 1))
    return draw(st.sampled_from([left + right, left - right, left * right, left * right * (left - right)]))


def is_true(term, values: dict) -> bool:
    value = z3.simplify(z3.substitute(term, *((z3.Real(name), z3.RealVal(str(v))) for name, v in values.items())))
    assert z3.is_true(value) or z3.is_false(value), value
    return z3.is_true(value)


@settings(max_examples=40)
@given(polynomials(), polynomials(), POINTS)
def test_names_change_no_value(left, right, point) -> None:
    """Where every name has the value of its sum, a term has the value that it had without names."""
    terms = [left < right, left * (right - 1) == right, z3.Or(left >= 1, z3.Not(right != left * left))]
    values = dict(zip("abcd", point, strict=True))
    truths = [is_true(term, values) for term in terms]
    named = with_names(terms)
    sums, products = linear(terms)
    for renamed, definitions in ((named[: len(terms)], named[len(terms) :]), (sums, products)):
        known = values | values_of(definitions, values)
        assert all(is_true(definition, known) for definition in definitions)
        assert [is_true(term, known) for term in renamed] == truths
    assert not products or not any(has_products(term) for term in sums)


def values_of(definitions: list, values: dict) -> dict:
    """Return the values of names."""
    found = {}
    for definition in definitions:
        name, meaning = definition.children()
        value = z3.simplify(z3.substitute(meaning, *((x, z3.RealVal(str(values[str(x)]))) for x in X)))
        found[str(name)] = F(value.numerator_as_long(), value.denominator_as_long())
    return found


def has_products(term) -> bool:
    parts = term.children()
    own = z3.is_mul(term) and sum(not z3.is_rational_value(part) for part in parts) > 1
    return own or any(has_products(part) for part in parts)


@settings(max_examples=20)
@given(st.lists(st.tuples(polynomials(), polynomials()), min_size=2, max_size=4), POINTS)
def test_names_that_questions_share_are_defined_in_each_and_change_no_value(pairs, point) -> None:
    shared, values = Names(), dict(zip("abcd", point, strict=True))
    for left, right in pairs:
        terms = [left * (left - right) < right, z3.Or(left >= 1, z3.Not(right * left == 2))]
        truths = [is_true(term, values) for term in terms]
        products, meanings = linear(terms, shared)
        for named in (with_names(terms, shared), [*products, *meanings]):
            renamed, definitions = named[: len(terms)], named[len(terms) :]
            known = values | values_of(definitions, values)
            assert set(known) - set(values) == names_in(renamed)
            assert [is_true(term, known) for term in renamed] == truths


def names_in(terms: list) -> set[str]:
    return set(re.findall(r"\b(?:sum|product)\.\d+", " ".join(term.sexpr() for term in terms)))


def test_equal_sums_have_one_name_and_others_their_own() -> None:
    a, b, c, _ = X
    assert len(with_names([c * (a - b) < 0, c * (-b + a) * (a + b) > 0])) == 4
    assert with_names([2 * (a + b) < c]) == [2 * (a + b) < c]


def test_what_is_left_of_a_question_is_part_of_it() -> None:
    a, b, c, _ = X
    root, quotient = z3.Reals("root.1 quotient.2")
    kept = [a > 0, root * root == a, quotient * b == c, z3.Or(a == 1, b == 2), (a > 0) == (b > 0)]
    assert without_equations([kept[0], a + b == 1, *kept[1:]]) == kept


@pytest.mark.parametrize(("name", "predicate", "over"), NAMED_TRUE, ids=[trap[0] for trap in NAMED_TRUE])
def test_what_names_prove_is_true_in_exact_worlds(name: str, predicate, over) -> None:
    assert prove(predicate, over, witness=False, work=4 * questions.FIRST).verdict == "proved", name
    source = random.Random(name)
    worlds = (over.draw(source) for _ in range(150))
    if name == "falls_in_a_step":  # whose exact steps are fractions only where features are whole numbers
        worlds = (w for w in worlds if all(phi.denominator == 1 for row in w.features for phi in row))
    assert {holds_at(predicate, world) for world in worlds} <= {True, None}


def test_without_names_they_are_not_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "with_names", lambda terms, _: terms)
    monkeypatch.setattr(questions, "without_equations", lambda terms: terms)
    for _, predicate, over in NAMED_TRUE[1:]:
        assert prove(predicate, over, witness=False, work=questions.FIRST).verdict == "undecided"


def only_other_forms(patch: pytest.MonkeyPatch) -> None:
    """No question is asked as it is, unless it has no other whole form; answers come from the other forms."""
    forms = questions._forms

    def others(terms, work, names):
        found = list(forms(terms, work, names))
        renamed = [form for form in found if form.terms is not terms]
        return iter(renamed if any(form.is_whole for form in renamed) else found)

    patch.setattr(questions, "_forms", others)


def test_one_name_for_two_sums_makes_the_possible_impossible(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a mistake in the names is a wrong answer, which the tests of this file would see."""
    only_other_forms(monkeypatch)

    def answer() -> str:
        solver = questions.Solver()
        a, b, c = (z3.Real(name, solver.context) for name in "abc")
        return solver.ask([c > 0, c * (a - b) > 0, c * (a + b) < 0])[0]

    assert answer() == "sat"

    def one_name(terms, known):
        named = with_names(terms, known)
        names = [term.arg(0) for term in named[len(terms) :]]
        return [z3.substitute(term, *((name, names[0]) for name in names)) for term in named]

    monkeypatch.setattr(questions, "with_names", one_name)
    assert answer() == "unsat"


def test_a_linear_question_is_impossible_or_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    forms = questions._forms
    monkeypatch.setattr(questions, "_forms", lambda *a: (form for form in forms(*a) if form.method == questions.LINEAR))

    def answer(*which: str) -> str:
        solver = questions.Solver()
        a, b, c = (z3.Real(name, solver.context) for name in "abc")
        terms = {
            "flow": a * b - a * c > 0,
            "back": a * (c - b) >= 0,
            "back, less": a * (c - b) >= -1,
            "square": a * a < 0,
        }
        return solver.ask([terms[name] for name in which])[0]

    assert answer("flow", "back") == "unsat"
    assert answer("flow", "back, less") == "unknown"  # possible
    assert answer("square") == "unknown"  # impossible, for a reason that names do not know

    def one_name(terms, known):
        renamed, meanings = linear(terms, known)
        names = [meaning.arg(0) for meaning in meanings]
        return [z3.substitute(term, *((name, names[0]) for name in names)) for term in renamed], meanings

    monkeypatch.setattr(questions, "linear", one_name)
    assert answer("flow", "back, less") == "unsat"  # the control: names mixed up make the possible impossible


def test_a_sum_of_flows_and_utilities_is_proved_by_a_linear_question() -> None:
    """It took eleven seconds before; its certificate tells another solver what the names stand for."""
    kept = Certificate()
    over = preference_matrix(3)

    def gains(b, least=0):
        return sum(b.c[i] * b.utility[i] for i in range(3)) >= least

    proof = prove(gains, over, work=10 * questions.QUICK, record=kept.record)
    assert proof.verdict == "proved"
    assert any("product." in text for text in kept.impossible())
    assert {ask_cvc5(text) for text in kept.impossible()} == {"unsat"}
    assert prove(gains, over, witness=False, work=10 * questions.QUICK, least=F(1, 10)).verdict == "refuted"


@pytest.mark.parametrize("work", [9, 100, 30_000, 2_000_000, 5_000_000])
def test_all_forms_of_a_question_share_one_limit_of_work(work: int) -> None:
    a, b, c, _ = X
    for terms in ([c * (a - b) > 0, a + b == 1], [c * (a - b) > 0], [a > 0, a + b == 1], [a > 0]):
        forms = list(questions._forms(terms, work, Names()))
        assert sum(form.work for form in forms) <= work
        assert min(form.work for form in forms) > 0  # the solver takes 0 for no limit
        assert next(form.terms for form in forms if form.is_whole) is terms
        others = [with_names(terms), linear(terms)[0], with_names(without_equations(terms))]
        assert {str(form.terms) for form in forms} == {str(form) for form in [terms, *others]}


def test_every_form_of_a_question_gives_the_answers_that_the_question_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """With no question asked as it is, what is true is still proved and what is false is refuted."""
    only_other_forms(monkeypatch)
    for trap in ("margin", "determinant", "equivalence", "two_scores_balance"):
        proof = prove(TRUE_BY_NAME[trap].predicate, TRUE_BY_NAME[trap].over)
        assert proof.verdict == "proved", trap
    for name, predicate, over, change in NAMED_FALSE[:4]:
        assert prove(predicate, over, witness=False, **change).verdict == "refuted", name
