"""Questions to the SMT solver, with a limit on its work, and a memory of their answers.

A statement, its parts and its control ask many of the same questions, and the same terms have the same answer. Whether
terms *may* be true together only decides where to look next. That can often be seen without a question, by substituting
the values of an earlier model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from theory.proof.naming import Names, linear, with_names
from theory.proof.slicing import without_equations, without_unused
from theory.proof.terms import Told, identity
from theory.proof.watchdog import Watchdog

WORK = 5_000_000  # of the solver for one question, in its own units; a typical one takes a thousandth of it
QUICK = 30_000  # of that work at most, after which it is asked whether a question is impossible by its sums alone
FIRST = 500_000  # of that work at most, after which a question is asked in another form
DIRECT = "simplify propagate-values tseitin-cnf nlsat"  # the solver's methods, the shortest preparation for the last
METHOD = "qfnra-nlsat"  # with more preparation; the choice for the logic QF_NRA begins with it, and looks at the clock
LINEAR = "smt"  # for linear questions
STUCK = 600_000  # milliseconds; the solver does not count all of its work, and a query that hangs is an error
RECENT = 4  # models that are tried before a question is asked

WATCHDOG = Watchdog()

Record = Callable[[str, list[Any], str], None]


class SolverStuckError(RuntimeError):
    """The solver did not answer in time. This ends the run, because no verdict may depend on the clock."""


class Model:
    """The values of a model that the solver found, and which terms are known to be true of them."""

    def __init__(self, values: Any, terms: list[Any]) -> None:
        self.values = values
        self.truths = {identity(term): (True, term) for term in terms}  # a term that is kept keeps its identity

    def meets(self, terms: list[Any]) -> bool:
        """Return whether all terms are true of the values; a variable that they leave open is 0."""
        return all(self._meets(term) for term in reversed(terms))  # what is new stands last

    def _meets(self, term: Any) -> bool:
        import z3  # noqa: PLC0415 - loaded for a proof only

        number = identity(term)
        if number not in self.truths:
            self.truths[number] = (z3.is_true(self.values.eval(term, model_completion=True)), term)
        return self.truths[number][0]


class Known:
    """What several proofs about the same worlds share: the owner of their terms, and what was asked and answered.

    Attributes:
        context: the solver's owner of all terms.
        terms: those of the questions, kept alive so that their identities stay theirs.
        defined: names of the definitions that each term speaks of, by its identity.
        names: of the sums and products in them.
        answers: answer and values, if there are any, by the work that was allowed and the identities of the terms.
        models: of the questions that came to some.
        methods: of the solver, by name.
        told: what was told of exponentials; each path is run twice at least, and tells the same again.
    """

    def __init__(self) -> None:
        import z3  # noqa: PLC0415

        self.context = z3.Context()
        self.terms: list[Any] = []
        self.defined: dict[int, frozenset[str]] = {}
        self.names = Names()
        self.answers: dict[tuple[int, ...], tuple[str, Any]] = {}
        self.models: list[Model] = []
        self.methods: dict[str, Any] = {}
        self.told = Told()


@dataclass
class Solver:
    """Asks the solver, with a limit on its work, and counts.

    Attributes:
        work: limit for each question.
        record: called with every question and its answer; then nothing is taken from memory.
        known: what was asked before, by this proof or by one about the same worlds.
        patience: milliseconds after which a question counts as one that hangs.
        queries: questions so far.
        unknown: those without an answer.
    """

    work: int = WORK
    record: Record | None = None
    known: Known = field(default_factory=Known)
    patience: int = STUCK
    queries: int = 0
    unknown: int = 0

    @property
    def context(self) -> Any:
        """Return the owner of all terms."""
        return self.known.context

    def ask(self, terms: list[Any], effort: int = 1) -> tuple[str, Any]:
        """Return "sat" and a model, or "unsat" or "unknown" and None; with 1 / ``effort`` of the usual work.

        A question without a quick answer is asked again in other forms, all within the same limit of work: with a name
        for each product, of which nothing else is known, and without its equations, where "unsat" is an answer to the
        whole and "sat" is none; with names for its sums; then with names and as it is once more, with what is left of
        the work.

        Raises:
            SolverStuckError: neither an answer nor the end of its work within ``patience``.
        """
        key = (effort, self.work, *(identity(term) for term in terms))
        answer = self.known.answers.get(key) if self.record is None else None
        if answer is None:
            answer = self.known.answers[key] = self._ask(terms, effort)
        self.queries += 1
        self.unknown += answer[0] == "unknown" and effort == 1
        return answer

    def possible(self, terms: list[Any]) -> bool:
        """Return whether the terms may be true together; only a proof that they cannot counts as no."""
        return any(model.meets(terms) for model in self.known.models[-RECENT:]) or self.ask(terms)[0] != "unsat"

    def _ask(self, terms: list[Any], effort: int) -> tuple[str, Any]:
        self.known.terms += terms
        asked, work = terms, self.work // effort
        if self.known.told.defines:
            asked = without_unused(terms, self.known.defined)
        forms = _forms(asked, work, self.known.names)
        if effort != 1:
            forms = iter([_Form(asked, min(work, FIRST), method=DIRECT)])
        for form in forms:
            answer, solver = self._asked(form.terms, form.work, form.method)
            if answer == "unsat" or (answer == "sat" and form.is_whole):
                break
            answer = "unknown"
        if self.record is not None:
            solver.add(*form.meanings)
            self.record(solver.to_smt2(), form.terms, answer)
        if answer != "sat":
            return answer, None
        self.known.models.append(Model(solver.model(), form.terms))
        return answer, self.known.models[-1].values

    def _asked(self, terms: list[Any], work: int, method: str = METHOD) -> tuple[str, Any]:
        """Return the answer to one question within a limit of work, and the solver that gave it."""
        import z3  # noqa: PLC0415

        if method not in self.known.methods:
            parts = [z3.Tactic(name, ctx=self.context) for name in method.split()]
            self.known.methods[method] = z3.Then(*parts) if len(parts) > 1 else parts[0]
        solver, stuck = self.known.methods[method].solver(), []
        solver.set("rlimit", work)
        for term in terms:  # solver.add also converts what is no truth value, and takes ten times as long
            z3.Z3_solver_assert(self.context.ref(), solver.solver, term.as_ast())

        def stop() -> None:
            stuck.append(True)
            self.context.interrupt()

        with WATCHDOG.over(self.patience / 1000, stop):  # the solver's own clock takes longer than a typical question
            answer = str(solver.check())
        if answer == "unknown" and stuck:
            raise SolverStuckError(
                f"the solver gave no answer within {self.patience / 1000:g} s, although its limit of work should "
                "have stopped it sooner; split the statement into smaller ones"
            )
        return answer, solver


@dataclass(frozen=True)
class _Form:
    """A form of a question.

    Attributes:
        terms: what is asked.
        work: limit for it.
        is_whole: whether it has the same answers as the question; else only "unsat" is one.
        method: of the solver.
        meanings: what its names stand for, if it is asked without that; a certificate has them too.
    """

    terms: list[Any]
    work: int
    is_whole: bool = True
    method: str = METHOD
    meanings: tuple[Any, ...] = ()


def _forms(terms: list[Any], work: int, names: Names) -> Iterator[_Form]:
    """Yield the forms of a question one after the other; together they have ``work``, but each has 1 at least."""
    quick = max(1, min(QUICK, work // 8))
    yield _Form(terms, quick, method=DIRECT)
    sums, meanings = linear(terms, names)
    if meanings:
        yield _Form(sums, quick, is_whole=False, method=LINEAR, meanings=tuple(meanings))
    left = max(1, work - 2 * quick)
    first = max(1, min(FIRST, left // 4))
    yield _Form(terms, first)
    fewer, named = without_equations(terms), with_names(terms, names)
    left -= first
    if len(fewer) < len(terms):
        left -= first
        yield _Form(with_names(fewer, names), first, is_whole=False)
    if named is terms:
        yield _Form(terms, max(1, left))
        return
    yield _Form(named, first)
    left = max(1, (left - first) // 2)
    yield from (_Form(named, left), _Form(terms, left))
