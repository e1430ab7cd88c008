"""A second solver looks at every answer that a proof of the ledger rests on.

    python -m tests.theory.proof.second_solver [keys or globs of claims] [--work 20000] [--milliseconds 400]

"unsat" agrees; "unknown" means that cvc5 gave up within its limits, and is counted; "sat" would contradict a proof.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable

from theory.claim import Claim
from theory.ledger import select_claims
from theory.proof.certificate import Certificate, second_opinion


def answers(questions: Iterable[str], work: int = 20_000, milliseconds: int = 400) -> Counter[str]:
    """Return how often cvc5 says "unsat", "unknown" and "sat" of questions that were answered "unsat"."""
    return Counter(second_opinion(text, work, milliseconds) for text in questions)


def opinions(claim: Claim, work: int = 20_000, milliseconds: int = 400) -> Counter[str]:
    """Return how often cvc5 says what of the questions on which the proofs of a claim rest.

    Only the proofs by the solver are run again: no search, no control, and nothing of a claim that has none.
    """
    kept = Certificate()
    for prove_again in getattr(claim.evidence, "proofs", ()):
        prove_again(record=kept.record)
    return answers(kept.impossible(), work, milliseconds)


def main() -> int:
    """Ask about every claim, print the counts, and return 1 if cvc5 contradicts a proof."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("keys", nargs="*", help="keys or globs of claims; all for none")
    parser.add_argument("--work", type=int, default=20_000, help="cvc5's own limit for each question")
    parser.add_argument("--milliseconds", type=int, default=400, help="for each question")
    arguments = parser.parse_args()
    total: Counter[str] = Counter()
    proved = 0
    for claim in select_claims(arguments.keys, None):
        found = opinions(claim, arguments.work, arguments.milliseconds)
        total += found
        if found:
            proved += 1
            print(f"{claim.key}: " + ", ".join(f"{n} {word}" for word, n in sorted(found.items())), flush=True)
    print(
        f"{proved} claims: "
        + (", ".join(f"{n} {word}" for word, n in sorted(total.items())) or "no proofs by the solver")
    )
    return 1 if total["sat"] else 0


if __name__ == "__main__":
    sys.exit(main())
