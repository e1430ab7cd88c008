"""Parts of the papers without a claim, and why: definitions, restatements, related work, measurements of models."""

from __future__ import annotations

DEFINITION = "a definition: there is nothing to be true or false"
EARLIER_WORK = "reports earlier work"
MEASURED = "a measurement on language models, which the ledger does not repeat"
SET_UP = "says how the experiments were run"
USED = "a line of a proof; the claim about the whole step covers it"

REASONS: dict[str, dict[str, str]] = {
    "jian2025": {
        "Section 1": "an introduction to what is claimed later",
        "Section 2.1": DEFINITION,
        "Eq. 42": "repeats the first-order changes of Theorem 1",
        "Eq. 50": "says that probabilities add up to 1",
        "Section 4.1": SET_UP,
        "Section 5": EARLIER_WORK,
        "Section 6": "repeats what is claimed before",
        "Eq. 68": USED,
        "Appendix A": "holds the proofs, which stand under what they prove",
        "Appendix B": SET_UP,
        "Appendix C": "the claims stand under its sections",
        "Appendix C.2": MEASURED,
        "Table 4": MEASURED,
        "Appendix C.3": MEASURED,
        "Figure 4": MEASURED,
        "Figure 5": MEASURED,
        "Figure 6": MEASURED,
        "Appendix D": "on the use that others may make of the method",
        "Appendix E": "on the size of the models that were trained",
    },
    "wipf2024": {
        "Abstract": "repeats what is claimed later",
        "Section 1": "an introduction to what is claimed later",
        "Section 2.2": "the claims are about its equations",
        "Section 6": "repeats what is claimed before",
        "Appendix A": "figures of what Section 5 claims",
        "Appendix B": EARLIER_WORK,
        "Appendix D": "holds the proofs, which stand under what they prove",
    },
    "feng2024": {
        "Abstract": "repeats what is claimed later",
        "Section 1": "an introduction to what is claimed later",
        "Section 2": "defines the loss, which the claims on Eq. (1) are about",
        "Section 4": "repeats what is claimed before",
    },
    "sun2025": {
        "Figure 2": "a drawing of the method",
        "Section 2": EARLIER_WORK,
        "Section 3.1": "the claims are about its equations",
        "Algorithm 1": "a list of steps, each of which is an equation with a claim of its own",
        "Eq. 27": DEFINITION,
        "Eq. 28": USED,
        "Eq. 30": USED,
        "Eq. 31": USED,
        "Eq. 32": USED,
        "Eq. 15": "names the terms of Eq. (16)",
        "Section 4.1": SET_UP,
        "Table 1": MEASURED,
        "Table 3": MEASURED,
        "Table 4": MEASURED,
        "Figure 5": MEASURED,
        "Figure 6": MEASURED,
        "Section 5": "repeats what is claimed before",
        "Appendix A": SET_UP,
        "Appendix B": "holds the proofs, which stand under what they prove",
        "Appendix D": SET_UP,
    },
    "ma2025": {
        "Abstract": "repeats what is claimed later",
        "Section 1": "an introduction to what is claimed later",
        "Section 2": EARLIER_WORK,
        "Eq. 1": "defines the loss of DPO",
        "Eq. 7": "the formula of Assumption 2, whose claims stand there",
        "Eq. 37": USED,
        "Eq. 38": USED,
        "Eq. 39": USED,
        "Eq. 40": USED,
        "Eq. 41": USED,
        "Eq. 17": "defines the preferences of the example",
        "Section 4.3.1": "the claims are about its theorem",
        "Eq. 21": "the condition of Theorem 5, whose claims stand there",
        "Section 6.1.1": SET_UP,
        "Eq. 33": "defines the preferences of the experiment",
        "Eq. 34": "defines the utility of the experiment",
        "Section 7": "on the size of the models that were trained",
        "Section 8": "repeats what is claimed before",
        "Appendix A": EARLIER_WORK,
        "Appendix B": SET_UP,
        "Appendix D": SET_UP,
    },
}
"""For each paper, each place without a claim and the reason."""
