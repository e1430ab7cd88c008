"""Claims of ma2025, "Gradient Imbalance in Direct Preference Optimization"."""

from theory.ma2025 import (
    imbalance,
    logits,
    replicator,
    reward_and_policy,
)

__all__ = [
    "imbalance",
    "logits",
    "replicator",
    "reward_and_policy",
]
