"""Sun et al. 2025, Self Preference Optimization with SiLU (Self PO): its claims and its closed forms."""

from theory.sun2025 import (
    activations,
    bound,
    gradient,
    losses,
    margins,
    minimum,
    proposition_1,
    results,
    table_2,
    theorem_1,
)

__all__ = [
    "activations",
    "bound",
    "gradient",
    "losses",
    "margins",
    "minimum",
    "proposition_1",
    "results",
    "table_2",
    "theorem_1",
]
