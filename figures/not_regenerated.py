"""Figures and tables of the papers that are not regenerated here, mostly because they need large models or judges."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NotRegenerated:
    """A figure or table of a paper that is not regenerated.

    Attributes:
        source: paper and number in print.
        shows: what it shows.
        reason: why it is not regenerated, and what comes nearest to it here.
    """

    source: str
    shows: str
    reason: str


NOT_REGENERATED = (
    NotRegenerated(
        "Jian et al. 2025, Table 1",
        "accuracy on GSM8K after SFT, DPO and Stable PO",
        "Needs fine-tuning of Qwen2.5-0.5B and Llama-3.2-1B on GSM8K; seeds, runs and gamma are not in print.",
    ),
    NotRegenerated(
        "Jian et al. 2025, Figure 3 and Table 5",
        "win rates on UltraFeedback",
        "Needs fine-tuning of three language models and two model judges; the opponent is not in print.",
    ),
    NotRegenerated(
        "Jian et al. 2025, Figure 4",
        "DPO with a likelihood term beside the other methods: accuracy on GSM8K and win rate on UltraFeedback",
        "Needs fine-tuning of Qwen2.5-0.5B and a model judge; the weight of the term is not in print. DPO with a "
        "likelihood term on a small language model: jian2025-2b.",
    ),
    NotRegenerated(
        "Jian et al. 2025, Table 4", "the prompt of the judge", "It is a text, and there is nothing to compute."
    ),
    NotRegenerated(
        "Sun et al. 2025, Figure 2 and Tables 3, 4, 6",
        "AlpacaEval 2, Arena-Hard and MT-Bench",
        "Needs fine-tuning of 7B to 9B models and model judges. The ledger checks the text's arithmetic "
        "against the printed tables.",
    ),
    NotRegenerated(
        "Sun et al. 2025, Figure 6",
        "AlpacaEval 2 over beta and gamma",
        "Needs many fine-tuning runs of Zephyr-7B and a model judge; the grid is not in print.",
    ),
    NotRegenerated(
        "Sun et al. 2025, Table 1", "sizes of the benchmarks", "Data about other data sets; nothing to compute."
    ),
    NotRegenerated(
        "Ma et al. 2025, Table 2",
        "helpfulness, harmlessness and safety on SafeRLHF",
        "Needs fine-tuning of a 7B model, a reward and a cost model. Its methods on the 20 x 20 toy: ma2025-table-1.",
    ),
    NotRegenerated(
        "Ma et al. 2025, Table 3",
        "helpfulness, harmlessness and safety on Anthropic HH",
        "Needs fine-tuning of a 7B model and two reward models. Its methods on the 20 x 20 toy: ma2025-table-1.",
    ),
)
"""Every one of them, paper by paper."""
