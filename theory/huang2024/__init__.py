"""Claims after huang2024, on chi-squared preference optimization."""

from theory.huang2024 import chi_squared

__all__ = ["chi_squared"]
