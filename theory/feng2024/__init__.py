"""Claims of feng2024, "Towards Analyzing and Understanding the Limitations of DPO: A Theoretical Perspective"."""

from theory.feng2024 import flow, landscape, reach, regimes, speeds, theorem_1

__all__ = ["flow", "landscape", "reach", "regimes", "speeds", "theorem_1"]
