"""Claims of ma2025, "Gradient Imbalance in Direct Preference Optimization"."""

from theory.ma2025 import (
    imbalance,
)

__all__ = [
    "imbalance",
]
