"""Two solvers that are independent of z3 look at every answer on which a proof of the ledger rests.

    python -m tests.theory.proof.second_solver [keys or globs of claims]

Each question is put to cvc5 and to Yices. What neither answers is put to Yices in other forms that have the same
answer, one after the other. "unsat" confirms; "sat" would contradict a proof. The exit status is 0 if every question is
confirmed and none is contradicted, and 1 otherwise.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator

from tests.theory.proof.other_forms import other_form
from tests.theory.proof.other_solvers import ask_cvc5, ask_yices
from theory.claim import Claim
from theory.ledger import select_claims
from theory.proof.certificate import Certificate

ORDERS = 24  # in which a question is written that nobody has answered yet; half as many were needed at most
LONGER = 2  # seconds of processor time for each of them
BOTH, CVC5, YICES, REORDERED = "cvc5 and Yices", "cvc5", "Yices", "Yices in another form"
NOBODY, CONTRADICTED = "nobody", "contradicted"


def answers(text: str) -> Iterator[tuple[str, str]]:
    """Yield who answers a question and what; further forms are asked only as long as nobody has confirmed it."""
    first = [(CVC5, ask_cvc5(text)), (YICES, ask_yices(text))]
    yield from first
    if all(answer == "unknown" for _, answer in first):
        yield from ((REORDERED, ask_yices(other_form(text, order), LONGER)) for order in range(ORDERS))


def judged(answered: Iterable[tuple[str, str]]) -> str:
    """Return who confirms that a question is impossible, or that nobody does, or that somebody contradicts it.

    Example:
        >>> judged([(CVC5, "unsat"), (YICES, "unsat")]), judged([(CVC5, "unknown"), (YICES, "unsat")])
        ('cvc5 and Yices', 'Yices')
        >>> judged([(CVC5, "unsat"), (YICES, "sat")]), judged([(CVC5, "unknown"), (YICES, "unknown")])
        ('contradicted', 'nobody')
    """
    who: list[str] = []
    for solver, answer in answered:
        if answer == "sat":
            return CONTRADICTED
        if answer == "unsat":
            who.append(solver)
            if solver == REORDERED:
                break
    return BOTH if len(who) > 1 else who[0] if who else NOBODY


def count(questions: Iterable[str]) -> Counter[str]:
    """Return how many questions, all of them answered "unsat" by z3, are confirmed by whom."""
    return Counter(judged(answers(text)) for text in questions)


def questions_of(claim: Claim) -> list[str]:
    """Return the questions on which the proofs of a claim rest.

    Only the proofs by the solver are run again: no search, no control, and nothing of a claim that has none.
    """
    kept = Certificate()
    for prove_again in getattr(claim.evidence, "proofs", ()):
        prove_again(record=kept.record)
    return kept.impossible()


def told(found: Counter[str]) -> str:
    """Return counts in words."""
    parts = [f"{found[who]} confirmed by {who}" for who in (BOTH, CVC5, YICES, REORDERED, NOBODY) if found[who]]
    return ", ".join([*parts, f"{found[CONTRADICTED]} contradicted"])


def main() -> int:
    """Ask about every claim, print the counts, and return 1 unless all is confirmed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("keys", nargs="*", help="keys or globs of claims; all for none")
    total: Counter[str] = Counter()
    proved = 0
    for claim in select_claims(parser.parse_args().keys, None):
        questions = questions_of(claim)
        if questions:
            proved += 1
            found = count(questions)
            total += found
            print(f"{claim.key}: {told(found)}", flush=True)
    print(f"{total.total()} questions behind the proofs of {proved} claims: {told(total)}")
    return 1 if total[NOBODY] or total[CONTRADICTED] else 0


if __name__ == "__main__":
    sys.exit(main())
