"""Claims of jian2025, "Stable Preference Optimization for LLMs: A Bilevel Approach Beyond DPO"."""

from theory.jian2025 import (
    corollary_1,
    corollary_2,
    corollary_2_mended,
    displacement,
    gradient,
    remarks,
    tabular,
    tabular_pairs,
    theorem_1,
)

__all__ = [
    "corollary_1",
    "corollary_2",
    "corollary_2_mended",
    "displacement",
    "gradient",
    "remarks",
    "tabular",
    "tabular_pairs",
    "theorem_1",
]
