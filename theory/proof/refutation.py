"""From a path that the solver can satisfy to a small exact world in which the statement is false."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from theory.proof.balls import Undecided
from theory.proof.searched import Predicate, holds_at, search

if TYPE_CHECKING:
    from theory.proof.family import Family
    from theory.proof.smt import OpenPath
    from theory.proof.solver import Solver

CHEAP = 25  # small values only make a counterexample easier to read, so a small part of the solver's work is enough
DRAWS = 1000  # exact cases to search if the solver knows a function only by its bounds
SIMPLE = tuple(
    Fraction(a, b)
    for a, b in (
        *((0, 1), (1, 1), (1, 2), (2, 1), (-1, 1), (1, 3), (1, 4), (2, 3), (3, 1), (3, 4), (-2, 1), (4, 1), (1, 5)),
        *((2, 5), (1, 6), (-1, 2), (3, 2), (1, 10), (5, 1), (8, 1), (10, 1), (-3, 1), (1, 12), (1, 20), (9, 10)),
        *((20, 1), (100, 1), (1, 100)),
    )
)
"""Values that a counterexample should have, the simplest first."""


def exact_counterexample(
    opened: OpenPath,
    predicate: Predicate,
    given: Predicate | None,
    change: dict[str, Any],
    over: Family,
    solver: Solver,
) -> tuple[Any, str]:
    """Return an exact world in which the same predicate is false, and ""; or None, and the reason why none was found.

    Args:
        opened: a path on which the statement is false.
        predicate: the statement.
        given: its premise.
        change: arguments of the predicate that replace its defaults.
        over: the kind of worlds, with the witnesses among which to look if the path itself cannot be rebuilt.
        solver: asked for values.
    """
    world, reason = _rebuilt(opened, predicate, given, change, solver)
    if world is None and opened.incomplete:  # the solver's values need not be those of e^t: search exact cases
        world = search(predicate, over, given=given, worlds=DRAWS, **change).counterexample
    if world is not None or not over.witnesses:
        return world, reason
    from theory.proof.smt import OpenPath, paths_of  # noqa: PLC0415

    for case in over.witnesses:
        for path in paths_of(case, predicate, given, change, solver):
            if path.assumed and path.false is not None and solver.ask(path.false)[0] == "sat":
                trial = OpenPath(case, path.false, path.run.names, path.run.incomplete)
                world, _ = _rebuilt(trial, predicate, given, change, solver)
                if world is not None:
                    return world, ""
    return None, f"not refuted by an exact world: {reason}"


def _rebuilt(
    opened: OpenPath, predicate: Predicate, given: Predicate | None, change: dict[str, Any], solver: Solver
) -> tuple[Any, str]:
    if opened.case.rebuild is None:
        return None, "e^s is known to the solver by its bounds only"
    values = small_values(opened, solver)
    if values is None:
        return None, "the numbers of the counterexample are algebraic"
    try:
        world = opened.case.rebuild(values)
        if holds_at(predicate, world, given, **change) is False:
            return world, ""
    except (ValueError, Undecided):
        pass
    return None, "the values that the solver found are not those of a world"


def small_values(opened: OpenPath, solver: Solver) -> dict[str, Fraction] | None:
    """Return small fractions for the variables of a world; None if some of them must be irrational."""
    import z3  # noqa: PLC0415

    trail = list(opened.trail)
    values: dict[str, Fraction] = {}
    _, model = solver.ask(trail)
    for name, variable in opened.names.items():
        if "." in name:  # defined by the others: a quotient, a root
            continue
        found = None
        for candidate in SIMPLE:
            answer, new = solver.ask([*trail, variable == z3.RealVal(str(candidate), solver.context)], CHEAP)
            if answer == "sat":
                found, model = candidate, new
                break
        if found is None:
            for candidate in _near(model, variable):
                answer, new = solver.ask([*trail, variable == z3.RealVal(str(candidate), solver.context)], CHEAP)
                if answer == "sat":
                    found, model = candidate, new
                    break
        if found is None:
            found = _rational(model, variable)  # the model has all values chosen so far: nothing need be asked
        if found is None:
            return None
        values[name] = found
        trail.append(variable == z3.RealVal(str(found), solver.context))
    return values


def _rational(model: Any, variable: Any) -> Fraction | None:
    """Return the value in a model if it is a fraction."""
    import z3  # noqa: PLC0415

    value = None if model is None else model.eval(variable, model_completion=True)
    return Fraction(str(value.as_fraction())) if value is not None and z3.is_rational_value(value) else None


def _near(model: Any, variable: Any) -> list[Fraction]:
    """Return fractions near the value in a model, simple ones first, and the value itself if it is a fraction."""
    import z3  # noqa: PLC0415

    if model is None:
        return []
    value = model.eval(variable, model_completion=True)
    if z3.is_rational_value(value):
        exact = Fraction(value.numerator_as_long(), value.denominator_as_long())
        return [*dict.fromkeys(exact.limit_denominator(n) for n in (10, 100, 1000)), exact]
    close = value.approx(20)
    near = Fraction(close.numerator_as_long(), close.denominator_as_long())
    return list(dict.fromkeys(near.limit_denominator(n) for n in (10, 100, 1000, 10**6)))


def algebraic(model: Any, names: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return in words the values of a model that has algebraic numbers: the polynomial that each is a root of."""
    import z3  # noqa: PLC0415

    found = []
    for name, variable in names.items():
        if "." in name:  # defined by the others
            continue
        value = model.eval(variable, model_completion=True)
        if z3.is_rational_value(value):
            found.append((name, str(value.as_fraction())))
        else:
            near = Fraction(value.approx(20).as_fraction())
            found.append((name, f"near {float(near):.6g}, a root of {_polynomial(value.poly())}"))
    return tuple(found)


def _polynomial(coefficients: Any) -> str:
    """Return a polynomial as text; coefficients come from the constant on."""
    text = ""
    for power, coefficient in reversed(list(enumerate(int(c.as_long()) for c in coefficients))):
        if coefficient:
            size = "" if abs(coefficient) == 1 and power else str(abs(coefficient))
            unknown = {0: "", 1: "x"}.get(power, f"x^{power}")
            text += f"{' - ' if coefficient < 0 else ' + '}{' '.join(filter(None, (size, unknown)))}"
    return text.removeprefix(" + ").strip()
