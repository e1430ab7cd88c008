"""Sun et al. 2025, Self Preference Optimization with SiLU (Self PO): its claims and its closed forms."""

from theory.sun2025 import losses, theorem_1

__all__ = ["losses", "theorem_1"]
