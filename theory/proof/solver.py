"""Questions to the SMT solver, with a limit on its work, and a memory of their answers.

A statement, its parts and its control ask many of the same questions, and the same terms have the same answer. Whether
terms *may* be true together only decides where to look next. That can often be seen without a question, by substituting
the values of an earlier model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from theory.proof.naming import with_names
from theory.proof.slicing import without_equations, without_unused

WORK = 2_000_000  # of the solver for one query, in its own units; a typical one takes a thousandth of it
FIRST = 300_000  # of that work, after which a question is asked with names for its sums
STUCK = 600_000  # milliseconds; the solver does not count all of its work, and a query that hangs is an error
RECENT = 4  # models that are tried before a question is asked

Record = Callable[[str, list[Any], str], None]


class SolverStuckError(RuntimeError):
    """The solver did not answer in time. This ends the run, because no verdict may depend on the clock."""


class Model:
    """The values of a model that the solver found, and which terms are known to be true of them."""

    def __init__(self, values: Any, terms: list[Any]) -> None:
        self.values = values
        self.truths = {term.get_id(): (True, term) for term in terms}  # a term that is kept keeps its identity

    def meets(self, terms: list[Any]) -> bool:
        """Return whether all terms are true of the values; a variable that they leave open is 0."""
        return all(self._meets(term) for term in reversed(terms))  # what is new stands last

    def _meets(self, term: Any) -> bool:
        import z3  # noqa: PLC0415 - loaded for a proof only

        number = term.get_id()
        if number not in self.truths:
            self.truths[number] = (z3.is_true(self.values.eval(term, model_completion=True)), term)
        return self.truths[number][0]


class Known:
    """What several proofs about the same worlds share: the owner of their terms, and what was asked and answered.

    Attributes:
        context: the solver's owner of all terms.
        terms: those of the questions, kept alive so that their identities stay theirs.
        names: of the definitions that each term speaks of, by its identity.
        answers: answer and values, if there are any, by the work that was allowed and the identities of the terms.
        models: of the questions that came to some.
    """

    def __init__(self) -> None:
        import z3  # noqa: PLC0415

        self.context = z3.Context()
        self.terms: list[Any] = []
        self.names: dict[int, frozenset[str]] = {}
        self.answers: dict[tuple[int, ...], tuple[str, Any]] = {}
        self.models: list[Model] = []


@dataclass
class Solver:
    """Asks the solver, with a limit on its work, and counts.

    Attributes:
        work: limit for each question.
        record: called with every question and its answer; then nothing is taken from memory.
        known: what was asked before, by this proof or by one about the same worlds.
        queries: questions so far.
        unknown: those without an answer.
    """

    work: int = WORK
    record: Record | None = None
    known: Known = field(default_factory=Known)
    queries: int = 0
    unknown: int = 0

    @property
    def context(self) -> Any:
        """Return the owner of all terms."""
        return self.known.context

    def ask(self, terms: list[Any], effort: int = 1) -> tuple[str, Any]:
        """Return "sat" and a model, or "unsat" or "unknown" and None; with 1 / ``effort`` of the usual work.

        A question without a quick answer is asked again with names for its sums: first without its equations, where
        "unsat" is an answer to the whole and "sat" is none, then the whole; and at last once more as it is.

        Raises:
            SolverStuckError: neither an answer nor the end of its work within ten minutes.
        """
        key = (effort, self.work, *(term.get_id() for term in terms))
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
        asked, work = without_unused(terms, self.known.names), self.work // effort
        answer, solver = self._asked(asked, min(work, FIRST))
        if answer == "unknown" and effort == 1:
            asked, answer, solver = self._asked_otherwise(asked, work, solver)
        if self.record is not None:
            self.record(solver.to_smt2(), asked, answer)
        if answer != "sat":
            return answer, None
        self.known.models.append(Model(solver.model(), asked))
        return answer, self.known.models[-1].values

    def _asked_otherwise(self, terms: list[Any], work: int, solver: Any) -> tuple[list[Any], str, Any]:
        """Return the question in a form that has an answer, with its answer and solver; else as it is, "unknown"."""
        fewer, named = without_equations(terms), with_names(terms)
        if len(fewer) < len(terms):
            few = with_names(fewer)
            answer, other = self._asked(few, min(work, FIRST))
            if answer == "unsat":
                return few, answer, other
        if named is not terms:
            answer, other = self._asked(named, work)
            if answer != "unknown":
                return named, answer, other
        if work <= FIRST:
            return terms, "unknown", solver
        return terms, *self._asked(terms, work)

    def _asked(self, terms: list[Any], work: int) -> tuple[str, Any]:
        """Return the answer to one question within a limit of work, and the solver that gave it."""
        import z3  # noqa: PLC0415

        solver = z3.SolverFor("QF_NRA", ctx=self.context)
        solver.set("rlimit", work)
        solver.set("timeout", STUCK)
        solver.add(*terms)
        answer = str(solver.check())
        if answer == "unknown" and solver.reason_unknown() in ("timeout", "canceled"):
            raise SolverStuckError(
                f"the solver gave no answer within {STUCK / 1000:g} s, although its limit of work should have stopped "
                "it sooner; split the statement into smaller ones"
            )
        return answer, solver
