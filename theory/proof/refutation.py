"""From a path that the solver can satisfy to a small exact world in which the statement is false."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from theory.proof.balls import Undecided
from theory.proof.search import Predicate, holds_at

if TYPE_CHECKING:
    from theory.proof.smt import OpenPath, Solver
    from theory.proof.worlds import Family
    from theory.worlds import World

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
    """Return an exact world in which the very same predicate is false, and "" or why there is none.

    Args:
        opened: a path on which the statement is false.
        predicate: the statement.
        given: its premise.
        change: arguments of the predicate that differ from its own.
        over: the kind of worlds, with the witnesses among which to look if the path itself cannot be rebuilt.
        solver: asked for values.
    """
    world, reason = _rebuilt(opened, predicate, given, change, solver)
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
    """Return small fractions for the variables of a world; None if some can only be algebraic."""
    import z3  # noqa: PLC0415

    trail = list(opened.trail)
    values: dict[str, Fraction] = {}
    _, model = solver.ask(trail)
    for name, variable in opened.names.items():
        if "." in name:  # defined by the others: a quotient, a root
            continue
        found = None
        for candidate in SIMPLE:
            answer, new = solver.ask([*trail, variable == z3.RealVal(str(candidate), solver.context)])
            if answer == "sat":
                found, model = candidate, new
                break
        if found is None:
            for candidate in _near(model, variable):
                answer, new = solver.ask([*trail, variable == z3.RealVal(str(candidate), solver.context)])
                if answer == "sat":
                    found, model = candidate, new
                    break
        if found is None:
            return None
        values[name] = found
        trail.append(variable == z3.RealVal(str(found), solver.context))
    return values


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


def rebuild_policy(values: dict[str, Fraction], n: int) -> World:
    """Return the log-linear policy with a base measure that has these probabilities and inner products of scores.

    Features are the scores. The Gram matrix is L D L^T, and a rational pivot of D is a sum of four squares of
    fractions, so that four coordinates carry each. One further response balances the scores where n allows it.

    Raises:
        ValueError: the values are those of no policy.
    """
    from theory.worlds import World, dot  # noqa: PLC0415

    p = values["p_w"]
    if n == 2:
        rows = _roots([values["d"]])
        d = rows[0]
        return World((p, 1 - p), (tuple((1 - p) * a for a in d), tuple(-p * a for a in d)))
    weights, names = [p, values["p_l"]], ["w", "l"]
    if n > 3 and "p_y" in values:
        weights.append(values["p_y"])
        names.append("y")
    gram = [[values[a + b] if a + b in values else values[b + a] for b in names] for a in names]
    scores = _factor(gram)
    rest = 1 - sum(weights, Fraction(0))
    balance = tuple(-dot(weights, [g[k] for g in scores]) / rest for k in range(len(scores[0])))
    return World((*weights, rest), (*scores, balance), other=2)


def rebuild_tabular(values: dict[str, Fraction], n: int) -> World:
    """Return the tabular softmax with these probabilities; the rest of the mass is one more response.

    Raises:
        ValueError: there is none.
    """
    from theory.worlds import World  # noqa: PLC0415

    named = [values["p_w"], *([values["p_l"]] if n > 2 else [])]
    named += [values[name] for name in ("p_y", "p_3", "p_4", "p_5") if name in values]
    rest = 1 - sum(named)
    if rest < 0 or (rest > 0 and "p_3" in values):
        raise ValueError("these are no probabilities")
    return World.tabular([*named, rest] if rest > 0 else named, 0, 1)


def _factor(gram: list[list[Fraction]]) -> list[tuple[Fraction, ...]]:
    """Return vectors with these inner products, in rational coordinates."""
    n = len(gram)
    lower = [[Fraction(i == j) for j in range(n)] for i in range(n)]
    pivots = [Fraction(0)] * n
    for j in range(n):
        pivots[j] = gram[j][j] - sum(lower[j][k] ** 2 * pivots[k] for k in range(j))
        for i in range(j + 1, n):
            off = gram[i][j] - sum(lower[i][k] * lower[j][k] * pivots[k] for k in range(j))
            if pivots[j] == 0 and off != 0:
                raise ValueError("not positive semidefinite")
            lower[i][j] = off / pivots[j] if pivots[j] else Fraction(0)
    blocks = _roots(pivots)
    return [
        tuple(c * a for c, block in zip(row, blocks, strict=True) for a in block) or (Fraction(0),) for row in lower
    ]


def _roots(pivots: list[Fraction]) -> list[tuple[Fraction, ...]]:
    """Return vectors whose squared lengths are these numbers."""
    blocks = []
    for pivot in pivots:
        if pivot < 0:
            raise ValueError("not positive semidefinite")
        parts = four_squares(pivot.numerator * pivot.denominator)
        block = tuple(Fraction(a, pivot.denominator) for a in parts if a)
        blocks.append(block)
    return blocks if any(blocks) else [(Fraction(0),)] * len(pivots)


def four_squares(n: int) -> tuple[int, ...]:
    """Return at most four whole numbers whose squares sum to n >= 0, as few as there can be.

    Example:
        >>> four_squares(12), four_squares(25), four_squares(7)
        ((2, 2, 2), (5,), (1, 1, 1, 2))
    """
    from sympy.solvers.diophantine.diophantine import power_representation  # noqa: PLC0415

    if n == 0:
        return ()
    for k in (1, 2, 3, 4):
        found = next(iter(power_representation(n, 2, k)), None)
        if found:
            return tuple(sorted(found))
    raise AssertionError(f"{n} is no sum of four squares")
