"""Sun et al. 2025, Self Preference Optimization with SiLU (Self PO): its claims and its closed forms."""

from theory.sun2025 import bound, gradient, losses, margins, minimum, proposition_1, theorem_1

__all__ = ["bound", "gradient", "losses", "margins", "minimum", "proposition_1", "theorem_1"]
