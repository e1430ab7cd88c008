"""What five papers on direct preference optimization say, and what is true.

``python -m theory`` runs the claim ledger; ``explain`` runs one claim and tells it. ``decide`` proves a conjecture of
your own or refutes it by a small exact world, ``falsify`` only searches, ``measure`` reads it on a language model.
``worlds`` are the preference worlds in exact rationals that all of them use.
"""

from theory.claim import CLAIMS, VERDICTS, Claim, Outcome, claim, run_claim
from theory.decision.decide import decide
from theory.decision.measured import Measurement, measure
from theory.decision.recipes import Bounds
from theory.decision.result import Decision
from theory.evidence import Evidence, Finding
from theory.explained import Explanation, explain
from theory.falsify import Falsification, falsify
from theory.proof.families import LOG_LINEAR, POLICY, TABULAR, TWO_RESPONSES
from theory.worlds import KINDS, World, world_strategy

__all__ = [
    "CLAIMS",
    "KINDS",
    "LOG_LINEAR",
    "POLICY",
    "TABULAR",
    "TWO_RESPONSES",
    "VERDICTS",
    "Bounds",
    "Claim",
    "Decision",
    "Evidence",
    "Explanation",
    "Falsification",
    "Finding",
    "Measurement",
    "Outcome",
    "World",
    "claim",
    "decide",
    "explain",
    "falsify",
    "measure",
    "run_claim",
    "world_strategy",
]
