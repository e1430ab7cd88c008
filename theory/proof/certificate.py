"""Write a proof down so that a sceptic checks it with a solver of their own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WORDS = "push|pop|exit|echo|reset|par|BINARY|DECIMAL|HEXADECIMAL|NUMERAL|STRING|_"
"""Words of SMT-LIB that z3 writes as they are where a number is called like them; other solvers cannot read that."""
UNREADABLE = re.compile(rf"(?<![^\s()])(?:{WORDS})(?![^\s()])")


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
        self.questions.append((UNREADABLE.sub(r"|\g<0>|", text), answer))

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
