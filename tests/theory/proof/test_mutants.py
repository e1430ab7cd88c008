"""The prover with a mistake built in: the list of deceptive predicates must notice every one of them."""

from collections.abc import Callable
from itertools import count

import pytest

from tests.theory.proof import deceptive_python
from tests.theory.proof.deceptive import BY_NAME, TRUE_BY_NAME
from tests.theory.proof.test_smt import decide
from theory.proof import functions, induction, naming, reading, smt, solver, symbols, worlds
from theory.proof.solver import Solver
from theory.proof.symbols import Number, Run
from theory.proof.worlds import AnyPolicy

Patch = pytest.MonkeyPatch


def definitions_leak(patch: Patch) -> None:
    """A definition made after a fork is believed on the other side of it as well."""
    # of roots and quotients it would do no harm, since what nothing speaks of is left out of a question
    patch.setattr(solver, "without_unused", lambda terms, _: terms)

    def other_side(run: Run, fork: int) -> list:
        chosen = {length for length, _, _ in run.forks}
        length, term, side = run.forks[fork]
        later = [t for k, t in enumerate(run.trail) if k > length and k not in chosen]
        return [*run.trail[:length], run.z3.Not(term) if side else term, *later]

    patch.setattr(Run, "other_side", other_side)


def unknown_is_no(patch: Patch) -> None:
    """The solver's "I do not know" is taken for "impossible"."""
    ask = Solver.ask

    def sure(solver: Solver, terms: list, effort: int = 1):
        answer, model = ask(solver, terms, effort)
        return "unsat" if answer == "unknown" else answer, model

    patch.setattr(Solver, "ask", sure)


def questions_are_confused(patch: Patch) -> None:
    """A question is answered from memory as an earlier one that is as long."""
    ask = Solver._ask

    def remembered(solver: Solver, terms: list, work: int):
        answers = vars(solver.known).setdefault("by_length", {})
        if len(terms) not in answers:
            answers[len(terms)] = ask(solver, terms, work)
        return answers[len(terms)]

    patch.setattr(Solver, "_ask", remembered)


def names_are_confused(patch: Patch) -> None:
    """Sums that share a summand have one name, and so have products that share a factor."""
    key = naming._key
    patch.setattr(naming, "_key", lambda parts: key(parts)[:1])


def names_are_defined_once(patch: Patch) -> None:
    """A name that an earlier question has defined is not defined again in a later one."""
    told: set[int] = set()
    renamed = naming.with_names

    def once(terms: list, names: naming.Names) -> list:
        new = [term for term in renamed(terms, names)[len(terms) :] if term.get_id() not in told]
        told.update(term.get_id() for term in new)
        return [*renamed(terms, names)[: len(terms)], *new]

    patch.setattr(solver, "with_names", once)


def one_side_only(patch: Patch) -> None:
    """The other side of a fork is forgotten."""
    patch.setattr(Run, "other_side", lambda run, fork: [run.z3.BoolVal(False, run.context)])


def division_is_unguarded(patch: Patch) -> None:
    """A quotient is defined without a path for division by zero."""

    def quotient(run: Run, above, below) -> Number:
        value = run.fresh("quotient")
        run.trail += [value.term * below == above, below != run.constant(0)]
        return value

    patch.setattr(Run, "quotient", quotient)


def root_is_unguarded(patch: Patch) -> None:
    """A root is defined without a path for negative numbers."""

    def root(run: Run, of: Number) -> Number:
        value = run.fresh("root")
        run.assume(value >= 0, value * value == of)
        return value

    patch.setattr(Run, "root", root)


def root_of_any_sign(patch: Patch) -> None:
    """A root may be negative."""

    def root(run: Run, of: Number) -> Number:
        if of < 0:
            raise symbols.NoValue
        value = run.fresh("root")
        run.assume(value * value == of)
        return value

    patch.setattr(Run, "root", root)


def no_value_is_true(patch: Patch) -> None:
    """Where it has no value a statement counts as true."""
    follow = smt._follow

    def mild(*args):
        path = follow(*args)
        return smt._Path(path.run, path.assumed, None) if path.why else path

    patch.setattr(smt, "_follow", mild)


def anything_is_true(patch: Patch) -> None:
    """What is returned is taken as Python takes it: a tuple is true."""
    term = Run.truth_term

    def truthy(run: Run, value: object):
        return term(run, value if isinstance(value, (bool, symbols.Truth)) else bool(value))

    patch.setattr(Run, "truth_term", truthy)


def floats_are_numbers(patch: Patch) -> None:
    """A float is taken for the fraction that it is close to, and a truth value for a number."""
    patch.setattr(reading, "floats", lambda predicate: "")
    patch.setattr(Number, "_of", lambda n, other: other.term if isinstance(other, Number) else n.run.constant(other))


def faults_are_forgotten(patch: Patch) -> None:
    """What a predicate swallows never happened."""
    patch.setattr(reading, "floats", lambda predicate: "")
    patch.setattr(Run, "fault", lambda run, error: error)


def replays_are_not_compared(patch: Patch) -> None:
    """A predicate may ask other questions the second time."""
    patch.setattr(smt, "_same", lambda first, second: None)
    patch.setattr(Number, "_of", lambda n, other: other.term if isinstance(other, Number) else n.run.constant(other))
    patch.setattr(
        Run, "truth_term", lambda r, v: v.term if isinstance(v, symbols.Truth) else r.z3.BoolVal(v, r.context)
    )


def code_is_not_read(patch: Patch) -> None:
    """A predicate may ask what kind of object a truth value is."""
    patch.setattr(reading, "representation", lambda predicate: "")


