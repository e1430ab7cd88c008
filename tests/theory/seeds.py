"""The searches of the ledger with other random cases: no seed may change a verdict, and none may raise.

    python -m tests.theory.seeds [keys or globs of claims] [--seeds 60] [--worlds 40]

Proofs, counterexamples and slopes do not depend on the seed and are not repeated. A search among few cases may miss
what is rare: cases that meet the premise, or one in which its negative control is false. It is then repeated with four
and sixteen times as many. A true statement that is refuted stays so.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable, Iterable

from theory.claim import Claim
from theory.ledger import select_claims
from theory.proof.searched import Search

Again = Callable[..., Search]


def problem(statement: Again, control: Again | None, seed: int, worlds: int) -> str:
    """Return in words what a seed changes in one search; "" if it changes nothing."""
    wrong = ""
    for count in (worlds, 4 * worlds, 16 * worlds):
        found = statement(worlds=count, seed=seed)
        if found.counterexample is not None:
            return f"refuted among {count} cases: {found}"
        if not found.tried:
            wrong = f"no case of {count} meets the premise"
        elif control is not None and control(worlds=count, seed=seed).counterexample is None:
            wrong = f"control not rejected among {count} cases"
        else:
            return ""
    return wrong


def problems(claim: Claim, seeds: Iterable[int], worlds: int) -> list[str]:
    """Return in words what the seeds change in the searches of a claim."""
    found = []
    for seed in seeds:
        for number, (statement, control) in enumerate(vars(claim.evidence)["searches"]):
            try:
                wrong = problem(statement, control, seed, worlds)
            except Exception:
                wrong = traceback.format_exc()
            found += [f"{claim.key}, search {number}, seed {seed}: {wrong}"] if wrong else []
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
    searches = sum(len(vars(claim.evidence)["searches"]) for claim in claims)
    print(f"{searches} searches of {len(claims)} claims, {arguments.seeds} seeds: {wrong or 'no'} problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
