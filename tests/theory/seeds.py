"""The searches of the ledger with other random cases: no seed may change a verdict, and none may raise.

    python -m tests.theory.seeds [keys or globs of claims] [--seeds 60] [--worlds 40]

Proofs, counterexamples and slopes do not depend on the seed and are left out, so that sixty seeds take minutes. A
search among few cases may miss what is rare: a counterexample that it must find, or a case in which its negative
control is false. It is then repeated with four and sixteen times as many. A true statement that is refuted stays so.
"""

from __future__ import annotations

import argparse
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import Any

from theory.claim import Claim
from theory.evidence import Evidence, Statement
from theory.ledger import select_claims


class Searches(Evidence):
    """Runs the searches of a claim and passes over everything that the seed cannot change."""

    def fails(self, statement: Statement, at: object, *, control: object, role: str = "") -> None:
        """Pass over a frozen counterexample."""

    def proves(self, statement: Callable[[], bool], *, control: Callable[[], bool], by: str, role: str = "") -> None:
        """Pass over a proof."""

    def measures(self, statement: Callable[[], bool], *, control: Callable[[], bool], by: str, role: str = "") -> None:
        """Pass over a comparison in floating point."""

    def slope(self, residual: Callable[[float], float], order: int, **settings: Any) -> None:
        """Pass over a slope."""


def problem(claim: Claim, seed: int, worlds: int) -> str | None:
    """Return in words what a seed changes, "" if it changes nothing, None if no seed can."""
    # a few claims draw numbers of their own: of those everything is run
    kind = Evidence if "evidence.seed" in inspect.getsource(claim.evidence) else Searches
    wrong = ""
    for count in (worlds, 4 * worlds, 16 * worlds):
        evidence = kind(count, seed)
        try:
            claim.evidence(evidence)
        except Exception:
            return f"{claim.key}, seed {seed}: {traceback.format_exc()}"
        if not evidence.findings:
            return None
        missed = [found for found in evidence.findings if not (found.passed and found.control)]
        if not missed:
            return ""
        word = "control not rejected" if missed[0].passed else "not found"
        wrong = f"{claim.key}, seed {seed}, {count} worlds: {word}: {missed[0].role}; {missed[0].detail}"
    return wrong


def problems(claim: Claim, seeds: Iterable[int], worlds: int) -> list[str]:
    """Return in words what the seeds change."""
    found = []
    for seed in seeds:
        wrong = problem(claim, seed, worlds)
        if wrong is None:
            return []
        found += [wrong] if wrong else []
    return found


def main() -> int:
    """Try the seeds on every claim, print what is wrong, and return 1 if anything is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("keys", nargs="*", help="keys or globs of claims; all for none")
    parser.add_argument("--seeds", type=int, default=60, help="the seeds 0, 1, ... up to this number")
    parser.add_argument("--worlds", type=int, default=40, help="random cases of each search")
    arguments = parser.parse_args()
    claims = select_claims(arguments.keys, None)
    wrong = 0
    for claim in claims:
        for found in problems(claim, range(arguments.seeds), arguments.worlds):
            print(found, flush=True)
            wrong += 1
    print(f"{len(claims)} claims, {arguments.seeds} seeds: {wrong or 'no'} problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
