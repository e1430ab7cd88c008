"""Claims on and after deng2025, "On the Effect of Negative Gradient in Group Relative ... Optimization"."""

from theory.deng2025 import advantages

__all__ = ["advantages"]
