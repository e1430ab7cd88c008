"""Claims on and after ren2024, "Learning Dynamics of LLM Finetuning"."""

from theory.ren2024 import dynamics, squeezing

__all__ = ["dynamics", "squeezing"]
