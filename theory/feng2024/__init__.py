"""Claims of feng2024, "Towards Analyzing and Understanding the Limitations of DPO: A Theoretical Perspective"."""

from theory.feng2024 import reach, speeds, theorem_1

__all__ = ["reach", "speeds", "theorem_1"]
