"""Claims on and after shi2024, "The Crucial Role of Samplers in Online Direct Preference Optimization"."""

from theory.shi2024 import samplers

__all__ = ["samplers"]
