"""What five papers on direct preference optimization say, and what is true.

``python -m theory`` runs the claim ledger; ``falsify`` gives a conjecture of your own to a search for the smallest
exact counterexample; ``worlds`` are the random preference worlds in exact rationals that both use.
"""

from theory.claim import CLAIMS, VERDICTS, Claim, Outcome, claim, run_claim
from theory.decision.recipes import Bounds
from theory.evidence import Evidence, Finding
from theory.falsify import Falsification, falsify
from theory.worlds import BASE_MEASURE, LOG_LINEAR, TABULAR, World, world_strategy

__all__ = [
    "BASE_MEASURE",
    "CLAIMS",
    "LOG_LINEAR",
    "TABULAR",
    "VERDICTS",
    "Bounds",
    "Claim",
    "Evidence",
    "Falsification",
    "Finding",
    "Outcome",
    "World",
    "claim",
    "falsify",
    "run_claim",
    "world_strategy",
]
