"""Claims on and after cui2025, "The Entropy Mechanism of Reinforcement Learning for Reasoning Language Models"."""

from theory.cui2025 import entropy

__all__ = ["entropy"]
