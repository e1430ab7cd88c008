"""Claims after wu2025, "It Takes Two: Your GRPO Is Secretly DPO"."""

from theory.wu2025 import group_size

__all__ = ["group_size"]
