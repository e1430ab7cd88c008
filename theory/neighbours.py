"""The papers of the second part of the ledger: neighbours of the five, with a few statements of each.

A statement stands under a neighbour's name only where the paper's own text was read, or where two public texts agree
on it. Everything else is ours: its source begins with "not in the paper", or with ``UNREAD`` where the text could not
be read in full, so that nobody here knows what is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass

UNREAD = "not read in full"
"""How the source of a claim begins that is ours because the paper's text could not be read."""


@dataclass(frozen=True)
class Neighbour:
    """A neighbouring paper.

    Attributes:
        title: authors, year and title.
        outline: the places that claims are about, in the order of the paper, as in ``theory.order.OUTLINES``.
        read: how its text was read, in one or two sentences.
    """

    title: str
    outline: str
    read: str


IN_FULL = "the sections that claims are about were read in full, in the paper's own text"
TWO_TEXTS = "it could not be read in full; what stands under its name is quoted alike in two public texts"

NEIGHBOURS = {
    "razin2024": Neighbour(
        "Razin et al. 2024, Unintentional Unalignment: Likelihood Displacement in DPO (arXiv:2410.08847)",
        "Abstract; Section 4; Theorem 1; Definition 2; Section 5; Proposition 1; Proposition 3; Theorem 4; Theorem 5; "
        "Theorem 8",
        f"{IN_FULL}, in a version before the fourth; Proposition 3 of the fourth version was not read.",
    ),
    "ren2024": Neighbour(
        "Ren and Sutherland 2024, Learning Dynamics of LLM Finetuning (arXiv:2407.10490)",
        "Abstract; Proposition 1; Appendix E",
        f"{TWO_TEXTS} (Proposition 1 and the residuals of DPO; that in a negative step the label itself falls and the "
        "most probable other label rises). The other claims of its appendix were read in one text only.",
    ),
    "pal2024": Neighbour(
        "Pal et al. 2024, Smaug: Fixing Failure Modes of Preference Optimisation with DPO-Positive (arXiv:2402.13228)",
        "Abstract; Section 3; 2; Section 4; 3",
        f"{TWO_TEXTS} (Equations (2) and (3), in notes taken from the second version and in a textbook chapter).",
    ),
    "yuan2024": Neighbour(
        "Yuan et al. 2024, A Common Pitfall of Margin-based Language Model Alignment: Gradient Entanglement "
        "(arXiv:2410.13828)",
        "Abstract; Section 3.1; 4-5; Section 3.2; Section 4.1; Theorem 1; Section 5",
        f"{TWO_TEXTS} (Equations (1) to (5) and the condition, in notes on the second version and in a review). "
        "The hypotheses of its theorems were not read.",
    ),
    "rafailov2024": Neighbour(
        "Rafailov et al. 2024, From r to Q*: Your Language Model is Secretly a Q-Function (arXiv:2404.12358)",
        "Abstract; 8; Theorem 1; 16",
        f"{IN_FULL}.",
    ),
    "xu2024": Neighbour(
        "Xu et al. 2024, Is DPO Superior to PPO for LLM Alignment? (arXiv:2404.10719)",
        "Abstract; Theorem 4.1",
        f"{IN_FULL}.",
    ),
    "azar2023": Neighbour(
        "Azar et al. 2023, A General Theoretical Paradigm to Understand Learning from Human Preferences "
        "(arXiv:2310.12036)",
        "Abstract; Proposition 3; 17; Section 5.3.1; Section 5.4; Proposition 4",
        f"{IN_FULL}, a machine conversion.",
    ),
    "chen2024": Neighbour(
        "Chen et al. 2024, Preference Learning Algorithms Do Not Learn Preference Rankings (arXiv:2405.19534)",
        "Abstract; Theorem 4.1",
        f"{TWO_TEXTS} (the definition of ranking accuracy and Theorem 4.1).",
    ),
    "gopalan2025": Neighbour(
        "Gopalan et al. 2025, Why DPO is a Misspecified Estimator and How to Fix It (arXiv:2510.20413)",
        "Abstract; Proposition 1; Proposition 3",
        "Sections 1 to 4 were read in its own text (a public copy), without the proofs of Propositions 7 to 9.",
    ),
    "pipano2026": Neighbour(
        "Pipano et al. 2026, Displacement-Resistant Extensions of DPO with Nonconvex f-Divergences (arXiv:2602.06788)",
        "Abstract",
        "only its abstract and notes of others were read, so that every statement here is ours.",
    ),
    "wu2025": Neighbour(
        "Wu et al. 2025, It Takes Two: Your GRPO Is Secretly DPO (arXiv:2510.00977)",
        "Abstract",
        "only an article of others that gives formulas was read, so that every statement here is ours.",
    ),
    "cui2025": Neighbour(
        "Cui et al. 2025, The Entropy Mechanism of Reinforcement Learning for Reasoning Language Models "
        "(arXiv:2505.22617)",
        "Abstract; Lemma 1; Theorem 1; Theorem 2",
        "Sections 3 and 4 were read in its own text (an extraction that splits formulas, compared with notes that "
        "give the proofs).",
    ),
    "shi2024": Neighbour(
        "Shi, Zhou and Du 2024, The Crucial Role of Samplers in Online DPO (arXiv:2409.19605)",
        "Abstract; 6; Theorem 3; Theorem 4; Lemma 1",
        f"{IN_FULL} (Sections 3 to 5 of the conference submission; the appendix was not read).",
    ),
    "yan2024": Neighbour(
        "Yan et al. 2024, 3D-Properties: Identifying Challenges in DPO (arXiv:2406.07327)",
        "Abstract; Section 3; Corollary 1; Corollary 3",
        "Section 3 was read in its own text.",
    ),
    "chen2026": Neighbour(
        "Chen et al. 2026, Towards Disentangled Preference Optimization Dynamics Beyond Likelihood Displacement "
        "(arXiv:2604.18239)",
        "Abstract",
        "only its abstract and the authors' code were read, so that every statement here is ours.",
    ),
    "deng2025": Neighbour(
        "Deng et al. 2025, On the Effect of Negative Gradient in Group Relative Deep Reinforcement Optimization "
        "(arXiv:2505.18830)",
        "Abstract; Lemma 4.2",
        "its text was read in a conversion without displayed formulas; a second text quotes those of Lemma 4.2.",
    ),
    "huang2024": Neighbour(
        "Huang et al. 2024, Correcting the Mythos of KL-Regularization: Direct Alignment without Overoptimization via "
        "Chi-Squared Preference Optimization (arXiv:2407.13399)",
        "Abstract",
        "only notes and reviews of others were read, so that every statement here is ours.",
    ),
    "razin2025": Neighbour(
        "Razin et al. 2025, What Makes a Reward Model a Good Teacher? An Optimization Perspective (arXiv:2503.15477)",
        "Abstract",
        "only notes of others were read, so that every statement here is ours.",
    ),
}
"""Every neighbour by key, in the order of the pages."""
