"""Decide a predicate on a world in symbols: every path through it is closed by the solver, or one is open.

A statement is *proved* only if every path on which it is false, or has no value, is impossible, and some path on which
its premise holds is possible. "I do not know" is never taken for "impossible". Limits count the solver's work, so that
a busy machine changes no verdict.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from theory.proof.checks import show
from theory.proof.family import Case, Family
from theory.proof.searched import Predicate, search
from theory.proof.solver import STUCK, WORK, Known, Record, Solver
from theory.proof.symbols import Impure, NoSuchResponse, NoValue, Run
from theory.proof.terms import identity

PROVED, REFUTED, VACUOUS, UNDECIDED = "proved", "refuted", "vacuous", "undecided"
PATIENCE = 6  # queries without an answer, after which a statement is undecided
MOST_PATHS = 4000


@dataclass(frozen=True)
class OpenPath:
    """A path on which the statement is false and which the solver can satisfy.

    Attributes:
        case: the world.
        trail: everything that is true on it.
        names: its variables.
        incomplete: whether some function is known only by its bounds, so that the values may belong to no world.
    """

    case: Case
    trail: list[Any]
    names: dict[str, Any]
    incomplete: bool


@dataclass(frozen=True)
class Proof:
    """The result of a proof by the solver.

    Attributes:
        verdict: "proved", "refuted", "vacuous" or "undecided".
        over: the kind of worlds, in words.
        assumes: what was assumed of them.
        cases: the worlds in symbols on which the predicate was run, in words.
        paths: paths through the predicate.
        queries: number of questions to the solver.
        counterexample: an exact world in which the statement is false, or None.
        reason: why the statement is undecided, or what is known about a counterexample that could not be written down.
        algebraic: the numbers of a counterexample that could not be written down as fractions, in words, by name.
    """

    verdict: str
    over: str
    assumes: str
    cases: tuple[str, ...]
    paths: int
    queries: int
    counterexample: Any = None
    reason: str = ""
    algebraic: tuple[tuple[str, str], ...] = ()

    def covers(self) -> str:
        """Return what was decided for: the kind of worlds, and the numbers of responses that were examined."""
        where = ", ".join(filter(None, self.cases))
        return self.over + (f" ({where})" if where else "")

    def __str__(self) -> str:
        """Return the verdict in words, with the counterexample if there is one."""
        text = f"{self.verdict} for {self.covers()}"
        if self.verdict == PROVED:
            return text + f": {self.paths} path{'s' if self.paths > 1 else ''}"
        if self.counterexample is not None:
            return f"{text}: false at\n{show(self.counterexample)}"
        return text + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True)
class _Path:
    run: Run
    assumed: bool  # the premise is true on it, so that the statement must be
    false: list[Any] | None = (
        None  # what is true where the statement is false; None if it is true everywhere on the path
    )
    why: str = ""
    spoken: bool = True  # whether the statement speaks of such worlds: not if it names a response that they lack
    literal: bool = False  # whether it ends in False whatever the values on the path
    term: Any = None  # the open truth value in which it ends, if it does not end in plain True or False


def prove(  # noqa: PLR0912 - one loop over the paths, and every way in which it can end
    predicate: Predicate,
    over: Family,
    *,
    given: Predicate | None = None,
    work: int = WORK,
    record: Record | None = None,
    witness: bool = True,
    known: Known | None = None,
    reached: AbstractContextManager[Any] | None = None,
    patience: int = STUCK,
    **change: Any,
) -> Proof:
    """Decide a statement for every world of a kind.

    Args:
        predicate: plain Python; it returns a truth value.
        over: the kind of worlds.
        given: its premise, a predicate too.
        work: limit of the solver's work for one question.
        record: called with every question to the solver and its answer (see ``certificate``).
        witness: whether a refutation must come with an exact world; without, a path that the solver can satisfy will do
            (for controls).
        known: what earlier proofs about the same worlds asked.
        reached: a ``Reached``, which notes the parts of the predicate that run; entered while each path is run for the
            second time, when nothing is asked.
        patience: milliseconds after which a question counts as one that hangs, which ends the proof with an error. Less
            than usual is for callers that can do without this proof: no verdict may depend on the clock.
        **change: arguments of the predicate that replace its defaults.

    Raises:
        NotAStatement: the predicate returns no truth value or computes with what is no exact number.
        Impure: it behaves differently when it is run again.

    Example:
        >>> from theory.proof import POLICY, prove
        >>> print(prove(lambda w, cross=2: w.A_w - w.A_l == w.ww - cross * w.wl + w.ll >= 0, POLICY))
        proved for every policy (n = 2, n >= 3): 2 paths
    """
    from theory.proof.reading import check_reading  # noqa: PLC0415
    from theory.proof.refutation import algebraic  # noqa: PLC0415

    check_reading(predicate, *([given] if given else []))
    solver = Solver(work, record, known or Known(), patience)
    paths, met, names, unsure = 0, False, [], ""
    asserted = False  # whether the statement says anything: some path of it could have been false
    touched: set[str] = set()
    for case in over.cases:
        if case.only_if and case.only_if not in touched:
            continue
        for path in paths_of(case, predicate, given, change, solver, reached):
            paths += 1
            if path.spoken and case.name not in names:
                names.append(case.name)
            touched |= path.run.touched
            if solver.unknown > PATIENCE or paths > MOST_PATHS:
                reason = "the solver gave up too often" if paths <= MOST_PATHS else f"more than {MOST_PATHS} paths"
                return Proof(UNDECIDED, over.says(), over.assumes, tuple(names), paths, solver.queries, None, reason)
            if path.assumed and not met:
                met = solver.ask(path.run.trail)[0] == "sat"
            if not path.assumed:
                continue
            asserted = asserted or _says_something(path, case, predicate, given, change, solver)
            if path.false is None:
                continue
            answer, model = solver.ask(path.false)
            if answer == "unsat":
                continue
            if answer == "unknown":
                unsure = unsure or f"the solver gave up on a path of {case.name or over.says()}"
                continue
            opened = OpenPath(case, path.false, path.run.names, path.run.incomplete)
            sure = case.exact and not opened.incomplete  # every solution is a world
            found, reason = None, path.why
            if witness or not sure:
                found, reason = _counterexample(opened, predicate, given, change, over, solver, witness)
            if found is None and not sure:
                unsure = unsure or reason
                continue
            values = algebraic(model, path.run.names) if found is None and witness else ()
            return Proof(REFUTED, over.says(), over.assumes, tuple(names), paths, solver.queries, found, reason, values)
    if "y" not in touched:
        names = [name.replace("n >= 4", "n >= 3") for name in names]
    if solver.unknown and not (met and asserted):  # a question without an answer is no sign that nothing meets it
        unsure = unsure or "the solver gave up on whether the statement says anything of any world"
    if met and not asserted and not unsure:
        nothing = "it compares nothing that depends on the world, or no world meets the premise inside it"
        return Proof(VACUOUS, over.says(), over.assumes, tuple(names), paths, solver.queries, None, nothing)
    verdict = UNDECIDED if unsure else PROVED if met else VACUOUS
    return Proof(verdict, over.says(), over.assumes, tuple(names), paths, solver.queries, None, unsure)


def _counterexample(
    opened: OpenPath,
    predicate: Predicate,
    given: Predicate | None,
    change: dict[str, Any],
    over: Family,
    solver: Solver,
    witness: bool,
) -> tuple[Any, str]:
    """Return an exact world in which the statement is false (a small one; for controls any), or None and why."""
    from theory.proof.refutation import exact_counterexample  # noqa: PLC0415

    if not witness:  # drawing a world is cheaper than making a small one
        drawn = search(predicate, over, given=given, **change).counterexample
        if drawn is not None:
            return drawn, ""
    return exact_counterexample(opened, predicate, given, change, over, solver)


def paths_of(
    case: Case,
    predicate: Predicate,
    given: Predicate | None,
    change: dict[str, Any],
    solver: Solver,
    reached: AbstractContextManager[Any] | None = None,
) -> Iterator[_Path]:
    """Run the predicate along every path that may be possible, twice."""
    todo: list[list[bool]] = [[]]
    count = 0
    while todo and count <= MOST_PATHS:
        decisions = todo.pop()
        run = Run(solver.context, decisions, solver.possible, told=solver.known.told)
        path = _follow(case, predicate, given, change, run)
        taken = [side for _, _, side in path.run.forks]
        with reached or nullcontext():
            rerun = Run(solver.context, taken, solver.possible, told=solver.known.told)
            again = _follow(case, predicate, given, change, rerun)
        _same(path, again)
        for fork in range(len(decisions), len(taken)):
            if solver.possible(path.run.other_side(fork)):
                todo.append([*taken[:fork], not taken[fork]])
        count += 1
        yield path


def _follow(case: Case, predicate: Predicate, given: Predicate | None, change: dict[str, Any], run: Run) -> _Path:
    assumed, spoken, false, why, literal, ending = True, True, None, "", False, None
    try:
        try:
            world = case.build(run)
        except NoValue:  # the world is not defined here: none of the kind
            return _Path(run, False, None)
        if given is not None:
            try:
                assumed = run.decide(run.truth_term(given(world)))
            except NoValue:
                assumed = False
        if assumed:
            value = predicate(world, **change)
            term = run.truth_term(value)
            ending = None if isinstance(value, bool) else term
            simple = run.z3.simplify(term)
            literal = bool(run.z3.is_false(simple)) or _denied(run, term)
            if not run.z3.is_true(simple):
                false = [*run.trail, run.z3.Not(term)]
    except NoSuchResponse:  # the statement is about each of the others, and there is none
        assumed = spoken = False
    except NoValue as problem:
        false, why = [*run.trail], str(problem)
    finally:
        run.closed = True
    if run.faults:  # also those that the predicate swallowed
        raise run.faults[0]
    return _Path(run, assumed, false, why, spoken, literal, ending)


def _denied(run: Run, term: Any) -> bool:
    """Return whether a path took the side of a fork on which this truth value is false; then ``a and b`` returns a."""
    return any(not side and identity(asked) == identity(term) for _, asked, side in run.forks)


def _says_something(
    path: _Path, case: Case, predicate: Predicate, given: Predicate | None, change: dict[str, Any], solver: Solver
) -> bool:
    """Return whether the statement asserts anything on a path, or is true there only because a premise is not met.

    ``all(...)`` ends in True, but it could have ended in False: on the other side of one of its forks. The other side
    of a premise (``not premise or conclusion``) does not end in False; it ends in the conclusion.
    """
    import z3  # noqa: PLC0415

    if path.term is not None:
        return all(solver.ask([*path.run.trail, z3.Not(excuse)])[0] == "sat" for excuse in _excuses(path.term))
    forks, settled, told = [side for _, _, side in path.run.forks], path.run.settled, solver.known.told
    turned = [
        (k, Run(solver.context, [*forks[:k], not forks[k]], lambda _: True, told=told)) for k in range(len(forks))
    ]
    turned += [(0, Run(solver.context, forks, lambda _: True, k, told)) for k in range(settled)]
    return any(_denies(_follow(case, predicate, given, change, run), k, solver) for k, run in turned)


def _denies(path: _Path, fork: int, solver: Solver) -> bool:
    """Return whether the statement is false on a path because of what was answered at a fork and after it."""
    if path.literal or not path.assumed:
        return path.literal
    if path.term is None and path.false is not None:  # it has no value there
        return False
    answers = [asked if side else path.run.z3.Not(asked) for _, asked, side in path.run.forks[fork:]]
    ending = [] if path.term is None else [path.term]
    return solver.ask([*answers, *ending])[0] == "unsat"


def _excuses(term: Any) -> list[Any]:
    """Return what stands before the conclusion in ``premise_is_not_met | conclusion``."""
    import z3  # noqa: PLC0415

    return list(term.children())[:-1] if z3.is_or(term) else []


def _same(first: _Path, second: _Path) -> None:
    """Raise ``Impure`` unless a second run asked the same questions and had the same result."""
    same = (
        len(first.run.forks) == len(second.run.forks)
        and first.assumed == second.assumed
        and _equal(first.run.trail, second.run.trail)
        and _equal(first.false, second.false)
    )
    if not same:
        raise Impure("the predicate behaved differently when it was run again; it must depend on its world alone")


def _equal(first: list[Any] | None, second: list[Any] | None) -> bool:
    if first is None or second is None:
        return first is second
    return len(first) == len(second) and all(
        a is b or identity(a) == identity(b) for a, b in zip(first, second, strict=True)
    )
