"""Claims of jian2025, "Stable Preference Optimization for LLMs: A Bilevel Approach Beyond DPO"."""

from theory.jian2025 import corollary_2

__all__ = ["corollary_2"]
