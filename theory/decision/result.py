"""The outcome of deciding a conjecture, as text, as a table with typeset fractions, and as a certificate."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynamics.errors import InvalidArgument
from theory.decision.recipes import extent
from theory.proof.checks import show
from theory.proof.smt import PROVED, REFUTED, UNDECIDED, VACUOUS

if TYPE_CHECKING:
    from theory.decision.sides import Side

__all__ = ["PROVED", "REFUTED", "UNDECIDED", "VACUOUS", "Decision"]


@dataclass(frozen=True, repr=False)
class Decision:
    """The outcome of deciding a conjecture.

    Attributes:
        verdict: "proved", "refuted", "vacuous" (no world meets the premise) or "undecided".
        over: the kind of worlds, in words.
        by: the prover, or "exact evaluation" of a case; "" if undecided.
        assumes: what the prover assumed of the worlds, in words.
        cases: the numbers of responses that were proved separately, in words.
        case: the counterexample, or for "there is" the witness; an exact world. None if none was found, or only one
            that is not in fractions.
        sides: the comparisons that the conjecture makes there, with their values.
        algebraic: where a counterexample or witness cannot be written in fractions: its numbers in words, by name.
        tried: number of exact worlds in which the conjecture was evaluated: those that meet the premise and have every
            response that the conjecture uses.
        drawn: number of exact worlds that were examined.
        where: what they were drawn from, in words.
        reason: why it is undecided, or what is known about a counterexample that is not shown.
        exists: whether the conjecture was "there is a world in which ...".
        premise: whether there was a premise.
        text: the conjecture in words, if it has a name.
        again: the arguments of the proof, from which its certificate is written.
    """

    verdict: str
    over: str
    by: str = ""
    assumes: str = ""
    cases: tuple[str, ...] = ()
    case: Any = None
    sides: tuple[Side, ...] = ()
    algebraic: tuple[tuple[str, str], ...] = ()
    tried: int = 0
    drawn: int = 0
    where: str = ""
    reason: str = ""
    exists: bool = False
    premise: bool = False
    text: str = ""
    again: Any = field(default=None, compare=False)

    def __bool__(self) -> bool:
        """Raise TypeError, since a decision has four outcomes, not two.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"a decision is neither true nor false: compare decision.verdict with {PROVED!r}, {REFUTED!r}")

    @property
    def heading(self) -> str:
        """Return the verdict in one line, with the kind of worlds and the prover."""
        start = f"{self.text}: {self.verdict}" if self.text else self.verdict
        sizes = f" ({', '.join(filter(None, self.cases))})" if any(self.cases) else ""
        if self.verdict == VACUOUS:
            why = self.reason or "no world meets the premise"
            return f"{start}: {why}, proved for {self.over}{sizes}, by {self.by}"
        if self.verdict == UNDECIDED:
            return f"{start} for {self.over}: {self.reason}"
        if self.case is not None or self.algebraic:
            what = "true" if self.exists else "false"
            return f"{start}: {what} at" + ("" if self.case is not None else " numbers that are no fractions")
        if self.exists:
            return f"{start}: there is none, proved for {self.over}{sizes}, by {self.by}"
        return f"{start} for {self.over}{sizes}, by {self.by}"

    @property
    def searched(self) -> str:
        """Return in words which exact worlds were looked at."""
        return extent(self.tried, self.drawn, self.where, premise=self.premise)

    def __str__(self) -> str:
        """Return the whole of it as text."""
        lines = [self.heading]
        if self.case is not None:
            lines += [show(self.case), *map(str, self.sides)]
        lines += [f"{name} = {value}" for name, value in self.algebraic]
        return "\n".join([*lines, *self.footnotes])

    @property
    def footnotes(self) -> list[str]:
        """Return what was assumed and what was searched, where that matters."""
        notes = []
        if self.algebraic and self.reason:
            notes.append(self.reason.replace(" of the counterexample", ""))
        if self.assumes and self.case is None:
            notes.append(f"assumed: {self.assumes}")
        if self.verdict == UNDECIDED or self.premise:
            found = "no witness in" if self.exists else "no counterexample in"
            notes.append(f"{found if self.case is None else 'looked at'} {self.searched}")
        return notes

    def _repr_html_(self) -> str:
        from theory.decision.typeset import decision_html  # noqa: PLC0415

        return decision_html(self)

    def _repr_latex_(self) -> str:
        from theory.decision.typeset import decision_latex  # noqa: PLC0415

        return decision_latex(self)

    def __repr__(self) -> str:
        return str(self)

    def write_certificate(self, folder: str | Path, title: str = "conjecture") -> list[Path]:
        """Write the questions that the proof rests on as SMT-LIB files, for another solver; return their paths.

        Args:
            folder: made if it is missing.
            title: begins the names of the files.

        Raises:
            InvalidArgument: the conjecture was not decided by the solver; a counterexample is its own certificate.
        """
        from theory.proof.certificate import Certificate  # noqa: PLC0415
        from theory.proof.smt import prove  # noqa: PLC0415

        if self.again is None:
            raise InvalidArgument(
                "decision", f"it is {self.verdict} without the solver, so that there is no proof to write"
            )
        statement, family, given, work = self.again
        kept = Certificate()
        prove(statement, family, given=given, work=work, record=kept.record)
        return kept.write(Path(folder), title, self.text or title, self.assumes)
