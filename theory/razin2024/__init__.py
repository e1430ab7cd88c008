"""Claims on and after razin2024, "Unintentional Unalignment: Likelihood Displacement in DPO"."""

from theory.razin2024 import one_token, sequences

__all__ = ["one_token", "sequences"]
