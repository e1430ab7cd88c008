"""How strongly a finding is supported: proved by a machine, unrefuted by a search, or seen in floating point."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MACHINE, UNREFUTED, NUMERICAL = "proved", "unrefuted", "numerical"
GRADES = (MACHINE, UNREFUTED, NUMERICAL)  # the strongest first


@dataclass(frozen=True)
class Strength:
    """How strongly a verdict is supported.

    Attributes:
        grade: "proved", "unrefuted" or "numerical".
        how: provers, worlds or tolerances.
        lemma: standard theorems that the proof rests on, by name.
        prose: whether several proofs were put together in words only: no machine goes from the parts to the whole.
    """

    grade: str
    how: tuple[str, ...]
    lemma: tuple[str, ...] = ()
    prose: bool = False

    def __str__(self) -> str:
        """Return it as the column of the ledger shows it.

        Example:
            >>> print(Strength(MACHINE, ("smt", "sympy"), ("mean value",)))
            proved by smt, sympy, modulo mean value
            >>> print(Strength(MACHINE, ("smt",), prose=True))
            proved by smt, parts joined in prose
        """
        by = " by " if self.grade == MACHINE else ": "
        lemma = f", modulo {', '.join(self.lemma)}" if self.lemma else ""
        prose = ", parts joined in prose" if self.prose else ""
        return self.grade + by + ", ".join(self.how) + lemma + prose


def weakest(strengths: Iterable[Strength]) -> Strength | None:
    """Return the strength of a claim from those of its findings: the weakest grade, with every finding that has it.

    Example:
        >>> print(weakest([Strength(MACHINE, ("smt",)), Strength(UNREFUTED, ("500 worlds",))]))
        unrefuted: 500 worlds
    """
    found = list(strengths)
    if not found:
        return None
    grade = max((s.grade for s in found), key=GRADES.index)
    level = [s for s in found if s.grade == grade]
    how = tuple(dict.fromkeys(h for s in level for h in s.how))
    lemmas = tuple(dict.fromkeys(name for s in found for name in s.lemma))
    return Strength(grade, how, lemmas, any(s.prose for s in found))
