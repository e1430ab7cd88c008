"""Claims on and after rafailov2024, "From r to Q*: Your Language Model is Secretly a Q-Function"."""

from theory.rafailov2024 import chosen_mean, token_tree

__all__ = ["chosen_mean", "token_tree"]
