"""Claims on and after xu2024, "Is DPO Superior to PPO for LLM Alignment? A Comprehensive Study"."""

from theory.xu2024 import optima

__all__ = ["optima"]
