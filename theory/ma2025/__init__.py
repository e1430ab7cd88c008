"""Claims of ma2025, "Gradient Imbalance in Direct Preference Optimization"."""

from theory.ma2025 import (
    balanced_update,
    extrema,
    extrema_proof,
    gaussian,
    imbalance,
    logits,
    replicator,
    reward_and_policy,
)

__all__ = [
    "balanced_update",
    "extrema",
    "extrema_proof",
    "gaussian",
    "imbalance",
    "logits",
    "replicator",
    "reward_and_policy",
]
