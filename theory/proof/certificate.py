"""Write a proof down so that a sceptic checks it with a solver of their own, or have a second solver check it here."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any


@dataclass
class Certificate:
    """Every question to the solver behind a claim, in SMT-LIB, and its answer.

    Pass its ``record`` to ``prove`` or ``theory.claim.run_claim``.

    Attributes:
        questions: text and answer of each, in the order in which they were asked.
    """

    questions: list[tuple[str, str]] = field(default_factory=list)

    def record(self, text: str, _: Sequence[Any], answer: str) -> None:
        """Keep a question and its answer."""
        self.questions.append((text, answer))

    def impossible(self) -> list[str]:
        """Return the questions that the proof rests on: those that were answered "this cannot be"."""
        return list(dict.fromkeys(text for text, answer in self.questions if answer == "unsat"))

    def write(self, folder: Path, title: str, statement: str, assumes: str) -> list[Path]:
        """Write one SMT-LIB file for each question that the proof rests on, and return their paths.

        Args:
            folder: made if it is missing.
            title: key of the claim.
            statement: in LaTeX.
            assumes: what was assumed of the worlds, in words.
        """
        from dynamics.files import write_atomically  # noqa: PLC0415

        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for number, text in enumerate(self.impossible(), start=1):
            words = [
                title,
                f"Statement: {statement}",
                f"Assumed of every world: {assumes}",
                "One path through the statement on which it would be false, or the other side of a fork.",
                "The answer is unsat: there is no such world.",
            ]
            head = "".join(f"; {line}\n" for word in words for line in word.split("\n"))
            path = folder / f"{title}-{number:03d}.smt2"
            body = head + "(set-logic QF_NRA)\n" + text
            write_atomically(path, lambda temporary, body=body: temporary.write_text(body, encoding="utf-8"))  # type: ignore[misc]
            paths.append(path)
        return paths


def second_opinion(text: str, work: int = 20_000, milliseconds: int = 400) -> str:
    """Ask cvc5 a question in SMT-LIB; return "sat", "unsat" or "unknown".

    cvc5 looks at its own limits only now and then. It runs in a process of its own, which is ended after ten times the
    milliseconds: the answer is then "unknown".

    Args:
        text: the question.
        work: cvc5's own limit of work.
        milliseconds: cvc5's own limit of time.

    Raises:
        ImportError: cvc5 is not installed (``pip install cvc5``).
        ValueError: cvc5 cannot read the question.
    """
    import cvc5  # noqa: F401, PLC0415 - loaded before the fork

    context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else None)
    receiver, sender = context.Pipe(duplex=False)
    asked = context.Process(target=_ask_cvc5, args=(text, work, milliseconds, sender), daemon=True)
    asked.start()
    sender.close()
    try:
        answered = receiver.poll(milliseconds / 100)
        answer = str(receiver.recv()) if answered else "unknown"
        if answer not in ("sat", "unsat", "unknown"):
            raise ValueError(f"cvc5 cannot read the question: {answer}")
        return answer
    except EOFError:  # the process ended without an answer
        return "unknown"
    finally:
        asked.kill()
        asked.join()
        receiver.close()


def _ask_cvc5(text: str, work: int, milliseconds: int, sender: Connection) -> None:
    import cvc5  # noqa: PLC0415

    manager = cvc5.TermManager()
    solver = cvc5.Solver(manager)
    solver.setOption("rlimit-per", str(work))
    solver.setOption("tlimit-per", str(milliseconds))
    parser = cvc5.InputParser(solver)
    parser.setStringInput(
        cvc5.InputLanguage.SMT_LIB_2_6, "(set-logic QF_NRA)\n" + text.replace("(check-sat)", ""), "question"
    )
    symbols = parser.getSymbolManager()
    try:
        while not (command := parser.nextCommand()).isNull():
            command.invoke(solver, symbols)
    except RuntimeError as problem:
        sender.send(str(problem))
        return
    result = solver.checkSat()
    sender.send("unsat" if result.isUnsat() else "sat" if result.isSat() else "unknown")