def premise_is_not_met(patch: Patch) -> None:
    """Nothing checks that some world meets the premise."""
    patch.setattr(smt, "VACUOUS", "proved")


def without(name: str) -> Callable[[Patch], None]:
    """One of the worlds is forgotten."""

    def patched(patch: Patch) -> None:
        paths = smt.paths_of
        patch.setattr(smt, "paths_of", lambda case, *rest: () if case.name == name else paths(case, *rest))

    patched.__doc__ = f"The world with {name} is forgotten."
    return patched


def minor_is_missing(patch: Patch) -> None:
    """The Gram matrix of three scores need not have a determinant >= 0."""
    real = AnyPolicy.positive_semidefinite
    patch.setattr(AnyPolicy, "positive_semidefinite", staticmethod(lambda *entries: real(*entries)[:3]))


def gram_is_definite(patch: Patch) -> None:
    """Scores are taken for linearly independent."""

    def definite(a, b, c, d, e, f):
        return [d > 0, a * (b * d - f * f) - c * (c * d - f * e) + e * (c * f - b * e) > 0]

    patch.setattr(AnyPolicy, "positive_semidefinite", staticmethod(definite))


def rest_is_many(patch: Patch) -> None:
    """The responses that are not named are taken for two at least."""
    bounds = induction._bounds
    patch.setattr(induction, "_bounds", lambda a, b, c: [*bounds(a, b, c), b < a * a])
    patch.setattr(induction, "_prove_power_sum_bounds", lambda: None)


def bounds_are_missing(patch: Patch) -> None:
    """Of sums of squares nothing is known but that they are positive."""
    bounds = induction._bounds
    patch.setattr(induction, "_bounds", lambda a, b, c: [bounds(a, b, c)[k] for k in (0, 1, 4)])
    patch.setattr(induction, "_prove_power_sum_bounds", lambda: None)


def tangent_is_strict(patch: Patch) -> None:
    """e^t is taken to be larger than its tangent at the point of contact as well."""
    tell = functions._tell

    def strict(t: Number, value: Number) -> None:
        tell(t, value)
        t.run.assume(value > 1 + t)

    patch.setattr(functions, "_tell", strict)


def tangents_are_missing(patch: Patch) -> None:
    """Of e^t nothing is known but its sign."""
    patch.setattr(functions, "_tell", lambda t, value: t.run.functions.append(("exp", t, value)))


def values_are_believed(patch: Patch) -> None:
    """Whatever the solver says of a function known by its bounds is a counterexample."""
    patch.setattr(functions, "_tell", lambda t, value: t.run.functions.append(("exp", t, value)))
    patch.setattr(Run, "incomplete", property(lambda run: False, lambda run, value: None), raising=False)


def assumptions_are_too_strong(patch: Patch) -> None:
    """Probabilities are taken to be at most one half."""
    build = AnyPolicy.__init__

    def narrow(self, run: Run, n: int) -> None:
        build(self, run, n)
        run.assume(self._p[0] <= worlds_half(run))

    def worlds_half(run: Run):
        return Number(run, run.constant(1)) / 2

    patch.setattr(worlds.AnyPolicy, "__init__", narrow)


MUTANTS = {
    definitions_leak: "root_on_one_side",
    unknown_is_no: "gave_up_on_the_statement",
    questions_are_confused: "cross_21_10",
    names_are_confused: "products_change_places",
    one_side_only: "root_on_one_side",
    division_is_unguarded: "quotient_is_one",
    root_is_unguarded: "root_of_anything",
    no_value_is_true: "root_of_anything",
    anything_is_true: "returns_a_tuple",
    floats_are_numbers: "float_constant_not_exact",
    faults_are_forgotten: "float_swallowed",
    code_is_not_read: "not_the_object_false",
    replays_are_not_compared: "every_second_time",
    premise_is_not_met: "empty_premise",
    without("n = 2"): "mass_is_less_than_one",
    without("n >= 4"): "scores_point_apart",
    without("n = 3"): "three_leave_some_mass",
    gram_is_definite: "independent_beyond_three",
    rest_is_many: "sum_of_squares_strict",
    tangent_is_strict: "tangent_strict",
    assumptions_are_too_strong: "likely_is_a_half",
}
"""A mistake that proves too much, and a false predicate that it proves."""

TOO_WEAK = {
    minor_is_missing: "determinant",
    names_are_defined_once: "variance",
    bounds_are_missing: "tabular_sum_of_squares",
    tangents_are_missing: "tangent",
    values_are_believed: "tangent",
    root_of_any_sign: "equivalence",
}
"""A mistake that proves too little, and a true predicate that it loses."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.__doc__)
def test_a_mistake_that_proves_too_much_is_noticed(mutant: Callable, monkeypatch: Patch) -> None:
    trap = BY_NAME[MUTANTS[mutant]]
    sound = decide(trap)
    assert sound is None or sound.verdict != "proved"
    mutant(monkeypatch)
    monkeypatch.setattr(deceptive_python, "CALLS", count())  # whatever ran before, the first call is an even one
    wrong = decide(trap)
    assert wrong is not None
    assert wrong.verdict in ("proved", "vacuous")  # that it says nothing is noticed by another check


@pytest.mark.parametrize("mutant", TOO_WEAK, ids=lambda m: m.__doc__)
def test_a_mistake_that_proves_too_little_is_noticed(mutant: Callable, monkeypatch: Patch) -> None:
    trap = TRUE_BY_NAME[TOO_WEAK[mutant]]
    assert decide(trap).verdict == "proved"
    mutant(monkeypatch)
    assert decide(trap).verdict != "proved"
