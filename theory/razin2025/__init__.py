"""Claims after razin2025, "What Makes a Reward Model a Good Teacher? An Optimization Perspective"."""

from theory.razin2025 import variance

__all__ = ["variance"]
