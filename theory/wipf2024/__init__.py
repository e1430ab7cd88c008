"""Claims of wipf2024, "Unavoidable Learning Constraints Alter the Foundations of Direct Preference Optimization"."""

from theory.wipf2024 import (
    background,
    backward_forward,
    constraints,
    equal_draws,
    modes,
    optimum,
    preference_function,
    projections,
    trust_region,
    two_responses,
)

__all__ = [
    "background",
    "backward_forward",
    "constraints",
    "equal_draws",
    "modes",
    "optimum",
    "preference_function",
    "projections",
    "trust_region",
    "two_responses",
]
