"""Claims of wipf2024, "Unavoidable Learning Constraints Alter the Foundations of Direct Preference Optimization"."""

from theory.wipf2024 import (
    background,
    backward_forward,
    constrained,
    constraints,
    curvature,
    equal_draws,
    figure_2,
    gaussian,
    modes,
    noise,
    optimum,
    preference_function,
    projections,
    trust_region,
    two_responses,
    variance,
)

__all__ = [
    "background",
    "backward_forward",
    "constrained",
    "constraints",
    "curvature",
    "equal_draws",
    "figure_2",
    "gaussian",
    "modes",
    "noise",
    "optimum",
    "preference_function",
    "projections",
    "trust_region",
    "two_responses",
    "variance",
]
