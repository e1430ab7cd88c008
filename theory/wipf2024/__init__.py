"""Claims of wipf2024, "Unavoidable Learning Constraints Alter the Foundations of Direct Preference Optimization"."""

from theory.wipf2024 import background, constraints, trust_region, two_responses

__all__ = ["background", "constraints", "trust_region", "two_responses"]
