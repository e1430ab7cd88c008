"""Claims on and after azar2023, "A General Theoretical Paradigm to Understand Learning from Human Preferences"."""

from theory.azar2023 import datasets, sampled_loss

__all__ = ["datasets", "sampled_loss"]
