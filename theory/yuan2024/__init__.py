"""Claims on and after yuan2024, "A Common Pitfall of Margin-based Language Model Alignment: Gradient Entanglement"."""

from theory.yuan2024 import entanglement, one_token

__all__ = ["entanglement", "one_token"]
