"""Claims on and after chen2024, "Preference Learning Algorithms Do Not Learn Preference Rankings"."""

from theory.chen2024 import rankings

__all__ = ["rankings"]
